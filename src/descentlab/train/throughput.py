"""How fast a run trains, what share of the hardware that is, and how much memory it takes.

    model FLOP utilisation = tokens per second · operations per token / peak operations per second

with the operations that the model asks for (``ModelSpec.training_flops``), so that computing
something twice does not count (Chowdhery et al. 2022, PaLM, Appendix B).
"""

from __future__ import annotations

import functools
import re
import resource
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F

from descentlab.model.projection import Project, onednn_is_faster, product
from descentlab.runs.records import Value
from descentlab.train.computation import Computation, computation
from descentlab.train.loop import pick_device
from descentlab.train.spec import RunSpec

GPU_PEAKS = {
    "H100 PCIe": (756e12, 378e12, 51e12),
    "H100 NVL": (835e12, 418e12, 60e12),
    "H100": (989.4e12, 494.7e12, 66.9e12),
    "H200": (989.4e12, 494.7e12, 66.9e12),
    "A100": (312e12, 156e12, 19.5e12),
    "L40S": (362e12, 183e12, 91.6e12),
    "L4": (121e12, 60e12, 30.3e12),
}
"""Operations per second on dense matrices in bfloat16, TF32 and float32, from the data sheets
of NVIDIA; by words of the device's name, the longer first."""


class Meter:
    """Adds up the timing records of a run's steps."""

    def __init__(self) -> None:
        self._seconds: list[float] = []
        self._tokens: list[float] = []
        self._step = 0

    def add(self, record: Mapping[str, Value]) -> None:
        """Take in a record with ``step``, ``seconds`` and ``tokens_per_second``."""
        seconds = float(record["seconds"])
        self._step = int(record["step"])
        self._seconds.append(seconds)
        self._tokens.append(seconds * float(record["tokens_per_second"]))

    def summary(self, spec: RunSpec, processes: int = 1) -> dict[str, Value] | None:
        """Return one record for all steps, None if there were none.

        ``tokens_per_second`` is of the median step and ``start_seconds`` is what the first
        took beyond it, compiling above all. ``mfu`` is of all processes' devices, and left
        out where the peak is not known; the memory is this process's.
        """
        if not self._seconds:
            return None
        device = pick_device(spec)
        middle = statistics.median(self._seconds)
        rate = statistics.median(self._tokens) / middle
        summary: dict[str, Value] = {
            "step": self._step,
            "seconds": sum(self._seconds),
            "summary": True,
            "tokens_per_second": rate,
            "start_seconds": max(0.0, self._seconds[0] - middle),
            "peak_memory_bytes": peak_memory(device),
        }
        operations = rate * spec.model.training_flops(spec.data.sequence_length)
        summary["flops_per_second"] = operations
        if (peak := peak_flops(computation(spec, device), device)) is not None:
            peak *= processes
            summary |= {"peak_flops_per_second": peak, "mfu": operations / peak}
        return summary


def peak_memory(device: torch.device) -> int:
    """Return the most bytes that this process held: of the GPU, or resident on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.exists():  # getrusage counts what the process was before exec as well
        match = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE)
        if match is not None:
            return 1024 * int(match[1])
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else 1024 * used


def peak_flops(how: Computation, device: torch.device) -> float | None:
    """Return the operations per second of large matrix products in a run's types.

    Measured on a CPU, with the threads that torch has now; from a table for a GPU, and
    None for one that is not in it.
    """
    low = how.precision != "float32"
    if device.type == "cpu":
        return _measured_peak(torch.bfloat16 if low else torch.float32, torch.get_num_threads())
    return gpu_peak(torch.cuda.get_device_name(device), low=low, tf32=how.tf32)


def gpu_peak(name: str, *, low: bool, tf32: bool) -> float | None:
    """Look a GPU up by name.

    >>> gpu_peak("NVIDIA H100 80GB HBM3", low=True, tf32=False)
    989400000000000.0
    >>> gpu_peak("NVIDIA GeForce RTX 4090", low=True, tf32=False)
    """
    for words, (bfloat16, tensor_float32, float32) in GPU_PEAKS.items():
        if re.search(rf"\b{words}\b", name):
            return bfloat16 if low else tensor_float32 if tf32 else float32
    return None


@functools.cache
def _measured_peak(dtype: torch.dtype, threads: int) -> float:
    """The best of a few products of 5·10⁸ operations, for some 30 ms."""
    x, weight = torch.ones(1024, 512, dtype=dtype), torch.ones(512, 512, dtype=dtype)
    ways: list[Project] = [F.linear]
    if dtype == torch.float32 and onednn_is_faster():
        ways.append(product)
    best = 0.0
    for project in ways:
        for _ in range(5):
            began = time.perf_counter()
            project(x, weight)
            best = max(best, 2 * x.numel() * len(weight) / (time.perf_counter() - began))
    return best
