"""How classical features enter a circuit.

    angle         RY(x_i) on qubit i                                            F ≤ n
    dense_angle   RY(x_i) on qubit i, then RZ(x_{n+i})                          F ≤ 2n
    amplitude     the normalised, zero-padded row is the initial state          F ≤ 2^n
    basis         X on qubit i where the feature is 1, for features of 0 and 1  F ≤ n
    zz            the ZZ feature map of Havlíček et al. 2019                    F = n
    iqp           H, then diagonal gates of x_i and x_i·x_j                     F ≤ n
    hamiltonian   a Heisenberg chain with couplings x_i evolves for a while     F ≤ n − 1

Each builder returns an `Encoded`: the gates with their row slots, and the function that fills the
slots. Angles enter as they are, in radians: scaling features into a sensible range is the work of
the preprocessing, fitted on the training rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import NamedTuple

from qstore_ray.circuits.circuit import AmplitudeLoading, Encoding
from qstore_ray.circuits.library.row_angles import (
    Bits,
    Features,
    NoAngles,
    PairProducts,
    RowAmplitudes,
)
from qstore_ray.circuits.template import Op, Template, const, row
from qstore_ray.errors import CircuitError
from qstore_ray.registry import Registry

_MOST_LOADED = 30
"""Qubits whose amplitudes can be loaded."""


class Encoded(NamedTuple):
    """Gates that take in one row, and the function(s) that fill their slots."""

    template: Template
    encode: Encoding
    load: AmplitudeLoading | None = None


def angle(n_qubits: int, n_features: int) -> Encoded:
    """RY(x_i) on qubit i."""
    _at_most(n_features, n_qubits, "angle", n_qubits)
    ops = tuple(Op("ry", (i,), (row(i),)) for i in range(n_features))
    return Encoded(Template(n_qubits, ops, n_rows=n_features), Features())


def dense_angle(n_qubits: int, n_features: int) -> Encoded:
    """RY(x_i) on qubit i, then RZ(x_{n+i}): two features a qubit (LaRose & Coyle 2020)."""
    _at_most(n_features, 2 * n_qubits, "dense_angle", n_qubits)
    ops = tuple(
        Op("ry" if i < n_qubits else "rz", (i % n_qubits,), (row(i),)) for i in range(n_features)
    )
    return Encoded(Template(n_qubits, ops, n_rows=n_features), Features())


def amplitude(n_qubits: int, n_features: int) -> Encoded:
    """The initial state Σ_j x_j |j⟩ / ‖x‖, padded with zeros to 2^n.

    Raises:
        CircuitError: a row of 2^n amplitudes fits no machine.
    """
    if n_qubits > _MOST_LOADED:
        raise CircuitError(
            f"a row of 2^{n_qubits} amplitudes fits no machine",
            field="n_qubits",
            value=n_qubits,
            fix=f"Take at most {_MOST_LOADED} qubits, or the encoding angle.",
        )
    _at_most(n_features, 2**n_qubits, "amplitude", n_qubits)
    template = Template(n_qubits, (), initial="amplitudes")
    return Encoded(template, NoAngles(), RowAmplitudes(n_qubits))


def basis(n_qubits: int, n_features: int) -> Encoded:
    """RX(π·x_i) on qubit i, which is X (up to a phase) for 1 and nothing for 0."""
    _at_most(n_features, n_qubits, "basis", n_qubits)
    ops = tuple(Op("rx", (i,), (row(i, scale=math.pi),)) for i in range(n_features))
    return Encoded(Template(n_qubits, ops, n_rows=n_features), Bits())


def zz(n_qubits: int, n_features: int, reps: int = 2) -> Encoded:
    """ZZ feature map: `reps` times H, P(2x_i), and P(2(π−x_i)(π−x_j)) between CX for all i < j.

    Havlíček et al., Nature 567, 209 (2019), arXiv:1804.11326; the same circuit as Qiskit's.

    Raises:
        CircuitError: another number of features than qubits.
    """
    if n_features != n_qubits:
        raise CircuitError(
            f"the encoding zz takes as many features as qubits, {n_qubits}",
            field="n_features",
            value=n_features,
            fix=f"Set n_qubits to {n_features}, or reduce the data to {n_qubits} components (PCA).",
        )
    once: list[Op] = [Op("h", (i,)) for i in range(n_qubits)]
    once += [Op("p", (i,), (row(i, scale=2.0),)) for i in range(n_qubits)]
    for slot, (i, j) in _pair_slots(n_features):
        once += [Op("cx", (i, j)), Op("p", (j,), (row(slot, scale=2.0),)), Op("cx", (i, j))]
    return _diagonal(n_qubits, n_features, once, reps, math.pi)


def iqp(n_qubits: int, n_features: int, reps: int = 1) -> Encoded:
    """`reps` times H, RZ(x_i) and RZZ(x_i·x_j) for all i < j, on the first F qubits.

    The instantaneous quantum polynomial form of Havlíček et al. 2019, arXiv:1804.11326.
    """
    _at_most(n_features, n_qubits, "iqp", n_qubits)
    once: list[Op] = [Op("h", (i,)) for i in range(n_features)]
    once += [Op("rz", (i,), (row(i),)) for i in range(n_features)]
    once += [Op("rzz", pair, (row(slot),)) for slot, pair in _pair_slots(n_features)]
    return _diagonal(n_qubits, n_features, once, reps, 0.0)


def hamiltonian(n_qubits: int, n_features: int, steps: int = 4, time: float = 1.0) -> Encoded:
    """exp(−itH(x)) in T first-order Trotter steps, H(x) = Σ_i x_i (XX + YY + ZZ)_{i,i+1}.

    The Hamiltonian evolution of Huang et al., Nat. Commun. 12, 2631 (2021), arXiv:2011.01938, on
    an open chain of the first F + 1 qubits. A step applies exp(−i(t/T)x_i (XX + YY + ZZ)) to one
    pair after the other: as its three terms commute, RXX, RYY and RZZ of angle 2x_i·t/T.

    Where the paper draws the product state at the start at random (Haar), here it is always
    `spread_over_sphere`: couplings do not change a state in which neighbours are equal, and in
    that one all neighbours differ.

    Args:
        n_qubits: n.
        n_features: F.
        steps: T, at least 1; the error of the evolution, not of the encoding, falls as 1/T.
        time: t.
    """
    _at_most(n_features, n_qubits - 1, "hamiltonian", n_qubits)
    start = [
        Op(gate, (i,), (const(angle),))
        for i, angles in enumerate(spread_over_sphere(n_features + 1))
        for gate, angle in zip(("ry", "rz"), angles, strict=True)
    ]
    once = [
        Op(gate, (i, i + 1), (row(i, scale=2.0 * time / steps),))
        for i in range(n_features)
        for gate in ("rxx", "ryy", "rzz")
    ]
    template = Template(n_qubits, (*start, *once * steps), n_rows=n_features)
    return Encoded(template, Features())


def spread_over_sphere(count: int) -> list[tuple[float, float]]:
    """Polar and azimuthal angles (θ, φ) of `count` points that cover the Bloch sphere evenly.

    Like random points, but never close together in succession: the fractional parts u, v of
    ½ + j/ρ and ½ + j/ρ² (ρ the real root of ρ³ = ρ + 1; Roberts 2018, "The unreasonable
    effectiveness of quasirandom sequences") fill the unit square, and cos θ = 1 − 2u, φ = 2πv map
    it to the sphere with areas kept. RY(θ), then RZ(φ) prepares a point from |0⟩.
    """
    rho = 1.324717957244746
    points = (((0.5 + j / rho) % 1.0, (0.5 + j / rho**2) % 1.0) for j in range(count))
    return [(math.acos(1.0 - 2.0 * u), 2.0 * math.pi * v) for u, v in points]


_HERE = "qstore_ray.circuits.library.encodings"
ENCODINGS: Registry[Callable[[int, int], Encoded]] = Registry(
    "encoding",
    {
        "amplitude": f"{_HERE}:amplitude",
        "angle": f"{_HERE}:angle",
        "basis": f"{_HERE}:basis",
        "dense_angle": f"{_HERE}:dense_angle",
        "hamiltonian": f"{_HERE}:hamiltonian",
        "iqp": f"{_HERE}:iqp",
        "zz": f"{_HERE}:zz",
    },
    entry_points="qstore_ray.encodings",
    field="encoding",
)
"""Encodings by name: each takes n_qubits and n_features."""


def _diagonal(n_qubits: int, n_features: int, once: list[Op], reps: int, center: float) -> Encoded:
    n_rows = n_features + n_features * (n_features - 1) // 2
    template = Template(n_qubits, tuple(once) * reps, n_rows=n_rows)
    return Encoded(template, PairProducts(n_features, center))


def _pair_slots(n_features: int) -> Iterator[tuple[int, tuple[int, int]]]:
    return enumerate(combinations(range(n_features), 2), start=n_features)


def _at_most(n_features: int, limit: int, encoding: str, n_qubits: int) -> None:
    if n_features > limit:
        raise CircuitError(
            f"the encoding {encoding} takes at most {limit} features on {n_qubits} qubits",
            field="n_features",
            value=n_features,
            fix=_room_for(n_features, limit, encoding, n_qubits),
        )


def _room_for(n_features: int, limit: int, encoding: str, n_qubits: int) -> str:
    ways = [f"reduce the data to {limit} components (PCA)"] if limit else []
    if encoding != "dense_angle" and n_features <= 2 * n_qubits:
        ways.append("use the encoding dense_angle (two features a qubit)")
    if encoding != "amplitude" and n_features <= 2**n_qubits:
        ways.append("use the encoding amplitude")
    needed = {
        "dense_angle": -(-n_features // 2),
        "amplitude": (n_features - 1).bit_length(),
        "hamiltonian": n_features + 1,
    }
    ways.append(f"set n_qubits to {needed.get(encoding, n_features)}")
    text = ", or ".join(ways)
    return f"{text[0].upper()}{text[1:]}."
