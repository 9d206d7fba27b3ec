"""Exact probabilities and shots against Qiskit's own."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import Statevector

from tests.ibm.exact import InexactError, _Program, draw


def random_circuit(seed, width=3, size=15):
    """Gates of today's backends with affine angles, before measurement."""
    rng = np.random.default_rng(seed)
    x, y = ParameterVector("x", 2), ParameterVector("y", 2)
    angles = [*x, *y]
    circuit = QuantumCircuit(width)
    for _ in range(size):
        one, two = (int(qubit) for qubit in rng.permutation(width)[:2])
        a, b = angles[rng.integers(4)], angles[rng.integers(4)]
        angle = float(rng.normal()) * a - 0.5 * b + float(rng.normal())
        kind = rng.integers(9)
        if kind == 0:
            circuit.rz(angle, one)
        elif kind == 1:
            circuit.rx(angle, one)
        elif kind == 2:
            circuit.rzz(angle, one, two)
        elif kind == 3:
            circuit.rz(0.3, one)
        else:
            gates = [circuit.sx, circuit.x, circuit.cx, circuit.cz, circuit.ecr]
            gates[kind - 4](*([one] if kind < 6 else [one, two]))
    for name in angles:
        circuit.rz(name, 0)
    return circuit


@pytest.mark.parametrize("seed", range(10))
def test_probabilities_are_qiskits(seed):
    circuit = random_circuit(seed)
    values = np.random.default_rng(seed).normal(size=(4, 4))
    measured = circuit.copy()
    measured.add_register(ClassicalRegister(2, "c"))
    measured.measure([2, 0], [0, 1])
    found = _Program(measured, list(measured.parameters)).probabilities(values)
    for row, point in zip(found, values, strict=True):
        bound = circuit.assign_parameters(dict(zip(circuit.parameters, point, strict=True)))
        # Qiskit's first qubit is the least significant one, here the first measured is the most.
        np.testing.assert_allclose(row, Statevector(bound).probabilities([0, 2]), atol=1e-12)


def test_shots_are_drawn_into_the_registers_with_the_right_frequencies():
    circuit = QuantumCircuit(4)
    circuit.add_register(ClassicalRegister(2, "a"), ClassicalRegister(1, "b"))
    circuit.rx(ParameterVector("t", 1)[0], 3)
    circuit.cx(3, 1)
    circuit.x(0)
    circuit.measure([3, 1, 0], [1, 2, 0])
    bits = draw(circuit, np.array([[[0.0]], [[np.pi / 3]], [[np.pi]]]), (3, 2), 10_000, 1)
    assert {name: array.shape for name, array in bits.items()} == {
        "a": (3, 2, 10_000, 2), "b": (3, 2, 10_000, 1),
    }  # fmt: skip
    assert bits["a"][..., 0].all()
    assert np.array_equal(bits["a"][..., 1], bits["b"][..., 0])
    np.testing.assert_allclose(
        bits["b"].mean(axis=(2, 3)), np.repeat([[0.0], [0.25], [1.0]], 2, axis=1), atol=0.02
    )


def test_circuits_that_are_not_covered_say_so():
    after = QuantumCircuit(1, 1)
    after.measure(0, 0)
    after.x(0)
    twice = QuantumCircuit(2, 1)
    twice.measure([0, 1], [0, 0])
    squared = QuantumCircuit(1, 1)
    squared.rz(ParameterVector("t", 1)[0] ** 2, 0)
    wide = QuantumCircuit(17)
    wide.x(range(17))
    for circuit in (after, twice, squared, wide):
        with pytest.raises(InexactError):
            draw(circuit, np.zeros((1, 1)), (1,), 1, None)
