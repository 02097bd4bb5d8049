"""Which documents are held out: a pure function of their text and a seed.

The hash of a document's text, mixed with the seed, is a number between 0 and 1 that is as
good as random; below the share to hold out, the document never serves training. So the
choice needs no knowledge of the other documents, is the same in any order and for any number
of processes, and equal documents are always on the same side.
"""

from __future__ import annotations

import hashlib


def is_held_out(text_sha256: bytes, *, seed: int, share: float) -> bool:
    """Say whether a document belongs to the held-out share.

    Args:
        text_sha256: the hash of its text in UTF-8, 32 bytes.
        seed: chooses among documents.
        share: from 0 to 1.
    """
    mixed = hashlib.sha256(f"{seed}/held-out/".encode() + text_sha256).digest()
    return int.from_bytes(mixed[:8], "little") < share * 2**64
