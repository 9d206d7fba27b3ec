"""What makes a trained circuit easy to simulate: each flag alone takes an advantage away.

    exact        its whole state was simulated here (30 qubits at most)
    product      no cut of the state is entangled: entropy below 1e-9 on all rows looked at
    bond         the largest Schmidt rank of a cut, at 1e-6: a matrix-product state of that bond
    cones        every observable sees at most 20 qubits: small circuits, for any n
    clifford     few gates are no Clifford gates: stabilisers
    strings      few Pauli strings of its observables carry weight: see `pauli_paths.py`
    frequencies  a Fourier series of few frequencies: random Fourier features fit it

Only a circuit that raises none of them is not known to be simulable.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.advise.advantage.pauli_paths import MOST, pauli_paths
from qstore_ray.backends.base import Bindings
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.simulate.compile.frame import pauli_rotations
from qstore_ray.simulate.cones.cone import light_cones

if TYPE_CHECKING:
    from qstore_ray.circuits.observable import Observable
    from qstore_ray.circuits.template import Template
    from qstore_ray.simulate.compile.rotations import Rotation, Term
    from qstore_ray.types import ComplexArray

RANK_CUT = 1e-6
PRODUCT = 1e-9
WIDEST_CONE = 20
FEW_FREQUENCIES = 10_000
_FEW_ROTATIONS = 30
_SMALL_BOND = 64
_EXACT = 30
_STATES = 16
_PATHS = 2
_PATHS_ERROR = 0.01
"""Rows whose observables are propagated, and the largest error that counts as simulated."""


class CutFacts(NamedTuple):
    """Of one cut between qubits q and q + 1: the largest entropy and rank over the rows."""

    qubit: int
    entropy: float
    rank: int


class Simulability(NamedTuple):
    """What is known of a circuit with its parameters.

    Attributes:
        n_qubits: n. cuts: entropy in bits and Schmidt rank of each; empty of a wide circuit.
        cones: the width of each observable's light cone. weights: qubits that each one measures.
        rotations: gates with an angle. gates: all. frequencies: of the Fourier series, at most.
        strings: the most that were left in Pauli propagation. strings_error: the largest error of
            its expectations; None if too many were left, or if it was not tried: it is not for
            wide circuits and amplitudes that are loaded.
        flags: why it is simulable, as words.
    """

    n_qubits: int
    cuts: tuple[CutFacts, ...]
    cones: tuple[int, ...]
    weights: tuple[int, ...]
    rotations: int
    gates: int
    frequencies: float
    strings: int
    strings_error: float | None
    flags: tuple[str, ...]

    @property
    def clifford_share(self) -> float:
        """The share of gates without an angle, which all are Clifford gates but T."""
        return 1.0 - self.rotations / max(1, self.gates)


def simulability(
    template: Template, observables: tuple[Observable, ...], bindings: Bindings
) -> Simulability:
    """The facts and flags of a circuit; the states of the first 16 rows of `bindings` are cut."""
    cuts: tuple[CutFacts, ...] = ()
    if template.n_qubits <= _EXACT // 2:
        part = bindings.rows[:_STATES]
        loaded = None if bindings.amplitudes is None else bindings.amplitudes[:_STATES]
        states = StatevectorBackend().states(template, Bindings(part, bindings.params, loaded))
        cuts = tuple(cut_facts(states, q) for q in range(template.n_qubits - 1))
    rotations, terms = pauli_rotations(template, observables)
    cones = tuple(c.width for c in light_cones(rotations, terms, len(observables)))
    strings, error = _propagated(template, observables, bindings, rotations, terms)
    angled = sum(bool(op.angles) or op.gate in {"t", "tdg"} for op in template.ops)
    facts = Simulability(
        n_qubits=template.n_qubits,
        cuts=cuts,
        cones=cones,
        weights=tuple(_weight(each) for each in observables),
        rotations=angled,
        gates=len(template.ops),
        frequencies=frequencies(template),
        strings=strings,
        strings_error=error,
        flags=(),
    )
    return facts._replace(flags=_flags(facts))


def cut_facts(states: ComplexArray, qubit: int) -> CutFacts:
    """Entropy and rank of the cut above `qubit`, the largest over states (N, 2^n).

    Qubit q is bit q of a basis state's number, so qubits 0 … q are the last axis.
    """
    values = np.linalg.svd(states.reshape(len(states), -1, 2 ** (qubit + 1)), compute_uv=False)
    shares = values**2 / (values**2).sum(axis=1, keepdims=True)
    logs = np.log2(np.where(shares > 0.0, shares, 1.0))
    entropy = -(shares * logs).sum(axis=1)
    return CutFacts(qubit, float(entropy.max()), int((values > RANK_CUT).sum(axis=1).max()))


def frequencies(template: Template) -> float:
    """How many frequencies the model's Fourier series in its row angles can have, at most.

    An angle that enters r gates with the same scale gives the frequencies −r … r (Schuld, Sweke &
    Meyer, Phys. Rev. A 103, 032430 (2021)); different angles multiply. Half of them are conjugates.
    """
    uses: Counter[tuple[int, float]] = Counter()
    for op in template.ops:
        for angle in op.angles:
            uses.update((t.slot, abs(t.scale)) for t in angle.terms if t.kind == "row")
    found = 1.0
    for count in uses.values():
        found *= 2.0 * count + 1.0
    return found


def _propagated(
    template: Template,
    observables: tuple[Observable, ...],
    bindings: Bindings,
    rotations: list[Rotation],
    terms: list[Term],
) -> tuple[int, float | None]:
    """The strings of Pauli propagation on the first rows, and its error; (0, None) if not tried."""
    if bindings.amplitudes is not None or template.n_qubits > _EXACT // 2:
        return 0, None
    rows = bindings.rows[:_PATHS]
    params = bindings.params if bindings.params.ndim == 1 else bindings.params[:_PATHS]
    exact = StatevectorBackend().evaluate(template, observables, Bindings(rows, params)).values
    largest, error = 0, 0.0
    own = np.broadcast_to(params, (len(rows), params.shape[-1]))
    for row, shared, wanted in zip(rows, own, exact, strict=True):
        slots = np.concatenate([row, shared])
        found = pauli_paths(rotations, terms, slots, len(observables))
        largest = max(largest, found.strings)
        if found.values is None:
            return largest, None
        error = max(error, float(np.abs(found.values - wanted).max()))
    return largest, error


def _weight(observable: Observable) -> int:
    return max((term.x | term.z).bit_count() for term in observable.terms)


def _flags(facts: Simulability) -> tuple[str, ...]:
    flags = []
    if facts.n_qubits <= _EXACT:
        flags.append(f"the whole state of {facts.n_qubits} qubits fits into memory")
    if facts.cuts and max(cut.entropy for cut in facts.cuts) < PRODUCT:
        flags.append("its state is a product, without entanglement")
    elif facts.cuts:
        bond = max(cut.rank for cut in facts.cuts)
        if bond <= _SMALL_BOND:
            flags.append(f"a matrix-product state of bond {bond} is enough")
    if max(facts.cones, default=0) <= WIDEST_CONE:
        flags.append(f"no observable sees more than {max(facts.cones, default=0)} qubits")
    if facts.strings_error is not None and facts.strings_error <= _PATHS_ERROR:
        flags.append(f"{facts.strings:,} Pauli strings are enough, of at most {MOST:,} followed")
    if facts.rotations <= _FEW_ROTATIONS:
        flags.append(f"only {facts.rotations} of {facts.gates} gates have an angle")
    if facts.frequencies <= FEW_FREQUENCIES:
        flags.append(f"a Fourier series of {facts.frequencies:,.0f} frequencies is enough")
    return tuple(flags)
