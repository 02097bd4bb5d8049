"""The whole experiment on some problems: numbers as plain data, charts into a folder.

Group s of a problem draws rotations and rows from seed s. Tuning draws from 10,000 on, so that
nothing is judged on draws that it was tuned on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import altair as alt
import msgspec
import pandas as pd

from descentlab.charts import AnyChart, save
from descentlab.errors import ConfigError
from descentlab.quadratic import figures, tables
from descentlab.quadratic.descent import drawn
from descentlab.quadratic.lab import surface
from descentlab.quadratic.losses import losses
from descentlab.quadratic.outcomes import gap, summary
from descentlab.quadratic.panel import (
    MOLLIFIED_LR,
    PANEL_LRS,
    constants,
    mollified,
    panel,
    variance_path,
)
from descentlab.quadratic.spectrum import Spectrum
from descentlab.quadratic.tuning import BETAS, CONTENDERS, judge, tune, with_beta

TUNING_SEED = 10_000
"""The first seed of the draws that are tuned on."""

TUNING_DRAWS = 20
PANEL_LINES = "thick: best of three learning rates, median and quartiles over seeds; thin: others"
MOLLIFIED_LINES = f"learning rate {MOLLIFIED_LR:g}, median and quartiles over seeds"
TUNED_LINES = "median and quartiles over draws that were not tuned on"
POINTS = 125
"""Steps at which curves are drawn."""


class Setting(NamedTuple):
    """What all of an experiment shares."""

    steps: int
    seeds: int
    batch: int
    noise: float
    beta: float

    @property
    def sampling(self) -> dict[str, Any]:
        """What every run of the experiment shares, as ``drawn`` takes it."""
        return {"steps": self.steps, "batch": self.batch, "noise": self.noise}

    @property
    def at(self) -> list[int]:
        """The steps at which losses are kept, the first and the last among them."""
        every = max(1, self.steps // POINTS)
        return sorted({*range(0, self.steps + 1, every), self.steps})


def check(setting: Setting, draws: int) -> None:
    """Refuse an experiment without runs.

    Raises:
        ConfigError: for fewer than one seed or draw, or β outside (0, 1).
    """
    for name, value in (("seeds", setting.seeds), ("draws", draws)):
        if value < 1:
            raise ConfigError(f"{name}: got {value}; allowed are 1 and above")
    if not 0 < setting.beta < 1:
        raise ConfigError(f"beta: got {setting.beta}; allowed are (0, 1)")


def run_panel(
    spectra: Sequence[Spectrum], setting: Setting, folder: Path
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Run Figures 6, 7 and 18, and draw them.

    Returns:
        A row for each configuration of Figures 6 and 7, and one for each constant.
    """
    rows: list[dict[str, Any]] = []
    curves, fixed, bands, entries, constant, adam = ([] for _ in range(6))
    for spectrum in spectra:
        name = spectrum.name
        groups = drawn(spectrum, range(setting.seeds), **setting.sampling)
        six, seven = panel(setting.beta), mollified(setting.beta)
        methods = [trials.method for trials in six]
        runs = [(methods, six, curves), (list(seven), list(seven.values()), fixed)]
        for names, trials, frames in runs:
            found = losses(groups, trials, setting.at)
            rows += tables.final_rows(name, names, trials, found)
            frames.append(tables.curve_frame(name, names, trials, found, setting.at))
        path = variance_path(groups, PANEL_LRS["adam"][1], setting.beta, setting.at)
        bands.append(tables.variance_frame(name, spectrum, path, setting.at[1:]))
        entries.append(tables.hessian_frame(name, groups))
        grid = constants(setting.beta)
        by_constant, best = tables.constants_frames(name, grid, losses(groups, grid))
        constant.append(by_constant)
        adam.append(best)
    curve_frame, fixed_frame = pd.concat(curves), pd.concat(fixed)
    six_title = alt.Title("Loss at the paper's learning rates", subtitle=PANEL_LINES)
    seven_title = alt.Title("Signum with a fixed mollifier", subtitle=MOLLIFIED_LINES)
    seven_order = list(dict.fromkeys(fixed_frame["method"]))
    charts: dict[str, AnyChart] = {
        "losses": figures.losses_over_steps(curve_frame, list(PANEL_LRS), six_title),
        "mollifiers": figures.losses_over_steps(fixed_frame, seven_order, seven_title),
        "variances": figures.variances(pd.concat(bands)),
        "constants": figures.constants(pd.concat(constant), pd.concat(adam)),
        "hessians": figures.hessians(pd.concat(entries)),
    }
    for name, chart in charts.items():
        save(chart, folder / name)
    return _distinct(rows), pd.concat(constant).to_dict("records")  # pyright: ignore[reportReturnType] columns have text names


