"""A driver was killed while its jobs were in Slurm's queue; another one is started."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import msgspec
import pytest
from oracles.fake_slurm import FakeSlurm
from oracles.toy_runs import TARGET, toy_run, trained

from descentlab.errors import CorruptError
from descentlab.runs.claims import Holder
from descentlab.runs.heartbeats import Beat
from descentlab.runs.identity import Run
from descentlab.runs.store import Store
from descentlab.sweep.driver import Sweep
from descentlab.sweep.executors.base import Task
from descentlab.sweep.executors.handover import Handover, work_through
from descentlab.sweep.progress import Progress
from descentlab.sweep.resources import Resources

pytest.importorskip("submitit")

from descentlab.sweep.executors import slurm as module
from descentlab.sweep.executors.slurm import SlurmExecutor

RUNS = [toy_run(number) for number in range(3)]


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return FakeSlurm(tmp_path / "bin")


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr("descentlab.sweep.driver.POLL_SECONDS", 0.02)
    monkeypatch.setattr("descentlab.sweep.driver.GRACE_SECONDS", 1.0)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store", create=True)


def executor(store: Store, pace: float = 5.0, **arguments) -> SlurmExecutor:
    return SlurmExecutor(store.root / "jobs", pace=pace, **arguments)


def task(store: Store, run: Run, pause_at: str = "") -> Task:
    return Task(TARGET, (str(store.root), msgspec.json.encode(run).decode(), pause_at, "old"))


def submitted(store: Store, tasks: list[Task], **arguments) -> SlurmExecutor:
    """A driver's executor, once its jobs are in the queue."""
    this = executor(store, **arguments)
    for each in tasks:
        this.submit(each)
    this.wait(0)
    return this


def left(store: Store, tasks: list[Task], **arguments) -> Handover:
    """The same, after its driver was killed."""
    submitted(store, tasks, **arguments)
    (folder,) = (store.root / "jobs").iterdir()
    rename_driver(folder, pid=2**22, started="0")
    return Handover(folder)


def rename_driver(folder: Path, **changes) -> None:
    path = folder / "drivers" / "driver.1"
    holder = msgspec.json.decode(path.read_bytes(), type=Holder)
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(holder, **changes)))


class Driver(Sweep):
    """Drives runs; once so many arrays were submitted by all drivers, something happens."""

    def __init__(self, store: Store, slurm: FakeSlurm, arrays: int, then, runs=RUNS, **arguments):
        self.lines: list[str] = []
        self.seen: list[Progress] = []
        self.happened = False

        def observe(progress: Progress) -> None:
            self.seen.append(progress)
            if not self.happened and len(slurm.told("sbatch")) == arrays:
                self.happened = True
                then()

        super().__init__(
            runs=runs,
            labels={},
            store=store,
            executor=executor(store, **arguments),
            target=TARGET,
            observe=observe,
            steps_of=lambda run: 2,
            tell=self.lines.append,
        )


def newest(store: Store) -> Handover:
    """The handover that a second driver has made."""
    return Handover(max((store.root / "jobs").iterdir(), key=lambda path: path.stat().st_ctime_ns))


def work(*handovers: Handover) -> None:
    for each in handovers:
        for name in each.bundles():
            work_through(each.folder, name)


def test_jobs_in_the_queue_are_the_new_drivers_and_none_is_submitted_again(slurm, store):
    old = left(store, [task(store, run) for run in RUNS])
    old.begin("1-1.0")
    slurm.lists(*(f"7_{n}|{slurm.name}|{'RUNNING' if n == 1 else 'PENDING'}" for n in range(3)))

    def go_on() -> None:
        assert this.seen[0].elsewhere == 0
        assert len(this.seen[0].running) == 3
        (old.folder / "begun" / "1-1.0").unlink()  # its process goes on, in this one
        work(old)

    this = Driver(store, slurm, 1, go_on)
    results = this.drive()
    assert [results[run.run_id].validation_loss for run in RUNS] == [0.0, 1.0, 2.0]
    assert len(slurm.told("sbatch")) == 1
    assert slurm.told("scancel") == []
    assert sorted(trained(store)) == sorted(run.run_id for run in RUNS)
    assert this.lines == ["jobs of a killed driver in the queue: 3 taken over"]
    assert old.bundles() == []


