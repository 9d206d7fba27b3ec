"""Aer by the parameter-shift rule: all rows and all shifts in one run with parameter bindings.

Every occurrence of a parameter gets an angle of its own, is shifted by ±π/2, and the differences
are added up by the chain rule. Controlled rotations are written as plain rotations and CX first:
Aer's parameter bindings silently take the angle of crx, cry, crz and cp as 0.
The loss is linear in the observables, so one observable, Σ_o w_o O_o, is asked for.
"""

from __future__ import annotations

import math

import numpy as np
from protocol import Angle, Case, Step, Unsupported, serve
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer import AerSimulator

HALF = {"crx": "rx", "cry": "ry", "crz": "rz"}
PLAIN = {"rx", "ry", "rz", "p", "u"}
FIXED = {"h", "x", "cx", "cz"}
Turn = tuple[str, int, tuple[tuple[Angle, float], ...]]  # gate, qubit, (angle, factor) of each


def build(case: Case) -> Step:
    """All bindings of a step in one run (one circuit a row where rows bring initial states)."""
    angles = _angles(case)
    at = ParameterVector("a", len(angles))
    circuits = [_circuit(case, at, start) for start in _starts(case)]
    backend = AerSimulator(
        method="statevector",
        max_parallel_threads=1,
        fusion_enable=case.n_qubits > 10,
        runtime_parameter_bind_enable=case.n_qubits < 8,
    )
    trained = [k for k, (angle, _) in enumerate(angles) if angle.kind == "param"]
    slots = np.array([angles[k][0].slot for k in trained])
    scales = np.array([angles[k][1] * angles[k][0].scale for k in trained])

    def bound(row: np.ndarray) -> np.ndarray:
        """Angles (2K + 1, all): as they are, then each of K shifted up, then down."""
        plain = np.array([factor * angle.value(row, case.params) for angle, factor in angles])
        table = np.tile(plain, (2 * len(trained) + 1, 1))
        for k, position in enumerate(trained):
            table[1 + k, position] += math.pi / 2
            table[1 + len(trained) + k, position] -= math.pi / 2
        return table

    def run(tables: list[np.ndarray]) -> np.ndarray:
        if len(circuits) == 1:
            tables = [np.concatenate(tables)]
        binds = [{at[k]: t[:, k].tolist() for k in range(len(angles))} for t in tables]
        result = backend.run(circuits, parameter_binds=binds, shots=1).result()
        if not result.success:
            raise RuntimeError(f"Aer: {result.status}")
        count = sum(len(t) for t in tables)
        return np.array([result.data(i)["out"] for i in range(count)]).reshape(case.batch, -1)

    def step() -> tuple[float, np.ndarray]:
        values = run([bound(row) for row in case.rows])
        residual = values[:, 0] + case.c - case.y
        up, down = np.split(values[:, 1:], 2, axis=1)
        slope = (2 * residual / case.batch) @ ((up - down) / 2) * scales
        return float(np.mean(residual**2)), np.bincount(slots, slope, len(case.params))

    return step


def _starts(case: Case) -> list[np.ndarray | None]:
    return [None] if case.amplitudes is None else list(case.amplitudes)


def _turns(case: Case) -> list[list[Turn | tuple[str, tuple[int, ...]]]]:
    """Each gate as fixed gates and rotations of one qubit."""
    out: list[list[Turn | tuple[str, tuple[int, ...]]]] = []
    for op in case.ops:
        if op.gate in FIXED:
            out.append([(op.gate, op.qubits)])
        elif op.gate in PLAIN:
            out.append([(op.gate, op.qubits[0], tuple((angle, 1.0) for angle in op.angles))])
        elif op.gate in HALF:
            # C-R(θ) = CX̃ · R(−θ/2) · CX̃ · R(θ/2), where CX̃ flips the sign of R's axis.
            flip = "cz" if op.gate == "crx" else "cx"
            name, target, angle = HALF[op.gate], op.qubits[1], op.angles[0]
            back = (name, target, ((angle, -0.5),))
            out.append(
                [(name, target, ((angle, 0.5),)), (flip, op.qubits), back, (flip, op.qubits)]
            )
        else:
            raise Unsupported(f"no translation of {op.gate}")
    return out


def _angles(case: Case) -> list[tuple[Angle, float]]:
    """Every angle that stands in the circuit, in order, with its factor."""
    return [pair for gate in _turns(case) for turn in gate if len(turn) == 3 for pair in turn[2]]


def _circuit(case: Case, at: ParameterVector, start: np.ndarray | None) -> QuantumCircuit:
    circuit = QuantumCircuit(case.n_qubits)
    if start is not None:
        circuit.set_statevector(start)
    free = iter(at)
    for gate in _turns(case):
        for turn in gate:
            if len(turn) == 3:
                getattr(circuit, turn[0])(*(next(free) for _ in turn[2]), turn[1])
            else:
                getattr(circuit, turn[0])(*turn[1])
    terms = [
        ("Z" * len(qubits), list(qubits), weight)
        for weight, qubits in zip(case.w, case.observables, strict=True)
    ]
    operator = SparsePauliOp.from_sparse_list(terms, num_qubits=case.n_qubits)
    circuit.save_expectation_value(operator, range(case.n_qubits), label="out")
    return circuit


if __name__ == "__main__":
    serve(build)
