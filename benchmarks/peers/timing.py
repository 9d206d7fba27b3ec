"""Two sides timed in turns: medians of both, and how far the rounds spread."""

from __future__ import annotations

import statistics
from typing import Any

from process import Failure, Server

BLOCK_MS = 100.0  # how long one side runs before the other takes its turn
PAIR_MS = 1500.0  # how long a pair is measured, where a step is short enough
ROUNDS = (3, 9)
SLOW_MS = 2000.0  # a slower step is timed once, or twice


def time_pair(ours: Server, peer: Server, limit_s: float) -> dict[str, Any]:
    """ours_ms, peer_ms, ratio, spread (the IQR of the rounds' ratios over their median), rounds.

    Raises:
        Failure: a step of the peer takes longer than the limit.
    """
    own_once, peer_once = _run(ours, 2, limit_s)[-1], _run(peer, 1, limit_s)[-1]
    if peer_once > 1e3 * limit_s:
        raise Failure("limit", f"a step takes {peer_once / 1e3:.0f} s, over {limit_s:g} s")
    if peer_once > SLOW_MS:
        more = [] if peer_once > 2 * SLOW_MS else _run(peer, 1, limit_s)
        theirs = [statistics.median([peer_once, *more])]
        own = [statistics.median(_run(ours, _count(own_once), limit_s))]
    else:
        own, theirs = _rounds(ours, peer, own_once, peer_once, limit_s)
    ratios = [b / a for a, b in zip(own, theirs, strict=True)]
    own_ms, peer_ms = statistics.median(own), statistics.median(theirs)
    return {
        "ours_ms": own_ms,
        "peer_ms": peer_ms,
        "ratio": peer_ms / own_ms,
        "spread": _spread(ratios),
        "rounds": len(ratios),
    }


def _rounds(
    ours: Server, peer: Server, own_once: float, peer_once: float, limit_s: float
) -> tuple[list[float], list[float]]:
    own_count, peer_count = _count(own_once), _count(peer_once)
    each = own_once * own_count + peer_once * peer_count
    rounds = min(max(round(PAIR_MS / each), ROUNDS[0]), ROUNDS[1])
    own, theirs = [], []
    for _ in range(rounds):
        own.append(_block(ours, own_count, limit_s))
        theirs.append(_block(peer, peer_count, limit_s))
    return own, theirs


def _block(server: Server, count: int, limit_s: float) -> float:
    """The median step; the first one, which finds cold caches, counts only among few."""
    times = _run(server, count, limit_s)
    return statistics.median(times[1:] if count > 3 else times)


def _run(server: Server, count: int, limit_s: float) -> list[float]:
    answer = server.ask(f"time {count}", 1.5 * limit_s, f"a step takes over {limit_s:g} s")
    times: list[float] = answer["ms"]
    return times


def _count(once_ms: float) -> int:
    return min(max(round(BLOCK_MS / once_ms), 1), 100)


def _spread(values: list[float]) -> float | None:
    if len(values) < 3:
        return None
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return (high - low) / middle
