"""The site has every document in its navigation, and what is made from code is whole."""

from __future__ import annotations

import doctest
import re
from typing import get_args
from unittest.mock import ANY

import msgspec
import pytest
import yaml
from oracles.code_blocks import ROOT
from oracles.command_lines import every_command

from descentlab.errors import DescentError
from descentlab.optim.methods import AnyMethod


def navigation() -> list[str]:
    """The pages that mkdocs.yml names."""
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text())

    def pages(entry: object) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        inner = entry.values() if isinstance(entry, dict) else entry
        return [page for each in inner for page in pages(each)]  # type: ignore[union-attr]

    return pages(settings["nav"])


def made(generated) -> set[str]:
    """The pages that hooks make for the navigation."""
    modules = {f"reference/{name}.md" for name in generated["modules"].PAGES}
    root = set(generated["repository"].ROOT_PAGES.values())
    return modules | root | {generated["commands"].PAGE, generated["settings"].PAGE}


def test_every_document_is_in_the_navigation_once(generated):
    listed = navigation()
    written = {path.name for path in ROOT.glob("docs/*.md")}
    assert sorted(set(listed)) == sorted(listed)
    assert written - set(listed) == set()
    assert set(listed) - written == made(generated)


def test_the_root_s_documents_are_pages(generated):
    assert set(generated["repository"].ROOT_PAGES) == {each.name for each in ROOT.glob("*.md")}


def test_every_module_of_every_room_is_in_the_reference_once(generated):
    modules = generated["modules"]
    source = ROOT / "src"
    shown = [
        name
        for _, parts in modules.PAGES.values()
        for part in parts
        for name in modules.modules(part)
    ]
    written = {
        path.relative_to(source)
        .with_suffix("")
        .as_posix()
        .removesuffix("/__init__")
        .replace("/", ".")
        for path in source.glob("descentlab/**/*.py")
        if path.name == "__init__.py" or not path.name.startswith("_")
    }
    faces = re.compile(r"descentlab(\.(cli|web)(\..*)?)?$")  # and the package itself
    assert sorted(shown) == sorted(name for name in written if not faces.match(name))


def test_the_page_of_commands_has_every_command_and_no_colours(generated):
    text = "\n".join(generated["commands"].sections())
    headings = re.findall(r"^#+ descent (.*)$", text, re.MULTILINE)
    assert [tuple(each.split()) for each in headings] == list(every_command())
    assert "\x1b" not in text
    assert not re.search("[╭╮╰╯│]", text)
    assert "--executor {local,inline,slurm,ray}" in text


def test_the_page_of_settings_says_what_each_means(generated):
    settings = generated["settings"]
    text = "\n".join(settings.sections())
    assert "| `beta2` | number, ≥ 0, < 1 | none | Decay of the average of squared" in text
    assert '| `clip_norm` | number, > 0 or `"none"` | `1.0` |' in text
    tags = {str(each.__struct_config__.tag) for each in get_args(AnyMethod)}
    assert set(re.findall(r'^### \[optimizer\] method = "(.*)"$', text, re.MULTILINE)) == tags
    tables = ["model", "data", "training", "schedule", "execution", "probes", "methods.NAME"]
    assert re.findall(r"^### \[([\w.]+)\]$", text, re.MULTILINE) == tables

    class Undocumented(msgspec.Struct):
        lr: float

    with pytest.raises(ValueError, match=r"Undocumented\.lr"):
        settings.documented(Undocumented)


def test_the_page_of_exit_codes_has_every_code_once():
    rows = re.findall(r"^\| ([\d, ]+) \|", (ROOT / "docs/exit-codes.md").read_text(), re.M)
    codes = [int(code) for row in rows for code in row.split(",")]

    def kinds(kind: type[DescentError]) -> list[type[DescentError]]:
        return [inner for each in kind.__subclasses__() for inner in (each, *kinds(each))]

    used = {each.exit_code for each in kinds(DescentError) if hasattr(each, "exit_code")}
    assert used | {0, 1, 130, 143} == set(codes)
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("name", ["commands", "settings"])
def test_examples_in_the_docstrings_of_hooks_hold(generated, name):
    assert doctest.testmod(generated[name]) == doctest.TestResults(failed=0, attempted=ANY)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Add.\n\n>>> 1 + 1\n2\n\nMore.", "Add.\n\n```pycon\n>>> 1 + 1\n2\n```\n\nMore."),
        ("    >>> [[1]]\n    [[1]]", "    ```pycon\n    >>> [[1]]\n    [[1]]\n    ```"),
        ("No example > 3.", "No example > 3."),
    ],
)
def test_doctests_become_blocks_of_code(generated, written, read):
    assert generated["docstrings"].fenced(written) == read
