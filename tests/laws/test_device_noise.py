"""The laws of a device's noise: compiled circuits keep their values, and suffer Aer's channels."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.quantum_info import Choi
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, kraus_error, pauli_error
from qiskit_ibm_runtime import fake_provider

from qstore_ray.backends.base import Bindings
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.noise.channels import kraus_of, twirled
from qstore_ray.backends.noise.config import NoiseConfig
from qstore_ray.backends.noise.device.compiled import CompiledCircuit, compile_for_device
from qstore_ray.backends.noise.device.device import Device
from qstore_ray.backends.noise.device.read import read_device
from qstore_ray.backends.noise.trajectories import compile_noisy
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.library.ansatze import ANSATZE
from qstore_ray.circuits.observable import Observable, PauliTerm, named_observables
from qstore_ray.circuits.qiskit.qiskit import to_qiskit
from qstore_ray.circuits.template import Op, Template, param, row
from qstore_ray.testing.strategies import Case, cases
from tests.aer_noise import _operator

KEY = DrawKey((4, 5, 6))
FEW = settings(max_examples=10, deadline=None)
NAMES = ("fake_manila", "fake_yorktown", "fake_fractional", "fake_quito", "fake_guadalupe")


def model(ansatz: str, n: int, layers: int = 1, entanglement: str = "ring") -> Template:
    encoding = Template(n, tuple(Op("ry", (q,), (row(q),)) for q in range(n)), n_rows=n)
    return reduce(Template.then, ANSATZE[ansatz](n, layers, entanglement), encoding)


def bindings(template: Template, rows: int = 2) -> Bindings:
    rng = np.random.default_rng(template.n_params)
    return Bindings(
        rng.uniform(-2, 2, (rows, template.n_rows)), rng.uniform(-3, 3, template.n_params)
    )


def _same_values(template: Template, observables, b: Bindings, compiled: CompiledCircuit) -> None:
    exact = StatevectorBackend()
    moved = [compiled.moved(observable) for observable in observables]
    np.testing.assert_allclose(
        exact.evaluate(compiled.template, moved, b).values,
        exact.evaluate(template, observables, b).values,
        atol=1e-12,
    )


@FEW
@given(
    case=cases(initial=("zeros",)), name=st.sampled_from(NAMES), seed=st.integers(0, 9),
    level=st.integers(0, 3),
)  # fmt: skip
def test_a_compiled_circuit_has_the_values_of_the_original(
    case: Case, name: str, seed: int, level: int
):
    """Over the whole gate set, sums of slots in an angle included."""
    compiled = compile_for_device(case.template, read_device(name), seed, level)
    assert compiled.template.n_qubits == case.template.n_qubits
    assert set(compiled.gates) <= set(read_device(name).basis)
    _same_values(*case, compiled)


@pytest.mark.parametrize("name", ["fake_torino", "fake_sherbrooke", "fake_yorktown"])
@pytest.mark.parametrize("ansatz", sorted(ANSATZE))
def test_a_compiled_ansatz_has_the_values_of_the_original(ansatz: str, name: str):
    template = model(ansatz, 4)
    observables = named_observables("x+z+zz", 4)
    compiled = compile_for_device(template, read_device(name))
    _same_values(template, observables, bindings(template), compiled)


@pytest.mark.parametrize("name", ["fake_manila", "fake_yorktown"])
def test_many_gates_with_phases_are_compiled(name: str):
    """Qiskit's translator adds their global phases up, and takes minutes for thirty."""
    angles = iter(range(100))
    layer = [("p", (0,), 1), ("u", (1,), 3), ("cp", (0, 1), 1), ("h", (2,), 0), ("cx", (2, 1), 0)]
    ops = tuple(
        Op(gate, qubits, tuple(param(next(angles)) for _ in range(n)))
        for _ in range(15)
        for gate, qubits, n in layer
    )
    template = Template(3, ops, n_params=75)
    compiled = compile_for_device(template, read_device(name))
    assert set(compiled.gates) <= set(read_device(name).basis)
    _same_values(template, named_observables("x+z", 3), bindings(template), compiled)


def test_the_same_seed_compiles_the_same_circuit():
    template, device = model("hardware_efficient", 5), read_device("fake_guadalupe")
    first = compile_for_device(template, device, 7).record()
    other = read_device("fake_guadalupe").model_copy(update={"version": "read again"})
    assert compile_for_device(template, other, 7).record() == first


