"""Whole sweeps over tiles: `forward` to expectation values, `reverse` to gradients.

Python calls one of these functions once for many rows; they hold no Python lock, so several threads
can each take a range of tiles. A tile's work uses the same operations in the same order whatever
the other tiles are, so the result of a row does not depend on how rows were divided.

The reverse sweep is adjoint differentiation (Jones & Gacon 2020, arXiv:2009.02823): with ψ the
final state and λ = Σ_o w_o O_o ψ, walk back through the passes, undo each on both, and read off
∂/∂θ = Im⟨λ|P|ψ⟩ for a gate exp(−iθP/2). It needs ψ, λ and one vector of weights, however deep the
circuit is. All arrays are float64; angles and gradients of a tile lie as (slot, lane).
"""

from __future__ import annotations

import numpy as np

from qstore_ray.simulate import kernels as k
from qstore_ray.simulate import runs as runs_of
from qstore_ray.simulate.simd import LANES, jit, load, splat, store

_RUN, _PERM, _DIAG = 0, 1, 2
_MATRIX_SIZE = 8 * LANES


@jit
def _product_state(re, im, n_qubits, code, n_leading, runs):
    """|0…0⟩ after the leading runs: the product of their first columns, doubled qubit by qubit."""
    store(re, 0, splat(1.0))
    store(im, 0, splat(0.0))
    for qubit in range(n_qubits):
        base = -1
        for index in range(n_leading):
            if code[index, 1] == qubit:
                base = index * _MATRIX_SIZE
        half = (1 << qubit) * LANES
        if base < 0:
            re[half : 2 * half] = 0.0
            im[half : 2 * half] = 0.0
            continue
        ar, ai = load(runs, base), load(runs, base + LANES)
        br, bi = load(runs, base + 4 * LANES), load(runs, base + 5 * LANES)
        for i in range(0, half, LANES):
            x, y = load(re, i), load(im, i)
            store(re, i + half, br * x - bi * y)
            store(im, i + half, br * y + bi * x)
            store(re, i, ar * x - ai * y)
            store(im, i, ar * y + ai * x)


@jit
def _run_forward(re, im, program, runs, trig):
    """Fill the tile with the final state."""
    code, n_leading, _, _, _, _, cycles, starts, phases = program[1:10]
    for index in range(n_leading, code.shape[0]):
        kind, a, b = code[index, 0], code[index, 1], code[index, 2]
        if kind == _RUN:
            k.apply_run(re, im, a, runs_of.load_matrix(runs, index * _MATRIX_SIZE))
        elif kind == _PERM:
            k.permute(re, im, cycles, starts, a, b, True)
        elif kind == _DIAG:
            k.multiply_phases(re, im, phases[a], 1.0)
        else:
            c, s = load(trig, b * 2 * LANES), load(trig, b * 2 * LANES + LANES)
            k.rotate_z(re, im, a, c, s)


@jit
def _prepare_tile(re, im, program, slots, initial, tile, runs, trig):
    """Bind the tile's angles and run the circuit from its initial state."""
    n_qubits, code, n_leading, elements, matrices, gates, affine = program[:7]
    has_row = program[10]
    runs_of.trigonometry(gates, affine, slots[tile], 1, trig)
    runs_of.run_matrices(code, elements, matrices, trig, has_row, 1, runs)
    if initial.shape[0]:
        re[:] = initial[tile, 0]
        im[:] = initial[tile, 1]
    else:
        _product_state(re, im, n_qubits, code, n_leading, runs)
    _run_forward(re, im, program, runs, trig)


@jit
def _measure(re, im, terms, coefficients, work, values):
    """Expectation values of a tile, into values (observable, lane)."""
    values[:] = 0.0
    any_diagonal = False
    for term in range(terms.shape[0]):
        any_diagonal = any_diagonal or terms[term, 0] == 0
    if any_diagonal:
        for i in range(0, re.shape[0], LANES):
            a, b = load(re, i), load(im, i)
            store(work, i, a * a + b * b)
        k.walsh_hadamard(work)
    for term in range(terms.shape[0]):
        x, z, power, index = terms[term, 0], terms[term, 1], terms[term, 2], terms[term, 3]
        value = load(work, z * LANES) if x == 0 else k.pauli_expectation(re, im, x, z, power)
        old = load(values, index * LANES)
        store(values, index * LANES, old + splat(coefficients[term]) * value)


@jit
def _cotangent_state(re, im, terms, coefficients, cotangent, work, lr, li):
    """λ = Σ_o w_o O_o ψ, with the diagonal part of the sum as one vector of weights."""
    work[:] = 0.0
    for term in range(terms.shape[0]):
        x, z, index = terms[term, 0], terms[term, 1], terms[term, 3]
        if x == 0:
            weight = splat(coefficients[term]) * load(cotangent, index * LANES)
            store(work, z * LANES, load(work, z * LANES) + weight)
    k.walsh_hadamard(work)
    for i in range(0, re.shape[0], LANES):
        d = load(work, i)
        store(lr, i, d * load(re, i))
        store(li, i, d * load(im, i))
    for term in range(terms.shape[0]):
        x, z, power, index = terms[term, 0], terms[term, 1], terms[term, 2], terms[term, 3]
        if x:
            weight = splat(coefficients[term]) * load(cotangent, index * LANES)
            k.add_pauli(re, im, lr, li, x, z, power, weight)


