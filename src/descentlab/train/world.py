"""The processes that train one run together, as torchrun starts them; usually there is one.

Every process reads the same global batch and takes its own rows of it, so a step has the
same batch in a world of any size. Gradients are means over a process's rows; since every
process has as many, their mean is that of the batch. They are reduced once a step,
however many micro-batches there are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from descentlab.data.batches import Tokens
from descentlab.errors import ConfigError

if TYPE_CHECKING:
    from descentlab.train.spec import RunSpec

T = TypeVar("T")

TIMEOUT = timedelta(minutes=10)
"""After which a process that waits for another at a step takes it for lost."""
PATIENCE = timedelta(days=7)
"""After which it does while the first works for all, as on a corpus of billions of tokens.

A first process that died is noticed at once, since its connections close.
"""
OF_TORCHRUN = ("RANK", "MASTER_ADDR", "MASTER_PORT")
"""What it tells each process by its environment, besides ``WORLD_SIZE``."""
BUCKET = 2**23
"""Entries of gradients that are reduced at a time: enough to be quick, few enough to hold twice."""


class World:
    """This process among those of the run."""

    def __init__(
        self, rank: int = 0, size: int = 1, patient: dist.ProcessGroup | None = None
    ) -> None:
        self.rank = rank
        self.size = size
        self._patient = patient

    @property
    def first(self) -> bool:
        """Whether this is the process that writes to the store."""
        return self.rank == 0

    def rows(self, rows_BL1: Tokens) -> Tokens:
        """This process's share of a batch, in order."""
        share = len(rows_BL1) // self.size
        return rows_BL1[self.rank * share : (self.rank + 1) * share]

    def check(self, spec: RunSpec) -> None:
        """Refuse what several processes cannot train together.

        Raises:
            ConfigError: saying what they can.
        """
        if self.size == 1:
            return
        batch_size = spec.training.batch_size
        if batch_size % self.size:
            raise ConfigError(
                f"training.batch_size: {batch_size} sequences cannot be shared evenly by "
                f"{self.size} processes; start a number of them that divides it"
            )
        if spec.probes is not None:
            raise ConfigError(
                f"probes: look into the optimizer of one process, not of {self.size}; leave the "
                "table out, or train in one"
            )
        if spec.execution.parallelism == "fsdp" and spec.precision == "bfloat16":
            raise ConfigError(
                'execution.parallelism: fsdp with precision = "bfloat16" is not allowed; take '
                '"bfloat16-master", or ddp'
            )

    def largest(self, *own: int) -> tuple[int, ...]:
        """The largest of each number over processes."""
        if self.size == 1:
            return own
        numbers = torch.tensor(own, dtype=torch.int64)
        dist.all_reduce(numbers, dist.ReduceOp.MAX)
        return tuple(numbers.tolist())

    def mean(self, value: float) -> float:
        """The mean of a number over processes, the same in each."""
        if self.size == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64)
        dist.all_reduce(total)
        return total.item() / self.size

    def by_first(self, work: Callable[[], T]) -> T:
        """Let the first process do some work, and return what it gave in each.

        Raises:
            Exception: what the first process raised, in each as well.
        """
        if self.size == 1:
            return work()
        box: list[Any] = [None, None]
        if self.first:
            try:
                box[0] = work()
            except Exception as error:
                box[1] = error
        dist.broadcast_object_list(box, src=0, group=self._patient, device=torch.device("cpu"))
        if box[1] is not None:
            raise box[1]
        return box[0]

    def gathered(self, own: Sequence[float]) -> list[float]:
        """The numbers of all processes, where process r gave those at r, r + size, ….

        They come back in their order, so that a sum over them is the single process's.
        """
        if self.size == 1:
            return list(own)
        parts: list[Any] = [None] * self.size
        dist.all_gather_object(parts, list(own))
        count = sum(map(len, parts))
        return [parts[n % self.size][n // self.size] for n in range(count)]

    def average(self, gradients: Sequence[Tensor]) -> None:
        """Replace gradients by their means over processes, in place, a bucket at a time.

        They are added in float32 at least, as those of micro-batches are.
        """
        if self.size == 1:
            return
        for bucket in _buckets(gradients):
            flat = torch.cat([each.flatten() for each in bucket])
            flat = flat.to(torch.promote_types(flat.dtype, torch.float32))
            dist.all_reduce(flat)
            flat /= self.size
            for gradient, part in zip(bucket, flat.split([g.numel() for g in bucket]), strict=True):
                gradient.copy_(part.view_as(gradient))


ALONE = World()
"""The only process there is."""


def _buckets(gradients: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Gradients of one type in groups of at most ``BUCKET`` entries, or of one tensor."""
    for dtype in dict.fromkeys(each.dtype for each in gradients):
        bucket: list[Tensor] = []
        for gradient in (each for each in gradients if each.dtype == dtype):
            if bucket and sum(g.numel() for g in bucket) + gradient.numel() > BUCKET:
                yield bucket
                bucket = []
            bucket.append(gradient)
        yield bucket


@contextmanager
def world() -> Iterator[World]:
    """Join the processes that torchrun started with this one, if it did.

    Raises:
        ConfigError: if torch was built without what they talk through, or if the environment
            has only a part of what torchrun sets.
    """
    _refuse_half_an_environment()
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World()
        return
    if not dist.is_available():
        raise ConfigError("WORLD_SIZE: this build of torch cannot train in several processes")
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=TIMEOUT)
    try:
        patient = dist.new_group(backend="gloo", timeout=PATIENCE)
        assert isinstance(patient, dist.ProcessGroup)
        yield World(dist.get_rank(), size, patient)
    finally:
        dist.destroy_process_group()


def _refuse_half_an_environment() -> None:
    """Refuse a ``WORLD_SIZE`` that torchrun has not set, as a cluster's template may have."""
    size = os.environ.get("WORLD_SIZE", "1")
    missing = [each for each in OF_TORCHRUN if each not in os.environ]
    if size != "1" and (missing or not size.isdecimal() or size == "0"):
        lacks = f" without {', '.join(missing)}" if missing else ""
        raise ConfigError(
            f"WORLD_SIZE: the environment has {size!r}{lacks}; unset it to train in one process, "
            "or start several with torchrun"
        )


def shard(model: nn.Module, blocks: Sequence[nn.Module], method: str) -> None:
    """Spread a model's parameters over all processes (FSDP2), in place.

    Args:
        model: the whole model, the same in every process.
        blocks: its parts that are gathered one at a time.
        method: of the model, through which its forward pass goes.
    """
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    for block in blocks:
        fully_shard(block)
    fully_shard(model)
    register_fsdp_forward_method(model, method)
