"""metrics.jsonl: the truth about a run's metrics, one JSON object a line.

Rank 0 of the loop writes it, any number of readers follow it. A line is one system call on a file
opened for appending, so a reader sees whole lines except, at the very end, a part of the last one,
which is not a record yet. Rewinding to a checkpoint replaces the file by a shorter one; a writer
left over from an earlier attempt then appends to the old file, which nobody reads any more.
"""

from __future__ import annotations

import errno
import json
import math
import numbers
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from qstore_ray.errors import RunError
from qstore_ray.files import parsed_json, unwritable_fix, write_durably
from qstore_ray.track.base import Record

_PLACE = ("event", "epoch", "step", "message")
_MOST_EPOCHS = 2**53
"""Whole numbers from here on are no longer exact in a float."""


class MetricsFile:
    """The metrics file of one run, opened by its only writer.

    Args:
        path: `<run_dir>/metrics.jsonl`; created with the first record.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def append(self, record: Mapping[str, object], *, wait: bool = True) -> None:
        """Add one record, whole or not at all.

        Args:
            wait: until it is on the disk. `sync` does it later.

        Raises:
            RunError: a metric is NaN or infinite (named), or the file cannot be written.
        """
        line = encode(record)
        try:
            descriptor = self._open()
            before = os.fstat(descriptor).st_size
            if os.write(descriptor, line) < len(line):
                os.ftruncate(descriptor, before)
                full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                raise _unwritable_error(self._path, full)
            if wait:
                os.fsync(descriptor)
        except OSError as exc:
            raise _unwritable_error(self._path, exc) from exc

    def sync(self) -> None:
        """Wait until all records are on the disk. Another thread may append meanwhile.

        Raises:
            RunError: the file cannot be written.
        """
        try:
            os.fsync(self._open())
        except OSError as exc:
            raise _unwritable_error(self._path, exc) from exc

    def trim(self, step: int) -> None:
        """Keep what had happened when `step` steps were done, as a restored checkpoint needs it.

        Step and epoch records carry the number of steps done after them; those past `step` go, the
        attempts that began past it go. How an attempt that stays has ended stays with it.

        Raises:
            RunError: the file is not readable, or cannot be replaced.
        """
        if not self._path.exists():
            return
        kept: list[Record] = []
        stays = True
        for record in self.read():
            if record.get("event") == "start":
                stays = _reached(record, step)
            if stays if record.get("event") == "end" else _reached(record, step):
                kept.append(record)
        self.close()
        try:
            write_durably(self._path, b"".join(encode(record) for record in kept))
        except OSError as exc:
            raise _unwritable_error(self._path, exc) from exc

    def read(self) -> list[Record]:
        """All records; see `read_records`."""
        return read_records(self._path)

    def close(self) -> None:
        """Close the file; a later `append` opens it again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self) -> int:
        if self._descriptor is None:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            self._descriptor = os.open(self._path, flags, 0o644)
        return self._descriptor


def read_records(path: Path) -> list[Record]:
    """Read the records of a metrics file in order; [] if the file does not exist yet.

    Raises:
        RunError: unreadable, or a finished line that is no JSON object (its number is named).
    """
    lines = finished_lines(path)
    return [decode(line, path, number) for number, line in enumerate(lines, start=1)]


def finished_lines(path: Path) -> list[bytes]:
    """The lines of a metrics file, unread; [] if the file does not exist yet.

    An unfinished last line is not a record yet and is left out.

    Raises:
        RunError: unreadable.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise RunError(f"cannot read the metrics: {reason}", value=str(path)) from exc
    *lines, _unfinished = data.split(b"\n")
    return lines


def epoch_records(records: Iterable[Record]) -> list[Record]:
    """One `epoch` record an epoch, ascending; of an epoch met twice, the later one."""
    by_epoch = {int(r["epoch"]): r for r in records if r.get("event") == "epoch"}
    return [by_epoch[epoch] for epoch in sorted(by_epoch)]


def encode(record: Mapping[str, object]) -> bytes:
    """The record as one line of JSON; NumPy numbers are numbers.

    Raises:
        RunError: a number in it is NaN or infinite, or a value is no JSON.
    """
    name = _non_finite(record)
    if name:
        raise RunError(
            "a metric is NaN or infinite, which would be hidden in the file",
            field=name,
            fix="Check for divergence before metrics are recorded.",
        )
    text = json.dumps(record, allow_nan=False, default=_plain, separators=(",", ":"))
    return text.encode() + b"\n"


def decode(line: bytes, path: Path, number: int) -> Record:
    """One finished line of a metrics file as a record.

    Raises:
        RunError: it is no JSON object, or its place in the run is no plain value.
    """
    try:
        record = parsed_json(line)
    except ValueError as exc:
        raise _damaged_error(path, number) from exc
    if not isinstance(record, dict) or not _has_a_place(record):
        raise _damaged_error(path, number)
    return record


def _has_a_place(record: Record) -> bool:
    """Whether it says in plain values where in the run it belongs; an epoch has a number."""
    if any(isinstance(record.get(name), dict | list) for name in _PLACE):
        return False
    epoch = record.get("epoch")
    if record.get("event") != "epoch":
        return True
    return isinstance(epoch, int | float) and 0 <= epoch < _MOST_EPOCHS  # nor NaN


def _reached(record: Record, step: int) -> bool:
    place = "resumed_from_step" if record.get("event") == "start" else "step"
    return int(record.get(place, 0)) <= step


def _plain(value: Any) -> Any:
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, Path):
        return str(value)
    raise RunError("a metric must be a number, text, list or table", value=value)


def _non_finite(value: Any, name: str = "") -> str:
    """The dotted name of the first NaN or infinity inside `value`; "" if all are finite."""
    if isinstance(value, Mapping):
        inner = ((f"{name}.{key}" if name else str(key), item) for key, item in value.items())
    elif isinstance(value, list | tuple):
        inner = ((f"{name}.{index}", item) for index, item in enumerate(value))
    else:
        real = isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral)
        return name if real and not math.isfinite(value) else ""
    return next((found for key, item in inner if (found := _non_finite(item, key))), "")


def _damaged_error(path: Path, number: int) -> RunError:
    return RunError(
        f"line {number} of the metrics file is damaged",
        value=str(path),
        fix="Resume from a checkpoint taken before it, or delete the line.",
    )


def _unwritable_error(path: Path, exc: OSError) -> RunError:
    reason = exc.strerror or type(exc).__name__
    return RunError(
        f"cannot write the metrics: {reason}",
        field="metrics",
        value=str(path),
        fix=unwritable_fix(exc, "continue with existing='resume'"),
    )
