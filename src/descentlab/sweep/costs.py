"""What a study's runs will take: how many there are, how long on so many workers, what disk."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from typing import Any

from descentlab.runs.checkpoints import KEEP
from descentlab.runs.records import encode_record

STATES = ("done", "running", "failed", "interrupted", "pending")
"""In the order of a plan's columns."""
SMALL_FILES = 2_500
"""Bytes of a run's spec, result, environment and summary."""


def time_on_workers(seconds: Iterable[float], workers: int) -> float:
    """When the last run ends, if each worker takes the next in order as soon as it is free.

    >>> time_on_workers([3, 3, 2, 2], 2), time_on_workers([], 2)
    (5.0, 0.0)
    """
    ends = [0.0] * workers
    for each in seconds:
        heapq.heapreplace(ends, ends[0] + each)
    return max(ends)


def record_bytes(settings: Mapping[str, Any]) -> int:
    """About how many bytes a run leaves for good, checkpoints and probes apart.

    Args:
        settings: of the run.
    """
    training = settings["training"]
    every = training["evaluate_every"]
    evaluations = -(-training["steps"] // every) if every else 1
    number = 1.2345678901234567
    each = {"loss": number, "lr": number, "gradient_norm": number, "clipped": True}
    step = len(encode_record({"step": training["steps"], **each, "batch": "0" * 16}))
    step += len(encode_record({"step": 1, "seconds": number, "tokens_per_second": number}))
    looked = {"validation_loss": number, "validation_perplexity": number}
    evaluation = len(encode_record({"step": training["steps"], **looked}))
    return SMALL_FILES + step * training["steps"] + evaluation * evaluations


def checkpoint_bytes(settings: Mapping[str, Any], parameters: int) -> int:
    """The most that a run's checkpoints hold at a time: weights and two averages, in float32.

    Args:
        settings: of the run.
        parameters: of its model; shadow optimizers have averages of their own.
    """
    shadows = len((settings.get("probes") or {}).get("shadows", ()))
    return KEEP * 4 * parameters * (3 + 2 * shadows)
