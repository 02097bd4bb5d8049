"""Everything that decides a run, as one checked and frozen struct."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from descentlab.config import NonNegative, NonNegativeInt, PositiveInt, build, shown
from descentlab.data.spec import DataSpec
from descentlab.errors import ConfigError, SettingError
from descentlab.model.spec import ModelSpec, named
from descentlab.optim.methods import AnyMethod, ClassMethod
from descentlab.runs.heartbeats import TTL
from descentlab.train.conventions import with_conventions
from descentlab.train.loggers.names import Name as LoggerName
from descentlab.train.probe_spec import ProbeSpec
from descentlab.train.schedule import Schedule

Precision = Literal["float32", "bfloat16-autocast", "bfloat16-master", "bfloat16"]
"""In what types a run computes; the optimizer's state is in float32 in each.

- ``float32``: everything.
- ``bfloat16-autocast``: weights and residual stream in float32, matrix products in bfloat16.
- ``bfloat16-master``: bfloat16 but for the weights that the optimizer updates, which are cast
  where they are used; norms and the loss compute in float32.
- ``bfloat16``: the weights as well. An update of less than 2⁻⁹ of a weight is lost.
"""


class Training(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long a run trains, and on how much at a time."""

    steps: PositiveInt
    """Updates of the weights."""
    batch_size: PositiveInt
    """Sequences per step, whatever the micro-batch."""
    evaluate_every: NonNegativeInt = 0
    """Steps between evaluations on the held-out tokens; the last step always has one."""


