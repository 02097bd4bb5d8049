"""E10: Adam's variance replaced by a constant, as a contest (``paper/constant_variance.py``)."""

from __future__ import annotations

from descentlab.paper.experiments.experiment import Experiment

E10 = Experiment(
    key="E10",
    title="Adam's variance replaced by a constant",
    shows="Whether the online estimate of the variance is worth more than the best constant.",
    studies=lambda scale: [],
    exhibits=("constant-variance",),
    claims=("constant-variance-loses", "constant-variance-per-tensor-loses"),
    contest="constant-variance",
)
