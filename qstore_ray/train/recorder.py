"""What worker 0 writes into the run folder while the loop runs: metrics, checkpoints, and when.

A checkpoint waits for the disk several times as long as a step computes, so it is written by a
thread of its own while the loop goes on. One at a time: the next one, and the end, wait for it.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qstore_ray.errors import CheckpointError
from qstore_ray.track.jsonl import MetricsFile
from qstore_ray.train.checkpoint import prune_checkpoints, write_checkpoint
from qstore_ray.train.reporter import Reporter
from qstore_ray.train.state import TrainState

if TYPE_CHECKING:
    from qstore_ray.train.loop import Assignment

_SECONDS_BETWEEN_STEP_RECORDS = 0.25
_SECONDS_BETWEEN_REPORTS = 10.0


class Recorder:
    """Writes for one attempt. Lives in worker 0; checkpoints have their own thread."""

    def __init__(self, job: Assignment, reporter: Reporter) -> None:
        self._job = job
        self._reporter = reporter
        self._metrics = MetricsFile(job.run_dir / "metrics.jsonl")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="qstore_ray-checkpoint")
        self._writing: Future[Path] | None = None
        self._began = self._saved = self._stepped = self._reported = time.monotonic()

    def start(self, state: TrainState, problems: list[CheckpointError], **facts: int) -> None:
        """Cut the metrics back to the restored step and open a new attempt in them."""
        self._metrics.trim(state.step)
        for problem in problems:
            self._metrics.append({"event": "warning", "message": str(problem)})
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
        self._began = self._saved = self._reported = time.monotonic()

    def step(self, state: TrainState, loss: float) -> None:
        """Record the mean loss of a step, a few times a second at most."""
        now = time.monotonic()
        if now - self._stepped >= _SECONDS_BETWEEN_STEP_RECORDS:
            self._stepped = now
            self._metrics.append(
                {"event": "step", "epoch": state.epoch, "step": state.step, "loss": loss}
            )

    def epoch(self, record: dict[str, Any]) -> None:
        """Record an epoch, with the seconds since the attempt began."""
        seconds = time.monotonic() - self._began
        self._metrics.append({"event": "epoch", **record, "seconds": round(seconds, 3)})

    def end(self, status: str) -> None:
        """Record how the attempt ended, when the last checkpoint is written.

        Raises:
            CheckpointError: it could not be written.
        """
        self._wait()
        seconds = time.monotonic() - self._began
        self._metrics.append({"event": "end", "status": status, "seconds": round(seconds, 3)})
        self._metrics.close()

    def close(self) -> None:
        """Let a checkpoint that is being written be finished, however the loop ended."""
        self._writer.shutdown()

    def save(self, state: TrainState) -> None:
        """Begin to write a checkpoint; `state` is never changed, only replaced.

        Raises:
            CheckpointError: the one before could not be written.
        """
        self._wait()
        self._saved = time.monotonic()
        self._writing = self._writer.submit(self._write, state)

    def _write(self, state: TrainState) -> Path:
        """Write a checkpoint and delete old ones. Runs in the writer's thread."""
        folder = self._job.run_dir / "checkpoints"
        arrays = {**self._job.arrays, **state.to_arrays()}
        manifest = {
            **self._job.manifest, "epoch": state.epoch, "generation": self._job.generation
        }  # fmt: skip
        path = write_checkpoint(folder, state.step, arrays, manifest)
        prune_checkpoints(folder, self._job.config.checkpoints_kept)
        return path

    def _wait(self) -> None:
        """Until the checkpoint that is being written is there."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            self._reporter.checkpoint(writing.result())

    def save_is_due(self) -> bool:
        """Whether the configured time since the last checkpoint has passed."""
        every = self._job.config.checkpoint_every_seconds
        return bool(every) and time.monotonic() - self._saved >= every

    def report_is_due(self) -> bool:
        """Whether to report to Ray again; its report takes as long as a hundred small steps."""
        now = time.monotonic()
        if now - self._reported < _SECONDS_BETWEEN_REPORTS:
            return False
        self._reported = now
        return True
