"""Prepares a corpus of any size: shard after shard, and on from the last one after any end.

A shard is written aside, flushed to disk and renamed into place, with a record of where the
source goes on. A process may be killed anywhere; the next one drops what was unfinished,
reads on from the last shard, and makes the very bytes that would have been made without it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from descentlab.config import digest
from descentlab.data.encoding import BATCH, Batch, Encoded, Encoder, Encoders, batches
from descentlab.data.meter import Meter, Observe
from descentlab.data.shard_writer import Room, ShardWriter
from descentlab.data.shards import (
    FORMAT,
    MANIFEST,
    PREPARATION,
    SHARD,
    TOKENIZER,
    Counts,
    Manifest,
    Preparation,
    ShardRecord,
    ShardState,
    encode_sealed,
    is_prepared,
    open_shard,
    open_shards,
    read_sealed,
    shard_folder,
)
from descentlab.data.sources import Source, source_for
from descentlab.data.spec import PreparationSpec
from descentlab.data.token_file import Header, TokenFile, smallest_type
from descentlab.data.tokenizer import Tokenizer, tokenizer_named
from descentlab.data.verification import Notice, note, open_verified, whole_sha256
from descentlab.errors import BusyError, ConfigError, DataError, StorageError
from descentlab.storage import alone_in, flush, make_folder, publish, storage_errors

UNFINISHED = "unfinished"
"""The folder of what is being made."""


def prepare_shards(
    spec: PreparationSpec,
    folder: Path,
    *,
    workers: int,
    notice: Notice = lambda line: None,
    observe: Observe = lambda progress: None,
) -> Manifest:
    """Prepare a corpus into a folder, or go on with it, or find it finished.

    Args:
        spec: which tokens.
        folder: new, or of the same preparation.
        workers: processes that encode; 0 encodes in this one. They change no token.
        notice: told what is done.
        observe: told the progress after each batch.

    Raises:
        ConfigError: if the folder is for something else.
        DataError: if the source cannot be read, has changed, or has too little text.
        StorageError: if the disk is full or refuses; finished shards are kept.
        BusyError: if another process is preparing it.
    """
    _refuse_other_contents(folder)
    with _left_as_found(folder), alone_in(folder):
        before = _begun(folder, spec)
        finished = before is not None and _finished(folder, notice)
        fixed = before is not None and "revision" in before.source  # a commit does not change
        if not (finished and fixed):
            preparing = begin(spec, folder, before, notice)
            if not finished:
                preparing.make(workers, observe)
                preparing.finish()
        return read_sealed(folder / MANIFEST, Manifest)


@contextmanager
def _left_as_found(folder: Path) -> Iterator[None]:
    """Make a folder if there is none, and drop it again if nothing is begun in it."""
    new = not folder.exists()
    with storage_errors(folder):
        make_folder(folder)
    try:
        yield
    except BusyError:  # another process came between and will begin something
        new = False
        raise
    finally:
        if new and not is_prepared(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _refuse_other_contents(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: is a file; give a folder for the prepared data")
    if folder.is_dir() and not is_prepared(folder):
        others = {each.name for each in folder.iterdir()} - {"lock", UNFINISHED, TOKENIZER}
        if others:
            raise ConfigError(
                f"{folder}: holds other things ({min(others)}); give a new folder for the "
                "prepared data"
            )


def begin(
    spec: PreparationSpec, folder: Path, before: Preparation | None, notice: Notice
) -> Preparing:
    """Find the source, and put on record what is to be made, or compare it with that.

    Raises:
        DataError: if the folder was begun for something else.
    """
    tokenizer = tokenizer_named(spec.tokenizer)
    source = source_for(spec, revision=before.source.get("revision") if before else None)
    preparation = Preparation(
        format=FORMAT,
        spec=spec,
        source=source.identity,
        tokenizer_sha256=tokenizer.sha256,
        vocabulary=tokenizer.vocabulary,
        end=tokenizer.end,
    )
    if before is not None:
        _compare_texts(folder, before, preparation)
    else:
        aside = folder / UNFINISHED
        with storage_errors(folder):
            _emptied(aside)
            tokenizer.save(aside / TOKENIZER)
            (folder / TOKENIZER).unlink(missing_ok=True)  # of a start that came no further
            publish(folder / TOKENIZER, (aside / TOKENIZER).read_bytes(), aside=aside)
            publish(folder / PREPARATION, encode_sealed(preparation), aside=aside)
    return Preparing(before or preparation, source, tokenizer, folder, notice)


def _emptied(folder: Path) -> None:
    """Make a folder, without what a killed process left in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()


