"""Whole sweeps over tiles in numba: forward to expectation values, back to gradients.

Python calls `sweep` once for many rows; it holds no Python lock, so several threads can each take a
range of tiles. A tile's work uses the same operations in the same order whatever the other tiles
are, so the result of a row does not depend on how rows were divided.

The reverse sweep is adjoint differentiation (Jones & Gacon 2020, arXiv:2009.02823): with ψ the
final state and λ = Σ_o w_o O_o ψ, walk back through the passes, undo each on both, and read off
∂/∂θ = Im⟨λ|P|ψ⟩ of each rotation exp(−iθP/2). It needs ψ, λ and one field, however deep the circuit
is. Stored amplitudes may be larger than true ones (`jit_bind.py`): `scale` is true over stored.
"""

from __future__ import annotations

from qstore_ray.simulate import jit_kernels as k
from qstore_ray.simulate import jit_turns as turns
from qstore_ray.simulate.jit_bind import (
    COSINE,
    FACTOR,
    LAYER,
    PHASES_LAYER,
    SCALE,
    SHRINK,
    SIGN,
    TABLE,
    TURN,
    WALK,
    row_angles,
    shared_angles,
)
from qstore_ray.simulate.jit_measure import cotangent_state, measure
from qstore_ray.simulate.jit_start import (
    QUBIT,
    load_amplitudes,
    product_back,
    product_state,
    qubit_states,
    store_amplitudes,
)
from qstore_ray.simulate.simd import (
    LANES,
    PAIR,
    imag,
    jit,
    load,
    load_pair,
    part,
    real,
    splat,
    store,
)

_STEPS = turns.STEPS


@part
def _divided(scratch, dim, n_qubits, n_rotations):
    """Scratch memory as ψ, λ, field, angles, gradient, qubits and sums."""
    a = dim * PAIR
    b = a + dim * PAIR
    c = b + dim * LANES
    d = c + n_rotations * PAIR
    e = d + n_rotations * LANES
    f = e + n_qubits * QUBIT
    return (
        scratch[:a], scratch[a:b], scratch[b:c], scratch[c:d], scratch[d:e], scratch[e:f],
        scratch[f : f + 3 * PAIR],
    )  # fmt: skip


# ------------------------------------------------------------------------------------------ layers


@part
def _phase_field(program, layer, angles, field):
    """The angles of a layer of phases that has no table."""
    z, layers = program[2], program[10]
    field[:] = 0.0
    for g in range(layers[layer, 1], layers[layer, 2]):
        i = z[g] * LANES
        store(field, i, load(field, i) - splat(0.5) * load(angles, g * PAIR))
    k.walsh_hadamard(field)


@part
def _shape(passes, i):
    p = passes[i, WALK:]
    return p[0], p[1], p[2], p[3], p[4]


@part
def _phases_at(passes, i, dim):
    """Where the shared phases of a pass begin, or −1."""
    table = passes[i, TABLE]
    return table * 2 * max(dim, LANES) if table >= 0 else -1


@part
def _run_forward(program, by_pass, phases, psi, field, angles):
    passes, tables, bases, order = program[13:17]
    dim = psi.shape[0] // PAIR
    for i in range(passes.shape[0]):
        at = _phases_at(passes, i, dim)
        if passes[i, 0] == TURN:
            shape = _shape(passes, i)
            turns.forward(psi, shape, tables, i * _STEPS, bases, order, angles, phases, at)
        elif passes[i, 0] == SCALE:
            k.scale(psi, by_pass[FACTOR, i])
        elif at >= 0:
            k.table_phases(psi, phases, at)
        else:
            _phase_field(program, passes[i, PHASES_LAYER], angles, field)
            k.field_phases(psi, field, by_pass[FACTOR, i])


@part
def _phases_back(
    program, layer, factor, at, phases, psi, lam, field, angles, scale, wanted, gradient
):
    z, layers = program[2], program[10]
    if at < 0:
        _phase_field(program, layer, angles, field)
    k.phases_back(psi, lam, phases, at, factor, field)
    first, last = layers[layer, 1], layers[layer, 2]
    if wanted[first:last].any():
        k.walsh_hadamard(field)
        for g in range(first, last):
            store(gradient, g * LANES, splat(scale * scale) * load(field, z[g] * LANES))


@part
def _turns_back(program, i, by_rotation, psi, lam, angles, sums, scale, wanted, gradient):
    by_row, passes, order = program[7], program[13], program[16]
    shape = _shape(passes, i)
    first = shape[2]
    last = first + (shape[0] & 3)
    any_wanted = wanted[order[first]]
    for j in range(first, last):
        any_wanted = any_wanted or wanted[order[j]]
        if not by_row[order[j]]:  # overlaps are taken after the turns are undone
            scale *= by_rotation[COSINE, order[j]]
    turns.back(
        psi, lam, shape, program[14], i * _STEPS, program[15], order, angles, sums, any_wanted
    )
    if any_wanted:
        for j in range(first, last):
            both = load_pair(sums, (j - first) * PAIR)
            store(gradient, order[j] * LANES, splat(scale * scale) * (real(both) + imag(both)))


