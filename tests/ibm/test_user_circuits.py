"""Circuits of users, as tutorials and reports have them, on a device that moves their qubits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit, qasm3, transpile
from qiskit.circuit import Parameter, ParameterExpression, ParameterVector
from qiskit.circuit.library import (
    efficient_su2,
    qaoa_ansatz,
    real_amplitudes,
    z_feature_map,
    zz_feature_map,
)
from qiskit.quantum_info import SparsePauliOp, Statevector

from qstore_ray import ModelConfig
from qstore_ray.backends.base import Bindings
from qstore_ray.backends.ibm.backend import IbmBackend
from qstore_ray.backends.ibm.gateway.access import close_gateways
from qstore_ray.backends.ibm.service.isa import compile_isa
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.noise.device.read import read_device
from qstore_ray.circuits.circuit import Circuit
from qstore_ray.circuits.load import load_circuit
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.qiskit.operators import read_observables
from qstore_ray.circuits.template import Op, Template
from qstore_ray.errors import ResourceError
from tests.ibm.devices import fake_backend
from tests.ibm.test_gateway import POLICY

SHOTS, ROWS = 4096, 3


def block(angles: ParameterVector, first: int, *, pools: bool) -> QuantumCircuit:
    """The two-qubit convolution of the tutorial's QCNN, or its pooling."""
    made = QuantumCircuit(2)
    made.rz(-np.pi / 2, 1)
    made.cx(1, 0)
    made.rz(angles[first], 0)
    made.ry(angles[first + 1], 1)
    made.cx(0, 1)
    made.ry(angles[first + 2], 1)
    if not pools:
        made.cx(1, 0)
        made.rz(np.pi / 2, 0)
    return made


def qcnn() -> QuantumCircuit:
    """The QCNN of the tutorial on four qubits: layers are instructions with barriers in them."""
    made = z_feature_map(4)
    for name, pairs, pools in (
        ("c1", [(0, 1), (2, 3), (1, 2), (3, 0)], False), ("p1", [(0, 2), (1, 3)], True),
        ("c2", [(2, 3), (3, 2)], False), ("p2", [(2, 3)], True),
    ):  # fmt: skip
        angles, layer = ParameterVector(name, 3 * len(pairs)), QuantumCircuit(4, name=name)
        for number, pair in enumerate(pairs):
            layer.compose(block(angles, 3 * number, pools=pools), pair, inplace=True)
            layer.barrier()
        made.append(layer.to_instruction(), range(4))
    return made


def qaoa() -> QuantumCircuit:
    """Two layers for a weighted triangle with a field; angles are products with its weights."""
    cost = SparsePauliOp(["ZZI", "IZZ", "ZIZ", "IIZ"], [1.0, 0.5, -0.3, 0.2])
    return qaoa_ansatz(cost, reps=2).decompose(reps=3)


CIRCUITS = {
    "zz_feature_map": (zz_feature_map(3).compose(real_amplitudes(3, reps=1)), "x"),
    "efficient_su2": (zz_feature_map(3, reps=1).compose(efficient_su2(3, reps=1)), "x"),
    "qaoa": (qaoa(), "γ"),
    "qcnn": (qcnn(), "x"),
}
OBSERVABLES = ["Z0", "X1", "0.5*Z0 Z2 - 0.25*Y1 + 0.75*I0", "Y0 X2"]
TERMS = (
    [("Z", [0], 1.0)],
    [("X", [1], 1.0)],
    [("ZZ", [0, 2], 0.5), ("Y", [1], -0.25), ("", [], 0.75)],
    [("YX", [0, 2], 1.0)],
)
"""The same for Qiskit."""


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., IbmBackend]]:
    """Backends of one run, whose gateway is closed at the end."""

    def made(device: str = "fake_manila", **options: Any) -> IbmBackend:
        ledger = str(tmp_path / "ledgers")
        hardware = IbmBackend(
            device, SHOTS, where="process", ledger=ledger, policy=POLICY, **options
        )
        return hardware.for_run("run")

    yield made
    close_gateways()


def exact(circuit: QuantumCircuit, inputs: list[Parameter], x: Any, theta: Any) -> np.ndarray:
    """Qiskit's own values (N, O) of the circuit as the user wrote it."""
    weights = [each for each in circuit.parameters if each not in set(inputs)]
    found = []
    for row in x:
        values = dict(zip([*inputs, *weights], [*row, *theta], strict=True))
        state = Statevector(circuit.assign_parameters(values))
        operators = [SparsePauliOp.from_sparse_list(terms, circuit.num_qubits) for terms in TERMS]
        found.append([state.expectation_value(each).real for each in operators])
    return np.array(found)


