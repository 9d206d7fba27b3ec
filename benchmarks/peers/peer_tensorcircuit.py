"""TensorCircuit-NG on JAX: the circuit of one row, mapped over the batch and compiled.

Its first qubit is the most significant bit: initial states are loaded with their axes reversed.
"""

from __future__ import annotations

import numpy as np
import tensorcircuit as tc
from protocol import Case, Step, Unsupported, serve

K = tc.set_backend("jax")
tc.set_dtype("complex128")

# The library's name of each gate, and of its angles.
GATES: dict[str, tuple[str, tuple[str, ...]]] = {
    "h": ("h", ()),
    "x": ("x", ()),
    "cx": ("cnot", ()),
    "cz": ("cz", ()),
    "rx": ("rx", ("theta",)),
    "ry": ("ry", ("theta",)),
    "rz": ("rz", ("theta",)),
    "p": ("phase", ("theta",)),
    "crx": ("crx", ("theta",)),
    "cry": ("cry", ("theta",)),
    "crz": ("crz", ("theta",)),
    "rzz": ("rzz", ("theta",)),
    "u": ("u", ("theta", "phi", "lbd")),
}


def build(case: Case) -> Step:
    """The jitted value and gradient of the loss."""
    import jax

    jax.clear_caches()
    n = case.n_qubits
    unknown = {op.gate for op in case.ops} - set(GATES)
    if unknown:
        raise Unsupported(f"no translation of {', '.join(sorted(unknown))}")
    start = _reversed(case.amplitudes, n)

    def values(params, row, amplitudes):
        circuit = tc.Circuit(n) if start is None else tc.Circuit(n, inputs=amplitudes)
        for op in case.ops:
            name, names = GATES[op.gate]
            given = [angle.value(row, params) for angle in op.angles]
            getattr(circuit, name)(*op.qubits, **dict(zip(names, given, strict=True)))
        return K.stack(
            [K.real(circuit.expectation_ps(z=list(qubits))) for qubits in case.observables]
        )

    over_rows = K.vmap(values, vectorized_argnums=(1, 2))
    rows, params, w, y = map(K.convert_to_tensor, (case.rows, case.params, case.w, case.y))
    starts = K.convert_to_tensor(np.zeros((len(case.y), 0)) if start is None else start)

    def loss(params, rows, starts):
        return K.mean((over_rows(params, rows, starts) @ w + case.c - y) ** 2)

    compiled = K.jit(K.value_and_grad(loss))

    def step() -> tuple[float, np.ndarray]:
        value, gradient = compiled(params, rows, starts)
        return float(value), np.asarray(gradient)

    return step


def _reversed(amplitudes: np.ndarray | None, n: int) -> np.ndarray | None:
    """Amplitudes (B, 2^n) with the order of the qubits turned round."""
    if amplitudes is None:
        return None
    axes = amplitudes.reshape((-1,) + (2,) * n).transpose(0, *range(n, 0, -1))
    return np.ascontiguousarray(axes).reshape(len(amplitudes), -1).astype(np.complex128)


if __name__ == "__main__":
    serve(build)
