"""qulacs: one parametric circuit a row, its value and its `backprop`.

The loss is linear in the observables, so each row asks for one observable, Σ_o w_o O_o, and its
gradient is scaled afterwards. The encoding gates hold their row's angles as constants, which saves
the library from differentiating them. qulacs turns by exp(+iθ/2 P): angles change their sign.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from protocol import Angle, Case, Step, Unsupported, serve
from qulacs import Observable, ParametricQuantumCircuit, QuantumState, gate

PAULI = {"x": 1, "y": 2, "z": 3}
FIXED = {"h": gate.H, "x": gate.X, "cx": gate.CNOT, "cz": gate.CZ}
Turn = tuple[Angle, float, tuple[int, ...], tuple[int, ...]]  # angle, factor, qubits, Paulis


class Row:
    """The circuit of one row, and which of its angles belongs to which parameter."""

    def __init__(self, case: Case, row: np.ndarray) -> None:
        self.circuit = ParametricQuantumCircuit(case.n_qubits)
        self.state = QuantumState(case.n_qubits)
        slots, scales, offsets = [], [], []
        for op in case.ops:
            if op.gate in FIXED:
                self.circuit.add_gate(FIXED[op.gate](*op.qubits))
                continue
            for angle, factor, qubits, paulis in turns(op.gate, op.qubits, op.angles):
                if angle.kind != "param":
                    value = -factor * angle.value(row, None)
                    self.circuit.add_gate(gate.PauliRotation(qubits, paulis, value))
                    continue
                _add(self.circuit, qubits, paulis)
                slots.append(angle.slot)
                scales.append(-factor * angle.scale)
                offsets.append(-factor * angle.offset)
        self.slots = np.array(slots)
        self.scales, self.offsets = np.array(scales), np.array(offsets)

    def value_and_gradient(self, observable: Any, params: np.ndarray) -> tuple[float, np.ndarray]:
        """⟨observable⟩, and its gradient (P,)."""
        for k, angle in enumerate((self.scales * params[self.slots] + self.offsets).tolist()):
            self.circuit.set_parameter(k, angle)
        self.state.set_zero_state()
        self.circuit.update_quantum_state(self.state)
        value = observable.get_expectation_value(self.state)
        found = self.scales * np.array(self.circuit.backprop(observable))
        return value, np.bincount(self.slots, found, len(params))


def turns(name: str, qubits: tuple[int, ...], angles: tuple[Angle, ...]) -> list[Turn]:
    """The gate as rotations exp(−i·factor·angle/2·P), up to a phase.

    A controlled rotation about P is a rotation about P by half the angle, and back about Z⊗P.
    """
    if name == "u":
        theta, phi, lam = angles
        order = ((lam, "z"), (theta, "y"), (phi, "z"))
        return [(angle, 1.0, qubits, (PAULI[letter],)) for angle, letter in order]
    if name in ("rx", "ry", "rz", "p"):
        return [(angles[0], 1.0, qubits, (PAULI["z" if name == "p" else name[1]],))]
    if name in ("crx", "cry", "crz"):
        pauli = PAULI[name[2]]
        half = (angles[0], 0.5, qubits[1:], (pauli,))
        return [half, (angles[0], -0.5, qubits, (PAULI["z"], pauli))]
    if name == "rzz":
        return [(angles[0], 1.0, qubits, (3, 3))]
    raise Unsupported(f"no translation of {name}")


def _add(circuit: ParametricQuantumCircuit, qubits: tuple[int, ...], paulis: tuple[int, ...]):
    if len(qubits) > 1:
        circuit.add_parametric_multi_Pauli_rotation_gate(list(qubits), list(paulis), 0.0)
        return
    add = {
        1: circuit.add_parametric_RX_gate,
        2: circuit.add_parametric_RY_gate,
        3: circuit.add_parametric_RZ_gate,
    }
    add[paulis[0]](qubits[0], 0.0)


def build(case: Case) -> Step:
    """Value and gradient, row by row."""
    if case.amplitudes is not None:
        raise Unsupported("backprop always starts in |0…0⟩, it takes no initial state")
    observable = Observable(case.n_qubits)
    for weight, qubits in zip(case.w, case.observables, strict=True):
        observable.add_operator(float(weight), " ".join(f"Z {q}" for q in qubits))
    circuits = [Row(case, row) for row in case.rows]

    def step() -> tuple[float, np.ndarray]:
        pairs = [circuit.value_and_gradient(observable, case.params) for circuit in circuits]
        residual = np.array([value for value, _ in pairs]) + case.c - case.y
        gradient = 2 * residual / case.batch @ np.array([found for _, found in pairs])
        return float(np.mean(residual**2)), gradient

    return step


if __name__ == "__main__":
    serve(build)
