"""Training curves, smoothed: noisy losses of single steps → what a figure can show."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

HALF_LIFE = 0.03
"""Of the smoothing, as a share of the training."""
POINTS = 200
"""To keep of a curve."""


def smoothed_training(
    curves: pd.DataFrame, labels: Mapping[str, str], tokens: Mapping[str, float]
) -> pd.DataFrame:
    """Average the runs of a label and smooth them over training.

    The mean over runs is of losses, at fractions of the training that all of them have passed.
    A run that diverged ends where it did.

    Args:
        curves: as ``load_curves`` gives them.
        labels: by run.
        tokens: that each label's runs are trained on.

    Returns:
        ``method`` (the label), ``fraction``, ``tokens``, ``perplexity``, ordered by label.
    """
    training = curves[curves["kind"].eq("training") & curves["run"].isin(list(labels))]
    by_label: dict[str, list[pd.Series]] = {}
    for run, curve in training.groupby("run", sort=False):
        losses = pd.Series(curve["loss"].to_numpy(), index=curve["fraction"].to_numpy())
        finite = losses[np.isfinite(losses)]
        if len(finite):
            by_label.setdefault(labels[str(run)], []).append(_at_even_places(finite))
    parts = [_thinned(label, by_label[label], tokens[label]) for label in by_label]
    names = pd.Index(["method", "fraction", "tokens", "perplexity"])
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=names)


def _at_even_places(losses: pd.Series) -> pd.Series:
    """Smooth over points and read off at even fractions, up to where the run came."""
    smooth = losses.ewm(halflife=max(1.0, HALF_LIFE * len(losses))).mean()
    end = float(losses.index[-1])
    places = np.linspace(0, 1, POINTS + 1)[1:]
    at = places[places <= end] if end < 1 - 1 / len(losses) else places
    return pd.Series(np.interp(at, smooth.index.to_numpy(), smooth.to_numpy()), index=at)


def _thinned(label: str, curves: list[pd.Series], tokens: float) -> pd.DataFrame:
    mean = pd.concat(curves, axis=1, join="inner").mean(axis=1)
    fraction = mean.index.to_numpy(dtype=float)
    return pd.DataFrame(
        {
            "method": label,
            "fraction": fraction,
            "tokens": fraction * tokens,
            "perplexity": np.exp(np.minimum(mean.to_numpy(), 700.0)),
        }
    )
