"""Stored runs → statistics, tables, figures, verdicts. Never trains.

from descentlab.analysis import load
runs = load("store")  # a tidy pandas frame, one row per run
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from descentlab.analysis.frame import load, load_curves

__all__ = ["load", "load_curves"]


def __getattr__(name: str) -> Any:
    """Import pandas only when a frame is asked for."""
    if name in __all__:
        from descentlab.analysis import frame

        return getattr(frame, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