@pytest.mark.parametrize("how", ["other resources", "other settings", "asked to stop"])
def test_what_was_asked_for_otherwise_is_called_off_and_what_has_begun_is_waited_for(
    slurm, store, how
):
    as_before = [task(store, run, "1" if how == "other settings" else "") for run in RUNS]
    old = left(store, as_before)
    old.begin("1-1.0")
    if how == "asked to stop":
        old.ask("1-0.0", "stop")
        old.ask("1-2.0", "stop")
    first = slurm.name
    slurm.lists(*(f"7_{n}|{first}|{'RUNNING' if n == 1 else 'PENDING'}" for n in range(3)))
    arguments = {"resources": Resources(cores=2)} if how == "other resources" else {}

    def go_on() -> None:
        new = newest(store)
        assert new.folder != old.folder
        assert [new.tasks(name)[0].arguments[1] for name in new.bundles()] == [
            as_before[0].arguments[1],
            as_before[2].arguments[1],
        ]
        (old.folder / "begun" / "1-1.0").unlink()  # its process goes on, in this one
        work(old, new)

    this = Driver(store, slurm, 2, go_on, **arguments)
    assert len(this.drive()) == 3
    assert sorted(trained(store)) == sorted(run.run_id for run in RUNS)
    assert slurm.told("scancel") == ["--state=PENDING 7_0", "--state=PENDING 7_2"]
    said = "jobs of a killed driver in the queue: 1 taken over"
    assert this.lines == [f"{said}, 2 called off, not begun and asked for otherwise"]


def test_jobs_that_never_reached_the_queue_are_submitted_and_do_nothing_if_they_start(slurm, store):
    old = left(store, [task(store, run) for run in RUNS])
    slurm.lists("9|another|RUNNING")
    this = Driver(store, slurm, 2, lambda: work(newest(store)))
    assert len(this.drive()) == 3
    assert this.seen[-1].retried == 0  # nor were they lost
    work_through(old.folder, "1-0")
    assert sorted(trained(store)) == sorted(run.run_id for run in RUNS)


def test_a_try_that_had_failed_before_is_not_counted(slurm, store):
    run = toy_run(1, "fails once")
    store.register(run)
    old = left(store, [task(store, run)])
    work(old)
    assert store.status(run.run_id).state == "failed"
    this = Driver(store, slurm, 2, lambda: work(newest(store)), [run])
    assert this.drive()[run.run_id].generation == 2


@pytest.mark.parametrize("whose", ["a living driver's", "another study's"])
def test_the_jobs_of_others_are_left_alone(slurm, store, whose):
    if whose == "a living driver's":
        submitted(store, [task(store, run) for run in RUNS])
        (folder,) = (store.root / "jobs").iterdir()
        old = Handover(folder)
    else:
        old = left(store, [task(store, toy_run(9))])
    names = old.bundles()
    this = Driver(store, slurm, 2, lambda: work(newest(store)))
    assert len(this.drive()) == 3
    assert old.bundles() == names
    assert not (old.folder / "drivers" / "driver.2").exists()
    assert (slurm.told("scancel"), this.lines) == ([], [])


