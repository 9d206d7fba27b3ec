"""Breaks of the public API since the last release, found by griffe without importing anything.

Compared are the names that `qstore_ray` exports (`_EXPORTS`), where they are defined: a removed
name or argument, a new required one, another default, another kind of value. The base is the last
tag; as long as there is none, it is the commit in `API_BASE`, and the report says so. What was
broken on purpose is listed in CHANGELOG.md under "Breaking", by its path.
"""

from __future__ import annotations

import ast
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from tools.gates.score.history import git
from tools.gates.source import ROOT

PACKAGE: Final = "qstore_ray"
API_BASE: Final = "9b98f4ad"
"""The commit that is compared with before the first release."""

_RELEASE: Final = "v[0-9]*"


class Base(NamedTuple):
    """What is compared with: a revision of git, and whether it is a release."""

    revision: str
    is_release: bool


class Break(NamedTuple):
    """One break: the dotted path, the file, the line today, and what happened."""

    path: str
    file: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.path}: {self.what}"


def base_of(root: Path = ROOT, without_release: str = API_BASE) -> Base:
    """The newest tag of a release that the present commit descends from.

    Raises:
        CalledProcessError: git fails there.
    """
    tags = git(root, "tag", "--merged", "HEAD", "--list", _RELEASE, "--sort=-v:refname").split()
    return Base(tags[0], is_release=True) if tags else Base(without_release, is_release=False)


def breaks_since(base: str, root: Path = ROOT, package: str = PACKAGE) -> list[Break]:
    """The breaks of what the package exports, sorted by path.

    Raises:
        CalledProcessError: the revision is not there.
        ImportError: griffe is not installed.
    """
    import griffe

    git(root, "rev-parse", "--verify", "--quiet", f"{base}^{{commit}}")
    with tempfile.TemporaryDirectory() as folder:
        _unpack(base, root, package, folder)
        before, now = (
            # A relative path would be looked for in the present folder first.
            griffe.load(package, search_paths=[at], allow_inspection=False, try_relative_path=False)
            for at in (folder, str(root))
        )
        exported = _exported(before)
        found = {
            _as_break(each, root)
            for each in griffe.find_breaking_changes(before, now)
            if _is_public(each.obj.path, exported)
        }
    return sorted(found)


def _unpack(base: str, root: Path, package: str, folder: str) -> None:
    """The package as it was, in a folder."""
    packed = Path(folder) / "package.tar"
    git(root, "archive", f"--output={packed}", base, "--", package)
    with tarfile.open(packed) as archive:
        archive.extractall(folder, filter="data")


def _exported(module: Any) -> set[str]:
    """Dotted paths, at their homes, of what the package exported; empty: all of it counts."""
    table = module.members.get("_EXPORTS")
    if table is None or table.value is None:
        return set()
    homes = ast.literal_eval(str(table.value))
    return {f"{home}.{name}" for name, home in homes.items()}


def _is_public(path: str, exported: set[str]) -> bool:
    if any(part.startswith("_") for part in path.split(".")):
        return False
    parents = {path[: match.start()] for match in re.finditer(r"[.(]", path)} | {path}
    return not exported or bool(parents & exported)


def _as_break(each: Any, root: Path) -> Break:
    obj = each.obj
    words = re.sub(r"\x1b\[[0-9;]*m", "", each.explain()).strip()
    file = Path(str(obj.filepath))
    name = file.relative_to(root) if file.is_relative_to(root) else Path(*_below(file))
    what = words.split(": ", 1)[-1].replace("\n", " ")
    return Break(obj.path, name.as_posix(), obj.lineno or 1, what)


def _below(file: Path) -> Iterator[str]:
    """The parts of a path of the old checkout, from the package on."""
    parts = file.parts
    yield from parts[parts.index(PACKAGE) :] if PACKAGE in parts else parts[-1:]


def announced(changelog: str) -> set[str]:
    """Paths that a section "Breaking" of the changelog names."""
    sections = re.findall(r"^#+\s*Breaking\s*$(.*?)(?=^#|\Z)", changelog, re.MULTILINE | re.DOTALL)
    return {path for section in sections for path in re.findall(r"`([\w.()]+)`", section)}


def check_api(root: Path = ROOT) -> int:
    """Print the breaks that the changelog does not announce; 1 if there are any."""
    base = base_of(root)
    kind = "the last release" if base.is_release else "a commit, since nothing is released yet"
    print(f"Compared with {base.revision}: {kind}.")
    try:
        found = breaks_since(base.revision, root)
    except subprocess.CalledProcessError as exc:
        print(f"{base.revision} is not in this clone: {exc.stderr or exc}. Fetch the history.")
        return 1
    known = announced((root / "CHANGELOG.md").read_text(encoding="utf-8"))
    left = [each for each in found if each.path not in known]
    print(*left, sep="\n", end="\n" if left else "")
    print(f"{len(found)} breaks, {len(found) - len(left)} of them announced.")
    return 1 if left else 0
