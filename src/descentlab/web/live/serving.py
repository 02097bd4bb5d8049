"""Serves the live view of a store to browsers on this machine, until it is stopped."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable

import uvicorn

from descentlab.errors import ConfigError, StorageError
from descentlab.runs.store import Store
from descentlab.web.live.app import live_app
from descentlab.web.live.live_store import LiveStore

HOST = "127.0.0.1"
"""The only address to listen on: whoever has an account elsewhere comes by ssh."""
NEXT_PORTS = 50
"""To look among for a free one."""


def listen(port: int) -> socket.socket:
    """Take a port of this machine.

    Args:
        port: 0 for any that is free.

    Raises:
        ConfigError: if it is no port, is in use, or may not be taken.
    """
    if not 0 <= port <= 65535:
        raise ConfigError(f"port: got {port}; 0 for any free one, or 1 to 65535")
    try:
        return _bound(port)
    except OSError as error:
        if error.errno == errno.EACCES:
            raise ConfigError(f"port: {port} needs root; choose one from 1024 on") from None
        if error.errno != errno.EADDRINUSE:
            raise StorageError(f"port {port}: cannot be listened on ({error.strerror})") from None
    raise ConfigError(f"port: {port} is in use; try --port {_free_after(port)}")


def _bound(port: int) -> socket.socket:
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((HOST, port))
        found.listen(128)
    except BaseException:
        found.close()
        raise
    return found


def _free_after(port: int) -> int:
    """The next port that is free, at this moment."""
    for each in [*range(port + 1, min(port + NEXT_PORTS, 65536)), 0]:
        try:
            with _bound(each) as found:
                return int(found.getsockname()[1])
        except OSError:
            continue
    raise ConfigError(f"port: {port} is in use, and so are all others that were tried")


def serve_live(store: Store, listening: socket.socket, ready: Callable[[str], None]) -> None:
    """Serve the live view until a signal asks to stop.

    Args:
        store: to show.
        listening: from ``listen``; it is closed at the end.
        ready: told the address once it is served.

    Raises:
        Interrupted: after the signal; all connections are closed.
    """
    port = int(listening.getsockname()[1])
    server: uvicorn.Server
    app = live_app(LiveStore(store), port=port, closing=lambda: server.should_exit)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="error",
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=2,
        )
    )
    with listening:
        ready(f"http://{HOST}:{port}/")
        asyncio.run(server.serve(sockets=[listening]))
