"""``descent completion``: lets a shell complete commands, options, choices, runs and studies.

A script is a table made from the signatures of the commands, so that a TAB starts no Python. What a
run or study may be called is read from the folders of the store that stands before it.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from descentlab.cli.examples import folder

if TYPE_CHECKING:
    from descentlab.cli.surface import Command, Parameter

Shell = Literal["bash", "zsh", "fish", "tcsh"]

EXHIBITS = (
    "all",
    *(f"table{n}" for n in range(1, 4)),
    *(f"fig{n}" for n in range(1, 22)),
    *("longer", "constant-variance"),
    *(f"E{n}" for n in range(1, 11)),
)
"""What ``descent reproduce`` may be asked for, as :func:`descentlab.paper.wanted.names` has it,
which takes a second to import."""
RUNS = """ls "$store/runs" 2>/dev/null | grep -x '[0-9a-f]*'"""
STUDIES = (
    """ls "$store/studies" 2>/dev/null | sed 's/[.]json$//; s/+[0-9]*$//' """
    """| grep -x '[A-Za-z0-9._-]*' | sort -u"""
)
"""What lists a store's; a study that grew has several files. Names that no store makes are left
out, since bash would run what stands in them between backquotes."""


def completion(shell: Annotated[Shell, tyro.conf.Positional]) -> None:
    """Print what completes descent's commands, options, choices, runs and studies in a shell.

    bash: put into ~/.bashrc the line  source <(descent completion bash).
    zsh: into ~/.zshrc, after compinit,  source <(descent completion zsh).
    fish: descent completion fish > ~/.config/fish/completions/descent.fish.
    tcsh: descent completion tcsh > ~/.descent.tcsh, and in ~/.tcshrc  source ~/.descent.tcsh.

    Args:
        shell: which one.
    """
    from descentlab.cli.main import COMMANDS
    from descentlab.cli.surface import surface

    writers: dict[Shell, Callable[[Sequence[Command]], Iterable[str]]] = {
        "bash": bash,
        "zsh": zsh,
        "fish": fish,
        "tcsh": tcsh,
    }
    print(f"# Completion of descent for {shell}, made by: descent completion {shell}")
    print("\n".join(writers[shell](surface(COMMANDS))))


def bash(commands: Sequence[Command]) -> Iterator[str]:
    """A function that fills ``COMPREPLY``; where it finds nothing, bash completes file names."""
    yield "_descent() {"
    yield "local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} at=$COMP_CWORD"
    yield "local first=${COMP_WORDS[1]} second=${COMP_WORDS[2]} third=${COMP_WORDS[3]}"
    yield from _place(commands)
    yield 'if [ "$at" -eq 1 ]; then'
    yield f'    values="{" ".join(_names(commands))}"'
    yield 'elif [[ "$cur" == -* ]]; then'
    yield '    case "$command" in'
    yield from (f'    "{each.name}") values="{" ".join(_flags(each))}" ;;' for each in commands)
    yield "    esac"
    yield "else"
    yield from _values(commands)
    yield "fi"
    yield 'COMPREPLY=($(compgen -W "$values" -- "$cur"))'
    yield "}"
    yield "complete -o default -F _descent descent"


def zsh(commands: Sequence[Command]) -> Iterator[str]:
    """A function of zsh's completion system, which shows beside a word what it is for."""
    yield "_descent() {"
    yield "local prev=${words[CURRENT-1]} at=$((CURRENT - 1))"
    yield "local first=${words[2]} second=${words[3]} third=${words[4]}"
    yield "local -a found"
    yield from _place(commands)
    yield 'if [ "$at" -eq 1 ]; then'
    yield f"    found=({_described((each.name, each.help) for each in _first(commands))})"
    yield "    _describe command found"
    yield 'elif [[ "$PREFIX" == -* ]]; then'
    yield '    case "$command" in'
    for each in commands:
        helps = [(flag, option.help) for option in each.options for flag in _flags_of(option)]
        yield f'    "{each.name}") found=({_described([*helps, ("--help", "")])}) ;;'
    yield "    esac"
    yield "    _describe option found"
    yield "else"
    yield from _values(commands)
    yield "    found=(${=values})"
    yield '    if [ -n "$values" ]; then compadd -a found; else _files; fi'
    yield "fi"
    yield "}"
    yield "compdef _descent descent"


def fish(commands: Sequence[Command]) -> Iterator[str]:
    """One line for each word; what has no words of its own completes file names."""
    yield "function __descent_store"
    yield "    for word in (commandline -opc) store"
    yield "        test -d $word/runs; and echo $word; and return"
    yield "    end"
    yield "end"
    stores = {each: each.replace('"$store', "(__descent_store)") for each in (RUNS, STUDIES)}
    lists = {key: f"({value})".replace('" 2>', " 2>") for key, value in stores.items()}
    for each in _first(commands):
        yield _fish("__fish_use_subcommand", "-f -a", each.name, each.help)
    for each in commands:
        words = each.name.split()
        seen = " ; and ".join(f"__fish_seen_subcommand_from {word}" for word in words)
        for number, argument in enumerate(_arguments(each, commands)):
            at = f"test (count (commandline -opc)) -eq {1 + len(words) + number}"
            for value in _alternatives(argument, each, lists):
                yield _fish(f"{seen} ; and {at}", "-f -a", value, argument.help)
        for option in each.options:
            values = " ".join(_alternatives(option, each, lists))
            takes = "" if option.is_switch else f"-x -a {_single(values)}" if values else "-r"
            for flag in _flags_of(option):
                yield _fish(seen, f"{takes} -l", flag.removeprefix("--"), option.help)


