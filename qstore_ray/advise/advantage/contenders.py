"""Who is compared: the job's model, its kernel, and the twins of both without entanglement.

    model           the job's circuit, trained as the job says
    kernel          an SVM with the fidelity kernel of the same circuit, at its initial parameters
    model_twin      the same without any gate on two qubits: a product state, cheap for any computer
    kernel_twin     likewise

Each is tuned over `SETTINGS` settings, as many as every classical model (`rivals.py`): the model
over its learning rate and the spread of its initial parameters, the kernel over C and the factor of
its angles. What a job's preprocessing does is fitted on the training rows of each fold.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.advise.measure.rivals import SETTINGS
from qstore_ray.backends.base import Bindings
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.learn import step
from qstore_ray.learn.kernel.kernel import fidelities
from qstore_ray.learn.model import QuantumModel
from qstore_ray.train.checks import checked
from qstore_ray.train.job import Assignment, TrainingRows
from qstore_ray.train.loop import loop
from qstore_ray.train.loop.reducer import LocalReducer
from qstore_ray.train.loop.reporter import LocalReporter

if TYPE_CHECKING:
    from qstore_ray.circuits.circuit import Circuit
    from qstore_ray.job import JobConfig
    from qstore_ray.types import ComplexArray, FloatArray, IntArray, ReadOnlyTable

MODEL_SETTINGS: tuple[Mapping[str, float], ...] = (
    {"rate": 1.0, "spread": 1.0},
    {"rate": 0.3, "spread": 1.0},
    {"rate": 2.0, "spread": 1.0},
    {"rate": 1.0, "spread": 4.0},
)
"""Factors of the job's learning rate and initial spread; the first is the job itself."""

KERNEL_SETTINGS: tuple[Mapping[str, float], ...] = tuple(
    {"C": c, "bandwidth": width} for c in (1.0, 30.0) for width in (1.0, 0.3)
)
assert len(MODEL_SETTINGS) == len(KERNEL_SETTINGS) == SETTINGS, "budgets are equal"


class Answered(NamedTuple):
    """Class numbers (M,) of held-out rows, CPU seconds, and circuits that were evaluated."""

    predicted: IntArray
    seconds: float
    circuits: int


@dataclass(frozen=True)
class Prepared:
    """Rows as the job's circuit takes them: train (N, F) and held out (M, F)."""

    config: JobConfig
    model: QuantumModel
    x: FloatArray
    y: IntArray
    held_out: FloatArray


def prepare(
    config: JobConfig, x: FloatArray, y: IntArray, held_out: FloatArray, labels: IntArray
) -> Prepared:
    """Fit the job's preparation on rows x (N, …) and build its model.

    Raises:
        QStoreError: what training would refuse.
    """
    dataset = DatasetLoader.from_arrays(
        x, y, split={"train": 1.0}, test=(held_out, labels),
        preprocessing=config.dataset.preprocessing, seed=config.dataset.seed,
    )  # fmt: skip
    job = checked(config.model, config.trainer, dataset)
    return Prepared(config, job.model, job.held.x, job.held.y, dataset.materialize("test").x)


def without_entanglement(circuit: Circuit) -> Circuit:
    """The circuit without its gates on two or more qubits; amplitudes are loaded as before."""
    alone = tuple(op for op in circuit.template.ops if len(op.qubits) == 1)
    return replace(circuit, template=replace(circuit.template, ops=alone))


def twin_of(prepared: Prepared) -> Prepared:
    """The same rows with the twin of the model."""
    circuit = without_entanglement(prepared.model.circuit)
    return replace(prepared, model=replace(prepared.model, circuit=circuit))


def train_model(prepared: Prepared, settings: ReadOnlyTable, *, seed: int) -> Answered:
    """Train the model and answer the held-out rows."""
    return trained_model(prepared, settings, seed=seed)[1]


def trained_model(
    prepared: Prepared, settings: ReadOnlyTable, *, seed: int
) -> tuple[FloatArray, Answered]:
    """The trained parameters, and the answers to the held-out rows."""
    rate, spread = (float(str(settings[name])) for name in ("rate", "spread"))
    model = replace(prepared.model, initial_spread=prepared.model.initial_spread * spread)
    trainer = prepared.config.trainer
    config = trainer.model_copy(
        update={"learning_rate": trainer.learning_rate * rate, "seed": seed, "num_workers": 0}
    )
    x, y = prepared.x, prepared.y
    backend = config.open_backend(threads=1)
    job = Assignment(
        model=model, config=config, run_dir=None, generation=0, manifest={}, arrays={},
        backend=backend,
    )  # fmt: skip
    before = time.process_time()
    outcome = loop.run(job, TrainingRows(x, y, x[:0], y[:0]), LocalReducer(), LocalReporter())
    outputs = step.outputs_of(model, outcome.theta, prepared.held_out, backend)
    seconds = time.process_time() - before
    circuits = int(outcome.records[-1]["circuit_evaluations"]) + len(prepared.held_out)
    return outcome.theta, Answered(model.loss.predict(outputs), seconds, circuits)


def fit_kernel(prepared: Prepared, settings: ReadOnlyTable, *, seed: int) -> Answered:
    """Fit an SVM with the model's kernel and answer the held-out rows."""
    from sklearn.svm import SVC

    before = time.process_time()
    width = float(str(settings["bandwidth"]))
    known = row_states(prepared.model, prepared.x, width, seed=seed)
    asked = row_states(prepared.model, prepared.held_out, width, seed=seed)
    machine = SVC(kernel="precomputed", C=float(str(settings["C"])))
    machine.fit(fidelities(known, known), prepared.y)
    predicted = np.asarray(machine.predict(fidelities(asked, known)), np.int64)
    circuits = len(known) + len(asked)
    return Answered(predicted, time.process_time() - before, circuits)


def row_states(
    model: QuantumModel, x: FloatArray, bandwidth: float = 1.0, *, seed: int
) -> ComplexArray:
    """States (N, 2^n) of rows (N, F), with the circuit's initial parameters of a seed."""
    circuit = model.circuit
    params = model.split(model.initial(seed)).circuit
    bindings = Bindings(bandwidth * circuit.angles(x), params, circuit.amplitudes(x))
    return StatevectorBackend().states(circuit.template, bindings)


QUANTUM: Mapping[str, tuple[bool, bool, Sequence[ReadOnlyTable]]] = {
    "model": (False, False, MODEL_SETTINGS),
    "model_twin": (False, True, MODEL_SETTINGS),
    "kernel": (True, False, KERNEL_SETTINGS),
    "kernel_twin": (True, True, KERNEL_SETTINGS),
}
"""Name → whether it is a kernel, whether it is a twin, its settings."""


def answer(name: str, prepared: Prepared, settings: ReadOnlyTable, *, seed: int) -> Answered:
    """What the quantum contender `name` answers with these settings."""
    is_kernel, is_twin, _ = QUANTUM[name]
    own = twin_of(prepared) if is_twin else prepared
    return (fit_kernel if is_kernel else train_model)(own, settings, seed=seed)
