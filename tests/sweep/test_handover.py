from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from descentlab.errors import DataError
from descentlab.sweep.executors import handover as module
from descentlab.sweep.executors.base import Task
from descentlab.sweep.executors.handover import Handover, work_through
from descentlab.sweep.executors.inline import call

TESTS = Path(__file__).parents[1]


@pytest.fixture
def handover(tmp_path):
    made = Handover(tmp_path / "jobs")
    made.create()
    return made


def echo(path: Path) -> Task:
    return Task("oracles.toy_runs:echo", (str(path), "x"))


def codes(handover: Handover, bundle: str, count: int) -> list[int | None]:
    back = handover.codes({f"{bundle}.{place}" for place in range(count)})
    return [back.get(f"{bundle}.{place}") for place in range(count)]


def test_tasks_are_called_and_their_codes_come_back(handover, tmp_path):
    handover.give("3", [echo(tmp_path / "a"), Task("oracles.toy_runs:leave", ("4",))])
    assert codes(handover, "3", 2) == [None, None]
    work_through(handover.folder, "3")
    assert codes(handover, "3", 2) == [0, 4]
    assert (tmp_path / "a").read_text() == "x"


def test_a_job_that_is_started_twice_begins_no_task_again(handover, tmp_path):
    handover.give("0", [echo(tmp_path / "a")])
    work_through(handover.folder, "0")
    (tmp_path / "a").unlink()
    work_through(handover.folder, "0")
    handover.clear("0", 1)
    work_through(handover.folder, "0")
    assert not (tmp_path / "a").exists()


def test_processes_divide_the_tasks_among_them(handover, tmp_path):
    handover.give("0", [echo(tmp_path / str(place)) for place in range(5)])
    work_through(handover.folder, "0", process=1, processes=2)
    assert codes(handover, "0", 5) == [None, 0, None, 0, None]
    work_through(handover.folder, "0", process=0, processes=2)
    assert codes(handover, "0", 5) == [0] * 5


@pytest.mark.parametrize(("wish", "code"), [("stop", 75), ("kill", -9)])
def test_what_was_called_off_before_it_began_never_begins(handover, tmp_path, wish, code):
    handover.give("0", [echo(tmp_path / "a"), echo(tmp_path / "b")])
    handover.ask("0.0", wish)
    work_through(handover.folder, "0")
    assert codes(handover, "0", 2) == [code, 0]
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_of_the_scheduler_ends_all_that_a_job_has_to_do(handover, tmp_path, number):
    handlers = [signal.getsignal(each) for each in module.STOPPING]
    signalled = Task("oracles.toy_tasks:die", (str(int(number)),))
    handover.give("0", [signalled, echo(tmp_path / "b")])
    work_through(handover.folder, "0")
    assert codes(handover, "0", 2) == [75, 75]
    assert not (tmp_path / "b").exists()
    assert [signal.getsignal(each) for each in module.STOPPING] == handlers


def when_begun(path: Path, action) -> threading.Thread:
    def wait() -> None:
        while not (path.exists() and path.read_text()):
            time.sleep(0.01)
        action()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_a_signal_that_the_task_itself_handles_ends_the_others_too(handover, tmp_path):
    held = Task("oracles.toy_tasks:until_stopped", (str(tmp_path / "pid"),))
    handover.give("0", [held, echo(tmp_path / "b")])
    thread = when_begun(tmp_path / "pid", lambda: os.kill(os.getpid(), signal.SIGUSR2))
    work_through(handover.folder, "0")
    thread.join()
    assert codes(handover, "0", 2) == [75, 75]


def test_the_driver_may_stop_one_task_and_let_the_next_go_on(handover, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    held = Task("oracles.toy_tasks:until_stopped", (str(tmp_path / "pid"),))
    handover.give("0", [held, echo(tmp_path / "b")])
    thread = when_begun(tmp_path / "pid", lambda: handover.ask("0.0", "stop"))
    work_through(handover.folder, "0")
    thread.join()
    assert codes(handover, "0", 2) == [75, 0]


def test_a_task_that_is_killed_says_so_and_takes_its_process_with_it(handover, tmp_path):
    held = Task("oracles.toy_runs:sleep_forever", (str(tmp_path / "pid"),))
    handover.give("0", [held, echo(tmp_path / "b")])
    program = (
        "import sys; from pathlib import Path\n"
        "from descentlab.sweep.executors.handover import work_through\n"
        "work_through(Path(sys.argv[1]), '0')"
    )
    job = subprocess.Popen(
        [sys.executable, "-c", program, str(handover.folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])},
    )
    when_begun(tmp_path / "pid", lambda: handover.ask("0.0", "kill")).join()
    assert job.wait() == -signal.SIGKILL
    assert codes(handover, "0", 2) == [-signal.SIGKILL, None]
    assert handover.begun("0.0")
    assert not handover.begun("0.1")


def test_the_first_code_stands(handover):
    handover.end("0.0", 0)
    handover.end("0.0", -9)
    assert codes(handover, "0", 1) == [0]


def test_an_error_of_the_program_is_its_exit_code(handover, monkeypatch, capsys):
    def refuse(path: str, text: str) -> None:
        raise DataError("no such corpus")

    monkeypatch.setattr("oracles.toy_runs.echo", refuse)
    assert call(echo(Path("a"))) == 3
    assert capsys.readouterr().err == ""
