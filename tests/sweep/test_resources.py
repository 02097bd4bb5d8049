from __future__ import annotations

import pytest

from descentlab.config import build
from descentlab.errors import ConfigError
from descentlab.sweep import resources
from descentlab.sweep.resources import Resources, gpus_here, memory_here, room


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """Eight cores, three GPUs, 64 GB."""
    monkeypatch.setattr(resources, "usable_cores", lambda: 8)
    monkeypatch.setattr(resources, "memory_here", lambda: 64 * 10**9)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")


@pytest.mark.parametrize(
    ("asked", "workers", "count"),
    [
        ({}, None, 8),
        ({}, 20, 20),
        ({"cores": 3}, None, 2),
        ({"cores": 3}, 5, 5),
        ({"memory": 10}, None, 6),
        ({"memory": 10}, 20, 6),
        ({"memory": 10, "cores": 2}, None, 4),
        ({"gpus": 1}, None, 3),
        ({"gpus": 3}, None, 1),
        ({"gpus": 2}, None, 1),
        ({"gpus": 0.5}, None, 6),
        ({"gpus": 0.3}, 20, 9),
        ({"gpus": 0.1}, 100, 30),
        ({"gpus": 0.6}, None, 3),
    ],
)
def test_as_many_runs_at_once_as_cores_memory_and_gpus_allow(asked, workers, count):
    assert len(room(Resources(**asked), workers)) == count


@pytest.mark.parametrize(("gpus", "each"), [(0.25, 4), (0.3, 3), (0.6, 1), (1, 1)])
def test_no_gpu_is_given_more_than_once_over(gpus, each):
    places = [gpu for gpus_of_run in room(Resources(gpus=gpus), 100) for gpu in gpus_of_run]
    assert {gpu: places.count(gpu) for gpu in places} == {"0": each, "1": each, "2": each}


def test_few_runs_are_spread_over_the_gpus():
    assert room(Resources(gpus=0.25), 3) == [("0",), ("1",), ("2",)]


def test_a_run_may_have_several_gpus(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    assert room(Resources(gpus=2)) == [("4", "5"), ("6", "7")]


def test_without_a_word_about_gpus_none_are_divided(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert room(Resources()) == [()] * 8


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"cores": 9}, "cores: a run asks for 9, and this machine has 8"),
        ({"memory": 65}, "memory: a run asks for 65 GB, and this machine has 64.0"),
        ({"gpus": 4}, "gpus: a run asks for 4, and this machine shows 3"),
    ],
)
def test_a_run_that_does_not_fit_is_refused(asked, message):
    with pytest.raises(ConfigError, match=message):
        room(Resources(**asked))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"gpus": 1.5}, "whole, or as one share below 1"),
        ({"gpus": -1}, "gpus: Expected `?float`? >= 0"),
        ({"cores": 0}, "cores: Expected"),
        ({"memory": 0}, "memory: Expected"),
        ({"memroy": 1}, "did you mean memory"),
    ],
)
def test_what_is_not_allowed_is_said(asked, message):
    with pytest.raises(ConfigError, match=message):
        build(Resources, asked, where="here")


@pytest.mark.parametrize(
    ("named", "seen"),
    [
        ("", ()),
        ("-1", ()),
        ("2,0", ("2", "0")),
        ("1,-1,0", ("1",)),
        ("GPU-1, MIG-2", ("GPU-1", "MIG-2")),
    ],
)
def test_gpus_are_those_that_cuda_would_see(monkeypatch, named, seen):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert gpus_here() == seen


def test_gpus_are_counted_by_their_driver(monkeypatch, tmp_path):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus_here() == ()
    driver = tmp_path / "nvidia-smi"
    driver.write_text(
        "#!/bin/sh\necho 'GPU 0: A100 (UUID: GPU-a)'\necho 'GPU 1: A100 (UUID: GPU-b)'"
    )
    driver.chmod(0o755)
    assert gpus_here() == ("0", "1")


def test_a_containers_limit_is_its_memory(monkeypatch, tmp_path):
    everything = memory_here()
    limit, none = tmp_path / "limit", tmp_path / "none"
    limit.write_text("1000000000\n")
    none.write_text("max\n")
    monkeypatch.setattr(resources, "CGROUP_LIMITS", (none, tmp_path / "missing"))
    assert memory_here() >= everything > 10**9
    monkeypatch.setattr(resources, "CGROUP_LIMITS", (none, limit))
    assert memory_here() == 10**9
