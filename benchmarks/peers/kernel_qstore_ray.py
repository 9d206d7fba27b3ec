"""Our fidelity kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel_protocol import serve

from qstore_ray.circuits.circuit import Circuit
from qstore_ray.circuits.library.encodings import ENCODINGS
from qstore_ray.learn.kernel.kernel import FidelityKernel

if TYPE_CHECKING:
    import numpy as np


def zz_circuit(n_qubits: int) -> Circuit:
    """The ZZ feature map on as many features as qubits."""
    encoded = ENCODINGS["zz"](n_qubits, n_qubits)
    return Circuit(encoded.template, n_qubits, "zz", encoded.encode)


def _gram(x: np.ndarray) -> np.ndarray:
    return FidelityKernel(zz_circuit(x.shape[1])).matrix(x)


if __name__ == "__main__":
    serve({"fidelity": _gram})
