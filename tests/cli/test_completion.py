"""Completion, asked of the shells themselves; what it offers is what each command's help lists."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from descentlab.cli.completion import EXHIBITS
from descentlab.cli.main import COMMANDS, main
from descentlab.cli.surface import surface
from descentlab.paper import wanted

BASH = """
source completion.bash
COMP_WORDS=({}); COMP_CWORD={}
_descent
printf "%s\\n" "${{COMPREPLY[@]}}"
"""
# Instead of zsh's completion system, which needs a terminal: what _descent hands to it.
ZSH = """
compdef() {{ : }}
_describe() {{ print -rl -- ${{${{(P)2}}%%:*}} }}
compadd() {{ print -rl -- ${{(P)2}} }}
_files() {{ print -r -- FILES }}
source completion.zsh
words=({}); CURRENT=$(({} + 1)); PREFIX=${{words[CURRENT]}}
_descent
"""
FISH = "source completion.fish; complete -C {}"


@pytest.fixture
def shells(tmp_path, monkeypatch, capsys):
    """A folder with the scripts, and a store of two runs, two studies and a hostile name."""
    monkeypatch.chdir(tmp_path)
    for name in ("bash", "zsh", "fish", "tcsh"):
        assert main(["completion", name]) == 0
        Path(f"completion.{name}").write_text(capsys.readouterr().out)
    for run in ("0123456789abcdef", "0fedcba987654321", "$(touch broken)"):
        Path("mine/runs", run).mkdir(parents=True)
    Path("mine/studies").mkdir()
    for study in ("first.json", "second.json", "second+2.json", "`touch broken`.json"):
        Path("mine/studies", study).write_text("{}")
    yield
    assert not Path("broken").exists()


def offered(shell: str, line: str) -> set[str]:
    """What a shell offers for the last word of a line."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed: apt-get install {shell}")
    *whole, last = line.split(" ")
    if shell == "fish":
        command = ["fish", "--no-config", "-c", FISH.format(shlex.quote(line))]
    else:
        words = " ".join(map(shlex.quote, [*whole, last]))
        script = (BASH if shell == "bash" else ZSH).format(words, len(whole))
        command = (
            ["bash", "--norc", "-c", script] if shell == "bash" else ["zsh", "-f", "-c", script]
        )
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.stderr == ""
    found = {entry.split("\t")[0] for entry in ended.stdout.split("\n")} - {""}
    return {entry for entry in found if entry.startswith(last)}


EVERY = pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])


@EVERY
def test_commands_options_choices_runs_and_studies(shells, shell):
    for line, expected in (
        ("descent re", {name for name in COMMANDS if name.startswith("re")}),
        ("descent data ", {"prepare", "inspect"}),
        ("descent completion ", {"bash", "zsh", "fish", "tcsh"}),
        ("descent sweep study.toml --executor ", {"local", "inline", "slurm", "ray"}),
        ("descent sweep study.toml --reg", {"--register-only"}),
        ("descent data prepare text --tok", {"--tokens", "--tokenizer"}),
        ("descent reproduce table", {"table1", "table2", "table3"}),
        ("descent bench ", {"train"}),
        ("descent examples tr", {"train.toml"}),
        ("descent show mine ", {"0123456789abcdef", "0fedcba987654321"}),
        ("descent show mine 01", {"0123456789abcdef"}),
        ("descent audit mine --study ", {"first", "second"}),
    ):
        found = offered(shell, line)
        expected = {each for each in expected if each.startswith(line.split(" ")[-1])}
        assert found == expected, line


@EVERY
def test_files_are_completed_where_nothing_else_is(shells, shell):
    """bash does so by itself where a function finds nothing, as it was told to."""
    Path("mine.toml").write_text("")
    found = offered(shell, "descent train mine.t")
    assert found == {"bash": set(), "zsh": set(), "fish": {"mine.toml"}}[shell]
    if shell == "bash":
        assert "complete -o default -F _descent descent" in Path("completion.bash").read_text()
    if shell == "zsh":
        assert offered(shell, "descent train ") == {"FILES"}


def test_options_and_choices_are_those_that_the_help_lists(capsys, monkeypatch):
    """The signatures are read twice: by us, and by the parser that takes the command line."""
    monkeypatch.setenv("COLUMNS", "300")
    entry = re.compile(r"^[│ ] {1,2}(--[a-z][a-z-]*)(?:, (--no-[a-z-]+))?(?: (\S+))?", re.MULTILINE)
    for command in surface(COMMANDS):
        with pytest.raises(SystemExit):
            main([*command.name.split(), "--help"])
        listed = {name: (no, kind) for name, no, kind in entry.findall(capsys.readouterr().out)}
        assert list(listed) == [f"--{option.name}" for option in command.options], command.name
        for option in command.options:
            no, kind = listed[f"--{option.name}"]
            assert no == (f"--no-{option.name}" if option.is_switch else ""), command.name
            words = [
                word
                for choices in re.findall(r"\{([^}]+)\}", kind)
                for word in choices.split(",")
                if word != "None"
            ]
            assert option.words == tuple(words), f"{command.name} --{option.name}"


def test_everything_that_can_be_reproduced_is_offered():
    assert sorted(EXHIBITS) == sorted(wanted.names())


def test_tcsh_takes_its_line(shells):
    if shutil.which("tcsh") is None:
        pytest.skip("tcsh is not installed: apt-get install tcsh")
    ended = subprocess.run(
        ["tcsh", "-f", "-c", "source completion.tcsh; complete descent"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "n/--executor/(local inline slurm ray)/" in ended.stdout
    assert f"p/1/({' '.join(COMMANDS)})/" in ended.stdout


def test_a_shell_that_is_not_known_is_named(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["completion", "powershell"])
    assert ended.value.code == 2
    assert "powershell" in capsys.readouterr().err


def test_it_imports_nothing_heavy():
    code = (
        "import sys; from descentlab.cli.main import main; main(['completion', 'bash'])\n"
        "print(sorted({'torch', 'numpy', 'pandas', 'altair'} & set(sys.modules)), file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stderr.strip() == "[]"
