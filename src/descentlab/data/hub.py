"""Documents of Hugging Face datasets: a hub's, streamed, or saved ones of this machine.

A repository's revision is settled on once, as a commit, so that a preparation that goes on
days later reads the same files. Needs the package ``datasets``: pip install 'descentlab[hf]'.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from descentlab.data.pretrained import HUB
from descentlab.data.sources import Position, Source, fingerprints
from descentlab.data.spec import PreparationSpec
from descentlab.data.text_policy import Cleaning
from descentlab.errors import ConfigError, DataError, DescentError, nearest

if TYPE_CHECKING:
    from datasets import IterableDataset


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A dataset of a hub."""

    name: str
    config: str | None = None
    split: str = "train"
    revision: str = "main"
    text_field: str = "text"


PRESETS: Mapping[str, Repository] = {
    # The original, cerebras/SlimPajama-627B, has gone from the hub; this is a mirror of 1% of it.
    "slimpajama": Repository(name="DKYoon/SlimPajama-6B"),
    "fineweb": Repository(name="HuggingFaceFW/fineweb", config="sample-10BT"),
}
"""The paper's corpora by name."""

SAVED = ("state.json", "dataset_dict.json")
"""One of them is in a folder that ``save_to_disk`` wrote."""


class Streamed(Source):
    """A dataset that is read example by example."""

    def __init__(
        self,
        dataset: IterableDataset,
        *,
        name: str,
        text_field: str,
        identity: dict[str, Any],
        examples: int | None,
    ) -> None:
        self.name = name
        self.identity = identity
        self.cleaning = Cleaning()
        self._dataset = dataset
        self._field = text_field
        self._examples = examples
        self._read = 0
        if dataset.column_names is not None and text_field not in dataset.column_names:
            raise DataError(
                f"{name}: no text column {text_field!r}; "
                f"{nearest(text_field, dataset.column_names)}; set --text-field"
            )

    def documents(self, start: Position | None) -> Iterator[str]:
        if start:
            self._dataset.load_state_dict(start["state"])
            self._read = start["examples"]
        examples = iter(self._dataset)
        while (example := self._next(examples)) is not None:
            self._read += 1
            text = example.get(self._field)
            if isinstance(text, str):
                yield text
            elif text is not None:
                raise DataError(
                    f"{self.name}: example {self._read:,} has no text in the field "
                    f"{self._field!r}, but a {type(text).__name__}; set --text-field"
                )

    def _next(self, examples: Iterator[dict[str, Any]]) -> dict[str, Any] | None:
        with _refusals(self.name):
            return next(examples, None)

    def position(self) -> Position:
        return {"state": self._dataset.state_dict(), "examples": self._read}

    def share(self) -> float | None:
        return self._read / self._examples if self._examples else None


def repository(spec: PreparationSpec) -> Repository | None:
    """The repository that a spec names by a preset or by ``hf:``; None if it names a path."""
    if spec.source in PRESETS:
        found = PRESETS[spec.source]
    elif spec.source.startswith(HUB):
        found = Repository(name=spec.source.removeprefix(HUB))
    else:
        return None
    changes = {name: getattr(spec, name) for name in ("config", "split", "revision", "text_field")}
    return replace(found, **{name: value for name, value in changes.items() if value is not None})


def from_repository(chosen: Repository, *, revision: str | None = None) -> Streamed:
    """Stream a dataset of a hub, or a folder of this machine that is laid out as one.

    Args:
        chosen: what to read.
        revision: the commit, if it was settled on before.

    Raises:
        ConfigError: if the package ``datasets`` is missing.
        DataError: if there is no such dataset, configuration or split, or no way to it.
    """
    datasets = _library()
    name = f"{HUB}{chosen.name}"
    where: dict[str, Any] = {"config": chosen.config, "split": chosen.split}
    with _refusals(name):
        if (folder := Path(chosen.name)).is_dir():
            files = sorted(each for each in folder.rglob("*") if each.is_file())
            where["files"] = fingerprints(folder, files)
        else:
            revision = revision or _commit(chosen)
            where |= {"repository": chosen.name, "revision": revision}
        dataset = datasets.load_dataset(
            chosen.name, chosen.config, split=chosen.split, revision=revision, streaming=True
        )
    splits = dataset.info.splits or {}
    examples = splits[chosen.split].num_examples if chosen.split in splits else None
    return Streamed(
        dataset, name=name, text_field=chosen.text_field, identity=where, examples=examples
    )


def is_saved_dataset(path: Path) -> bool:
    """Whether a folder is what ``save_to_disk`` wrote."""
    return any((path / name).is_file() for name in SAVED)


def from_folder(path: Path, spec: PreparationSpec) -> Streamed:
    """Read a dataset, or one split of several, that ``save_to_disk`` wrote.

    Raises:
        ConfigError: if the package ``datasets`` is missing.
        DataError: if it cannot be read, or has no such split.
    """
    datasets = _library()
    split = spec.split or "train"
    with _refusals(str(path)):
        saved = datasets.load_from_disk(str(path))
        if isinstance(saved, datasets.DatasetDict):
            if split not in saved:
                raise DataError(f"{path}: no split {split!r}; {nearest(split, saved)}; set --split")
            saved = saved[split]
        files = sorted(each for each in path.rglob("*") if each.is_file())
        return Streamed(
            saved.to_iterable_dataset(),
            name=str(path),
            text_field=spec.text_field or "text",
            identity={"split": split, "files": fingerprints(path, files)},
            examples=len(saved),
        )


def _library() -> Any:
    with _without_torch():
        try:
            import datasets
        except ImportError:
            raise ConfigError(
                "datasets of a hub and saved ones need another package: "
                "pip install 'descentlab[hf]'"
            ) from None
    datasets.disable_progress_bars()  # ours tells how far it is
    return datasets


@contextmanager
def _without_torch() -> Iterator[None]:
    """Keep the library from loading torch for seconds and 300 MB, unless it is there already."""
    if "torch" in sys.modules or "USE_TORCH" in os.environ:
        yield
        return
    os.environ["USE_TORCH"] = "0"
    try:
        yield
    finally:
        del os.environ["USE_TORCH"]


def _commit(chosen: Repository) -> str:
    """The commit that a branch or tag names today."""
    from huggingface_hub import HfApi

    commit = HfApi().dataset_info(chosen.name, revision=chosen.revision).sha
    assert commit is not None
    return commit


@contextmanager
def _refusals(name: str) -> Iterator[None]:
    """Turn what the libraries refuse, in their many ways, into one sentence."""
    try:
        yield
    except DescentError:
        raise
    except Exception as error:
        said = str(error).strip().splitlines()
        reason = said[0] if said else type(error).__name__
        raise DataError(f"{name}: cannot be read ({reason})") from error
