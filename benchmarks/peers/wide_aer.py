"""Aer's matrix product states by the parameter-shift rule, all bindings in runs of a few rows.

A step takes minutes. `python wide_aer.py FEW` runs only that many of its circuits, evenly spread
over them, and answers `extrapolated`: the time of all by that of those.
"""

from __future__ import annotations

import math
import sys
import time

import numpy as np
from protocol import Case, Step, serve
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer import AerSimulator

FEW = int(sys.argv[1]) if len(sys.argv) > 1 else 0


def build(case: Case) -> Step:
    """One circuit with bound angles for every row and every shift of a parameter."""
    angles = [angle for op in case.ops for angle in op.angles]
    at = ParameterVector("a", len(angles))
    circuit = QuantumCircuit(case.n_qubits)
    free = iter(at)
    for op in case.ops:
        getattr(circuit, op.gate)(*(next(free) for _ in op.angles), *op.qubits)
    terms = [("Z" * len(q), list(q), w) for w, q in zip(case.w, case.observables, strict=True)]
    operator = SparsePauliOp.from_sparse_list(terms, num_qubits=case.n_qubits)
    circuit.save_expectation_value(operator, range(case.n_qubits), label="out")
    backend = AerSimulator(method="matrix_product_state", max_parallel_threads=1)
    places = [k for k, angle in enumerate(angles) if angle.kind == "param"]
    slots = np.array([angles[k].slot for k in places])
    scales = np.array([angles[k].scale for k in places])

    def tables() -> np.ndarray:
        found = []
        for row in case.rows:
            plain = np.array([angle.value(row, case.params) for angle in angles])
            table = np.tile(plain, (2 * len(places) + 1, 1))
            for k, place in enumerate(places):
                table[1 + k, place] += math.pi / 2
                table[1 + len(places) + k, place] -= math.pi / 2
            found.append(table)
        return np.concatenate(found)

    def run(table: np.ndarray) -> np.ndarray:
        binds = {at[k]: table[:, k].tolist() for k in range(len(angles))}
        result = backend.run(circuit, parameter_binds=[binds], shots=1).result()
        if not result.success:
            raise RuntimeError(f"Aer: {result.status}")
        return np.array([result.data(i)["out"] for i in range(len(table))])

    def step() -> tuple[float, np.ndarray]:
        whole = tables()
        values = run(whole).reshape(case.batch, -1)
        residual = values[:, 0] + case.c - case.y
        up, down = np.split(values[:, 1:], 2, axis=1)
        slope = (2 * residual / case.batch) @ ((up - down) / 2) * scales
        return float(np.mean(residual**2)), np.bincount(slots, slope, len(case.params))

    def some() -> tuple[float, np.ndarray]:
        whole = tables()
        picked = whole[np.linspace(0, len(whole) - 1, FEW).astype(int)]
        began = time.perf_counter()
        run(picked)
        # The driver reads the seconds of the whole step in place of a loss.
        return (time.perf_counter() - began) * len(whole) / FEW, np.zeros(len(case.params))

    return some if FEW else step


if __name__ == "__main__":
    serve(build)
