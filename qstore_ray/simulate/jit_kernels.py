"""What the numba engine does to the eight states of a tile, besides the turns (`jit_turns.py`).

A tile is eight rows side by side: amplitude j of all eight is one pair of vectors at
`psi[16 j : 16 j + 16]`, real parts before imaginary ones, so every operation below is one on eight
rows at once (`simd.py`). A field is one real number for each amplitude: amplitude j's eight rows
are at `field[8 j : 8 j + 8]`. Probabilities, weights of observables, angles of phases: whatever a
Walsh–Hadamard transform turns into sums over masks.
"""

from __future__ import annotations

from qstore_ray.simulate.simd import (
    LANES,
    PAIR,
    imag,
    join,
    load,
    load_pair,
    number,
    odd_parity,
    part,
    real,
    splat,
    store,
)

_ROUND = 6755399441055744.0  # 1.5 · 2^52: adding it rounds to an integer


@part
def _rounded(x):
    magic = splat(_ROUND)
    return x + magic - magic


@part
def sincos(x):
    """sin and cos of a vector within about 1 ulp, for |x| up to 10^5.

    x is reduced by q·π/2 in three parts, as in fdlibm, whose polynomials follow. Which of the two
    results is which, and their signs, come from q = 2k + e by exact products with 0 and ±1.
    """
    one = splat(1.0)
    q = _rounded(x * splat(0.63661977236758134308))
    y = x - q * splat(1.57079632673412561417e00)
    low = q * splat(6.07710050650619224932e-11)
    r = y - low
    r = r - (q * splat(2.02226624879595063154e-21) - (y - r - low))
    z = r * r
    p = splat(-2.50507477628578072866e-8) + z * splat(1.58962301576546568060e-10)
    p = splat(-1.98412698295895385996e-4) + z * (splat(2.75573136213857245213e-6) + z * p)
    p = splat(-1.66666666666666307295e-1) + z * (splat(8.33333333332211858878e-3) + z * p)
    s = r + r * z * p
    p = splat(2.08757008419747316778e-9) + z * splat(-1.13585365213876817300e-11)
    p = splat(2.48015872888517045348e-5) + z * (splat(-2.75573141792967388112e-7) + z * p)
    p = splat(4.16666666666665929218e-2) + z * (splat(-1.38888888888730564116e-3) + z * p)
    c = one - (splat(0.5) * z - z * z * p)
    k = _rounded(q * splat(0.5))
    e = q - k - k
    half = k * splat(0.5)
    odd = k - _rounded(half) - _rounded(half)
    sign = one - splat(2.0) * odd * odd
    straight = one - e * e
    return sign * (s * straight + c * e), sign * (c * straight - s * e)


@part
def times(a, c, s):
    """An amplitude times c + is, for two vectors c and s."""
    re, im = real(a), imag(a)
    return join(c * re - s * im, c * im + s * re)


@part
def _phase_at(i, at):
    """Where the cosine for the amplitude at i is; the sine is eight numbers behind it."""
    return at + (i >> 3 & -PAIR) + (i >> 4 & LANES - 1)


@part
def walsh_hadamard(values):
    """v_k ← Σ_j (−1)^|j∧k| v_j for eight lanes, by additions: two bits a pass, then the last."""
    step = LANES
    while step * 4 <= values.shape[0]:
        for base in range(0, values.shape[0], 4 * step):
            for i in range(base, base + step, LANES):
                j, k = i + 2 * step, i + 3 * step
                a, b, c, d = (
                    load(values, i),
                    load(values, i + step),
                    load(values, j),
                    load(values, k),
                )
                a, b, c, d = a + b, a - b, c + d, c - d
                store(values, i, a + c)
                store(values, i + step, b + d)
                store(values, j, a - c)
                store(values, k, b - d)
        step *= 4
    if step < values.shape[0]:
        for i in range(0, step, LANES):
            a, b = load(values, i), load(values, i + step)
            store(values, i, a + b)
            store(values, i + step, a - b)


@part
def scale(psi, factor):
    """ψ ← factor · ψ."""
    for i in range(0, psi.shape[0], LANES):
        store(psi, i, splat(factor) * load(psi, i))


@part
def table_phases(psi, phases, at):
    """ψ_j times the shared phase j from phases[at] on."""
    for i in range(0, psi.shape[0], PAIR):
        k = _phase_at(i, at)
        store(
            psi,
            i,
            times(load_pair(psi, i), splat(number(phases, k)), splat(number(phases, k + LANES))),
        )


@part
def field_phases(psi, field, factor):
    """ψ_j times factor · exp(i field_j), lane by lane."""
    for i in range(0, psi.shape[0], PAIR):
        s, c = sincos(load(field, i >> 1))
        f = splat(factor)
        store(psi, i, times(load_pair(psi, i), f * c, f * s))


@part
def phases_back(psi, lam, phases, at, factor, field):
    """Undo phases on ψ and λ: shared ones from phases[at] on, or if at < 0 those in `field`.

    Leaves Im(conj(λ_j) ψ_j), as it was before, in `field`.
    """
    for i in range(0, psi.shape[0], PAIR):
        if at >= 0:
            k = _phase_at(i, at)
            s, c = splat(number(phases, k + LANES)), splat(number(phases, k))
        else:
            s, c = sincos(load(field, i >> 1))
            s, c = splat(factor) * s, splat(factor) * c
        a, b = load_pair(psi, i), load_pair(lam, i)
        store(field, i >> 1, real(b) * imag(a) - imag(b) * real(a))
        s = splat(0.0) - s
        store(psi, i, times(a, c, s))
        store(lam, i, times(b, c, s))


@part
def probabilities(psi, field):
    """|ψ_j|²."""
    for i in range(0, psi.shape[0], PAIR):
        a = load_pair(psi, i)
        store(field, i >> 1, real(a) * real(a) + imag(a) * imag(a))


@part
def weighted(psi, field, lam):
    """λ_j = field_j ψ_j."""
    for i in range(0, psi.shape[0], PAIR):
        d = load(field, i >> 1)
        store(lam, i, join(d, d) * load_pair(psi, i))


@part
def _string_at(psi, i, z, power, weight):
    """Amplitude i of w i^power Z^z ψ."""
    if odd_parity(i >> 4 & z):
        weight = splat(0.0) - weight
    a = join(weight, weight) * load_pair(psi, i)
    zero = splat(0.0)
    if power == 1:
        return join(zero - imag(a), real(a))
    if power == 2:
        return join(zero, zero) - a
    if power == 3:
        return join(imag(a), zero - real(a))
    return a


@part
def string_value(psi, x, z, power):
    """⟨ψ|i^power X^x Z^z|ψ⟩, one vector."""
    total = join(splat(0.0), splat(0.0))
    for i in range(0, psi.shape[0], PAIR):
        total = total + load_pair(psi, i ^ x * PAIR) * _string_at(psi, i, z, power, splat(1.0))
    return real(total) + imag(total)


@part
def add_string(psi, lam, x, z, power, weight):
    """λ ← λ + w i^power X^x Z^z ψ."""
    for i in range(0, psi.shape[0], PAIR):
        to = i ^ x * PAIR
        store(lam, to, load_pair(lam, to) + _string_at(psi, i, z, power, weight))
