"""Counts that may only shrink: `ratchet.json` has the number of each kind at each place.

A count that grew fails and names what is new. A count that shrank fails too, until `make ratchet`
has written it down: what was won is not lost again. What moves to another file may be written down
as well, since its kind has not grown.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from qstore_ray.review.rules import Violation
from tools.gates.counts import Counts

FILE: Final = Path(__file__).with_name("ratchet.json")
COMMAND: Final = "make ratchet"


class Difference(NamedTuple):
    """A place whose count is another one than in the record."""

    kind: str
    place: str
    recorded: int
    found: int

    @property
    def is_growth(self) -> bool:
        """Whether there is more of it."""
        return self.found > self.recorded


def read_counts(file: Path = FILE) -> Counts:
    """The record; empty if there is none.

    Raises:
        ValueError: a file that is not JSON.
    """
    if not file.exists():
        return {}
    counts: Counts = json.loads(file.read_text(encoding="utf-8"))
    return counts


def write_counts(counts: Counts, file: Path = FILE) -> None:
    """Write the record: one line a place, so that two changes can be merged."""
    file.write_text(json.dumps(counts, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def differences(recorded: Counts, found: Counts) -> Iterator[Difference]:
    """The places that differ, of all kinds."""
    for kind in sorted({*recorded, *found}):
        before, now = recorded.get(kind, {}), found.get(kind, {})
        for place in sorted({*before, *now}):
            difference = Difference(kind, place, before.get(place, 0), now.get(place, 0))
            if difference.recorded != difference.found:
                yield difference


def grown(recorded: Counts, found: Counts) -> set[str]:
    """The kinds of which there is more in all. Without any record, nothing has grown."""
    return {
        kind
        for kind, now in found.items()
        if recorded and _total(now) > _total(recorded.get(kind, {}))
    }


def _total(counts: Mapping[str, int]) -> int:
    return sum(counts.values())


def explained(recorded: Counts, found: Counts, violations: Iterable[Violation]) -> Iterator[str]:
    """A line for each difference, with the violations of a place that has more of them."""
    violations = list(violations)
    too_many = grown(recorded, found)
    for each in differences(recorded, found):
        counts = f"{each.kind}: {each.place} has {each.found}, the record says {each.recorded}."
        if each.is_growth and each.kind in too_many:
            yield f"{counts} This count may only shrink."
            yield from (
                f"  {v}" for v in violations if v.rule == each.kind and v.path == each.place
            )
        else:
            yield f"{counts} Type `{COMMAND}` to write it down."
