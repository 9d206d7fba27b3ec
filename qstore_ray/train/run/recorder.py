"""What worker 0 records of a run during the loop: metrics, checkpoints, and their times.

`Recorder` writes into the run folder. A checkpoint waits for the disk several times as long as a
step computes, so a thread of its own writes it while the loop continues, one at a time: the
next one, and the end, wait for it. `Memory` is for runs without a folder, such as an estimator's.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO

from qstore_ray.errors import CheckpointError, UsageError
from qstore_ray.track.base import Record
from qstore_ray.track.jsonl import MetricsFile
from qstore_ray.train.run.chain import record_missing
from qstore_ray.train.run.checkpoint import prune_checkpoints, write_checkpoint
from qstore_ray.train.run.manifest import CheckpointManifest
from qstore_ray.train.run.state import TrainState
from qstore_ray.train.run.upload import Upload
from qstore_ray.train.telemetry.metrics import ExportedMetrics
from qstore_ray.train.telemetry.spans import TracedSteps

if TYPE_CHECKING:
    from qstore_ray.backends.failover import FallbackStep
    from qstore_ray.train.job import Assignment
    from qstore_ray.types import AnyArray, FloatArray

_SECONDS_BETWEEN_STEP_RECORDS = 0.25


class Journal(Protocol):
    """Keeps what happens in an attempt; called between steps.

    Worker 0 has a `Recorder`, or a `Memory` if the run has no folder; every other worker has a
    `Memory` that shows nothing, so that the loop is the same everywhere.
    """

    @property
    def records(self) -> Sequence[Record]:
        """One record an epoch, of a run without a folder."""
        ...

    def start(self, state: TrainState, problems: list[CheckpointError], **facts: int) -> None:
        """An attempt begins at `state`; `problems` are checkpoints that had to be passed over."""
        ...

    def step(self, state: TrainState, loss: float) -> None:
        """A step was done, with this mean loss."""
        ...

    def epoch(self, record: Record) -> None:
        """An epoch is over."""
        ...

    def warn(self, message: str) -> None:
        """Something the user should know."""
        ...

    def note(self, message: str, facts: Mapping[str, float | str]) -> None:
        """Something worth knowing, with its numbers."""
        ...

    def save(self, state: TrainState, extra: Mapping[str, AnyArray]) -> None:
        """Keep `state`, which is never changed, only replaced, and the callbacks' arrays."""
        ...

    def fell_back(self, steps: Sequence[FallbackStep]) -> None:
        """All steps in the chain of backends so far; the checkpoints that follow say them."""
        ...

    def written(self, *, wait: bool = False) -> Path | None:
        """A checkpoint that was completed since the last call; `wait` for one under way."""
        ...

    def settle(self) -> None:
        """Wait until the checkpoint that is being written is complete."""
        ...

    def write_model(self, folder: Path, theta: FloatArray, state: TrainState) -> Path:
        """Write parameters as a checkpoint of their own."""
        ...

    def save_is_due(self) -> bool:
        """Whether the configured time since the last checkpoint has passed."""
        ...

    def end(self, status: str, reason: str) -> None:
        """The attempt ended."""
        ...

    def close(self) -> None:
        """Nothing more comes, however the loop ended."""
        ...


