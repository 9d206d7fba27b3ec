"""Who masks its vector with whom: all with all, or each client with k neighbours.

With k neighbours a client agrees on k keys and expands k masks instead of N − 1, at the price of a
weaker promise (Bell, Bonawitz, Gascón, Lepoint & Raykova 2020, "Secure single-server aggregation
with (poly)logarithmic overhead"). The server puts the N clients on a ring in random order; the
neighbours of a client are the k/2 before it and the k/2 after it (a Harary graph). It and they hold
the shares of its secrets, of which t give them.

Suppose C clients, chosen before the order is drawn, pool what they see with the server, and q
others leave. Then k and t have to make three events improbable:

    opened      C has t of a client's neighbours, and so both of its masks:
                N · P[H(N − 1, C, k) ≥ t]
    cut off     the others that stay are no longer connected, so the server gets the sums of parts.
                That takes two runs of k/2 clients in a row that are of C or left:
                N(N − 1)/2 · (M)_k / (N)_k with M = C + q, in falling factorials
    stuck       fewer than t neighbours of a client are left, so the sum is given up:
                N · P[H(N − 1, q, k) > k − t]

H(n, m, k) is hypergeometric: how many of m marked ones are among k of n drawn without replacement.
Of an order that is drawn at random each of these is exact or an upper bound. `sparse_graph` takes
the least k for which the first two together have probability 2⁻⁴⁰ at most, the third 2⁻³⁰, and
t > (k + 1)/2, so that no two groups of holders could be asked for one mask each.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray, IntArray

HIDDEN_BITS: Final = 40.0
ENDS_BITS: Final = 30.0
FEWEST: Final = 32
"""Up to so many clients each is a neighbour of all."""


class SumGraph(NamedTuple):
    """How many neighbours each client has, and how many holders of a secret give it.

    Attributes:
        clients: N. degree: k; N − 1 if all are neighbours. threshold: t of the k + 1 holders.
    """

    clients: int
    degree: int
    threshold: int

    @property
    def is_complete(self) -> bool:
        """Whether each client is a neighbour of all others."""
        return self.degree == self.clients - 1


class SumRisk(NamedTuple):
    """Bounds of what may go wrong in a sum, as logarithms to base 2; −∞ for what cannot.

    Attributes:
        hidden: of the probability that a vector is not hidden among all that stay.
        stuck: of the probability that the sum is given up, though few enough left.
    """

    hidden: float
    stuck: float


GraphRule: TypeAlias = Callable[[int], SumGraph]
"""The graph of a sum of N clients."""


def complete_graph(clients: int, threshold: int) -> SumGraph:
    """All are neighbours; t of all N clients open a mask."""
    return SumGraph(clients, clients - 1, threshold)


def sparse_graph(clients: int, threshold: int, colluding: int) -> SumGraph:
    """The fewest neighbours that are safe, or the complete graph where all are needed.

    Args:
        clients: N. threshold: how many of them must stay, so q = N − `threshold` may leave.
        colluding: C, how many pool what they see with the server.
    """
    leaving = clients - threshold
    if clients <= FEWEST or colluding + leaving > clients - 2:
        return complete_graph(clients, threshold)
    low, high = 1, (clients - 1) // 2  # k/2
    while low < high:
        middle = (low + high) // 2
        if _safe_threshold(clients, 2 * middle, colluding, leaving):
            high = middle
        else:
            low = middle + 1
    found = _safe_threshold(clients, 2 * low, colluding, leaving)
    if found and 2 * low < clients - 1:
        return SumGraph(clients, 2 * low, found)
    return complete_graph(clients, threshold)


def risk_of(graph: SumGraph, colluding: int, leaving: int) -> SumRisk:
    """What may go wrong in a sparse graph if C clients pool what they see and q others leave."""
    n, k, t = graph
    opened = _log2_tails(n - 1, colluding, k)[t] + math.log2(n)
    stuck = _log2_tails(n - 1, leaving, k)[k - t + 1] + math.log2(n)
    return SumRisk(float(np.logaddexp2(opened, _log2_cut(n, k, colluding + leaving))), float(stuck))


def promise_of(rule: GraphRule, clients: int, threshold: int, colluding: int) -> str:
    """What a sum of N clients that are all there promises, for a report.

    Args:
        colluding: C that a sparse graph was made for; all with all allow t − 1.
    """
    graph, leaving = rule(clients), clients - threshold
    server = "hidden from a server that follows the protocol and up to"
    if graph.is_complete:
        return (
            f"each of {clients} clients masks its update with all others; {threshold} have to "
            f"stay; {server} {threshold - 1} clients"
        )
    return (
        f"each of {clients} clients masks its update with {graph.degree} others, drawn anew each "
        f"time; {threshold} have to stay; {graph.threshold} of {graph.degree + 1} holders open a "
        f"mask; {server} {colluding} clients that were chosen before, if up to {leaving} others "
        f"leave, but for a chance of 2^-{HIDDEN_BITS:.0f}"
    )


def neighbours_of(numbers: Iterable[int], degree: int) -> dict[int, frozenset[int]]:
    """The neighbours of each client on a ring in random order, or all others."""
    order = sorted(numbers)
    if degree >= len(order) - 1:
        return {number: frozenset(order) - {number} for number in order}
    assert degree % 2 == 0, "as many before a client as after it"
    secrets.SystemRandom().shuffle(order)
    steps = [step for step in range(-(degree // 2), degree // 2 + 1) if step]
    count = len(order)
    return {
        number: frozenset(order[(place + step) % count] for step in steps)
        for place, number in enumerate(order)
    }


@lru_cache(maxsize=4096)
def _safe_threshold(clients: int, degree: int, colluding: int, leaving: int) -> int:
    """The largest t with which k neighbours are safe and end their sum; 0 if there is none."""
    stuck = _log2_tails(clients - 1, leaving, degree) + math.log2(clients)
    for threshold in range(degree, (degree + 1) // 2, -1):
        if stuck[degree - threshold + 1] > -ENDS_BITS:
            continue
        risk = risk_of(SumGraph(clients, degree, threshold), colluding, leaving)
        return threshold if risk.hidden <= -HIDDEN_BITS else 0  # a smaller t hides less
    return 0


def _log2_tails(population: int, marked: int, drawn: int) -> FloatArray:
    """log₂ P[H ≥ x] for x = 0 … drawn + 1 (drawn + 2,)."""
    x = np.arange(drawn + 1)
    logs = np.full(drawn + 2, -np.inf)
    possible = (x <= marked) & (drawn - x <= population - marked)
    some = x[possible]
    logs[:-1][possible] = (
        _log2_choose(marked, some)
        + _log2_choose(population - marked, drawn - some)
        - _log2_choose(population, np.array([drawn]))
    )
    tails: FloatArray = np.minimum(np.logaddexp2.accumulate(logs[::-1])[::-1], 0.0)
    return tails


def _log2_cut(clients: int, degree: int, gone: int) -> float:
    """log₂ of the bound of two runs of k/2 in a row, of `gone` clients that do not count."""
    if degree > gone:
        return -math.inf
    places = np.arange(degree)
    pairs = math.log2(clients * (clients - 1) / 2)
    return min(0.0, pairs + float(np.log2((gone - places) / (clients - places)).sum()))


def _log2_choose(n: int, k: IntArray) -> FloatArray:
    """log₂ C(n, k)."""
    logs = np.concatenate([[0.0], np.cumsum(np.log2(np.arange(1, n + 1)))])
    found: FloatArray = logs[n] - logs[k] - logs[n - k]
    return found
