"""Train a candidate on rows in memory, in this process, by the loop that jobs are trained by.

Nothing is written to disk, nothing is tracked, and the seconds are of this process's CPU, so that
a busy machine does not change what is measured.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from qstore_ray.advise.candidates import Candidate
from qstore_ray.advise.measure.peak_memory import peak_mb, reset_peak
from qstore_ray.estimator.features import fit_features
from qstore_ray.learn import step
from qstore_ray.learn.model import build_model
from qstore_ray.train.job import Assignment, TrainingRows
from qstore_ray.train.loop import loop
from qstore_ray.train.loop.reducer import LocalReducer
from qstore_ray.train.loop.reporter import LocalReporter

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray, IntArray


class MeasuredTraining(NamedTuple):
    """What one training took and what its model answers.

    Attributes:
        predicted: class numbers (M,) of the held-out rows.
        seconds: CPU of the training. peak_mb: largest memory of the process meanwhile, MiB.
        circuits: evaluations in all epochs. parameters: P of the whole model.
        gates: of the circuit. two_qubit_gates: those on two qubits. features: F of the circuit.
    """

    predicted: IntArray
    seconds: float
    peak_mb: float
    circuits: int
    parameters: int
    gates: int
    two_qubit_gates: int
    features: int
    qubits: int


def train_candidate(
    candidate: Candidate, x: FloatArray, y: IntArray, held_out: FloatArray, *, seed: int
) -> MeasuredTraining:
    """Train on rows x (N, F) with class numbers y (N,), answer the rows `held_out` (M, F).

    Raises:
        CircuitError: a candidate that data of this width cannot be given to.
        DivergenceError: the loss became NaN or infinite.
    """
    columns = x.shape[1]
    config = candidate.model(columns)
    fitted = fit_features(
        x, encoding=candidate.encoding, n_qubits=config.n_qubits, scale=True, reduce="pca"
    )
    model = build_model(config, n_features=fitted.n_features, n_classes=int(y.max()) + 1)
    features = fitted.preparation.apply(x)
    rows = TrainingRows(features, y, features[:0], y[:0])
    trainer = candidate.trainer(seed)
    backend = trainer.open_backend(threads=1)
    job = Assignment(
        model=model, config=trainer, run_dir=None, generation=0, manifest={}, arrays={},
        backend=backend,
    )  # fmt: skip
    reset_peak()
    before = time.process_time()
    outcome = loop.run(job, rows, LocalReducer(), LocalReporter())
    seconds = time.process_time() - before
    template = model.circuit.template
    outputs = step.outputs_of(model, outcome.theta, fitted.preparation.apply(held_out), backend)
    return MeasuredTraining(
        predicted=model.loss.predict(outputs),
        seconds=seconds,
        peak_mb=peak_mb(),
        circuits=int(outcome.records[-1]["circuit_evaluations"]),
        parameters=model.n_parameters,
        gates=len(template.ops),
        two_qubit_gates=sum(len(op.qubits) == 2 for op in template.ops),
        features=fitted.n_features,
        qubits=config.n_qubits,
    )