@pytest.mark.parametrize("name", ["FakeManilaV2", "FakeYorktownV2", "FakeCairoV2"])
def test_the_channels_of_every_gate_are_those_that_aer_takes_from_the_backend(name: str):
    backend = getattr(fake_provider, name)()
    device = read_device(backend)
    model = NoiseModel.from_backend(backend)
    compared = 0
    for gate, errors in model._local_quantum_errors.items():
        if gate in {"id", "reset", "delay"}:
            continue
        for qubits, error in sorted(errors.items())[:25]:
            expected = Choi(error.to_quantumchannel()).data
            found = _choi(device.channels(gate, qubits), len(qubits))
            np.testing.assert_allclose(found, expected, atol=1e-12)
            compared += 1
    assert compared >= 14


@pytest.mark.parametrize("name", ["fake_manila", "fake_guadalupe"])
def test_the_error_of_a_gate_is_that_of_the_calibration(name: str):
    """Unless the relaxation alone is worse."""
    device = read_device(name)
    calibrated = [g for g in device.gates if g.qubits and g.error]
    found = np.array([device.error(g.gate, g.qubits) for g in calibrated])
    expected = np.array([g.error for g in calibrated])
    relaxed = np.array(
        [len(device.channels(g.gate, g.qubits)) == len(g.qubits) for g in calibrated]
    )
    np.testing.assert_allclose(found[~relaxed], expected[~relaxed], rtol=1e-9)
    assert (found[relaxed] >= expected[relaxed]).all()
    assert (~relaxed).sum() >= 10


def _choi(placed, n: int) -> np.ndarray:
    found = np.eye(2**n)[None]
    for channel, places in placed:
        wide = channel.kraus(len(places))
        if len(places) < n:
            one = np.eye(2)
            wide = [np.kron(one, k) if places == (0,) else np.kron(k, one) for k in wide]
        found = np.array([a @ b for a in wide for b in found])
    vectors = found.transpose(0, 2, 1).reshape(len(found), -1)
    return vectors.T @ vectors.conj()


# ----------------------------------------------------------------------------------- trajectories


@pytest.mark.parametrize("name", ["fake_manila", "fake_torino"])
def test_the_mean_of_trajectories_is_the_density_matrix_of_the_compiled_circuit(name: str):
    device = _worse(read_device(name), 10.0)
    noise = NoiseConfig(device=device, twirl=True)
    template, observables = model("hardware_efficient", 4), named_observables("x+z+zz", 4)
    b = bindings(template)
    found = StatevectorBackend(noise=noise, trajectories=4000).evaluate(
        template, observables, b, key=KEY
    )
    expected = _density(compile_for_device(template, device), observables, b)
    exact = StatevectorBackend().evaluate(template, observables, b).values
    assert np.abs(expected - exact).max() > 0.1
    assert (np.abs(found.values - expected) <= 5.0 * np.sqrt(found.variances) + 1e-9).all()


def test_gradients_are_differences_of_the_very_trajectories():
    noise = NoiseConfig(device=_worse(read_device("fake_quito"), 10.0), twirl=True)
    template, observables = model("hardware_efficient", 3), named_observables("z", 3)
    b = bindings(template)
    backend = StatevectorBackend(noise=noise, trajectories=2)
    cotangent = np.random.default_rng(1).normal(size=(2, 3))
    _, pullback = backend.vjp(template, observables, b, key=KEY)
    found = pullback(cotangent).params.sum(axis=0)
    for k in range(template.n_params):
        step = np.zeros(template.n_params)
        step[k] = 1e-5
        high, low = (
            backend.evaluate(
                template, observables, Bindings(b.rows, b.params + sign * step), key=KEY
            ).values
            for sign in (1, -1)
        )
        assert found[k] == pytest.approx(((high - low) * cotangent).sum() / 2e-5, abs=1e-7)


def _worse(device: Device, factor: float) -> Device:
    """The device with larger errors, so that few trajectories show them."""
    gates = tuple(
        gate.model_copy(update={"error": gate.error * factor, "time": gate.time * factor})
        if gate.error is not None and gate.error * factor < 0.5
        else gate
        for gate in device.gates
    )
    return Device.from_dict(device.model_copy(update={"gates": gates}).to_dict())


