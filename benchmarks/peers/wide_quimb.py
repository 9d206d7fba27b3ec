"""quimb on JAX: the network of each observable's light cone, contracted inside one jitted loss."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import quimb as qu
import quimb.tensor as qtn
from protocol import Case, Step, serve

jax.config.update("jax_enable_x64", True)

FIXED = {"cx": "CNOT", "cz": "CZ"}


def build(case: Case) -> Step:
    """The jitted value and gradient of the loss, over the batch by vmap."""
    jax.clear_caches()
    z = qu.pauli("Z")
    operators = {1: np.asarray(z), 2: np.asarray(z & z)}

    def values(params, row):
        circuit = qtn.Circuit(case.n_qubits, tag_gate_numbers=True)
        for op in case.ops:
            if op.gate in FIXED:
                circuit.apply_gate(FIXED[op.gate], *op.qubits)
            else:
                theta = op.angles[0].value(row, params)
                circuit.apply_gate_raw(_rotation(op.gate, theta), op.qubits)
        return jnp.stack(
            [
                jnp.real(
                    circuit.local_expectation(
                        operators[len(qubits)],
                        qubits[0] if len(qubits) == 1 else qubits,
                        optimize="greedy",
                        simplify_sequence="",
                        backend="jax",
                    )
                )
                for qubits in case.observables
            ]
        )

    def loss(params, rows):
        found = jax.vmap(values, in_axes=(None, 0))(params, rows)
        return jnp.mean((found @ case.w + case.c - case.y) ** 2)

    compiled = jax.jit(jax.value_and_grad(loss))
    params, rows = jnp.asarray(case.params), jnp.asarray(case.rows)

    def step() -> tuple[float, np.ndarray]:
        value, gradient = compiled(params, rows)
        return float(value), np.asarray(gradient)

    return step


def _rotation(gate: str, theta):
    if gate == "ry":
        c, s = jnp.cos(theta / 2), jnp.sin(theta / 2)
        return jnp.array([[c, -s], [s, c]]).astype(complex)
    phase = jnp.exp(0.5j * theta)
    return jnp.diag(jnp.stack([jnp.conj(phase), phase]))


if __name__ == "__main__":
    serve(build)
