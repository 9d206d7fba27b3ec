"""Models of more qubits than a state can have: configured, trained, saved, estimated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qiskit import QuantumCircuit, qasm3
from qiskit.circuit import ParameterVector
from qiskit_ibm_runtime.fake_provider import FakeSherbrooke

from qstore_ray.backends.aer import AerBackend
from qstore_ray.backends.base import Bindings
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.library.coupling import heavy_hex, in_rounds, joined_pairs
from qstore_ray.circuits.library.library import build_circuit
from qstore_ray.circuits.observable import named_observables
from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import BackendError, CircuitError, ConfigError, ResourceError
from qstore_ray.estimate import estimate_job
from qstore_ray.job import JobConfig
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.model import QuantumModel, build_model
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.model.trained import TrainedModel
from qstore_ray.train.trainer import QuantumTrainer

DIGITS = DatasetConfig(
    name="digits",
    source="sklearn",
    params={"dataset": "digits"},
    preprocessing=[{"name": "scale", "factor": np.pi / 16}],
    split={"train": 0.05, "val": 0.02, "test": 0.93},
    stratify=True,
)
MODEL = ModelConfig(n_qubits=64, layers=2, entanglement="pairwise", observables="z+zz_neighbours")
TRAINER = TrainerConfig(epochs=1, batch_size=32, num_workers=0)


def test_a_model_of_64_qubits_is_trained_saved_and_estimated(tmp_path):
    dataset = DatasetLoader.load(DIGITS)
    quiet = TrackConfig(mlflow=False, figures=False)
    result = QuantumTrainer(MODEL, TRAINER, storage=str(tmp_path), track=quiet).fit(dataset)
    assert np.isfinite(result.history[-1]["train_loss"])
    x = dataset.materialize("test").x[:5]
    result.model.save(tmp_path / "wide.qsm")
    again = TrainedModel.load(tmp_path / "wide.qsm")
    np.testing.assert_array_equal(again.predict_proba(x), result.model.predict_proba(x))
    found = estimate_job(JobConfig(name="wide", dataset=DIGITS, model=MODEL, trainer=TRAINER))
    assert (found.qubits, found.observables) == (64, 127)
    assert sum(count * width for width, count in found.cones) >= 64
    assert max(width for width, _ in found.cones) <= 10
    assert found.memory_bytes is not None
    assert found.memory_bytes < 2**24


def _built(**options: object) -> QuantumModel:
    return build_model(ModelConfig(**options), n_features=options.get("n_qubits", 4), n_classes=2)


def test_the_heavy_hex_map_is_that_of_the_devices():
    edges = FakeSherbrooke().coupling_map.get_edges()
    assert set(heavy_hex(127)) == {(min(pair), max(pair)) for pair in edges}
    assert set(heavy_hex(64)) == {pair for pair in heavy_hex(127) if max(pair) < 64}
    with pytest.raises(CircuitError, match="has 127 qubits"):
        heavy_hex(128)


@pytest.mark.parametrize("pairs", [heavy_hex(127), in_rounds([(0, 1), (1, 2), (2, 0), (1, 0)])])
def test_rounds_are_of_disjoint_pairs_and_hold_each_pair_once(pairs):
    assert len(set(pairs)) == len(pairs)
    busy: set[int] = set()
    rounds = 1
    for pair in pairs:
        if busy.intersection(pair):
            busy, rounds = set(), rounds + 1
        busy.update(pair)
    assert rounds == 3


def test_pairs_of_a_map_are_an_entanglement():
    pairs = [[0, 2], [1, 3], [2, 1]]
    model = _built(n_qubits=4, entanglement=pairs, observables="z+zz_neighbours")
    assert joined_pairs(model.circuit.template) == ((0, 2), (1, 2), (1, 3))
    labels = [observable.label for observable in model.observables]
    assert labels == ["Z0", "Z1", "Z2", "Z3", "Z0 Z2", "Z1 Z2", "Z1 Z3"]
    config = ModelConfig(n_qubits=4, entanglement=pairs)
    assert ModelConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize("pairs", [[[0, 4]], [[1, 1]], [[-1, 0]]])
def test_other_pairs_are_refused(pairs):
    with pytest.raises(CircuitError, match="two different qubits from 0 to 3"):
        _built(n_qubits=4, entanglement=pairs)


def test_what_is_no_list_of_pairs_is_refused():
    with pytest.raises(ConfigError, match="entanglement"):
        ModelConfig(entanglement=[[0, 1, 2]])


def test_neighbours_of_a_circuit_without_pairs_are_refused():
    with pytest.raises(ConfigError, match="at least one observable"):
        _built(n_qubits=2, entanglement=[], observables="zz_neighbours")


def test_a_cone_that_is_too_wide_is_refused_before_anything_is_written(tmp_path: Path):
    wide = MODEL.model_copy(update={"entanglement": "ring", "ansatz": "real_amplitudes"})
    trainer = QuantumTrainer(wide, TRAINER, storage=str(tmp_path))
    with pytest.raises(ResourceError, match=r"light cone of .* has \d+ qubits.*in layer \d+ of"):
        trainer.fit(DatasetLoader.load(DIGITS))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("options", [{"shots": 100}, {"noise": {"readout": 0.1}}])
def test_training_with_shots_or_noise_is_refused_with_the_way_out(tmp_path, options):
    trainer = TRAINER.model_copy(update={"backend_options": options})
    with pytest.raises(BackendError, match="need the whole state") as caught:
        QuantumTrainer(MODEL, trainer, storage=str(tmp_path)).fit(DatasetLoader.load(DIGITS))
    assert "matrix_product_state" in str(caught.value.fix)


def test_a_circuit_of_ones_own_may_be_wide():
    n = 40
    x, w = ParameterVector("x", n), ParameterVector("w", n)
    circuit = QuantumCircuit(n)
    for qubit in range(n):
        circuit.ry(x[qubit], qubit)
        circuit.rx(w[qubit], qubit)
    for qubit in range(0, n - 1, 2):
        circuit.cz(qubit, qubit + 1)
    circuit.sx(range(n))
    rng = np.random.default_rng(0)
    rows, params = rng.uniform(-1, 1, (2, n)), rng.uniform(-1, 1, n)
    values = []
    for given in (circuit, qasm3.dumps(circuit)):
        config = ModelConfig(circuit=given, observables="z")
        model = build_model(config, n_features=n, n_classes=2)
        bindings = Bindings(model.circuit.angles(rows), params)
        values.append(
            StatevectorBackend().evaluate(model.circuit.template, model.observables, bindings)
        )
    np.testing.assert_array_equal(values[0].values, values[1].values)


def test_matrix_product_states_of_aer_agree():
    n = 48
    circuit = build_circuit(
        encoding="angle", ansatz="efficient_su2", n_qubits=n, n_features=n, layers=2,
        entanglement="pairwise",
    )  # fmt: skip
    template = circuit.template
    observables = named_observables("z+zz_neighbours", n, joined_pairs(template))[::5]
    rng = np.random.default_rng(1)
    bindings = Bindings(rng.uniform(-3, 3, (1, n)), rng.uniform(-3, 3, template.n_params))
    exact = StatevectorBackend().evaluate(template, observables, bindings).values
    mps = AerBackend(method="matrix_product_state").evaluate(template, observables, bindings)
    np.testing.assert_allclose(mps.values, exact, atol=1e-10)
