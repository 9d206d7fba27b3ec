"""From verdicts to scores: which mutants are in the sample, what counts, and what is accepted.

The score of a set of mutants is the share that the tests noticed. Where only a sample was tested,
it comes with Wilson's 95 % interval for the share among all mutants.
"""

from __future__ import annotations

import hashlib
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

NOTICED = frozenset({"killed", "timeout"})
_Z = 1.959964  # the 97.5 % quantile of the normal distribution


@dataclass(frozen=True)
class Verdict:
    """What became of one mutant.

    Attributes:
        name: The mutant's name.
        path: The file it is in, below the package.
        kind: What was changed.
        status: `killed`, `timeout`, `survived`, or `unreached` if no fast test calls the function.
        killer: The test that failed, with the digest of its file; None for a crash or a timeout.
    """

    name: str
    path: str
    kind: str
    status: str
    killer: str | None = None


@dataclass(frozen=True)
class Score:
    """Counts of one file or one room; `mutants` are all that exist, the others those tested."""

    mutants: int
    killed: int
    timeout: int
    survived: int
    unreached: int
    accepted: int

    @property
    def tested(self) -> int:
        """How many have a verdict."""
        return self.killed + self.timeout + self.survived + self.unreached

    @property
    def share(self) -> float:
        """Noticed / tested; 1 where nothing was tested."""
        return (self.killed + self.timeout) / self.tested if self.tested else 1.0

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's interval; a single point where every mutant was tested."""
        if self.tested >= self.mutants:
            return self.share, self.share
        return wilson(self.killed + self.timeout, self.tested)


@dataclass(frozen=True)
class Reason:
    """Why a survivor is accepted: `mutant` is a name, or a pattern that several names match."""

    mutant: str
    reason: str
    kind: str | None = None

    def covers(self, verdict: Verdict) -> bool:
        """Whether the reason is for this mutant."""
        if self.kind is not None and self.kind != verdict.kind:
            return False
        return is_named(verdict.name, self.mutant)


def is_named(name: str, pattern: str) -> bool:
    """Whether a mutant has this name, or one that the pattern with `*` matches.

    `[` in a pattern is a bracket of the code, never a set of characters.
    """
    return name == pattern or fnmatchcase(name, pattern.replace("[", "[[]"))


def sampled(name: str, seed: int, share: float) -> bool:
    """True for about `share` of all names; a larger share includes every name of a smaller one."""
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share, for `successes` out of `trials`; (0, 1) for no trial."""
    if not trials:
        return 0.0, 1.0
    share, square = successes / trials, _Z**2 / trials
    centre = (share + square / 2) / (1 + square)
    half = _Z * math.sqrt(share * (1 - share) / trials + square / (4 * trials)) / (1 + square)
    return max(centre - half, 0.0), min(centre + half, 1.0)


def score(mutants: int, verdicts: Iterable[Verdict], reasons: Mapping[str, Reason]) -> Score:
    """Count `verdicts`, of `mutants` that exist; `reasons` by the name of the survivor."""
    found = list(verdicts)
    counts = {
        status: sum(each.status == status for each in found)
        for status in ("killed", "timeout", "survived", "unreached")
    }
    accepted = sum(each.status not in NOTICED and each.name in reasons for each in found)
    return Score(mutants, **counts, accepted=accepted)


def read_reasons(path: Path) -> list[Reason]:
    """The `[[accepted]]` tables of a TOML file."""
    return [Reason(**each) for each in tomllib.loads(path.read_text()).get("accepted", ())]


def matched(
    reasons: Iterable[Reason], verdicts: Iterable[Verdict], existing: Iterable[tuple[str, str]]
) -> tuple[dict[str, Reason], list[str]]:
    """The reason of each accepted survivor by name, and a sentence for each stale reason.

    A reason is stale if no mutant of `existing` (name, kind) has its name, or if all that have it
    were tested and noticed.
    """
    by_name = {each.name: each for each in verdicts}
    everything = [
        by_name.get(name, Verdict(name, name.partition(":")[0], kind, "untested"))
        for name, kind in existing
    ]
    found: dict[str, Reason] = {}
    stale = []
    for reason in reasons:
        covered = [each for each in everything if reason.covers(each)]
        if not covered:
            stale.append(f"no mutant has the name {reason.mutant!r}; remove its reason")
        elif all(each.status in NOTICED for each in covered):
            stale.append(f"the tests notice {reason.mutant!r} now; remove its reason")
        found |= {e.name: reason for e in covered if e.status not in NOTICED | {"untested"}}
    return found, stale
