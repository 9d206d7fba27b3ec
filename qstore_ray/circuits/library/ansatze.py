"""The trainable part of a circuit: layers of rotations and entangling gates.

    hardware_efficient    RY RZ on each qubit, CZ on the pairs; RY at the end     n(2L + 1)
    real_amplitudes       RY on each qubit, CX on the pairs; RY at the end        n(L + 1)
    efficient_su2         RY RZ on each qubit, CX on the pairs; RY RZ at the end  2n(L + 1)
    strongly_entangling   U on each qubit, CX to the qubit r further on           3nL
    basic                 RX on each qubit, CX on the pairs                       nL
    qcnn                  convolutions and pooling, half of the qubits a layer    17 a layer

with the number of parameters for n qubits and L layers. A builder returns one template a layer (the
closing rotations belong to the last), so that an encoding can be put before each of them. All but
qcnn, which is described at its function, leave every qubit to be measured.

A trap: an RZ right before a measurement of Z changes nothing. efficient_su2 ends so (as in Qiskit),
and strongly_entangling too; with Z observables those angles have gradient zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

from qstore_ray.circuits.library.coupling import (
    Entanglement,
    Pairs,
    checked_pairs,
    heavy_hex,
)
from qstore_ray.circuits.template import Op, Template, param
from qstore_ray.errors import CircuitError, unknown_name_error
from qstore_ray.registry import Registry

AnsatzBuilder = Callable[[int, int, Entanglement], tuple[Template, ...]]

ENTANGLEMENTS = ("linear", "ring", "full", "pairwise", "heavy_hex")


def pairs(n_qubits: int, kind: Entanglement) -> Pairs:
    """Which qubits are joined, in order.

    linear: (i, i+1). ring: the same and (n−1, 0) where n > 2. full: every i < j. pairwise: the
    even (0, 1), (2, 3), … then the odd (1, 2), (3, 4), … heavy_hex: the neighbours on the map of
    IBM's 127-qubit devices, of which the first n qubits are taken, in rounds of disjoint pairs. Or
    the pairs themselves, as they are.

    Raises:
        UnknownNameError: another kind.
        CircuitError: pairs that the n qubits do not have.
    """
    if not isinstance(kind, str):
        return checked_pairs(n_qubits, kind)
    chain = tuple((i, i + 1) for i in range(n_qubits - 1))
    match kind:
        case "linear":
            return chain
        case "ring":
            return (*chain, (n_qubits - 1, 0)) if n_qubits > 2 else chain
        case "full":
            return tuple(combinations(range(n_qubits), 2))
        case "pairwise":
            return chain[::2] + chain[1::2]
        case "heavy_hex":
            return heavy_hex(n_qubits)
    raise unknown_name_error("entanglement", kind, ENTANGLEMENTS, field="entanglement")


def hardware_efficient(
    n_qubits: int, layers: int, entanglement: Entanglement
) -> tuple[Template, ...]:
    """RY RZ and CZ, L times, then RY: Kandala et al., Nature 549, 242 (2017), arXiv:1704.05018."""
    return _layered(n_qubits, layers, entanglement, ("ry", "rz"), "cz", closing=("ry",))


def real_amplitudes(n_qubits: int, layers: int, entanglement: Entanglement) -> tuple[Template, ...]:
    """RY and CX, L times, then RY: real amplitudes only; as Qiskit's `real_amplitudes`."""
    return _layered(n_qubits, layers, entanglement, ("ry",), "cx", closing=("ry",))


def efficient_su2(n_qubits: int, layers: int, entanglement: Entanglement) -> tuple[Template, ...]:
    """RY RZ and CX, L times, then RY RZ: as Qiskit's `efficient_su2`."""
    return _layered(n_qubits, layers, entanglement, ("ry", "rz"), "cx", closing=("ry", "rz"))


def basic(n_qubits: int, layers: int, entanglement: Entanglement) -> tuple[Template, ...]:
    """RX and CX, L times."""
    return _layered(n_qubits, layers, entanglement, ("rx",), "cx", closing=())


def strongly_entangling(
    n_qubits: int, layers: int, entanglement: Entanglement
) -> tuple[Template, ...]:
    """U on each qubit, then CX from i to i + r modulo n, with r = ℓ mod (n−1) + 1 in layer ℓ.

    Schuld et al., Phys. Rev. A 101, 032308 (2020), arXiv:1804.00633. The growing ring is what
    defines it, so no other entanglement can be chosen.

    Raises:
        CircuitError: another entanglement than "ring" is asked for.
    """
    if entanglement != "ring":
        raise CircuitError(
            "strongly_entangling has its own ring of growing range",
            field="entanglement",
            value=entanglement,
            fix='Leave entanglement at "ring", or choose efficient_su2.',
        )
    rotations = tuple(
        Op("u", (q,), (param(3 * q), param(3 * q + 1), param(3 * q + 2))) for q in range(n_qubits)
    )
    return tuple(
        Template(n_qubits, rotations + _ranged_ring(n_qubits, layer), n_params=3 * n_qubits)
        for layer in range(layers)
    )


