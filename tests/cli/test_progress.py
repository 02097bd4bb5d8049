from __future__ import annotations

import dataclasses
import io

from rich.console import Console

from descentlab.cli.progress import PreparationDisplay, RunDisplay, Screen, SweepDisplay
from descentlab.data.meter import Progress as Preparation
from descentlab.data.shards import Counts
from descentlab.sweep.progress import Best, Progress, Raced, RunningRun

HALFWAY = Progress(
    total=10,
    done=5,
    already_done=2,
    diverged=1,
    failed=0,
    elapsed=65.0,
    seconds_left=130.0,
    running=[RunningRun("adam lr=0.01", 30, 60, 7.2)],
    elsewhere=0,
)


def console(terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=120)


def written(shown: Console) -> str:
    assert isinstance(shown.file, io.StringIO)
    return shown.file.getvalue()


def test_without_a_terminal_lines_come_now_and_then_and_the_last_one_stays():
    plain = console(terminal=False)
    with SweepDisplay("sweep", Screen(plain)) as display:
        for _ in range(100):
            display.show(HALFWAY)
        display.show(dataclasses.replace(HALFWAY, done=10, seconds_left=0.0, running=[]))
    assert written(plain).splitlines() == [
        "sweep: 5/10 runs, 2 of them from before, 1 diverged, 1 min 05 s, 2 min 10 s left",
        "sweep: 10/10 runs, 2 of them from before, 1 diverged, 1 min 05 s",
    ]


def test_a_terminal_shows_the_sweep_and_each_running_run_with_its_time_left():
    terminal = console(terminal=True)
    with SweepDisplay("sweep", Screen(terminal)) as display:
        display.show(HALFWAY)
        drawn = written(terminal)
    assert "5/10 runs" in drawn
    assert "adam lr=0.01" in drawn
    assert "step 30/60, 7 s left" in drawn


def test_a_sweep_shows_the_losses_of_running_runs_the_best_so_far_and_what_racing_did():
    raced = Raced(3, "adam lr=1 paused at 4% by halving: 4.5000, where 4.2500 goes on")
    progress = dataclasses.replace(
        HALFWAY,
        running=[RunningRun("adam lr=0.01", 30, 60, 7.2, 3.25)],
        best=Best("signum lr=0.5", 3.125),
        raced=raced,
    )
    terminal, plain = console(terminal=True), console(terminal=False)
    with SweepDisplay("sweep", Screen(terminal)) as display:
        display.show(progress)
        drawn = written(terminal)
    assert "step 30/60, loss 3.2500, 7 s left" in drawn
    assert f"racing: {raced.last}" in drawn
    with SweepDisplay("sweep", Screen(plain)) as display:
        display.show(progress)
    line = written(plain).splitlines()[0]
    assert "3 stopped by racing, best 3.1250 (signum lr=0.5), 1 min 05 s" in line


def test_a_failure_is_told_once_when_it_happens_with_the_first_line_of_its_reason():
    plain = console(terminal=False)
    failures = {"adam lr=1": "DataError: tokens\nare missing"}
    failed = dataclasses.replace(HALFWAY, failed=1, failures=failures)
    with SweepDisplay("sweep", Screen(plain)) as display:
        display.show(HALFWAY)
        display.show(failed)
        display.show(failed)
    told = [line for line in written(plain).splitlines() if "adam lr=1" in line]
    assert told == ["sweep: adam lr=1 failed: DataError: tokens"]


def test_a_run_shows_step_loss_and_time_left():
    terminal = console(terminal=True)
    with RunDisplay("run abc", Screen(terminal)) as display:
        display.show(50, 100, 3.25)
        drawn = written(terminal)
    assert "step 50/100, loss 3.2500, 0 s left" in drawn


def test_marks_of_the_console_in_a_line_are_shown_as_they_are():
    plain = console(terminal=False)
    Screen(plain).tell("file [bold]x[/bold].toml")
    assert written(plain) == "file [bold]x[/bold].toml\n"


def test_a_preparation_shows_its_rate_and_the_time_left():
    counts = Counts(train_tokens=1_200_000, held_out_tokens=34_000)
    progress = Preparation(
        counts=counts, wanted=3_000_000, share=0.4, tokens_per_second=52_345.6, seconds_left=125.0
    )
    plain = console(terminal=False)
    with PreparationDisplay("slimpajama", Screen(plain)) as display:
        display.show(progress)
        display.show(progress)
    line = "slimpajama: 1,234,000 of 3,000,000 tokens, 52,346/s, 2 min 05 s left"
    assert written(plain).splitlines() == [line]
    terminal = console(terminal=True)
    with PreparationDisplay("slimpajama", Screen(terminal)) as display:
        display.show(dataclasses.replace(progress, wanted=None, share=None, seconds_left=None))
    assert "1,234,000 tokens, 52,346/s, ? left" in written(terminal)
