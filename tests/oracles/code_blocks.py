"""Blocks of code in the documents, and what the comment above a block says of it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md")])

BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[\w ]+): (?P<says>[^>]+) -->\n)?"
    r"^```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
NOT_RUN = "not run"
FILE = "file"
ENDS = {"|", ">", "&", "&&", ";", "||"}
"""What ends a command within a line of shell."""


@dataclass(frozen=True)
class Block:
    """A block between fences.

    Args:
        place: the page and the line of its first line of code.
        mark: ``not run`` with a reason, or ``file`` with the name of a file that it is.
    """

    place: str
    language: str
    text: str
    mark: str | None
    says: str | None


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in order.

    Raises:
        AssertionError: for a comment above a block that means nothing.
    """
    whole = page.read_text("utf-8")
    found = []
    for each in BLOCK.finditer(whole):
        line = whole[: each.start("text")].count("\n") + 1
        place = f"{page.name}:{line}"
        assert each["mark"] in (None, NOT_RUN, FILE), f"{place}: unknown mark {each['mark']!r}"
        found.append(Block(place, each["language"], each["text"], each["mark"], each["says"]))
    return found


def of(page: Path, *languages: str) -> list[Block]:
    """A page's blocks in these languages."""
    return [each for each in blocks(page) if each.language in languages]


def commands(block: Block) -> Iterator[list[str]]:
    """The words after ``descent``, or ``python -m descentlab``, of every command in a block."""
    for line in block.text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;>")
        lexer.whitespace_split = True
        yield from _commands(list(lexer))


def _commands(words: list[str]) -> Iterator[list[str]]:
    for place, word in enumerate(words):
        if word == "descent" or words[place - 1 : place + 1] == ["-m", "descentlab"]:
            after = words[place + 1 :]
            end = next((n for n, each in enumerate(after) if each in ENDS), len(after))
            yield after[:end]
            return
