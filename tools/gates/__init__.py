"""What every change must pass besides ruff, mypy and import-linter: `make check` runs it.

    for violation in run():
        print(violation)

Begin with `rules/`, the rules of this repository; those for any program are in
`qstore_ray/review/rules/`. `counts.py` says what is counted, `ratchet.py` keeps each count from
growing, `score/` makes one number of all of it, `api.py` looks for breaks of the public API, and
`record.py` compares time and memory with the last record.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from qstore_ray.review.rules import CODE_RULES, CodeRule, Violation, check_source
from qstore_ray.review.rules.base import Match
from qstore_ray.review.rules.catalogue import UNREADABLE
from tools.gates.rules import REPOSITORY_RULES, RepositoryRule
from tools.gates.source import ROOT, Module, Repository, read_repository

__all__ = ["ALL_RULES", "Violation", "run", "violations_of"]

ALL_RULES: tuple[CodeRule, ...] = (*CODE_RULES, *(each.rule for each in REPOSITORY_RULES))

_NOT_IN = {
    "QS102": ("tests/",),  # what they pickle is their own
    "QS103": ("tests/", "benchmarks/"),  # each test has a time limit; a benchmark is watched
}
"""Rules that do not hold for a folder."""


def run(paths: Iterable[Path] = (), root: Path = ROOT) -> list[Violation]:
    """All violations of the repository at `root`, or those in the named files and folders.

    Raises:
        OSError: a file that cannot be read.
    """
    found = violations_of(read_repository(root))
    places = tuple(path.resolve() for path in paths)
    if not places:
        return found
    return [v for v in found if any((root / v.path).is_relative_to(place) for place in places)]


def violations_of(
    repository: Repository, rules: Sequence[RepositoryRule] = REPOSITORY_RULES
) -> list[Violation]:
    """All violations, sorted by file and line."""
    by_path: dict[str, list[tuple[CodeRule, Match]]] = defaultdict(list)
    for rule in rules:
        for path, match in rule.find(repository):
            by_path[path].append((rule.rule, match))
    found: list[Violation] = []
    for module in repository.modules:
        found += _of_module(module, by_path.pop(module.path, []), rules)
    for path, matches in by_path.items():  # of files that are no Python, so without comments
        found += [Violation(path, m.line, r.id, m.message, r.suggestion) for r, m in matches]
    return sorted(found)


def _of_module(
    module: Module, found: list[tuple[CodeRule, Match]], rules: Sequence[RepositoryRule]
) -> list[Violation]:
    asked = [
        rule
        for rule in CODE_RULES
        if rule is not UNREADABLE  # ruff parses every file already
        and not module.path.startswith(_NOT_IN.get(rule.id, ()))
    ]
    own = [each.rule for each in rules] if module.path.startswith("qstore_ray/") else []
    return check_source(module.path, module.text, [*asked, *own], found, lambda: module.tree)
