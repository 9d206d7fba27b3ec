"""Aer's SamplerV2: 1,024 shots of every row; all Z and ZZ from the same bits."""

from __future__ import annotations

import numpy as np
from protocol import Case, Step, serve
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit_aer.primitives import SamplerV2

SHOTS = 1024


def build(case: Case) -> Step:
    """The values of all observables (B, O), flat, in place of a gradient."""
    angles = [angle for op in case.ops for angle in op.angles]
    at = ParameterVector("a", len(angles))
    circuit, free = QuantumCircuit(case.n_qubits), iter(at)
    for op in case.ops:
        getattr(circuit, op.gate)(*(next(free) for _ in op.angles), *op.qubits)
    circuit.measure_all()
    table = np.array([[angle.value(row, case.params) for angle in angles] for row in case.rows])
    members = np.array([[q in qubits for q in range(case.n_qubits)] for qubits in case.observables])
    options = {"backend_options": {"max_parallel_threads": 1}}
    sampler = SamplerV2(default_shots=SHOTS, options=options)

    def step() -> tuple[float, np.ndarray]:
        (found,) = sampler.run([(circuit, table)]).result()
        outcomes = found.data.meas.array  # (B, shots, bytes), the last byte has the first qubits
        bits = np.unpackbits(outcomes[..., ::-1], axis=-1, bitorder="little")[..., : case.n_qubits]
        signs = 1.0 - 2.0 * ((bits.astype(np.float32) @ members.T.astype(np.float32)) % 2)
        return 0.0, signs.mean(axis=1).ravel()

    return step


if __name__ == "__main__":
    serve(build)
