"""What the code of a class is: text that changes when that code does.

Of an installed package it is the name and version of its distribution. Of any other module it
is a hash of its source, of the sources of the modules beside it that it imports, and so on. The
class that every optimizer derives from, and descentlab's own modules, are left out: they decide
the results of the laboratory's own methods as well, whose ids do not hold them either.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from descentlab.errors import ConfigError

INSTALLED = [Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib", "stdlib")]
_BASE = ("torch.optim.optimizer", "builtins", "abc", "typing")
HASH_LENGTH = 16


@cache  # of the code that this process has imported, whatever becomes of the file
def fingerprint(kind: type) -> str:
    """Say what the code of an imported class is.

    Raises:
        ConfigError: for a class whose code is in no file.

    >>> fingerprint(importlib.metadata.PathDistribution).startswith("python 3.")
    True
    """
    names = [base.__module__ for base in kind.__mro__ if base.__module__ not in _BASE]
    parts: list[str] = []
    own: dict[str, Path] = {}
    for name in names:
        file = _file_of(name)
        if file is None:
            raise ConfigError(
                f"{kind.__module__}:{kind.__name__}: its code is in no file, so nobody can tell "
                "when it changes; put the class into a module"
            )
        if _is_own(name, file):
            own |= _with_imports(name, file)
        else:
            parts.append(_distribution(name.partition(".")[0]))
    if own:
        digest = hashlib.sha256()
        for name, file in sorted(own.items()):
            source = file.read_bytes()
            digest.update(f"{name} {len(source)}\n".encode() + source)
        parts.insert(0, f"sha256 {digest.hexdigest()[:HASH_LENGTH]}")
    return ", ".join(dict.fromkeys(parts))


def source_folder(kind: type) -> str | None:
    """The folder from which a class's module can be imported, unless it is an installed one."""
    file = _file_of(kind.__module__)
    if file is None or not _is_own(kind.__module__, file):
        return None
    depth = kind.__module__.count(".") + (file.name == "__init__.py")
    return str(file.parents[depth])


def _file_of(module: str) -> Path | None:
    file = getattr(sys.modules.get(module), "__file__", None)
    return Path(file).resolve() if file and Path(file).is_file() else None


def _is_own(module: str, file: Path) -> bool:
    """Whether a module is the user's, whose source may change from day to day."""
    if module.partition(".")[0] == "descentlab":
        return False
    return file.suffix == ".py" and not any(file.is_relative_to(each) for each in INSTALLED)


def _with_imports(module: str, file: Path) -> dict[str, Path]:
    """A module and those of the user's that it imports, with their files."""
    found: dict[str, Path] = {}
    waiting = [(module, file)]
    while waiting:
        name, path = waiting.pop()
        if name in found:
            continue
        found[name] = path
        for imported in _imports(name, path):
            other = _file_of(imported)
            if other is not None and _is_own(imported, other):
                waiting.append((imported, other))
    return found


def _imports(module: str, file: Path) -> Iterator[str]:
    """What a module may import, by full name; of ``from a import b`` both a and a.b."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    yield package
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            relative = "." * node.level + (node.module or "")
            name = importlib.util.resolve_name(relative, package) if node.level else relative
            yield name
            yield from (f"{name}.{each.name}" for each in node.names)


@cache
def _distribution(package: str) -> str:
    """Name and version of what a package was installed with."""
    if package in sys.stdlib_module_names:
        return f"python {sys.version_info.major}.{sys.version_info.minor}"
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        names = importlib.metadata.packages_distributions().get(package, [])
        versions = [f"{name} {importlib.metadata.version(name)}" for name in sorted({*names})]
        return ", ".join(versions) or f"{package} of no known version"
