"""Turns in numba: up to three commuting rotations of a tile's states in one walk over memory.

A turn takes two amplitudes (a, b) to (c a − s b, c b + s a). Where the angle is the same for all
rows the cosine is put off until later (`jit_bind.py`), and the turn is (a − t b, b + t a) with
t = s/c: half the arithmetic. It is real, so it treats real and imaginary parts alike, and an
amplitude of a tile is one value of sixteen numbers here.

One, two or three rotations are done at once on 2, 4 or 8 amplitudes in registers. Which of them
belong together is in index tables (`_walks` in `jit.py`), two rows of eight numbers for each walk:
`near` are blocks beside each other, `inner` the amplitudes of a block. Amplitude b of block m lies
at base ^ near[m] ^ inner[b], and `base` goes through all sums of the walk's base vectors.
"""

from __future__ import annotations

from qstore_ray.simulate.jit_blocks import (
    gather_block,
    overlap_block,
    phased_block,
    scatter_block,
    turned_block,
)
from qstore_ray.simulate.simd import LANES, PAIR, load, number, part, splat, trailing_zeros

ROW = 8
STEPS = 2 * ROW
"""Numbers in the index tables of one walk."""

# ------------------------------------------------------------------------------- their coefficients


@part
def _shared(angles, g, sign):
    return splat(sign) * load(angles, g * PAIR + LANES)


@part
def _general(angles, g, sign):
    return load(angles, g * PAIR), _shared(angles, g, sign)


def _coefficients(one):
    """Functions that load the coefficients of one, two and three rotations."""

    @part
    def first(angles, order, o, sign):
        return (one(angles, number(order, o), sign),)

    @part
    def two(angles, order, o, sign):
        return one(angles, number(order, o), sign), one(angles, number(order, o + 1), sign)

    @part
    def three(angles, order, o, sign):
        t = one(angles, number(order, o), sign)
        return t, one(angles, number(order, o + 1), sign), one(angles, number(order, o + 2), sign)

    return first, two, three


# ------------------------------------------------------------------------------------------- walks


def _walk(n, coefficients):
    gather, turned, phased, scatter = (
        gather_block(n), turned_block(n), phased_block(n), scatter_block(n),
    )  # fmt: skip

    @part
    def walk(psi, shape, table, k, bases, order, angles, phases, at):
        _, many, o, first, count = shape
        t = coefficients(angles, order, o, 1.0)
        base = 0
        for step in range(1 << count):
            for m in range(many):
                i = base ^ number(table, k + m)
                a = turned(gather(psi, i, table, k + ROW), t)
                if at >= 0:
                    a = phased(phases, i, table, k + ROW, at, a)
                scatter(psi, i, table, k + ROW, a)
            base ^= number(bases, first + trailing_zeros(step + 1))

    return walk


def _walk_back(n, coefficients):
    gather, turned, overlap, scatter = (
        gather_block(n), turned_block(n), overlap_block(n), scatter_block(n),
    )  # fmt: skip

    @part
    def walk(psi, lam, shape, table, k, bases, order, angles, sums, wanted):
        _, many, o, first, count = shape
        t = coefficients(angles, order, o, -1.0)
        base = 0
        for step in range(1 << count):
            for m in range(many):
                i = base ^ number(table, k + m)
                b = turned(gather(lam, i, table, k + ROW), t)
                scatter(lam, i, table, k + ROW, b)
                a = turned(gather(psi, i, table, k + ROW), t)
                scatter(psi, i, table, k + ROW, a)
                if wanted:
                    overlap(sums, 0, b, a)
            base ^= number(bases, first + trailing_zeros(step + 1))

    return walk


_shared_1, _shared_2, _shared_3 = _coefficients(_shared)
_general_1, _general_2, _general_3 = _coefficients(_general)
_walk_1s, _walk_2s, _walk_3s = _walk(2, _shared_1), _walk(4, _shared_2), _walk(8, _shared_3)
_walk_1g, _walk_2g, _walk_3g = _walk(2, _general_1), _walk(4, _general_2), _walk(8, _general_3)
_back_1s, _back_1g = _walk_back(2, _shared_1), _walk_back(2, _general_1)
_back_2s, _back_2g = _walk_back(4, _shared_2), _walk_back(4, _general_2)
_back_3s, _back_3g = _walk_back(8, _shared_3), _walk_back(8, _general_3)


@part
def forward(psi, shape, table, k, bases, order, angles, phases, at):
    """ψ ← turns ψ, times the phases from phases[at] on unless at < 0.

    Args:
        shape: number of rotations, plus 4 if any differs from row to row; number of blocks in
            `near`; the first rotation in `order`; the first base vector in `bases`; their number.
        table: the walk's index tables, from table[k] on.
    """
    kind = shape[0]
    if kind == 1:
        _walk_1s(psi, shape, table, k, bases, order, angles, phases, at)
    elif kind == 2:
        _walk_2s(psi, shape, table, k, bases, order, angles, phases, at)
    elif kind == 3:
        _walk_3s(psi, shape, table, k, bases, order, angles, phases, at)
    elif kind == 5:
        _walk_1g(psi, shape, table, k, bases, order, angles, phases, at)
    elif kind == 6:
        _walk_2g(psi, shape, table, k, bases, order, angles, phases, at)
    else:
        _walk_3g(psi, shape, table, k, bases, order, angles, phases, at)


@part
def back(psi, lam, shape, table, k, bases, order, angles, sums, wanted):
    """ψ and λ ← inverse turns of both; overlaps Im⟨λ|P|ψ⟩ into `sums`, if any of them is wanted."""
    sums[:] = 0.0
    kind = shape[0]
    if kind == 1:
        _back_1s(psi, lam, shape, table, k, bases, order, angles, sums, wanted)
    elif kind == 2:
        _back_2s(psi, lam, shape, table, k, bases, order, angles, sums, wanted)
    elif kind == 3:
        _back_3s(psi, lam, shape, table, k, bases, order, angles, sums, wanted)
    elif kind == 5:
        _back_1g(psi, lam, shape, table, k, bases, order, angles, sums, wanted)
    elif kind == 6:
        _back_2g(psi, lam, shape, table, k, bases, order, angles, sums, wanted)
    else:
        _back_3g(psi, lam, shape, table, k, bases, order, angles, sums, wanted)