@jit
def _run_reverse(re, im, lr, li, program, stop, wanted, runs, trig, gradient):
    """Walk back to pass `stop`, undoing each pass on ψ and λ and adding its gradients."""
    _, code, n_leading, elements, matrices, gates, affine, cycles, starts, phases = program[:10]
    for index in range(code.shape[0] - 1, stop - 1, -1):
        kind, a, b = code[index, 0], code[index, 1], code[index, 2]
        if kind == _RUN:
            last = code[index, 3]
            inverse = runs_of.dagger(runs_of.load_matrix(runs, index * _MATRIX_SIZE))
            if not runs_of.any_wanted(elements, b, last, wanted):
                if index >= n_leading:
                    k.apply_run(re, im, a, inverse)
                    k.apply_run(lr, li, a, inverse)
                continue
            # Leading runs act on different qubits: M of one does not see the others.
            if index < n_leading:
                m = k.overlap(re, im, lr, li, a)
            else:
                m = k.overlap_and_undo(re, im, lr, li, a, inverse)
            runs_of.run_gradients(
                m, b, last, elements, matrices, trig, gates, affine, wanted, gradient
            )
        elif kind == _PERM:
            k.permute(re, im, cycles, starts, a, b, False)
            k.permute(lr, li, cycles, starts, a, b, False)
        elif kind == _DIAG:
            k.multiply_phases(re, im, phases[a], -1.0)
            k.multiply_phases(lr, li, phases[a], -1.0)
        else:
            c, s = load(trig, b * 2 * LANES), load(trig, b * 2 * LANES + LANES)
            if wanted[b]:
                value = k.overlap_z(re, im, lr, li, a)
                runs_of.add_gradient(gradient, gates[b, 1], affine[b, 0], value)
            k.rotate_z(re, im, a, c, splat(0.0) - s)
            k.rotate_z(lr, li, a, c, splat(0.0) - s)


@jit
def _shared_tables(program, shared, trig, runs):
    """Angles and run matrices that are the same for all rows, once a call."""
    _, code, _, elements, matrices, gates, affine = program[:7]
    runs_of.trigonometry(gates, affine, shared, 0, trig)
    runs_of.run_matrices(code, elements, matrices, trig, program[10], 0, runs)


@jit
def forward(program, measured, slots, shared, initial, first, last, values, states):
    """Expectation values of tiles first … last − 1; final states too where `states` has room.

    Args:
        program: `Program` as the tuple that `compiled.py` makes.
        measured: terms (terms, 4) and coefficients.
        slots: (tiles, slots · 8) row angles and, behind them, parameters.
        shared: (slots · 8,) the same with the shared parameters in place, rows unset.
        initial: (tiles, 2, 2^n · 8) initial amplitudes, or no tiles for |0…0⟩.
        values: (tiles, observables · 8), written.
        states: (tiles, 2, 2^n · 8), written, or no tiles.
    """
    code, gates = program[1], program[5]
    size = (1 << program[0]) * LANES
    trig = np.empty(gates.shape[0] * 2 * LANES)
    runs = np.empty(code.shape[0] * _MATRIX_SIZE)
    re, im, work = np.empty(size), np.empty(size), np.empty(size)
    _shared_tables(program, shared, trig, runs)
    for tile in range(first, last):
        if states.shape[0]:
            re, im = states[tile, 0], states[tile, 1]
        _prepare_tile(re, im, program, slots, initial, tile, runs, trig)
        _measure(re, im, measured[0], measured[1], work, values[tile])


@jit
def reverse(
    program, measured, slots, shared, initial, first, last, states, cotangent, stop, wanted,
    gradients, initial_gradients,
):  # fmt: skip
    """Gradients of tiles first … last − 1 for the cotangents (tiles, observables · 8).

    States that `forward` did not keep are computed again. `gradients` (tiles, slots · 8) must come
    as zeros; `initial_gradients` (tiles, 2, 2^n · 8) takes 2λ at the start, or has no tiles.
    """
    code, gates = program[1], program[5]
    size = (1 << program[0]) * LANES
    trig = np.empty(gates.shape[0] * 2 * LANES)
    runs = np.empty(code.shape[0] * _MATRIX_SIZE)
    re, im, lr, li = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    work = np.empty(size)
    _shared_tables(program, shared, trig, runs)
    for tile in range(first, last):
        if states.shape[0]:
            runs_of.trigonometry(gates, program[6], slots[tile], 1, trig)
            runs_of.run_matrices(code, program[3], program[4], trig, program[10], 1, runs)
            re[:] = states[tile, 0]
            im[:] = states[tile, 1]
        else:
            _prepare_tile(re, im, program, slots, initial, tile, runs, trig)
        _cotangent_state(re, im, measured[0], measured[1], cotangent[tile], work, lr, li)
        _run_reverse(re, im, lr, li, program, stop, wanted, runs, trig, gradients[tile])
        if initial_gradients.shape[0]:
            for i in range(size):
                initial_gradients[tile, 0, i] = 2.0 * lr[i]
                initial_gradients[tile, 1, i] = 2.0 * li[i]
