"""Files of JSON, a line for each record, that survive the end of the process which writes them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The records of a file, none if it does not exist.

    A last line without its end is what a killed process had written of it; it is removed, so that
    the next record does not continue it.
    """
    if not path.exists():
        return []
    whole, _, part = path.read_bytes().rpartition(b"\n")
    if part:
        os.truncate(path, len(whole) + 1 if whole else 0)
    return [json.loads(line) for line in whole.splitlines()]


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is there with all of its text, or not at all."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(text)
    part.replace(path)
