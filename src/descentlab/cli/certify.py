"""``descent certify``: whether a run of the user's survives being killed, to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from descentlab.errors import NonConforming

if TYPE_CHECKING:
    from descentlab.train.certify import Certificate


def certify(
    spec: Annotated[Path, tyro.conf.Positional],
    assignments: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[KEY=VALUE ...]")
    ] = (),
    *,
    kills: int = 6,
    seed: int = 0,
    out: Path | None = None,
) -> None:
    """Kill a run at random moments, resume it, and compare it with an undisturbed one.

    Both are trained from their first step, in a folder that is removed afterwards. The
    certificate says what was done and whether weights, optimizer state, generators, batches
    and records came out the same to the bit; the command ends with 0 only if all did.

    Args:
        spec: a TOML file as for descent train; examples/train.toml is one.
        assignments: settings that replace those of the file, as in training.steps=50.
        kills: how often to kill it, between two steps, while it saves, or by SIGTERM.
        seed: chooses when and how.
        out: a file to write the certificate into, as JSON.
    """
    import tempfile

    import msgspec

    from descentlab.cli.progress import Screen
    from descentlab.config import override, read_toml
    from descentlab.storage import storage_errors
    from descentlab.train.certify import certify
    from descentlab.train.plan import resolver

    screen = Screen()
    where = " with ".join(filter(None, [str(spec), " ".join(assignments)]))
    run = resolver(notice=screen.tell)(override(read_toml(spec), assignments), where)
    steps = int(run.settings["training"]["steps"])

    def progress(what: str, step: int) -> None:
        line = f"{what}: step {step}/{steps}"
        screen.draw(line, line)

    with tempfile.TemporaryDirectory(prefix="descent-certify-") as folder:
        certificate = certify(run, Path(folder), kills=kills, seed=seed, progress=progress)
    screen.clear()
    print(text(certificate, where))
    if out is not None:
        with storage_errors(out):
            out.write_bytes(msgspec.json.format(msgspec.json.encode(certificate)))
    if not certificate.exact:
        wrong = [each.part for each in certificate.comparisons if each.difference]
        raise NonConforming(f"run {run.run_id}: resumed to other {', '.join(wrong)}")


def text(certificate: Certificate, where: str) -> str:
    """The certificate for people."""
    known = certificate.environment
    lines = [
        f"Certificate of exact resumption: {where}",
        f"  run {certificate.run_id}; torch {known['torch']}, {known['device']}, "
        f"{known['instruction_set']}, {known['threads']} threads; seed {certificate.seed}",
        *(
            f"  {each.way} {each.step}, went on after step {each.resumed_after}"
            for each in certificate.blows
        ),
    ]
    width = max(len(each.part) for each in certificate.comparisons)
    lines += [
        f"  {each.part:<{width}}  {each.difference or 'same bytes'}  sha256 {each.sha256[:16]}"
        for each in certificate.comparisons
    ]
    verdict = "exact" if certificate.exact else "NOT exact"
    count = len(certificate.blows)
    return "\n".join([*lines, f"  verdict: {verdict} after {count} interruptions"])
