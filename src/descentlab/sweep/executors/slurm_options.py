"""What a user may ask of Slurm's jobs, and what submitit is asked for."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from descentlab.config import PositiveInt
from descentlab.errors import ConfigError, nearest
from descentlab.sweep.resources import Resources

LARGEST_ARRAY = 1000
"""Slurm's own default allows indices below 1001."""
OURS = {
    *("account", "array", "constraint", "cpus-per-task", "error", "exclude", "gpus-per-node"),
    *("job-name", "mem", "no-requeue", "nodelist", "nodes", "ntasks-per-node", "open-mode"),
    *("output", "partition", "qos", "requeue", "signal", "time"),
}
"""Options of sbatch that are settings here, or that exactly-once rests on."""


class SlurmOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How jobs are asked for."""

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    """Features that nodes must have."""
    nodelist: str | None = None
    exclude: str | None = None
    time: PositiveInt = 240
    """Minutes that a job may take; a run that takes longer goes on in the next job."""
    save_seconds: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 120
    """How long before the limit the signal comes that lets runs save."""
    runs_per_job: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1
    """Runs that a job works through; more than one saves time in the queue where runs are short."""
    sbatch: dict[str, str | int | float | bool] = {}
    """Any other long option of sbatch, without its dashes; true for one without a value."""

    def __post_init__(self) -> None:
        for name in self.sbatch:
            if name.replace("_", "-") in OURS:
                raise ConfigError(
                    f"sbatch: {name} cannot be set so; {nearest(name, self.__struct_fields__)} by "
                    "--slurm name=value, and cores, GPUs and memory by options of their own"
                )


def job_parameters(options: SlurmOptions, resources: Resources) -> dict[str, Any]:
    """What submitit is asked for, as plain data."""
    together = resources.runs_per_gpu
    asked: dict[str, Any] = {
        each: getattr(options, each)
        for each in ("partition", "account", "qos", "constraint", "nodelist", "exclude")
        if getattr(options, each) is not None
    }
    if resources.gpus:
        asked["gpus_per_node"] = resources.whole_gpus
    if resources.memory is not None:
        asked["mem"] = f"{int(resources.memory * together * 1e9 / 2**20)}M"
    return asked | {
        "time": options.time,
        "nodes": 1,
        "ntasks_per_node": together,
        "cpus_per_task": resources.cores,
        "signal_delay_s": options.save_seconds,
        "array_parallelism": LARGEST_ARRAY,
        "wckey": None,
        "additional_parameters": {"no-requeue": True, **options.sbatch},
        # srun does not take the cores over from sbatch, and may end all runs with the first.
        "srun_args": [f"--cpus-per-task={resources.cores}", "--kill-on-bad-exit=0"],
    }
