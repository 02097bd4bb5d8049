"""``descent cost-card``: what optimizers cost in memory, memory traffic and time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from descentlab.cli.table import aligned
from descentlab.errors import ConfigError

if TYPE_CHECKING:
    from descentlab.optim.cost import Cost

OPTIMIZERS = (
    "Adam",
    "RMSprop",
    "Signum",
    "EMASign",
    "SignSGD",
    "SGD,momentum=0.9",
    "torch.optim.AdamW",
)
"""What is measured if nothing is named."""

LEGEND = (
    "Bytes per parameter: state kept between steps, moved by one step, and the least that a step "
    "can move. Step: median time, and its ratio to the last row's in the same round."
)
UNITS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9}


def cost_card(
    optimizers: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[OPTIMIZER ...]")
    ] = (),
    *,
    parameters: str = "10M",
    device: str = "cpu",
    repeats: int = 20,
    format: Literal["md", "json"] = "md",
) -> None:
    """Measure what optimizers cost: memory, memory traffic and time of a step.

    All are measured side by side on the tensors of a transformer, and compared with
    torch.optim.AdamW(fused=True).

    Args:
        optimizers: descentlab's by name, others as pkg.mod:Class or pkg.mod.Class, each with
            arguments if need be, as in torch.optim.SGD,momentum=0.9; by default all of
            descentlab's and torch's AdamW.
        parameters: how many, with K, M or B for thousands, millions or billions.
        device: where to measure, as torch names it.
        repeats: rounds of timing.
        format: a table for people, or JSON.
    """
    count = parse_count(parameters)

    import torch

    from descentlab.optim.cost import measure, transformer_shapes

    shapes = transformer_shapes(count)
    costs = measure(optimizers or OPTIMIZERS, shapes=shapes, device=device, repeats=repeats)
    where = torch.cuda.get_device_name(device) if device.startswith("cuda") else device
    if format == "json":
        import msgspec

        setting = {"parameters": count, "device": where, "threads": torch.get_num_threads()}
        setting |= {"torch": str(torch.__version__), "repeats": repeats}
        print(msgspec.json.format(msgspec.json.encode({**setting, "costs": costs})).decode())
        return
    print(f"{markdown(costs)}\n\n{LEGEND}")
    print(
        f"{parameters} float32 parameters in {len(shapes)} tensors on {where}, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, {repeats} rounds."
    )


def parse_count(text: str) -> int:
    """Read a number of parameters.

    Raises:
        ConfigError: if it is not a number with K, M or B, or none, behind it.

    >>> parse_count("10M"), parse_count("1.5k"), parse_count("1e6")
    (10000000, 1500, 1000000)
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?(?:e[0-9]{1,2})?)([KMB]?)", text, re.IGNORECASE)
    if match is None:
        raise ConfigError(f"parameters: got {text!r}; write a number as in 500K, 10M or 1B")
    return round(float(match[1]) * UNITS[match[2].upper()])


def markdown(costs: Sequence[Cost]) -> str:
    """The table for people, as aligned Markdown."""
    header = ["optimizer", "state", "moved", "least", "moved/least", "step ms", "× fused AdamW"]
    rows = [
        [
            cost.optimizer,
            f"{cost.state_bytes:.4g}",
            f"{cost.moved_bytes:.4g}",
            f"{cost.least_bytes:.4g}",
            f"{cost.moved_bytes / cost.least_bytes:.2f}",
            f"{cost.milliseconds:.3g}",
            f"{cost.ratio:.2f}",
        ]
        for cost in costs
    ]
    return aligned(header, rows)
