"""From a template and its observables to a `Program`: the passes in order, then the arrays."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from itertools import accumulate

import numpy as np

from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Template
from qstore_ray.simulate.compile.frame import pauli_rotations
from qstore_ray.simulate.compile.parts import QubitPart, split
from qstore_ray.simulate.compile.passes import (
    Layer,
    layers,
    light_cone,
    product_start,
    real_rotations,
)
from qstore_ray.simulate.compile.program import PHASES, TURNS, Program
from qstore_ray.simulate.compile.rotations import Rotation, Term


@lru_cache(maxsize=128)
def compile_program(
    template: Template, observables: tuple[Observable, ...], params_per_row: bool = False
) -> Program:
    """The program that evaluates `observables` after `template`.

    Args:
        params_per_row: parameters differ from row to row, as in the plans of parameter shift.
    """
    rotations, terms = pauli_rotations(template, observables)
    program = compile_rotations(template, rotations, terms, len(observables), params_per_row)
    framed, seen = pauli_rotations(template, observables, quarter_turns=True)
    if 2 * len(framed) > len(rotations):
        return program
    # Mostly fixed quarter turns, as in a circuit compiled for a device.
    other = compile_rotations(template, framed, seen, len(observables), params_per_row)
    return other if 2 * len(other.layers) <= len(program.layers) else program


def compile_rotations(
    template: Template,
    rotations: list[Rotation],
    terms: list[Term],
    n_observables: int,
    params_per_row: bool,
    *,
    kept: bool = False,
) -> Program:
    """The program of rotations, and terms that are measured after them.

    Args:
        template: how many qubits and slots there are, and where the circuit starts.
        kept: the terms are X and Z of qubits that are kept for observables of any kind.
    """
    rotations = light_cone(rotations, terms)
    leading: list[list[Rotation]] = [[] for _ in range(template.n_qubits)]
    whole = QubitPart(0, template.n_qubits, rotations)
    if template.initial == "zeros":
        leading, rotations = product_start(rotations, template.n_qubits)
        whole = split(rotations, 0, template.n_qubits)
    parts = whole.in_order()
    gathered = [layers(real_rotations(part.rotations)) for part in parts[:-1]]
    gathered.append(layers(light_cone(real_rotations(whole.rotations), terms)))
    return _program(
        template, leading, list(zip(parts, gathered, strict=True)), terms, n_observables,
        params_per_row, kept=kept,
    )  # fmt: skip


@lru_cache(maxsize=128)
def compile_states(template: Template, params_per_row: bool = False) -> Program:
    """The program whose final state is the circuit's, but for what `states.py` puts back.

    Nothing is left out and nothing is dropped at the start. Every turn is bound for each row, even
    where all rows share its angle: of shared turns the engines put off cosines and half turns
    (`native/bind.h`), which expectation values allow and states do not.
    """
    rotations, _ = pauli_rotations(template, ())
    return compile_state_rotations(template, rotations, params_per_row)


def compile_state_rotations(
    template: Template, rotations: list[Rotation], params_per_row: bool
) -> Program:
    """The program of rotations whose final state is asked for; see `compile_states`."""
    leading: list[list[Rotation]] = [[] for _ in range(template.n_qubits)]
    gathered = layers(real_rotations(rotations), whole=4 * math.pi)
    whole = QubitPart(0, template.n_qubits, rotations)
    program = _program(template, leading, [(whole, gathered)], [], 0, params_per_row)
    by_row = program.by_row.copy()
    for kind, first, last in program.layers:
        by_row[first:last] |= kind == TURNS
    return replace(program, by_row=by_row)


def _program(
    template: Template,
    leading: list[list[Rotation]],
    gathered: list[tuple[QubitPart, list[Layer]]],
    terms: list[Term],
    n_observables: int,
    params_per_row: bool,
    *,
    kept: bool = False,
) -> Program:
    rotations = [rotation for run in leading for rotation in run]
    leading_starts = [0, *accumulate(len(run) for run in leading)]
    code: list[tuple[int, int, int]] = []
    ranges: list[tuple[int, ...]] = []
    places: dict[int, int] = {}
    for part, own_layers in gathered:
        own = [places[id(one)] for one in part.own] or [-1, -1]
        places[id(part)] = len(ranges)
        ranges.append((part.first, part.n_qubits, len(code), *own))
        for layer in own_layers:
            first = len(rotations)
            rotations += [Rotation(x, z, angle) for (x, z), angle in layer.rotations.items()]
            code.append((PHASES if layer.kind == "phases" else TURNS, first, len(rotations)))
    qubits = _kept_qubits(terms) if kept else []
    terms = [] if kept else terms
    angles = [rotation.angle for rotation in rotations]
    slots = [slot for angle in angles for slot, _ in angle.terms]
    return Program(
        n_qubits=template.n_qubits,
        n_rows=template.n_rows,
        n_params=template.n_params,
        n_observables=n_observables,
        from_amplitudes=template.initial == "amplitudes",
        params_per_row=params_per_row,
        x=np.array([rotation.x for rotation in rotations], np.int64),
        z=np.array([rotation.z for rotation in rotations], np.int64),
        offsets=np.array([angle.offset for angle in angles], np.float64),
        term_starts=np.array([0, *accumulate(len(angle.terms) for angle in angles)], np.int64),
        slots=np.array(slots, np.int64),
        scales=np.array([scale for angle in angles for _, scale in angle.terms], np.float64),
        by_row=np.array(
            [
                any(slot < template.n_rows or params_per_row for slot, _ in angle.terms)
                for angle in angles
            ],
            bool,
        ),
        leading_starts=np.array(leading_starts, np.int64),
        layers=np.array(code, np.int64).reshape(-1, 3),
        terms=np.array([term[:4] for term in terms], np.int64).reshape(-1, 4),
        coefficients=np.array([term.coefficient for term in terms], np.float64),
        parts=np.array(ranges, np.int64),
        kept=np.array(qubits, np.int64).reshape(-1, 3),
    )


def _kept_qubits(terms: list[Term]) -> list[tuple[int, int, int]]:
    """Masks and signs of pairs of X and Z."""
    pairs = zip(terms[::2], terms[1::2], strict=True)
    return [(x.x, z.z, (x.coefficient < 0) + 2 * (z.coefficient < 0)) for x, z in pairs]
