"""The code in the documents works: Python is run, settings are checked, commands are parsed."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from oracles.code_blocks import FILE, NOT_RUN, PAGES, ROOT, Block, blocks, commands, of
from oracles.command_lines import command_of, every_command, parse

from descentlab.cli.main import main
from descentlab.sweep.study_file import read_study
from descentlab.train.spec import run_spec

STUDY_KEYS = {"name", "run", "axes", "zip", "methods", "seeds", "racing"}
READERS = {"runs", "query", "audit"}
"""Commands that only read, and take no time over a few runs."""


def having(*languages: str) -> list[object]:
    """The pages with blocks in these languages."""
    return [pytest.param(page, id=page.name) for page in PAGES if of(page, *languages)]


def test_every_block_names_its_language_and_what_is_not_run_says_why():
    for page in PAGES:
        fences = page.read_text("utf-8").count("\n```")
        plain = len(re.findall(r"^```\n(?:(?!^```).*\n)*^```$", page.read_text("utf-8"), re.M))
        assert fences == 2 * (len(blocks(page)) + plain), page.name
        assert all(len(each.says or "") > 10 for each in blocks(page) if each.mark == NOT_RUN)


@pytest.mark.parametrize("page", having("python"))
def test_python_runs(page, folder):
    found = of(page, "python")
    for each in found:
        if each.mark == FILE:
            Path(str(each.says)).write_text(each.text)
    names: dict[str, object] = {"__name__": page.stem}
    for each in found:
        if each.mark != NOT_RUN:
            line = int(each.place.rpartition(":")[2])
            code = compile("\n" * (line - 1) + each.text, each.place, "exec")
            exec(code, names)  # as a reader would type it


@pytest.mark.parametrize("page", having("toml"))
def test_settings_are_valid(page, folder):
    for each in of(page, "toml"):
        if each.mark is None:
            check_settings(each)


def check_settings(block: Block) -> None:
    """Check a spec, a study, or the tables that a block replaces in an example of either."""
    written = tomllib.loads(block.text)
    kind = "study" if STUDY_KEYS & set(written) else "train"
    whole = tomllib.loads((ROOT / f"examples/{kind}.toml").read_text())
    if "model" in written.get("run", written):
        whole = {}
    if kind == "train":
        run_spec({**whole, **written}, where=block.place)
        return
    run = {**whole.get("run", {}), **written.get("run", {})}
    if "methods" in written:  # they bring axes of their own
        whole["axes"] = {}
    whole = {**whole, **written, "run": run}
    path = Path("written.toml")
    path.write_text(as_toml(whole))
    for settings in read_study(path).settings():
        run_spec(settings, where=block.place)


def as_toml(table: dict[str, object]) -> str:
    """Write a table of settings in one line for each value."""

    def value(each: object) -> str:
        if isinstance(each, dict):
            return "{" + ", ".join(f"{json.dumps(k)} = {value(v)}" for k, v in each.items()) + "}"
        if isinstance(each, list):
            return "[" + ", ".join(map(value, each)) + "]"
        return json.dumps(each)

    return "\n".join(f"{json.dumps(key)} = {value(each)}" for key, each in table.items())


@pytest.mark.parametrize("page", having("sh", "bash"))
def test_commands_are_understood(page):
    for each in of(page, "sh", "bash"):
        for words in commands(each):
            try:
                parse(words)
            except SystemExit:
                pytest.fail(f"{each.place}: descent {' '.join(words)} is refused")


@pytest.mark.parametrize("page", having("sh", "bash"))
def test_commands_that_only_read_work(page, folder):
    for each in of(page, "sh", "bash"):
        for words in commands(each):
            if each.mark is None and words[0] in READERS and "NAME" not in words:
                words = ["store" if word == "STORE" else word for word in words]
                assert main(words) == 0, f"{each.place}: descent {' '.join(words)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_the_text_exist_with_their_options(page, generated):
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for inline in re.findall(r"`descent\s+([^`]+)`", text):
        words = inline.split()
        if words[0] != "--version" and words[0].islower():  # not a placeholder such as COMMAND
            name, _ = command_of(words)
            known = generated["commands"].help_of(*name)
            wrong = [each for each in words if each.startswith("--") and each not in known]
            assert wrong == [], f"{page.name}: `descent {inline}`"


def test_a_misspelt_option_and_an_unknown_command_are_refused(capsys):
    for words in (["sweep", "study.toml", "--worker", "2"], ["swep", "study.toml"]):
        with pytest.raises(SystemExit):
            parse(words)
    assert len(every_command()) > 20