def _distinct(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without repetition: Adam of Figure 7 is one of Figure 6."""
    return list({(row["problem"], row["method"], row["setting"]): row for row in rows}.values())


def run_tuning(
    spectra: Sequence[Spectrum], setting: Setting, folder: Path, draws: int
) -> list[dict[str, Any]]:
    """Tune every contender, with β given and with β tuned, and judge it on other draws.

    Returns:
        A row for each problem, way of tuning and contender: its setting, the summary of its
        losses, and the gap to Adam, ``log10(loss / Adam's loss)``.
    """
    rows: list[dict[str, Any]] = []
    curves: list[pd.DataFrame] = []
    ways = {f"β = {setting.beta:g}": with_beta(setting.beta), "β tuned": CONTENDERS}
    for spectrum in spectra:
        seeds = range(TUNING_SEED, TUNING_SEED + TUNING_DRAWS)
        tuning = drawn(spectrum, seeds, **setting.sampling)
        judging = drawn(spectrum, range(draws), **setting.sampling)
        for way, contenders in ways.items():
            found = tune(tuning, contenders)
            results = judge(judging, found)
            rows += [
                {
                    "problem": spectrum.name,
                    "tuning": way,
                    "method": best.name,
                    "setting": tables.setting(best.setting, 0),
                    "trials": best.trials,
                    "edge": best.edge,
                    **summary(results[best.name])._asdict(),
                    "gap": gap(results[best.name], results["adam"]),
                }
                for best in found
            ]
            shown = [best for best in found if best.name in PANEL_LRS]
            names, trials = [best.name for best in shown], [best.setting for best in shown]
            path = losses(judging, trials, setting.at)
            place = f"{spectrum.name}, {way}"
            curves.append(tables.curve_frame(place, names, trials, path, setting.at))
    title = alt.Title("Loss with every method at its best", subtitle=TUNED_LINES)
    chart = figures.losses_over_steps(pd.concat(curves), list(PANEL_LRS), title)
    save(chart, folder / "losses-tuned")
    return rows


def run_lab(setting: Setting, folder: Path) -> list[dict[str, Any]]:
    """Run the heterogeneity lab with β given and with β tuned, and draw both surfaces."""
    ways: dict[str, tuple[float, ...]] = {
        f"β = {setting.beta:g}": (setting.beta,),
        "β tuned": BETAS,
    }
    rows = [
        {"setting": way, "within": cell.within, "between": cell.between, "edge": cell.edge}
        | cell.gap._asdict()
        for way, betas in ways.items()
        for cell in surface(draws=2 * setting.seeds, betas=betas, **setting.sampling)
    ]
    frame = pd.DataFrame(rows).rename(columns={"median": "gap"})
    save(figures.surface(frame), folder / "lab")
    return rows


def run(
    spectra: Sequence[Spectrum],
    setting: Setting,
    folder: Path,
    *,
    tuning: bool = False,
    lab: bool = False,
    draws: int = 100,
) -> dict[str, Any]:
    """Run what is asked for, write charts and ``results.json``, and return the numbers.

    In the file an infinite number is null.

    Args:
        spectra: the problems.
        setting: steps, seeds, batch, noise and β.
        folder: where charts and numbers go; made if it is missing.
        tuning: tune every method too.
        lab: draw the heterogeneity surface too.
        draws: problems to judge tuned methods on.

    Raises:
        ConfigError: for settings out of range.
    """
    check(setting, draws)
    folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {
        "problems": {spectrum.name: spectrum.blocks for spectrum in spectra},
        "setting": setting._asdict(),
    }
    results["panel"], results["constants"] = run_panel(spectra, setting, folder)
    if tuning:
        results["tuning"] = run_tuning(spectra, setting, folder, draws)
    if lab:
        results["lab"] = run_lab(setting, folder)
    encoded = msgspec.json.format(msgspec.json.encode(results))
    (folder / "results.json").write_bytes(encoded + b"\n")
    return results
