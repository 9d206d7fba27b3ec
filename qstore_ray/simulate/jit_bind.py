"""What a set of parameters gives that is the same for all rows, in numba.

A turn by θ costs one multiply-add a number instead of two where tan(θ/2) can stand for (cos, sin)
and the cosine is put off. It needs |θ| ≤ π/2. So whole half turns are taken out: exp(−iπP/2) is
the Pauli string P, which moves past everything behind it and only flips signs: of the angles of
strings that anticommute with it, and of observables.

So stored amplitudes may be larger than true ones by a factor that is the same for all rows. The
next phases that all rows share make it good, or a pass of its own, or the measurement.
"""

from __future__ import annotations

import math

from qstore_ray.simulate.jit_kernels import sincos
from qstore_ray.simulate.simd import LANES, PAIR, jit, join, load, odd_parity, part, splat, store

SIGN, ANGLE, COSINE, SINE = 0, 1, 2, 3
"""Rows of `by_rotation`: sign from the strings pulled in front, reduced angle, cos and sin of half
of it (for turns tan)."""
SHRINK, FACTOR = 0, 1
"""Rows of `by_pass`: norm before over norm after; what the pass multiplies by to make good."""
PHASES, TURNS, LEADING = 0, 1, 2
"""Kinds of rotation, literals that numba can fold."""
TURN, SCALE = 0, 2
"""Kinds of pass (column 0), as in `schedule.py`; the third is phases alone."""
LAYER, PHASES_LAYER, TABLE, WALK = 1, 2, 3, 4
"""Further columns of passes."""
_LARGE = 100.0
_PI_1, _PI_2, _PI_3 = 3.14159265346825122833, 1.21542010130012384998e-10, 4.04453249759190126188e-21


@part
def small(angle):
    """The angle, or if it is large one in (−2π, 2π] that is the same rotation."""
    if abs(angle) <= _LARGE:
        return angle
    return 2.0 * math.atan2(math.sin(0.5 * angle), math.cos(0.5 * angle))


@part
def angle_of(g, row, rows, params, offsets, starts, slots, scales):
    """The angle of rotation g for one row, before signs."""
    n_rows = rows.shape[1]
    angle = offsets[g]
    for k in range(starts[g], starts[g + 1]):
        slot = slots[k]
        if slot < n_rows:
            angle += scales[k] * rows[row, slot]
        else:
            angle += scales[k] * params[row if params.shape[0] > 1 else 0, slot - n_rows]
    return angle


@part
def _anticommute(x1, z1, x2, z2):
    return odd_parity(x1 & z2) != odd_parity(x2 & z1)


@part
def _bind_angles(program, rows, params, by_rotation, term_signs):
    _, x, z, offsets, starts, slots, scales, by_row, kinds, _, _, terms = program[:12]
    frame_x = frame_z = 0
    for g in range(x.shape[0]):
        sign = -1.0 if _anticommute(frame_x, frame_z, x[g], z[g]) else 1.0
        by_rotation[SIGN, g] = sign
        if by_row[g]:
            continue
        angle = small(sign * angle_of(g, 0, rows, params, offsets, starts, slots, scales))
        if kinds[g] == TURNS:
            half_turns = round(angle / math.pi)
            angle = angle - half_turns * _PI_1 - half_turns * _PI_2 - half_turns * _PI_3
            if half_turns % 2:
                frame_x ^= x[g]
                frame_z ^= z[g]
        cosine, sine = math.cos(0.5 * angle), math.sin(0.5 * angle)
        by_rotation[ANGLE, g] = angle
        by_rotation[COSINE, g] = cosine
        by_rotation[SINE, g] = sine / cosine if kinds[g] == TURNS else sine
    for k in range(terms.shape[0]):
        flips = _anticommute(frame_x, frame_z, terms[k, 0], terms[k, 1])
        term_signs[k] = -1.0 if flips else 1.0


@part
def _bind_scales(program, by_rotation, by_pass):
    """The factors, and behind those of the passes true over stored amplitude at the end."""
    by_row, passes, order = program[7], program[13], program[16]
    scale = 1.0
    for i in range(passes.shape[0]):
        by_pass[SHRINK, i] = by_pass[FACTOR, i] = 1.0
        if passes[i, 0] == TURN:
            first = passes[i, WALK + 2]
            for k in range(first, first + passes[i, WALK] % 4):
                if not by_row[order[k]]:
                    by_pass[SHRINK, i] *= by_rotation[COSINE, order[k]]
            scale *= by_pass[SHRINK, i]
        if passes[i, 0] == SCALE or passes[i, PHASES_LAYER] >= 0:
            by_pass[FACTOR, i] = scale
            scale = 1.0
    by_pass[FACTOR, passes.shape[0]] = scale


@part
def _bind_phases(z, first, last, angles, factor, field, phases, at):
    """factor · exp(iφ_j), φ_j = −½ Σ_g θ_g (−1)^|j∧z_g|: eight cosines, eight sines, and so on."""
    field[:] = 0.0
    for g in range(first, last):
        field[z[g]] -= 0.5 * angles[g]
    step = 1
    while step < field.shape[0]:
        for base in range(0, field.shape[0], 2 * step):
            for j in range(base, base + step):
                a, b = field[j], field[j + step]
                field[j], field[j + step] = a + b, a - b
        step *= 2
    for j in range(0, field.shape[0], LANES):
        s, c = sincos(load(field, j))
        f = splat(factor)
        store(phases, at + 2 * j, join(f * c, f * s))


@jit
def bind(program, rows, params, by_rotation, by_pass, term_signs, phases, field):
    """Fill all but the first three; phases (tables · 2 · max(2^n, 8)), field (max(2^n, 8))."""
    _bind_angles(program, rows, params, by_rotation, term_signs)
    _bind_scales(program, by_rotation, by_pass)
    z, layers, passes = program[2], program[10], program[13]
    for i in range(passes.shape[0]):
        table, layer = passes[i, TABLE], passes[i, PHASES_LAYER]
        if table >= 0:
            first, last = layers[layer, 1], layers[layer, 2]
            at = table * 2 * field.shape[0]
            factor = by_pass[FACTOR, i]
            _bind_phases(z, first, last, by_rotation[ANGLE], factor, field, phases, at)


@part
def shared_angles(by_row, kinds, by_rotation, angles):
    """(cos, sin) of half of each shared angle as pairs; (1, tan) of turns; phases: the angle."""
    for g in range(by_row.shape[0]):
        if by_row[g]:
            continue
        first = by_rotation[COSINE, g]
        if kinds[g] == TURNS:
            first = 1.0
        elif kinds[g] == PHASES:
            first = by_rotation[ANGLE, g]
        store(angles, g * PAIR, join(splat(first), splat(by_rotation[SINE, g])))


@part
def row_angles(program, first_row, n, rows, params, by_rotation, angles):
    """The same for angles that differ from row to row; of turns (cos, sin)."""
    _, _, _, offsets, starts, slots, scales, by_row, kinds = program[:9]
    for g in range(by_row.shape[0]):
        if not by_row[g]:
            continue
        for lane in range(LANES):
            row = min(first_row + lane, n - 1)
            angle = angle_of(g, row, rows, params, offsets, starts, slots, scales)
            angles[g * PAIR + lane] = small(by_rotation[SIGN, g] * angle)
        if kinds[g] != PHASES:
            s, c = sincos(splat(0.5) * load(angles, g * PAIR))
            store(angles, g * PAIR, join(c, s))