def _begun(folder: Path, spec: PreparationSpec) -> Preparation | None:
    """What the folder was begun for, if it was; with other settings it is refused."""
    if not is_prepared(folder):
        return None
    before = read_sealed(folder / PREPARATION, Preparation)
    asked, found = msgspec.to_builtins(spec), msgspec.to_builtins(before.spec)
    for name in found.keys() - {"source", "tokenizer"}:  # known by what they are, not where
        if asked[name] != found[name]:
            raise ConfigError(
                f"{folder}: was begun with {name}={found[name]}, not {asked[name]}; give the "
                "same settings to go on, or another folder"
            )
    if before.format != FORMAT:
        raise ConfigError(
            f"{folder}: was begun by another version of this program; give another folder"
        )
    return before


def _compare_texts(folder: Path, before: Preparation, now: Preparation) -> None:
    if before.tokenizer_sha256 != now.tokenizer_sha256:
        raise DataError(
            f"{folder}: {now.spec.tokenizer} is another tokenizer than when it was begun; give the "
            "same one, or another folder"
        )
    if before.source != now.source:
        old, new = (each.source.get("files", []) for each in (before, now))
        changed = [file for file in [*old, *new] if file not in old or file not in new]
        named = f" ({changed[0][0]})" if changed else ""
        raise DataError(
            f"{folder}: {now.spec.source} has changed since it was begun{named}; give the same "
            "text to go on, or another folder"
        )


def _finished(folder: Path, notice: Notice) -> bool:
    """Whether all is there and intact; a manifest of what is not is taken away."""
    if not (folder / MANIFEST).exists():
        return False
    try:
        open_verified(folder, notice)
    except DataError as error:
        notice(f"warning: {error}")
        with storage_errors(folder):
            (folder / MANIFEST).unlink()
        return False
    # Of a process that died right after it had linked the manifest into its place.
    shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
    return True


