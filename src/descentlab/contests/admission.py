"""The conformance kit before a comparison: does each candidate's class do what a run relies on?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from descentlab.contests.candidate import Candidate
from descentlab.errors import NonConforming
from descentlab.optim.any_class import optimizer_class
from descentlab.optim.conformance.kit import check_optimizer
from descentlab.optim.conformance.outcome import Outcome

DECISIVE: Mapping[str, str] = {
    "repetition": "its runs do not repeat, so that seeds cannot be paired",
    "resume": "a run that is paused and goes on is another run",
    "groups": "it does not obey the weight decay and learning rate of its groups",
    "lr-change": "a schedule of the learning rate has no effect on it",
    "convergence": "it does not even lower a quadratic's loss",
}
"""Checks without which a comparison means nothing, with the reason."""


def admit(
    candidates: Sequence[Candidate], *, despite_failures: bool, say: Callable[[str], None]
) -> dict[str, list[Outcome]]:
    """Check every candidate that is not the laboratory's own.

    Args:
        candidates: all who want to enter.
        despite_failures: let those in that fail a decisive check.
        say: shows the user one line.

    Returns:
        By name, the outcomes of those that were checked.

    Raises:
        NonConforming: naming each candidate that failed a decisive check, the check and why
            it matters.
    """
    found: dict[str, list[Outcome]] = {}
    wrong: list[str] = []
    for candidate in candidates:
        method = candidate.foreign
        if method is None:
            continue
        settings = {"lr": method.lr, **method.keywords}
        found[candidate.name] = list(check_optimizer(optimizer_class(method), settings))
        failures = failures_of(found[candidate.name])
        for outcome in failures:
            say(f"{candidate.name} fails {outcome.check}: {outcome.message}")
        wrong += [
            f"{candidate.name} fails {outcome.check} ({DECISIVE[outcome.check]})"
            for outcome in failures
            if outcome.check in DECISIVE
        ]
        passed = sum(each.verdict == "pass" for each in found[candidate.name])
        say(f"{candidate.name}: {passed} conformance checks passed, {len(failures)} failed")
    if wrong and not despite_failures:
        raise NonConforming(
            f"{'; '.join(wrong)}: no comparison would mean anything; mend it, or add "
            "--despite-failures"
        )
    return found


def failures_of(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The checks that an optimizer failed."""
    return [each for each in outcomes if each.verdict == "fail"]
