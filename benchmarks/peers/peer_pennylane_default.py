"""PennyLane's default.qubit with the whole training step compiled by JAX.

Two ways to run a batch, chosen on the command line: `broadcast` hands whole columns of row angles
to the gates (PennyLane's parameter broadcasting), `vmap` maps the circuit of one row.
"""

from __future__ import annotations

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pennylane as qml
from pennylane_circuit import function
from protocol import Case, Step, serve

WAY = sys.argv[1] if len(sys.argv) > 1 else "vmap"


def build(case: Case) -> Step:
    """The jitted value and gradient of the loss."""
    jax.clear_caches()
    device = qml.device("default.qubit", wires=case.n_qubits)
    node = qml.QNode(function(case), device, interface="jax", diff_method="backprop")
    rows = jnp.asarray(case.rows)
    amplitudes = None if case.amplitudes is None else jnp.asarray(case.amplitudes)
    w, y = jnp.asarray(case.w), jnp.asarray(case.y)

    def values(params, rows, amplitudes):
        if WAY == "broadcast":
            return jnp.stack(node(rows.T, params, amplitudes), axis=-1).reshape(len(y), -1)
        one = jax.vmap(lambda r, a: jnp.stack(node(r, params, a)))
        return one(rows, amplitudes)

    def loss(params, rows, amplitudes):
        return jnp.mean((values(params, rows, amplitudes) @ w + case.c - y) ** 2)

    compiled = jax.jit(jax.value_and_grad(loss))
    params = jnp.asarray(case.params)

    def step() -> tuple[float, np.ndarray]:
        value, gradient = compiled(params, rows, amplitudes)
        return float(value), np.asarray(gradient)

    return step


if __name__ == "__main__":
    serve(build)
