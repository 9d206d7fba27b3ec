"""PennyLane's default.mixed: the density matrix, differentiated by backpropagation, jitted by JAX.

Its DepolarizingChannel(p) is X, Y or Z with probability p/3 each.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pennylane as qml
from pennylane_circuit import GATES
from protocol import Case, Step, serve


def build(case: Case) -> Step:
    """The jitted value and gradient of the loss."""
    jax.clear_caches()
    noise = case.noise
    assert noise is not None
    assert all(len(qubits) == 1 for qubits in case.observables)
    device = qml.device("default.mixed", wires=case.n_qubits)

    @qml.qnode(device, interface="jax", diff_method="backprop")
    def node(row, params):
        for op in case.ops:
            GATES[op.gate](*(angle.value(row, params) for angle in op.angles), wires=op.qubits)
            for qubit in op.qubits:
                qml.DepolarizingChannel(0.75 * noise.p, wires=qubit)
        return [qml.expval(qml.Z(q)) for (q,) in case.observables]

    rows, w, y = jnp.asarray(case.rows), jnp.asarray(case.w), jnp.asarray(case.y)
    read = 1.0 - 2.0 * noise.readout

    def loss(params):
        values = jax.vmap(lambda row: jnp.stack(node(row, params)))(rows)
        return jnp.mean((read * values @ w + case.c - y) ** 2)

    compiled = jax.jit(jax.value_and_grad(loss))
    params = jnp.asarray(case.params)

    def step() -> tuple[float, np.ndarray]:
        value, gradient = compiled(params)
        return float(value), np.asarray(gradient)

    return step


if __name__ == "__main__":
    serve(build)
