"""What may be on a disk when the power goes: a model of POSIX, fed with the shim's log.

A file's content is safe up to its last ``fsync``, and a folder's entries up to the folder's
own. What came later may have reached the disk in any part and in any order, so each entry
and each file is decided by lot; or none of it has.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from faults.forks import Call


@dataclass(eq=False)
class File:
    now: bytes = b""
    safe: bytes = b""

    def lost(self, draw: random.Random | None) -> bytes:
        if draw is None or self.now == self.safe:
            return self.safe
        kept = len(self.safe) if self.now.startswith(self.safe) else 0  # appending rewrites nothing
        cut = draw.randint(kept, len(self.now))
        zeros = bytes(len(self.now) - cut)
        return draw.choice([self.safe, self.now, self.now[:cut], self.now[:cut] + zeros])


@dataclass(eq=False)
class Folder:
    now: dict[str, File | Folder] = field(default_factory=dict)
    safe: dict[str, File | Folder] = field(default_factory=dict)

    def lost(self, draw: random.Random | None) -> dict[str, File | Folder]:
        if draw is None:
            return self.safe
        names = sorted({*self.now, *self.safe})
        chosen = {name: draw.choice([self.now, self.safe]).get(name) for name in names}
        return {name: node for name, node in chosen.items() if node is not None}


class Disk:
    """The file system under a folder that is safe itself.

    Args:
        top: the folder.
    """

    def __init__(self, top: Path) -> None:
        self._top = top
        self._root = Folder()

    def replay(self, calls: Iterable[Call]) -> None:
        for call in calls:
            self._apply(call)

    def content(self) -> dict[str, bytes | None]:
        """What running processes see: files with their bytes, folders with None."""
        return dict(_walk("", self._root))

    def lose_power(self, root: Path, draw: random.Random | None) -> None:
        """Put what a new start would find under ``root``.

        Args:
            root: an empty folder.
            draw: decides what of the rest has reached the disk; None for nothing at all.
        """
        _put(self._root, root, draw)

    def _folder(self, path: Path) -> Folder:
        node: File | Folder = self._root
        for name in path.relative_to(self._top).parts:
            assert isinstance(node, Folder)
            node = node.now[name]
        assert isinstance(node, Folder)
        return node

    def _node(self, path: Path) -> File | Folder:
        if path == self._top:
            return self._root
        folder = self._folder(path.parent)
        if path.name not in folder.now:
            # safetensors renames its file by a system call of its own, past any library.
            (unnamed,) = [name for name in folder.now if name.startswith(".tmp")]
            folder.now[path.name] = folder.now.pop(unnamed)
        return folder.now[path.name]

    def _file(self, path: Path) -> File:
        node = self._node(path)
        assert isinstance(node, File)
        return node

    def _apply(self, call: Call) -> None:
        here, name = call.path, call.path.name
        match call.what:
            case "mkdir":
                self._folder(here.parent).now[name] = Folder()
            case "open":
                self._folder(here.parent).now.setdefault(name, File())
            case "truncate":
                self._folder(here.parent).now.setdefault(name, File())
                self._file(here).now = b""
            case "write":
                file, end = self._file(here), call.offset + len(call.content)
                before = file.now[: call.offset].ljust(call.offset, b"\0")
                file.now = before + call.content + file.now[end:]
            case "resize":
                file = self._file(here)
                file.now = file.now[: call.offset].ljust(call.offset, b"\0")
            case "sync":
                node = self._node(here)
                if isinstance(node, File):
                    node.safe = node.now
                else:
                    node.safe = dict(node.now)
            case "link" | "rename":
                self._folder(call.other.parent).now[call.other.name] = self._node(here)
                if call.what == "rename":
                    del self._folder(here.parent).now[name]
            case "unlink" | "rmdir":
                self._node(here)
                del self._folder(here.parent).now[name]
            case "chmod":
                self._node(here)
            case _:
                raise AssertionError(f"the model does not know {call.what}")


def _walk(path: str, node: Folder) -> Iterable[tuple[str, bytes | None]]:
    for name, each in node.now.items():
        if isinstance(each, File):
            yield f"{path}{name}", each.now
        else:
            yield f"{path}{name}", None
            yield from _walk(f"{path}{name}/", each)


def _put(folder: Folder, path: Path, draw: random.Random | None) -> None:
    path.mkdir(exist_ok=True)
    for name, node in folder.lost(draw).items():
        if isinstance(node, File):
            (path / name).write_bytes(node.lost(draw))
        else:
            _put(node, path / name, draw)
