"""Runs that say they are running: which of them are silent, dead, or damaged."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

from qstore_ray.doctor.diagnosis import Diagnosis
from qstore_ray.errors import QStoreError
from qstore_ray.files import parsed_json
from qstore_ray.ops.health.scope import HealthScope
from qstore_ray.ops.rules.stalled import Stalled
from qstore_ray.ops.watch.memory import holder_of
from qstore_ray.ops.watch.runs import run_name, runs_and_trials
from qstore_ray.ops.watch.samples import usual_silence
from qstore_ray.storage.contents import METRICS, RECORD
from qstore_ray.track.jsonl import epoch_records, read_records
from qstore_ray.train.run.find import closed_folders
from qstore_ray.train.run.lock import is_held
from qstore_ray.types import Table

_MOST_NAMED: Final = 5
_DAY: Final = 86_400.0


def examine_runs(scope: HealthScope) -> Iterator[Diagnosis]:
    """Each run that needs a look, then how many are running.

    Raises:
        UsageError: the folder of the runs is no folder, or may not be read.
        StorageError: the object store cannot be used.
    """
    storage = str(scope.storage)
    running, total, damaged = 0, 0, []
    killed: dict[Path, list[str]] = {}
    for path in runs_and_trials(storage):
        name, total = run_name(path, storage), total + 1
        status = _status(path)
        if status is None:
            damaged.append(name)
        elif status == "running" and "/" in name and not is_held(path):
            killed.setdefault(path.parent, []).append(path.name)
        elif status == "running":
            running += 1
            yield from _of_running(path, name, scope)
    for study, trials in killed.items():
        if not is_held(study):  # else its driver repeats them
            yield Diagnosis(
                f"study {study.name}", "fault",
                f"was killed while {', '.join(trials[:_MOST_NAMED])} ran",
                "Start the search again with existing='resume'.",
            )  # fmt: skip
    if damaged:
        shown = ", ".join(damaged[:_MOST_NAMED]) + ", …" * (len(damaged) > _MOST_NAMED)
        yield Diagnosis(
            "runs", "note", f"{len(damaged)} without a readable {RECORD}: {shown}",
            "Delete the folders of runs that you do not need, or train them again with "
            "existing='replace'.",
        )  # fmt: skip
    closed = len(closed_folders(storage))
    more = f"; {closed} folder{'s' * (closed != 1)} may not be read" if closed else ""
    yield Diagnosis("runs", "ok", f"{total} in {storage}, {running} running{more}")


def _status(path: Path) -> str | None:
    """What the record of a run says; None for one that cannot be read."""
    try:
        record = parsed_json((path / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return str(record.get("status")) if isinstance(record, dict) else None


def _of_running(path: Path, name: str, scope: HealthScope) -> Iterator[Diagnosis]:
    job = str(path / "config.toml")
    again = f"Continue it: run_job(JobConfig.load({job!r}), existing='resume')"
    try:
        held = is_held(path)
    except QStoreError as error:
        yield Diagnosis.of_error(f"run {name}", error)
        return
    if not held:
        yield Diagnosis(f"run {name}", "fault", "was killed: no process has it open", again)
        return
    pid = holder_of(path)
    if pid is not None and not _exists(pid):
        yield Diagnosis(
            f"run {name}", "fault",
            f"is orphaned: its process {pid} has ended, and one that it started has it open",
            f"End what is left of it. {again}",
        )  # fmt: skip
        return
    age = None if pid is None else scope.age(pid)
    silence, allowed = _silence(path, scope.now(), age), _allowed(path)
    if silence > allowed:
        where = f"process {pid}" if pid is not None else "its process"
        yield Diagnosis(
            f"run {name}", "fault",
            f"is stalled: nothing was written for {_span(silence)}, and {_span(allowed)} are usual",
            f"Look at what {where} waits for; stop it, then: {again}",
        )  # fmt: skip


def _silence(path: Path, now: float, age: float | None) -> float:
    """Seconds since the run wrote; 0 if it did so in the future, as after a change of the clock.

    Args:
        age: of its process, which has not been silent for longer than it lives: a machine that
            begins in 1970, until it has asked a server for the time, dates files so.
    """
    times = []
    for name in (METRICS, RECORD):
        try:
            times.append((path / name).stat().st_mtime)
        except OSError:  # not written yet
            continue
    if not times:
        return 0.0
    return min(max(0.0, now - max(times)), math.inf if age is None else age)


def _allowed(path: Path) -> float:
    """Seconds of silence that `Stalled` allows, by the epochs of the last attempt."""
    rule = Stalled(floor_seconds=usual_silence(path))
    try:
        epochs = epoch_records(read_records(path / METRICS))
    except QStoreError:  # a damaged line; `qstore runs` names it
        epochs = []
    seconds = [_number(record, "seconds") for record in epochs[-rule.window :]]
    gaps = [max(0.0, b - a) for a, b in pairwise(seconds)]
    return rule.allowed(tuple(gaps))


def _number(record: Table, name: str) -> float:
    value = record.get(name)
    return float(value) if isinstance(value, int | float) else 0.0


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):  # no system has such a large number
        return False
    except PermissionError:  # another user's
        return True
    return True


def _span(seconds: float) -> str:
    if seconds < 120.0:
        return f"{seconds:.0f} s"
    if seconds < 7200.0:
        return f"{seconds / 60.0:.0f} min"
    return f"{seconds / 3600.0:.1f} h" if seconds < 2 * _DAY else f"{seconds / _DAY:.0f} days"
