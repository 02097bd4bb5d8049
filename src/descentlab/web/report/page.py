"""A document as HTML: texts and tables as they are, charts and runs as data for the scripts."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterable, Mapping
from importlib.resources import files
from string import Template
from typing import Any

import msgspec

from descentlab.analysis.report.document import (
    Block,
    Chart,
    Code,
    Details,
    Document,
    Figure,
    Grid,
    Items,
    Paragraph,
    Section,
    Verdict,
    written,
)
from descentlab.analysis.report.findings import TONES
from descentlab.analysis.report.gathering import best_runs

STYLES = (
    "assets/base.css",
    "report/report.css",
    "report/charts.css",
    "report/runs.css",
    "report/print.css",
)
SCRIPTS = (
    "elements.js",
    "scales.js",
    "marks.js",
    "lines.js",
    "heat.js",
    "curves.js",
    "list.js",
    "filter.js",
    "opened.js",
    "main.js",
)
"""In the order in which they stand in the page; each uses those before it."""

Charts = Mapping[str, Chart]


def page(document: Document) -> str:
    """The whole page: HTML with its styles, scripts and data."""
    style = "\n".join(map(_file, STYLES))
    code = "\n".join(_file(f"report/{name}") for name in SCRIPTS)
    script = f'"use strict";\n(() => {{\n{code}\n}})();\n'
    data = {"charts": document.charts, "runs": document.runs, "curves": document.curves}
    more = {"compared": document.compared, "title": document.title}
    return Template(_file("report/page.html")).substitute(
        policy=_policy(style, script),
        style=style,
        script=script,
        title=text(document.title),
        facts="".join(f"<li>{text(fact)}</li>" for fact in document.facts),
        contents="".join(
            f'<li><a href="#{section.key}">{text(section.title)}</a></li>'
            for section in document.sections
        ),
        sections="\n".join(_section(each, document.charts) for each in document.sections),
        count=f"{len(document.runs):,}",
        printed=_grid(best_runs(document.runs)),
        data="\n".join(
            f'<script type="application/json" id="data-{name}">{data_block(part)}</script>'
            for name, part in {**data, "more": more}.items()
        ),
    )


def text(value: str) -> str:
    """A text as HTML has it; characters that cannot be seen are written out.

    >>> text("</script><b>\\u202e")
    '&lt;/script&gt;&lt;b&gt;\\\\u202e'
    """
    visible = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in value)
    return html.escape(visible, quote=True)


def data_block(part: Any) -> str:
    """Data as JSON that no HTML parser takes for anything else.

    >>> data_block({"name": "</script><!--"})
    '{"name":"\\\\u003c/script>\\\\u003c!--"}'
    """
    return msgspec.json.encode(part).decode().replace("<", "\\u003c")


def _policy(style: str, script: str) -> str:
    """Nothing may be loaded; one script and one style may stand in the page."""
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src '{_hash(script)}'",
            f"style-src '{_hash(style)}'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _file(name: str) -> str:
    return files("descentlab.web").joinpath(name).read_text(encoding="utf-8")


def _section(section: Section, charts: Charts) -> str:
    return (
        f'<section id="{section.key}" aria-labelledby="{section.key}-title">'
        f'<h2 id="{section.key}-title">{text(section.title)}</h2>'
        f"{_blocks(section.blocks, charts)}</section>"
    )


def _blocks(blocks: Iterable[Block], charts: Charts) -> str:
    return "\n".join(_block(each, charts) for each in blocks)


def _block(block: Block, charts: Charts) -> str:
    match block:
        case Paragraph():
            look = ' class="muted small"' if block.quiet else ""
            return f"<p{look}>{text(block.text)}</p>"
        case Items():
            return f"<ul>{''.join(f'<li>{text(each)}</li>' for each in block.items)}</ul>"
        case Code():
            lines = "\n".join(map(text, block.text.splitlines()))
            return f'<pre tabindex="0"><code>{lines}</code></pre>'
        case Verdict():
            return _verdict(block)
        case Grid():
            return _grid(block)
        case Figure():
            return _figure(block.chart, charts[block.chart])
        case Details():
            inner = _blocks(block.blocks, charts)
            return f"<details><summary>{text(block.summary)}</summary>{inner}</details>"


def _verdict(verdict: Verdict) -> str:
    heading = text(verdict.heading)
    if verdict.target:
        heading = f'<a href="#{verdict.target}">{heading}</a>'
    items = "".join(f"<li>{text(each)}</li>" for each in verdict.details)
    details = f'<ul class="small muted">{items}</ul>' if items else ""
    return (
        f'<article class="card verdict {verdict.tone}"><h3>{heading} '
        f'<span class="badge {verdict.tone}">{text(verdict.badge)}</span></h3>'
        f"<p>{text(verdict.sentence)}</p>{details}</article>"
    )


def _grid(grid: Grid) -> str:
    kinds = [' class="number"' if column.form else "" for column in grid.columns]
    head = "".join(
        f'<th scope="col"{kind}>{text(column.name)}</th>'
        for kind, column in zip(kinds, grid.columns, strict=True)
    )
    body = "".join(_row(row, grid, kinds) for row in grid.rows)
    return (
        f'<div class="table-frame" role="region" tabindex="0" aria-labelledby="{grid.key}-caption">'
        f'<table aria-describedby="{grid.key}-caption"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
        f'<p class="caption" id="{grid.key}-caption">{text(grid.caption)}</p>'
    )


def _row(row: tuple[Any, ...], grid: Grid, kinds: list[str]) -> str:
    cells = [
        (kind, _badged(written(cell, column)))
        for kind, cell, column in zip(kinds, row, grid.columns, strict=True)
    ]
    (first_kind, first), *rest = cells
    others = "".join(f"<td{kind}>{cell}</td>" for kind, cell in rest)
    return f'<tr><th scope="row"{first_kind}>{first}</th>{others}</tr>'


def _badged(cell: str) -> str:
    """A cell's text; a verdict or a severity that stands alone looks like one."""
    tone = TONES.get(cell)
    return text(cell) if tone is None else f'<span class="badge {tone}">{text(cell)}</span>'


def _figure(key: str, chart: Chart) -> str:
    return (
        f'<figure class="chart {type(chart).__name__}" id="{key}-chart" data-chart="{key}">'
        f"<figcaption><h3>{text(chart.title)}</h3>"
        f'<p class="small muted">{text(chart.note)}</p></figcaption>'
        f'<div class="canvas"><p class="muted">{text(chart.alt)}</p></div></figure>'
    )
