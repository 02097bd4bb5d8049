"""``descent bench``: how fast a run would train here, by precision, compiled and not."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from descentlab.cli.table import aligned

if TYPE_CHECKING:
    from descentlab.train.spec import RunSpec
    from descentlab.train.turns import Times

LEGEND = (
    "× first: its speed over the first row's in the same round. MFU: model FLOPs per second over "
    "the device's most in the same types. Memory: the most that the process held. Start: to "
    "build, compile and take the first step."
)


def bench(
    what: Annotated[Literal["train"], tyro.conf.Positional],
    spec: Annotated[Path, tyro.conf.Positional],
    assignments: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[KEY=VALUE ...]")
    ] = (),
    *,
    rounds: int = 5,
    turn_seconds: float = 1.0,
) -> None:
    """Time a run's steps on this machine: at each precision that pays, compiled and not.

    Each way trains in a process of its own, on random tokens; they take turns, and medians
    over rounds are shown. Nothing is stored.

    Args:
        what: train.
        spec: a TOML file as for descent train.
        assignments: settings that replace those of the file, as in training.batch_size=64.
        rounds: turns of each way.
        turn_seconds: how long a turn lasts.
    """
    from descentlab.cli.progress import Screen
    from descentlab.config import override, read_toml
    from descentlab.errors import ConfigError
    from descentlab.train.spec import run_spec

    if rounds < 1:
        raise ConfigError(f"rounds: got {rounds}; allowed are 1 or more")
    if not 0 <= turn_seconds <= 3600:
        raise ConfigError(f"turn_seconds: got {turn_seconds}; allowed are 0 to 3600")
    settings = override(read_toml(spec), assignments)
    where = " with ".join(filter(None, [str(spec), " ".join(assignments)]))
    run = run_spec(settings, where=where)

    from descentlab.train.compiler import why_not
    from descentlab.train.environment import set_up_process
    from descentlab.train.loop import pick_device
    from descentlab.train.rehearsal import Rehearsal
    from descentlab.train.turns import take_turns

    set_up_process(run)
    device = pick_device(run)
    screen = Screen()
    if (reason := why_not(device)) is not None:
        screen.tell(f"nothing is compiled: {reason}")
    ways = {
        name: Rehearsal(override(settings, [f"{key}={value}" for key, value in changes.items()]))
        for name, changes in variants(run, device).items()
    }
    times = take_turns(
        ways, device=device.type, rounds=rounds, turn_seconds=turn_seconds, tell=screen.tell
    )
    print(f"{markdown(run, times, device)}\n\n{LEGEND}\n{_what_was_timed(run, device, rounds)}")


def _what_was_timed(run: RunSpec, device: Any, rounds: int) -> str:
    import torch

    place = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    return (
        f"{run.model.parameters:,} parameters, {run.training.batch_size} sequences of "
        f"{run.data.sequence_length} tokens a step, on {place}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}, {rounds} rounds."
    )


def variants(run: RunSpec, device: Any) -> dict[str, dict[str, str]]:
    """The ways to compare, by name: settings that make them of the run's."""
    from typing import get_args

    from descentlab.train.compiler import why_not
    from descentlab.train.peak import bfloat16_pays
    from descentlab.train.spec import Precision

    precisions = ["float32", *(get_args(Precision)[1:] if bfloat16_pays(device) else ())]
    if run.precision not in precisions:
        precisions.append(run.precision)
    found = {f"{run.precision}, eager": {"precision": run.precision, "execution.compile": "never"}}
    for precision in precisions:
        if why_not(device) is None:
            found[precision] = {"precision": precision, "execution.compile": "always"}
        else:
            key = f"{precision}, eager"
            found[key] = {"precision": precision, "execution.compile": "never"}
    return found


def markdown(run: RunSpec, times: Mapping[str, Times | str], device: Any) -> str:
    """The table for people, as aligned Markdown; a way that failed says why."""
    from msgspec.structs import replace

    from descentlab.train.throughput import flops_per_second, peak_for

    tokens = run.training.batch_size * run.data.sequence_length
    first = next((each for each in times.values() if not isinstance(each, str)), None)
    rows: list[list[str]] = []
    failures: list[str] = []
    for name, each in times.items():
        if isinstance(each, str):
            failures.append(f"\n{name}: {each}")
            continue
        assert first is not None
        peak = peak_for(replace(run, precision=name.partition(",")[0]), device)
        ratios = [theirs / ours for theirs, ours in zip(first.steps, each.steps, strict=True)]
        rows.append(
            [
                name,
                f"{tokens / each.step:,.0f}",
                f"{statistics.median(ratios):.2f}",
                f"{flops_per_second(run, tokens / each.step) / peak:.1%}" if peak else "?",
                f"{each.peak_memory / 1e6:,.0f}",
                f"{each.start:.1f}",
            ]
        )
    header = ["way", "tokens/s", "× first", "MFU", "memory MB", "start s"]
    return "\n".join([aligned(header, rows), *failures])
