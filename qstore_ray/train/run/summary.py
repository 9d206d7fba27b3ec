"""Read-only access to a run folder: it is never locked or changed, even if it is damaged.

A run that is being written to, was killed, or lost a file to a full disk must still be listed. So
any part that cannot be read becomes `damaged`, with the reason, and the rest is kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypedDict

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from qstore_ray.backends.failover import FallbackStep, fallbacks_in
from qstore_ray.errors import CheckpointError, RunError
from qstore_ray.files import is_folder, is_there
from qstore_ray.track.jsonl import epoch_records, finished_lines, read_records
from qstore_ray.track.logs.text import is_number
from qstore_ray.train.run.lock import is_held
from qstore_ray.train.run.writing import read_run_record

_Plain: TypeAlias = dict[str, int | float | str | bool | None]
_NOT_RESULTS = frozenset({"epoch", "epochs", "step", "seconds", "train_seconds"})
_METRICS = TypeAdapter(list[_Plain], config=ConfigDict(allow_inf_nan=False))


class RunRecord(BaseModel):
    """What `run.json` must hold to be believed."""

    model_config = ConfigDict(allow_inf_nan=False)

    generation: int
    status: str
    started: str
    fingerprints: dict[str, str]
    versions: dict[str, str]
    metrics: _Plain = {}
    missing: dict[str, str] = {}
    verdict: str = ""
    reason: str = ""


@dataclass(frozen=True)
class RunSummary:
    """What a run folder says about its run.

    Attributes:
        name: of the folder.
        status: running, finished, failed, interrupted; killed, if it says running and no process
            holds it; damaged, if a file of it cannot be read.
        problem: what is damaged.
        attempts: how often it was started.
        epochs: completed ones, as metrics.jsonl has them. epochs_planned: 0 where unknown.
        metrics: the last known ones by name. missing: those that could not be computed, and why.
        verdict: how the model stands to the baseline; empty without one.
        fallbacks: the steps from one backend to another.
        reason: why it ended early, or the error it failed with; empty for any other.
    """

    name: str
    path: Path
    status: str
    problem: str = ""
    started: str = ""
    attempts: int = 0
    epochs: int = 0
    epochs_planned: int = 0
    seconds: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    verdict: str = ""
    reason: str = ""
    fallbacks: Sequence[FallbackStep] = ()


class CheckpointSummary(TypedDict):
    """A checkpoint of a run; `problem` is None for a sound one."""

    name: str
    step: int
    epoch: int | None
    problem: str | None


def read_record(path: Path) -> RunRecord:
    """The `run.json` of a run folder.

    Raises:
        RunError: it is missing or damaged.
    """
    if not is_there(path / "run.json"):
        raise RunError(
            "run.json is missing",
            field="run",
            value=str(path),
            fix="Training it with existing='replace' starts again.",
        )
    try:
        return RunRecord.model_validate(read_run_record(path))
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RunError(
            f"run.json is damaged, {where}: {first['msg'].lower()}",
            field="run",
            value=str(path),
            fix="Training it with existing='replace' starts again.",
        ) from exc


def shown_name(path: Path) -> str:
    """The name of a run folder, as it can be printed."""
    return path.name if path.name.isprintable() else repr(path.name)


def summarize(path: Path) -> RunSummary:
    """What there is to know about the run in `path`; damage is reported in it, never raised."""
    problems: list[str] = []
    record = _record(path, problems)
    events = _events(path, problems)
    epochs = epoch_records(event for event in events if "epoch" in event)
    ends = [event for event in events[-1:] if event.get("event") == "end"]
    starts = [event for event in events if event.get("event") == "start"]
    metrics = {**(epochs[-1] if epochs else {}), **(record.metrics if record else {})}
    seconds = metrics.get("train_seconds", metrics.get("seconds"))
    return RunSummary(
        name=shown_name(path),
        path=path,
        status=_status(path, record, problems),
        problem=" ".join(problems),
        started=record.started if record else "",
        attempts=record.generation if record else 0,
        epochs=len(epochs),
        epochs_planned=_count(starts[-1].get("epochs")) if starts else 0,
        seconds=seconds if is_number(seconds) else None,
        metrics={n: v for n, v in metrics.items() if is_number(v) and n not in _NOT_RESULTS},
        fingerprints=record.fingerprints if record else {},
        versions=record.versions if record else {},
        missing=record.missing if record else {},
        verdict=record.verdict if record else "",
        reason=str(ends[-1].get("reason") or "") if ends else "",
        fallbacks=fallbacks_in(events),
    )


def checkpoints(path: Path) -> list[CheckpointSummary]:
    """Name, step, epoch and problem (None for a sound one) of a run's checkpoints, newest first."""
    from qstore_ray.train.run.checkpoint import read_checkpoint  # numpy, which a list does not need

    found: list[CheckpointSummary] = []
    if not is_folder(path / "checkpoints"):
        return found
    for folder in sorted((path / "checkpoints").glob("step-*"), reverse=True):
        known: CheckpointSummary = {"name": folder.name, "step": 0, "epoch": None, "problem": None}
        try:
            manifest = read_checkpoint(folder).manifest
            known |= {"step": manifest["step"], "epoch": manifest.get("epoch")}
        except CheckpointError as exc:
            digits = re.sub(r"\D", "", folder.name)
            known |= {"step": int(digits or 0), "problem": exc.message}
        found.append(known)
    return found


def _record(path: Path, problems: list[str]) -> RunRecord | None:
    try:
        return read_record(path)
    except RunError as exc:
        problems.append(f"{exc.message}.")
    return None


def _plain(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """A record without tables and lists, of which only an epoch, whose values are numbers, is kept
    whole: a federation records its clients in the others.
    """
    if record.get("event") == "epoch":
        return record
    return {name: value for name, value in record.items() if not isinstance(value, dict | list)}


def _events(path: Path, problems: list[str]) -> list[_Plain]:
    """The events of metrics.jsonl whose numbers can be trusted."""
    try:
        events = _parsed(path / "metrics.jsonl")
        for event in events:
            if event.get("event") == "epoch":
                int(event["epoch"])  # type: ignore[arg-type]  # it is checked by trying
    except RunError as exc:
        problems.append(f"metrics.jsonl: {exc.message}.")
    except (KeyError, TypeError, ValueError) as exc:  # of pydantic, too
        problems.append(f"metrics.jsonl: not the metrics of a run ({type(exc).__name__}).")
    else:
        return events
    return []


def _parsed(path: Path) -> list[_Plain]:
    """The events of a metrics file, read as one list, which takes a third of the time of its lines
    one by one. These are read if there are tables among them, or something is wrong, to name the
    line.
    """
    lines = finished_lines(path)
    try:
        events = _METRICS.validate_json(b"[%b]" % b",".join(lines))
    except ValidationError:
        events = []
    if len(events) == len(lines):
        return events
    return _METRICS.validate_python(map(_plain, read_records(path)))


def _status(path: Path, record: RunRecord | None, problems: list[str]) -> str:
    if record is None or problems:
        return "damaged"
    if record.status == "running" and not is_held(path):
        return "killed"
    return record.status


def _count(value: Any) -> int:
    return value if isinstance(value, int) else 0
