"""The most operations per second that a device has: measured on a CPU, looked up for a GPU."""

from __future__ import annotations

import functools
import re
import time

import torch
import torch.nn.functional as F

from descentlab.model.projection import Project, onednn_is_faster, product

GPU_PEAKS = {
    "H100 PCIe": (756e12, 378e12, 51e12),
    "H100 NVL": (835e12, 418e12, 60e12),
    "H100": (989.4e12, 494.7e12, 66.9e12),
    "H200": (989.4e12, 494.7e12, 66.9e12),
    "A100": (312e12, 156e12, 19.5e12),
    "L40S": (362e12, 183e12, 91.6e12),
    "L4": (121e12, 60e12, 30.3e12),
}
"""FLOP/s of dense matrices in bfloat16, TF32 and float32, from NVIDIA's data sheets; by words of
the device's name, the longer first."""
GAIN = 1.2
"""What bfloat16 products must gain over float32 ones to be worth their rounding."""


def peak_flops(device: torch.device, *, low: bool, tf32: bool = False) -> float | None:
    """Return the FLOP/s of large matrix products.

    Measured on a CPU, with the threads that torch has now; None for a GPU that is not in
    the table.

    Args:
        device: where they are computed.
        low: of bfloat16 factors, rather than float32.
        tf32: of float32 factors that a GPU rounds to TF32.
    """
    if device.type == "cpu":
        return _measured(torch.bfloat16 if low else torch.float32, torch.get_num_threads())
    return gpu_peak(torch.cuda.get_device_name(device), low=low, tf32=tf32)


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


def bfloat16_pays(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 faster than float32; measured on a CPU.

    Processors without such instructions take several times longer instead.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    threads = torch.get_num_threads()
    return _measured(torch.bfloat16, threads) > GAIN * _measured(torch.float32, threads)


@functools.cache
def _measured(dtype: torch.dtype, threads: int) -> float:
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