def tcsh(commands: Sequence[Command]) -> Iterator[str]:
    """One line for everything: tcsh knows no commands within a command, so options are all."""
    options = sorted({flag for each in commands for flag in _flags(each)})
    chosen: dict[str, tuple[str, ...]] = {}
    for option in (option for each in commands for option in each.options):
        chosen[option.name] = tuple(dict.fromkeys((*chosen.get(option.name, ()), *option.words)))
    rules = [f"p/1/({' '.join(_names(commands))})/"]
    rules += [f"n/--{name}/({' '.join(words)})/" for name, words in chosen.items() if words]
    for each in commands:
        for argument in _arguments(each, commands)[:1]:
            if argument.words:
                rules.append(f"n/{each.name.split()[-1]}/({' '.join(argument.words)})/")
    rules.append(f"c/--/({' '.join(each.removeprefix('--') for each in options)})/")
    rules.append("p/*/f/")
    yield f"complete descent {' '.join(_single(rule) for rule in rules)}"


def _place(commands: Sequence[Command]) -> Iterator[str]:
    """Shell: which command it is, which of its words is completed, and which store it names."""
    outer = "|".join(sorted({each.name.split()[0] for each in commands if " " in each.name}))
    yield "local command=$first store=$second place=$((at - 1)) values="
    yield f'case "$first" in {outer}) if [ "$at" -gt 2 ]; then'
    yield '    command="$first $second" store=$third place=$((at - 2))'
    yield "fi ;; esac"
    yield '[ -d "$store/runs" ] || store=store'


def _values(commands: Sequence[Command]) -> Iterator[str]:
    """Shell: what the value of an option, or else an argument, may be."""
    lists = {listing: f"$({listing})" for listing in (RUNS, STUDIES)}
    yield '    case "$command $prev" in'
    for each in commands:
        for option in each.options:
            if values := _alternatives(option, each, lists):
                yield f'    "{each.name} --{option.name}") values="{" ".join(values)}" ;;'
    yield "    esac"
    yield '    [ -n "$values" ] || case "$command $place" in'
    for each in commands:
        for number, argument in enumerate(_arguments(each, commands), 1):
            if values := _alternatives(argument, each, lists):
                yield f'    "{each.name} {number}") values="{" ".join(values)}" ;;'
    yield "    esac"


def _alternatives(parameter: Parameter, command: Command, lists: dict[str, str]) -> tuple[str, ...]:
    """The words that a parameter may be, or what lists them; none if files are as good."""
    if parameter.words:
        return parameter.words
    if command.name == "reproduce" and parameter.name == "experiment":
        return EXHIBITS
    if command.name == "examples" and parameter.name == "name":
        return tuple(sorted(path.name for path in folder().iterdir() if path.is_file()))
    if parameter.name == "run" and command.arguments[0].name == "store":
        return (lists[RUNS],)
    if parameter.name == "study" and not parameter.is_path:
        return (lists[STUDIES],)
    return ()


def _arguments(command: Command, commands: Sequence[Command]) -> tuple[Parameter, ...]:
    """A command's arguments; the first of one that has commands of its own is one of these."""
    from descentlab.cli.surface import Parameter

    inner = [each.name.split()[1] for each in commands if each.name.startswith(f"{command.name} ")]
    return (Parameter("command", "", tuple(inner)),) if inner else command.arguments


def _first(commands: Sequence[Command]) -> list[Command]:
    return [each for each in commands if " " not in each.name]


def _names(commands: Sequence[Command]) -> list[str]:
    return [each.name for each in _first(commands)]


def _flags(command: Command) -> list[str]:
    return [*(flag for option in command.options for flag in _flags_of(option)), "--help"]


def _flags_of(option: Parameter) -> list[str]:
    return [f"--{option.name}", *([f"--no-{option.name}"] if option.is_switch else [])]


def _described(pairs: Iterable[tuple[str, str]]) -> str:
    """Words for zsh's ``_describe``, where a colon parts a word from what is said of it."""
    return " ".join(_single(f"{word}:{said}" if said else word) for word, said in pairs)


def _fish(condition: str, kind: str, word: str, said: str) -> str:
    """A line of fish."""
    about = f" -d {_single(said)}" if said else ""
    return f"complete -c descent -n {_single(condition)} {kind} {_single(word)}{about}"


def _single(text: str) -> str:
    return shlex.quote(text)
