"""Which lines are under review: those that changed since a commit, or whole files.

The changes are those between the merge base with the commit and the files as they are on disk, new
files included that git does not ignore. So a review of a branch does not see what others changed on
the main branch meanwhile.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from qstore_ray.errors import DataError, UsageError
from qstore_ray.review.git import GitProject

SUFFIXES: Final = (".py", ".ipynb")
_HUNK = re.compile(r"^@@ -\d+(?:,\d+)? \+(\d+)(?:,(\d+))? @@", re.MULTILINE)
_ESCAPED: Final = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
_ESCAPES: Final = dict(zip(b"abtnvfr", b"\a\b\t\n\v\f\r", strict=True))
_DEEPEN: Final = "The clone is shallow: git fetch --unshallow (actions/checkout: fetch-depth: 0)."
_SKIPPED: Final = {".git", ".venv", "venv", "node_modules", "__pycache__", "build", "dist", ".tox"}


@dataclass(frozen=True)
class ReviewScope:
    """What is under review.

    Args:
        root: the folder that paths are relative to.
        lines: path → its lines under review; None for all of them.
        git: the project, if the folder is under git.
        since: the commit that changes are counted from; empty for whole files.
        notes: what is left out, and why, as sentences.
    """

    root: Path
    lines: Mapping[str, frozenset[int] | None] = field(default_factory=dict)
    git: GitProject | None = None
    since: str = ""
    notes: Sequence[str] = ()

    def has(self, path: str, lines: Iterable[int]) -> bool:
        """Whether any of these lines is under review."""
        if path not in self.lines:
            return False
        changed = self.lines[path]
        return changed is None or not changed.isdisjoint(lines)


def find_scope(folder: Path, named: Sequence[str]) -> ReviewScope:
    """What the words after `qstore review` mean: paths, a commit, or nothing for `HEAD`.

    Raises:
        UsageError: a word that is neither a path nor a commit, or several commits.
        DataError: no Python in the paths.
    """
    if "" in named:
        raise UsageError(
            "an empty word is neither a path nor a commit",
            field="REV",
            value="",
            fix="Give a commit or a path; is a variable of your script not set?",
        )
    paths = [word for word in named if _exists(folder / word)]
    revisions = [word for word in named if word not in paths]
    if paths and not revisions:
        return _of_paths(folder, paths)
    git = GitProject.around(folder)
    for word in revisions:
        if not git.has(word):
            raise _unknown_error(git, word)
    if len(revisions) > 1 or paths:
        raise UsageError(
            "give one commit, or paths",
            field="REV",
            value=" ".join(named),
            fix="qstore review main, or qstore review FILE FOLDER.",
        )
    return _of_changes(git, revisions[0] if revisions else "HEAD")


def python_files(scope: ReviewScope) -> list[str]:
    """All Python files of the project, as paths from its root, sorted.

    Without git these are the files under review alone.
    """
    if scope.git is None:
        return sorted(path for path in scope.lines if path.endswith(".py"))
    listed = scope.git.ask("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    found = {path for path in listed.split("\0") if path.endswith(".py")}
    return sorted(path for path in found if (scope.root / path).is_file())


def _of_paths(folder: Path, paths: Sequence[str]) -> ReviewScope:
    try:
        git: GitProject | None = GitProject.around(folder)
    except UsageError:
        git = None
    root = git.root if git is not None else folder.resolve()
    found: dict[str, frozenset[int] | None] = {}
    for path in paths:
        for file in _files(folder / path):
            whole = file.resolve()
            inside = whole.is_relative_to(root)
            found[(whole.relative_to(root) if inside else whole).as_posix()] = None
    if not found:
        raise DataError(
            "there is no Python file or notebook here",
            field="PATHS",
            value=" ".join(paths),
            fix="Name .py or .ipynb files, or a folder with some.",
        )
    return ReviewScope(root, dict(sorted(found.items())), git)


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for file in sorted(path.rglob("*")):
        is_skipped = not _SKIPPED.isdisjoint(file.relative_to(path).parts)
        if file.suffix in SUFFIXES and not is_skipped and file.is_file():
            yield file


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # longer than a name may be, or with a null character
        return False


def _of_changes(git: GitProject, revision: str) -> ReviewScope:
    if not git.has("HEAD"):  # before the first commit, everything is new
        listed = git.ask("ls-files", "-z", "--cached", "--others", "--exclude-standard")
        new = {path for path in listed.split("\0") if path.endswith(SUFFIXES)}
        there = {path: None for path in sorted(new) if (git.root / path).is_file()}
        return ReviewScope(git.root, there, git)
    base = _merge_base(git, revision)
    # Text, whatever attributes say: `*.ipynb binary` is common, and hides no fault.
    diff = git.ask(
        "diff", "--no-ext-diff", "--no-textconv", "--no-color", "--unified=0",
        "--find-renames", "--inter-hunk-context=0", "--text", "--diff-filter=AMRT",
        "--src-prefix=a/",
        "--dst-prefix=b/", base, "--", *(f"*{suffix}" for suffix in SUFFIXES),
    )  # fmt: skip
    found: dict[str, frozenset[int] | None] = dict(_changed_lines(diff))
    listed = git.ask("ls-files", "-z", "--others", "--exclude-standard")
    for path in listed.split("\0"):
        if path.endswith(SUFFIXES):
            found[path] = None
    places = {path: git.root / path for path in sorted(found)}
    # What a symbolic link leads to is reviewed under its own name, or is not of the project; a
    # folder of this name is another repository in this one.
    own = [path for path, file in places.items() if not file.is_symlink() and not file.is_dir()]
    here = {path: found[path] for path in own if places[path].exists()}
    away = len(own) - len(here)
    notes = [f"{away} changed files are not checked out here (git sparse-checkout)"] * bool(away)
    return ReviewScope(git.root, here, git, base, notes)


def _merge_base(git: GitProject, revision: str) -> str:
    """The commit at which the branch left `revision`."""
    try:
        return git.ask("merge-base", "--end-of-options", revision, "HEAD").strip()
    except UsageError as exc:
        raise UsageError(
            "no commit is an ancestor of both this one and HEAD",
            field="REV",
            value=revision,
            fix=_DEEPEN if git.is_shallow else "Give a commit of the same history.",
        ) from exc


def _changed_lines(diff: str) -> Iterator[tuple[str, frozenset[int]]]:
    """Each file of a diff without context, with the numbers of its new lines."""
    for part in re.split(r"^diff --git ", diff, flags=re.MULTILINE)[1:]:
        named = re.search(r'^\+\+\+ (?:b/(.*?)|"b/(.*)")\t?$', part, re.MULTILINE)
        if named is None:
            continue
        lines: set[int] = set()
        for hunk in _HUNK.finditer(part):
            first, count = int(hunk[1]), int(hunk[2] if hunk[2] is not None else 1)
            # Where lines were only deleted, the lines around them have changed their meaning.
            lines |= set(range(first, first + count)) if count else {first, first + 1}
        yield named[1] or _unquoted(named[2]), frozenset(lines)


def _unquoted(name: str) -> str:
    """A path as git quotes it: octal bytes and the escapes of C."""

    def byte(match: re.Match[bytes]) -> bytes:
        text = match[1]
        return bytes([int(text, 8) if len(text) == 3 else _ESCAPES.get(text[0], text[0])])

    return os.fsdecode(_ESCAPED.sub(byte, os.fsencode(name)))


def _unknown_error(git: GitProject, word: str) -> UsageError:
    hint = (
        f"Check out {word.rpartition('..')[2] or 'HEAD'} and give {word.partition('..')[0]} alone: "
        "the files on disk are reviewed."
        if ".." in word
        else _DEEPEN
        if git.is_shallow
        else "Give a commit that git knows, such as main or HEAD~3, or a path that exists."
    )
    return UsageError("neither a path nor a commit", field="REV", value=word, fix=hint)
