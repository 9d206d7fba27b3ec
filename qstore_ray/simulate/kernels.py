"""The numba kernels: what one pass does to the eight states of a tile.

A tile is eight rows side by side: amplitude j of all eight is one vector at `re[8j : 8j + 8]` and
`im[8j : 8j + 8]`, so every operation below is one on eight rows at once (`simd.py`). A tile of ten
qubits takes 128 kB and stays in a core's cache while the program runs over it.
"""

from __future__ import annotations

from qstore_ray.simulate.simd import LANES, jit, load, splat, store


@jit
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


@jit
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


@jit
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


@jit
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


@jit
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


@jit
def odd_parity(bits):
    """1 if an odd number of bits is set, else 0."""
    bits ^= bits >> 32
    bits ^= bits >> 16
    bits ^= bits >> 8
    bits ^= bits >> 4
    bits ^= bits >> 2
    bits ^= bits >> 1
    return bits & 1


@jit
def rotate_z(re, im, mask, c, s):
    """ψ_j ← exp(∓iθ/2) ψ_j, − for even and + for odd parity of j ∧ mask; c, s of θ/2."""
    minus_s = splat(0.0) - s
    for j in range(re.shape[0] // LANES):
        i = j * LANES
        turn = s if odd_parity(j & mask) else minus_s
        a, b = load(re, i), load(im, i)
        store(re, i, c * a - turn * b)
        store(im, i, c * b + turn * a)


@jit
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


@jit
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


@jit
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


@jit
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
