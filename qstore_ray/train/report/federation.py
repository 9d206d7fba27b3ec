"""The part of a run's page that is about a federation: who took part, with what, at which price.

It is made of the records in metrics.jsonl alone: `start` has the rows of each client, `round` what
happened in a round. All text is escaped by the functions of `data/quality/html.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Final

from qstore_ray.data.quality.html import listing, section, table
from qstore_ray.figures.clients import client_figure
from qstore_ray.figures.page import plot
from qstore_ray.track.base import Record

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_ROWS: Final = 200


def federation_section(records: Sequence[Record]) -> str:
    """Curves and shares of clients, bytes and seconds of the rounds, exclusions; "" without rounds.

    Args:
        records: of metrics.jsonl.
    """
    rounds = _rounds(records)
    if not rounds:
        return ""
    starts = [record for record in records if record.get("event") == "start"]
    last = starts[-1] if starts else {}
    shards, names = last.get("shards", {}), last.get("class_names", [])
    promise = {"secure sums": last["secure_sum"]} if "secure_sum" in last else {}
    parts = [
        listing(dict(_facts(rounds)) | promise),
        _curves(rounds),
        _table("Rows of each class", ["client", "rows", *names], _shards(shards)),
        _table("Rounds", ["round", "asked", "used", "bytes to clients", "bytes from clients",
                          "seconds"], _prices(rounds)),
        _table("Excluded", ["round", "client", "because"], _excluded(rounds)),
    ]  # fmt: skip
    return section("Federation", "".join(parts))


def _rounds(records: Sequence[Record]) -> list[Record]:
    """One record a round, ascending; of a round met twice, the later one."""
    found = {int(r["round"]): r for r in records if r.get("event") == "round"}
    return [found[number] for number in sorted(found)]


def _facts(rounds: Sequence[Record]) -> Iterator[tuple[str, str]]:
    clients = {name for record in rounds for name in record["asked"]}
    yield "clients that were asked", f"{len(clients):,}"
    moved = sum(record["sent"] + record["received"] for record in rounds)
    yield "bytes in all", f"{moved:,}"
    yield "seconds a round", f"{sum(r['seconds'] for r in rounds) / len(rounds):.3g}"
    if excluded := sum(len(record["excluded"]) for record in rounds):
        yield "updates excluded", f"{excluded:,}"
    if not any(record["losses"] for record in rounds):
        yield "losses of clients", "the server does not see them"


def _curves(rounds: Sequence[Record]) -> str:
    figure = client_figure({int(record["round"]): record["losses"] for record in rounds})
    return "" if figure is None else plot(figure, "loss of each client by round")


def _shards(shards: Mapping[str, Sequence[int]]) -> list[list[Any]]:
    return [[name, sum(counts), *counts] for name, counts in sorted(shards.items())]


def _prices(rounds: Sequence[Record]) -> list[list[Any]]:
    return [
        [record["round"] + 1, len(record["asked"]), len(record["used"]), record["sent"],
         record["received"], record["seconds"]]
        for record in rounds
    ]  # fmt: skip


def _excluded(rounds: Sequence[Record]) -> list[list[Any]]:
    return [[r["round"] + 1, name, why] for r in rounds for name, why in r["excluded"].items()]


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    if not rows:
        return ""
    left = len(rows) - _MOST_ROWS
    more = f'<p class="muted">and {left} more in metrics.jsonl</p>' if left > 0 else ""
    return f"<h3>{escape(title)}</h3>{table(head, rows[:_MOST_ROWS])}{more}"
