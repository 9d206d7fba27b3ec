"""Rewriting a template in the few gates that the engine and the parameter-shift rule understand.

Every gate of the table is a product of fixed single-qubit gates, CX, CZ, SWAP, and the rotations
RX, RY, RZ, RXX, RYY, RZZ, up to a global phase that no expectation value can see. After lowering

- each gate has at most one angle, and a gate with an angle is exp(−iθP/2) with P a Pauli string:
  so ∂⟨O⟩/∂θ = ½(⟨O⟩(θ + π/2) − ⟨O⟩(θ − π/2)) holds for every angle, also for controlled
  rotations, whose angle then appears in several gates with scale ±½;
- an engine needs to know nothing else.

The identities are the textbook ones (Nielsen & Chuang, chapter 4); for example
CRZ(θ) = RZ_t(θ/2) · RZZ(−θ/2), because |1⟩⟨1| = (I − Z)/2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache

from qstore_ray.circuits.template import Angle, Op, Template

FIXED = frozenset({"h", "x", "y", "z", "s", "sdg", "t", "tdg", "sx", "sxdg"})
"""Single-qubit gates without angles that stay as they are."""
ROTATIONS = frozenset({"rx", "ry", "rz", "rxx", "ryy", "rzz"})
"""Gates with one angle that stay as they are: exp(−iθP/2) with P one of X, Y, Z, XX, YY, ZZ."""
ENTANGLERS = frozenset({"cx", "cz", "swap"})
"""Two-qubit gates without angles that stay as they are."""

_KEPT = FIXED | ROTATIONS | ENTANGLERS


@lru_cache(maxsize=256)
def lower(template: Template) -> Template:
    """The same circuit, up to a global phase, in the gates FIXED, ROTATIONS and ENTANGLERS."""
    return replace(template, ops=tuple(_lowered(template.ops)))


_INVERSES = {"s": "sdg", "sdg": "s", "t": "tdg", "tdg": "t", "sx": "sxdg", "sxdg": "sx"}


def inverse(template: Template) -> Template:
    """The circuit that undoes this one, up to a global phase, in lowered gates; from |0…0⟩ on."""
    ops = tuple(
        Op(
            _INVERSES.get(op.gate, op.gate),
            op.qubits,
            tuple(angle.scaled(-1.0) for angle in op.angles),
        )
        for op in reversed(lower(template).ops)
    )
    return replace(template, ops=ops, initial="zeros")


def _lowered(ops: tuple[Op, ...]) -> Iterator[Op]:
    for op in ops:
        if op.gate in _KEPT:
            yield op
        else:
            yield from _RULES[op.gate](op.qubits, op.angles)


def _gates(names: str, qubit: int) -> list[Op]:
    return [Op(name, (qubit,)) for name in names.split()]


def _controlled_z_rotation(control: int, target: int, angle: Angle) -> list[Op]:
    return [
        Op("rz", (target,), (angle.scaled(0.5),)),
        Op("rzz", (control, target), (angle.scaled(-0.5),)),
    ]


def _u(q: tuple[int, ...], a: tuple[Angle, ...]) -> list[Op]:
    theta, phi, lam = a
    return [Op("rz", q, (lam,)), Op("ry", q, (theta,)), Op("rz", q, (phi,))]


def _conjugated(
    before: str, core: Callable[[tuple[int, ...], tuple[Angle, ...]], list[Op]], after: str
) -> Callable[[tuple[int, ...], tuple[Angle, ...]], list[Op]]:
    """`before` and `after` are gates on the last qubit around `core`."""

    def rule(q: tuple[int, ...], a: tuple[Angle, ...]) -> list[Op]:
        return [*_gates(before, q[-1]), *core(q, a), *_gates(after, q[-1])]

    return rule


def _cx(q: tuple[int, ...], _: tuple[Angle, ...]) -> list[Op]:
    return [Op("cx", q)]


def _crz(q: tuple[int, ...], a: tuple[Angle, ...]) -> list[Op]:
    return _controlled_z_rotation(q[0], q[1], a[0])


def _cp(q: tuple[int, ...], a: tuple[Angle, ...]) -> list[Op]:
    return [Op("rz", q[:1], (a[0].scaled(0.5),)), *_controlled_z_rotation(q[0], q[1], a[0])]


def _iswap(q: tuple[int, ...], _: tuple[Angle, ...]) -> list[Op]:
    return [*_gates("s", q[0]), *_gates("s", q[1]), Op("cz", q), Op("swap", q)]


def _ccx(q: tuple[int, ...], _: tuple[Angle, ...]) -> list[Op]:
    a, b, t = q
    return [
        *_gates("h", t), Op("cx", (b, t)), *_gates("tdg", t), Op("cx", (a, t)), *_gates("t", t),
        Op("cx", (b, t)), *_gates("tdg", t), Op("cx", (a, t)), *_gates("t", b), *_gates("t h", t),
        Op("cx", (a, b)), *_gates("t", a), *_gates("tdg", b), Op("cx", (a, b)),
    ]  # fmt: skip


_RULES: dict[str, Callable[[tuple[int, ...], tuple[Angle, ...]], list[Op]]] = {
    "p": lambda q, a: [Op("rz", q, a)],
    "u": _u,
    "cy": _conjugated("sdg", _cx, "s"),
    "ch": _conjugated("s h t", _cx, "tdg h sdg"),
    "iswap": _iswap,
    "cp": _cp,
    "crx": _conjugated("h", _crz, "h"),
    "cry": _conjugated("sdg h", _crz, "h s"),
    "crz": _crz,
    "ccx": _ccx,
}
