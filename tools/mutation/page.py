"""What a run found: on the terminal, in benchmarks/results/mutation.json, in docs/mutation.md."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tools.mutation.copy import ROOT
from tools.mutation.verdicts import NOTICED, Reason, Score, Verdict, score

if TYPE_CHECKING:
    from tools.mutation.mutants import Mutant

RESULTS = ROOT / "benchmarks" / "results" / "mutation.json"
PAGE = ROOT / "docs" / "mutation.md"
GOAL = 0.85
_PACKAGES = ("mutmut", "pytest", "hypothesis", "numpy", "qiskit")
_WHY = {"survived": "–", "unreached": "no test so fast calls the function"}
_LIMITS = (
    "{written:.10}, {share:.1%} of the mutants (seed {seed}). A test takes at most "
    "{test_seconds:g} CPU seconds, those of a mutant together {mutant_seconds:g}, and further ones "
    "of a mutant that survives these {survivor_seconds:g}."
)
_HEAD = """\
# Mutation score

A mutant is the package with one change: a `-` for a `+`, `None` for an argument, a number that is
one larger. Tests that pass with the mutant would not notice this fault. Written by `make mutation`
from [`mutation.json`](../benchmarks/results/mutation.json); the goal is {goal} of each package.

[mutmut](https://github.com/boxed/mutmut) makes the mutants, of every function and method without a
decorator, but leaves the texts of errors as they are. The tests are those in the package's folder
of `tests/unit`, and the laws that are about it. A mutant is noticed if a test fails, if the process
crashes, if it takes more than three times as long as its tests, or if it waits forever. It survives
if all pass that there was time for, or if no test that is fast enough calls the function. The
figures count every mutant, also those that cannot be noticed, such as a `<` for a `<=` where both
give the same; a reason is written beside those. Where a sample was tested, the interval is Wilson's
and covers the share among all mutants with 95 % confidence. `make mutation` fails if a package is
below the goal whatever the sample, and if a reason is no longer needed.
"""


@dataclass(frozen=True)
class Record:
    """What a run found about one target.

    Attributes:
        target: A folder below the package.
        share: The part of the mutants that was tested.
        seed: Which part.
        test_seconds: A test that takes more CPU seconds was left out.
        mutant_seconds: CPU seconds of the tests of a mutant.
        survivor_seconds: And of further tests of one that survives these.
        mutants: All that exist.
        verdicts: On those in the sample.
        reasons: Of the accepted survivors, by name.
    """

    target: str
    share: float
    seed: int
    test_seconds: float
    mutant_seconds: float
    survivor_seconds: float
    mutants: list[Mutant]
    verdicts: list[Verdict]
    reasons: dict[str, Reason]

    def total(self) -> Score:
        """The score of the whole target."""
        return score(len(self.mutants), self.verdicts, self.reasons)

    def files(self) -> dict[str, Score]:
        """The score of each file that has mutants."""
        counts = Counter(each.path.removeprefix("qstore_ray/") for each in self.mutants)
        return {
            path: score(count, (v for v in self.verdicts if v.path == path), self.reasons)
            for path, count in sorted(counts.items())
        }

    def kinds(self) -> dict[str, tuple[int, int]]:
        """(tested, not noticed) for each kind of change."""
        tested = Counter(each.kind for each in self.verdicts)
        missed = Counter(each.kind for each in self.verdicts if each.status not in NOTICED)
        return {kind: (tested[kind], missed[kind]) for kind in sorted(tested)}

    def survivors(self) -> list[Verdict]:
        """By name."""
        found = (each for each in self.verdicts if each.status not in NOTICED)
        return sorted(found, key=lambda each: each.name)


def show(records: list[Record]) -> None:
    """Print the score of each file, and the survivors that have no reason."""
    for record in records:
        print()
        for path, found in [*record.files().items(), (record.target, record.total())]:
            print(f"{path:40s} {_figures(found)}")
        for kind, (tested, missed) in record.kinds().items():
            print(f"    {kind:12s} {missed:4d} of {tested:4d} not noticed")
        for each in record.survivors():
            if each.name not in record.reasons:
                print(f"{each.status:9s} {each.kind:10s} {each.name}")


def show_each(record: Record) -> None:
    """Print what became of each mutant, and by which test."""
    for each in record.verdicts:
        killer = f" by {each.killer.rpartition('@')[0]}" if each.killer else ""
        print(f"{each.status:9s} {each.name}{killer}")


def unexplained(targets: Sequence[str]) -> list[str]:
    """The names of the survivors in the record that have no reason."""
    entries = json.loads(RESULTS.read_text())["targets"]
    survivors = [
        each for entry in entries if entry["target"] in targets for each in entry["survivors"]
    ]
    return [each["name"] for each in survivors if not each["reason"]]


def below_goal(records: list[Record]) -> list[str]:
    """A sentence for each target whose score is below the goal, whatever the sample."""
    return [
        f"{record.target}: at most {100 * record.total().interval[1]:.1f} % of the mutants are "
        f"noticed, the goal is {100 * GOAL:.0f} %"
        for record in records
        if record.total().interval[1] < GOAL
    ]


def write(records: list[Record], order: Sequence[str]) -> None:
    """Write the JSON and the page; targets that were not tested now keep what they have.

    Args:
        order: all targets, as they come in both.
    """
    known: dict[str, Any] = {}
    if RESULTS.exists():
        known = {each["target"]: each for each in json.loads(RESULTS.read_text())["targets"]}
    known |= {record.target: _entry(record) for record in records}
    payload = {
        "benchmark": "mutation",
        "targets": [known[target] for target in order if target in known],
    }
    RESULTS.write_text(json.dumps(payload, indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(text(payload))


def _entry(record: Record) -> dict[str, Any]:
    return {
        "target": record.target,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in _PACKAGES},
        },
        "share": record.share,
        "seed": record.seed,
        "test_seconds": record.test_seconds,
        "mutant_seconds": record.mutant_seconds,
        "survivor_seconds": record.survivor_seconds,
        **_row(record.total()),
        "files": {path: _row(found) for path, found in record.files().items()},
        "kinds": {k: {"tested": t, "missed": m} for k, (t, m) in record.kinds().items()},
        "survivors": [
            {
                "name": each.name,
                "path": each.path,
                "kind": each.kind,
                "status": each.status,
                "reason": _reason(record, each),
            }
            for each in record.survivors()
        ],
    }


def text(payload: dict[str, Any]) -> str:
    """The page for what `mutation.json` holds."""
    targets = payload["targets"]
    lines = [
        _HEAD.format(goal=f"{100 * GOAL:.0f} %"),
        "| package | mutants | tested | noticed | score % | interval | accepted | commit |",
        "|---|---|---|---|---|---|---|---|",
        *(f"{_line(each['target'], each)} {each['commit']} |" for each in targets),
    ]
    for each in targets:
        lines += [
            "",
            f"## {each['target']}",
            "",
            _LIMITS.format(**each),
            "",
            "| file | mutants | tested | noticed | score % | interval | accepted |",
            "|---|---|---|---|---|---|---|",
            *(_line(path, row) for path, row in each["files"].items() if row["tested"]),
            "",
            "| change | tested | survived |",
            "|---|---|---|",
            *(f"| {kind} | {k['tested']} | {k['missed']} |" for kind, k in each["kinds"].items()),
            "",
            "| survivor | why |",
            "|---|---|",
            *(
                f"| {_code(s['name'])} | {s['reason'] or _WHY[s['status']]} |"
                for s in each["survivors"]
            ),
        ]
    return "\n".join(lines) + "\n"


def _reason(record: Record, verdict: Verdict) -> str | None:
    found = record.reasons.get(verdict.name)
    return found.reason if found else None


def _row(found: Score) -> dict[str, Any]:
    low, high = found.interval
    return {
        **asdict(found),
        "tested": found.tested,
        "score": round(found.share, 4),
        "interval": [round(low, 4), round(high, 4)],
    }


def _line(name: str, row: dict[str, Any]) -> str:
    low, high = row["interval"]
    between = "" if low == high else f"{100 * low:.0f} to {100 * high:.0f}"
    noticed = row["killed"] + row["timeout"]
    figures = f"{row['tested']} | {noticed} | {100 * row['score']:.1f} | {between}"
    return f"| `{name}` | {row['mutants']} | {figures} | {row['accepted']} |"


def _figures(found: Score) -> str:
    low, high = found.interval
    return (
        f"{found.mutants:5d} mutants {found.tested:5d} tested {found.killed:5d} killed "
        f"{found.timeout:3d} timed out {found.survived:4d} survived {found.unreached:3d} no test "
        f"{found.accepted:3d} accepted {100 * found.share:5.1f} % "
        f"({100 * low:.1f} to {100 * high:.1f})"
    )


def _code(name: str) -> str:
    return "`` " + name.replace("|", "\\|") + " ``"


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    found = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=60.0
    )
    return found.stdout.strip() or "unknown"
