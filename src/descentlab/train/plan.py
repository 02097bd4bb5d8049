"""From settings to a run that a store can hold. Free of torch, so that plans are instant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from descentlab.config import digest
from descentlab.data.batches import Batches
from descentlab.data.corpora import is_absent
from descentlab.data.prepare import Notice, PreparedData, prepare
from descentlab.errors import DataError
from descentlab.runs.identity import Run, make_run
from descentlab.train.loggers.names import require
from descentlab.train.spec import RunSpec, run_spec

Resolver = Callable[[Mapping[str, Any], str], Run]
"""From settings, and what they came from, to a run."""


def plan_run(spec: RunSpec, data: PreparedData) -> Run:
    """Name a checked spec by its identity and its tokens."""
    return make_run(
        identity=spec.identity(),
        settings=msgspec.to_builtins(spec),
        data_sha256=data.sha256,
    )


class RunResolver:
    """A function from settings to runs that prepares each corpus only once.

    Args:
        notice: told what is being prepared.
        absent_too: name runs whose corpus is not there as well, by its settings in place of its
            tokens. Such an id tells equal runs from others, and is none that a store has.
    """

    def __init__(self, notice: Notice, *, absent_too: bool = False) -> None:
        self._notice = notice
        self._absent_too = absent_too
        self.absent: set[str] = set()
        """The corpora that are not there."""
        self._prepared: dict[tuple[object, ...], PreparedData] = {}
        self._held_out: dict[str, int] = {}

    def __call__(self, settings: Mapping[str, Any], where: str) -> Run:
        """Return the run of some settings.

        Raises:
            ConfigError: for settings that are not allowed, or loggers that are not installed.
            DataError: for tokens that do not suit them.
        """
        spec = run_spec(settings, where=where)
        require(spec.execution.loggers)
        if self._absent_too and is_absent(spec.data.corpus):
            return self._without_tokens(spec)
        key = (spec.data.corpus, *spec.data.preparation().values())
        if key not in self._prepared:
            self._prepared[key] = prepare(spec.data, self._notice)
        data = self._prepared[key]
        batches_for(spec, data)
        run = plan_run(spec, data)
        self._held_out[run.data_sha256] = len(data.validation.tokens)
        return run

    def _without_tokens(self, spec: RunSpec) -> Run:
        self.absent.add(spec.data.corpus)
        return make_run(
            identity=spec.identity(),
            settings=msgspec.to_builtins(spec),
            data_sha256=digest(["absent", spec.data.corpus, spec.data.preparation()]),
        )

    def held_out_tokens(self, run: Run) -> int:
        """How many tokens one evaluation of a run reads; 0 where they are not there."""
        return self._held_out.get(run.data_sha256, 0)


def resolver(*, notice: Notice = lambda line: None, absent_too: bool = False) -> RunResolver:
    """Return a function from settings to runs that prepares each corpus only once.

    Args:
        notice: told what is being prepared.
        absent_too: as for ``RunResolver``.
    """
    return RunResolver(notice, absent_too=absent_too)


def batches_for(spec: RunSpec, data: PreparedData) -> Batches:
    """The batches of a run, after checking that its tokens suit it.

    Raises:
        DataError: if the tokens do not fit the model, or do not suffice for the budget.
    """
    if data.vocabulary > spec.model.vocabulary:
        raise DataError(
            f"{data.train.path}: token ids go up to {data.vocabulary - 1}, outside a "
            f"model.vocabulary of {spec.model.vocabulary}"
        )
    return Batches(
        data,
        sequence_length=spec.data.sequence_length,
        batch_size=spec.training.batch_size,
        steps=spec.training.steps,
        max_epochs=spec.data.max_epochs,
        seed=spec.seed,
    )
