"""A driver in a process of its own, which tests kill, stop and wake:

python -m oracles.toy_driver STORE RUNS WORKERS HOST [SETTING=NUMBER …]
"""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]


def start(
    store: Path,
    runs: int,
    *,
    workers: int = 0,
    host: str = "",
    preload: str = "",
    bug: str = "",
    **settings: float,
) -> subprocess.Popen[str]:
    """Start a driver of toy runs.

    Args:
        store: the folder.
        runs: how many, numbered from 0.
        workers: processes that train; 0 trains in the driver's.
        host: what it takes its host to be called; this one's name if empty.
        preload: a library that changes what the system tells it.
        bug: of this module, a function to call first.
        settings: of every run.
    """
    paths = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    more = [f"{name}={value}" for name, value in settings.items()]
    return subprocess.Popen(
        [sys.executable, "-m", __name__, str(store), str(runs), str(workers), host, *more],
        env={**os.environ, "PYTHONPATH": paths, "LD_PRELOAD": preload, "BUG": bug},
        stderr=subprocess.PIPE,
        text=True,
    )


def main(store: str, runs: str, workers: str, host: str, *settings: str) -> int:
    from oracles.toy_runs import TARGET, toy_run

    from descentlab.runs.store import Store
    from descentlab.sweep.driver import Sweep
    from descentlab.sweep.executors.inline import InlineExecutor
    from descentlab.sweep.executors.local import LocalExecutor

    if host:
        platform.node = lambda: host
    more = {name: float(value) for name, _, value in (each.partition("=") for each in settings)}
    more = {name: int(value) if value.is_integer() else value for name, value in more.items()}
    everything = [toy_run(number, "traced", **more) for number in range(int(runs))]
    executor = InlineExecutor()
    if int(workers):
        executor = LocalExecutor(int(workers), preload=("oracles.toy_runs",))
    results = Sweep(
        runs=everything,
        labels={},
        store=Store(Path(store), create=True),
        executor=executor,
        target=TARGET,
        observe=lambda progress: None,
        steps_of=lambda run: 2,
    ).drive()
    return 0 if len(results) == int(runs) else 9


def takes_every_holder_for_dead() -> None:
    from descentlab.runs.claims import Holder

    Holder.alive = lambda self: False


def fences_nobody_and_publishes_over_a_result() -> None:
    from descentlab.runs.folder import Attempt, Result
    from descentlab.runs.heartbeats import Heart
    from descentlab.runs.store import Store

    finish = Attempt.finish

    def finishing(self: Attempt, result: Result) -> bool:
        self.run_folder.done.unlink(missing_ok=True)
        return finish(self, result)

    Store.owns = lambda self, attempt: True
    Heart._look = lambda self: None
    Attempt.finish = finishing


if __name__ == "__main__":
    if os.environ["BUG"]:
        globals()[os.environ["BUG"]]()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(main(*sys.argv[1:]))