class Recorder:
    """Writes one attempt into the run folder; checkpoints have their own thread."""

    records: Sequence[Record] = ()

    def __init__(self, job: Assignment, run_dir: Path) -> None:
        self._job = job
        self._run_dir = run_dir
        self._metrics = MetricsFile(run_dir / "metrics.jsonl")
        self._exported = ExportedMetrics(job.identity)
        self._traced = TracedSteps(job.identity, job.traceparent)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="qstore_ray-checkpoint")
        self._writing: Future[Path] | None = None
        self._completed: Path | None = None
        self._upload = None if job.origin is None else Upload(run_dir, job.origin, job.lease)
        self._began = self._saved = self._stepped = time.monotonic()

    def start(self, state: TrainState, problems: list[CheckpointError], **facts: int) -> None:
        """Cut the metrics back to the restored step and open a new attempt in them."""
        self._metrics.trim(state.step)
        for problem in problems:
            self.warn(str(problem))
        if self._job.lost:
            done = f"epoch {state.epoch + 1}" if state.step else "the beginning"
            self.warn(f"{self._job.lost}; training resumes from {done}.")
        self._metrics.append(
            {
                "event": "start",
                "generation": self._job.generation,
                "epochs": self._job.config.epochs,
                "parameters": self._job.model.n_parameters,
                "resumed_from_epoch": state.epoch,
                "resumed_from_step": state.step,
                **facts,
            }
        )
        record_missing(self._metrics, self._job.manifest.get("fallbacks", []))
        self._exported.start(state, restarted=bool(self._job.lost))
        self._traced.start()
        self._began = self._saved = time.monotonic()

    def step(self, state: TrainState, loss: float) -> None:
        """Record the mean loss of a step, a few times a second at most."""
        self._traced.step(state, loss)
        now = time.monotonic()
        if now - self._stepped >= _SECONDS_BETWEEN_STEP_RECORDS:
            self._stepped = now
            self._metrics.append(
                {"event": "step", "epoch": state.epoch, "step": state.step, "loss": loss},
                wait=False,
            )
            self._exported.step(state, loss)

    def epoch(self, record: Record) -> None:
        """Record an epoch, with the seconds since the attempt began.

        A checkpoint waits until the records before it are on the disk; the next epoch need not.
        """
        seconds = time.monotonic() - self._began
        record_of_epoch = {"event": "epoch", **record, "seconds": round(seconds, 3)}
        self._metrics.append(record_of_epoch, wait=False)
        self._exported.epoch(record)
        self._traced.epoch(record)

    def warn(self, message: str) -> None:
        """Record a warning; the driver shows it."""
        self._metrics.append({"event": "warning", "message": message})

    def note(self, message: str, facts: Mapping[str, float | str]) -> None:
        """Record a note; the driver shows it."""
        self._metrics.append({"event": "note", "message": message, **facts})

    def end(self, status: str, reason: str) -> None:
        """Record how the attempt ended, and finish deleting what a killed one had begun to."""
        prune_checkpoints(self._run_dir / "checkpoints", self._job.config.checkpoints_kept)
        seconds = time.monotonic() - self._began
        why = {"reason": reason} if reason else {}
        self._metrics.append(
            {"event": "end", "status": status, **why, "seconds": round(seconds, 3)}
        )
        self._metrics.close()
        if self._upload is not None:
            self._upload.push()

    def close(self) -> None:
        """Let a checkpoint that is being written be finished, however the loop ended."""
        self._writer.shutdown()
        self._traced.close()
        self._metrics.close()
        if self._upload is not None:
            self._upload.close()

    def save(self, state: TrainState, extra: Mapping[str, AnyArray]) -> None:
        """Begin to write a checkpoint.

        Raises:
            CheckpointError: the one before could not be written.
        """
        self.settle()
        self._saved = time.monotonic()
        arrays = {**state.to_arrays(), **extra}
        self._writing = self._writer.submit(self._write, state, arrays)

    def fell_back(self, steps: Sequence[FallbackStep]) -> None:
        """Say these steps in the checkpoints that follow."""
        manifest = self._job.manifest.copy()
        manifest["fallbacks"] = list(steps)
        self._job = replace(self._job, manifest=manifest)

    def written(self, *, wait: bool = False) -> Path | None:
        """The folder of a checkpoint that was completed since the last call.

        Raises:
            CheckpointError: it could not be written.
        """
        if wait or (self._writing is not None and self._writing.done()):
            self.settle()
        completed, self._completed = self._completed, None
        return completed

    def write_model(self, folder: Path, theta: FloatArray, state: TrainState) -> Path:
        """Write parameters as a checkpoint of their own; waits for the disk.

        Raises:
            CheckpointError: the folder cannot be written to.
        """
        arrays = {**self._job.arrays, "theta": theta}
        return write_checkpoint(folder, state.step, arrays, self._manifest(state))

    def _write(self, state: TrainState, arrays: dict[str, AnyArray]) -> Path:
        """Write a checkpoint and delete old ones. Runs in the writer's thread."""
        self._metrics.sync()
        folder = self._run_dir / "checkpoints"
        whole = {**self._job.arrays, **arrays}
        path = write_checkpoint(folder, state.step, whole, self._manifest(state))
        prune_checkpoints(folder, self._job.config.checkpoints_kept)
        if self._upload is not None:
            self._upload.push()
        return path

    def _manifest(self, state: TrainState) -> CheckpointManifest:
        manifest = self._job.manifest.copy()
        manifest["epoch"], manifest["generation"] = state.epoch, self._job.generation
        return manifest

    def settle(self) -> None:
        """Wait until the checkpoint that is being written is complete.

        Raises:
            CheckpointError: it could not be written.
        """
        if self._writing is not None:
            writing, self._writing = self._writing, None
            self._completed = writing.result()

    def save_is_due(self) -> bool:
        """Whether the configured time since the last checkpoint has passed."""
        every = self._job.config.checkpoint_every_seconds
        return bool(every) and time.monotonic() - self._saved >= every


class Memory:
    """Keeps the epochs' records and nothing else.

    Args:
        shown: where warnings are written, if anywhere.

    Attributes:
        records: one record an epoch.
    """

    def __init__(self, shown: TextIO | None = sys.stderr) -> None:
        self.records: list[Record] = []
        self._shown = shown

    def start(self, state: TrainState, problems: list[CheckpointError], **facts: int) -> None:
        """No attempt came before."""

    def step(self, state: TrainState, loss: float) -> None:
        """Steps are not kept."""

    def epoch(self, record: Record) -> None:
        """Keep the record."""
        self.records.append(record)

    def warn(self, message: str) -> None:
        """Write it to `shown`."""
        if self._shown is not None:
            self._shown.write(f"warning: {message}\n")

    def note(self, message: str, facts: Mapping[str, float | str]) -> None:
        """Notes are not kept."""

    def save(self, state: TrainState, extra: Mapping[str, AnyArray]) -> None:
        """The caller gets the parameters."""

    def fell_back(self, steps: Sequence[FallbackStep]) -> None:
        """No checkpoint is written."""

    def written(self, *, wait: bool = False) -> Path | None:
        """None: no checkpoint is written."""
        return None

    def settle(self) -> None:
        """No checkpoint is being written."""

    def write_model(self, folder: Path, theta: FloatArray, state: TrainState) -> Path:
        """Raise `UsageError`: there is nowhere to write to."""
        raise UsageError(
            "this run has no folder to keep models in",
            fix="Train with QuantumTrainer, or leave ModelCheckpoint out.",
        )

    def save_is_due(self) -> bool:
        """False: nothing is saved."""
        return False

    def end(self, status: str, reason: str) -> None:
        """The outcome says it."""

    def close(self) -> None:
        """Nothing is open."""
