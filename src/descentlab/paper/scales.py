"""The four sizes at which every experiment of the paper can be run, derived by small edits.

``paper`` has the exact settings; ``workstation`` is one GPU and hours, ``laptop`` two cores and
minutes, ``tiny`` seconds. A scale says what all its runs share, and what to change for another
length, model, text and budget. Experiments say what varies (``paper/experiments``).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from descentlab.config import set_path

Name = Literal["tiny", "laptop", "workstation", "paper"]
Settings = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """A method's best setting, which experiments on other questions hold fixed."""

    lr: float
    beta: float
    source: str

    @property
    def settings(self) -> dict[str, float]:
        return {"lr": self.lr, "beta": self.beta}


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How large every experiment is."""

    name: Name
    purpose: str
    """What results can tell at this scale, for people."""
    run: Settings
    """What all runs share, in tables as in a spec file."""
    best: Mapping[str, Anchor]
    """By method of Table 1."""
    larger: Settings
    """Another model, by dotted key (E7)."""
    other_text: Settings
    """Another text, by dotted key (E8)."""
    longer: Settings
    """About twice the tokens, by dotted key (E9)."""
    study_of_batches: Settings = field(default_factory=dict)
    """The budget that all batch sizes share, by dotted key, if it is another than Table 1's."""
    raced: bool = True
    """Whether contests stop runs that cannot win; to pause the shortest runs takes longer than it
    saves."""
    prepare: str = ""
    """The command that prepares its text, if that takes one."""

    def edited(self, *edits: Settings) -> dict[str, Any]:
        """The shared settings with others in their place, by dotted key."""
        settings = copy.deepcopy(dict(self.run))
        for edit in edits:
            for key, value in edit.items():
                set_path(settings, key, value)
        return settings

    @property
    def shorter(self) -> dict[str, Any]:
        """Sequences of a quarter of the length, and as many tokens (E5)."""
        length, steps = self.run["data"]["sequence_length"], self.run["training"]["steps"]
        return {"data.sequence_length": length // 4, "training.steps": steps * 4}

    def at_batch(self, factor: float) -> dict[str, Any]:
        """A multiple of the batch size, and as many tokens (E6)."""
        base = self.edited(self.study_of_batches)["training"]
        return {
            "training.batch_size": int(base["batch_size"] * factor),
            "training.steps": int(base["steps"] / factor),
        }


def _anchors(source: str, best: Mapping[str, tuple[float, float]]) -> dict[str, Anchor]:
    return {name: Anchor(lr=lr, beta=beta, source=source) for name, (lr, beta) in best.items()}


PAPER = Scale(
    name="paper",
    purpose="The paper's own settings.",
    run={
        "conventions": "paper",
        "precision": "bfloat16-autocast",
        "model": {"size": "160M"},
        "data": {"corpus": "data/slimpajama", "sequence_length": 2048},
        "training": {"steps": 6200, "batch_size": 256},
        "execution": {"device": "auto", "micro_batch": 32},
    },
    best=_anchors(
        "best of the released runs",
        {
            "adam": (0.008, 0.95),
            "signum": (0.0005, 0.95),
            "rmsprop": (0.002, 0.8),
            "sgd+Cclip": (1.0, 0.975),
            "sgd+Gclip": (0.5, 0.975),
            "sgd": (0.25, 0.975),
        },
    ),
    larger={
        "model": {"size": "410M"},
        "training": {"steps": 7800, "batch_size": 512},
        "execution.micro_batch": 16,
        "data.max_epochs": 2,
    },
    other_text={"data.corpus": "data/fineweb"},
    longer={"training.steps": 12_400, "data.max_epochs": 2},
    study_of_batches={"training.steps": 4800},
    prepare="descent data prepare slimpajama --held-out 1.7% && "
    "descent data prepare fineweb --tokens 3.26B --held-out 100M",
)
"""Section A of the paper; steps, batch sizes and best settings as the released runs have them.

6200 steps of 256 rows of 2048 tokens are 3.25 billion tokens. The 410M models (7800 steps of 512)
and the longer runs (12,400 steps) ask for more tokens than the hub's part of SlimPajama has, and go
through it up to twice; with a larger preparation in that folder they do not. Signum's best is that
of its clipped runs, since Table 1's other methods are clipped; unclipped it is at a decay of 0.9.
"""

WORKSTATION = Scale(
    name="workstation",
    purpose="One GPU and models of 49M parameters: closer to the paper's than a laptop's, and "
    "still a fifteenth of its tokens and less.",
    run={
        **PAPER.run,
        "model": {"size": "14M", "vocabulary": 50_280},
        "data": {"corpus": "data/slimpajama-workstation", "sequence_length": 512},
        "training": {"steps": 1600, "batch_size": 128},
        "execution": {"device": "auto"},
    },
    best={
        **PAPER.best,
        "signum": Anchor(lr=0.001, beta=0.95, source="the released runs on short sequences"),
        "emasign": Anchor(lr=0.001, beta=0.95, source="Signum's, since there is none"),
    },
    larger={"model": {"size": "53M", "vocabulary": 50_280}},
    other_text={"data.corpus": "data/fineweb-workstation"},
    longer={"training.steps": 3200},
    prepare="descent data prepare slimpajama --tokens 220M --held-out 2M "
    "--out data/slimpajama-workstation && descent data prepare fineweb --tokens 220M "
    "--held-out 2M --out data/fineweb-workstation",
)
"""The paper's recipe, text and tokenizer with 10.6M parameters beside the embeddings, sequences of
512 and 105 million tokens. The larger model has 104M parameters."""

LAPTOP = Scale(
    name="laptop",
    purpose="Small models and short runs: an order found here may differ at scale.",
    run={
        "model": {"size": "laptop"},
        "data": {"vocabulary": 1024, "sequence_length": 64, "validation_fraction": 0.015},
        "training": {"steps": 160, "batch_size": 32},
        "schedule": {"warmup": 0.3},  # 10% are 16 steps, too few for large rates
        "execution": {"device": "cpu", "threads": 1},
    },
    best=_anchors(
        "Table 1 at this scale, EXPERIMENTS.md",
        {
            "adam": (0.016, 0.8),
            "signum": (0.008, 0.6),
            "rmsprop": (0.008, 0.6),
            "emasign": (0.016, 0.6),
            "sgd+Cclip": (4.0, 0.9),
            "sgd+Gclip": (4.0, 0.9),
            "sgd": (1.0, 0.9),
        },
    ),
    larger={"model.layers": 4, "model.heads": 4, "model.width": 64},
    other_text={"data.corpus": "python", "data.validation_fraction": 0.03},
    longer={"training.steps": 320},
)
"""The reduced grids of figures have three learning rates about each method's best, three decays,
and for Adam three β1 and four β2: 302 runs in all, and 48 of best settings with fresh seeds. The
larger model keeps the budget, and it and the longer runs have two β1.
327,680 tokens and 153,840 parameters; the larger model has 344,640. The other text is the source
of Python's standard library, which every Python has: its tokens are those of the Python version.
"""

TINY = Scale(
    name="tiny",
    purpose="Seconds of training: this shows that all works, not which method wins.",
    run={
        "model": {"size": "tiny"},
        "data": {"tokenizer": "byte", "sequence_length": 32, "validation_fraction": 0.001},
        "training": {"steps": 30, "batch_size": 8},
        "execution": {"device": "cpu", "threads": 1},
    },
    best=LAPTOP.best,
    larger={"model.layers": 2},
    other_text={"data.corpus": "python"},
    longer={"training.steps": 60},
    raced=False,
)

SCALES: Mapping[str, Scale] = MappingProxyType(
    {each.name: each for each in (TINY, LAPTOP, WORKSTATION, PAPER)}
)
