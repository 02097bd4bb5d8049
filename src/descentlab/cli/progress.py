"""What long work looks like in a terminal, and as plain lines elsewhere."""

from __future__ import annotations

import math
import time
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from descentlab.data.meter import Progress as Preparation
from descentlab.sweep.progress import Progress

DRAWING_SECONDS = 0.1
PLAIN_SECONDS = 15.0
"""Between two lines where there is no terminal to redraw."""


def duration(seconds: float | None) -> str:
    """Write seconds as people say them.

    >>> duration(None), duration(7.2), duration(125), duration(7300)
    ('?', '7 s', '2 min 05 s', '2 h 01 min')
    """
    if seconds is None:
        return "?"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class Screen:
    """Standard error: a drawing that changes in a terminal, a line now and then elsewhere.

    Args:
        console: to draw on.
        quiet: show nothing.
    """

    def __init__(self, console: Console | None = None, *, quiet: bool = False) -> None:
        self._console = console or Console(stderr=True, quiet=quiet)
        self._live: Live | None = None
        self._last_shown = -math.inf

    def tell(self, line: str) -> None:
        """Print one line that stays."""
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def draw(self, drawing: RenderableType, line: str) -> None:
        """Show the drawing in place of the last one, or its line if one is due."""
        terminal = self._console.is_terminal
        if time.monotonic() - self._last_shown < (DRAWING_SECONDS if terminal else PLAIN_SECONDS):
            return
        self._last_shown = time.monotonic()
        if not terminal:
            self.tell(line)
            return
        if self._live is None:
            self._live = Live(console=self._console, transient=True, auto_refresh=False)
            self._live.start()
        self._live.update(drawing, refresh=True)

    def clear(self) -> None:
        """Take the drawing away."""
        if self._live is not None:
            self._live.stop()
            self._live = None


class Display:
    """What is drawn while a block lasts, and taken away at its end.

    Args:
        title: of the work.
        screen: to draw on.
    """

    def __init__(self, title: str, screen: Screen) -> None:
        self._title = title
        self._screen = screen

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._screen.clear()
        self._end()

    def _end(self) -> None:
        """Say what is to stay."""


class SweepDisplay(Display):
    """A sweep's bar, and one for each run that is being trained; its last line stays."""

    def __init__(self, title: str, screen: Screen) -> None:
        super().__init__(title, screen)
        self._latest: Progress | None = None
        self._told: set[str] = set()

    def _end(self) -> None:
        if self._latest is not None:
            self._screen.tell(f"{self._title}: {self._line(self._latest)}")

    def show(self, progress: Progress) -> None:
        """Say how far the sweep is."""
        self._latest = progress
        for label in progress.failures.keys() - self._told:
            self._told.add(label)
            reason = next(iter(progress.failures[label].splitlines()), "")
            self._screen.tell(f"{self._title}: {label} failed: {reason}")
        if progress.done < progress.total:
            line = f"{self._title}: {self._line(progress)}"
            self._screen.draw(self._drawing(progress), line)

    def _line(self, progress: Progress) -> str:
        parts = [f"{progress.done}/{progress.total} runs"]
        if progress.spent is not None:
            share = progress.spent.so_far / max(1, progress.total)
            parts = [f"{progress.done} of {progress.total} runs whole, {share:.0%} of all training"]
        if progress.already_done:
            parts.append(f"{progress.already_done} of them from before")
        if progress.diverged:
            parts.append(f"{progress.diverged} diverged")
        if progress.failed:
            parts.append(f"{progress.failed} failed")
        if progress.retried:
            tries = "try" if progress.retried == 1 else "tries"
            parts.append(f"{progress.retried} {tries} failed and followed by another")
        if progress.elsewhere:
            parts.append(f"{progress.elsewhere} at work in another process")
        if progress.raced is not None and progress.raced.stopped:
            parts.append(f"{progress.raced.stopped} stopped by racing")
        if progress.best is not None:
            parts.append(f"best {progress.best.loss:.4f} ({progress.best.label})")
        parts.append(duration(progress.elapsed))
        if progress.spent is not None and progress.spent.asked > 0:
            parts.append(f"{duration(progress.seconds_left)} to the next decision")
        elif progress.spent is None and progress.done < progress.total:
            parts.append(f"{duration(progress.seconds_left)} left")
        return ", ".join(parts)

    def _drawing(self, progress: Progress) -> RenderableType:
        bars = Table.grid(padding=(0, 1))
        whole = ProgressBar(total=max(1, progress.total), completed=progress.done, width=30)
        bars.add_row(Text(self._title, style="bold"), whole, Text(self._line(progress)))
        for run in progress.running:
            share = ProgressBar(total=run.steps, completed=run.step, width=30)
            loss = "" if run.loss is None else f"loss {run.loss:.4f}, "
            left = f"step {run.step}/{run.steps}, {loss}{duration(run.seconds_left)} left"
            bars.add_row(Text("  " + run.label), share, Text(left))
        if progress.raced is not None:
            return Group(bars, Text(f"  racing: {progress.raced.last}", style="dim"))
        return Group(bars)


class RunDisplay(Display):
    """One run's bar with its loss and the time left."""

    def __init__(self, title: str, screen: Screen) -> None:
        super().__init__(title, screen)
        self._began = time.monotonic()
        self._resumed_after: int | None = None

    def show(self, step: int, steps: int, loss: float) -> None:
        """Say that a step was made."""
        if self._resumed_after is None:
            self._resumed_after = step - 1
        seconds = (time.monotonic() - self._began) / (step - self._resumed_after)
        left = seconds * (steps - step)
        line = f"step {step}/{steps}, loss {loss:.4f}, {duration(left)} left"
        bar = Table.grid(padding=(0, 1))
        share = ProgressBar(total=steps, completed=step, width=30)
        bar.add_row(Text(self._title, style="bold"), share, Text(line))
        self._screen.draw(bar, f"{self._title}: {line}")


class PreparationDisplay(Display):
    """A preparation's bar with its rate and the time left."""

    def show(self, progress: Preparation) -> None:
        """Say how far the preparation is, from when there is a rate on."""
        if not progress.tokens_per_second:
            return
        counts = progress.counts
        done = f"{counts.train_tokens + counts.held_out_tokens:,}"
        line = f"{done} of {progress.wanted:,} tokens" if progress.wanted else f"{done} tokens"
        line += f", {progress.tokens_per_second:,.0f}/s, {duration(progress.seconds_left)} left"
        bar = Table.grid(padding=(0, 1))
        share = ProgressBar(total=1.0, completed=progress.share or 0.0, width=30)
        bar.add_row(Text(self._title, style="bold"), share, Text(line))
        self._screen.draw(bar, f"{self._title}: {line}")
