"""Rates, utilisation and memory, from made-up steps and from real ones."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch

from descentlab.train import throughput
from descentlab.train.peak import bfloat16_pays, gpu_peak, peak_flops
from descentlab.train.spec import RunSpec
from descentlab.train.throughput import Meter

CPU = torch.device("cpu")
Make = Callable[..., RunSpec]


def test_summary_is_of_the_median_step(tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "peak_flops", lambda device, low, tf32: 1e9)
    meter, spec = Meter(), tiny()
    for step, seconds in enumerate([9.0, 0.5, 0.25, 0.75, 0.5], start=3):
        meter.add({"step": step, "seconds": seconds, "tokens_per_second": 80 / seconds})
    summary = meter.summary(spec)
    assert summary is not None
    memory = summary.pop("peak_memory_bytes")
    assert isinstance(memory, int)
    flops = 160 * spec.model.training_flops(16)
    assert summary == {
        "summary": True,
        "step": 7,
        "seconds": 11.0,
        "tokens_per_second": 160.0,
        "start_seconds": 8.5,
        "flops_per_second": flops,
        "peak_flops_per_second": 1e9,
        "mfu": pytest.approx(flops / 1e9),
    }


def test_no_steps_have_no_summary_and_no_peak_no_utilisation(
    tiny: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Meter().summary(tiny()) is None
    monkeypatch.setattr(throughput, "peak_flops", lambda device, low, tf32: None)
    meter = Meter()
    meter.add({"step": 1, "seconds": 1.0, "tokens_per_second": 80.0})
    summary = meter.summary(tiny())
    assert summary is not None
    assert not {"mfu", "peak_flops_per_second"} & set(summary)


ALLOCATES = """
import sys
from descentlab.train.memory import peak_memory
before = peak_memory("cpu")
block = b"1" * int(sys.argv[1])
del block
print(peak_memory("cpu") - before)
"""


def test_peak_memory_is_in_bytes_and_remembers_what_was_freed() -> None:
    size = 300_000_000
    command = [sys.executable, "-c", ALLOCATES, str(size)]
    grown = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert grown == pytest.approx(size, rel=0.1)


REPEATS = """
import json, sys
from descentlab.train.environment import set_up_process
from descentlab.train.memory import peak_memory
from descentlab.train.spec import run_spec
import torch
own = torch.get_num_threads()
settings = json.loads(sys.argv[1])
set_up_process(run_spec({**settings, "execution": {"threads": own + 1}}, where="test"))
before = peak_memory("cpu")
block = torch.ones(100_000_000)
del block
print(peak_memory("cpu") - before, torch.get_num_threads() - own)
set_up_process(run_spec({**settings, "execution": {}}, where="test"))
print(peak_memory("cpu") - before, torch.get_num_threads() - own)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count from the first run on")
def test_a_process_counts_memory_and_threads_for_each_run_anew(settings: dict[str, Any]) -> None:
    command = [sys.executable, "-c", REPEATS, json.dumps(settings)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    first, threads, second, more = map(int, said)
    assert first == pytest.approx(4e8, rel=0.1)
    assert threads == 1
    assert second < 1e8
    assert more == 0


@pytest.mark.parametrize(
    ("name", "low", "tf32", "teraflops"),
    [
        ("NVIDIA H100 80GB HBM3", True, False, 989.4),
        ("NVIDIA H100 PCIe", True, False, 756),
        ("NVIDIA A100-SXM4-80GB", True, False, 312),
        ("NVIDIA A100-PCIE-40GB", False, True, 156),
        ("NVIDIA A100-PCIE-40GB", False, False, 19.5),
        ("NVIDIA L40S", True, False, 362),
        ("NVIDIA L4", False, False, 30.3),
        ("NVIDIA L40", True, False, None),
        ("Tesla T4", True, False, None),
    ],
)
def test_gpus_are_known_by_their_names(
    name: str, low: bool, tf32: bool, teraflops: float | None
) -> None:
    expected = None if teraflops is None else teraflops * 1e12
    assert gpu_peak(name, low=low, tf32=tf32) == expected


def test_a_processors_peak_is_measured_for_each_type() -> None:
    float32, bfloat16 = (peak_flops(CPU, low=low) for low in (False, True))
    assert float32 is not None
    assert bfloat16 is not None
    assert 1e8 < float32 < 1e14
    assert bfloat16_pays(CPU) is (bfloat16 > 1.2 * float32)
