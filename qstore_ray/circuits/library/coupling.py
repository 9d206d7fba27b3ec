"""Pairs of qubits that gates join: maps of devices, and rounds of disjoint pairs.

Entangling gates of one round act on disjoint pairs and can be run at the same time. The order of
the pairs decides how far one layer carries an influence: a chain in its own order carries it from
end to end, in two rounds (even pairs, then odd ones) at most two qubits further.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

from qstore_ray.errors import CircuitError

if TYPE_CHECKING:
    from qstore_ray.circuits.template import Template

Pairs = tuple[tuple[int, int], ...]
Entanglement = str | Pairs
"""A name of `ansatze.ENTANGLEMENTS`, or the pairs themselves."""

_COLUMNS = 15
_HEAVY_HEX_ROWS = 7
HEAVY_HEX_QUBITS = 127
"""Qubits of the whole map."""


def heavy_hex(n_qubits: int) -> Pairs:
    """The first n qubits of the map of IBM's 127-qubit devices, in three rounds.

    Seven rows of 15 columns (the first row without its last column, the last one without its
    first) and four qubits between each two rows, at every fourth column; numbered row by row.

    Raises:
        CircuitError: more than 127 qubits.
    """
    if n_qubits > HEAVY_HEX_QUBITS:
        raise CircuitError(
            f"the map heavy_hex has {HEAVY_HEX_QUBITS} qubits",
            field="entanglement",
            value=n_qubits,
            fix="Give the pairs of your device as a list, for example from backend.coupling_map.",
        )
    number = 0
    found: list[tuple[int, int]] = []
    above: dict[int, int] = {}
    for row in range(_HEAVY_HEX_ROWS):
        columns = range(row == _HEAVY_HEX_ROWS - 1, _COLUMNS - (row == 0))
        here = {column: number + place for place, column in enumerate(columns)}
        found += pairwise(here.values())
        found += [(bridge, here[column]) for column, bridge in above.items()]
        number += len(here)
        bridges = range(row % 2 * 2, _COLUMNS, 4)
        above = {column: number + place for place, column in enumerate(bridges)}
        found += [(here[column], bridge) for column, bridge in above.items() if column in here]
        number += len(above)
    return in_rounds(pair for pair in found if max(pair) < n_qubits)


def in_rounds(pairs: Iterable[Sequence[int]]) -> Pairs:
    """The pairs, each once, in rounds of disjoint pairs: each in the first round that is free.

    Examples:
        assert in_rounds([(0, 1), (1, 2), (2, 3)]) == ((0, 1), (2, 3), (1, 2))
    """
    rounds: list[list[tuple[int, int]]] = []
    busy: list[set[int]] = []
    for a, b in sorted({(min(pair), max(pair)) for pair in pairs}):
        free = [number for number, qubits in enumerate(busy) if a not in qubits and b not in qubits]
        if not free:
            rounds.append([])
            busy.append(set())
        number = free[0] if free else -1
        rounds[number].append((a, b))
        busy[number].update((a, b))
    return tuple(pair for pairs_of_round in rounds for pair in pairs_of_round)


def checked_pairs(n_qubits: int, pairs: Iterable[Sequence[int]]) -> Pairs:
    """The pairs as they are, if they are pairs of different qubits of n.

    Raises:
        CircuitError: another pair.
    """
    found = tuple((int(a), int(b)) for a, b in pairs)
    for pair in found:
        if pair[0] == pair[1] or not all(0 <= qubit < n_qubits for qubit in pair):
            raise CircuitError(
                f"entanglement joins two different qubits from 0 to {n_qubits - 1}",
                field="entanglement",
                value=list(pair),
            )
    return found


def joined_pairs(template: Template) -> Pairs:
    """The pairs of qubits with a gate on both, each once, the lower number first."""
    return tuple(
        sorted({pair for op in template.ops for pair in combinations(sorted(op.qubits), 2)})
    )
