"""Written by hand in JAX, the straightforward way: gate by gate on one row, vmap, jit.

This is what somebody who knows JAX writes in an afternoon: no quantum library, no overhead of one.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from protocol import Case, Op, Step, Unsupported, serve

R = 2**-0.5


def build(case: Case) -> Step:
    """The jitted value and gradient of the loss."""
    jax.clear_caches()
    n = case.n_qubits
    sign = jnp.asarray(signs(case))
    zero = np.eye(1, 2**n, dtype=complex)
    starts = zero.repeat(case.batch, axis=0) if case.amplitudes is None else case.amplitudes + 0j

    def values(params, row, psi):
        for op in case.ops:
            psi = apply(op, [angle.value(row, params) for angle in op.angles], psi, n)
        return (psi.real**2 + psi.imag**2) @ sign

    def loss(params, rows, starts):
        z = jax.vmap(values, in_axes=(None, 0, 0))(params, rows, starts)
        return jnp.mean((z @ case.w + case.c - case.y) ** 2)

    compiled = jax.jit(jax.value_and_grad(loss))
    rows, starts = jnp.asarray(case.rows), jnp.asarray(starts)

    def step() -> tuple[float, np.ndarray]:
        value, gradient = compiled(case.params, rows, starts)
        return float(value), np.asarray(gradient)

    return step


def signs(case: Case) -> np.ndarray:
    """(2^n, O): the value ±1 of each product of Z on each basis state."""
    index = np.arange(2**case.n_qubits)[:, None]
    masks = np.array([sum(1 << q for q in qubits) for qubits in case.observables])
    return 1.0 - 2.0 * (np.bitwise_count(index & masks) % 2)


def apply(op: Op, angles: list, psi: jax.Array, n: int) -> jax.Array:
    *controls, target = op.qubits
    name = op.gate.removeprefix("c") if controls else op.gate
    matrix = _matrix(name, angles)
    if not controls:
        return _turn(matrix, psi, target)
    (control,) = controls
    high, low = max(control, target), min(control, target)
    shape = (2 ** (n - 1 - high), 2, 2 ** (high - low - 1), 2, 2**low)
    axes = (1, 3) if control == high else (3, 1)
    block = jnp.moveaxis(psi.reshape(shape), axes, (0, 1))
    zero, one = block[1, 0], block[1, 1]
    turned = jnp.stack([_mix(matrix[0], zero, one), _mix(matrix[1], zero, one)])
    return jnp.moveaxis(jnp.stack([block[0], turned]), (0, 1), axes).reshape(-1)


def _turn(matrix: list, psi: jax.Array, qubit: int) -> jax.Array:
    block = psi.reshape(-1, 2, 2**qubit)
    zero, one = block[:, 0], block[:, 1]
    return jnp.stack([_mix(m, zero, one) for m in matrix], axis=1).reshape(-1)


def _mix(entries: tuple, zero: jax.Array, one: jax.Array) -> jax.Array:
    """a·zero + b·one, leaving out what is written as a plain 0 or 1."""
    parts = [
        x if isinstance(a, int) else a * x
        for a, x in zip(entries, (zero, one), strict=True)
        if not (isinstance(a, int) and a == 0)
    ]
    return sum(parts[1:], start=parts[0])


def _matrix(name: str, angles: list) -> list[tuple]:
    """The 2×2 matrix of a gate, or of what a controlled gate does where its control is 1."""
    fixed = {"h": [(R, R), (R, -R)], "x": [(0, 1), (1, 0)], "z": [(1, 0), (0, -1.0)]}
    if name in fixed:
        return fixed[name]
    cos, sin = jnp.cos(angles[0] / 2), jnp.sin(angles[0] / 2)
    if name == "u":
        phi, lam = jnp.exp(1j * angles[1]), jnp.exp(1j * angles[2])
        return [(cos, -lam * sin), (phi * sin, phi * lam * cos)]
    turns = {
        "rx": [(cos, -1j * sin), (-1j * sin, cos)],
        "ry": [(cos, -sin), (sin, cos)],
        "rz": [(cos - 1j * sin, 0), (0, cos + 1j * sin)],
        "p": [(1, 0), (0, jnp.exp(1j * angles[0]))],
    }
    if name not in turns:
        raise Unsupported(f"no translation of {name}")
    return turns[name]


if __name__ == "__main__":
    serve(build)
