"""TensorCircuit-NG on JAX by contraction: each observable from the gates of its light cone.

python wide_tensorcircuit.py [CONTRACTOR]
"""

from __future__ import annotations

import sys

import numpy as np
import tensorcircuit as tc
from protocol import Case, Step, serve

K = tc.set_backend("jax")
tc.set_dtype("complex128")
tc.set_contractor(sys.argv[1] if len(sys.argv) > 1 else "greedy")

GATES = {"ry": "ry", "rz": "rz", "cx": "cnot", "cz": "cz"}


def build(case: Case) -> Step:
    """The jitted value and gradient of the loss, over the batch by vmap."""
    import jax

    jax.clear_caches()

    def values(params, row):
        circuit = tc.Circuit(case.n_qubits)
        for op in case.ops:
            angles = [angle.value(row, params) for angle in op.angles]
            getattr(circuit, GATES[op.gate])(*op.qubits, **({"theta": angles[0]} if angles else {}))
        return K.stack(
            [
                K.real(circuit.expectation_ps(z=list(qubits), enable_lightcone=True))
                for qubits in case.observables
            ]
        )

    over_rows = K.vmap(values, vectorized_argnums=1)
    rows, params, w, y = map(K.convert_to_tensor, (case.rows, case.params, case.w, case.y))

    def loss(params, rows):
        return K.mean((over_rows(params, rows) @ w + case.c - y) ** 2)

    compiled = K.jit(K.value_and_grad(loss))

    def step() -> tuple[float, np.ndarray]:
        value, gradient = compiled(params, rows)
        return float(value), np.asarray(gradient)

    return step


if __name__ == "__main__":
    serve(build)