def check(
    hardware: IbmBackend, given: Any, circuit: QuantumCircuit, features: str | None
) -> Circuit:
    """The circuit that is made of `given`; its values are those of `circuit`."""
    model = ModelConfig(circuit=given, features=features, observables=OBSERVABLES)
    loaded = load_circuit(model.circuit, features=model.features)
    rng = np.random.default_rng(5)
    x = rng.uniform(0.1, 1.4, (ROWS, loaded.n_features))
    theta = rng.uniform(-1.0, 1.0, loaded.template.n_params)
    observables = read_observables(OBSERVABLES, loaded.template.n_qubits)
    bindings = Bindings(loaded.angles(x), theta)
    found = hardware.evaluate(loaded.template, observables, bindings, key=DrawKey((1,)))
    inputs = [each for each in circuit.parameters if each.name.startswith(f"{features or 'x'}[")]
    error = np.sqrt(np.maximum(found.variances, 1.0 / SHOTS**2))
    assert (np.abs(found.values - exact(circuit, inputs, x, theta)) <= 5.0 * error).all()
    return loaded


@pytest.mark.parametrize("options", [{}, {"estimator": {"resilience_level": 0}}], ids=repr)
@pytest.mark.parametrize("name", CIRCUITS)
def test_values_are_qiskits_on_the_qubits_that_the_transpiler_chose(ibm, opened, name, options):
    """Observables follow the qubits, which end elsewhere than they began; one job."""
    circuit, features = CIRCUITS[name]
    loaded = check(opened(**options), circuit, circuit, features)
    assert len(ibm.accepted()) == 1
    backend = fake_backend("fake_manila")
    z = (Observable.parse("Z0"),)
    (isa,) = compile_isa(loaded.template, z, read_device(backend), backend.target)
    assert isa.ends != tuple(range(loaded.template.n_qubits))
    angles = [each for item in isa.circuit.data for each in item.operation.params]
    for angle in (each for each in angles if isinstance(each, ParameterExpression)):
        slopes = [angle.gradient(each) for each in angle.parameters]
        assert all(isinstance(each, float) for each in slopes), "only sums go to the service"


@pytest.mark.parametrize("name", CIRCUITS)
def test_a_saved_file_is_the_same_circuit(ibm, opened, tmp_path, name):
    circuit, features = CIRCUITS[name]
    file = tmp_path / "circuit.qasm"
    file.write_text(qasm3.dumps(circuit.decompose(reps=4)), encoding="utf-8")
    check(opened(), file, circuit, features)


@pytest.mark.parametrize("name", CIRCUITS)
def test_a_circuit_in_the_instructions_of_another_device_is_the_users(ibm, opened, name):
    """Users hand over what they had to compile for the Estimator; it is not tied to its qubits."""
    circuit, features = CIRCUITS[name]
    compiled = transpile(circuit, fake_backend("fake_jakarta"), seed_transpiler=3)
    assert compiled.num_qubits == 7
    check(opened(), compiled, circuit, features)


def test_measurements_at_the_end_are_not_part_of_the_model(ibm, opened):
    circuit, features = CIRCUITS["zz_feature_map"]
    measured = circuit.copy()
    measured.measure_all()
    check(opened(), measured, circuit, features)


@pytest.mark.parametrize(
    ("device", "options"),
    [("fake_brisbane", {}), ("fake_jakarta", {"estimator": {"resilience_level": 0}})],
    ids=["sampler", "estimator"],
)
def test_values_on_a_larger_device_are_those_of_the_circuits_qubits(start, opened, device, options):
    ibm = start(backend=(device,))
    circuit, features = CIRCUITS["zz_feature_map"]
    check(opened(device, **options), circuit, circuit, features)
    assert len(ibm.accepted()) == 1


def test_a_device_whose_pairs_are_all_broken_says_so_and_runs_one_qubit():
    """In the calibration of FakeKyoto each error of a two-qubit gate is 1."""
    kyoto = fake_backend("fake_kyoto")
    device, x = read_device(kyoto), (Observable.parse("X0"),)
    one = Template(1, (Op("h", (0,)),), 0, 0)
    (isa,) = compile_isa(one, x, device, kyoto.target)
    assert isa.ends != (0,)
    with pytest.raises(ResourceError, match="1 connected qubits that work of 127: 144 of its 144"):
        compile_isa(Template(2, (Op("cx", (0, 1)),), 0, 0), x, device, kyoto.target)