def _density(compiled: CompiledCircuit, observables, b: Bindings) -> np.ndarray:
    """Aer's density matrix of the compiled circuit, each channel twirled; wrong bits by hand."""
    simulator = AerSimulator(method="density_matrix", zero_threshold=0.0)
    n = compiled.template.n_qubits
    values = np.zeros((len(b), len(observables)))
    for i in range(len(b)):
        circuit = QuantumCircuit(n)
        for place, op in enumerate(compiled.template.ops, start=1):
            single = to_qiskit(
                Template(n, (op,), compiled.template.n_rows, compiled.template.n_params)
            )
            known = {
                p: (b.rows[i] if p.vector.name == "x" else b.params)[p.index]
                for p in single.parameters
            }
            circuit.compose(single.assign_parameters(known), inplace=True)
            for site in compiled.sites:
                if site.place == place:
                    weights = twirled(site.channel.kraus(len(site.qubits)))
                    kraus = kraus_of(weights, len(site.qubits))
                    circuit.append(kraus_error(list(kraus)), list(site.qubits))
        circuit.save_density_matrix()
        rho = simulator.run(circuit).result().data()["density_matrix"]
        for o, observable in enumerate(observables):
            values[i, o] = _read(compiled, observable, rho)
    return values


def _read(compiled: CompiledCircuit, observable: Observable, rho) -> float:
    """Each factor of a string is (1 − 2 P(1|·)) of what the qubit really is."""
    (term,) = compiled.moved(observable).terms
    total = 0.0
    acting = [q for q in range(compiled.template.n_qubits) if (term.x | term.z) >> q & 1]
    for kept in range(2 ** len(acting)):
        mask = sum(1 << q for k, q in enumerate(acting) if kept >> k & 1)
        share = 1.0
        for q in acting:
            mean = np.array(compiled.confusions[q]).T @ np.array([1.0, -1.0])
            share *= (mean[0] - mean[1]) / 2 if mask >> q & 1 else (mean[0] + mean[1]) / 2
        part = Observable((PauliTerm(term.x & mask, term.z & mask),))
        operator = _operator(part, compiled.template.n_qubits)
        total += share * rho.expectation_value(operator).real
    return total


# -------------------------------------------------------------------------------- Aer noise models


def test_a_noise_model_of_aer_has_the_channels_of_the_backend_that_it_came_from():
    backend = fake_provider.FakeManilaV2()
    device, found = read_device(backend), read_device(NoiseModel.from_backend(backend))
    assert found.left_out == ("id", "reset")
    for gate in device.gates:
        if gate.qubits is None:
            continue
        expected = _choi(device.channels(gate.gate, gate.qubits), len(gate.qubits))
        same = _choi(found.channels(gate.gate, gate.qubits), len(gate.qubits))
        np.testing.assert_allclose(same, expected, atol=1e-12)


def test_an_error_of_named_qubits_goes_before_one_of_all():
    model = NoiseModel()
    model.add_all_qubit_quantum_error(pauli_error([("XY", 0.1), ("II", 0.9)]), ["cx"])
    model.add_quantum_error(pauli_error([("XI", 0.2), ("II", 0.8)]), ["cx"], [1, 0])
    device = read_device(model.to_dict())
    ((others, _),) = device.channels("cx", (0, 1))
    ((named, _),) = device.channels("cx", (1, 0))
    assert others.probabilities == pytest.approx({"II": 0.9, "YX": 0.1})  # first qubit first
    assert named.probabilities == pytest.approx({"II": 0.8, "IX": 0.2})


def test_noise_models_are_compiled_to_their_basis_and_gates_without_error_are_counted():
    model = NoiseModel(basis_gates=["rz", "sx", "cz"])
    model.add_all_qubit_quantum_error(pauli_error([("XX", 0.1), ("II", 0.9)]), ["cz"])
    noise = NoiseConfig(device=model)
    noisy = compile_noisy(
        Template(2, (Op("h", (0,)), Op("cx", (0, 1)))), named_observables("z", 2), noise.text
    )
    assert set(noisy.compiled.gates) == {"cz", "rz", "sx"}
    assert set(noisy.compiled.without_error) == {"rz", "sx"}
    assert noisy.compiled.layout == (0, 1)
