"""The machine and software that a run was computed with, and settings of the process.

Equal bits on a CPU need the same torch build, instruction set, thread count and way to
compute an update, so all of them are put on record. No variable of the environment is.
"""

from __future__ import annotations

import ctypes
import platform
import sys
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from descentlab import __version__
from descentlab.optim.implementations import native
from descentlab.train.computation import computation
from descentlab.train.loop import pick_device
from descentlab.train.memory import forget_peak
from descentlab.train.spec import RunSpec

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt(3)


THREADS = torch.get_num_threads()
"""As many as torch takes by itself."""


def set_up_process(spec: RunSpec) -> None:
    """Set the thread count and the rounding of float32, and count memory from here on.

    Whatever an earlier run of this process has set is set again.
    """
    torch.set_num_threads(spec.execution.threads or THREADS)
    if torch.cuda.is_available():
        torch.set_float32_matmul_precision("high" if spec.execution.tf32 else "highest")
    _keep_freed_memory()
    forget_peak()


def _keep_freed_memory() -> None:
    """Let glibc reuse big buffers instead of returning them to the system at every step."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.malloc_trim(0)  # what an earlier run of this process has left
        libc.mallopt(M_MMAP_THRESHOLD, 32 * 2**20)  # the largest that glibc takes
        libc.mallopt(M_TRIM_THRESHOLD, 2**30)


DECISIVE = (
    "descentlab",
    "torch",
    "processor",
    "instruction_set",
    "threads",
    "device",
    "compiled_optimizers",
    "micro_batch",
    "processes",
    "parallelism",
    "compiled",
    "attention",
    "projection",
    "activation_checkpointing",
    "loss_chunk",
    "tf32",
)
"""What decides the bits, of all that is on record."""


def fingerprint(spec: RunSpec, processes: int = 1) -> dict[str, Any]:
    """Return what must be the same for a run to go on to the same bits."""
    whole = environment(spec, processes)
    return {name: whole[name] for name in DECISIVE}


def environment(spec: RunSpec, processes: int = 1) -> dict[str, Any]:
    """Return what an exact repetition would have to match."""
    device = pick_device(spec)
    how = computation(spec, device)
    return {
        "descentlab": __version__,
        "python": sys.version.split()[0],
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "platform": platform.platform(),
        "processor": platform.machine(),
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "compiled_optimizers": device.type == "cpu" and native.available(),
        "micro_batch": spec.micro_batch,
        "processes": processes,
        "parallelism": spec.execution.parallelism if processes > 1 else None,
        **asdict(how),
    }
