"""Alerts of the runs in a folder: an append-only log, one JSON object a line.

    alerts.jsonl    {"event": "open", "run": "digits", "rule": "jump", "at": …, "severity": …, …}
                    {"event": "close", "run": "digits", "rule": "jump", "at": …}

An alert of a run and a rule is open from its `open` line to the next `close` line of both; at most
one is open at a time, whoever writes: a line is added under a lock, after reading what others have
added. Of a folder in an object store the log lies in its copy on the machine that watches it.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args

from qstore_ray.errors import RunError
from qstore_ray.files import parsed_json, unwritable_fix
from qstore_ray.storage.address import storage_folder
from qstore_ray.types import Table

ALERTS: Final = "alerts.jsonl"
"""The file of the log, in the folder of the runs."""

Severity: TypeAlias = Literal["info", "warning", "critical"]


@dataclass(frozen=True, kw_only=True)
class Alert:
    """Something that a rule has found in a run.

    Attributes:
        run: name of the run's folder below the folder of the runs; `study/trial-0003` of a trial.
        rule: name of the rule.
        severity: info, warning or critical.
        opened, closed: seconds since 1970 (UTC); `closed` is None while the alert is open.
        value: what was measured when it opened. threshold: what it was compared with.
        message: what is wrong, as one sentence.
        fix: what to do.
        attempt: which attempt of the run it is about: the run's id and a number that rises; empty
            if that is not known.
    """

    run: str
    rule: str
    severity: Severity
    opened: float
    closed: float | None = None
    value: float = 0.0
    threshold: float = 0.0
    message: str = ""
    fix: str = ""
    attempt: str = ""

    @property
    def is_open(self) -> bool:
        """Whether nothing has closed it yet."""
        return self.closed is None

    def as_dict(self) -> Table:
        """The attributes by name, ready for JSON: a number that is not finite is a text."""
        return {name: _plain(value) for name, value in asdict(self).items()}


class AlertLog:
    """The log of one folder of runs. Any number of processes may read and write it.

    Args:
        storage: the folder of the runs, or its address.

    Raises:
        ConfigError: not a folder, and not an address of an object store.

    Examples:
        log = AlertLog("runs")
        for alert in log.read():
            print(alert.run, alert.rule, alert.message)
    """

    def __init__(self, storage: str | Path) -> None:
        self.path = storage_folder(storage) / ALERTS
        self._alerts: list[Alert] = []
        self._open: dict[tuple[str, str], int] = {}
        self._signature = (0, 0, 0, 0)
        self._damaged = 0

    @property
    def damaged(self) -> int:
        """Lines that `read` passed over because they are no entries of the log."""
        return self._damaged

    def read(self) -> list[Alert]:
        """All alerts in the order of their opening; a line that is cut or damaged is passed over.

        The disk is read only if the log has changed since the last call.

        Raises:
            RunError: the file exists and cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                self._take(file.fileno())
        except FileNotFoundError:
            self._forget()
        except OSError as exc:
            raise _unreadable_error(self.path, exc) from exc
        return list(self._alerts)

    def open(self, alert: Alert) -> bool:
        """Add an alert; False if one of this run and rule is open.

        Raises:
            RunError: the log cannot be written.
        """
        entry = {**alert.as_dict(), "event": "open", "at": alert.opened}
        del entry["opened"], entry["closed"]
        return self._add(alert.run, alert.rule, entry, opens=True)

    def close(self, run: str, rule: str, at: float) -> bool:
        """Close the open alert of a run and a rule at this time; False if none is open.

        Raises:
            RunError: the log cannot be written.
        """
        entry = {"event": "close", "run": run, "rule": rule, "at": at}
        return self._add(run, rule, entry, opens=False)

    def _add(self, run: str, rule: str, entry: Mapping[str, Any], *, opens: bool) -> bool:
        try:
            with _locked(self.path) as descriptor:
                self._take(descriptor)
                if ((run, rule) in self._open) is opens:
                    return False
                size = os.fstat(descriptor).st_size
                torn = size and os.pread(descriptor, 1, size - 1) != b"\n"
                line = b"\n" * bool(torn) + json.dumps(entry, allow_nan=False).encode() + b"\n"
                if os.write(descriptor, line) < len(line):
                    os.ftruncate(descriptor, size)
                    raise _unwritable_error(self.path, OSError("the disk is full"))
                self._take(descriptor)
        except OSError as exc:
            raise _unwritable_error(self.path, exc) from exc
        return True

    def _take(self, descriptor: int) -> None:
        """Read the log if it has changed; a line that is being written is no entry yet."""
        found = os.fstat(descriptor)
        signature = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        if signature == self._signature:
            return
        self._forget()
        self._signature = signature
        *lines, _unfinished = os.pread(descriptor, found.st_size, 0).split(b"\n")
        for line in filter(None, lines):
            self._apply(_decoded(line))

    def _apply(self, entry: Table | None) -> None:
        if entry is None:
            self._damaged += 1
            return
        key = (str(entry["run"]), str(entry["rule"]))
        at = self._open.pop(key, None)
        if at is not None:
            self._alerts[at] = replace(self._alerts[at], closed=_number(entry["at"]))
        if entry["event"] == "open":
            self._open[key] = len(self._alerts)
            self._alerts.append(_alert_of(entry))

    def _forget(self) -> None:
        self._alerts, self._open = [], {}
        self._signature, self._damaged = (0, 0, 0, 0), 0