class Execution(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a run is computed; not part of what it is."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """``auto`` takes CUDA where it is present."""
    threads: Annotated[int, msgspec.Meta(ge=0, le=1024)] = 0
    """CPU threads; 0 takes all that torch finds. The count can change the last bits."""
    micro_batch: PositiveInt | None = None
    """Sequences that go through the model at once; the whole batch if left out."""
    parallelism: Literal["ddp", "fsdp"] = "ddp"
    """With several processes, started by torchrun: each holds the whole model and optimizer, or
    they are spread over all (FSDP2)."""
    checkpoint_every: NonNegativeInt = 0
    """Steps between checkpoints; 0 leaves it to the time."""
    checkpoint_minutes: NonNegative = 10.0
    """Minutes between checkpoints, at the next step; 0 leaves it to the steps."""
    final_checkpoint: bool = False
    """Keep the state after the last step; otherwise a finished run keeps no checkpoint."""
    resume: Literal["exact", "inexact", "restart"] = "exact"
    """What to do with an interrupted run's checkpoint: go on from it where that gives the same
    bits; go on wherever, and say so in the result for good; or begin at the first step."""
    compile: Literal["auto", "never", "always"] = "auto"
    """Compile the model; ``auto`` does where the run is long enough to pay it back."""
    attention: Literal["auto", "sdpa", "matmul"] = "auto"
    """Torch's fused attention, or one over all pairs of positions, for short sequences."""
    projection: Literal["auto", "torch", "onednn"] = "auto"
    """The library for float32 matrix products on a CPU; ``auto`` measures if it compiles."""
    activation_checkpointing: bool = False
    """Keep only what goes into each block, and compute the rest again in the backward pass."""
    loss_chunk: PositiveInt | None = None
    """Tokens whose logits are held at once; if left out, those of 256 MiB, or 2 GiB on a GPU."""
    tf32: bool = False
    """Let a GPU round the factors of float32 products to 10 bits."""
    takeover_after: Annotated[float, msgspec.Meta(gt=0)] = TTL
    """Seconds for which the run's heartbeat may stand still before another process takes over."""
    hang_after: NonNegative = 1800.0
    """Seconds that a step may take before the run counts as hung and its process is ended; what
    comes before the end of the first step, and an evaluation, may take ten times as long. 0 waits
    for ever."""
    loggers: tuple[LoggerName, ...] = ()
    """Where else to show what the run puts on record, as it trains: W&B, TensorBoard."""


class RunSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run: model, data, optimizer, schedule, training, seed; and how it is computed.

    The seed draws the initial weights and the order of the rows, the same for every
    optimizer.
    """

    shorthands: ClassVar[tuple[str, ...]] = ("conventions",)
    """Keys of a spec file that stand for settings."""

    model: ModelSpec
    """The transformer."""
    data: DataSpec
    """What is read, and what is held out."""
    optimizer: AnyMethod
    """The method, ``method``, and its settings."""
    training: Training
    """How long, and on how much at a time."""
    schedule: Schedule = Schedule()
    """The learning rate over the steps."""
    execution: Execution = Execution()
    """How the run is computed; not part of what it is."""
    precision: Precision = "float32"
    """In what types the run computes: weights, matrix products or both in bfloat16, or neither."""
    probes: ProbeSpec | None = None
    """Diagnostics; none if left out."""
    seed: NonNegativeInt = 0
    """Draws the initial weights and the order of the batches."""

    def __post_init__(self) -> None:
        vocabulary = self.data.vocabulary
        if vocabulary is not None and vocabulary > self.model.vocabulary:
            raise ConfigError(
                f"data.vocabulary: {vocabulary} tokens do not fit a model.vocabulary of "
                f"{self.model.vocabulary}"
            )
        floor = self.schedule.floor_lr(self.optimizer.lr)
        if floor > self.optimizer.lr:
            raise ConfigError(
                f"schedule.floor: ends at a learning rate of {floor:g}, above the peak of "
                f"{self.optimizer.lr:g}"
            )
        if self.probes is not None:
            self._check_probes(self.probes)
            self.probes.check_steps(self.training.steps)

    def _check_probes(self, probes: ProbeSpec) -> None:
        """Refuse to look into what nobody knows the inside of."""
        for key, method in (
            ("optimizer", self.optimizer),
            *(("probes.shadows", each) for each in probes.shadows),
        ):
            if isinstance(method, ClassMethod):
                raise ConfigError(
                    f"{key}: probes look into descentlab's own methods, not into {method.path}; "
                    "leave out probes, or name a method"
                )

    @property
    def micro_batch(self) -> int:
        """Sequences that go through the model at once."""
        batch_size = self.training.batch_size
        return min(self.execution.micro_batch or batch_size, batch_size)

    def identity(self) -> dict[str, Any]:
        """The canonical settings that decide the result, besides the tokens themselves.

        The corpus, the tokenizer and the split are not among them: their tokens' hash
        stands for them in the run's id. Nor is the execution.
        """
        identity = {
            "model": msgspec.to_builtins(self.model),
            "sequence_length": self.data.sequence_length,
            "optimizer": self.optimizer.identity(),
            "schedule": self.schedule.canonical(steps=self.training.steps, peak=self.optimizer.lr),
            "training": msgspec.to_builtins(self.training),
            "seed": self.seed,
        }
        # What is left out at its default came later: the ids of older runs stay as they were.
        if self.precision != "float32":
            identity["precision"] = self.precision
        if self.probes:  # they change no result, but what is on record
            identity["probes"] = self.probes.canonical()
        return identity


def run_spec(settings: Mapping[str, Any], *, where: str) -> RunSpec:
    """Build a spec from plain settings.

    ``model.size`` names a size to start from, and ``conventions`` what to fill in for
    settings that are left out. A class of the user's is imported and tried out, unless it was when
    the run was planned.

    Args:
        settings: tables as in a spec file.
        where: the file or command that they came from.

    Raises:
        ConfigError: naming the place, what was given and what is allowed.
    """
    settings = dict(settings)
    model = settings.get("model")
    if isinstance(model, Mapping) and "size" in model:
        changes = {name: value for name, value in model.items() if name != "size"}
        size = model["size"]
        try:
            named_model = named(size if isinstance(size, str) else shown(size))
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None
        settings["model"] = {**msgspec.to_builtins(named_model), **changes}
    spec = build(RunSpec, with_conventions(settings, where=where), where=where)
    if isinstance(spec.optimizer, ClassMethod):
        from descentlab.train.class_check import planned

        try:
            return msgspec.structs.replace(spec, optimizer=planned(spec.optimizer))
        except ConfigError as error:
            raise SettingError(where, "optimizer.class", str(error)) from None
    return spec
