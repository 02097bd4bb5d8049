"""Training speed beside the paper's trainer and nanoGPT, from your own clones, in one run.

    python benchmarks/train.py --plainlm PATH --nanogpt PATH            # sizes S and M, one core
    python benchmarks/train.py --plainlm PATH --nanogpt PATH --sizes 160M --device cuda

Only the clones' model classes are imported. A step of theirs is that of their own trainers:
slice the batch, forward pass, mean cross-entropy, backward pass, clip by global norm, AdamW; in
float32 on a CPU, under bfloat16 autocast on a GPU. A step of ours is that of ``descent
train``. All have the same shapes and batches; nanoGPT's layer has fewer weights than the others'.
Each is a process of its own, and they take turns. A ratio is the median over rounds of their
time over ours in the same round: above 1, ours is faster.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
import types
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from descentlab.cli.table import aligned
from descentlab.model.spec import ModelSpec
from descentlab.train.peak import bfloat16_pays, peak_flops
from descentlab.train.rehearsal import Rehearsal
from descentlab.train.turns import Times, take_turns


@dataclass(frozen=True)
class Size:
    """What is trained on."""

    model: ModelSpec
    length: int
    batch: int


SIZES = {
    "S": Size(ModelSpec(layers=4, heads=4, width=64, vocabulary=256), 128, 32),
    "M": Size(ModelSpec(layers=4, heads=4, width=128, vocabulary=2048), 256, 16),
    "160M": Size(ModelSpec(layers=12, heads=12, width=768), 2048, 16),
}


@dataclass(frozen=True)
class Peer:
    """A model class of a clone, trained as its own trainer does; a contender of ``turns``."""

    kind: str
    path: Path
    size: Size
    device: str
    threads: int
    compiled: bool

    def __call__(self, turn: Callable[[], None]) -> None:
        """Call ``turn`` before each step."""
        torch.set_num_threads(self.threads)
        torch.manual_seed(0)
        model, loss_of = {"plainLM": self._plainlm, "nanoGPT": self._nanogpt}[self.kind]()
        model = model.to(self.device)
        parameters = list(model.parameters())
        groups = [
            {"params": [each for each in parameters if each.dim() >= 2], "weight_decay": 0.1},
            {"params": [each for each in parameters if each.dim() < 2], "weight_decay": 0.0},
        ]
        # Their own choices: plainLM's configuration asks for it, nanoGPT takes it on a GPU.
        fused = self.kind == "plainLM" or self.device == "cuda"
        optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.95), fused=fused)
        forward = torch.compile(model) if self.compiled else model
        length = self.size.length
        rows = torch.randint(self.size.model.vocabulary, (4, self.size.batch, length + 1))
        step = 0
        while True:
            turn()
            batch = rows[step % len(rows)].to(self.device)
            with self._precision():
                loss = loss_of(forward, batch[:, :length], batch[:, 1:].contiguous())
            if torch.isnan(loss.detach()):  # both look at the loss
                raise ValueError("the loss is not a number")
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            step += 1

    def _precision(self) -> AbstractContextManager[object]:
        if self.device == "cpu":
            return nullcontext()
        return torch.autocast(self.device, torch.bfloat16)

    def _plainlm(self) -> tuple[nn.Module, Callable[..., Tensor]]:
        found = _module("plainlm_models", self.path / "models", "transformer")
        spec = self.size.model
        model = found.Transformer(
            found.ModelConfig(
                vocab_size=spec.vocabulary,
                seq_len=self.size.length,
                dim=spec.width,
                expand=8 / 3,
                n_layers=spec.layers,
                n_heads=spec.heads,
                mlp="glu",
            )
        )
        criterion = nn.CrossEntropyLoss()

        def loss_of(forward: Any, inputs: Tensor, targets: Tensor) -> Tensor:
            return criterion(forward(inputs, None).flatten(0, 1), targets.flatten())

        return model, loss_of

    def _nanogpt(self) -> tuple[nn.Module, Callable[..., Tensor]]:
        found = _module("nanogpt", self.path, "model")
        spec = self.size.model
        model = found.GPT(
            found.GPTConfig(
                block_size=self.size.length,
                vocab_size=spec.vocabulary,
                n_layer=spec.layers,
                n_head=spec.heads,
                n_embd=spec.width,
                dropout=0.0,
                bias=False,
            )
        )
        return model, lambda forward, inputs, targets: forward(inputs.contiguous(), targets)[1]


def _module(package: str, folder: Path, name: str) -> Any:
    """Import a module of a clone by its path, without what its package imports besides."""
    found = types.ModuleType(package)
    found.__path__ = [str(folder)]
    sys.modules[package] = found
    return importlib.import_module(f"{package}.{name}")


def ours(size: Size, device: str, threads: int, **changes: str) -> Rehearsal:
    """Our run of a size."""
    execution = {"device": device, "threads": threads, "compile": changes.pop("compile", "always")}
    return Rehearsal(
        {
            "model": {
                "layers": size.model.layers,
                "heads": size.model.heads,
                "width": size.model.width,
                "vocabulary": size.model.vocabulary,
            },
            "data": {"tokenizer": "byte", "sequence_length": size.length},
            "optimizer": {
                "method": "adam", "lr": 1e-3, "beta1": 0.9, "beta2": 0.95, "weight_decay": 0.1
            },
            "training": {"steps": 1, "batch_size": size.batch},
            "execution": execution,
            **changes,
        }
    )  # fmt: skip


def contenders(size: Size, given: argparse.Namespace) -> dict[str, Any]:
    """What is compared, by name: the peers first."""
    found: dict[str, Any] = {}
    device, threads = given.device, given.threads
    for kind, path in (("plainLM", given.plainlm), ("nanoGPT", given.nanogpt)):
        for compiled in (False, True) if path else ():
            name = f"{kind}, {'compiled' if compiled else 'eager'}"
            found[name] = Peer(kind, path.resolve(), size, device, threads, compiled)
    found["ours, float32, eager"] = ours(size, device, threads, compile="never")
    found["ours, float32"] = ours(size, device, threads)
    if bfloat16_pays(torch.device(device)):
        for precision in ("bfloat16-autocast", "bfloat16-master", "bfloat16"):
            found[f"ours, {precision}"] = ours(size, device, threads, precision=precision)
    return found


def table(size: Size, times: Mapping[str, Times | str], device: torch.device) -> str:
    """One row for each contender, with its speed over each peer's."""
    peers = [name for name in times if not name.startswith("ours")]
    header = ["step", "ms", "tokens/s", "MFU", "memory MB", "start s", *(f"× {p}" for p in peers)]
    rows = []
    for name, each in times.items():
        if isinstance(each, str):
            rows.append([name, each, *[""] * (len(header) - 2)])
            continue
        rate = size.batch * size.length / each.step
        # Beside a peer's model, whose layers differ, there is no use in its utilisation.
        low = "bfloat16" in name or (device.type == "cuda" and "plainLM" in name)
        peak = peak_flops(device, low=low)
        counts = "nanoGPT" not in name and peak is not None
        mfu = f"{rate * size.model.training_flops(size.length) / peak:.1%}" if counts else ""  # pyright: ignore[reportOptionalOperand] known where it counts
        ratios = []
        for peer in peers:
            theirs = times[peer]
            ratios.append("" if isinstance(theirs, str) else f"{_ratio(theirs, each):.2f}")
        rows.append(
            [name, f"{1e3 * each.step:.1f}", f"{rate:,.0f}", mfu,
             f"{each.peak_memory / 1e6:,.0f}", f"{each.start:.1f}", *ratios]
        )  # fmt: skip
    return aligned(header, rows)


