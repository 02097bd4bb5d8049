from __future__ import annotations

import signal
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _signals_as_before():
    """Take back the handlers that the command sets."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
    handlers = [(each, signal.getsignal(each)) for each in numbers]
    yield
    for number, handler in handlers:
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """One for a file's tests: the optimizers' compiled steps lie there too."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def small_corpus(tmp_path, monkeypatch, cache):
    """A folder to be in, with sixty short documents and a cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DESCENTLAB_CACHE", str(cache))
    documents = "\f".join(f"Document {n} says {'abc' * 40}." for n in range(60))
    Path("corpus.txt").write_text(documents)
