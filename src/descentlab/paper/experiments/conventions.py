"""E2 to E4: conventions of Adam and Signum at their best settings (Tables 2 and 3, Figures 4, 17).

Learning rate and decay are those of ``Scale.best``, so that all can be planned, and trained,
before Table 1 was.
"""

from __future__ import annotations

from descentlab.paper.experiments.experiment import OURS, SEEDS, Experiment, study
from descentlab.paper.published import TABLE2
from descentlab.paper.scales import Scale
from descentlab.paper.table1 import METHODS
from descentlab.sweep.study import Method, Study

MOLLIFIERS = {
    "paper": [1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7],
    "workstation": [1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7],
    "laptop": [1e-3, 1e-4, 1e-5, 1e-6],
    "tiny": [1e-3, 1e-5],
}
"""By scale, ε in m/(|m|+ε). The paper has six, whose values are neither in its released runs nor
known here. These are decades about the root mean square of the entries of a gradient clipped to
norm 1: 8e-5 for the paper's models, 2.5e-3 for a laptop's."""


def _fixed(name: str, scale: Scale, **changes: object) -> dict[str, object]:
    """A method at its best setting, but for what is left to vary."""
    return {**METHODS[name], **scale.best[name].settings, **changes}


def _without(settings: dict[str, object], *names: str) -> dict[str, object]:
    return {key: value for key, value in settings.items() if key not in names}


def _epsilons(scale: Scale) -> list[Study]:
    adam = Method(optimizer=_fixed("adam", scale), axes={"optimizer.eps": list(TABLE2)})
    return [study("E2", scale, {"adam": adam}, seeds=SEEDS)]


def _starts(scale: Scale) -> list[Study]:
    together = {
        "optimizer.init": ["zero", "zero", "gradient"],
        "optimizer.bias_correction": [True, False, False],
    }
    adam = Method(optimizer=_fixed("adam", scale), zip=[together])
    signum = Method(
        optimizer=_without(_fixed("signum", scale), "init"),
        axes={"optimizer.init": ["gradient", "zero"]},
    )
    return [study("E3", scale, {"adam": adam, "signum": signum}, seeds=SEEDS)]


def _mollifiers(scale: Scale) -> list[Study]:
    signum = Method(
        optimizer=_without(_fixed("signum", scale), "init"),
        axes={
            "optimizer.init": ["zero", "gradient"],
            "optimizer.eps": list(MOLLIFIERS[scale.name]),
        },
    )
    return [study("E4", scale, {"signum": signum})]


E2 = Experiment(
    key="E2",
    title="The ε of Adam",
    shows="Whether Adam's ε matters, all else at its best.",
    studies=_epsilons,
    exhibits=("table2",),
    claims=("small-eps-does-not-matter", "large-eps-hurts"),
)

E3 = Experiment(
    key="E3",
    title="Starts of the averages",
    shows="Whether averages should start at zero or the first gradient, corrected or not.",
    studies=_starts,
    exhibits=("table3", "fig17", "fig4"),
    claims=(
        "bias-correction-does-not-matter",
        "gradient-start-hurts-adam",
        "start-does-not-matter-to-signum",
    ),
)
"""Five rows with three seeds are 15 points; the paper counts 14 runs. Adam's first row is that of
Table 2 with the usual ε, trained once."""

E4 = Experiment(
    key="E4",
    title="Signum softened by a constant",
    shows="Whether a fixed ε in Signum's sign does what Adam's estimate of the variance does.",
    studies=_mollifiers,
    judged=OURS,
    exhibits=("fig4",),
    claims=("mollifier-does-not-close-the-gap",),
    beside=("E3",),
)
"""At the paper's scale one seed, as its 12 runs; Figure 4 sets them beside E3's."""
