"""The metrics that a trial will have: named beforehand, and its gates counted as by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qstore_ray.backends.base import Usage
from qstore_ray.circuits.gates import GATES
from qstore_ray.circuits.library.encodings import ENCODINGS
from qstore_ray.circuits.library.library import ANSATZE, ENTANGLEMENTS, build_circuit
from qstore_ray.circuits.qiskit.qiskit import to_qiskit
from qstore_ray.circuits.template import Op, Template, const
from qstore_ray.errors import CircuitError, ConfigError, UnknownNameError
from qstore_ray.job import JobConfig, run_job
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.model import build_model
from qstore_ray.track.jsonl import epoch_records, read_records
from qstore_ray.train.config import TrainerConfig
from qstore_ray.tune.metrics import (
    COSTS,
    TRIAL_METRICS,
    check_objective_metrics,
    trial_metric_names,
    trial_metrics,
    two_qubit_gates,
)
from qstore_ray.tune.objective import Objective

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

MODEL = build_model(ModelConfig(layers=3), n_features=4, n_classes=3)
KNOWN = trial_metric_names(MODEL, TrainerConfig(), 10)


def _counted(circuit: QuantumCircuit) -> int:
    """By Qiskit, after it wrote every Toffoli in its own way."""
    plain = circuit.decompose("ccx")
    return sum(
        n for name, n in plain.count_ops().items() if name in GATES and GATES[name].n_qubits == 2
    )


@settings(max_examples=60, deadline=None)
@given(
    encoding=st.sampled_from([name for name in ENCODINGS if name != "amplitude"]),
    ansatz=st.sampled_from(sorted(ANSATZE)),
    entanglement=st.sampled_from(sorted(ENTANGLEMENTS)),
    layers=st.integers(1, 3),
    n=st.integers(2, 5),
)
def test_qiskit_counts_the_same_gates(encoding, ansatz, entanglement, layers, n):
    width = {"dense_angle": 2 * n, "hamiltonian": n - 1}.get(encoding, n)
    try:
        template = build_circuit(
            encoding=encoding, ansatz=ansatz, entanglement=entanglement, layers=layers,
            n_qubits=n, n_features=width,
        ).template  # fmt: skip
    except CircuitError:  # an ansatz that does not take these
        return
    assert two_qubit_gates(template) == _counted(to_qiskit(template))


@pytest.mark.parametrize(
    ("entanglement", "per_layer"), [("linear", 3), ("ring", 4), ("full", 6), ("pairwise", 3)]
)
def test_a_count_by_hand(entanglement: str, per_layer: int):
    # 4 qubits, angle encoding (no two-qubit gates), two layers of real_amplitudes.
    circuit = build_circuit(
        encoding="angle", ansatz="real_amplitudes", entanglement=entanglement, layers=2,
        n_qubits=4, n_features=4,
    )  # fmt: skip
    assert two_qubit_gates(circuit.template) == 2 * per_layer


def test_every_gate_counts_as_it_should():
    for name, (n_qubits, n_angles) in GATES.items():
        op = Op(name, tuple(range(n_qubits)), (const(0.3),) * n_angles)
        expected = {1: 0, 2: 1, 3: 6}[n_qubits]
        template = Template(3, (op,))
        assert two_qubit_gates(template) == expected
        assert _counted(to_qiskit(template)) == expected


def test_a_trial_has_what_is_announced_and_no_more():
    found = trial_metrics(MODEL, Usage(120, 7), 1.5)
    assert set(found) == set(TRIAL_METRICS)
    assert set(TRIAL_METRICS) >= COSTS
    assert (found["circuit_evaluations"], found["shots"], found["train_seconds"]) == (120, 7, 1.5)
    assert found["parameters"] == MODEL.n_parameters
    assert found["two_qubit_gates"] == two_qubit_gates(MODEL.circuit.template)


CALLBACKS = [
    {"name": "timer"},
    {"name": "gradient_stats"},
    {"name": "learning_rate_monitor"},
    {"name": "budget", "circuits": 10**9},
]


SCORES = [
    "balanced_accuracy", "f1_macro", "roc_auc", "average_precision", "log_loss",
    "recall_setosa", "recall_versicolor", "recall_virginica",
]  # fmt: skip


@pytest.mark.parametrize("optimizer", ["adam", "spsa"])
@pytest.mark.parametrize("split", [{"train": 0.6, "val": 0.2, "test": 0.2}, {"train": 1.0}])
def test_the_names_are_those_of_a_real_run(optimizer: str, split, tmp_path: Path):
    callbacks = CALLBACKS if optimizer == "adam" else CALLBACKS[:1]
    job = JobConfig.from_dict(
        {
            "name": "iris", "storage": str(tmp_path), "baseline": False,
            "dataset": {"name": "iris", "params": {"dataset": "iris"}, "split": split},
            "trainer": {
                "epochs": 1, "optimizer": optimizer, "callbacks": callbacks,
                "metrics": SCORES if "val" in split else [],
            },
            "track": {"mlflow": False, "figures": False},
        }
    )  # fmt: skip
    run = run_job(job).run_dir
    (record,) = epoch_records(read_records(run / "metrics.jsonl"))
    model = build_model(job.model, n_features=4, n_classes=3)
    names = ("setosa", "versicolor", "virginica")
    known = trial_metric_names(model, job.trainer, 30 if "val" in split else 0, names)
    counters = {"epoch", "step", "samples", "learning_rate", "event", "seconds", "wall_time"}
    assert set(known) - set(TRIAL_METRICS) == {
        name for name, value in record.items() if isinstance(value, float) and name not in counters
    }


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_known_is_an_objective(name: str):
    check_objective_metrics([Objective(metric=name, mode="min")], KNOWN)


def _refused(name: str, known=KNOWN) -> ConfigError:
    with pytest.raises(UnknownNameError) as caught:
        check_objective_metrics([Objective(metric="train_loss"), Objective(metric=name)], known)
    assert caught.value.field == "tune.objectives.1.metric"
    assert caught.value.value == name
    return caught.value


def test_an_objective_that_no_trial_will_have_is_refused():
    wrong = _refused("val_acuracy")
    assert "Did you mean 'val_accuracy'?" in wrong.fix
    assert all(name in wrong.fix for name in KNOWN)
    assert "cannot choose" in _refused("test_accuracy").fix
    without = trial_metric_names(MODEL, TrainerConfig(), 0)
    assert "no validation rows: set dataset.split.val" in _refused("val_loss", without).fix
    regression = build_model(ModelConfig(), n_features=4, n_classes=None, task="regression")
    names = trial_metric_names(regression, TrainerConfig(), 10)
    assert "val_accuracy" not in names
    assert "Known" in _refused("val_accuracy", names).fix
