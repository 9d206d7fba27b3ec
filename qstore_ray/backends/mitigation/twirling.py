"""Pauli twirling: random Pauli gates before and after each Clifford gate of two qubits.

What they do cancels (Wallman & Emerson 2016), and the errors in between are conjugated at random:
in the mean over instances a coherent error is a Pauli error. All instances are rows of one circuit,
whose Pauli gates are U gates with angles 0 or π from row slots of their own. So the values of
instance j of row i depend on the key, i and j alone.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.backends.base import Bindings, Estimates, Gradients, Pullback
from qstore_ray.backends.keys import DrawKey, generator
from qstore_ray.backends.mitigation.calibration_errors import with_shared_errors
from qstore_ray.backends.mitigation.cliffords import CliffordPart, clifford_parts
from qstore_ray.backends.mitigation.config import MitigationCost, twirl_cost
from qstore_ray.backends.mitigation.placed_circuit import NoisyGate, PlacedCircuit
from qstore_ray.backends.mitigation.runner import CircuitRun, Runner
from qstore_ray.circuits.template import Op, const, row
from qstore_ray.errors import BackendError

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

_WORD = 0x545749
"""Names the draws of the Pauli gates."""
_SLOTS = 8
"""Row slots of a gate: two angles of each of its qubits, before and after it."""
_WORDS = 4
"""Numbers that one step of the generator's counter gives."""


class TwirledCircuit(NamedTuple):
    """A circuit with Pauli gates from row slots after its own.

    Attributes:
        parts: the G gates that have them.
    """

    circuit: PlacedCircuit
    parts: tuple[CliffordPart, ...]

    def angles(self, bits: AnyArray) -> FloatArray:
        """Of the slots (R, 8 G), for random bits (R, G, 4) of the strings before the gates."""
        moved = np.array([part.moved for part in self.parts])
        after = np.einsum("rgk,gkm->rgm", bits.astype(np.int64), moved) % 2
        both = np.stack([bits, after], axis=2).reshape(len(bits), -1, 2)
        x, z = both[..., 0], both[..., 1]
        found: FloatArray = np.pi * np.stack([x, x ^ z], axis=2).reshape(len(bits), -1)
        return found


@lru_cache(maxsize=64)
def twirled_circuit(circuit: PlacedCircuit) -> TwirledCircuit:
    """The circuit with a Pauli gate before and after each qubit of a Clifford gate of two."""
    parts = clifford_parts(circuit)
    before = {part.first: number for number, part in enumerate(parts)}
    after = {part.last: number for number, part in enumerate(parts)}
    slot = circuit.template.n_rows
    gates: list[NoisyGate] = []
    for place, gate in enumerate(circuit.gates):
        for ends, shift in ((before, 0), (after, _SLOTS // 2)):
            if shift:
                gates.append(gate)
            if place in ends:
                number = ends[place]
                start = slot + _SLOTS * number + shift
                gates += _paulis(parts[number].qubits, start)
    return TwirledCircuit(circuit.rewritten(gates, _SLOTS * len(parts)), parts)


def _paulis(pair: tuple[int, int], slot: int) -> list[NoisyGate]:
    """Y^x Z^(x⊕z) on each qubit, as RY · RZ: a U gate, which is no rotation of a noise."""
    return [
        NoisyGate(Op("u", (qubit,), (row(k), const(0.0), row(k + 1))))
        for qubit, k in zip(pair, (slot, slot + 2), strict=True)
    ]


class TwirlRunner:
    """Means over random instances."""

    def __init__(self, inner: Runner, instances: int) -> None:
        self._inner, self._instances = inner, instances

    def check(self, asked: CircuitRun) -> None:
        """See `Runner`: every circuit can be twirled."""
        self._inner.check(asked)

    def run(self, asked: CircuitRun) -> Estimates:
        """See `Runner`."""
        twirled = twirled_circuit(asked.circuit)
        if not twirled.parts:
            return self._inner.run(asked)
        return self._mean(self._inner.run(self._repeated(asked, twirled)))

    def vjp(self, asked: CircuitRun, *, rows_gradient: bool) -> tuple[Estimates, Pullback]:
        """See `Runner`."""
        twirled = twirled_circuit(asked.circuit)
        if not twirled.parts:
            return self._inner.vjp(asked, rows_gradient=rows_gradient)
        found, back = self._inner.vjp(self._repeated(asked, twirled), rows_gradient=rows_gradient)
        k, own = self._instances, asked.circuit.template.n_rows

        def pullback(cotangent: FloatArray) -> Gradients:
            each = back(np.repeat(cotangent, k, axis=0) / k)
            rows, params = self._by_row(each.rows).sum(axis=1), self._by_row(each.params)
            amplitudes = each.amplitudes
            if amplitudes is not None:
                amplitudes = self._by_row(amplitudes).sum(axis=1)
            return Gradients(rows[:, :own], params.sum(axis=1), amplitudes)

        return self._mean(found), pullback

    def cost(self) -> MitigationCost:
        """See `Runner`."""
        return twirl_cost(self._instances).times(self._inner.cost())

    def _repeated(self, asked: CircuitRun, twirled: TwirledCircuit) -> CircuitRun:
        """Row i as rows i K to i K + K − 1, each an instance."""
        if asked.key is None:
            raise BackendError(
                "the Pauli gates of a twirl are drawn by a key",
                field="key",
                value=None,
                fix="Give key=DrawKey((run, epoch, step)), a new one for each evaluation.",
            )
        k, b = self._instances, asked.bindings
        paulis = twirled.angles(self._bits(asked.key, len(b), len(twirled.parts)))
        params = np.repeat(b.params, k, axis=0) if b.params.ndim == 2 else b.params
        amplitudes = None if b.amplitudes is None else np.repeat(b.amplitudes, k, axis=0)
        rows = np.hstack([np.repeat(b.rows, k, axis=0), paulis])
        n_rows = asked.key.n_rows
        key = asked.key._replace(
            first_row=asked.key.first_row * k, n_rows=None if n_rows is None else n_rows * k
        )
        shots = None if asked.shots is None else -(-asked.shots // k)
        return CircuitRun(
            twirled.circuit, asked.observables, Bindings(rows, params, amplitudes), shots, key
        )

    def _bits(self, key: DrawKey, n_rows: int, n_gates: int) -> AnyArray:
        """Random bits (N K, G, 4); rows that repeat others have theirs."""
        different = key.n_rows or n_rows
        width = 4 * n_gates
        steps = -(-width // _WORDS)
        start = key.first_row * self._instances * steps
        random = generator(key.and_also(_WORD), start)
        uniform = random.random((different * self._instances, steps * _WORDS))[:, :width]
        bits = (uniform < 0.5).astype(np.int64).reshape(-1, n_gates, 4)
        return np.tile(bits, (n_rows // different if different else 1, 1, 1))

    def _mean(self, found: Estimates) -> Estimates:
        """Over instances; from their spread, what they may be off, if there are several."""
        values, k = self._by_row(found.values), self._instances
        shared = found.shared_errors
        if shared is not None:
            shared = shared.reshape(len(values), k, *shared.shape[1:]).mean(axis=1)
        if k > 1:
            spread = values.var(axis=1, ddof=1) / k
            mean = Estimates(values.mean(axis=1), spread, found.usage)
            return mean if shared is None else with_shared_errors(mean, shared)
        return Estimates(values[:, 0], found.variances, found.usage, shared)

    def _by_row(self, array: AnyArray) -> AnyArray:
        return array.reshape(len(array) // self._instances, self._instances, -1)
