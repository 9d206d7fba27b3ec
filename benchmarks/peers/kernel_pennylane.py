"""PennyLane: its kernel matrix over an overlap circuit, and states by one broadcasted execution.

The first is what its manual shows; the second is what somebody writes who knows it well.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pennylane as qml
from kernel_protocol import REPS, serve


def _feature_map(x: np.ndarray) -> None:
    """The ZZ feature map of one row (F,), or of rows as columns (F, N)."""
    for _ in range(REPS):
        for i in range(len(x)):
            qml.Hadamard(i)
            qml.PhaseShift(2.0 * x[i], i)
        for i, j in combinations(range(len(x)), 2):
            qml.CNOT([i, j])
            qml.PhaseShift(2.0 * (np.pi - x[i]) * (np.pi - x[j]), j)
            qml.CNOT([i, j])


def _by_circuits(x: np.ndarray) -> np.ndarray:
    n_qubits = x.shape[1]

    @qml.qnode(qml.device("lightning.qubit", wires=n_qubits), diff_method=None)
    def overlap(a: np.ndarray, b: np.ndarray) -> object:
        _feature_map(a)
        qml.adjoint(_feature_map)(b)
        return qml.probs(wires=range(n_qubits))

    return qml.kernels.square_kernel_matrix(
        x, lambda a, b: overlap(a, b)[0], assume_normalized_kernel=True
    )


def _by_states(x: np.ndarray) -> np.ndarray:
    @qml.qnode(qml.device("default.qubit", wires=x.shape[1]), diff_method=None)
    def states(columns: np.ndarray) -> object:
        _feature_map(columns)
        return qml.state()

    found = states(x.T)
    return np.abs(found.conj() @ found.T) ** 2


if __name__ == "__main__":
    serve({"circuits": _by_circuits, "states": _by_states})
