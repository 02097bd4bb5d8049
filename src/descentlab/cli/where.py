"""The options that say where runs are computed, and with what: the same for every command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True, kw_only=True)
class Given:
    """What each run is given; see docs/executors.md."""

    cores: int = 1
    """Cores for each run; a sweep gives it as many threads, unless the study says otherwise."""
    gpus: float = 0.0
    """GPUs for each run; with 0.25, four runs share one."""
    memory: float | None = None
    """Gigabytes for each run."""


@dataclass(frozen=True, kw_only=True)
class Where(Given):
    """Where runs are computed, and what each is given; see docs/executors.md."""

    executor: Literal["local", "inline", "slurm", "ray"] = "local"
    """local: processes on this machine; inline: this process, for debugging; slurm, ray: a
    cluster whose nodes share the store's folder."""
    workers: int | None = None
    """Runs at once, by default as many as there is room for; 0 trains in this process."""
    slurm: Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="K=V")] = ()
    """A setting of Slurm jobs, as in --slurm partition=gpu --slurm time=60."""
    sbatch: Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="K=V")] = ()
    """Any other option of sbatch, as in --sbatch reservation=ours."""
    ray_address: str | None = None
    """host:port of a Ray cluster; by default RAY_ADDRESS, or else one is started here."""
