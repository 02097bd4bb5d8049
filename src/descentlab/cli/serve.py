"""``descent serve``: a page on a store that changes with it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import tyro

from descentlab.errors import ConfigError, Interrupted

LOOPBACK = ("127.0.0.1", "localhost")


def serve(
    store: Annotated[Path, tyro.conf.Positional],
    *,
    port: int = 8765,
    host: str = "127.0.0.1",
    open: bool = False,
) -> None:
    """Show a store in the browser while it changes: progress, curves, races, failures.

    The page is for browsers on this machine alone, and only reads. From elsewhere, come by ssh:
    ssh -L 8765:127.0.0.1:8765 MACHINE, and open the same address there. Ctrl-C ends it; nothing
    that is being trained minds.

    Args:
        store: the folder of runs.
        port: of this machine; 0 takes any that is free.
        host: 127.0.0.1; no other is allowed.
        open: open it in the browser.
    """
    if host not in LOOPBACK:
        raise ConfigError(
            f"host: got {host}; the page is for browsers on this machine alone, so it is "
            f"127.0.0.1. From elsewhere: ssh -L {port}:127.0.0.1:{port} THIS_MACHINE"
        )
    from descentlab.runs.store import Store
    from descentlab.web.live.serving import listen, serve_live

    opened = Store(store)

    def ready(address: str) -> None:
        print(f"{address} shows {store} until Ctrl-C", flush=True)
        if open:
            import webbrowser

            webbrowser.open(address)

    try:
        serve_live(opened, listen(port), ready)
    except Interrupted:
        print("stopped", file=sys.stderr)
