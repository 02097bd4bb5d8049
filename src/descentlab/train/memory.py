"""The most memory that this process has held for a run. Free of torch without a GPU."""

from __future__ import annotations

import re
import resource
import sys
from contextlib import suppress
from pathlib import Path


def forget_peak() -> None:
    """Count from here on, where the system allows it: a process may train one run after another."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets VmHWM
    if "torch" in sys.modules:
        import torch

        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()


def peak_memory(device: str) -> int:
    """Return bytes: of the GPU for ``cuda``, else resident.

    Args:
        device: its type, as torch names it.
    """
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.exists():  # getrusage counts what the process was before exec as well
        match = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE)
        if match is not None:
            return 1024 * int(match[1])
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else 1024 * used
