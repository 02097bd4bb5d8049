"""Every experiment of the paper as data, at four scales."""

from __future__ import annotations

from descentlab.paper.experiments.conditions import E5, E6, E7, E8, E9
from descentlab.paper.experiments.constants import E10
from descentlab.paper.experiments.conventions import E2, E3, E4
from descentlab.paper.experiments.experiment import Experiment
from descentlab.paper.experiments.methods import E1, TABLE1

EXPERIMENTS: tuple[Experiment, ...] = (E1, E2, E3, E4, E5, E6, E7, E8, E9, E10)
CONTESTS: tuple[Experiment, ...] = (TABLE1, E10)
"""Those that are contests."""
