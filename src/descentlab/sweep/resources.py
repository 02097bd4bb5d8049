"""What a run is given, and how many runs this machine has room for at once."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import msgspec

from descentlab.config import NonNegative, Positive
from descentlab.errors import ConfigError
from descentlab.processes import usable_cores

Gpus = tuple[str, ...]
"""What CUDA calls them, as in CUDA_VISIBLE_DEVICES; empty where a run was given none."""

VISIBLE = "CUDA_VISIBLE_DEVICES"
CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


class Resources(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What each run of a sweep is given."""

    cores: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 1
    gpus: NonNegative = 0.0
    """A whole number, or a share below 1: with 0.25, four runs are on each GPU. With 0, nothing
    is said about GPUs."""
    memory: Positive | None = None
    """Gigabytes, of 10⁹ bytes."""

    def __post_init__(self) -> None:
        if self.gpus > 1 and not float(self.gpus).is_integer():
            raise ValueError("GPUs are given whole, or as one share below 1")

    @property
    def whole_gpus(self) -> int:
        """How many GPUs a run can see."""
        return max(1, int(self.gpus)) if self.gpus else 0

    @property
    def runs_per_gpu(self) -> int:
        """How many runs share a GPU, or 1."""
        return int(1 / self.gpus + 1e-9) if 0 < self.gpus < 1 else 1


def room(resources: Resources, workers: int | None = None) -> list[Gpus]:
    """Divide this machine among as many runs as fit at once, and say which GPUs each may use.

    Args:
        resources: what each run is given.
        workers: at most so many; by default as many as the cores allow.

    Raises:
        ConfigError: if not even one run fits.
    """
    cores = usable_cores()
    if workers is None and resources.cores > cores:
        raise ConfigError(
            f"cores: a run asks for {resources.cores}, and this machine has {cores}; ask for "
            "fewer, or give --workers to run so many at once all the same"
        )
    count = workers or cores // resources.cores
    if resources.memory is not None:
        count = min(count, int(memory_here() / 1e9 / resources.memory))
        if count == 0:
            raise ConfigError(
                f"memory: a run asks for {resources.memory:g} GB, and this machine has "
                f"{memory_here() / 1e9:.1f}; ask for less"
            )
    if not resources.gpus:
        return [()] * count
    names, each = gpus_here(), resources.whole_gpus
    groups = [names[first : first + each] for first in range(0, len(names) - each + 1, each)]
    if not groups:
        raise ConfigError(
            f"gpus: a run asks for {resources.gpus:g}, and this machine shows {len(names)}; ask "
            f"for fewer, or name them in {VISIBLE}"
        )
    count = min(count, len(groups) * resources.runs_per_gpu)
    return [groups[number % len(groups)] for number in range(count)]


def gpus_here() -> Gpus:
    """The GPUs that this process may use, without asking torch for them."""
    named = os.environ.get(VISIBLE)
    if named is not None:
        names = [name.strip() for name in named.split(",")]
        ends = [place for place, name in enumerate(names) if name in ("", "-1")]
        return tuple(names[: ends[0]] if ends else names)  # CUDA reads up to the first invalid one
    if shutil.which("nvidia-smi") is None:
        return ()
    listing = subprocess.run(
        ["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False
    )
    count = sum(line.startswith("GPU ") for line in listing.stdout.splitlines())
    return tuple(str(number) for number in range(count))


def memory_here() -> int:
    """Bytes that this machine, or the container that this process is in, has in all."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in CGROUP_LIMITS:
        with suppress(OSError, ValueError):  # another kind of system, or "max"
            limits.append(int(path.read_text()))
    return min(limits)
