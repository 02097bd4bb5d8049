"""``descent probes``: what a run's probes found, as tables and figures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from descentlab.errors import CorruptError, StorageError

if TYPE_CHECKING:
    import pandas as pd

    from descentlab.analysis.probes import ProbeTables
    from descentlab.charts import AnyChart
    from descentlab.runs.identity import Run

STATE = {
    "coordinates": "coordinates",
    "gradient_norm": "gradient norm",
    "snr_q25": "m²/σ²: 25%",
    "snr_median": "median",
    "snr_q75": "75%",
    "v_minus_m2_negative": "v−m² < 0",
    "direction_mean": "|d|: mean",
    "direction_max": "max",
    "share_half": "|d| ≥ 0.5",
    "share_sign": "|d| ≥ 0.9",
    "share_edge": "at Adam's edge",
    "silent": "silent",
}
NOISE = {
    "batches": "batches",
    "measured_mean": "mean s²",
    "estimated_mean": "mean σ²",
    "ratio_median": "median σ²/s²",
    "rank_correlation": "rank correlation",
}
SHADOWS = {
    "shadow": "shadow",
    "cosine": "cosine",
    "sign_agreement": "equal signs",
    "linf_ratio": "max|d'|/max|d|",
    "step_ratio": "× learning rates",
}


def probes(
    store: Annotated[Path, tyro.conf.Positional],
    run: Annotated[str, tyro.conf.Positional],
    *,
    folder: Path | None = None,
) -> None:
    """Print a run's latest probes, and draw how they went over its steps.

    Signal-to-noise ratio, size of the step, Adam's variance beside the measured one, and the
    directions of shadow optimizers, for each block of parameters. A run has probes if its spec
    has a table [probes]; see examples/train.toml.

    Args:
        store: the folder of runs.
        run: its id, or enough of its beginning.
        folder: where to write the figures, as SVG and PNG; results/probes-<run> if left out.
    """
    from descentlab.analysis.probes import probe_tables
    from descentlab.runs.store import Store

    opened = Store(store)
    found = opened.find(run)
    tables = probe_tables(opened, found)
    for title, frame, columns in (
        ("state", tables.state, STATE),
        ("noise: σ² beside the variance s² over independent batches", tables.noise, NOISE),
        ("shadows: their directions d' beside the run's d", tables.shadows, SHADOWS),
    ):
        if len(frame):
            last = frame[frame["step"] == frame["step"].max()]
            print(f"step {int(frame['step'].max())}, {title}\n{table(last, columns)}\n")
    _draw(tables, found, folder or Path("results") / f"probes-{found.run_id}")
    if tables.damaged_at is not None:
        raise CorruptError(
            f"run {found.run_id}: its probes are damaged from byte {tables.damaged_at} on; "
            "what is before it is shown"
        )


def table(frame: pd.DataFrame, columns: dict[str, str]) -> str:
    """Aligned text, a row for each of the frame's and the columns that it has.

    Args:
        frame: with a column block.
        columns: headers by name.
    """
    names = {"block": "block", **columns}
    shown = {name: header for name, header in names.items() if name in frame}
    texts = [list(shown.values())]
    texts += [[_text(value) for value in row] for row in frame[list(shown)].itertuples(index=False)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    words = {"block", "shadow"}
    lines = []
    for row in texts:
        cells = [
            cell.ljust(width) if name in words else cell.rjust(width)
            for cell, width, name in zip(row, widths, shown, strict=True)
        ]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines)


def _text(value: object) -> str:
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _draw(tables: ProbeTables, run: Run, folder: Path) -> None:
    from descentlab.charts import save

    for name, chart in _charts(tables, run).items():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            save(chart, folder / name)
        except OSError as error:
            raise StorageError(f"{folder}: cannot be written ({error.strerror})") from None
        print(f"{folder / name}.svg\n{folder / name}.png")


def _charts(tables: ProbeTables, run: Run) -> dict[str, AnyChart]:
    """The figures that the records suffice for, by file name."""
    from descentlab.analysis.figures import probes as probe_figures
    from descentlab.analysis.probes import exact_ratio
    from descentlab.cli.runs import describe

    subtitle = f"run {run.run_id}: {describe(run)}"
    charts: dict[str, AnyChart] = {}
    if "snr_median" in tables.state:
        charts["signal-to-noise"] = probe_figures.signal_to_noise(tables.state, subtitle)
    if "estimated_mean" in tables.noise:
        exact = exact_ratio(int(tables.noise["batches"].max()))
        charts["variance"] = probe_figures.variance_estimates(tables.noise, exact, subtitle)
    if len(tables.shadows):
        charts["shadows"] = probe_figures.shadow_cosines(tables.shadows, subtitle)
    return charts
