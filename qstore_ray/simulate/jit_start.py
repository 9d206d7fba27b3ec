"""The state at the start, in numba: a product of single qubits, or given amplitudes.

A circuit from |0…0⟩ begins with rotations of single qubits, which keep it a product. Each qubit's
two amplitudes are worked out alone, and the state doubles qubit by qubit. The reverse sweep takes
the doublings back one by one: λ contracted with all qubits but one is a μ of two amplitudes, and
the gradients of that qubit's rotations are ∂/∂θ = Im⟨μ|P|v⟩.
"""

from __future__ import annotations

from qstore_ray.simulate.jit_kernels import times
from qstore_ray.simulate.simd import (
    LANES,
    PAIR,
    imag,
    join,
    load,
    load_pair,
    part,
    real,
    splat,
    store,
)

QUBIT = 2 * PAIR
"""Numbers that the two amplitudes of a qubit take."""


@part
def _complex_times(a, w):
    return times(a, real(w), imag(w))


@part
def _conjugate(w):
    return join(real(w), splat(0.0) - imag(w))


@part
def _turn_qubit(a, b, x, z, c, s):
    """exp(−iθP/2) on the two amplitudes of one qubit; P is X, Y or Z by the masks."""
    ar, ai, br, bi = real(a), imag(a), real(b), imag(b)
    if x and z:
        return join(c * ar - s * br, c * ai - s * bi), join(c * br + s * ar, c * bi + s * ai)
    if x:
        return join(c * ar + s * bi, c * ai - s * br), join(c * br + s * ai, c * bi - s * ar)
    return join(c * ar + s * ai, c * ai - s * ar), join(c * br - s * bi, c * bi + s * br)


@part
def qubit_states(x, z, starts, angles, qubits):
    """The two amplitudes of each qubit after its leading rotations."""
    for q in range(starts.shape[0] - 1):
        a, b = join(splat(1.0), splat(0.0)), join(splat(0.0), splat(0.0))
        for g in range(starts[q], starts[q + 1]):
            c, s = load(angles, g * PAIR), load(angles, g * PAIR + LANES)
            a, b = _turn_qubit(a, b, x[g], z[g], c, s)
        store(qubits, q * QUBIT, a)
        store(qubits, q * QUBIT + PAIR, b)


@part
def _double(source, s, target, t, size, qubits, q):
    """target[t …] ← the product of source[s : s + size] and qubit q."""
    a, b = load_pair(qubits, q * QUBIT), load_pair(qubits, q * QUBIT + PAIR)
    for i in range(0, size, PAIR):
        w = load_pair(source, s + i)
        store(target, t + size + i, _complex_times(b, w))
        store(target, t + i, _complex_times(a, w))


@part
def product_state(psi, qubits, n_qubits):
    """The product of all qubits: the state doubles qubit by qubit."""
    store(psi, 0, join(splat(1.0), splat(0.0)))
    for q in range(n_qubits):
        _double(psi, 0, psi, 0, PAIR << q, qubits, q)


@part
def _overlap_qubit(m, n, a, b, x, z):
    """Im⟨μ|P|v⟩ on one qubit, μ = (m, n) and v = (a, b)."""
    if x and z:
        both = n * a - m * b
        return real(both) + imag(both)
    if x:
        return real(m) * imag(b) - imag(m) * real(b) + real(n) * imag(a) - imag(n) * real(a)
    return real(m) * imag(a) - imag(m) * real(a) - real(n) * imag(b) + imag(n) * real(b)


@part
def _contract(lam, w, size, a, b):
    """One doubling taken back: μ_c = Σ_i λ_c[i] conj(w[i]), and λ[i] ← Σ_c conj(v_c) λ_c[i]."""
    m = n = join(splat(0.0), splat(0.0))
    a, b = _conjugate(a), _conjugate(b)
    for i in range(0, size, PAIR):
        u = _conjugate(load_pair(w, size + i))
        p, q = load_pair(lam, i), load_pair(lam, size + i)
        m = m + _complex_times(u, p)
        n = n + _complex_times(u, q)
        store(lam, i, _complex_times(a, p) + _complex_times(b, q))
    return m, n


@part
def product_back(psi, lam, x, z, starts, angles, qubits, wanted, gradient):
    """Gradients of the leading rotations from λ at the start.

    ψ is no longer needed: the product of the first q qubits goes to its amplitudes 2^q to 2^(q+1).
    """
    n_qubits = starts.shape[0] - 1
    store(psi, PAIR, join(splat(1.0), splat(0.0)))
    for q in range(1, n_qubits):
        size = PAIR << (q - 1)
        _double(psi, size, psi, 2 * size, size, qubits, q - 1)
    for q in range(n_qubits - 1, -1, -1):
        a, b = load_pair(qubits, q * QUBIT), load_pair(qubits, q * QUBIT + PAIR)
        m, n = _contract(lam, psi, PAIR << q, a, b)
        for g in range(starts[q + 1] - 1, starts[q] - 1, -1):
            if wanted[g]:
                store(gradient, g * LANES, _overlap_qubit(m, n, a, b, x[g], z[g]))
            c = load(angles, g * PAIR)
            s = splat(0.0) - load(angles, g * PAIR + LANES)
            a, b = _turn_qubit(a, b, x[g], z[g], c, s)
            m, n = _turn_qubit(m, n, x[g], z[g], c, s)


@part
def load_amplitudes(psi, amplitudes, first_row):
    """The eight rows from `first_row` on; the last row again where there are fewer."""
    for lane in range(LANES):
        row = min(first_row + lane, amplitudes.shape[0] - 1)
        for j in range(amplitudes.shape[1]):
            psi[j * PAIR + lane] = amplitudes[row, j].real
            psi[j * PAIR + LANES + lane] = amplitudes[row, j].imag


@part
def store_amplitudes(lam, factor, amplitudes, first_row):
    """Row by row factor · λ."""
    for lane in range(min(LANES, amplitudes.shape[0] - first_row)):
        for j in range(amplitudes.shape[1]):
            value = complex(lam[j * PAIR + lane], lam[j * PAIR + LANES + lane])
            amplitudes[first_row + lane, j] = factor * value
