"""Entry point of ``descent``: parses, and turns every ending into its exit code."""

from __future__ import annotations

import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from types import FrameType

import tyro

from descentlab import __version__
from descentlab.cli import (
    ablate,
    audit,
    bench,
    certify,
    check_optimizer,
    claims,
    compare,
    completion,
    cost_card,
    data,
    examples,
    filters,
    imports,
    plan,
    probes,
    quadratic,
    query,
    replay,
    replay_step,
    report,
    reproduce,
    runs,
    serve,
    sweep,
    train,
    worker,
)
from descentlab.cli.overview import overview
from descentlab.cli.second_signal import leave_at_second_signal
from descentlab.errors import (
    ConfigError,
    DescentError,
    Interrupted,
    Preempted,
    StorageError,
    nearest,
)

COMMANDS: dict[str, Callable[..., None]] = {
    "reproduce": reproduce.reproduce,
    "compare": compare.compare,
    "ablate": ablate.ablate,
    "train": train.train,
    "plan": plan.plan,
    "sweep": sweep.sweep,
    "worker": worker.worker,
    "runs": runs.runs,
    "show": runs.show,
    "serve": serve.serve,
    "query": query.query,
    "replay": replay.replay,
    "replay-step": replay_step.replay_step,
    "probes": probes.probes,
    "audit": audit.audit,
    "certify": certify.certify,
    "data": data.data,
    "import": imports.import_,
    "claims": claims.claims,
    "report": report.report,
    "check-optimizer": check_optimizer.check_optimizer,
    "cost-card": cost_card.cost_card,
    "bench": bench.bench,
    "filters": filters.filters,
    "quadratic": quadratic.quadratic,
    "examples": examples.examples,
    "completion": completion.completion,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0 ok, 1 a bug, 2 usage or settings, 3 data, 4 storage, 5 corrupt, 6 busy, 7 sweep with
    failed runs, 8 an optimizer, a resumption or a comparison that failed checks, 75 a run stopped
    by a signal with its state saved, 130 and 143 stopped by INT and TERM.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if list(arguments) == ["--version"]:
        print(f"descentlab {__version__}")
        return 0
    if not arguments or arguments[0] in ("-h", "--help"):
        print(overview(COMMANDS))
        return 0 if arguments else ConfigError.exit_code
    if arguments and not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
        hint = nearest(arguments[0], COMMANDS)
        print(f"error: no command is called {arguments[0]!r}; {hint}", file=sys.stderr)
        return ConfigError.exit_code
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, _interrupt)
    arguments = assignments_first(arguments)
    try:
        tyro.extras.subcommand_cli_from_dict(COMMANDS, prog="descent", args=arguments)
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


def assignments_first(arguments: Sequence[str]) -> list[str]:
    """Put ``key=value`` arguments before the options, where the parser wants them.

    A dotted key is one wherever it stands, a plain one only if no option comes right before.

    >>> assignments_first(["train", "a.toml", "--store", "s", "optimizer.lr=1", "seed=2"])
    ['train', 'a.toml', 'optimizer.lr=1', 'seed=2', '--store', 's']
    """
    first = next((n for n, each in enumerate(arguments) if each.startswith("-")), len(arguments))
    if first < 2:  # what they belong to comes after the options
        return list(arguments)
    moved: list[str] = []
    kept: list[str] = []
    for before, each in zip(arguments[first - 1 :], arguments[first:], strict=False):
        plain = re.match(r"\w+=", each) and not before.startswith("-")
        is_assignment = re.match(r"[a-z]\w*(\.\w+)+=", each) or plain
        (moved if is_assignment else kept).append(each)
    return [*arguments[:first], *moved, *kept]


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Stop the command; a second signal ends the process at once."""
    signal.signal(number, signal.SIG_DFL)
    asks_only_for_time = number in (signal.SIGUSR1, signal.SIGUSR2)
    kind = Preempted if asks_only_for_time else Interrupted
    raise kind("stopped; the same command goes on from here", number)


def run() -> None:
    """The console script."""
    leave_at_second_signal()
    sys.exit(main())
