"""What ``descent`` says by itself: every command in a line."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from descentlab import __version__
from descentlab.cli.surface import surface


def overview(commands: Mapping[str, Callable[..., None]]) -> str:
    """The commands with the first sentence of each one's help."""
    known = [each for each in surface(commands) if " " not in each.name]
    width = max(len(each.name) for each in known)
    return "\n".join(
        [
            f"descentlab {__version__}: train language models with many optimizers and say, with "
            "evidence, which one wins.",
            "",
            "usage: descent COMMAND …",
            "",
            *(f"  {each.name:<{width}}  {each.help}" for each in known),
            "",
            "descent COMMAND --help has more. Start with: descent reproduce table1",
        ]
    )
