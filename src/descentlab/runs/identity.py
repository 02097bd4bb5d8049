"""What makes two runs the same run.

A run's identity is what decides its result: the canonical settings and the hash of its
tokens. Its id is the hash of that, so equal runs are found equal although they were
written differently, and are trained once.
"""

from __future__ import annotations

from typing import Any

import msgspec

from descentlab.config import digest

SCHEMA = 1
"""Version of what a store holds; a newer one is refused and left untouched."""

ID_LENGTH = 16


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run as its ``spec.json`` tells it.

    ``identity`` holds the canonical settings that the id is made of; ``settings`` is the
    whole spec as it was first asked for, from which the run is trained.
    """

    run_id: str
    data_sha256: str
    identity: dict[str, Any]
    settings: dict[str, Any]
    schema: int = SCHEMA

    @property
    def tokens(self) -> int:
        """How many it trains on."""
        training = self.settings["training"]
        rows = training["steps"] * training["batch_size"]
        return rows * self.settings["data"]["sequence_length"]


def make_run(*, identity: dict[str, Any], settings: dict[str, Any], data_sha256: str) -> Run:
    """Name a run by the hash of its identity, its data and the schema."""
    whole = digest({"schema": SCHEMA, "data": data_sha256, "spec": identity})
    return Run(
        run_id=whole[:ID_LENGTH], data_sha256=data_sha256, identity=identity, settings=settings
    )
