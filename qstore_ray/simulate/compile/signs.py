"""Circuits with Pauli errors in them: every error is a change of signs.

A Pauli error E after some gate passes each later rotation, E exp(−iθP/2) = exp(∓iθP/2) E, with the
sign − if E and P anticommute, and every observable likewise. So a circuit with any errors is the
circuit without them, in which some angles and some measured strings have changed their sign. The
errors themselves are never executed:

    ⟨O⟩ of a trajectory = Σ_t c_t s_t ⟨P_t⟩,   angles s_g θ_g,   s = ±1 for each row

`compile_signed` finds the signs. Each rotation that some error can flip gets a slot of its own,
which is bound for each row to its signed angle; the engine runs this program like any other, and
its reverse sweep gives the exact gradient of the trajectory.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.circuits.lower import lower
from qstore_ray.circuits.observable import Observable, PauliTerm
from qstore_ray.circuits.template import Template
from qstore_ray.simulate.compile.compiler import compile_rotations, compile_state_rotations
from qstore_ray.simulate.compile.frame import PauliFrame
from qstore_ray.simulate.compile.rotations import (
    AngleSum,
    Rotation,
    Term,
    commute,
)
from qstore_ray.simulate.compile.signed_program import SignedProgram, Site

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qstore_ray.types import FloatArray, IntArray


class _Traced(NamedTuple):
    """A circuit in a frame.

    Attributes:
        errors: for each site, how many rotations come before it, and the string of each outcome.
    """

    rotations: list[Rotation]
    terms: list[Term]
    errors: list[tuple[int, list[tuple[int, int]]]]


@lru_cache(maxsize=64)
def compile_signed(
    template: Template,
    observables: tuple[Observable, ...],
    sites: tuple[Site, ...],
    *,
    states: bool = False,
) -> SignedProgram:
    """The program that evaluates `observables` after `template` with errors at `sites`.

    Fixed quarter turns go into the frame where that makes no more layers: a circuit compiled for a
    device is mostly such turns.

    Args:
        sites: in the order of the circuit.
        states: the program is one of `compile_states`, and evaluates nothing. Its final state is
            that of the circuit with errors, but for a Pauli string behind all gates: the one that
            changes the signs of the observables.
    """
    strings, weights = _strings(observables)
    if states:
        return _signed(template, _traced(template, strings, sites, False), weights, states=True)
    plain, framed = (_traced(template, strings, sites, taken) for taken in (False, True))
    found = _signed(template, framed, weights)
    if 2 * len(framed.rotations) <= len(plain.rotations):
        return found
    other = _signed(template, plain, weights)
    return found if len(found.program.layers) <= len(other.program.layers) else other


def _traced(
    template: Template,
    strings: tuple[Observable, ...],
    sites: tuple[Site, ...],
    quarter_turns: bool,
) -> _Traced:
    frame = PauliFrame.at_start(template.n_qubits, quarter_turns)
    rotations: list[Rotation] = []
    errors: list[tuple[int, list[tuple[int, int]]]] = []
    place = 0
    for count in range(len(template.ops) + 1):
        while place < len(sites) and sites[place].after == count:
            errors.append((len(rotations), _outcomes(frame, sites[place].qubits)))
            place += 1
        if count < len(template.ops):
            for op in lower(Template(template.n_qubits, template.ops[count : count + 1],
                                     template.n_rows, template.n_params)).ops:  # fmt: skip
                rotations += frame.through(op, template.n_rows)
    return _Traced(rotations, frame.seen(strings), errors)


def _outcomes(frame: PauliFrame, qubits: tuple[int, ...]) -> list[tuple[int, int]]:
    """The string of each outcome in the frame, without its sign."""
    single = [[frame.string(x << q, z << q)[:2] for z in (0, 1) for x in (0, 1)] for q in qubits]
    found = [(0, 0)]
    for of_qubit in single:
        found = [(x ^ a, z ^ b) for a, b in of_qubit for x, z in found]
    return found


def _strings(observables: tuple[Observable, ...]) -> tuple[tuple[Observable, ...], FloatArray]:
    """The different Pauli strings, and the observables as sums of them (T, O)."""
    places: dict[tuple[int, int], int] = {}
    entries = []
    for index, observable in enumerate(observables):
        for x, z, coefficient in observable.terms:
            entries.append((places.setdefault((x, z), len(places)), index, coefficient))
    weights = np.zeros((len(places), len(observables)))
    for place, index, coefficient in entries:
        weights[place, index] += coefficient
    return tuple(Observable((PauliTerm(x, z),)) for x, z in places), weights


def _flips(traced: _Traced) -> NDArray[np.bool_]:
    """Whether each outcome flips each rotation and each term: (outcomes, rotations + terms)."""
    rotations, terms, errors = traced
    rows = []
    for first, outcomes in errors:
        later = [(r.x, r.z) for r in rotations[first:]] + [(t.x, t.z) for t in terms]
        for x, z in outcomes:
            rows.append([False] * first + [not commute(x, z, *other) for other in later])
    return np.array(rows, bool).reshape(len(rows), len(rotations) + len(terms))


def _signed(
    template: Template, traced: _Traced, weights: FloatArray, *, states: bool = False
) -> SignedProgram:
    rotations, terms, errors = traced
    flips = _flips(traced)
    found = np.flatnonzero(flips[:, : len(rotations)].any(axis=0))
    depends = [any(s >= template.n_rows for s, _ in rotations[g].angle.terms) for g in found]
    order = np.argsort(depends, kind="stable")  # those that depend on a parameter come last
    flipped, n_by_rows = found[order], len(depends) - sum(depends)
    angles = [rotations[g].angle for g in flipped]
    scales = np.zeros((len(angles), template.n_rows + template.n_params))
    for c, angle in enumerate(angles):
        for slot, scale in angle.terms:
            scales[c, slot] += scale
    own = _renamed(rotations, flipped, template)
    slotted = Template(
        template.n_qubits,
        (),
        template.n_rows + n_by_rows,
        len(flipped) - n_by_rows + template.n_params,
        template.initial,
    )
    kept = np.concatenate([flips[:, flipped], flips[:, len(rotations) :]], axis=1)
    if states:
        program = compile_state_rotations(slotted, own, params_per_row=True)
    else:
        program = compile_rotations(slotted, own, terms, len(terms), params_per_row=True)
    return SignedProgram(
        program=program,
        n_by_rows=n_by_rows,
        offsets=np.array([angle.offset for angle in angles], np.float64),
        row_scales=scales[:, : template.n_rows],
        param_scales=scales[:, template.n_rows :],
        outcome_starts=np.cumsum([0, *(len(outcomes) for _, outcomes in errors)])[:-1],
        flips=np.packbits(kept, axis=1),
        weights=weights,
    )


def _renamed(rotations: list[Rotation], flipped: IntArray, template: Template) -> list[Rotation]:
    """The rotations with the program's slots: the flipped ones have one each, behind the rows'."""
    places = {int(g): template.n_rows + c for c, g in enumerate(flipped)}
    found = []
    for g, (x, z, angle) in enumerate(rotations):
        if g in places:
            own = AngleSum(0.0, ((places[g], 1.0),))
        else:
            terms = tuple(
                (s if s < template.n_rows else s + len(flipped), c) for s, c in angle.terms
            )
            own = AngleSum(angle.offset, terms)
        found.append(Rotation(x, z, own))
    return found
