"""Runs: their 2×2 matrices from angles, and the gradients of their angles from a 2×2 overlap.

A run is a row of fixed matrices and rotations on one qubit. Its matrix is their product, one for
each of the eight rows of a tile. In the reverse sweep all that is needed of the two states is
M_ab = Σ conj(λ_a) ψ_b, with a and b the bit of the run's qubit: pulled back through the run's
elements one by one, it gives ∂/∂θ = Im⟨λ|P|ψ⟩ of each rotation exp(−iθP/2).
"""

from __future__ import annotations

import math

from qstore_ray.simulate.simd import LANES, jit, load, splat, store

_RUN = 0  # a kind of pass, and the kinds of elements, as literals that numba can fold
_MATRIX, _RX, _RY = 0, 1, 2
_MATRIX_SIZE = 8 * LANES  # u00, u01, u10, u11 as re/im, eight lanes each


@jit
def trigonometry(gates, affine, slots, varies, trig):
    """cos and sin of half of every angle whose flag is `varies`, for the eight lanes of slots."""
    for gate in range(gates.shape[0]):
        if gates[gate, 0] != varies:
            continue
        for lane in range(LANES):
            value = slots[gates[gate, 1] * LANES + lane]
            half = 0.5 * (affine[gate, 0] * value + affine[gate, 1])
            trig[gate * 2 * LANES + lane] = math.cos(half)
            trig[gate * 2 * LANES + LANES + lane] = math.sin(half)


@jit
def _element(elements, index, matrices, trig):
    """The 2×2 matrix of one element of a run, as eight vectors."""
    kind, ref = elements[index, 0], elements[index, 1]
    zero = splat(0.0)
    if kind == _MATRIX:
        m = matrices[ref]
        return (
            splat(m[0]), splat(m[1]), splat(m[2]), splat(m[3]),
            splat(m[4]), splat(m[5]), splat(m[6]), splat(m[7]),
        )  # fmt: skip
    c, s = load(trig, ref * 2 * LANES), load(trig, ref * 2 * LANES + LANES)
    if kind == _RX:
        return c, zero, zero, zero - s, zero, zero - s, c, zero
    if kind == _RY:
        return c, zero, zero - s, zero, s, zero, c, zero
    return c, zero - s, zero, zero, zero, zero, c, s


@jit
def _product(a, b):
    """The complex 2×2 product a·b, each as eight vectors."""
    return (
        a[0] * b[0] - a[1] * b[1] + a[2] * b[4] - a[3] * b[5],
        a[0] * b[1] + a[1] * b[0] + a[2] * b[5] + a[3] * b[4],
        a[0] * b[2] - a[1] * b[3] + a[2] * b[6] - a[3] * b[7],
        a[0] * b[3] + a[1] * b[2] + a[2] * b[7] + a[3] * b[6],
        a[4] * b[0] - a[5] * b[1] + a[6] * b[4] - a[7] * b[5],
        a[4] * b[1] + a[5] * b[0] + a[6] * b[5] + a[7] * b[4],
        a[4] * b[2] - a[5] * b[3] + a[6] * b[6] - a[7] * b[7],
        a[4] * b[3] + a[5] * b[2] + a[6] * b[7] + a[7] * b[6],
    )


@jit
def run_matrices(code, elements, matrices, trig, has_row, wanted, out):
    """The matrix of every RUN whose `has_row` flag equals `wanted`, into out[pass · 64 …]."""
    for index in range(code.shape[0]):
        if code[index, 0] != _RUN or has_row[index] != wanted:
            continue
        total = _element(elements, code[index, 2], matrices, trig)
        for element in range(code[index, 2] + 1, code[index, 3]):
            total = _product(_element(elements, element, matrices, trig), total)
        base = index * _MATRIX_SIZE
        store(out, base, total[0])
        store(out, base + LANES, total[1])
        store(out, base + 2 * LANES, total[2])
        store(out, base + 3 * LANES, total[3])
        store(out, base + 4 * LANES, total[4])
        store(out, base + 5 * LANES, total[5])
        store(out, base + 6 * LANES, total[6])
        store(out, base + 7 * LANES, total[7])


@jit
def load_matrix(array, base):
    """The 2×2 matrix that begins at array[base], as eight vectors."""
    return (
        load(array, base), load(array, base + LANES),
        load(array, base + 2 * LANES), load(array, base + 3 * LANES),
        load(array, base + 4 * LANES), load(array, base + 5 * LANES),
        load(array, base + 6 * LANES), load(array, base + 7 * LANES),
    )  # fmt: skip


@jit
def dagger(u):
    """The conjugate transpose of a 2×2 matrix."""
    zero = splat(0.0)
    return u[0], zero - u[1], u[4], zero - u[5], u[2], zero - u[3], u[6], zero - u[7]


@jit
def run_gradients(m, first, last, elements, matrices, trig, gates, affine, wanted, gradient):
    """Add the gradients of a run's angles; `m` is M after the run, pulled back gate by gate.

    With ψ' = Uψ and λ' = Uλ, M before U is Uᵀ M' conj(U); and Im⟨λ|P|ψ⟩ is Im(M01 + M10) for X,
    Re(M10 − M01) for Y, Im(M00 − M11) for Z.
    """
    zero = splat(0.0)
    for index in range(last - 1, first - 1, -1):
        kind, ref = elements[index, 0], elements[index, 1]
        if kind != _MATRIX and wanted[ref]:
            if kind == _RX:
                value = m[3] + m[5]
            elif kind == _RY:
                value = m[4] - m[2]
            else:
                value = m[1] - m[7]
            add_gradient(gradient, gates[ref, 1], affine[ref, 0], value)
        if index > first:
            u = _element(elements, index, matrices, trig)
            transposed = (u[0], u[1], u[4], u[5], u[2], u[3], u[6], u[7])
            conjugate = (u[0], zero - u[1], u[2], zero - u[3], u[4], zero - u[5], u[6], zero - u[7])
            m = _product(_product(transposed, m), conjugate)


@jit
def any_wanted(elements, first, last, wanted):
    """Whether a run holds an angle whose gradient is asked for."""
    for index in range(first, last):
        if elements[index, 0] != _MATRIX and wanted[elements[index, 1]]:
            return True
    return False


@jit
def add_gradient(gradient, slot, scale, value):
    """gradient[slot] += scale · value, for eight lanes."""
    store(gradient, slot * LANES, load(gradient, slot * LANES) + splat(scale) * value)
