"""What an offline W&B run wrote: its log is LevelDB's, with protocol buffers as the records."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wandb.proto.wandb_internal_pb2 import Record

BLOCK = 32768
HEADER = 7


@dataclass
class WandBLog:
    points: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    exit_code: int | None = None


def wandb_records(path: Path) -> Iterator[Record]:
    """Records of a log: a file header, then blocks of parts with checksum, length and kind."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, parts = path.read_bytes(), HEADER, b""
    while place + HEADER <= len(data):
        if BLOCK - place % BLOCK < HEADER:
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        place += HEADER
        parts += data[place : place + length]
        place += length
        if kind in {1, 4}:  # the whole of a record, or its last part
            yield Record.FromString(parts)
            parts = b""


def look_at_wandb_log(run_dir: Path) -> WandBLog:
    """All logs of a run folder, as one."""
    seen, summary, config, step = WandBLog(), {}, {}, 0
    for path in sorted((run_dir / "wandb").glob("offline-run-*/*.wandb")):
        for record in wandb_records(path):
            kind = record.WhichOneof("record_type")
            if kind == "history":
                items = dict(map(_item, record.history.item))
                step = int(items["_step"])
                for key, value in items.items():
                    if not key.startswith("_"):
                        seen.points.setdefault(key, []).append((step, value))
            elif kind == "summary":
                summary |= dict(map(_item, record.summary.update))
            elif kind in {"run", "config"}:
                changes = record.run.config if kind == "run" else record.config
                config |= dict(map(_item, changes.update))
            elif kind == "files":
                seen.files += [file.path for file in record.files.files]
            elif kind == "exit":
                seen.exit_code = record.exit.exit_code
    _sort_out(seen, summary, config, step)
    return seen


def _item(item: Any) -> tuple[str, Any]:
    return item.key or ".".join(item.nested_key), json.loads(item.value_json)


def _sort_out(seen: WandBLog, summary: dict[str, Any], config: dict[str, Any], step: int) -> None:
    seen.files = sorted(path for path in seen.files if not path.startswith("media/"))
    for key, value in summary.items():
        if isinstance(value, dict) and value.get("_type") == "image-file":
            seen.files.append(key)
        elif key.startswith("summary.") and isinstance(value, float):
            seen.points[key] = [(step, value)]
        elif isinstance(value, str):
            seen.texts[key] = value
    for key, value in _flat(config):
        plain = key.removeprefix("tag.").removeprefix("attempt.")
        seen.texts[plain] = value if isinstance(value, str) else json.dumps(value)


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
