"""Which slots of a circuit change nothing that is measured, at any value.

A rotation changes an observable only if it lies in its light cone (`cone.py`). And a rotation by a
string of Z that commutes with every rotation before it acts on |0…0⟩, where it is a global phase.
A slot of which no rotation passes both tests has the derivative zero everywhere: training cannot
move it, and an angle of the data there is never seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Template
from qstore_ray.simulate.compile.frame import pauli_rotations
from qstore_ray.simulate.compile.rotations import Rotation, commute
from qstore_ray.simulate.cones.cone import light_cones


class UnreachedSlots(NamedTuple):
    """Numbers of row slots (of A) and of parameters (of P) that reach no observable."""

    rows: tuple[int, ...]
    params: tuple[int, ...]


def unreached_slots(template: Template, observables: Sequence[Observable]) -> UnreachedSlots:
    """The slots of `template` on which none of the `observables` depends.

    Each slot that is named has no effect. A slot that is not named usually has one, but rotations
    whose effects cancel are not looked for.

    Raises:
        CircuitError: an observable on a qubit that the template does not have.

    Examples:
        from qstore_ray.circuits.observable import Observable
        from qstore_ray.circuits.template import Op, param
        last = Template(1, (Op("ry", (0,), (param(0),)), Op("rz", (0,), (param(1),))), n_params=2)
        assert unreached_slots(last, [Observable.parse("Z0")]).params == (1,)
    """
    rotations, terms = pauli_rotations(template, tuple(observables), quarter_turns=False)
    # The cone of a sum of all observables is the union of their cones.
    (together,) = light_cones(rotations, [term._replace(observable=0) for term in terms], 1)
    reached: set[int] = set()
    acting: list[Rotation] = []
    for position, rotation in enumerate(rotations):
        if template.initial == "zeros" and _is_phase(rotation, acting):
            continue
        acting.append(rotation)
        if together.rotations >> position & 1:
            reached.update(slot for slot, _ in rotation.angle.terms)
    n_rows = template.n_rows
    return UnreachedSlots(
        rows=tuple(slot for slot in range(n_rows) if slot not in reached),
        params=tuple(p for p in range(template.n_params) if n_rows + p not in reached),
    )


def _is_phase(rotation: Rotation, before: Sequence[Rotation]) -> bool:
    """Whether a rotation can be moved to the start, and only turns the phase of |0…0⟩ there."""
    x, z, _ = rotation
    return not x and all(commute(x, z, other.x, other.z) for other in before)
