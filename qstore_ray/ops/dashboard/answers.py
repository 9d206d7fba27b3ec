"""Answers as JSON, of any content that a run folder may have, and the ids of runs in addresses.

A run folder may have been made by hand or damaged: its name may be no text, its metrics no numbers.
JSON here is plain ASCII, so a name that is no Unicode can be sent too, and NaN is text.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from starlette.responses import Response

from qstore_ray.track.logs.text import redact
from qstore_ray.types import ReadOnlyTable


class JsonAnswer(Response):
    """A JSON answer."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The body."""
        return to_json(content).encode("ascii")


def to_json(value: Any) -> str:
    """`value` as JSON in ASCII and in one line; numbers that are not finite become text."""
    return json.dumps(_plain(value), allow_nan=False, separators=(",", ":"))


def hidden(config: ReadOnlyTable) -> Any:
    """A configuration without its secrets."""
    return redact(config)


def id_of(folder: Path, storage: Path) -> str:
    """How addresses name a run folder: its path below the storage folder, percent-encoded."""
    return quote(os.fsencode(folder.relative_to(storage)), safe="/")


def name_of(identifier: str) -> str:
    """The path below the storage folder that an id stands for."""
    return os.fsdecode(unquote_to_bytes(identifier))


def _plain(value: Any) -> Any:
    if isinstance(value, bool | int | str) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return str(value)
