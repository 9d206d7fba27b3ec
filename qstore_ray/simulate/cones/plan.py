"""A circuit as small circuits, one for each group of observables.

    whole circuit, n qubits    →    groups of observables    →    a program of k qubits each

The qubits of a cone are numbered from 0 in their order (Z on a qubit outside, which stays in |0⟩,
is 1), and so are the row angles and parameters
that its rotations contain, in the order of their first use. Parts that are then the same circuit,
as most parts of a regular one are, share one program.

The parts are exact: nothing outside a cone changes the values. Where the whole state fits, both
ways agree to rounding (1e-12), not to the bit, since the sums have other lengths.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Template
from qstore_ray.simulate.compile.compiler import compile_rotations
from qstore_ray.simulate.compile.frame import pauli_rotations
from qstore_ray.simulate.compile.program import Program
from qstore_ray.simulate.compile.rotations import AngleSum, Rotation, Term
from qstore_ray.simulate.cones.cone import light_cones, members_of
from qstore_ray.simulate.cones.groups import Group, grouped

if TYPE_CHECKING:
    from qstore_ray.types import IntArray

_Key = tuple[int, int, int, tuple[Rotation, ...], tuple[Term, ...]]


@dataclass(frozen=True, eq=False)
class ConePart:
    """One group of observables as a circuit of its own.

    Attributes:
        program: of the cone's k qubits; other parts may have the same one.
        observables: (o,) their numbers in the whole circuit.
        qubits: (k,) numbers in the whole circuit of the program's qubits.
        rows, params: (a,) and (p,) numbers there of the program's slots.
        slots: (a + p,) the same, with the parameters after all A rows.
    """

    program: Program
    observables: IntArray
    qubits: tuple[int, ...]
    rows: IntArray
    params: IntArray
    slots: IntArray

    @property
    def width(self) -> int:
        """k."""
        return self.program.n_qubits


@dataclass(frozen=True, eq=False)
class ConePlan:
    """The parts of a circuit, the widest first."""

    n_rows: int
    n_params: int
    n_observables: int
    parts: tuple[ConePart, ...]

    @property
    def width(self) -> int:
        """Qubits of the widest part."""
        return self.parts[0].width

    @property
    def programs(self) -> tuple[Program, ...]:
        """The different programs."""
        return tuple(dict.fromkeys(part.program for part in self.parts))


@lru_cache(maxsize=32)
def plan_cones(
    template: Template, observables: tuple[Observable, ...], params_per_row: bool = False
) -> ConePlan:
    """The parts that evaluate `observables` after `template`, which starts in |0…0⟩.

    Args:
        params_per_row: parameters differ from row to row.

    Examples:
        pairs = (Op("rzz", (q, q + 1), (param(0),)) for q in range(39))
        chain = Template(40, tuple(pairs), n_params=1)
        plan = plan_cones(chain, (Observable.parse("X20"),))
        assert plan.width <= 3
    """
    cut = cut_circuit(template, observables)
    by_observable: list[list[Term]] = [[] for _ in observables]
    for term in cut.terms:
        by_observable[term.observable].append(term)
    programs: dict[_Key, Program] = {}
    parts = [
        _part(template, cut.rotations, by_observable, group, params_per_row, programs)
        for group in cut.groups
    ]
    parts.sort(key=lambda part: (-part.width, part.qubits))
    return ConePlan(
        n_rows=template.n_rows,
        n_params=template.n_params,
        n_observables=len(observables),
        parts=tuple(parts),
    )


@dataclass(frozen=True, eq=False)
class CutCircuit:
    """A circuit in a frame, before its parts are compiled.

    Attributes:
        rotations, terms: the whole circuit. groups: of observables, with their cones.
        widths: (O,) qubits in the cone of each single observable.
    """

    rotations: list[Rotation]
    terms: list[Term]
    groups: list[Group]
    widths: tuple[int, ...]

    @property
    def amplitudes(self) -> int:
        """Of all parts together, for a row."""
        return sum(1 << group.cone.width for group in self.groups)


@lru_cache(maxsize=32)
def cut_circuit(template: Template, observables: tuple[Observable, ...]) -> CutCircuit:
    """The groups of observables, in the frame in which their cones are smaller."""
    plain, framed = (_cut_in_frame(template, observables, turns) for turns in (False, True))
    # With quarter turns in the frame there are fewer rotations, which share fewer layers.
    return framed if framed.amplitudes < plain.amplitudes else plain


def _cut_in_frame(
    template: Template, observables: tuple[Observable, ...], quarter_turns: bool
) -> CutCircuit:
    rotations, terms = pauli_rotations(template, observables, quarter_turns)
    cones = light_cones(rotations, terms, len(observables))
    widths = tuple(cone.width for cone in cones)
    return CutCircuit(rotations, terms, grouped(cones), widths)


def _part(
    template: Template,
    rotations: list[Rotation],
    terms: list[list[Term]],
    group: Group,
    params_per_row: bool,
    programs: dict[_Key, Program],
) -> ConePart:
    qubits = tuple(members_of(group.cone.qubits)) or (0,)
    kept = [rotations[g] for g in members_of(group.cone.rotations)]
    rows, params = _slots_of(kept, template.n_rows)
    places = {slot: place for place, slot in enumerate((*rows, *params))}
    own = tuple(
        Rotation(_squeezed(x, qubits), _squeezed(z, qubits), _renumbered(angle, places))
        for x, z, angle in kept
    )
    measured = tuple(
        Term(_squeezed(term.x, qubits), _squeezed(term.z, qubits), term.power, number,
             term.coefficient)
        for number, observable in enumerate(group.members) for term in terms[observable]
    )  # fmt: skip
    key = (len(qubits), len(rows), len(params), own, measured)
    if key not in programs:
        small = Template(len(qubits), (), len(rows), len(params))
        programs[key] = compile_rotations(
            small, list(own), list(measured), len(group.members), params_per_row
        )
    return ConePart(
        program=programs[key],
        observables=np.array(group.members, np.int64),
        qubits=qubits,
        rows=np.array(rows, np.int64),
        params=np.array(params, np.int64) - template.n_rows,
        slots=np.array((*rows, *params), np.int64),
    )


def _slots_of(rotations: list[Rotation], n_rows: int) -> tuple[list[int], list[int]]:
    """The row slots and the parameter slots in the order of their first use."""
    used = list(dict.fromkeys(slot for rotation in rotations for slot, _ in rotation.angle.terms))
    return [slot for slot in used if slot < n_rows], [slot for slot in used if slot >= n_rows]


def _renumbered(angle: AngleSum, places: dict[int, int]) -> AngleSum:
    return AngleSum(angle.offset, tuple((places[slot], scale) for slot, scale in angle.terms))


def _squeezed(mask: int, qubits: tuple[int, ...]) -> int:
    """The bits of a mask at `qubits`, side by side."""
    return sum((mask >> q & 1) << place for place, q in enumerate(qubits))
