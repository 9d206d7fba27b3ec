"""A run as a callback sees it, and a step of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from qstore_ray.errors import ConfigError
from qstore_ray.learn.step import row_variance

if TYPE_CHECKING:
    from qstore_ray.learn.model import QuantumModel
    from qstore_ray.train.config import TrainerConfig
    from qstore_ray.train.run.recorder import Journal
    from qstore_ray.train.run.state import TrainState
    from qstore_ray.types import FloatArray


class Batch(NamedTuple):
    """A step that was done.

    Attributes:
        loss: mean loss of its rows, before the step; NaN if a private step drew no row.
        gradient: ∂loss/∂θ (P,) that the step used; not to be changed.
        n_rows: rows of all workers together.
        blocks: what the gradient is the sum of, (blocks, P + 3); see `learn.step`. None of a
            private run, (0, P + 3): the gradient of fewer rows has no noise.

    Examples:
        batch = Batch(loss=0.7, gradient=np.zeros(2), n_rows=8, blocks=np.zeros((1, 5)))
        assert batch.loss == 0.7 and np.isnan(batch.gradient_noise())
    """

    loss: float
    gradient: FloatArray
    n_rows: int
    blocks: FloatArray

    def gradient_noise(self) -> float:
        """The standard error of the gradient's norm, from its spread over the rows.

        √(Σ_i σ_i² / B) for the variance σ_i² of ∂loss/∂θ_i from row to row; NaN for fewer than two
        blocks of rows, an optimizer that takes no gradient, or a private run.
        """
        if not len(self.blocks):
            return math.nan
        return math.sqrt(row_variance(self.blocks).sum() / self.n_rows)


class EndRequest(NamedTuple):
    """How a callback wants the run to end: `stop` interrupts it, `end` finishes it; and why."""

    kind: Literal["stop", "end"]
    reason: str


@dataclass
class Run:
    """A run as a callback sees it, and what a callback may ask of it. Lives in worker 0.

    Attributes:
        model: the function that is trained. config: how.
        run_dir: the run folder; None for a run that is not recorded (an estimator's).
        steps_per_epoch: steps of one epoch.
        state: parameters, counters and optimizer state; never changed, only replaced.
        journal, logged, ending, replacement: the loop's side of the methods below.

    Examples:
        class StopAfterTen(Callback):
            def on_batch_end(self, run: Run, batch: Batch) -> None:
                if run.state.step == 10:
                    run.stop("ten steps were enough")
    """

    model: QuantumModel
    config: TrainerConfig
    run_dir: Path | None
    steps_per_epoch: int
    state: TrainState
    journal: Journal = field(repr=False)
    logged: dict[str, float] = field(default_factory=dict)
    ending: EndRequest | None = None
    replacement: FloatArray | None = None

    @property
    def theta(self) -> FloatArray:
        """The parameters (P,), read only."""
        view = self.state.theta.view()
        view.flags.writeable = False
        return view

    def log(self, **metrics: float) -> None:
        """Add numbers to the record of the running epoch; trackers get them too.

        Raises:
            ConfigError: a value that is NaN or infinite.
        """
        for name, value in metrics.items():
            if not np.isfinite(value):
                raise ConfigError("a metric is NaN or infinite", field=name, value=value)
        self.logged |= metrics

    def warn(self, message: str) -> None:
        """Record a warning and show it to the user."""
        self.journal.warn(message)

    def note(self, message: str, **facts: float | str) -> None:
        """Record something worth knowing, with its numbers, and show it to the user."""
        self.journal.note(message, {"step": self.state.step, **facts})

    def end(self, reason: str) -> None:
        """Finish the run after this epoch, as if it had been the last."""
        self.ending = self.ending or EndRequest("end", reason)

    def stop(self, reason: str) -> None:
        """Interrupt the run at a checkpoint: it can be resumed (exit code 5).

        A single worker stops after this step; several stop after the next one, once all have
        received the request.
        """
        self.ending = EndRequest("stop", reason)

    def replace_parameters(self, theta: FloatArray) -> None:
        """In `on_train_end`: end with other parameters (P,) than those of the last step.

        Raises:
            ConfigError: the model has another number of parameters.
        """
        if theta.shape != self.state.theta.shape:
            raise ConfigError(
                f"the model has {len(self.state.theta)} parameters", field="theta",
                value=theta.shape,
            )  # fmt: skip
        self.replacement = np.array(theta)

    def write_model(self, folder: Path) -> Path:
        """Write the present parameters as a checkpoint into `folder`; `TrainedModel.load` reads it.

        Raises:
            CheckpointError: the disk is full or the folder cannot be written to.
        """
        return self.journal.write_model(folder, self.state.theta, self.state)

    def take_logged(self) -> dict[str, float]:
        """What was logged since the last call; for the loop."""
        logged, self.logged = self.logged, {}
        return logged
