"""A review: every check over what is under review, and what could not be checked."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from qstore_ray.errors import DataError
from qstore_ray.review.changes import ReviewScope, find_scope, python_files
from qstore_ray.review.complexity import find_complex
from qstore_ray.review.duplicates import find_duplicates
from qstore_ray.review.flaw import LEVELS, Flaw, Level
from qstore_ray.review.levels import level_of
from qstore_ray.review.line_history import find_often_fixed
from qstore_ray.review.notebook import code_of
from qstore_ray.review.rules import check_source
from qstore_ray.review.source import SourceFile, physical_lines, read_text
from qstore_ray.review.training import check_training


@dataclass(frozen=True, kw_only=True)
class ReviewOptions:
    """What is checked beside the rules.

    Args:
        most_paths: of a function; more are reported. None leaves the check out.
        duplicates: whether lines are compared with the rest of the project.
        history_seconds: for the history of all changed functions; 0 leaves it out.
    """

    most_paths: int | None = 15
    duplicates: bool = True
    history_seconds: float = 10.0


@dataclass(frozen=True)
class ReviewResult:
    """What a review has found.

    Args:
        flaws: by path and line.
        notes: what was not checked, and why, as sentences.
        files: how many were reviewed. lines: how many of their lines were under review.
        since: the commit that changes are counted from; empty for whole files.
        texts: the lines of the files that could be read, as they are on disk.
    """

    flaws: Sequence[Flaw]
    notes: Sequence[str] = ()
    files: int = 0
    lines: int = 0
    since: str = ""
    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def counts(self) -> dict[Level, int]:
        """How many flaws there are of each level, worst first."""
        found = Counter(flaw.level for flaw in self.flaws)
        return {level: found[level] for level in LEVELS}

    def worse_than(self, level: Level) -> list[Flaw]:
        """The flaws of this level, and worse ones."""
        return [flaw for flaw in self.flaws if LEVELS.index(flaw.level) <= LEVELS.index(level)]

    def only(self, flaws: Sequence[Flaw]) -> ReviewResult:
        """The same review with these flaws alone."""
        return replace(self, flaws=flaws)

    def with_flaws(self, more: Sequence[Flaw]) -> ReviewResult:
        """The same review with more flaws, in order."""
        return replace(self, flaws=_ordered([*self.flaws, *more]))


@dataclass
class _Reading:
    """The files under review, read once."""

    sources: dict[str, SourceFile] = field(default_factory=dict)
    texts: dict[str, Sequence[str]] = field(default_factory=dict)
    flaws: list[Flaw] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    whole: list[str] = field(default_factory=list)
    """Notebooks whose lines are not those of their file, so changed lines mean nothing."""

    def widened(self, scope: ReviewScope) -> ReviewScope:
        """The scope with every line of such notebooks."""
        return replace(scope, lines={**scope.lines, **dict.fromkeys(self.whole)})


def review(
    folder: Path, named: Sequence[str], options: ReviewOptions | None = None
) -> ReviewResult:
    """Review what `named` means in `folder`: paths, a commit, or nothing for the last commit.

    No code that is read is run or imported.

    Raises:
        UsageError: neither a path nor a commit, or no git.
        DataError: no Python in the paths.
        BackendError: git or ruff fails.
    """
    return review_scope(find_scope(folder, named), options or ReviewOptions())


def review_scope(scope: ReviewScope, options: ReviewOptions) -> ReviewResult:
    """As `review`, of a scope that was found before.

    Raises:
        BackendError: git or ruff fails.
    """
    reading = _read(scope)
    scope = reading.widened(scope)
    found = [*reading.flaws, *(each for each in _by_rules(reading) if _is_asked(scope, each))]
    notes = [*scope.notes, *reading.notes]
    if options.duplicates:
        found += find_duplicates(scope, dict(_texts(scope)))
    if options.most_paths is not None:
        many = find_complex(scope.root, sorted(reading.sources), options.most_paths)
        if many is None:
            notes.append("complexity is not checked: ruff is not installed (pip install ruff)")
        found += _heads(scope, reading, many or [])
    if options.history_seconds > 0.0:
        history = find_often_fixed(scope, reading.sources, options.history_seconds)
        found += history.flaws
        if scope.git is None:
            notes.append("the history is not checked: the files are not under git")
        elif history.looked_at < history.functions:
            notes.append(
                f"the history of {history.looked_at} of {history.functions} functions is checked: "
                f"{options.history_seconds:g} s were over"
            )
    lines = sum(
        len(reading.sources[path].lines if asked is None else asked)
        for path, asked in scope.lines.items()
        if path in reading.sources
    )
    flaws = _ordered(found)
    return ReviewResult(flaws, notes, len(scope.lines), lines, scope.since, reading.texts)


def lines_under_review(scope: ReviewScope) -> dict[str, dict[int, str]]:
    """Each file under review → the number and text of its lines that are."""
    reading = _read(scope)
    scope = reading.widened(scope)
    return {
        path: {
            number: text
            for number, text in enumerate(source.lines, start=1)
            if text.strip() and scope.has(path, (number,))
        }
        for path, source in reading.sources.items()
    }


def _ordered(flaws: Sequence[Flaw]) -> list[Flaw]:
    return sorted(flaws, key=lambda flaw: (flaw.path, flaw.line, flaw.rule))


def _read(scope: ReviewScope) -> _Reading:
    reading = _Reading()
    for path in scope.lines:
        try:
            text = read_text(scope.root / path, path)
            reading.texts[path] = physical_lines(text)
            if path.endswith(".ipynb"):
                text, is_placed = code_of(path, text)
                if not is_placed:
                    reading.whole.append(path)
            reading.sources[path] = SourceFile(path, text)
        except DataError as exc:
            line = exc.row if isinstance(exc.row, int) else 1
            reading.flaws.append(
                Flaw(
                    rule="QS100", level="error", path=path, line=line, end_line=line,
                    message=exc.message, rewrite=exc.fix,
                )
            )  # fmt: skip
    return reading


def _by_rules(reading: _Reading) -> Iterator[Flaw]:
    for path, source in reading.sources.items():
        yield from check_training(source)
        for violation in check_source(path, source.text):
            yield Flaw(
                rule=violation.rule,
                level=level_of(violation, source),
                path=path,
                line=violation.line,
                end_line=violation.line,
                message=violation.message,
                rewrite=violation.suggestion,
            )


def _is_asked(scope: ReviewScope, flaw: Flaw) -> bool:
    return scope.has(flaw.path, flaw.lines)


def _heads(scope: ReviewScope, reading: _Reading, found: Sequence[Flaw]) -> Iterator[Flaw]:
    """The complex functions of which any line is under review."""
    ends = {
        (path, node.lineno): node.end_lineno or node.lineno
        for path, source in reading.sources.items()
        for node in source.nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    for flaw in found:
        last = ends.get((flaw.path, flaw.line), flaw.line)
        if scope.has(flaw.path, range(flaw.line, last + 1)):
            yield flaw


def _texts(scope: ReviewScope) -> Iterator[tuple[str, str]]:
    """The texts of the project's Python files; one that cannot be read has no duplicates."""
    for path in python_files(scope):
        try:
            yield path, read_text(scope.root / path, path)
        except DataError:
            continue
