"""The metrics, by the conventions of Prometheus: base units, `_total` on what only grows.

Ray puts `ray_` before each name. A run is known by its id, which no other run has; `trial` is empty
for a run that belongs to no search. Rates (steps or samples a second) are left to the query:
`sum by (run) (rate(ray_qstore_samples_total[5m]))`, since each worker process has its own series.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_RUN = ("run", "trial")


@dataclass(frozen=True)
class MetricFamily:
    """One metric.

    Attributes:
        name: without the prefix of Ray.
        kind: as in Prometheus. description: of what is counted, with its unit.
        labels: the names that each value must have.
        boundaries: upper bounds of a histogram's buckets.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    description: str
    labels: tuple[str, ...] = _RUN
    boundaries: tuple[float, ...] = ()

    @property
    def exported(self) -> tuple[str, ...]:
        """The names of its series on Ray's endpoint."""
        name = f"ray_{self.name}"
        if self.kind == "histogram":
            return (f"{name}_bucket", f"{name}_count", f"{name}_sum")
        return (name,)


STEPS = MetricFamily("qstore_steps_total", "counter", "Training steps taken.")
SAMPLES = MetricFamily("qstore_samples_total", "counter", "Rows that steps were taken over.")
EPOCHS = MetricFamily("qstore_epochs_total", "counter", "Epochs completed.")
CIRCUITS = MetricFamily(
    "qstore_circuit_evaluations_total", "counter", "Circuits evaluated for training and validation."
)
SHOTS = MetricFamily("qstore_shots_total", "counter", "Shots taken of them.")
RESTARTS = MetricFamily(
    "qstore_worker_restarts_total", "counter", "Restarts of the workers after one was lost."
)
TRAIN_LOSS = MetricFamily("qstore_train_loss", "gauge", "Mean loss of the last step.")
VALIDATION_LOSS = MetricFamily(
    "qstore_validation_loss", "gauge", "Mean loss over the validation rows, after the last epoch."
)
GRADIENT_NORM = MetricFamily(
    "qstore_gradient_norm", "gauge", "Mean norm of the gradient over the steps of the epoch so far."
)
LEARNING_RATE = MetricFamily("qstore_learning_rate", "gauge", "Learning rate of the last step.")

HARDWARE_JOBS = MetricFamily(
    "qstore_hardware_jobs_total",
    "counter",
    "Jobs that have ended at the hardware service.",
    ("run", "device", "outcome"),
)
QPU_SECONDS = MetricFamily(
    "qstore_qpu_seconds_total", "counter", "Seconds billed by the service.", ("run", "device")
)
QUEUE_SECONDS = MetricFamily(
    "qstore_hardware_queue_seconds",
    "histogram",
    "Seconds that a job waited in the device's queue, as the service reports them.",
    ("device",),
    (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0),
)

FAMILIES = (
    STEPS, SAMPLES, EPOCHS, CIRCUITS, SHOTS, RESTARTS, TRAIN_LOSS, VALIDATION_LOSS, GRADIENT_NORM,
    LEARNING_RATE, HARDWARE_JOBS, QPU_SECONDS, QUEUE_SECONDS,
)  # fmt: skip
"""All of them."""
