"""The copy of the repository in which the mutants live; the checkout itself is never changed."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_BUILT = "qstore_ray/simulate/*.so"
_LADDER = (
    *("circuits", "simulate", "backends", "learn", "track", "train", "federated", "tune", "job"),
    *("estimator", "serve", "cli"),
)
"""Rooms from below to above, as far as laws import them."""


def folder(given: str | None) -> Path:
    """Where the copy and the verdicts are kept from run to run: one place for each checkout."""
    if given:
        return Path(given)
    mark = hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]
    return Path(tempfile.gettempdir()) / f"qstore-mutation-{mark}"


def refresh(target: Path) -> None:
    """Fill `target` with the files of the checkout that git does not ignore, and the kernels."""
    shutil.rmtree(target, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],  # noqa: S607
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=60.0,
    ).stdout
    names = [name for name in listed.split("\0") if name and (ROOT / name).is_file()]
    names += [built.relative_to(ROOT).as_posix() for built in ROOT.glob(_BUILT)]
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name)


def sources(prefix: str) -> list[str]:
    """The Python files below `prefix`, which is a folder or a file without its suffix."""
    start = ROOT / "qstore_ray" / prefix
    files = start.rglob("*.py") if start.is_dir() else [start.with_suffix(".py")]
    found = sorted(each.relative_to(ROOT).as_posix() for each in files if each.is_file())
    if not found:
        message = (
            f"{prefix!r} is no folder and no module of qstore_ray; for example learn/schedules"
        )
        raise SystemExit(message)
    return found


def tests(target: str) -> list[str]:
    """The test files for a target: those of its room, and the laws that import it.

    A law that also imports a room above the target's is left out: it tests the upper room, often by
    a whole training, and thousands of mutants would wait for it.
    """
    room = target.partition("/")[0]
    above = "|".join(_LADDER[_LADDER.index(room) + 1 :])
    uses, tests_above = (
        re.compile(rf"^\s*(?:from|import) qstore_ray\.(?:{rooms})\b", re.MULTILINE)
        for rooms in (target.removesuffix(".py").replace("/", r"\."), above)
    )
    found = sorted((ROOT / "tests" / "unit" / room).glob("test_*.py"))
    found += [
        each
        for each in sorted((ROOT / "tests" / "laws").glob("test_*.py"))
        if uses.search(text := each.read_text()) and not tests_above.search(text)
    ]
    return [each.relative_to(ROOT).as_posix() for each in found]


def digest(path: Path) -> str:
    """A short hash of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def helpers_digest(root: Path, functions: list[str]) -> str:
    """A short hash of what tests share (conftest.py, strategies, …), and of `functions`.

    A test file that stays the same asserts something else if a helper changes, and may call a
    function that is new.
    """
    found = hashlib.sha256("\n".join(functions).encode())
    for path in sorted((root / "tests").rglob("*.py")):
        if not path.name.startswith("test_"):
            found.update(path.read_bytes())
    return found.hexdigest()[:6]
