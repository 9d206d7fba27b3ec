"""The cost model: counts that follow the circuit, predictions that follow the clock."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

from qstore_ray import (
    DatasetConfig,
    DatasetLoader,
    ModelConfig,
    QuantumTrainer,
    TrackConfig,
    TrainerConfig,
)
from qstore_ray.backends.base import Bindings
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.library.library import build_circuit
from qstore_ray.circuits.observable import Observable, z_observables
from qstore_ray.circuits.template import Op, Template, param
from qstore_ray.cli.app import main
from qstore_ray.estimate import estimate_job
from qstore_ray.job import JobConfig
from qstore_ray.simulate import cost as cost_of
from qstore_ray.simulate.compile.compiler import compile_program
from qstore_ray.simulate.cost import Calibration, calibrate, cost

FLAT = Calibration("native", "complex128", (2, 20), (1e-9, 1e-9), (1e-9, 1e-9), (0.0, 0.0))


def _program(n_qubits: int, layers: int):
    circuit = build_circuit(
        encoding="angle", ansatz="hardware_efficient", n_qubits=n_qubits, n_features=n_qubits,
        layers=layers,
    )  # fmt: skip
    return compile_program(circuit.template, z_observables(n_qubits))


def test_operations_are_counted_by_hand_for_one_turn():
    template = Template(2, (Op("ry", (0,), (param(0),)),), 0, 1, "amplitudes")
    program = compile_program(template, (Observable.parse("X0"),))
    values = cost(program, 3, gradient=False, calibration=FLAT)
    assert values.flops == 3 * 4 * (4 + 8), "4 for the turn, 8 for the string, 4 amplitudes, 3 rows"
    gradients = cost(program, 3, calibration=FLAT)
    assert gradients.flops == 3 * 4 * (4 + 8 + 12 + 8)
    assert gradients.seconds == pytest.approx(gradients.flops * 1e-9)


def test_cost_grows_with_rows_depth_and_width():
    few, many = (cost(_program(4, 2), rows, calibration=FLAT) for rows in (10, 20))
    assert many.flops == 2 * few.flops
    assert many.bytes == 2 * few.bytes
    assert cost(_program(4, 4), 10, calibration=FLAT).flops > 1.5 * few.flops
    wide = cost(_program(10, 2), 10, calibration=FLAT)
    assert wide.flops > 60 * few.flops
    assert wide.memory > few.memory


def test_gradients_of_rows_cost_more_only_where_the_sweep_must_go_further():
    circuit = build_circuit(
        encoding="iqp", ansatz="hardware_efficient", n_qubits=4, n_features=4, layers=2
    )
    program = compile_program(circuit.template, z_observables(4))
    less, more = (
        cost(program, 1, rows_gradient=wanted, calibration=FLAT).flops for wanted in (False, True)
    )
    assert more > less
    assert cost(program, 1, gradient=False, calibration=FLAT).flops < less


def test_a_prediction_is_of_the_order_of_the_clock():
    """Within 2 on a quiet machine (`benchmarks/engine.py` says so); tests share theirs, so this is
    CPU time, the least of several."""
    program = _program(10, 3)
    rng = np.random.default_rng(0)
    backend = StatevectorBackend()
    circuit = build_circuit(
        encoding="angle", ansatz="hardware_efficient", n_qubits=10, n_features=10, layers=3
    )
    bindings = Bindings(rng.normal(size=(64, 10)), rng.normal(size=circuit.template.n_params))
    times = []
    for _ in range(7):
        began = time.process_time()
        _, pullback = backend.vjp(circuit.template, z_observables(10), bindings)
        pullback(np.ones((64, 10)))
        times.append(time.process_time() - began)
    assert 0.1 < cost(program, 64).seconds / min(times) < 10


def test_a_calibration_is_measured_once_and_then_read(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    measured = []

    def measure(engine: str, precision: str) -> Calibration:
        measured.append(engine)
        return FLAT

    monkeypatch.setattr(cost_of, "measure", measure)
    for _ in range(2):
        cost_of._calibrate.cache_clear()
        assert calibrate() == FLAT
    assert measured == ["native"]
    (kept,) = tmp_path.rglob("*.json")
    kept.write_text("{}")
    cost_of._calibrate.cache_clear()
    assert calibrate() == FLAT, "a damaged file is measured again"
    assert measured == ["native", "native"]
    cost_of._calibrate.cache_clear()


DIGITS = ["jobs/digits.toml", "--set", "model.layers=2"]


def test_an_estimate_tells_what_a_job_will_take(capsys):
    assert main(["estimate", *DIGITS, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["qubits"] == 8
    assert found["rows"] == 1168
    assert found["train_seconds"] > found["epoch_seconds"] > found["step_seconds"] / 2 > 0
    assert main(["estimate", *DIGITS]) == 0
    assert "8 qubits" in capsys.readouterr().out


NOISE = {
    "gates": [{"on": "all", "channel": {"name": "depolarizing", "p": 0.01}}],
    "trajectories": 2,
    "test_trajectories": 3,
}
JOBS = (
    {"gradient": "adjoint"},
    {"noise": NOISE},
    {"mitigation": {"zne": True, "twirl": 2, "during": "always"}, "noise": NOISE},
    {"gradient": "parameter_shift"},
    {"optimizer": "spsa"},
    {"backend": "aer", "optimizer": "spsa", "backend_options": {"shots": 64}},
)


@pytest.mark.parametrize("trainer", JOBS, ids=lambda trainer: next(iter(trainer)))
def test_an_estimate_counts_what_training_counts(trainer, tmp_path):
    config = JobConfig(
        name="counted",
        dataset=DatasetConfig(name="iris", params={"dataset": "iris"}),
        model=ModelConfig(n_qubits=4, layers=1),
        trainer=TrainerConfig(epochs=2, batch_size=35, **trainer),
        track=TrackConfig(mlflow=False, figures=False),
    )
    found = estimate_job(config)
    dataset = DatasetLoader.load(config.dataset)
    result = QuantumTrainer(
        config.model, config.trainer, name="counted", storage=tmp_path, track=config.track
    ).fit(dataset)
    assert found.circuits == result.history[-1]["circuit_evaluations"]
    assert found.shots == result.history[-1].get("shots", 0)
    assert found.train_seconds > 0


def test_an_estimate_counts_the_scoring_of_test_rows():
    mitigation = {"readout": "inverse", "zne": {"scales": [1, 3]}, "twirl": 2}
    noise = {**NOISE, "readout": 0.02}
    config = JobConfig(
        name="counted",
        dataset=DatasetConfig(name="iris", params={"dataset": "iris"}),
        model=ModelConfig(n_qubits=4, layers=1),
        trainer=TrainerConfig(batch_size=16, noise=noise, mitigation=mitigation),
    )
    found = estimate_job(config)
    rows = 30
    assert found.test_circuits == 3 * rows + 2 * 2 * 3 * rows, "noisy, and mitigated"
    exact = config.model_copy(update={"trainer": TrainerConfig()})
    assert estimate_job(exact).test_circuits == 0


def test_the_doctor_names_the_engine(capsys):
    assert main(["doctor"]) == 0
    assert "engine" in capsys.readouterr().out
    assert main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["engine"].startswith("native")


def test_a_user_without_a_home_has_the_measurement_in_the_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("os.path.expanduser", str)  # as Python leaves `~` of such a user
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert cost_of._path("numpy", "complex128").is_relative_to(tmp_path)