class Preparing:
    """One process's work on a preparation, of which it has the lock."""

    def __init__(
        self,
        preparation: Preparation,
        source: Source,
        tokenizer: Tokenizer,
        folder: Path,
        notice: Notice,
    ) -> None:
        self._preparation = preparation
        self._spec = preparation.spec
        self._source = source
        self._tokenizer = tokenizer
        self._folder = folder
        self._notice = notice
        self._shards: list[ShardRecord] = []

    def make(self, workers: int, observe: Observe) -> None:
        """Make the shards that are missing, until the tokens suffice or the source ends."""
        spec = self._spec
        counts, position = Counts(), None
        encoded: Iterator[tuple[Batch, Encoded]] | None = None
        meter = Meter(spec, observe)
        with storage_errors(self._folder):
            _emptied(self._folder / UNFINISHED)
        try:
            with Encoders(Encoder(self._tokenizer, spec.seed, spec.share()), workers) as encoders:
                while not _suffices(spec, counts):
                    state = self._intact(len(self._shards))
                    if state is not None:
                        encoded = None  # what was read ahead is there already
                    else:
                        if encoded is None:
                            self._refuse_a_full_disk(counts)
                            # A shard ends with a batch, so a batch must not be larger than one.
                            read = batches(
                                self._source, position, characters=min(BATCH, spec.shard_tokens)
                            )
                            encoded = encoders.encode(read)
                        state = self._make_shard(counts, encoded, meter)
                    if state is None:
                        break  # the source has ended
                    self._shards.append(state.record)
                    counts, position = counts + state.record.counts, state.position
        finally:
            shutil.rmtree(self._folder / UNFINISHED, ignore_errors=True)

    def _intact(self, number: int) -> ShardState | None:
        """A shard that was made before; what is left of a damaged one is taken away."""
        folder = shard_folder(self._folder, number)
        if not folder.exists():
            return None
        try:
            state = read_sealed(folder / SHARD, ShardState)
            open_shard(folder, state.record)
            return state
        except DataError as error:
            self._notice(f"warning: {error}; making it again")
            with storage_errors(folder):
                shutil.rmtree(folder)
            return None

    def _make_shard(
        self, before: Counts, encoded: Iterator[tuple[Batch, Encoded]], meter: Meter
    ) -> ShardState | None:
        """Make the next shard; None if the source has nothing more."""
        final = shard_folder(self._folder, len(self._shards))
        aside = self._folder / UNFINISHED / final.name
        writing = partial(storage_errors, self._folder, self._bytes_left(before))
        with writing():
            writer = ShardWriter(aside, self._tokenizer)
        try:
            for batch, result in encoded:
                with writing():
                    writer.add(batch, result, _room(self._spec, before + writer.counts))
                made = writer.counts
                meter.show(before + made, batch.share)
                if made.train_tokens + made.held_out_tokens >= self._spec.shard_tokens:
                    break
                if _suffices(self._spec, before + made):
                    break
            if not writer.counts.documents:
                return None
            with writing():
                state = writer.finish()
                aside.replace(final)
                flush(self._folder)
        finally:
            writer.close()
        return state

    def _bytes_left(self, counts: Counts) -> int:
        """What the tokens that are missing take on disk; those of a shard, if not known."""
        kind = np.dtype(smallest_type(self._tokenizer.vocabulary))
        room = _room(self._spec, counts)
        if room.train is None:
            return self._spec.shard_tokens * kind.itemsize
        return (room.train + (room.held_out or 0)) * kind.itemsize

    def _refuse_a_full_disk(self, counts: Counts) -> None:
        needed = self._bytes_left(counts)
        free = shutil.disk_usage(self._folder).free
        if needed > free:
            raise StorageError(
                f"{self._folder}: disk full, need {needed:,} bytes, have {free:,}; make room and "
                "start again"
            )

    def finish(self) -> None:
        """Check all shards, and put their hashes and sums on record."""
        counts = sum((shard.counts for shard in self._shards), Counts())
        self._refuse_too_little(counts)
        self._notice(f"checking {len(self._shards)} shards")
        opened = [
            open_shard(shard_folder(self._folder, number), record)
            for number, record in enumerate(self._shards)
        ]
        manifest = Manifest(
            preparation=self._preparation,
            counts=counts,
            train=self._header([train for train, _ in opened]),
            validation=self._header([validation for _, validation in opened]),
            shards=tuple(self._shards),
        )
        with storage_errors(self._folder):
            (self._folder / UNFINISHED).mkdir(exist_ok=True)
            publish(
                self._folder / MANIFEST, encode_sealed(manifest), aside=self._folder / UNFINISHED
            )
            (self._folder / UNFINISHED).rmdir()
        note(self._folder, *open_shards(self._folder))

    def _header(self, files: list[TokenFile]) -> Header:
        return Header(
            dtype=smallest_type(self._tokenizer.vocabulary),
            vocabulary=self._tokenizer.vocabulary,
            count=sum(file.header.count for file in files),
            sha256=whole_sha256(files),
            tokenizer_sha256=self._tokenizer.sha256,
            text_sha256=digest([shard.text_sha256 for shard in self._shards]),
        )

    def _refuse_too_little(self, counts: Counts) -> None:
        name, spec = self._source.name, self._spec
        if not counts.train_documents and not counts.held_out_documents:
            raise DataError(f"{name}: no text in it; give a corpus of at least two documents")
        for side, tokens in (
            ("train on", counts.train_tokens),
            ("hold out", counts.held_out_tokens),
        ):
            if not tokens:
                raise DataError(
                    f"{name}: of its {counts.documents:,} documents there is none to {side}; give "
                    "more text, another --held-out or another --seed"
                )
        for side, tokens, wanted in (
            ("train on", counts.train_tokens, spec.tokens),
            ("hold out", counts.held_out_tokens, spec.held_out),
        ):
            if isinstance(wanted, int) and tokens < wanted:
                self._notice(
                    f"warning: {name} has only {tokens:,} tokens to {side}, not {wanted:,}"
                )


def _suffices(spec: PreparationSpec, counts: Counts) -> bool:
    room = _room(spec, counts)
    return room.train == 0 and not room.held_out


def _room(spec: PreparationSpec, counts: Counts) -> Room:
    held_out = spec.held_out
    return Room(
        train=None if spec.tokens is None else spec.tokens - counts.train_tokens,
        held_out=held_out - counts.held_out_tokens if isinstance(held_out, int) else None,
    )
