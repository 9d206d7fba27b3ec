"""`python -m tools.gates`: what `make check`, `make ratchet`, `make score` and the like run."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Sequence

from tools.gates import ALL_RULES
from tools.gates.counts import count_all
from tools.gates.ratchet import explained, grown, read_counts, write_counts
from tools.gates.source import read_repository


def check() -> int:
    """Compare the counts with the record; 1 if they differ."""
    counts, violations = count_all(read_repository())
    lines = list(explained(read_counts(), counts, violations))
    if lines:
        print(*lines, sep="\n")
        return 1
    recorded = sum(sum(kind.values()) for kind in counts.values())
    print(f"{len(ALL_RULES)} rules hold, but for {recorded} recorded exceptions.")
    return 0


def ratchet() -> int:
    """Write the counts down; 1 if one has grown."""
    recorded = read_counts()
    counts, violations = count_all(read_repository())
    if too_many := grown(recorded, counts):
        print(*explained(recorded, counts, violations), sep="\n")
        print(f"Nothing is written, because there is more of: {', '.join(sorted(too_many))}.")
        return 1
    write_counts(counts)
    return 0


def rules() -> int:
    """Print the table of rules."""
    for rule in ALL_RULES:
        print(f"{rule.id}  {rule.title}\n    {rule.reason}\n    {rule.suggestion}")
    return 0


def score() -> int:
    """Print the score and its parts; of a clean checkout, also record it and write the page."""
    from tools.gates.score import history, page, parts

    found = parts.measure(read_repository())
    for part in found:
        print(f"{part.name:14} {part.value:.3f} of {parts.WEIGHTS[part.name]:2}  {part.measured}")
    print(f"{parts.score(found):.1f} of 100")
    if history.is_clean():
        page.write_page(found, history.add(history.scored(found)))
    else:
        print("Not recorded, because the package has changes that are not committed.")
    return 0


def api() -> int:
    """Look for breaks of the public API."""
    from tools.gates.api import check_api

    return check_api()


def record_check() -> int:
    """Compare time and memory with the record."""
    from tools.gates.record import check_record, measure

    return check_record(measure())


def record() -> int:
    """Measure time and memory, and make that the record."""
    from tools.gates.record import measure, write_record

    write_record(measure())
    return 0


COMMANDS: dict[str, Callable[[], int]] = {
    "api": api,
    "check": check,
    "ratchet": ratchet,
    "record": record,
    "record-check": record_check,
    "rules": rules,
    "score": score,
}


def main(arguments: Sequence[str]) -> int:
    """Run one command."""
    name = arguments[0] if arguments else "check"
    if name not in COMMANDS:
        print(f"{name} is none of {', '.join(COMMANDS)}.", file=sys.stderr)
        return 2
    # Millions of syntax nodes live until the end: looking for garbage takes as long as the rest.
    gc.disable()
    return COMMANDS[name]()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
