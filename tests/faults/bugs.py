"""Mistakes to plant in a process, each of which the harness must notice."""

from __future__ import annotations

import ctypes
import math
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import torch

from descentlab import storage
from descentlab.config import seal
from descentlab.runs import checkpoints, heartbeats, records, store
from descentlab.train import loop, state
from descentlab.train.loop import Training


def writes_in_place() -> None:
    def publish(aside: Any, manifest: Any, final: Any) -> None:
        shutil.copytree(aside, final)
        content = seal(msgspec.json.encode(manifest, order="sorted"))
        (final / checkpoints.MANIFEST).write_bytes(content)

    checkpoints._publish = publish


def removes_the_only_checkpoint_before_the_next() -> None:
    save = checkpoints.save

    def saving(attempt: Any, *arguments: Any, **settings: Any) -> Any:
        for path in checkpoints.stored(attempt):
            checkpoints.remove(attempt.run_folder, path)
        return save(attempt, *arguments, **settings)

    checkpoints.save = saving


def removes_what_it_goes_on_from() -> None:
    adopt, publish = checkpoints.adopt, checkpoints._publish

    def adopting(found: Any, attempt: Any) -> Any:
        def publishing(*arguments: Any) -> None:
            shutil.rmtree(found.path)
            publish(*arguments)

        checkpoints._publish = publishing
        try:
            return adopt(found, attempt)
        finally:
            checkpoints._publish = publish

    checkpoints.adopt = adopting


def does_not_cut_the_records() -> None:
    adopt = checkpoints.adopt

    def adopting(found: Any, attempt: Any) -> Any:
        adopted = adopt(found, attempt)
        attempt.metrics.write_bytes(found.attempt.metrics.read_bytes())
        return adopted

    checkpoints.adopt = adopting


def _after_restoring(change: Callable[[str, torch.optim.Optimizer], None]) -> None:
    restore = state.restore

    def restoring(snapshot: Any, model: Any, optimizers: Any) -> None:
        restore(snapshot, model, optimizers)
        for name, (optimizer, _) in optimizers.items():
            change(name, optimizer)

    state.restore = restoring


def leaves_the_optimizer_state_out() -> None:
    _after_restoring(lambda name, each: each.state.clear() if name == "optimizer" else None)


def leaves_the_shadows_out() -> None:
    _after_restoring(lambda name, each: each.state.clear() if name != "optimizer" else None)


def _tensors(optimizer: torch.optim.Optimizer) -> Iterator[torch.Tensor]:
    for kept in optimizer.state.values():
        yield from (each for each in kept.values() if isinstance(each, torch.Tensor))


def leaves_the_step_count_out() -> None:
    def change(name: str, optimizer: torch.optim.Optimizer) -> None:
        for each in _tensors(optimizer):
            if each.dim() == 0:
                each.zero_()

    _after_restoring(change)


def restores_the_state_as_bfloat16() -> None:
    def change(name: str, optimizer: torch.optim.Optimizer) -> None:
        for each in _tensors(optimizer):
            if each.is_floating_point():
                each.copy_(each.bfloat16())

    _after_restoring(change)


def _after_going_on(change: Callable[[Training], None]) -> None:
    restore = Training.restore

    def restoring(self: Training, snapshot: Any) -> None:
        restore(self, snapshot)
        change(self)

    Training.restore = restoring


def is_one_batch_late() -> None:
    def change(training: Any) -> None:
        batches = training.batches
        training.batches = lambda step: batches(step - 1)

    _after_going_on(change)


def forgets_the_held_out_loss() -> None:
    def change(training: Training) -> None:
        training.validation_loss = math.nan

    _after_going_on(change)


def never_flushes_a_checkpoint() -> None:
    checkpoints.flush = lambda path: None


def renames_before_it_flushes() -> None:
    def publish(aside: Any, manifest: Any, final: Any) -> None:
        (aside / checkpoints.MANIFEST).write_bytes(
            seal(msgspec.json.encode(manifest, order="sorted"))
        )
        storage.make_folder(final.parent)
        aside.rename(final)
        storage.flush(final.parent)
        storage.flush(final / checkpoints.MANIFEST)
        storage.flush(final)

    checkpoints._publish = publish


def never_flushes_the_records() -> None:
    records.RecordWriter.flush = lambda self: None


def never_flushes_a_new_folder() -> None:
    store.make_folder = lambda path: path.mkdir(parents=True, exist_ok=True)


def has_another_torch() -> None:
    """No bug either: another machine, as far as a run can tell."""
    torch.__version__ = "0.0.0"


def never_ends_its_third_step() -> None:
    """No bug: a call of C that no signal interrupts, as a long backward pass is."""
    gradient = Training.leave_gradient

    def endless(self: Training, rows_BL1: Any) -> float:
        if self.step == 2:
            print("in its third step", flush=True)
            mutex, libc = ctypes.create_string_buffer(64), ctypes.CDLL(None)
            for _ in range(2):  # nobody unlocks it
                libc.pthread_mutex_lock(mutex)
        return gradient(self, rows_BL1)

    Training.leave_gradient = endless


def never_looks_at_its_claim() -> None:
    store.Store.owns = lambda self, attempt: True


def has_a_quiet_heart() -> None:
    """No bug: the calls of a run would not be the same each time if it beat between them."""
    heartbeats.BEATS = 0.01  # per TTL


def does_not_feel_its_heart() -> None:
    heartbeats.Heart._look = lambda self: None


def is_slow_in_its_first_step_and_in_evaluations() -> None:
    """No bug: compilation, and much held-out text."""
    gradient, evaluate = Training.leave_gradient, loop.evaluate

    def slow(self: Training, rows_BL1: Any) -> float:
        if self.step == 0:
            time.sleep(0.8)
        return gradient(self, rows_BL1)

    def evaluating(*arguments: Any, **settings: Any) -> float:
        time.sleep(0.8)
        return evaluate(*arguments, **settings)

    Training.leave_gradient, loop.evaluate = slow, evaluating


AT_A_SECOND_KILL = (removes_what_it_goes_on_from,)
"""What shows when the process is killed that goes on."""

AT_A_KILL = (
    writes_in_place,
    removes_the_only_checkpoint_before_the_next,
    does_not_cut_the_records,
    leaves_the_optimizer_state_out,
    leaves_the_shadows_out,
    leaves_the_step_count_out,
    restores_the_state_as_bfloat16,
    is_one_batch_late,
    forgets_the_held_out_loss,
)
"""What shows when a process is killed."""

WITHOUT_POWER = (
    never_flushes_a_checkpoint,
    renames_before_it_flushes,
    never_flushes_the_records,
    never_flushes_a_new_folder,
)
"""What shows only when the power goes."""
