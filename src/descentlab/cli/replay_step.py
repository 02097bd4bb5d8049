"""``descent replay-step``: one step of a run again, above all the one at which it diverged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from descentlab.train.replay import Replay

LISTED = 12
"""Parameters in the printed table."""


def replay_step(
    store: Annotated[Path, tyro.conf.Positional],
    run: Annotated[str, tyro.conf.Positional],
    *,
    step: int | None = None,
    out: Path | None = None,
) -> None:
    """Compute the loss and gradient of one step of a run again, and say what is wrong there.

    It goes on from the run's newest checkpoint before the step, or from the first weights,
    and changes nothing in the store.

    Args:
        store: the folder of runs.
        run: its id, or enough of its beginning.
        step: which; by default the one at which the run diverged.
        out: a file to write the step's weights, gradient and batch into, as safetensors.
    """
    from descentlab.cli.progress import RunDisplay, Screen
    from descentlab.runs.store import Store
    from descentlab.storage import storage_errors
    from descentlab.train.replay import replay, save
    from descentlab.train.spec import run_spec
    from descentlab.train.work import tokens_of

    screen = Screen()
    opened = Store(store)
    found = opened.find(run)
    data = tokens_of(found, run_spec(found.settings, where=f"run {found.run_id}"))
    with RunDisplay(f"run {found.run_id}", screen) as display:
        replayed = replay(opened, found, data, step=step, progress=display.show)
    print(text(replayed))
    if out is not None:
        with storage_errors(out):
            save(replayed, out)
        screen.tell(f"written to {out}")


def text(replayed: Replay) -> str:
    """The step for people: what is not finite first, then the largest gradients."""
    began = f"checkpoint of step {replayed.began_after}" if replayed.began_after else "first step"
    lines = [
        f"step {replayed.step}, reached from the {began}",
        f"  loss {replayed.loss:.6g}, gradient norm {replayed.gradient_norm:.6g}, "
        f"batch {replayed.batch}",
        f"  {replayed.reason or 'all of loss, weights and gradient is finite'}",
        f"  {_agreement(replayed)}",
        "",
    ]
    worst = sorted(replayed.parameters, key=lambda each: (-each.not_finite, -each.gradient_norm))
    width = max(len(each.name) for each in worst)
    title = f"  {'parameter':<{width}}  {'not finite':>10}  {'max |w|':>9}  {'max |g|':>9}"
    lines.append(f"{title}  {'norm of g':>9}")
    for each in worst[:LISTED]:
        sizes = (each.largest_weight, each.largest_gradient, each.gradient_norm)
        numbers = "  ".join(f"{size:>9.3g}" for size in sizes)
        lines.append(f"  {each.name:<{width}}  {each.not_finite:>10,}  {numbers}")
    if len(worst) > LISTED:
        lines.append(f"  … and {len(worst) - LISTED} more")
    return "\n".join(lines)


def _agreement(replayed: Replay) -> str:
    if not replayed.recorded:
        return "the run has no record of this step to compare with"
    if replayed.agrees:
        return "loss, norm and batch are those on record, to the bit"
    recorded = ", ".join(
        f"{name} {replayed.recorded.get(name)}" for name in ("loss", "gradient_norm", "batch")
    )
    machine = f": this machine is another, {replayed.differences}" if replayed.differences else ""
    return f"not what is on record ({recorded}){machine}"
