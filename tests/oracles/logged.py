"""What W&B and TensorBoard were told, read back from their files by the formats alone.

An event file is a TFRecord file: length (u64), its masked CRC-32C, an ``Event``, its masked
CRC-32C. A ``.wandb`` file is a LevelDB log: a header of 7 bytes, then blocks of 32 KiB with chunks
of CRC-32 (u32), length (u16), kind (whole, first, middle, last); a record is a ``Record`` of W&B's
protocol.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tensorboardX.proto import event_pb2
from wandb.proto import wandb_internal_pb2

events: Any = event_pb2  # protobuf makes their classes at run time
wandb_internal: Any = wandb_internal_pb2

BLOCK = 32 * 1024
WHOLE, FIRST, LAST = 1, 2, 4


@dataclass
class Logged:
    """Rows in their order: the step and the numbers; texts by name."""

    rows: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)

    def column(self, name: str) -> list[tuple[int, float]]:
        return [(step, numbers[name]) for step, numbers in self.rows if name in numbers]


def tensorboard(folder: Path) -> Logged:
    """What TensorBoard shows of a run's folder: a START drops what is at its step or after."""
    found = Logged()
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for event in _events(path.read_bytes()):
            if event.session_log.status == events.SessionLog.START:
                found.rows = [row for row in found.rows if row[0] < event.step]
            numbers = {}
            for value in event.summary.value:
                if value.WhichOneof("value") == "tensor":
                    text = value.tensor.string_val[0].decode()
                    found.texts[value.tag.removesuffix("/text_summary")] = text
                else:
                    numbers[value.tag] = value.simple_value
            if numbers:
                found.rows.append((event.step, numbers))
    return found


def _events(raw: bytes) -> Iterator[Any]:
    while raw:
        (length,) = struct.unpack("<Q", raw[:8])
        content, after = raw[12 : 12 + length], raw[12 + length : 16 + length]
        assert raw[8:12] == struct.pack("<I", _masked_crc32c(raw[:8]))
        assert after == struct.pack("<I", _masked_crc32c(content))
        yield events.Event.FromString(content)
        raw = raw[16 + length :]


def _masked_crc32c(content: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@dataclass
class WandbRun(Logged):
    """The same of W&B, with what else one attempt's file tells of the run."""

    run_id: str = ""
    project: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None
    preempting: bool = False


def wandb_file(path: Path) -> WandbRun:
    """What a ``.wandb`` file holds."""
    found = WandbRun()
    for record in _records(path.read_bytes()):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found.run_id, found.project = record.run.run_id, record.run.project
            found.config |= _items(record.run.config.update)
        elif kind == "history":
            row = _items(record.history.item)
            step = int(row.pop("_step", record.history.step.num))
            found.rows.append((step, {k: v for k, v in row.items() if not k.startswith("_")}))
        elif kind == "summary":
            found.summary |= _items(record.summary.update)
        elif kind == "exit":
            found.exit_code = record.exit.exit_code
        elif kind == "preempting":
            found.preempting = True
    return found


def _items(items: Any) -> dict[str, Any]:
    named = ((each.key or "/".join(each.nested_key), each.value_json) for each in items)
    return {name: json.loads(value) for name, value in named}


def _records(raw: bytes) -> Iterator[Any]:
    """The whole records of a file that may still be written; a cut-off one is not there yet."""
    assert raw[:4] == b":W&B"[: len(raw)]
    place, whole = 7, b""
    while place + 7 <= len(raw):
        left = BLOCK - place % BLOCK
        if left < 7:  # no chunk begins so close to the end of a block
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", raw[place : place + 7])
        content = raw[place + 7 : place + 7 + length]
        if len(content) < length:
            return
        place += 7 + length
        whole = content if kind in (WHOLE, FIRST) else whole + content
        if kind in (WHOLE, LAST):
            yield wandb_internal.Record.FromString(whole)
