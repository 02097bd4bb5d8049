"""A hub on this machine: as much of Hugging Face's as reading a repository takes."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import unquote

Files = Mapping[str, bytes]


class Hub:
    """Repositories, each with its commits, of which the last one is the branch main.

    Attributes:
        models, datasets: by ``owner/name``, a list of commits as (hash, files).
    """

    def __init__(self) -> None:
        self.models: dict[str, list[tuple[str, Files]]] = {}
        self.datasets: dict[str, list[tuple[str, Files]]] = {}
        self.asked: list[str] = []

    def find(self, path: str) -> tuple[str, str, Files, str] | None:
        """The repository, commit, files and remaining path of an address."""
        kind, path = ("datasets", path[10:]) if path.startswith("/datasets/") else ("models", path)
        repositories = getattr(self, kind)
        owner, name, verb, revision, *rest = [*path.strip("/").split("/"), "", "", ""]
        commits = repositories.get(f"{owner}/{name}")
        if not commits or verb not in ("resolve", "tree", "revision"):
            return None
        known = dict(commits)
        commit = commits[-1][0] if revision == "main" else revision
        if commit not in known:
            return None
        return f"{owner}/{name}", commit, known[commit], "/".join(filter(None, rest))


def _handler(hub: Hub) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = unquote(self.path.partition("?")[0])
            hub.asked.append(path)
            api = path.startswith("/api/")
            found = hub.find(path.removeprefix("/api").replace("/models/", "/"))
            if found is None:
                self._reply(404, b"", {"X-Error-Code": "RepoNotFound"})
            elif not api:
                self._file(*found[1:])
            elif "/tree/" in path:
                self._json(_tree(found[2], found[3]))
            else:
                self._json({"id": found[0], "sha": found[1], "tags": [], "siblings": []})

        def do_HEAD(self) -> None:
            self.do_GET()

        def _file(self, commit: str, files: Files, name: str) -> None:
            headers = {"X-Repo-Commit": commit}
            if name not in files:
                self._reply(404, b"", {**headers, "X-Error-Code": "EntryNotFound"})
                return
            content, code = files[name], 200
            headers["ETag"] = f'"{hashlib.sha1(content).hexdigest()}"'
            if wanted := self.headers.get("Range"):
                first, last = (int(each or len(content)) for each in wanted[6:].split("-"))
                last = min(last, len(content) - 1)
                headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
                content, code = content[first : last + 1], 206
            self._reply(code, content, headers)

        def _json(self, answer: object) -> None:
            self._reply(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

        def _reply(self, code: int, content: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    return Handler


def _tree(files: Files, folder: str) -> list[dict[str, object]]:
    """What lies in a folder."""
    inside = [name for name in files if not folder or name.startswith(f"{folder}/")]
    found: dict[str, dict[str, object]] = {}
    for name in inside:
        part = name.removeprefix(folder).strip("/").partition("/")[0]
        path = f"{folder}/{part}".strip("/")
        kind = "file" if path == name else "directory"
        found[path] = {"type": kind, "path": path, "oid": "1" * 40}
        found[path] |= {"size": len(files[name])} if kind == "file" else {}
    return list(found.values())


@contextmanager
def serving(hub: Hub) -> Iterator[str]:
    """Serve a hub until the end of the block, and give its address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
