"""Trains a compiled run in a process of its own: prints its losses and what the cache did."""

from __future__ import annotations

import json
import sys

from torch._dynamo.utils import counters

from descentlab.train.loop import Observer, train
from descentlab.train.rehearsal import random_tokens
from descentlab.train.spec import run_spec


def main() -> None:
    """Take settings as JSON; their data.max_epochs must let random tokens suffice."""
    spec = run_spec(json.loads(sys.argv[1]), where="test")
    records: list[dict[str, object]] = []
    observer = Observer(
        metrics=lambda record: records.append(dict(record)),
        timing=lambda record: None,
        boundary=lambda training: None,
    )
    train(spec, random_tokens(spec), observer)
    print(json.dumps({"records": records, "counters": counters["inductor"]}))


if __name__ == "__main__":
    main()
