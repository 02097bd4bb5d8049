"""The page of all commands, from what each prints for --help when the site is built."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from unittest.mock import patch

import tyro
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from descentlab.cli.main import COMMANDS

PAGE = "reference/commands.md"
PLAIN = {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "1000"}
"""What makes help plain text whose lines nobody has broken."""

ARGUMENT = re.compile(r"  (-\S.*?|[A-Z\[{]\S*.*?)(?:  +(.*))?$")
"""A line of help that begins an argument: its name, and what it is if that follows at once."""

BEGINNING = """# Commands

What `descent COMMAND --help` prints. `key=value` replaces a [setting](settings.md). A command ends
with one of these [exit codes](../exit-codes.md).
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page."""
    files.append(File.generated(config, PAGE, content="\n".join([BEGINNING, *sections()])))
    return files


def sections() -> Iterator[str]:
    """A section for each command, and one for each command within a command."""
    for name in COMMANDS:
        text = help_of(name)
        yield section("##", name, text)
        for inner in nested(text):
            yield section("###", f"{name} {inner}", help_of(name, inner))


def section(level: str, name: str, text: str) -> str:
    """A heading, what the command does, how it is called, and a list of its arguments."""
    usage, _, rest = text.partition("\n\n")
    about, *groups = rest.split("\n\n\n")
    parts = [f"{level} descent {name}", escaped(about), f"```text\n{usage}\n```"]
    parts += [group(each) for each in groups if not each.startswith("subcommands\n")]
    return "\n\n".join(parts) + "\n"


def group(text: str) -> str:
    """Arguments that stand together, as a list under their title.

    >>> print(group("options\\n  --seeds INT  how\\n               many."))
    **options**
    <BLANKLINE>
    - `--seeds INT`: how many.
    """
    title, *lines = text.splitlines()
    entries: list[str] = []
    for line in lines:
        if found := ARGUMENT.match(line):
            entries.append(f"- `{found[1]}`: {escaped(found[2] or '')}".rstrip())
        elif entries:
            entries[-1] += f" {escaped(line.strip())}"
        else:
            title += f": {line.strip()}"
    return f"**{title}**\n\n" + "\n".join(entries)


def escaped(text: str) -> str:
    """Plain text as Markdown that reads the same."""
    return re.sub(r"([<>*_\[\]])", r"\\\1", text)


def help_of(*words: str) -> str:
    """What a command says of itself, without frames."""
    printed = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with patch.dict(os.environ, PLAIN), redirect_stdout(printed), suppress(SystemExit):
        tyro.extras.subcommand_cli_from_dict(COMMANDS, prog="descent", args=[*words, "--help"])
    printed.seek(0)
    return unframed(printed.read())


def unframed(text: str) -> str:
    """Help without the frames around its parts; an empty line more sets off the first title.

    >>> print(unframed("usage: x\\n\\nDo.\\n\\n╭─ options ─╮\\n│ -h  help │\\n╰───────────╯"))
    usage: x
    <BLANKLINE>
    Do.
    <BLANKLINE>
    <BLANKLINE>
    options
      -h  help
    """
    text = re.sub(r"^╰─+╯$|^│ ─+ │$\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^╭─+ (.*?) ─+╮$", r"\n\1", text, flags=re.MULTILINE)
    return re.sub(r"^│( .*?) *│$", r" \1", text, flags=re.MULTILINE).strip()


def nested(text: str) -> list[str]:
    """The commands that a command's help lists as its own."""
    return re.findall(r"^ +• ([\w-]+)", text.partition("\nsubcommands\n")[2], re.MULTILINE)
