"""How fast a run trains, what share of the hardware that is, and how much memory it takes.

    model FLOP utilisation = tokens per second · FLOPs per token / peak FLOPs per second

with the FLOPs that the model asks for (``ModelSpec.training_flops``), so that computing
something twice does not count (Chowdhery et al. 2022, PaLM, Appendix B).
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping

import torch

from descentlab.runs.records import Value
from descentlab.train.loop import pick_device
from descentlab.train.memory import peak_memory
from descentlab.train.peak import peak_flops
from descentlab.train.spec import RunSpec


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
            "peak_memory_bytes": peak_memory(device.type),
        }
        summary["flops_per_second"] = flops_per_second(spec, rate)
        if (peak := peak_for(spec, device)) is not None:
            peak *= processes
            summary |= {
                "peak_flops_per_second": peak,
                "mfu": flops_per_second(spec, rate) / peak,
            }
        return summary


def flops_per_second(spec: RunSpec, tokens_per_second: float) -> float:
    """Return what the model asks for at a rate of training."""
    return tokens_per_second * spec.model.training_flops(spec.data.sequence_length)


def peak_for(spec: RunSpec, device: torch.device) -> float | None:
    """Return the device's most FLOP/s in the types of a run's matrix products, if known."""
    return peak_flops(device, low=spec.precision != "float32", tf32=spec.execution.tf32)
