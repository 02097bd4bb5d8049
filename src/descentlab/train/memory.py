"""The most memory that this process has held. Free of torch but where a GPU is asked about."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path


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
