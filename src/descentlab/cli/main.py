"""Entry point of ``descent``: parses, and turns every ending into its exit code."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from types import FrameType

import tyro

from descentlab import __version__
from descentlab.cli import (
    bench,
    check_optimizer,
    cost_card,
    filters,
    probes,
    quadratic,
    reproduce,
    runs,
    sweep,
    train,
)
from descentlab.errors import ConfigError, DescentError, Interrupted, StorageError, nearest

COMMANDS: dict[str, Callable[..., None]] = {
    "reproduce": reproduce.reproduce,
    "train": train.train,
    "sweep": sweep.sweep,
    "runs": runs.runs,
    "show": runs.show,
    "probes": probes.probes,
    "check-optimizer": check_optimizer.check_optimizer,
    "cost-card": cost_card.cost_card,
    "bench": bench.bench,
    "filters": filters.filters,
    "quadratic": quadratic.quadratic,
}

DESCRIPTION = (
    f"descentlab {__version__}: train language models with many optimizers and say, with "
    "evidence, which one wins.\n\nStart with: descent reproduce table1"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0 ok, 1 a bug, 2 usage or settings, 3 data, 4 storage, 5 corrupt, 6 busy, 7 sweep with
    failed runs, 8 an optimizer that failed checks, 130 and 143 stopped by INT and TERM.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if list(arguments) == ["--version"]:
        print(f"descentlab {__version__}")
        return 0
    if arguments and not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
        hint = nearest(arguments[0], COMMANDS)
        print(f"error: no command is called {arguments[0]!r}; {hint}", file=sys.stderr)
        return ConfigError.exit_code
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    try:
        tyro.extras.subcommand_cli_from_dict(
            COMMANDS, prog="descent", description=DESCRIPTION, args=arguments
        )
    except DescentError as error:
        start = "\n" if isinstance(error, Interrupted) and sys.stderr.isatty() else ""  # after ^C
        print(f"{start}error: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # the reader of our output has gone, as in `descent runs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return StorageError.exit_code
    except Exception:
        traceback.print_exc()
        print("error: this is a bug in descentlab; please report the lines above", file=sys.stderr)
        return 1
    return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Stop the command; a second signal ends the process at once."""
    signal.signal(number, signal.SIG_DFL)
    raise Interrupted("stopped; the same command goes on from here", number)


def run() -> None:
    """The console script."""
    sys.exit(main())