def _ratio(theirs: Times, ours: Times) -> float:
    return statistics.median(a / b for a, b in zip(theirs.steps, ours.steps, strict=True))


def main() -> None:
    """Print a table for each size."""
    parser = argparse.ArgumentParser(description="Training speed side by side.")
    parser.add_argument("--plainlm", type=Path, help="a clone of plainLM")
    parser.add_argument("--nanogpt", type=Path, help="a clone of nanoGPT")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["S", "M"])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--turn-seconds", type=float, default=1.0)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    device = torch.device(given.device)
    cuda = device.type == "cuda"
    place = torch.cuda.get_device_name() if cuda else torch.backends.cpu.get_cpu_capability()
    print(f"torch {torch.__version__}, {place}, {given.threads} threads, {given.rounds} rounds")
    for low in (False, True):
        peak = peak_flops(device, low=low)
        name = "bfloat16" if low else "float32"
        print(f"matrix products in {name}: {peak / 1e9:,.0f} GFLOP/s" if peak else f"{name}: ?")
    for name in given.sizes:
        size = SIZES[name]
        times = take_turns(
            contenders(size, given),
            device=given.device,
            rounds=given.rounds,
            turn_seconds=given.turn_seconds,
            tell=lambda line: print(line, file=sys.stderr, flush=True),
        )
        print(
            f"\n{name}: {size.model.parameters:,} parameters, {size.batch} sequences of "
            f"{size.length} tokens\n\n{table(size, times, device)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
