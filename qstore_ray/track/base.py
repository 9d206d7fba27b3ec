"""What a tracker is: a sink for a run's metrics that only the driver process writes to.

Training appends to `<run_dir>/metrics.jsonl` and waits for nobody. The driver follows that file
(`follow.py`) and feeds each tracker in a thread of its own, so a slow or dead server costs the
training nothing. A tracker may fail at any call: the file keeps everything, `finish` makes up for
what is missing, and `sync` does it later from a run folder alone.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypeAlias, runtime_checkable

from qstore_ray.errors import RunError
from qstore_ray.files import parsed_json, unwritable_fix, write_durably
from qstore_ray.registry import Registry
from qstore_ray.track.logs.text import redact
from qstore_ray.track.records import EndRecord, StartRecord, StepRecord
from qstore_ray.types import ReadOnlyTable, Table

Record: TypeAlias = dict[str, Any]
"""One line of metrics.jsonl; `event` says which kind: start, step, epoch, warning, note or end.

An `epoch` record has its metrics by name, those of callbacks too, so its keys are free. A
`StartRecord`, a `StepRecord` and an `EndRecord` have keys of their own.
"""

Status: TypeAlias = Literal["finished", "failed", "interrupted"]
"""How a run ended; an interrupted run can be resumed."""

RUN_INFO_FILE: Final = "tracking.json"
"""The file of a run folder that describes the run to its trackers."""

KEPT: Final = (RUN_INFO_FILE, "mlflow_run_id", "wandb_run_id", "tensorboard", "wandb")
"""What the driver keeps in a run folder for the trackers; it may be there before the run begins."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended, its results (numbers and texts, may be nested) and the files to keep."""

    status: Status
    summary: ReadOnlyTable = field(default_factory=dict)
    artifacts: Sequence[Path] = ()


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """A run as its trackers see it.

    Args:
        name: the run's name, as shown.
        run_dir: its folder; `metrics.jsonl` in it is the truth about metrics.
        config: the resolved configuration, nested; secrets are hidden before anything is written.
        fingerprints: what the run was made of (`config`, `data`, `code`, …), as hex digests.
        resumed: this attempt continues an earlier one in the same folder.
        tags: anything else to tag the run with.
        parent: the run folder of the run that this one is part of: the study of a trial. MLflow
            shows it under that one, W&B in its group.
        began: start time in seconds since 1970; a tracker may open the run later.

    Examples:
        from pathlib import Path
        run = RunInfo(name="digits", run_dir=Path("runs/digits"), config={}, fingerprints={})
        print(run.resumed)
    """

    name: str
    run_dir: Path
    config: Table = field(default_factory=dict)
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    resumed: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    parent: Path | None = None
    began: float = field(default_factory=time.time)

    @property
    def storage(self) -> Path:
        """The folder of run folders, beside which the default stores are."""
        return (self.parent or self.run_dir).parent

    @property
    def metrics_path(self) -> Path:
        """The file that rank 0 of the loop appends to."""
        return self.run_dir / "metrics.jsonl"

    def save(self, outcome: Outcome | None = None) -> None:
        """Write `tracking.json` into the run folder, secrets hidden, so that `sync` needs no more.

        Raises:
            RunError: the folder cannot be written to.
        """
        values = {
            "name": self.name,
            "config": redact(self.config),
            "fingerprints": dict(self.fingerprints),
            "resumed": self.resumed,
            "tags": redact(self.tags),
            # From here, so that a storage folder can be moved.
            "parent": self.parent and os.path.relpath(self.parent, self.run_dir),
            "began": self.began,
        }
        ended: Table | None = None
        if outcome is not None:
            files = [_from(self.run_dir, path) for path in outcome.artifacts]
            ended = {**redact(asdict(outcome)), "artifacts": files}
        text = json.dumps({"run": values, "outcome": ended}, indent=1, default=str)
        write_atomically(self.run_dir / RUN_INFO_FILE, text + "\n")

    @classmethod
    def load(cls, run_dir: Path) -> tuple[RunInfo, Outcome | None]:
        """What `save` left in a run folder; no outcome where the driver was killed.

        Raises:
            RunError: there is nothing, or it cannot be read.
        """
        path = run_dir / RUN_INFO_FILE
        try:
            values = parsed_json(path.read_text(encoding="utf-8"))
            about = values["run"]
            parent = about.pop("parent", None)
            run = cls(run_dir=run_dir, parent=parent and (run_dir / parent).resolve(), **about)
            outcome = Outcome(**values["outcome"]) if values["outcome"] else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
            raise RunError(
                "this folder holds no readable description of a run",
                field="run_dir",
                value=str(path),
                fix="Give the folder of a run, the one with metrics.jsonl in it.",
            ) from exc
        if outcome is not None:
            outcome = replace(outcome, artifacts=_files(run_dir, outcome.artifacts))
        return run, outcome


