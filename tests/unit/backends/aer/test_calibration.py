"""A device's noise on Aer: on the circuit compiled for it, against a density matrix by hand."""

from __future__ import annotations

import numpy as np
import pytest

from qstore_ray.backends.aer import AerBackend
from qstore_ray.backends.base import Bindings
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.noise.config import NoiseConfig
from qstore_ray.backends.noise.device.compiled import CompiledCircuit, compile_for_device
from qstore_ray.backends.noise.device.device import Device
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Op, Template, const, param, row
from qstore_ray.errors import CircuitError, ResourceError
from qstore_ray.simulate import reference
from qstore_ray.testing.strategies import Case

READOUTS = [((0.97, 0.05), (0.03, 0.95)), ((0.99, 0.08), (0.01, 0.92)), None]
DEVICE = Device(
    name="line of three",
    basis=("rz", "sx", "x", "cx"),
    qubits=[{"t1": 8e-5, "t2": 6e-5, "readout": readout} for readout in READOUTS],
    gates=[
        *({"gate": "rz", "qubits": [q], "error": 0.0, "time": 0.0} for q in range(3)),
        *({"gate": g, "qubits": [q], "error": 0.004 * (q + 1), "time": 4e-8} for g in ("sx", "x")
          for q in range(3)),
        *({"gate": "cx", "qubits": pair, "error": 0.03, "time": 4e-7}
          for pair in ([0, 1], [1, 0], [1, 2], [2, 1])),
    ],
)  # fmt: skip
SEEN = tuple(map(Observable.parse, ("Z0", "Z2", "X0 Y2", "0.5*Z1 + Z0 Z1 - 0.2*X2")))
TEMPLATE = Template(
    3,
    (
        Op("ry", (0,), (row(0),)),
        Op("h", (1,)),
        Op("crx", (0, 2), (param(0),)),
        Op("cx", (1, 2)),
        Op("rzz", (0, 1), (const(0.4),)),
        Op("rx", (2,), (row(0, 0.5),)),
    ),
    n_rows=1,
    n_params=1,
)
CASE = Case(TEMPLATE, SEEN, Bindings(np.array([[0.7], [2.1]]), np.array([1.2])))
NOISE = NoiseConfig(device=DEVICE)


def _matrix(op: Op, n_qubits: int, x: np.ndarray, params: np.ndarray) -> np.ndarray:
    """The unitary of a gate on all qubits: its action on each basis state."""
    alone = Template(n_qubits, (op,), len(x), len(params), "amplitudes")
    states = np.eye(2**n_qubits, dtype=complex)
    return reference.states(alone, np.tile(x, (len(states), 1)), params, states).T


def _embedded(small: np.ndarray, qubits: tuple[int, ...], n_qubits: int) -> np.ndarray:
    """An operator of some qubits as one of all; its first qubit is the lowest bit."""
    found = np.zeros((2**n_qubits, 2**n_qubits), complex)
    rest = [q for q in range(n_qubits) if q not in qubits]
    for i, j in np.ndindex(*small.shape):
        for others in range(2 ** len(rest)):
            base = sum(1 << q for k, q in enumerate(rest) if others >> k & 1)
            to = base + sum(1 << q for k, q in enumerate(qubits) if i >> k & 1)
            start = base + sum(1 << q for k, q in enumerate(qubits) if j >> k & 1)
            found[to, start] = small[i, j]
    return found


def _density(compiled: CompiledCircuit, x: np.ndarray, params: np.ndarray) -> np.ndarray:
    n = compiled.template.n_qubits
    rho = np.zeros((2**n, 2**n), complex)
    rho[0, 0] = 1.0
    for place, op in enumerate(compiled.template.ops, start=1):
        unitary = _matrix(op, n, x, params)
        rho = unitary @ rho @ unitary.conj().T
        for after, channel, qubits in compiled.sites:
            if after == place:
                operators = [_embedded(k, qubits, n) for k in channel.kraus(len(qubits))]
                rho = sum(k @ rho @ k.conj().T for k in operators)
    return rho


def _expected() -> np.ndarray:
    """Means of what is read: each Z factor is a + bZ of its own confusion matrix."""
    compiled = compile_for_device(TEMPLATE, DEVICE)
    factors = {"X": np.array([[0, 1], [1, 0]]), "Y": np.array([[0, -1j], [1j, 0]])}
    factors["Z"] = np.diag([1.0, -1.0])
    found = np.zeros((2, len(SEEN)))
    for i, x in enumerate(CASE.bindings.rows):
        rho = _density(compiled, x, CASE.bindings.params)
        for o, observable in enumerate(SEEN):
            for term in compiled.moved(observable).terms:
                operator = np.eye(8, dtype=complex)
                for q, label in [(int(w[1:]), w[0]) for w in term.label.split()]:
                    (good, one_as_zero), (_, _) = compiled.confusions[q] or ((1, 0), (0, 1))
                    constant, slope = good + one_as_zero - 1.0, good - one_as_zero
                    single = constant * np.eye(2) + slope * factors[label]
                    operator = operator @ _embedded(single, (q,), 3)
                found[i, o] += term.coefficient * np.trace(rho @ operator).real
    return found


def test_exact_values_are_those_of_the_compiled_circuit_with_its_channels_and_readout():
    found = AerBackend(noise=NOISE).evaluate(*CASE).values
    np.testing.assert_allclose(found, _expected(), atol=1e-9)
    assert abs(found - AerBackend().evaluate(*CASE).values).max() > 0.02


@pytest.mark.parametrize("method", ["density_matrix", "statevector"])
def test_shots_have_these_means(method: str):
    backend = AerBackend(method=method, noise=NOISE)
    found = backend.evaluate(*CASE, shots=1500, key=DrawKey((2,)))
    assert (np.abs(found.values - _expected()) <= 5.0 * np.sqrt(found.variances)).all()


def test_what_the_device_cannot_run_is_refused_before_anything_runs():
    loading = Template(1, (), initial="amplitudes")
    amplitudes = Bindings(np.zeros((1, 0)), np.zeros(0), np.eye(1, 2))
    with pytest.raises(CircuitError, match="amplitudes"):
        AerBackend(noise=NOISE).check(loading, SEEN[:1], amplitudes)
    wide = Template(4, (Op("cx", (0, 3)),))
    with pytest.raises(ResourceError):
        AerBackend(noise=NOISE).check(wide, SEEN, Bindings(np.zeros((1, 0)), np.zeros(0)))


def test_a_device_makes_states_mixed():
    assert AerBackend(noise=NOISE).method == "density_matrix"
