"""qiskit-machine-learning: the kernel by circuits for pairs, and the one from state vectors.

The first runs the exact sampler, and neither projects its matrix on the positive ones afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel_protocol import REPS, serve
from qiskit.circuit.library import zz_feature_map
from qiskit_machine_learning.kernels import FidelityQuantumKernel, FidelityStatevectorKernel
from qiskit_machine_learning.primitives import QMLSampler
from qiskit_machine_learning.state_fidelities import ComputeUncompute

if TYPE_CHECKING:
    import numpy as np


def _by_circuits(x: np.ndarray) -> np.ndarray:
    kernel = FidelityQuantumKernel(
        feature_map=zz_feature_map(x.shape[1], reps=REPS, entanglement="full"),
        fidelity=ComputeUncompute(sampler=QMLSampler()),
        enforce_psd=False,
    )
    return kernel.evaluate(x)


def _by_states(x: np.ndarray) -> np.ndarray:
    feature_map = zz_feature_map(x.shape[1], reps=REPS, entanglement="full")
    kernel = FidelityStatevectorKernel(
        feature_map=feature_map, cache_size=len(x), enforce_psd=False
    )
    return kernel.evaluate(x)


if __name__ == "__main__":
    serve({"circuits": _by_circuits, "states": _by_states})
