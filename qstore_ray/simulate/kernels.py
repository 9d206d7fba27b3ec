"""The numba kernels: one compiled call runs a whole program, forward or in reverse, on many tiles.

A tile is eight rows side by side: amplitude j of all eight is one vector at `re[8j : 8j + 8]` and
`im[8j : 8j + 8]`, so every operation below is one on eight rows at once (`simd.py`). A tile of ten
qubits takes 128 kB and stays in a core's cache while the program runs over it.

The reverse sweep is adjoint differentiation (Jones & Gacon 2020, arXiv:2009.02823): with ψ the final
state and λ = Σ_o w_o O_o ψ, walk back through the passes, undo each on both, and read off
∂/∂θ = Im⟨λ|P|ψ⟩ for a gate exp(−iθP/2). It needs ψ, λ and one vector of weights, however deep the
circuit is. All arrays are float64; angles and gradients of a tile lie as (slot, lane).
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator"
# numba infers these types; annotating them for mypy would only repeat "an array".

from __future__ import annotations

import math

from numba import njit

from qstore_ray.simulate.simd import LANES, load, splat, store

_RUN, _PERM, _DIAG = 0, 1, 2  # Program.code kinds, as literals that numba can fold
_MATRIX, _RX, _RY = 0, 1, 2
_MATRIX_SIZE = 8 * LANES  # u00, u01, u10, u11 as re/im, eight lanes each

_jit = njit(cache=True, nogil=True, error_model="numpy", boundscheck=False)


@_jit
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


@_jit
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


@_jit
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


@_jit
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


@_jit
def load_matrix(array, base):
    return (
        load(array, base), load(array, base + LANES),
        load(array, base + 2 * LANES), load(array, base + 3 * LANES),
        load(array, base + 4 * LANES), load(array, base + 5 * LANES),
        load(array, base + 6 * LANES), load(array, base + 7 * LANES),
    )  # fmt: skip


@_jit
def dagger(u):
    zero = splat(0.0)
    return u[0], zero - u[1], u[4], zero - u[5], u[2], zero - u[3], u[6], zero - u[7]


@_jit
def apply_run(re, im, qubit, u):
    """ψ ← U ψ with U on `qubit`."""
    stride = (1 << qubit) * LANES
    u0, u1, u2, u3, u4, u5, u6, u7 = u
    for base in range(0, re.shape[0], 2 * stride):
        for i in range(base, base + stride, LANES):
            j = i + stride
            ar, ai, br, bi = load(re, i), load(im, i), load(re, j), load(im, j)
            store(re, i, u0 * ar - u1 * ai + u2 * br - u3 * bi)
            store(im, i, u0 * ai + u1 * ar + u2 * bi + u3 * br)
            store(re, j, u4 * ar - u5 * ai + u6 * br - u7 * bi)
            store(im, j, u4 * ai + u5 * ar + u6 * bi + u7 * br)


@_jit
def overlap(re, im, lr, li, qubit):
    """M_ab = Σ conj(λ_a) ψ_b over all amplitudes, a and b the bit of `qubit`; eight vectors."""
    stride = (1 << qubit) * LANES
    m0 = m1 = m2 = m3 = m4 = m5 = m6 = m7 = splat(0.0)
    for base in range(0, re.shape[0], 2 * stride):
        for i in range(base, base + stride, LANES):
            j = i + stride
            ar, ai, br, bi = load(re, i), load(im, i), load(re, j), load(im, j)
            cr, ci, dr, di = load(lr, i), load(li, i), load(lr, j), load(li, j)
            m0 = m0 + cr * ar + ci * ai
            m1 = m1 + cr * ai - ci * ar
            m2 = m2 + cr * br + ci * bi
            m3 = m3 + cr * bi - ci * br
            m4 = m4 + dr * ar + di * ai
            m5 = m5 + dr * ai - di * ar
            m6 = m6 + dr * br + di * bi
            m7 = m7 + dr * bi - di * br
    return m0, m1, m2, m3, m4, m5, m6, m7


@_jit
def overlap_and_undo(re, im, lr, li, qubit, u):
    """M as in `overlap`, and ψ ← U ψ, λ ← U λ (U the inverse of the run) in the same pass."""
    stride = (1 << qubit) * LANES
    u0, u1, u2, u3, u4, u5, u6, u7 = u
    m0 = m1 = m2 = m3 = m4 = m5 = m6 = m7 = splat(0.0)
    for base in range(0, re.shape[0], 2 * stride):
        for i in range(base, base + stride, LANES):
            j = i + stride
            ar, ai, br, bi = load(re, i), load(im, i), load(re, j), load(im, j)
            cr, ci, dr, di = load(lr, i), load(li, i), load(lr, j), load(li, j)
            m0 = m0 + cr * ar + ci * ai
            m1 = m1 + cr * ai - ci * ar
            m2 = m2 + cr * br + ci * bi
            m3 = m3 + cr * bi - ci * br
            m4 = m4 + dr * ar + di * ai
            m5 = m5 + dr * ai - di * ar
            m6 = m6 + dr * br + di * bi
            m7 = m7 + dr * bi - di * br
            store(re, i, u0 * ar - u1 * ai + u2 * br - u3 * bi)
            store(im, i, u0 * ai + u1 * ar + u2 * bi + u3 * br)
            store(re, j, u4 * ar - u5 * ai + u6 * br - u7 * bi)
            store(im, j, u4 * ai + u5 * ar + u6 * bi + u7 * br)
            store(lr, i, u0 * cr - u1 * ci + u2 * dr - u3 * di)
            store(li, i, u0 * ci + u1 * cr + u2 * di + u3 * dr)
            store(lr, j, u4 * cr - u5 * ci + u6 * dr - u7 * di)
            store(li, j, u4 * ci + u5 * cr + u6 * di + u7 * dr)
    return m0, m1, m2, m3, m4, m5, m6, m7


@_jit
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


@_jit
def any_wanted(elements, first, last, wanted):
    """Whether a run holds an angle whose gradient is asked for."""
    for index in range(first, last):
        if elements[index, 0] != _MATRIX and wanted[elements[index, 1]]:
            return True
    return False


@_jit
def add_gradient(gradient, slot, scale, value):
    """gradient[slot] += scale · value, for eight lanes."""
    store(gradient, slot * LANES, load(gradient, slot * LANES) + splat(scale) * value)


@_jit
def permute(re, im, cycles, starts, first, last, forward):
    """Move amplitudes along the cycles: c[i] takes the value of c[i + 1], or back again."""
    for cycle in range(first, last):
        begin, end = starts[cycle], starts[cycle + 1]
        step = 1 if forward else -1
        here = begin if forward else end - 1
        kept_re, kept_im = load(re, cycles[here] * LANES), load(im, cycles[here] * LANES)
        for _ in range(end - begin - 1):
            to, origin = cycles[here] * LANES, cycles[here + step] * LANES
            store(re, to, load(re, origin))
            store(im, to, load(im, origin))
            here += step
        store(re, cycles[here] * LANES, kept_re)
        store(im, cycles[here] * LANES, kept_im)


@_jit
def multiply_phases(re, im, phases, sign):
    """ψ_j ← d_j ψ_j, or with `sign` = −1 conj(d_j) ψ_j."""
    for j in range(phases.shape[1]):
        real, imag = phases[0, j], sign * phases[1, j]
        if real == 1.0:
            continue
        i = j * LANES
        a, b = load(re, i), load(im, i)
        if real == -1.0:
            store(re, i, splat(0.0) - a)
            store(im, i, splat(0.0) - b)
        else:
            c, s = splat(real), splat(imag)
            store(re, i, c * a - s * b)
            store(im, i, c * b + s * a)


@_jit
def odd_parity(bits):
    """1 if an odd number of bits is set, else 0."""
    bits ^= bits >> 32
    bits ^= bits >> 16
    bits ^= bits >> 8
    bits ^= bits >> 4
    bits ^= bits >> 2
    bits ^= bits >> 1
    return bits & 1


@_jit
def rotate_z(re, im, mask, c, s):
    """ψ_j ← exp(∓iθ/2) ψ_j, − for even and + for odd parity of j ∧ mask; c, s of θ/2."""
    minus_s = splat(0.0) - s
    for j in range(re.shape[0] // LANES):
        i = j * LANES
        turn = s if odd_parity(j & mask) else minus_s
        a, b = load(re, i), load(im, i)
        store(re, i, c * a - turn * b)
        store(im, i, c * b + turn * a)


@_jit
def overlap_z(re, im, lr, li, mask):
    """Im⟨λ|Z_mask|ψ⟩, one vector."""
    even = odd = splat(0.0)
    for j in range(re.shape[0] // LANES):
        i = j * LANES
        value = load(lr, i) * load(im, i) - load(li, i) * load(re, i)
        if odd_parity(j & mask):
            odd = odd + value
        else:
            even = even + value
    return even - odd


@_jit
def walsh_hadamard(values):
    """v_k ← Σ_j (−1)^|j∧k| v_j in n passes of additions, for eight lanes."""
    stride = LANES
    while stride < values.shape[0]:
        for base in range(0, values.shape[0], 2 * stride):
            for i in range(base, base + stride, LANES):
                a, b = load(values, i), load(values, i + stride)
                store(values, i, a + b)
                store(values, i + stride, a - b)
        stride *= 2


@_jit
def pauli_expectation(re, im, x, z, power):
    """⟨ψ|P|ψ⟩ with P|j⟩ = i^power (−1)^|j∧z| |j ⊕ x⟩ and x ≠ 0, one vector."""
    real = imag = splat(0.0)
    for j in range(re.shape[0] // LANES):
        here, there = j * LANES, (j ^ x) * LANES
        a, b = load(re, here), load(im, here)
        c, d = load(re, there), load(im, there)
        if odd_parity(j & z):
            real = real - (c * a + d * b)
            imag = imag - (c * b - d * a)
        else:
            real = real + (c * a + d * b)
            imag = imag + (c * b - d * a)
    zero = splat(0.0)
    if power == 0:
        return real
    if power == 1:
        return zero - imag
    if power == 2:
        return zero - real
    return imag


@_jit
def add_pauli(re, im, lr, li, x, z, power, weight):
    """λ ← λ + w P ψ with P as in `pauli_expectation`."""
    zero = splat(0.0)
    for j in range(re.shape[0] // LANES):
        here, there = j * LANES, (j ^ x) * LANES
        w = zero - weight if odd_parity(j & z) else weight
        a, b = w * load(re, here), w * load(im, here)
        if power == 1:
            a, b = zero - b, a
        elif power == 2:
            a, b = zero - a, zero - b
        elif power == 3:
            a, b = b, zero - a
        store(lr, there, load(lr, there) + a)
        store(li, there, load(li, there) + b)
