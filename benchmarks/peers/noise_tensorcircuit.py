"""TensorCircuit-NG on JAX: one random trajectory a row, mapped over the batch and compiled.

A site's error is one matrix of four, chosen by a number that is drawn before: the fastest way that
was found to write it.
"""

from __future__ import annotations

import numpy as np
import tensorcircuit as tc
from peer_tensorcircuit import GATES
from protocol import Case, Step, serve

K = tc.set_backend("jax")
tc.set_dtype("complex128")
PAULIS = np.array([np.eye(2), [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])


def build(case: Case) -> Step:
    """The jitted value and gradient of the loss, new errors in every step."""
    import jax

    jax.clear_caches()
    noise, n = case.noise, case.n_qubits
    assert noise is not None
    n_sites = sum(len(op.qubits) for op in case.ops)
    paulis = K.convert_to_tensor(PAULIS)
    read = 1.0 - 2.0 * noise.readout

    def values(params, row, errors):
        circuit, site = tc.Circuit(n), 0
        for op in case.ops:
            name, names = GATES[op.gate]
            given = [angle.value(row, params) for angle in op.angles]
            getattr(circuit, name)(*op.qubits, **dict(zip(names, given, strict=True)))
            for qubit in op.qubits:
                circuit.any(qubit, unitary=paulis[errors[site]])
                site += 1
        return K.stack(
            [K.real(circuit.expectation_ps(z=list(qubits))) for qubits in case.observables]
        )

    over_rows = K.vmap(values, vectorized_argnums=(1, 2))
    rows, params, w, y = map(K.convert_to_tensor, (case.rows, case.params, case.w, case.y))

    def loss(params, key):
        u = jax.random.uniform(key, (case.batch, n_sites))
        errors = jax.numpy.where(u < 0.75 * noise.p, 1 + (u / (0.25 * noise.p)).astype(int), 0)
        return K.mean((read * over_rows(params, rows, errors) @ w + case.c - y) ** 2)

    compiled = K.jit(K.value_and_grad(loss))
    keys = iter(jax.random.split(jax.random.PRNGKey(0), 100_000))

    def step() -> tuple[float, np.ndarray]:
        value, gradient = compiled(params, next(keys))
        return float(value), np.asarray(gradient)

    return step


if __name__ == "__main__":
    serve(build)