def read_alerts(storage: str | Path = "runs") -> list[Alert]:
    """The open and closed alerts of the runs in a folder, in the order of their opening.

    Args:
        storage: the folder of the runs, or its address; see `AlertLog`.

    Raises:
        ConfigError: not a folder, and not an address of an object store.
        RunError: the log exists and cannot be read.

    Examples:
        assert all(alert.run for alert in read_alerts("runs"))
    """
    return AlertLog(storage).read()


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The file, created with its folder if need be, while no other process adds to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _decoded(line: bytes) -> Table | None:
    """An entry of the log; None for a line that is none."""
    try:
        entry = parsed_json(line)
    except ValueError:
        return None
    if not isinstance(entry, dict) or entry.get("event") not in ("open", "close"):
        return None
    named = _is_name(entry.get("run")) and isinstance(entry.get("rule"), str)
    at = entry.get("at")
    timed = isinstance(at, int | float) and not isinstance(at, bool) and math.isfinite(_number(at))
    return entry if named and timed else None


def _is_name(run: Any) -> bool:
    """Whether it can be a path below the folder of the runs."""
    if not isinstance(run, str) or not run or "\0" in run:
        return False
    try:
        os.fsencode(run)
    except UnicodeEncodeError:  # half of a character
        return False
    path = Path(run)
    return not path.is_absolute() and ".." not in path.parts


def _alert_of(entry: Table) -> Alert:
    known: tuple[Severity, ...] = get_args(Severity)
    return Alert(
        run=entry["run"],
        rule=entry["rule"],
        severity=next((each for each in known if each == entry.get("severity")), "warning"),
        opened=_number(entry["at"]),
        value=_number(entry.get("value")),
        threshold=_number(entry.get("threshold")),
        message=str(entry.get("message", "")),
        fix=str(entry.get("fix", "")),
        attempt=str(entry.get("attempt", "")),
    )


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _unreadable_error(path: Path, exc: OSError) -> RunError:
    reason = exc.strerror or type(exc).__name__
    return RunError(
        f"cannot read the alerts: {reason}",
        field="storage",
        value=str(path),
        fix="Make the file readable, or give another folder of runs.",
    )


def _unwritable_error(path: Path, exc: OSError) -> RunError:
    reason = exc.strerror or str(exc) or type(exc).__name__
    return RunError(
        f"cannot write the alerts: {reason}",
        field="storage",
        value=str(path),
        fix=unwritable_fix(exc),
    )