@part
def _run_back(program, bound, psi, lam, field, angles, sums, stop, wanted, gradient):
    """Back to layer `stop`; returns true over stored amplitude there."""
    passes = program[13]
    by_rotation, by_pass, _, phases = bound
    dim = psi.shape[0] // PAIR
    scale = by_pass[FACTOR, passes.shape[0]]
    for i in range(passes.shape[0] - 1, -1, -1):
        factor, layer = by_pass[FACTOR, i], passes[i, PHASES_LAYER]
        if passes[i, 0] == SCALE:
            k.scale(psi, factor)
            k.scale(lam, factor)
            scale /= factor
            continue
        if layer >= 0:
            if layer < stop:
                break
            at = _phases_at(passes, i, dim)
            _phases_back(
                program, layer, factor, at, phases, psi, lam, field, angles, scale, wanted, gradient
            )
            scale /= factor
        if passes[i, 0] == TURN:
            if passes[i, LAYER] < stop:
                break
            _turns_back(program, i, by_rotation, psi, lam, angles, sums, scale, wanted, gradient)
            scale *= by_pass[SHRINK, i]
    return scale


# ------------------------------------------------------------------------------------------- tiles


@part
def _write_gradients(program, by_rotation, gradient, wanted, first_row, gradients):
    n_rows = gradients.shape[0]
    starts, slots, scales = program[4], program[5], program[6]
    for g in range(wanted.shape[0]):
        if wanted[g]:
            for i in range(starts[g], starts[g + 1]):
                scale = by_rotation[SIGN, g] * scales[i]
                for row in range(first_row, min(first_row + LANES, n_rows)):
                    gradients[row, slots[i]] += scale * gradient[g * LANES + row - first_row]


@part
def _final_state(program, bound, amplitudes, first_row, psi, field, angles, qubits):
    if amplitudes.shape[0]:
        load_amplitudes(psi, amplitudes, first_row)
    else:
        qubit_states(program[1], program[2], program[9], angles, qubits)
        product_state(psi, qubits, program[0])
    _run_forward(program, bound[1], bound[3], psi, field, angles)


@jit
def sweep(
    program, bound, rows, params, amplitudes, first, last, kept, scratch, back, ready, values,
    cotangent, stop, wanted, gradients, amplitude_gradients,
):  # fmt: skip
    """Tiles first … last − 1: values, or if `back` is set gradients for cotangents (N, O).

    It is one function because numba would compile what both ways need once for each.

    Args:
        program: `Program` and its walks as the tuple that `jit.py` makes.
        bound: by_rotation, by_pass, term_signs and phases, as `bind` fills them.
        rows: (N, A); params (1, P) or (N, P); amplitudes (N, 2^n), or none for |0…0⟩.
        kept: (tiles · 2^n · 16) final states, or empty; written, or used up if `ready`.
        values: (N, O), written on the way forward.
        gradients: (N, A + P), zeros before the way back; amplitude_gradients (N, 2^n) takes 2λ
            at the start, or has no rows.
    """
    n_qubits, n_rotations, n = program[0], program[1].shape[0], rows.shape[0]
    size = PAIR << n_qubits
    mine, lam, field, angles, gradient, qubits, sums = _divided(
        scratch, size // PAIR, n_qubits, n_rotations
    )
    shared_angles(program[7], program[8], bound[0], angles)
    for tile in range(first, last):
        psi = kept[tile * size : (tile + 1) * size] if kept.shape[0] else mine
        row = tile * LANES
        row_angles(program, row, n, rows, params, bound[0], angles)
        if not ready:
            _final_state(program, bound, amplitudes, row, psi, field, angles, qubits)
        if not back:
            measure(program, bound, psi, field, sums, row, values)
            continue
        cotangent_state(program, bound[2], psi, lam, field, sums, row, cotangent)
        scale = _run_back(program, bound, psi, lam, field, angles, sums, stop, wanted, gradient)
        if amplitude_gradients.shape[0]:
            store_amplitudes(lam, 2.0 * scale, amplitude_gradients, row)
        elif stop < 0:
            x, z, starts = program[1], program[2], program[9]
            k.scale(lam, scale)
            qubit_states(x, z, starts, angles, qubits)
            product_back(psi, lam, x, z, starts, angles, qubits, wanted, gradient)
        _write_gradients(program, bound[0], gradient, wanted, row, gradients)
