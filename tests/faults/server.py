"""A process under the shim that forks others: each is started, watched and told apart by it.

What a run needs is imported once, so that a process that is killed costs a tenth of a second.
Its arguments are functions to call before the first.
It answers one line of JSON with another; ``forks.py`` is the other end.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

import torch

from descentlab.errors import DescentError

NOTHING = 0, 0, 0
"""Faults: watch alone."""


def found(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def fork(request: dict[str, Any]) -> int:
    """Start a process; it leaves with the exit code that ``descent`` would leave with."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        null = os.open(os.devnull, os.O_RDONLY)
        said = os.open(request["said"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for handle, source in ((0, null), (1, said), (2, said)):
            os.dup2(source, handle)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        for bug in request["bugs"]:
            found(bug)()
        if request["folder"]:
            mode, nth, error = request["fault"] or NOTHING
            denied = request["denied"].encode()
            folder, log = request["folder"].encode(), request["log"].encode()
            ctypes.CDLL(None).arm(folder, log, mode, ctypes.c_long(nth), error, denied)
        code = found(request["target"])(*request["arguments"]) or 0
    except DescentError as error:
        print(f"error: {error}", file=sys.stderr)
        code = error.exit_code
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def wait(pid: int) -> dict[str, Any]:
    _, status = os.waitpid(pid, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        return {"stopped": True, "code": None}
    return {"stopped": False, "code": os.waitstatus_to_exitcode(status)}


def main() -> None:
    torch.set_num_threads(1)
    for name in sys.argv[1:]:
        found(name)()
    gc.collect()
    gc.freeze()  # or each fork's collections would copy what all share
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        answer = wait(request["wait"]) if "wait" in request else {"pid": fork(request)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
