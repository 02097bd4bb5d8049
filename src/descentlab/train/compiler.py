"""Whether ``torch.compile`` works here, and where compiled programs are kept.

For a CPU it writes C++ against Python's and OpenMP's headers. For a GPU it needs Triton.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import sysconfig
import tempfile
from contextlib import suppress
from pathlib import Path

import torch

from descentlab.config import cache_folder

VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
PROGRAM = """
#include <Python.h>
#include <omp.h>
int threads() { return PyLong_Check(Py_None) + omp_get_max_threads(); }
"""


def why_not(device: torch.device) -> str | None:
    """Why nothing can be compiled for a device; None if it can."""
    if device.type == "cuda":
        from torch.utils._triton import has_triton

        return None if has_triton() else "there is no Triton for this GPU"
    return _why_no_cpp(os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++"))


@functools.cache
def _why_no_cpp(compiler: str) -> str | None:
    """Compile what torch's programs need: C++, Python's headers, OpenMP."""
    include = sysconfig.get_path("include")
    flags = ["-x", "c++", "-", "-shared", "-fPIC", "-fopenmp", f"-I{include}"]
    if sys.platform == "darwin":
        flags += ["-undefined", "dynamic_lookup"]
    with tempfile.TemporaryDirectory() as folder:
        command = [compiler, *flags, "-o", str(Path(folder) / "probe.so")]
        try:
            done = subprocess.run(command, input=PROGRAM, text=True, capture_output=True)
        except OSError as error:
            return (
                f"no C++ compiler ({compiler}: {error.strerror}); install g++ or name one in $CXX"
            )
    if done.returncode == 0:
        return None
    complaint = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[0]
    return f"the C++ compiler {compiler} does not serve ({complaint}); name another in $CXX"


def keep_compiled() -> None:
    """Keep compiled programs in the user's cache, for all processes to come.

    A folder that ``$TORCHINDUCTOR_CACHE_DIR`` names stays, unless torch has put its own
    there; so does torch's own where the user's cache cannot be written.
    """
    named = Path(os.environ.get(VARIABLE, ""))
    by_torch = named.name.startswith("torchinductor_") and named.parent == Path(
        tempfile.gettempdir()
    )
    if VARIABLE in os.environ and not by_torch:
        return
    folder = cache_folder() / "compiled"
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            os.environ[VARIABLE] = str(folder)


def forget_others(program: object) -> None:
    """Drop what this process has compiled for other programs than this one.

    torch keeps eight variants of a function and computes any further one uncompiled, which
    would give other bits in a process that trains many runs than in one of its own.
    """
    global _kept
    if _kept not in (None, program):
        torch.compiler.reset()
    _kept = program


_kept: object = None
"""What ``forget_others`` was last told."""