def _from(folder: Path, path: Path) -> str:
    """A path from the run folder, so that it can be moved or copied."""
    root, path = folder.resolve(), path.resolve()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _files(run_dir: Path, names: Sequence[Path]) -> list[Path]:
    """The files that `save` named; earlier versions wrote whole paths, as they were then."""
    paths = [Path(name) for name in names]
    then = next((path.parent for path in paths if path.name == "config.toml"), Path())
    inside = [
        p.relative_to(then) if then != Path() and p.is_relative_to(then) else p for p in paths
    ]
    return [run_dir / path for path in inside]


@runtime_checkable
class Tracker(Protocol):
    """Records one run somewhere. Used in the driver process, by one thread, in order.

    Every method may raise `RunError`; the follower reports it, training continues, and the follower
    repeats the call later.

    Examples:
        class Printer:
            name = "printer"
            def start(self, run): print("start", run.name)
            def epoch(self, record): print(record["epoch"], record["train_loss"])
            def finish(self, status, summary, artifacts): print(status)
    """

    name: str

    def start(self, run: RunInfo) -> None:
        """Open or continue the run. Called in the tracker's thread: may import and connect."""
        ...

    def epoch(self, record: Record) -> None:
        """Log one `epoch` record. A record met before (after a resume) must not count twice."""
        ...

    def finish(self, status: Status, summary: ReadOnlyTable, artifacts: Sequence[Path]) -> None:
        """Log what is missing from the run's metrics file, the summary, the files; end the run."""
        ...


TRACKERS: Registry[Callable[..., Tracker]] = Registry(
    "tracker",
    {
        "alerts": "qstore_ray.ops.watch.tracker:AlertsTracker",
        "mlflow": "qstore_ray.track.mlflow.tracker:MLflowTracker",
        "tensorboard": "qstore_ray.track.tensorboard:TensorBoardTracker",
        "wandb": "qstore_ray.track.wandb:WandBTracker",
    },
    entry_points="qstore_ray.trackers",
    field="trackers",
    forms=(("start", "epoch", "finish"),),
)
"""The trackers by name. One is called with the `TrackConfig`, and with its options by name."""


@runtime_checkable
class Display(Protocol):
    """Shows a run while it is active. Called by the follower's thread, in order.

    Examples:
        class Dots:
            def start(self, record): print(record["epochs"], "epochs")
            def epoch(self, record): print(".", end="")
            def end(self, record): print(record["status"])
            step = close = lambda self, *record: None
    """

    def start(self, record: StartRecord) -> None:
        """An attempt begins; epochs, steps_per_epoch, rows, workers, parameters are known."""
        ...

    def step(self, record: StepRecord) -> None:
        """A training step; the loop throttles these."""
        ...

    def epoch(self, record: Record) -> None:
        """An epoch was completed."""
        ...

    def end(self, record: EndRecord) -> None:
        """The attempt ended with `status`."""
        ...

    def close(self) -> None:
        """Nothing more comes, whether or not there was an end. May be called twice."""
        ...


def write_atomically(path: Path, text: str) -> None:
    """Write a small text file so that a reader sees the old or the new one, never a part.

    Raises:
        RunError: the folder cannot be written to.
    """
    try:
        write_durably(path, text.encode())
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise RunError(
            f"cannot write into the run folder: {reason}",
            value=str(path),
            fix=unwritable_fix(exc),
        ) from exc
