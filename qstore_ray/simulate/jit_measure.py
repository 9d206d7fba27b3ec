"""Observables of a tile in numba: expectation values, and λ = Σ_o w_o O_o ψ.

What is diagonal is one field for all observables together: the transform of |ψ_j|² holds every
⟨Z^z⟩, and the transform of the weights is the diagonal of Σ_o w_o O_o.
"""

from __future__ import annotations

from qstore_ray.simulate.jit_bind import FACTOR
from qstore_ray.simulate.jit_kernels import (
    add_string,
    probabilities,
    string_value,
    walsh_hadamard,
    weighted,
)
from qstore_ray.simulate.simd import LANES, load, part, splat, store


@part
def _any_diagonal(terms):
    found = False
    for i in range(terms.shape[0]):
        found = found or terms[i, 0] == 0
    return found


@part
def measure(program, bound, psi, field, lanes, first_row, values):
    """Expectation values of a tile's rows; what is diagonal comes from one transform of |ψ_j|²."""
    terms, coefficients, term_signs = program[11], program[12], bound[2]
    scale = bound[1][FACTOR, program[13].shape[0]]
    if _any_diagonal(terms):
        probabilities(psi, field)
        walsh_hadamard(field)
    last = min(first_row + LANES, values.shape[0])
    values[first_row:last] = 0.0
    for i in range(terms.shape[0]):
        x, z, power, index = terms[i, 0], terms[i, 1], terms[i, 2], terms[i, 3]
        value = string_value(psi, x, z, power) if x else load(field, z * LANES)
        store(lanes, 0, splat(scale * scale * coefficients[i] * term_signs[i]) * value)
        for row in range(first_row, last):
            values[row, index] += lanes[row - first_row]


@part
def _weight(factor, cotangent, index, first_row, lanes):
    for lane in range(LANES):
        row = min(first_row + lane, cotangent.shape[0] - 1)
        lanes[lane] = factor * cotangent[row, index]
    return load(lanes, 0)


@part
def cotangent_state(program, term_signs, psi, lam, field, lanes, first_row, cotangent):
    """λ = Σ_o w_o O_o ψ, with the diagonal part of the sum as one field of weights."""
    terms, coefficients = program[11], program[12]
    field[:] = 0.0
    if _any_diagonal(terms):
        for i in range(terms.shape[0]):
            if terms[i, 0] == 0:
                at, index = terms[i, 1] * LANES, terms[i, 3]
                factor = coefficients[i] * term_signs[i]
                weight = _weight(factor, cotangent, index, first_row, lanes)
                store(field, at, load(field, at) + weight)
        walsh_hadamard(field)
    weighted(psi, field, lam)
    for i in range(terms.shape[0]):
        x, z, power, index = terms[i, 0], terms[i, 1], terms[i, 2], terms[i, 3]
        if x:
            factor = coefficients[i] * term_signs[i]
            weight = _weight(factor, cotangent, index, first_row, lanes)
            add_string(psi, lam, x, z, power, weight)
