"""How every chart looks, and how it is saved: as SVG and PNG, for print and screen."""

from __future__ import annotations

from pathlib import Path

import altair as alt
import vl_convert

AnyChart = alt.Chart | alt.LayerChart | alt.FacetChart | alt.HConcatChart | alt.VConcatChart

PALETTE = ("#1b6ca8", "#d1495b", "#2e933c", "#8f5db7", "#e08e2b", "#5c6670", "#b08968")
"""Distinct in print and for most colour-blind readers; order follows the ranking."""

GREY = PALETTE[5]
"""For lines of reference."""

FONTS = "Arial, Liberation Sans, Helvetica, sans-serif"
"""As wide as what a layout is measured with; a reader who has none of them gets a wider one, which
the padding leaves room for."""
PADDING = {"left": 5, "top": 5, "right": 20, "bottom": 5}


def save(chart: AnyChart, path: Path) -> None:
    """Write ``path`` with the suffixes .svg and .png (twice the size, white ground)."""
    svg = path.with_suffix(".svg")
    _finished(chart).save(str(svg))
    # From the SVG, since to lay out the chart again takes ten times as long.
    png = vl_convert.svg_to_png(svg.read_text(encoding="utf-8"), ppi=150)
    path.with_suffix(".png").write_bytes(png)


def save_pdf(chart: AnyChart, path: Path) -> None:
    """Write ``path`` with the suffix .pdf: vectors, with their fonts in the file."""
    path.with_suffix(".pdf").write_bytes(vl_convert.vegalite_to_pdf(_finished(chart).to_json()))


def _finished(chart: AnyChart) -> AnyChart:
    finished = chart.configure(background="white", font=FONTS, padding=PADDING)
    finished = finished.configure_axis(gridOpacity=0.5)
    return finished.configure_view(strokeOpacity=0.2).configure_title(anchor="start")
