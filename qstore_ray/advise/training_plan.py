"""The plan of a candidate's training: its steps, and what the engine takes for them.

The same cost model as `qstore estimate`'s, without data: a candidate and the size of the rows are
enough.
"""

from __future__ import annotations

from typing import NamedTuple

from qstore_ray.advise.candidates import Candidate
from qstore_ray.estimator.features import most_features
from qstore_ray.learn.model import QuantumModel, build_model
from qstore_ray.simulate.compile.compiler import compile_program
from qstore_ray.simulate.cost import Calibration, cost


class TrainingPlan(NamedTuple):
    """Optimizer steps, and the engine's seconds in all of them on this machine."""

    steps: int
    engine_seconds: float


def model_of(candidate: Candidate, columns: int, classes: int) -> QuantumModel:
    """The candidate's model for data with so many columns and classes."""
    config = candidate.model(columns)
    n_features = min(columns, most_features(candidate.encoding, config.n_qubits))
    if candidate.encoding == "amplitude":
        n_features = 2**config.n_qubits
    return build_model(config, n_features=n_features, n_classes=classes)


def plan_training(
    candidate: Candidate,
    rows: int,
    columns: int,
    classes: int,
    calibration: Calibration | None = None,
) -> TrainingPlan:
    """The plan of training on so many rows."""
    model = model_of(candidate, columns, classes)
    program = compile_program(model.circuit.template, model.observables)
    steps = -(-rows // candidate.batch_size) * candidate.epochs
    batch = min(candidate.batch_size, rows)
    found = cost(program, batch, rows_gradient=model.rows_gradient, calibration=calibration)
    return TrainingPlan(steps, steps * found.seconds)
