"""Run the conformance kit over many packages' optimizers, for docs/conformance.md.

    python benchmarks/conformance.py

Needs the packages of the extra ``peers``; takes about a minute on one core. It writes the
table and the failures between two marks in the document; the rest is written by hand.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import platform
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.optim import Optimizer

from descentlab.optim.conformance import CHECKS, Outcome, check_optimizer

DOCUMENT = Path(__file__).parents[1] / "docs" / "conformance.md"
BEGIN, END = "<!-- table begins -->", "<!-- table ends -->"
SYMBOLS = {"pass": "✓", "fail": "**✗**", "not claimed": "·"}


@dataclass(frozen=True)
class Case:
    """One row: an optimizer, its settings, and claims that its name does not make."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    claims: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""
    """Why it claims other than its name does."""


def without(*checks: str) -> dict[str, Any]:
    """Claims that leave checks out."""
    return {"unclaimed": checks}


AT_Y = "its decay acts at the interpolated point, as its paper has it"
STABLE = "its decay shrinks with the learning rate that it clips, as its paper has it"
CENTRED = "gradient centralization leaves the rows' means where they are"
OURS = {"decay": "decoupled"}

CASES: dict[str, list[Case]] = {
    "torch.optim": [
        Case("Adam"),
        Case("Adam", {"amsgrad": True, "weight_decay": 0.1}),
        Case("AdamW"),
        Case("SGD"),
        Case("SGD", {"momentum": 0.9}),
        Case("SGD", {"momentum": 0.9, "nesterov": True}),
        Case("RMSprop"),
        Case("Adagrad"),
        Case("Adamax"),
        Case("NAdam"),
        Case("RAdam"),
        Case("ASGD"),
        Case("Rprop"),
        Case("Adadelta"),
        Case("Adafactor"),
        Case("Muon"),
        Case("SparseAdam"),
        Case("LBFGS"),
    ],
    "descentlab.optim": [
        Case("Adam", claims=OURS),
        Case("RMSprop", claims=OURS),
        Case("Signum", claims=OURS),
        Case("EMASign", claims=OURS),
        Case("SignSGD", claims=OURS),
        Case("SGD", {"momentum": 0.9}, OURS),
    ],
    "schedulefree": [
        Case("AdamWScheduleFree"),
        Case("SGDScheduleFree"),
        Case("RAdamScheduleFree"),
    ],
    "pytorch_optimizer": [
        Case("SGDW"),
        Case("SignSGD"),
        Case("Lion"),
        Case("Tiger"),
        Case("AdaBelief"),
        Case("Adan"),
        Case("Lamb"),
        Case("LARS"),
        Case("Ranger", claims=without("convergence"), why=CENTRED),
        Case("Shampoo"),
        Case("SOAP"),
        Case("Muon"),
        Case("MARS", {"optimize_1d": True}),
        Case("ADOPT"),
        Case("AdEMAMix"),
        Case("StableAdamW", claims=without("weight-decay"), why=STABLE),
        Case("RAdam"),
        Case("LaProp"),
        Case("Yogi"),
        Case("CAME"),
        Case("ScheduleFreeAdamW", claims=without("weight-decay"), why=AT_Y),
    ],
    "heavyball": [
        Case("SGD"),
        Case("AdamW"),
        Case("NAdam"),
        Case("AdEMAMix"),
        Case("RMSprop"),
        Case("ADOPT"),
        Case("LaProp"),
        Case("SignLaProp"),
        Case("Muon"),
        Case("SOAP"),
        Case("PSGDKron"),
        Case("SFAdamW", claims=without("weight-decay"), why=AT_Y),
    ],
}


def main() -> None:
    """Check every case and rewrite the part of the document between the marks."""
    torch.set_num_threads(1)
    # Compiling every optimizer's step would take minutes and change nothing.
    vars(importlib.import_module("heavyball.utils"))["compile_mode"] = None
    results = {
        package: [(case, outcomes(package, case)) for case in cases]
        for package, cases in CASES.items()
    }
    text = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    parts = [BEGIN, environment(), table(results), failures(results), END]
    DOCUMENT.write_text(before + "\n\n".join(parts) + after, encoding="utf-8")


def outcomes(package: str, case: Case) -> list[Outcome]:
    """Run the kit on one case and say so."""
    optimizer = getattr(importlib.import_module(package), case.name)
    if (package, case.name) == ("pytorch_optimizer", "Muon"):
        optimizer = of_matrices(optimizer)
    found = list(check_optimizer(optimizer, case.settings, case.claims))
    failed = [each.check for each in found if each.verdict == "fail"]
    print(f"{package}.{label(case)}: {', '.join(failed) or 'nothing failed'}", flush=True)
    return found


def of_matrices(muon: Callable[..., Optimizer]) -> Callable[..., Optimizer]:
    """Muon for parameters that are given without the ``use_muon`` that it asks of every group."""

    def build(params: Iterable[Any], lr: float = 0.02, **settings: Any) -> Optimizer:
        given = list(params)
        groups = given if isinstance(given[0], dict) else [{"params": given}]
        return muon([{"use_muon": True, **group} for group in groups], lr=lr, **settings)

    return build


def label(case: Case) -> str:
    """The name with its settings."""
    settings = " ".join(f"{name}={value}" for name, value in case.settings.items())
    return f"{case.name} {settings}".strip()


def environment() -> str:
    """What made the table; the rest of the document explains its signs."""
    return (
        f"Made by `python benchmarks/conformance.py` with Python {platform.python_version()} and "
        f"torch {torch.__version__.partition('+')[0]} on {platform.machine()}."
    )


Results = Mapping[str, list[tuple[Case, list[Outcome]]]]


def table(results: Results) -> str:
    """One row per optimizer, one column per check."""
    heads = " | ".join(str(number) for number in range(1, len(CHECKS) + 1))
    rows = [f"| optimizer | {heads} |", "|---|" + ":-:|" * len(CHECKS)]
    notes: list[str] = []
    for package, cases in results.items():
        rows.append(f"| **{package} {version(package)}** |" + " |" * len(CHECKS))
        for case, found in cases:
            if case.why and case.why not in notes:
                notes.append(case.why)
            mark = f" [{notes.index(case.why) + 1}]" if case.why else ""
            cells = " | ".join(SYMBOLS[each.verdict] for each in found)
            rows.append(f"| {label(case)}{mark} | {cells} |")
    explained = [f"[{number}] {note}" for number, note in enumerate(notes, start=1)]
    lists = "Not claimed by our choice: " + "; ".join(explained) + "."
    return "\n".join(rows) + "\n\n" + lists


def version(package: str) -> str:
    """The installed version of a package's distribution."""
    return importlib.metadata.version(package.partition(".")[0]).partition("+")[0]


def failures(results: Results) -> str:
    """Every failure with its counterexample, by check; what reads the same stands together."""
    lines = ["### Every failure", ""]
    for number, check in enumerate(CHECKS):
        by_message: dict[tuple[str, str], list[str]] = {}
        for package, cases in results.items():
            for case, found in cases:
                if found[number].verdict == "fail":
                    key = (package, found[number].message)
                    by_message.setdefault(key, []).append(label(case))
        if by_message:
            lines += [f"**{number + 1} {check.name}**", ""]
            for (package, message), names in by_message.items():
                code = re.sub(r"state ((?:\[[^]]+\])+)", r"`state\1`", message)  # no link, but code
                lines.append(f"- {package}: {', '.join(names)}: {code}")
            lines.append("")
    return "\n".join(lines).rstrip()


if __name__ == "__main__":
    main()
