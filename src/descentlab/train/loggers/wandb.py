"""Weights & Biases: a W&B run with the run's own id, which every attempt goes on with.

Project, entity, mode and whatever else W&B takes from its environment, such as ``WANDB_MODE``,
are the user's to set there. Files lie under ``wandb/`` in the store.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import wandb

from descentlab.runs.labels import method_label
from descentlab.train.loggers.base import Ending, Logger, Subject

PROJECT = "descentlab"
"""Unless ``WANDB_PROJECT`` names another."""
INIT_TIMEOUT, FINISH_TIMEOUT = 30.0, 25.0
"""Seconds; W&B would wait for a server for 90 s and for ever, its exit handler with it."""


class NoKey(Exception):
    """W&B has no key to send with."""


class WeightsAndBiases(Logger):
    """History by step, the settings as the config, the ending as exit code and summary."""

    def __init__(self, subject: Subject) -> None:
        # Silent: several runs of a sweep share one terminal, which shows their progress.
        settings = wandb.Settings(
            silent=True,
            console="off",
            init_timeout=INIT_TIMEOUT,
            finish_timeout=FINISH_TIMEOUT,
            finish_timeout_raises=True,
        )
        mode = wandb.setup(settings).settings.mode
        if mode == "online" and not wandb.login(prompt=False, verify=False):
            raise NoKey("no API key; call wandb login once, or set WANDB_MODE=offline")
        self._run = wandb.init(
            id=subject.run_id,
            resume="allow",
            reinit="create_new",  # whatever else this process logs is left alone
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=_name(subject),
            config=dict(subject.settings),
            dir=subject.root,
            settings=settings,
        )
        self._first = _first_new_step(self._run, subject)

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        if step >= self._first:
            self._run.log(dict(numbers), step=step)

    def end(self, ending: Ending) -> None:
        self._run.summary["outcome"] = ending.outcome
        if ending.reason is not None:
            self._run.summary["reason"] = ending.reason
        if ending.outcome == "interrupted":
            self._run.mark_preempting()  # W&B shows it as preempted, not as failed
        self._run.finish(exit_code=int(ending.outcome in ("failed", "interrupted")))


def _name(subject: Subject) -> str:
    """What W&B lists the run as."""
    optimizer = subject.settings["optimizer"]
    label = method_label(optimizer["method"], optimizer)
    return f"{label} lr={optimizer['lr']:g} {subject.run_id[:6]}"


def _first_new_step(run: wandb.Run, subject: Subject) -> int:
    """The first step that W&B does not have yet; it can replace none that it has.

    A server says so. Offline, each attempt leaves a folder, and the records of earlier attempts
    say how far those that left one came.
    """
    if not run.offline:
        return run.starting_step
    earlier = [*(subject.root / "wandb").glob(f"offline-run-*-{subject.run_id}*")]
    return subject.told + 1 if len(earlier) > 1 else 0
