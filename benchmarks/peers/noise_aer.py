"""Aer's density matrix by the parameter-shift rule: all rows and shifts in one run."""

from __future__ import annotations

import math

import numpy as np
from protocol import Case, Step, Unsupported, serve
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, depolarizing_error


def build(case: Case) -> Step:
    """All bindings of a step in one run."""
    noise = case.noise
    assert noise is not None
    if {op.gate for op in case.ops} - {"ry", "rz", "cx"}:
        raise Unsupported("the noise model is that of ry, rz and cx")
    model, one = NoiseModel(), depolarizing_error(noise.p, 1)
    model.add_all_qubit_quantum_error(one, ["ry", "rz"])
    model.add_all_qubit_quantum_error(one.tensor(one), ["cx"])
    backend = AerSimulator(method="density_matrix", noise_model=model, max_parallel_threads=1)
    angles = [angle for op in case.ops for angle in op.angles]
    at = ParameterVector("a", len(angles))
    circuit, free = QuantumCircuit(case.n_qubits), iter(at)
    for op in case.ops:
        getattr(circuit, op.gate)(*(next(free) for _ in op.angles), *op.qubits)
    terms = [("Z" * len(q), list(q), w) for w, q in zip(case.w, case.observables, strict=True)]
    operator = SparsePauliOp.from_sparse_list(terms, num_qubits=case.n_qubits)
    circuit.save_expectation_value(operator, range(case.n_qubits), label="out")
    trained = [k for k, angle in enumerate(angles) if angle.kind == "param"]
    slots = np.array([angles[k].slot for k in trained])
    scales = np.array([angles[k].scale for k in trained])
    read = 1.0 - 2.0 * noise.readout

    def bound(row: np.ndarray) -> np.ndarray:
        """Angles (2K + 1, all): as they are, then each of K shifted up, then down."""
        table = np.tile(
            [angle.value(row, case.params) for angle in angles], (2 * len(slots) + 1, 1)
        )
        for k, position in enumerate(trained):
            table[1 + k, position] += math.pi / 2
            table[1 + len(trained) + k, position] -= math.pi / 2
        return table

    def step() -> tuple[float, np.ndarray]:
        table = np.concatenate([bound(row) for row in case.rows])
        binds = [{at[k]: table[:, k].tolist() for k in range(len(angles))}]
        result = backend.run(circuit, parameter_binds=binds, shots=1).result()
        if not result.success:
            raise RuntimeError(f"Aer: {result.status}")
        values = np.array([result.data(i)["out"] for i in range(len(table))])
        values = read * values.reshape(case.batch, -1)
        residual = values[:, 0] + case.c - case.y
        up, down = np.split(values[:, 1:], 2, axis=1)
        slope = (2 * residual / case.batch) @ ((up - down) / 2) * scales
        return float(np.mean(residual**2)), np.bincount(slots, slope, len(case.params))

    return step


if __name__ == "__main__":
    serve(build)