# gate: QS106 because a qubit that becomes a control right after its RZ does not show it
def qcnn(n_qubits: int, layers: int, entanglement: Entanglement) -> tuple[Template, ...]:
    """L times a convolution and a pooling: Cong, Choi & Lukin, Nat. Phys. 15, 1273 (2019).

    A convolution is one two-qubit unitary with 15 parameters, U⊗U · exp(−i(αXX + βYY + γZZ)/2) ·
    U⊗U (any of SU(4)), put on each pair of neighbours that `entanglement` names, always with the
    same parameters. Pooling (2 parameters, shared too) keeps every other qubit: its neighbour q
    turns it by CRZ if q is 1 and by RX if q is 0, and is not used again, which has the effect of
    measuring it. After L layers the qubits 0, 2^L, 2·2^L, … are left (`kept_qubits`). Once one is
    left, a layer is a rotation U of it, 3 parameters.
    """
    return tuple(
        _convolution_and_pooling(n_qubits, _kept_by_qcnn(n_qubits, layer), entanglement)
        for layer in range(layers)
    )


def _kept_by_qcnn(n_qubits: int, layers: int) -> tuple[int, ...]:
    # Beyond n, a higher power of two leaves qubit 0 alone as well.
    return tuple(range(0, n_qubits, 2 ** min(layers, n_qubits)))


@dataclass(frozen=True)
class PoolingAnsatz:
    """An ansatz that does not keep all qubits: `kept(n_qubits, layers)` are left to be measured."""

    build: AnsatzBuilder
    kept: Callable[[int, int], tuple[int, ...]]

    def __call__(
        self, n_qubits: int, layers: int, entanglement: Entanglement
    ) -> tuple[Template, ...]:
        """The layers, in their order."""
        return self.build(n_qubits, layers, entanglement)


QCNN = PoolingAnsatz(qcnn, _kept_by_qcnn)

_HERE = "qstore_ray.circuits.library.ansatze"
ANSATZE: Registry[AnsatzBuilder] = Registry(
    "ansatz",
    {
        "basic": f"{_HERE}:basic",
        "efficient_su2": f"{_HERE}:efficient_su2",
        "hardware_efficient": f"{_HERE}:hardware_efficient",
        "qcnn": f"{_HERE}:QCNN",
        "real_amplitudes": f"{_HERE}:real_amplitudes",
        "strongly_entangling": f"{_HERE}:strongly_entangling",
    },
    entry_points="qstore_ray.ansatze",
    field="ansatz",
)
"""Ansätze by name: each takes n_qubits, layers and entanglement, and returns its layers."""


def kept_qubits(ansatz: str, n_qubits: int, layers: int) -> tuple[int, ...]:
    """The qubits that are left to be measured after `layers` layers; all, unless it pools."""
    member = ANSATZE[ansatz]
    if isinstance(member, PoolingAnsatz):
        return member.kept(n_qubits, layers)
    return tuple(range(n_qubits))


def _layered(
    n_qubits: int,
    layers: int,
    entanglement: Entanglement,
    rotations: tuple[str, ...],
    entangler: str,
    *,
    closing: tuple[str, ...],
) -> tuple[Template, ...]:
    joined = tuple(Op(entangler, pair) for pair in pairs(n_qubits, entanglement))
    turned = _rotations(n_qubits, rotations)
    layer = Template(n_qubits, turned + joined, n_params=len(turned))
    final = _rotations(n_qubits, closing)
    last = layer.then(Template(n_qubits, final, n_params=len(final)))
    return (layer,) * (layers - 1) + (last,)


def _rotations(n_qubits: int, gates: tuple[str, ...]) -> tuple[Op, ...]:
    return tuple(
        Op(gate, (q,), (param(k * n_qubits + q),))
        for k, gate in enumerate(gates)
        for q in range(n_qubits)
    )


def _ranged_ring(n_qubits: int, layer: int) -> tuple[Op, ...]:
    if n_qubits == 1:
        return ()
    reach = layer % (n_qubits - 1) + 1
    return tuple(Op("cx", (q, (q + reach) % n_qubits)) for q in range(n_qubits))


def _convolution_and_pooling(
    n_qubits: int, used: tuple[int, ...], entanglement: Entanglement
) -> Template:
    if len(used) == 1:
        return Template(n_qubits, (_turn(used[0], 0),), n_params=3)
    convolution = tuple(
        op for a, b in pairs(len(used), entanglement) for op in _two_qubit_unitary(used[a], used[b])
    )
    pooling = tuple(
        op
        for kept, dropped in zip(used[::2], used[1::2], strict=False)
        for op in (
            Op("crz", (dropped, kept), (param(15),)),
            Op("x", (dropped,)),
            Op("crx", (dropped, kept), (param(16),)),
        )
    )
    return Template(n_qubits, convolution + pooling, n_params=17)


def _two_qubit_unitary(a: int, b: int) -> tuple[Op, ...]:
    """Any two-qubit unitary up to a phase, in 15 parameters: its Cartan decomposition."""
    interaction = tuple(Op(name, (a, b), (param(6 + k),)) for k, name in enumerate(_INTERACTION))
    return (_turn(a, 0), _turn(b, 3), *interaction, _turn(a, 9), _turn(b, 12))


_INTERACTION = ("rxx", "ryy", "rzz")


def _turn(qubit: int, first: int) -> Op:
    return Op("u", (qubit,), (param(first), param(first + 1), param(first + 2)))
