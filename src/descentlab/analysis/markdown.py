"""Names from data, made safe to stand in Markdown."""

from __future__ import annotations

import re

SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#|!~&$^])")
LONGEST = 80


def escaped(text: str, longest: int = LONGEST) -> str:
    r"""Write a name so that Markdown and HTML take every character for itself.

    Characters that cannot be seen are written out, and what is longer than ``longest`` is cut.

    >>> print(escaped("a|b <script> [x](y)\n"))
    a\|b \<script\> \[x\]\(y\)\\n
    """
    visible = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
    cut = visible if len(visible) <= longest else f"{visible[: longest - 1]}…"
    return SPECIAL.sub(r"\\\1", cut)
