"""A second signal ends the program within a second, whatever it is doing.

Python runs its signal handlers between two of its own instructions, and one of them may be
the backward pass of a big model. The number of a signal is written to a file descriptor at
once, though, and a thread can read it there, since torch computes without Python's lock.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

GRACE_SECONDS = 0.8
"""How long the program may take to end by itself."""
STOPPING = (signal.SIGINT, signal.SIGTERM)
SHOW_CURSOR = "\x1b[?25h"


def leave_at_second_signal() -> None:
    """Watch for the second of INT and TERM, from now on; for the main thread."""
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(readable,), daemon=True).start()


def _watch(readable: int) -> None:
    seen: list[int] = []
    while len(seen) < 2:
        seen += [number for number in os.read(readable, 1) if number in STOPPING]
    time.sleep(GRACE_SECONDS)
    if sys.stderr.isatty():
        os.write(sys.stderr.fileno(), SHOW_CURSOR.encode())
    os._exit(128 + seen[-1])
