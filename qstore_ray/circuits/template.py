"""A circuit as data: gates on qubits whose angles are constants, row angles or parameters.

A model evaluates one circuit for many rows and, during training, for many parameter values. The
circuit is stored once as a `Template`, and values are bound to its slots: an angle is
`offset + Σ scale · slot`; a slot is one of the row's A encoded angles or one of the P shared
parameters. A template is a value: immutable, hashable, picklable, without Qiskit inside.

    two = Template(
        n_qubits=2,
        ops=(
            Op("ry", (0,), (row(0),)),
            Op("cx", (0, 1)),
            Op("rz", (1,), (param(0, scale=2.0).plus(row(0)),)),
        ),
        n_rows=1,
        n_params=1,
    )

Qubit 0 is the least significant bit of a state's index, as in Qiskit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from qstore_ray.circuits.gates import GATES
from qstore_ray.errors import CircuitError, unknown_name_error

Kind = Literal["row", "param"]
Initial = Literal["zeros", "amplitudes"]


class ScaledSlot(NamedTuple):
    """`scale · slot`, a summand of an angle."""

    kind: Kind
    slot: int
    scale: float


class Angle(NamedTuple):
    """The angle `offset + Σ scale · slot` in radians; a constant has no terms.

    A slot is in it once, row slots come first and each kind is in the order of its numbers: equal
    sums are equal angles, however they were added up.
    """

    offset: float
    terms: tuple[ScaledSlot, ...] = ()

    def plus(self, other: Angle) -> Angle:
        """The sum of two angles; slots that cancel are left out."""
        scales: dict[tuple[Kind, int], float] = {}
        for kind, slot, scale in (*self.terms, *other.terms):
            scales[kind, slot] = scales.get((kind, slot), 0.0) + scale
        terms = (ScaledSlot(kind, slot, scale) for (kind, slot), scale in scales.items() if scale)
        return Angle(self.offset + other.offset, tuple(sorted(terms, key=_row_slots_first)))

    def scaled(self, factor: float) -> Angle:
        """`factor` times this angle."""
        terms = tuple(term._replace(scale=term.scale * factor) for term in self.terms)
        return Angle(self.offset * factor, terms)

    def depends_on(self, kind: Kind) -> bool:
        """Whether a slot of this kind is in it."""
        return any(term.kind == kind for term in self.terms)


def _row_slots_first(term: ScaledSlot) -> tuple[bool, int]:
    return term.kind == "param", term.slot


def const(value: float) -> Angle:
    """An angle that never changes, in radians."""
    return Angle(float(value))


def row(index: int, scale: float = 1.0, offset: float = 0.0) -> Angle:
    """`scale · a + offset` with a = encoded angle number `index` (of A) of the row.

    Examples:
        twice = Op("ry", (0,), (row(0, scale=2.0),))
        print(Template(1, (twice,), n_rows=1, n_params=0))
    """
    return Angle(float(offset), (ScaledSlot("row", index, float(scale)),))


def param(index: int, scale: float = 1.0, offset: float = 0.0) -> Angle:
    """`scale · p + offset` with p = parameter number `index` (of P).

    Examples:
        turned = Op("rz", (0,), (param(0, offset=0.5),))
        print(Template(1, (turned,), n_rows=0, n_params=1))
    """
    return Angle(float(offset), (ScaledSlot("param", index, float(scale)),))


class Op(NamedTuple):
    """One gate of the table in `gates.py` on distinct qubits, with its angles in order.

    Examples:
        from qstore_ray.circuits.template import param
        gate = Op("ry", (0,), (param(0),))
        assert gate.qubits == (0,)
    """

    gate: str
    qubits: tuple[int, ...]
    angles: tuple[Angle, ...] = ()


@dataclass(frozen=True, slots=True)
class Template:
    """Gates in order on `n_qubits`, with A = `n_rows` row slots and P = `n_params` parameter slots.

    Args:
        n_qubits: number of qubits n ≥ 1.
        ops: gates in the order in which they act.
        n_rows: A, how many encoded angles a row brings.
        n_params: P, how many shared parameters there are.
        initial: `zeros` starts in |0…0⟩; `amplitudes` starts in the row's own 2^n amplitudes.

    Raises:
        CircuitError: an unknown gate, a wrong number of qubits or angles, an index out of range.

    Examples:
        from qstore_ray.circuits.template import row
        template = Template(n_qubits=2, ops=(Op("ry", (0,), (row(0),)), Op("cx", (0, 1))), n_rows=1)
        assert template.n_rows == 1 and template.n_params == 0
    """

    n_qubits: int
    ops: tuple[Op, ...]
    n_rows: int = 0
    n_params: int = 0
    initial: Initial = "zeros"
    _hash: int = field(init=False, repr=False, compare=False, default=0)

    def __post_init__(self) -> None:
        if self.n_qubits < 1:
            raise CircuitError(
                "a circuit needs at least one qubit", field="n_qubits", value=self.n_qubits
            )
        for position, op in enumerate(self.ops):
            _check(op, position, self)
        # A template is a dictionary key on every step of training: hash its gates once.
        key = (self.n_qubits, self.ops, self.n_rows, self.n_params, self.initial)
        object.__setattr__(self, "_hash", hash(key))

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        # Strings hash differently in every process: the hash must be taken again on arrival.
        return Template, (self.n_qubits, self.ops, self.n_rows, self.n_params, self.initial)

    def then(self, later: Template) -> Template:
        """This circuit followed by `later` on the same qubits; `later`'s slots come after ours.

        Raises:
            CircuitError: another number of qubits, or `later` loads amplitudes.
        """
        if later.n_qubits != self.n_qubits:
            raise CircuitError(
                f"cannot join circuits on {self.n_qubits} and {later.n_qubits} qubits"
            )
        if later.initial != "zeros":
            raise CircuitError("only the first of two joined circuits may load amplitudes")
        moved = tuple(
            op._replace(
                angles=tuple(_moved(angle, self.n_rows, self.n_params) for angle in op.angles)
            )
            for op in later.ops
        )
        return replace(
            self,
            ops=self.ops + moved,
            n_rows=self.n_rows + later.n_rows,
            n_params=self.n_params + later.n_params,
        )


def _moved(angle: Angle, rows: int, params: int) -> Angle:
    shift = {"row": rows, "param": params}
    terms = (term._replace(slot=term.slot + shift[term.kind]) for term in angle.terms)
    return angle._replace(terms=tuple(terms))


def _check(op: Op, position: int, template: Template) -> None:
    where = f"gate {position} ({op.gate})"
    spec = GATES.get(op.gate)
    if spec is None:
        raise unknown_name_error("gate", op.gate, GATES, field=f"gate {position}")
    if len(op.qubits) != spec.n_qubits or len(op.angles) != spec.n_angles:
        raise CircuitError(
            f"takes {spec.n_qubits} qubits and {spec.n_angles} angles", field=where, value=op
        )
    if len(set(op.qubits)) != len(op.qubits) or not all(
        0 <= qubit < template.n_qubits for qubit in op.qubits
    ):
        raise CircuitError(
            f"needs distinct qubits from 0 to {template.n_qubits - 1}", field=where, value=op.qubits
        )
    for angle in op.angles:
        _check_angle(angle, where, template)


def _check_angle(angle: Angle, where: str, template: Template) -> None:
    for kind, slot, _ in angle.terms:
        limit = template.n_rows if kind == "row" else template.n_params
        if not 0 <= slot < limit:
            raise CircuitError(f"there are only {limit} {kind} slots", field=where, value=slot)
    if not all(map(math.isfinite, (angle.offset, *(term.scale for term in angle.terms)))):
        raise CircuitError("an angle must be finite", field=where, value=angle)
    if len({term[:2] for term in angle.terms}) < len(angle.terms):
        raise CircuitError(
            "a slot is in an angle twice",
            field=where,
            value=angle,
            fix="Add angles up with `plus`, for example param(0).plus(param(1)).",
        )
