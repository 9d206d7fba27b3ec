"""Training under noise: the same bits for any number of workers, resumed or not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from qiskit_aer.noise import NoiseModel, depolarizing_error
from qiskit_ibm_runtime.fake_provider import FakeManilaV2

from qstore_ray.backends.base import Bindings
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.noise.config import NoiseConfig
from qstore_ray.backends.noise.placed import unused_noise
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.observable import z_observables
from qstore_ray.circuits.template import Op, Template, param, row
from qstore_ray.config import fingerprint
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import BackendError, CircuitError, ConfigError, ResourceError
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.gradients import get_gradient, linearize
from qstore_ray.learn.model import build_model
from qstore_ray.testing.strategies import Case, cases
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.trainer import QuantumTrainer
from tests.laws.test_training import _job, _train, rows

__all__ = ["rows"]  # a fixture

NOISE = {
    "gates": [
        {"on": "one_qubit", "channel": {"name": "depolarizing", "p": 0.02}},
        {"on": "two_qubit", "channel": {"name": "depolarizing", "p": 0.1}},
    ],
    "readout": 0.03,
    "trajectories": 2,
    "test_trajectories": 3,
}


@pytest.mark.parametrize("optimizer", ["adam", "spsa"])
def test_workers_change_no_bit(optimizer: str, rows, tmp_path: Path):
    options = {"noise": NOISE, "optimizer": optimizer}
    alone = _train(_job(tmp_path / "0", **options), rows)
    for workers in (1, 2, 3):
        found = _train(_job(tmp_path / str(workers), **options), rows, workers)
        assert found.theta.tobytes() == alone.theta.tobytes()
    other = _train(_job(tmp_path / "seed", **options, seed=6), rows)
    assert other.theta.tobytes() != alone.theta.tobytes()


@pytest.mark.parametrize("stop_after", [1, 3, 4])
def test_a_resumed_run_ends_as_an_uninterrupted_one(stop_after: int, rows, tmp_path: Path):
    whole = _train(_job(tmp_path / "whole", noise=NOISE), rows)
    assert (
        _train(_job(tmp_path / "parts", noise=NOISE), rows, 0, stop_after).status == "interrupted"
    )
    parts = _train(replace(_job(tmp_path / "parts", noise=NOISE), generation=2), rows)
    assert parts.theta.tobytes() == whole.theta.tobytes()


def test_no_noise_changes_no_bit(rows, tmp_path: Path):
    nothing = {"gates": [{"channel": {"name": "bit_flip", "p": 0.0}}]}
    exact = _train(_job(tmp_path / "exact"), rows)
    found = _train(_job(tmp_path / "noise", noise=nothing), rows)
    assert found.theta.tobytes() == exact.theta.tobytes()


@settings(max_examples=25, deadline=None)
@given(case=cases(initial=("zeros",)))
def test_parameter_shift_is_the_adjoint_gradient_of_the_same_errors(case: Case):
    """Also of controlled rotations: a plan leaves gates whole, and noise follows each once."""
    backend = StatevectorBackend(noise=NOISE, trajectories=2)
    cotangent = np.random.default_rng(1).normal(size=(len(case.bindings), len(case.observables)))
    values, pullback = backend.vjp(*case, rows_gradient=True, key=DrawKey((4,)))
    expected = pullback(cotangent)
    method = get_gradient("parameter_shift", backend)
    found, pullback = linearize(method, backend, *case, rows_gradient=True, key=DrawKey((4,)))
    np.testing.assert_allclose(found.values, values.values, atol=1e-12)
    gradients = pullback(cotangent)
    np.testing.assert_allclose(gradients.params, expected.params, atol=1e-9)
    np.testing.assert_allclose(gradients.rows, expected.rows, atol=1e-9)


def test_parameter_shift_is_the_adjoint_gradient_on_a_device():
    """A device runs a controlled rotation as several gates, each with errors of its own."""
    angles = iter(range(6))
    gates = (("ry", 0), ("crx", 0, 1), ("cp", 1, 0), ("cry", 1, 0), ("ryy", 0, 1), ("crz", 0, 1))
    ops = tuple(Op(name, tuple(qubits), (param(next(angles)),)) for name, *qubits in gates)
    template = Template(2, ops, 0, 6)
    backend = StatevectorBackend(noise={"device": "fake_manila", "twirl": True}, trajectories=50)
    case = (template, z_observables(2), Bindings(np.zeros((3, 0)), np.linspace(0.3, 2.0, 6)))
    cotangent = np.random.default_rng(1).normal(size=(3, 2))
    _, pullback = backend.vjp(*case, key=DrawKey((4,)))
    expected = pullback(cotangent).params
    method = get_gradient("parameter_shift", backend)
    _, pullback = linearize(method, backend, *case, key=DrawKey((4,)))
    np.testing.assert_allclose(pullback(cotangent).params, expected, atol=1e-9)


def test_a_row_has_the_same_bits_in_every_part_of_a_batch():
    """Matrix products round a row differently with more or fewer rows beside it."""
    model = build_model(
        ModelConfig(n_qubits=8, layers=2, observables="z+zz"), n_features=8, n_classes=2
    )
    rng = np.random.default_rng(0)
    noise = {**NOISE, "readout": [[0.97, 0.06], [0.03, 0.94]]}
    backend = StatevectorBackend(noise=noise, trajectories=3)
    x = rng.uniform(-2.0, 2.0, (33, 8))
    params = rng.normal(size=model.circuit.template.n_params)
    cotangent = rng.normal(size=(len(x), len(model.observables)))

    def found(first: int, last: int) -> np.ndarray:
        rows = Bindings(model.circuit.angles(x[first:last]), params)
        estimates, pullback = backend.vjp(
            model.circuit.template, model.observables, rows, rows_gradient=True,
            key=DrawKey((4,), first),
        )  # fmt: skip
        gradients = pullback(cotangent[first:last])
        return np.hstack([estimates.values, gradients.rows, gradients.params])

    whole = found(0, 33)
    for first, last in ((0, 1), (0, 21), (16, 32), (32, 33)):
        np.testing.assert_array_equal(found(first, last), whole[first:last])


@pytest.mark.parametrize("gradient", [None, "parameter_shift"])
@pytest.mark.parametrize("amplitudes", [False, True])
def test_parts_of_an_evaluation_have_the_bits_of_the_whole(monkeypatch, gradient, amplitudes):
    """Also of the shifted copies of rows, which have the errors of the rows."""
    template = Template(
        2, (Op("rx", (0,), (param(0),)), Op("ry", (1,), (row(0),)), Op("cx", (0, 1))), 1, 1,
        initial="amplitudes" if amplitudes else "zeros",
    )  # fmt: skip
    backend = StatevectorBackend(noise=NOISE, trajectories=3)
    rng = np.random.default_rng(0)
    states = rng.normal(size=(40, 4))
    states /= np.linalg.norm(states, axis=1)[:, None]
    bindings = Bindings(rng.normal(size=(40, 1)), np.ones(1), states if amplitudes else None)

    def found() -> list:
        if gradient is None:
            estimates = backend.evaluate(template, z_observables(2), bindings, key=DrawKey((2,)))
            return [estimates.values, estimates.variances, estimates.usage]
        method = get_gradient(gradient, backend)
        estimates, back = linearize(
            method, backend, template, z_observables(2), bindings, key=DrawKey((2,))
        )
        return [estimates.values, back(np.ones((40, 2))).params, estimates.usage]

    whole = found()
    monkeypatch.setattr("qstore_ray.backends.noise.parts.PART_BYTES", 1)
    for part, same in zip(found(), whole, strict=True):
        np.testing.assert_array_equal(part, same)


@pytest.mark.parametrize("shots", [None, 10**9])
def test_more_trajectories_than_memory_are_refused_before_they_are_drawn(shots):
    template = Template(1, (Op("rx", (0,), (param(0),)),), 0, 1)
    one = (template, z_observables(1), Bindings(np.zeros((1, 0)), np.ones(1)))
    many = 10**12
    backend = StatevectorBackend(noise=NOISE, trajectories=many, shots=shots and many)
    calls = [lambda: backend.check(*one), lambda: backend.evaluate(*one, key=DrawKey((1,)))]
    calls += [] if shots else [lambda: backend.vjp(*one, key=DrawKey((1,)))]
    for call in calls:
        with pytest.raises(ResourceError, match=r"trajectories of a row need [\d,]+ GiB") as caught:
            call()
        assert caught.value.field == "noise.trajectories"
        assert "Take at most" in caught.value.fix
    tested = StatevectorBackend(noise={**NOISE, "test_trajectories": many})
    with pytest.raises(ResourceError):
        tested.check(*one)


def test_a_value_without_a_key_is_refused():
    template = Template(1, (Op("rx", (0,), (param(0),)),), 0, 1)
    with pytest.raises(BackendError, match="key"):
        StatevectorBackend(noise=NOISE).evaluate(
            template, z_observables(1), Bindings(np.zeros((1, 0)), np.ones(1))
        )


def test_noise_is_part_of_the_recipe_and_of_nothing_older():
    plain, noisy = TrainerConfig(), TrainerConfig(noise=NOISE)
    assert "noise" not in plain.recipe(regression=False)
    assert fingerprint(noisy.recipe(regression=False)) != fingerprint(
        plain.recipe(regression=False)
    )
    assert TrainerConfig.from_dict(noisy.to_dict()) == noisy


def test_test_rows_are_scored_with_and_without_noise(tmp_path: Path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 3))
    data = DatasetLoader.from_arrays(x=x, y=(x[:, 0] > 0).astype(int))
    result = QuantumTrainer(
        ModelConfig(n_qubits=3, layers=1),
        TrainerConfig(epochs=2, noise=NOISE),
        storage=tmp_path,
        track=TrackConfig(mlflow=False, figures=False),
    ).fit(data)
    assert {"test_accuracy", "noisy_test_accuracy", "noisy_test_loss"} <= set(result.metrics)
    assert result.metrics["noisy_test_loss"] != result.metrics["test_loss"]


MITIGATION = {"readout": "inverse", "zne": {"scales": [1, 3]}, "twirl": 2}


def test_test_rows_are_scored_with_mitigation_beside(tmp_path: Path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 3))
    data = DatasetLoader.from_arrays(x=x, y=(x[:, 0] > 0).astype(int))
    noise = {**NOISE, "readout": [[0.99, 0.3], [0.01, 0.7]], "test_trajectories": 100}
    plain = TrackConfig(mlflow=False, figures=False)
    found = {}
    for name, mitigation in (("noisy", None), ("mitigated", MITIGATION)):
        config = TrainerConfig(epochs=4, learning_rate=0.3, noise=noise, mitigation=mitigation)
        trainer = QuantumTrainer(
            ModelConfig(n_qubits=3, layers=1), config, storage=tmp_path / name, track=plain
        )
        found[name] = trainer.fit(data).metrics
    assert not any(name.startswith("mitigated") for name in found["noisy"])
    shared = [
        name for name in found["noisy"] if name not in ("samples_per_second", "train_seconds")
    ]
    assert {name: found["mitigated"][name] for name in shared} == {
        name: found["noisy"][name] for name in shared
    }
    losses = {kind: found["mitigated"][f"{kind}test_loss"] for kind in ("", "noisy_", "mitigated_")}
    assert abs(losses["mitigated_"] - losses[""]) < 0.5 * abs(losses["noisy_"] - losses[""])


def test_training_is_mitigated_on_request_and_workers_change_no_bit(rows, tmp_path: Path):
    always = {"noise": NOISE, "mitigation": {**MITIGATION, "during": "always"}}
    alone = _train(_job(tmp_path / "0", **always), rows)
    split = _train(_job(tmp_path / "2", **always), rows, 2)
    assert split.theta.tobytes() == alone.theta.tobytes()
    noisy = _train(_job(tmp_path / "noisy", noise=NOISE), rows)
    tested = _train(_job(tmp_path / "test", noise=NOISE, mitigation=MITIGATION), rows)
    assert tested.theta.tobytes() == noisy.theta.tobytes() != alone.theta.tobytes()


def test_what_cannot_be_mitigated_is_refused_before_the_training(tmp_path: Path):
    config = TrainerConfig(noise={"readout": 0.5}, mitigation={"readout": "inverse"})
    data = DatasetLoader.from_arrays(x=np.eye(20)[:, :2], y=np.arange(20) % 2)
    trainer = QuantumTrainer(ModelConfig(n_qubits=2), config, name="blind", storage=tmp_path)
    with pytest.raises(BackendError, match="alike"):
        trainer.fit(data)
    assert not (tmp_path / "blind").exists()


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({}, "trainer.noise"),
        ({"mitigation": {**MITIGATION, "during": "always"}}, "trainer.mitigation.during"),
    ],
)
def test_a_backend_given_as_an_object_is_neither_noisy_nor_mitigated_in_silence(
    tmp_path: Path, more, field: str
):
    config = TrainerConfig(noise=NOISE, **more)
    data = DatasetLoader.from_arrays(x=np.eye(20)[:, :2], y=np.arange(20) % 2)
    trainer = QuantumTrainer(
        ModelConfig(n_qubits=2), config, storage=tmp_path, backend=StatevectorBackend()
    )
    with pytest.raises(ConfigError, match="as it is") as caught:
        trainer.fit(data)
    assert caught.value.field == field


CHANNEL = {"name": "bit_flip", "p": 0.1}


@pytest.mark.parametrize(
    ("noise", "field"),
    [
        ({"gates": [{"channel": {"name": "bit_flip", "p": 1.2}}]}, "gates.0.channel.bit_flip.p"),
        ({"gates": [{"on": "two_qubit", "channel": {"name": "depolarizing", "p": 1.2}}]}, "p"),
        ({"gates": [{"on": "three_qubit", "channel": CHANNEL}]}, "gates.0.on"),
        ({"gates": [{"on": "cx", "qubits": [1], "channel": CHANNEL}]}, "gates.0.qubits"),
        ({"readout": 1.5}, "readout"),
        ({"readout": [[0.9, 0.2], [0.2, 0.8]]}, "readout"),
        ({"readout": {"0": [[0.9, 0.2], [0.2, 0.8]]}}, "readout.0"),
        ({"trajectories": 0}, "trajectories"),
        (
            {"gates": [{"channel": {"name": "thermal_relaxation", "t1": 1.0, "t2": 2.1,
                                    "time": 0.1}}]},
            "t2",
        ),
        ({"gates": [{"channel": {"name": "pauli", "probabilities": {"X": 0.7, "Y": 0.7}}}]},
         "probabilities"),
        ({"gates": [{"channel": {"name": "pauli", "probabilities": {"XQ": 0.7}}}]},
         "probabilities"),
    ],
)  # fmt: skip
def test_noise_that_cannot_be_is_refused_where_it_is_written(noise, field):
    with pytest.raises(ConfigError) as caught:
        NoiseConfig.from_dict(noise)
    assert caught.value.field.endswith(field)


DAMPING = {"name": "amplitude_damping", "gamma": 0.1}


@pytest.mark.parametrize(
    ("trainer", "model", "words", "field"),
    [
        ({"noise": {"gates": [{"channel": DAMPING}]}}, {}, "twirl = true", "trainer.noise.twirl"),
        ({"backend_options": {"noise": {"gates": [{"channel": DAMPING}]}}}, {}, "twirl = true",
         "trainer.backend_options.noise.twirl"),
        ({"noise": {"readout": {"7": 0.1}}}, {}, "qubits", "trainer.noise"),
        ({"noise": {"device": "fake_manila", "twirl": True}}, {"encoding": "amplitude"},
         "amplitudes", "model.encoding"),
        ({"noise": {"readout": 0.5}, "mitigation": {"readout": "inverse"}}, {}, "alike",
         "trainer.mitigation.readout"),
        ({"backend": "aer", "noise": NOISE, "backend_options": {"method": "statevector"}}, {},
         "random errors", "trainer.backend_options.method"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_circuit_is_refused_with_the_field_of_the_job(
    trainer, model, words, field, tmp_path: Path
):
    data = DatasetLoader.from_arrays(x=np.eye(20)[:, :2], y=np.arange(20) % 2)
    config = TrainerConfig(**trainer)
    job = QuantumTrainer(ModelConfig(n_qubits=2, **model), config, name="no", storage=tmp_path)
    with pytest.raises((BackendError, ConfigError, CircuitError), match=words) as caught:
        job.fit(data)
    assert caught.value.field == field
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("noise", "said"),
    [
        ({}, ["says no error"]),
        ({"gates": [{"on": "cx", "channel": CHANNEL}, {"on": "all", "channel": CHANNEL}]},
         ["noise.gates.0 changes nothing: no gate of the circuit is cx"]),
        ({"gates": [{"on": "two_qubit", "qubits": [1, 0], "channel": CHANNEL}]},
         ["noise.gates.0 changes nothing: no gate of the circuit is two_qubit on qubits [1, 0]"]),
        (NOISE, []),
        ({"over_rotation": 0.01}, []),
        ({"readout": 0.01}, []),
    ],
)  # fmt: skip
def test_noise_that_changes_nothing_is_said(noise, said: list[str]):
    template = Template(2, (Op("ry", (0,), (param(0),)), Op("cz", (0, 1))), n_params=1)
    found = unused_noise(template, NoiseConfig.from_dict(noise))
    assert [text in whole for text, whole in zip(said, found, strict=True)] == [True] * len(said)


def test_gates_without_a_device_s_noise_are_said():
    model = NoiseModel()
    model.add_quantum_error(depolarizing_error(0.1, 2), ["cx"], [0, 1])
    ring = Template(
        3,
        (*(Op("ry", (q,), (param(q),)) for q in range(3)), Op("cx", (0, 1)), Op("cx", (1, 2))),
        n_params=3,
    )
    for device in (model, model.to_dict(serializable=True)):
        (said,) = unused_noise(ring, NoiseConfig(device=device))
        assert said.endswith("no error for 1 cx of the circuit")
    assert unused_noise(ring, NoiseConfig(device="fake_manila")) == []


def test_a_device_is_an_object_or_its_dictionary_and_no_class():
    backend = FakeManilaV2()
    properties = NoiseConfig(device=backend.properties().to_dict())
    assert properties == NoiseConfig(device=backend.properties())
    with pytest.raises(ConfigError, match="class") as caught:
        NoiseConfig(device=FakeManilaV2)
    assert "FakeManilaV2()" in caught.value.fix
