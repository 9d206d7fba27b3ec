"""Gradients on the stand-in: what is one PUB and one job, and that no value is at a wrong place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qiskit.quantum_info import Statevector

from qstore_ray import ModelConfig, QuantumTrainer, TrackConfig, TrainerConfig
from qstore_ray.backends.base import Bindings
from qstore_ray.backends.ibm.backend import IbmBackend
from qstore_ray.backends.ibm.gateway.access import close_gateways
from qstore_ray.backends.ibm.service.isa import compile_isa
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.noise.device.read import read_device
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Op, Template, param, row
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import InterruptedRunError
from qstore_ray.learn.gradients import get_gradient, linearize
from tests.ibm.devices import fake_backend
from tests.ibm.test_gateway import OBSERVABLES, POLICY, TEMPLATE
from tests.ibm.test_runs import StopsAt

BINDINGS = Bindings(np.linspace(0.2, 2.8, 6)[:, None], np.array([0.7]))
EXACT = StatevectorBackend().evaluate(TEMPLATE, OBSERVABLES, BINDINGS).values
X = np.random.default_rng(0).normal(size=(30, 1))
DATA = DatasetLoader.from_arrays(X, (X[:, 0] > 0).astype(int))


def opened(folder: Path, shots: int = 4000) -> IbmBackend:
    return IbmBackend(
        "fake_manila", shots, where="process", ledger=str(folder / "ledgers"), policy=POLICY
    ).for_run("run")


def test_every_value_is_bound_to_its_own_parameter():
    """Names would sort p[10] before p[2], and p before x; each angle here is another one."""
    n = 12
    turns = [Op("rx" if k % 2 else "ry", (k % 2,), (param(k),)) for k in range(n)]
    encoded = [Op("ry", (k % 2,), (row(k),)) for k in range(n)]
    ops = [op for pair in zip(encoded, turns, strict=True) for op in (*pair, Op("cx", (0, 1)))]
    template = Template(2, tuple(ops), n_rows=n, n_params=n)
    rng = np.random.default_rng(1)
    bindings = Bindings(rng.normal(size=(3, n)), rng.normal(size=(3, n)))
    seen = tuple(map(Observable.parse, ("Z0", "X1", "Z0 Y1")))
    exact = StatevectorBackend().evaluate(template, seen, bindings).values
    backend = fake_backend("fake_manila")
    circuits = compile_isa(template, seen, read_device(backend), backend.target)
    found = np.zeros_like(exact)
    for each in circuits:
        assert [str(p) for p in each.circuit.parameters][2:12] == [f"p[{k}]" for k in range(2, 12)]
        bare = each.circuit.remove_final_measurements(inplace=False)
        places = [
            each.circuit.find_bit(item.qubits[0]).index
            for item in each.circuit.data
            if item.operation.name == "measure"
        ]
        for number, values in enumerate(each.values(bindings)):
            state = Statevector(bare.assign_parameters(values))
            chances = state.probabilities(places)
            bits = np.arange(len(chances))[:, None] >> np.arange(len(places)) & 1
            found[number] += chances @ each.basis.values(bits)
    np.testing.assert_allclose(found, exact, atol=1e-12)


@pytest.mark.parametrize("n_rows", [1, 2, 3])
def test_rows_are_not_paired_with_observables(ibm, tmp_path, n_rows):
    """Also with as many rows as observables, each row has a value of each observable."""
    bindings = BINDINGS.part(slice(n_rows))
    found = opened(tmp_path).evaluate(TEMPLATE, OBSERVABLES, bindings, key=DrawKey((1,)))
    close_gateways()
    assert found.values.shape == (n_rows, len(OBSERVABLES)) == (n_rows, 3)
    np.testing.assert_allclose(found.values, EXACT[:n_rows], atol=0.1)


@pytest.mark.parametrize(
    ("gradient", "options", "evaluations"),
    [
        ("parameter_shift", {}, 3),
        ("random_coordinate_shift", {}, 3),
        ("spsa", {"directions": 3}, 7),
    ],
)
def test_a_gradient_is_one_job_with_one_pub_a_basis(
    ibm, tmp_path, submitted, gradient, options, evaluations
):
    backend = opened(tmp_path)
    method = get_gradient(gradient, backend, options)
    found, pullback = linearize(method, backend, TEMPLATE, OBSERVABLES, BINDINGS, key=DrawKey((1,)))
    close_gateways()
    assert len(ibm.accepted()) == 1
    assert [rows for _, rows in submitted] == [6 * evaluations] * 2, "Z and X of qubit 1"
    np.testing.assert_allclose(found.values, EXACT, atol=0.1)
    slopes = pullback(np.ones((6, 3))).params[:, 0]
    _, exact = StatevectorBackend().vjp(TEMPLATE, OBSERVABLES, BINDINGS)
    np.testing.assert_allclose(slopes, exact(np.ones((6, 3))).params[:, 0], atol=0.45)


def trained(folder: Path, optimizer: str, callbacks=(), **how):
    options = {
        "device": "fake_manila", "shots": 64, "level": 1, "ledger": str(folder / "ledgers"),
        "policy": POLICY,
    }  # fmt: skip
    trainer = TrainerConfig(
        epochs=1, batch_size=12, backend="ibm", backend_options=options, optimizer=optimizer,
        optimizer_options={"directions": 2, "perturbation": 0.2},
    )  # fmt: skip
    quiet = TrackConfig(mlflow=False, figures=False)
    model = ModelConfig(n_qubits=1, layers=1)
    runs = QuantumTrainer(
        model, trainer, name="digits", storage=folder, track=quiet, callbacks=callbacks
    )
    return runs.fit(DATA, **how)


@pytest.mark.parametrize("optimizer", ["spsa", "qn_spsa"])
def test_a_resumed_run_ends_with_the_same_bits_and_pays_nothing_twice(ibm, tmp_path, optimizer):
    whole = trained(tmp_path / "whole", optimizer)
    spent = len(ibm.accepted())
    with pytest.raises(InterruptedRunError):
        trained(tmp_path / "cut", optimizer, (StopsAt(),))
    again = trained(tmp_path / "cut", optimizer, existing="resume")
    assert len(ibm.accepted()) == 2 * spent
    assert again.model.theta.tobytes() == whole.model.theta.tobytes()
    assert again.metrics["test_loss"] == whole.metrics["test_loss"]
