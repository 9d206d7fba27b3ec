"""qiskit-machine-learning: `EstimatorQNN` with its own estimator and its own gradients.

The loss is linear in the observables, so one observable, Σ_o w_o O_o, is asked for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from protocol import Angle, Case, Step, Unsupported, serve
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp
from qiskit_machine_learning.neural_networks import EstimatorQNN


def build(case: Case) -> Step:
    """Forward and backward of the network, the loss in numpy."""
    if case.amplitudes is not None:
        raise Unsupported("EstimatorQNN takes angles: a row's amplitudes are no gate parameters")
    circuit = QuantumCircuit(case.n_qubits)
    rows = ParameterVector("x", case.rows.shape[1])
    params = ParameterVector("p", len(case.params))
    for op in case.ops:
        angles = [expression(angle, rows, params) for angle in op.angles]
        getattr(circuit, op.gate)(*angles, *op.qubits)
    terms = [
        ("Z" * len(qubits), list(qubits), weight)
        for weight, qubits in zip(case.w, case.observables, strict=True)
    ]
    network = EstimatorQNN(
        circuit=circuit,
        observables=SparsePauliOp.from_sparse_list(terms, num_qubits=case.n_qubits),
        input_params=list(rows),
        weight_params=list(params),
        default_precision=0.0,
    )

    def step() -> tuple[float, np.ndarray]:
        residual = network.forward(case.rows, case.params)[:, 0] + case.c - case.y
        _, found = network.backward(case.rows, case.params)
        return float(np.mean(residual**2)), 2 * residual / case.batch @ found[:, 0]

    return step


def expression(angle: Angle, rows: ParameterVector, params: ParameterVector) -> Any:
    if angle.kind == "const":
        return angle.offset
    slot = (rows if angle.kind == "row" else params)[angle.slot]
    return slot if (angle.scale, angle.offset) == (1.0, 0.0) else angle.scale * slot + angle.offset


if __name__ == "__main__":
    serve(build)
