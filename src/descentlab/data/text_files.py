"""Documents from a local text, JSONL or Parquet file, however large, one after another."""

from __future__ import annotations

import glob
import json
from collections.abc import Iterator
from pathlib import Path

from descentlab.data.text_policy import LONGEST, Cleaning
from descentlab.errors import DataError, nearest

SUFFIXES = (".txt", ".jsonl", ".parquet")
BLOCK = 2**20
"""Bytes to read at once, and on to the end of the line."""
LONGEST_LINE = 4 * LONGEST
"""Bytes: a character has up to four."""
JUDGED_FROM = 2**24
"""Characters after which text that is not UTF-8 is refused before the end of its file."""


def text_files(path: Path) -> list[Path]:
    """The file itself, or a folder's text files, sorted.

    Raises:
        DataError: if the folder has none.
    """
    if not path.is_dir():
        return [path]
    files = sorted(
        each for each in path.rglob("*") if each.suffix.lower() in SUFFIXES and each.is_file()
    )
    if not files:
        raise DataError(f"{path}: no {', '.join(SUFFIXES)} files in it")
    return files


class TextFile:
    """A file that is read from its beginning to its end.

    Args:
        path: its suffix tells the format; any other than .jsonl and .parquet is text.
        text_field: the field or column that holds the text.
        separator: what separates documents in text.
        cleaning: counts what had to be changed.
    """

    def __init__(self, path: Path, *, text_field: str, separator: str, cleaning: Cleaning) -> None:
        self._path = path
        self._text_field = text_field
        self._separator = separator
        self._cleaning = cleaning
        self._characters = 0
        self._replaced = 0
        self._first_bad = 0
        self.share = 0.0
        """How much of the file was read, from 0 to 1."""

    def documents(self) -> Iterator[str]:
        """Yield every document as it stands there, but for what is not UTF-8.

        Raises:
            DataError: if the file cannot be read, has another format or no such field, or
                is not text.
        """
        readers = {".jsonl": self._jsonl, ".parquet": self._parquet}
        try:
            yield from readers.get(self._path.suffix.lower(), self._text)()
        except OSError as error:
            raise DataError(f"{self._path}: cannot be read ({error.strerror})") from None

    def _text(self) -> Iterator[str]:
        pending = ""
        for block in self._blocks():
            *whole, pending = (pending + self._cleaning.lines(block)).split(self._separator)
            yield from whole
            if len(pending) > LONGEST:
                raise DataError(
                    f"{self._path}: a document of more than {LONGEST:,} characters; say what "
                    "separates documents in it"
                )
        yield pending

    def _jsonl(self) -> Iterator[str]:
        before = 0
        for block in self._blocks():
            lines = block.removesuffix("\n").split("\n")
            for number, line in enumerate(lines, before + 1):
                if line and not line.isspace():
                    yield self._text_of(line, number)
            before += len(lines)

    def _text_of(self, line: str, number: int) -> str:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{self._path}: line {number} is not JSON ({error})") from None
        text = record.get(self._text_field) if isinstance(record, dict) else None
        if isinstance(text, str):
            return text
        entries = record.items() if isinstance(record, dict) else ()
        texts = ", ".join(name for name, value in entries if isinstance(value, str))
        raise DataError(
            f"{self._path}: line {number} has no text in the field {self._text_field!r} "
            f"(fields with text: {texts or 'none'}); set data.text_field or --text-field"
        )

    def _blocks(self) -> Iterator[str]:
        """Yield the text in pieces that end with a line, the last one perhaps without."""
        size = max(1, self._path.stat().st_size)
        offset = 0
        with self._path.open("rb") as file:
            while raw := file.read(BLOCK):
                if not raw.endswith(b"\n"):
                    raw += file.readline(LONGEST_LINE)
                if len(raw) > LONGEST_LINE and not raw.endswith(b"\n"):
                    raise DataError(
                        f"{self._path}: a line of more than {LONGEST_LINE:,} bytes after byte "
                        f"{offset:,}"
                    )
                text = self._decoded(raw, offset)
                text = text if offset else self._cleaning.without_mark(text)
                offset += len(raw)
                self.share = offset / size
                yield text
        self._refuse_what_is_not_text()

    def _decoded(self, raw: bytes, offset: int) -> str:
        """Decode whole lines; no character of UTF-8 goes over the end of a line."""
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            text = raw.decode("utf-8", errors="replace")
            replaced = text.count("\ufffd") - raw.count("\ufffd".encode())
            self._first_bad = self._first_bad if self._replaced else offset + error.start
            self._replaced += replaced
            self._cleaning.replaced += replaced
        self._characters += len(text)
        if self._characters >= JUDGED_FROM:
            self._refuse_what_is_not_text()
        return text

    def _refuse_what_is_not_text(self) -> None:
        """Refuse a text of which more than one character in a thousand had to be replaced."""
        if self._replaced > self._characters / 1000:
            raise DataError(
                f"{self._path}: not UTF-8 text (byte {self._first_bad} is the first of "
                f"{self._replaced:,} that cannot be decoded); convert it to UTF-8"
            )

    def _parquet(self) -> Iterator[str]:
        import duckdb

        source = "read_parquet(?, hive_partitioning = false)"  # columns come from the file alone
        escaped = glob.escape(str(self._path))  # else it reads every file that matches
        try:
            with duckdb.connect(config={"threads": 1}) as connection:  # more would read far ahead
                described = connection.execute(f"DESCRIBE SELECT * FROM {source}", [escaped])
                types = {str(name): str(kind) for name, kind, *_ in described.fetchall()}
                if types.get(self._text_field) != "VARCHAR":
                    raise DataError(
                        f"{self._path}: no text column {self._text_field!r}; "
                        f"{nearest(self._text_field, types)}; set data.text_field or --text-field"
                    )
                count = f"SELECT count(*) FROM {source}"
                ((rows,),) = connection.execute(count, [escaped]).fetchall()
                quoted = self._text_field.replace('"', '""')
                column = connection.execute(f'SELECT "{quoted}" FROM {source}', [escaped])
                done = 0
                while some := column.fetchmany(64):
                    done += len(some)
                    self.share = done / rows
                    yield from (text for (text,) in some if text is not None)
        except duckdb.Error as error:
            reason = str(error).splitlines()[0]
            raise DataError(f"{self._path}: not a Parquet file ({reason})") from None
