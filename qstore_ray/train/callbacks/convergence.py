"""Watching a run for what its curve says: converged, stuck, diverging, to and fro, barren."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import PrivateAttr, model_validator

from qstore_ray.errors import ConfigError
from qstore_ray.learn.diagnostics.convergence import ConvergenceDetector, Kind
from qstore_ray.learn.diagnostics.stopping import monitored
from qstore_ray.learn.scoring import of_train
from qstore_ray.train.callbacks.base import Callback
from qstore_ray.train.callbacks.run import Batch, Run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Self

    from qstore_ray.learn.model import QuantumModel
    from qstore_ray.track.base import Record
    from qstore_ray.types import AnyArray


class ConvergenceMonitor(ConvergenceDetector, Callback):
    """Says what the curve of a metric shows, when it begins to show it. Runs in worker 0.

    The options are those of `ConvergenceDetector`, and these. Every finding is recorded as a note,
    with its number and the threshold, and shown to the user.

    Args:
        monitor: the metric.
        end_on: findings that end the run, such as `["converged"]`; none by default.

    Examples:
        monitor = ConvergenceMonitor(monitor="val_loss", end_on=["converged"])
        assert monitor.decides and not ConvergenceMonitor().decides
    """

    monitor: str = "train_loss"
    end_on: tuple[Kind, ...] = ()
    _values: Any = PrivateAttr(default_factory=list)
    _norms: Any = PrivateAttr(default_factory=list)
    _noises: Any = PrivateAttr(default_factory=list)
    _epoch: Any = PrivateAttr(default_factory=list)
    _told: Any = PrivateAttr(default="")

    @model_validator(mode="after")
    def _direction_fits(self) -> Self:
        if self.monitor.endswith("accuracy") and self.mode == "min":
            raise ConfigError(
                "of an accuracy, larger is better", field="mode", value=self.mode,
                fix='Write mode = "max".',
            )  # fmt: skip
        return self

    @property
    def decides(self) -> bool:  # type: ignore[override]  # elsewhere it is the same for a class
        """Whether it may end the run."""
        return bool(self.end_on)

    @property
    def ends_early(self) -> bool:  # type: ignore[override]  # elsewhere it is the same for a class
        """Whether it may end the run."""
        return bool(self.end_on)

    def without_validation(self) -> tuple[Callback | None, tuple[str, ...]]:
        """Follows the metric of train, and no longer ends the run."""
        if not self.monitor.startswith("val_"):
            return self, ()
        metric = of_train(self.monitor)
        notes = [f"callback convergence_monitor watches {metric} instead of {self.monitor}"]
        if self.end_on:
            notes.append("callback convergence_monitor no longer ends the training")
        changed = {**self.to_dict(), "monitor": metric, "end_on": ()}
        return ConvergenceMonitor(**changed), tuple(notes)

    def logged_metrics(self, model: QuantumModel) -> Iterable[str]:
        """It logs nothing."""
        return ()

    def on_batch_end(self, run: Run, batch: Batch) -> None:
        """Note the noise of the gradient, once or a few times an epoch: it costs a little."""
        if run.state.step_in_epoch in (1, run.steps_per_epoch // 2):
            noise = batch.gradient_noise()
            if np.isfinite(noise):
                self._epoch.append(noise)

    def on_epoch_end(self, run: Run, record: Record) -> None:
        """Check the whole curve; report a finding that is new in this epoch."""
        self._values.append(monitored({**record, **run.logged}, self.monitor))
        if "gradient_norm" in record and self._epoch:
            self._norms.append(record["gradient_norm"])
            self._noises.append(float(np.mean(self._epoch)))
        self._epoch = []
        n_qubits = run.model.circuit.template.n_qubits
        found = self.findings(
            self._values,
            gradient_norms=self._norms,
            gradient_noise=self._noises,
            n_qubits=n_qubits,
        )
        for finding in found:
            if finding.kind != self._told:
                number = {"number": finding.number} if np.isfinite(finding.number) else {}
                facts = {"threshold": finding.threshold, "epoch": int(record["epoch"]), **number}
                run.note(finding.message, kind=finding.kind, **facts)
            if finding.kind in self.end_on:
                run.end(finding.message)
        self._told = found[0].kind if found else ""

    def state(self) -> Mapping[str, AnyArray]:
        """The curve so far."""
        return {
            "values": np.array(self._values),
            "norms": np.array(self._norms),
            "noises": np.array(self._noises),
            "running": np.array(self._epoch),
            "told": np.array(self._told),
        }

    def restore(self, state: Mapping[str, AnyArray]) -> None:
        """Continue from this state."""
        self._values, self._norms = state["values"].tolist(), state["norms"].tolist()
        self._noises, self._epoch = state["noises"].tolist(), state["running"].tolist()
        self._told = str(state["told"])
