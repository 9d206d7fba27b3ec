"""The parts of the score: each is 1 if nothing is lost, and falls with faults per size.

QS106 is left out, because it evaluates circuits: an old commit can be read, but not imported.
"""

from __future__ import annotations

import math
import tomllib
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from qstore_ray.review.rules import Violation
from tools.gates import counts, violations_of
from tools.gates.rules import REPOSITORY_RULES, reach
from tools.gates.score.duplicates import code_lines, duplicated_lines
from tools.gates.source import DEFINITIONS, Module, Repository, public

WEIGHTS: Final = {
    "rules": 20,
    "layers": 10,
    "size": 15,
    "types": 15,
    "documentation": 15,
    "coverage": 15,
    "duplicates": 10,
}
"""Points that each part can give; one that cannot be measured gives none, and takes none."""

_FEW = 5


class Part(NamedTuple):
    """One part: its value from 0 to 1, what was measured, and the places that lose the most."""

    name: str
    value: float
    measured: str
    worst: tuple[str, ...] = ()

    @property
    def lost(self) -> float:
        """Points of the score that this part loses, of the points of all parts."""
        return WEIGHTS[self.name] * (1.0 - self.value)


def measure(repository: Repository) -> list[Part]:
    """All parts that can be measured. Without coverage.xml, coverage is left out.

    Raises:
        OSError: a file that cannot be read.
    """
    rules = [rule for rule in REPOSITORY_RULES if rule is not reach.RULE]
    violations = [v for v in violations_of(repository, rules) if v.path.startswith("qstore_ray/")]
    parts = [
        _rules(repository, violations),
        _layers(repository),
        _size(repository),
        _types(repository),
        _documentation(repository, violations),
        _duplicates(repository),
    ]
    report = repository.root / "coverage.xml"
    return [*parts, coverage(report)] if report.exists() else parts


def score(parts: Iterable[Part]) -> float:
    """From 0 to 100: the weighted mean of the parts."""
    parts = list(parts)
    whole = sum(WEIGHTS[part.name] for part in parts)
    return 100.0 * sum(WEIGHTS[part.name] * part.value for part in parts) / whole


def _rules(repository: Repository, violations: Sequence[Violation]) -> Part:
    code = [v for v in violations if v.rule < "QS2"]
    off = counts.comments(repository.package, counts.SWITCHED_OFF)
    each = Counter(v.path for v in code) + Counter(off)
    return Part(
        "rules",
        _falling(sum(each.values()), _kilolines(repository.package)),
        f"{len(code)} violations and {sum(off.values())} suppressions",
        _first(each),
    )


def _layers(repository: Repository) -> Part:
    settings = tomllib.loads((repository.root / "pyproject.toml").read_text(encoding="utf-8"))
    rooms = counts.unordered_rooms(repository.package, settings)
    prefixes = tuple(f"{package}." for package in rooms)
    outside = sum(module.name.startswith(prefixes) for module in repository.package)
    ignored = len(counts.ignored_imports(settings))
    return Part(
        "layers",
        max(0.0, 1.0 - (outside + ignored) / max(1, len(repository.package))),
        f"{outside} of {len(repository.package)} modules in rooms without an order, "
        f"{ignored} ignored imports",
        _first(rooms),
    )


def _size(repository: Repository) -> Part:
    files = counts.long_files(repository.package)
    functions = counts.long_functions(repository.package)
    n_functions = sum(module.text.count("def ") for module in repository.package)
    value = 1.0 - len(files) / max(1, len(repository.package))
    value -= sum(functions.values()) / max(1, n_functions)
    return Part(
        "size",
        max(0.0, value),
        f"{len(files)} files over {counts.LONGEST_FILE} lines, "
        f"{sum(functions.values())} functions over {counts.LONGEST_FUNCTION}",
        _first(Counter(files) + Counter(functions)),
    )


def _types(repository: Repository) -> Part:
    ignored = counts.comments(repository.package, counts.TYPE_IGNORE)
    settings = tomllib.loads((repository.root / "pyproject.toml").read_text(encoding="utf-8"))
    untyped = len(counts.untyped_packages(settings))
    total = sum(ignored.values())
    return Part(
        "types",
        _falling(total + untyped, _kilolines(repository.package)),
        f"{total} lines that mypy skips, {untyped} packages without types",
        _first(ignored),
    )


def _documentation(repository: Repository, violations: Sequence[Violation]) -> Part:
    faults = Counter(v.path for v in violations if v.rule >= "QS2")
    things = sum(
        isinstance(node, DEFINITIONS)
        for module in repository.package
        for _, node in public(module.tree.body)
    )
    total = sum(faults.values())
    return Part(
        "documentation",
        max(0.0, 1.0 - 10.0 * total / max(1, things)),
        f"{total} of {things} public things lack errors, units or examples",
        _first(faults),
    )


def _duplicates(repository: Repository) -> Part:
    twice, lines = duplicated_lines(repository.package), code_lines(repository.package)
    total = sum(twice.values())
    return Part(
        "duplicates",
        max(0.0, 1.0 - 10.0 * total / max(1, lines)),
        f"{total} of {lines} lines of code stand twice",
        _first(twice),
    )


def coverage(report: Path) -> Part:
    """From the report of `make coverage`: the mean of the shares of lines and of branches.

    Raises:
        OSError: a report that cannot be read.
    """
    root = ET.parse(report).getroot()  # noqa: S314 - our own report
    lines, branches = float(root.get("line-rate", 0)), float(root.get("branch-rate", 0))
    missing = Counter(
        {
            f"qstore_ray/{each.get('filename')}": sum(
                line.get("hits") == "0" for line in each.iter("line")
            )
            for each in root.iter("class")
        }
    )
    return Part(
        "coverage",
        (lines + branches) / 2,
        f"{100 * lines:.1f} % of the lines and {100 * branches:.1f} % of the branches",
        _first(missing),
    )


def _falling(faults: float, kilolines: float) -> float:
    """1 without faults, 1/e at two faults in a thousand lines: it can always fall further."""
    return math.exp(-faults / (2.0 * max(kilolines, 1e-9)))


def _kilolines(modules: Iterable[Module]) -> float:
    return sum(module.text.count("\n") for module in modules) / 1000.0


def _first(found: Mapping[str, int]) -> tuple[str, ...]:
    ordered = sorted(found.items(), key=lambda each: (-each[1], each[0]))
    return tuple(f"{place} ({number})" for place, number in ordered[:_FEW] if number)
