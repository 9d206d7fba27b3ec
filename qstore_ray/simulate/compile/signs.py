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

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.circuits.lower import lower
from qstore_ray.circuits.observable import Observable, PauliTerm
from qstore_ray.circuits.template import Template
from qstore_ray.simulate.compile.compiler import compile_rotations, compile_state_rotations
from qstore_ray.simulate.compile.program import Program
from qstore_ray.simulate.compile.rotations import (
    AngleSum,
    PauliFrame,
    Rotation,
    Term,
    commute,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qstore_ray.types import AnyArray, FloatArray, IntArray


class Site(NamedTuple):
    """Where errors may happen: on `qubits` (at most two), after the first `after` gates."""

    after: int
    qubits: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class SignedProgram:
    """A compiled circuit whose angles and strings have a sign for each row.

    C rotations can be flipped; T different Pauli strings are measured. A site of k qubits has 4^k
    outcomes: Σ_q 4^q · (0 for I, 1 for X, 2 for Z, 3 for Y on its qubit q).

    Attributes:
        program: its row slots are the A angles of the rows and the signed angles that depend on no
            parameter; its parameter slots, bound for each row, are the signed angles that do, and
            the P parameters. Its observables are the strings.
        by_rows, by_params: which of the C rotations have their slot among those.
        offsets: (C,) constant part of each angle. row_scales (C, A) and param_scales (C, P) are
            what it adds of the slots.
        outcome_starts: (sites,) place of each site's outcomes in `flips`.
        flips: (outcomes, ⌈(C + T)/8⌉) which signs an outcome changes, as packed bits.
        weights: (T, O) the observables as sums of the strings.
    """

    program: Program
    by_rows: IntArray
    by_params: IntArray
    offsets: FloatArray
    row_scales: FloatArray
    param_scales: FloatArray
    outcome_starts: IntArray
    flips: NDArray[np.uint8]
    weights: FloatArray

    @property
    def n_signs(self) -> int:
        """C + T."""
        return len(self.offsets) + len(self.weights)

    def signs(
        self, rows: IntArray, outcomes: IntArray, n_rows: int
    ) -> tuple[FloatArray, FloatArray]:
        """Signs of the angles (N, C) and of the strings (N, T) for errors that happened.

        Args:
            rows: (E,) the row of each error.
            outcomes: (E,) the place of each error in `flips`.
            n_rows: N.
        """
        packed = np.zeros((n_rows, self.flips.shape[1]), np.uint8)
        np.bitwise_xor.at(packed, rows, self.flips[outcomes])
        bits = np.unpackbits(packed, axis=1, count=self.n_signs)
        signs: FloatArray = 1.0 - 2.0 * bits.astype(np.float64)
        return signs[:, : len(self.offsets)], signs[:, len(self.offsets) :]

    def bind(
        self, signs: FloatArray, rows: AnyArray, params: AnyArray
    ) -> tuple[AnyArray, AnyArray]:
        """The program's row slots (N, A + …) and parameters (N, … + P) for signed angles."""
        angles = self.offsets + rows @ self.row_scales.T
        angles = signs * (angles + params @ self.param_scales.T)
        params = np.broadcast_to(params, (len(rows), params.shape[-1]))
        return (
            np.concatenate([rows, angles[:, self.by_rows]], axis=1),
            np.concatenate([angles[:, self.by_params], params], axis=1),
        )

    def unbind(self, signs: FloatArray, slots: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Gradients of the rows (N, A) and parameters (N, P) from those of the program's slots."""
        n_rows, n_params = self.row_scales.shape[1], self.param_scales.shape[1]
        first = n_rows + len(self.by_rows)
        last = first + len(self.by_params)
        angles = np.zeros_like(signs)
        angles[:, self.by_rows] = slots[:, n_rows:first]
        angles[:, self.by_params] = slots[:, first:last]
        angles *= signs
        by_rows: FloatArray = slots[:, :n_rows] + angles @ self.row_scales
        by_params: FloatArray = slots[:, slots.shape[1] - n_params :] + angles @ self.param_scales
        return by_rows, by_params


@lru_cache(maxsize=64)
def compile_signed(
    template: Template,
    observables: tuple[Observable, ...],
    sites: tuple[Site, ...],
    *,
    states: bool = False,
) -> SignedProgram:
    """The program that evaluates `observables` after `template` with errors at `sites`.

    Args:
        sites: in the order of the circuit.
        states: the program is one of `compile_states`, and evaluates nothing. Its final state is
            that of the circuit with errors, but for a Pauli string behind all gates: the one that
            changes the signs of the observables.
    """
    frame = PauliFrame.at_start(template.n_qubits)
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
    strings, weights = _strings(observables)
    terms = frame.seen(strings)
    flips = _flips(errors, rotations, terms)
    return _signed(template, rotations, terms, weights, errors, flips, states)


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


def _flips(
    errors: list[tuple[int, list[tuple[int, int]]]], rotations: list[Rotation], terms: list[Term]
) -> NDArray[np.bool_]:
    """Whether each outcome flips each rotation and each term: (outcomes, rotations + terms)."""
    rows = []
    for first, outcomes in errors:
        later = [(r.x, r.z) for r in rotations[first:]] + [(t.x, t.z) for t in terms]
        for x, z in outcomes:
            rows.append([False] * first + [not commute(x, z, *other) for other in later])
    return np.array(rows, bool).reshape(-1, len(rotations) + len(terms))


def _signed(
    template: Template,
    rotations: list[Rotation],
    terms: list[Term],
    weights: FloatArray,
    errors: list[tuple[int, list[tuple[int, int]]]],
    flips: NDArray[np.bool_],
    states: bool,
) -> SignedProgram:
    flipped = np.flatnonzero(flips[:, : len(rotations)].any(axis=0))
    angles = [rotations[g].angle for g in flipped]
    depends = np.array([any(s >= template.n_rows for s, _ in a.terms) for a in angles], bool)
    by_rows, by_params = np.flatnonzero(~depends), np.flatnonzero(depends)
    scales = np.zeros((len(angles), template.n_rows + template.n_params))
    for c, angle in enumerate(angles):
        for slot, scale in angle.terms:
            scales[c, slot] += scale
    own = _renamed(rotations, flipped, by_rows, by_params, template)
    slotted = Template(
        template.n_qubits,
        (),
        template.n_rows + len(by_rows),
        len(by_params) + template.n_params,
        template.initial,
    )
    kept = np.concatenate([flips[:, flipped], flips[:, len(rotations) :]], axis=1)
    if states:
        program = compile_state_rotations(slotted, own, params_per_row=True)
    else:
        program = compile_rotations(slotted, own, terms, len(terms), params_per_row=True)
    return SignedProgram(
        program=program,
        by_rows=by_rows,
        by_params=by_params,
        offsets=np.array([angle.offset for angle in angles], np.float64),
        row_scales=scales[:, : template.n_rows],
        param_scales=scales[:, template.n_rows :],
        outcome_starts=np.cumsum([0, *(len(outcomes) for _, outcomes in errors)])[:-1],
        flips=np.packbits(kept, axis=1),
        weights=weights,
    )


def _renamed(
    rotations: list[Rotation],
    flipped: IntArray,
    by_rows: IntArray,
    by_params: IntArray,
    template: Template,
) -> list[Rotation]:
    """The rotations with the program's slots: the flipped ones have one each."""
    first = template.n_rows + len(by_rows)
    places = {int(flipped[c]): template.n_rows + k for k, c in enumerate(by_rows)}
    places |= {int(flipped[c]): first + k for k, c in enumerate(by_params)}
    moved = len(by_rows) + len(by_params)
    found = []
    for g, (x, z, angle) in enumerate(rotations):
        if g in places:
            own = AngleSum(0.0, ((places[g], 1.0),))
        else:
            terms = tuple((s if s < template.n_rows else s + moved, c) for s, c in angle.terms)
            own = AngleSum(angle.offset, terms)
        found.append(Rotation(x, z, own))
    return found
