"""`rounds.jsonl`: who took part in each round, written before the round is committed.

Which clients are late, or die, depends on clocks and machines. So a round that was decided and not
committed, because the server was killed in between, is repeated with the same clients: they train
again with the same bits, and nobody's deadline counts a second time.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from qstore_ray.track.jsonl import MetricsFile, read_records

_NAME: Final = "rounds.jsonl"


class Membership(NamedTuple):
    """Who was in a round.

    Attributes:
        asked: clients that were asked. used: those whose updates counted, sorted.
        excluded: why the others' did not.
    """

    asked: tuple[str, ...]
    used: tuple[str, ...]
    excluded: Mapping[str, str]


class RoundJournal:
    """The journal of one run. Used in the server's process.

    Args:
        run_dir: the run folder; None keeps it in memory.
        round_number: of the next round; what was decided after it is forgotten.
    """

    def __init__(self, run_dir: Path | None = None, round_number: int = 0) -> None:
        self._decided: dict[int, list[Membership]] = {}
        self._file = None if run_dir is None else MetricsFile(run_dir / _NAME)
        if run_dir is None or self._file is None:
            return
        self._file.trim(round_number)  # and a line that a crash left unfinished
        for record in read_records(run_dir / _NAME):
            found = Membership(tuple(record["asked"]), tuple(record["used"]), record["excluded"])
            self._decided.setdefault(int(record["step"]), []).append(found)

    def decided(self, round_number: int) -> Membership | None:
        """Who was in this round when it was last tried; None if it was not."""
        tries = self._decided.get(round_number)
        return tries[-1] if tries else None

    def decide(self, round_number: int, membership: Membership) -> int:
        """Write down who is in a round; the number of this decision on it, from 0.

        Raises:
            RunError: the file cannot be written.
        """
        tries = self._decided.setdefault(round_number, [])
        if tries and tries[-1] == membership:
            return len(tries) - 1
        if self._file is not None:
            self._file.append({"event": "round", "step": round_number, **membership._asdict()})
        tries.append(membership)
        return len(tries) - 1

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