@pytest.mark.parametrize("alive", [True, False])
def test_a_driver_on_another_host_is_given_time_for_a_sign_of_life(slurm, store, alive):
    old = left(store, [task(store, run) for run in RUNS])
    rename_driver(old.folder, host="login-2", boot="")
    beat = old.folder / "drivers" / "beat.1"
    beat.write_bytes(msgspec.json.encode(Beat(count=1, step=0, ttl=1.0)))
    slurm.lists(*(f"7_{n}|{slurm.name}|PENDING" for n in range(3)))
    if alive:
        later = msgspec.json.encode(Beat(count=2, step=0, ttl=1.0))
        threading.Timer(0.6, lambda: beat.write_bytes(later)).start()
    lines: list[str] = []
    found = executor(store).take_over(lambda task: True, lines.append)
    assert len(found) == (0 if alive else 3)
    assert lines == [
        f"process {2**22} on login-2 has jobs in Slurm's queue; waiting for a sign of life of it, "
        "at most 120 s"
    ]


def test_of_two_drivers_one_takes_over(slurm, store):
    left(store, [task(store, run) for run in RUNS])
    slurm.lists(*(f"7_{n}|{slurm.name}|PENDING" for n in range(3)))
    both = [executor(store), executor(store)]
    counts = [len(each.take_over(lambda task: True, print)) for each in both]
    assert counts == [3, 0]


def test_a_driver_that_slept_leaves_its_jobs_to_the_one_that_took_them_over(slurm, store):
    asleep = executor(store, pace=0.02)
    jobs = [asleep.submit(task(store, run)) for run in RUNS]
    asleep.wait(0)
    (folder,) = (store.root / "jobs").iterdir()
    rename_driver(folder, pid=2**22, started="0")
    slurm.lists(*(f"7_{n}|{slurm.name}|PENDING" for n in range(3)))
    found = executor(store).take_over(lambda task: True, print)
    time.sleep(0.03)
    asleep.wait(0)
    assert [job.exit_code() for job in jobs] == [6, 6, 6]
    jobs[0].stop()
    assert [job.exit_code() for _, job, *_ in found] == [None] * 3
    assert (Handover(folder).bundles(), list((folder / "asked").iterdir())) == (
        ["1-0", "1-1", "1-2"],
        [],
    )
    asleep.submit(task(store, RUNS[0]))
    asleep.wait(0)
    assert len(list((store.root / "jobs").iterdir())) == 2  # it has a folder of its own again


def test_while_slurm_says_nothing_the_jobs_are_believed_in(slurm, store):
    left(store, [task(store, run) for run in RUNS])
    slurm.tell("squeue", "slurm_load_jobs error: Unable to contact slurm controller\n", code=1)
    assert len(executor(store).take_over(lambda task: True, print)) == 3


def test_a_run_that_two_killed_drivers_submitted_goes_on_where_it_has_begun(slurm, store):
    first = left(store, [task(store, RUNS[0])])
    name = slurm.name
    submitted(store, [task(store, RUNS[0])])
    second = newest(store)
    rename_driver(second.folder, pid=2**22, started="0")
    begun = max([first, second], key=lambda each: each.folder.name)  # the last one that is found
    begun.begin("1-0.0")
    slurm.lists(f"7|{name}|RUNNING", f"8|{slurm.name}|RUNNING")

    def go_on() -> None:
        (begun.folder / "begun" / "1-0.0").unlink()  # its process goes on, in this one
        work(begun)

    this = Driver(store, slurm, 2, go_on, RUNS[:1])
    assert len(this.drive()) == 1
    assert len(slurm.told("sbatch")) == 2
    assert ": 1 taken over, 1 called off" in this.lines[0]


def test_a_damaged_file_of_theirs_is_named(slurm, store):
    old = left(store, [task(store, run) for run in RUNS])
    path = old.folder / "tasks" / "1-1.json"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(CorruptError, match=r"1-1\.json: damaged .*delete it"):
        executor(store).take_over(lambda task: True, print)


def test_its_own_folder_is_not_taken_for_one_of_a_killed_driver(slurm, store):
    this = submitted(store, [task(store, run) for run in RUNS])
    assert this.take_over(lambda task: True, print) == []
    assert module.PREFIX in slurm.name
