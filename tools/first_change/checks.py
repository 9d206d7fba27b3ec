"""Checks of the work tree. Each returns what is still missing, or "" if the step is done."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAME = "inverse_time"
FILE = "qstore_ray/learn/schedules/inverse_time.py"
LAWS = "tests/laws/test_schedules.py"
GUIDE = "docs/training.md"
RUN = "runs/first-change"
MAIN = ("main", "master")
_SECONDS = 900
_LONGEST = 72
_LAST_LINES, _MOST_LINES = 12, 60
_FLAGS = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")

_TRY = """
from qstore_ray.learn.schedules.inverse_time import InverseTime
from qstore_ray.learn.schedules.curve import Curve
s = InverseTime(gamma=0.5)
assert issubclass(InverseTime, Curve), "InverseTime is not a Curve"
assert InverseTime.__doc__, "InverseTime has no docstring"
for t, f in ((0, 1.0), (1, 2 / 3), (2, 0.5), (6, 0.25)):
    assert abs(s.at(t, 10) - f) < 1e-12, f"f({t}) is {s.at(t, 10)!r}, and not {f!r}"
try:
    InverseTime(gamma=-1.0)
except ValueError:
    pass
else:
    raise AssertionError("a negative gamma is taken")
"""
_LISTED = f"""
from qstore_ray.learn.schedules import SCHEDULES, get_schedule
assert "{NAME}" in list(SCHEDULES), "SCHEDULES does not list {NAME}"
assert get_schedule("{NAME}", {{"gamma": 0.5}}).at(2, 10) == 0.5
"""


def on_a_branch() -> str:
    """Whether the work is on a branch of its own."""
    if not _git("rev-parse", "--git-dir"):
        return f"{ROOT} is no git repository: git clone it"
    name = _git("branch", "--show-current")
    return f"the branch is {name or 'none'}" if name in {"", *MAIN} else ""


def file_written() -> str:
    """Whether the class is there, computes the formula, and refuses what it must."""
    return _python(_TRY) if (ROOT / FILE).is_file() else f"{FILE} does not exist"


def registered() -> str:
    """Whether the name leads to the class."""
    return _python(_LISTED)


def laws_hold() -> str:
    """Whether the laws of schedules run on the new member, and hold."""
    if not re.search(rf'\(\s*"{NAME}"', (ROOT / LAWS).read_text(encoding="utf-8")):
        return f"MEMBERS in {LAWS} does not list {NAME}"
    return _run("-m", "pytest", "-q", "-p", "no:cacheprovider", LAWS, "-k", NAME)


def limit_tested() -> str:
    """Whether a test of its own looks at a limit with a known answer."""
    text = (ROOT / LAWS).read_text(encoding="utf-8")
    found = re.search(rf"^def (test_\w*{NAME}\w*)", text, re.MULTILINE)
    if found is None:
        return f"{LAWS} has no function whose name begins with test_ and contains {NAME}"
    return _run("-m", "pytest", "-q", "-p", "no:cacheprovider", f"{LAWS}::{found[1]}")


def documented() -> str:
    """Whether the table of the guide has the new name."""
    return _run("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit/test_docs.py",
                "-k", "has_its_row and training")  # fmt: skip


def in_changelog() -> str:
    """Whether the changelog names it."""
    known = NAME in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    return "" if known else f"CHANGELOG.md does not mention {NAME}"


def used() -> str:
    """Whether a run was trained with it."""
    file = ROOT / RUN / "config.toml"
    if not file.is_file():
        return f"there is no {RUN}"
    trainer = tomllib.loads(file.read_text(encoding="utf-8")).get("trainer", {})
    if trainer.get("schedule") != NAME:
        return f"{RUN} was trained with the schedule {trainer.get('schedule')!r}"
    return ""


def clean() -> str:
    """Whether lint, format, types and layers are in order."""
    return _command("make", "check", show=of_failed_gates)


def committed() -> str:
    """Whether the change is in one commit whose subject is one short line."""
    if not _git("var", "GIT_AUTHOR_IDENT"):
        return (
            "git does not know your name: git config user.name 'Your Name', and "
            "git config user.email 'you@example.com'"
        )
    if left := _git("status", "--porcelain", "--", "qstore_ray", "tests", "docs", "CHANGELOG.md"):
        return f"not committed: {', '.join(line[3:] for line in left.splitlines())}"
    files = set(_git("show", "--name-only", "--format=", "HEAD").split())
    missing = {FILE, LAWS, GUIDE, "CHANGELOG.md"} - files
    if missing:
        return f"the last commit lacks {', '.join(sorted(missing))}"
    subject = _git("log", "-1", "--format=%s")
    if len(subject) > _LONGEST or subject.endswith("."):
        return f"the subject has {len(subject)} characters: {subject!r}"
    return ""


def _python(code: str) -> str:
    said = _run("-c", code)
    return said.splitlines()[-1].removeprefix("AssertionError: ") if said else ""


def _run(*words: str) -> str:
    return _command(sys.executable, *words)


def of_failed_gates(lines: Sequence[str]) -> str:
    """What the failed gates have printed, of what `make check` prints of all of them."""
    ends = [line for line in lines if line.startswith("failed: ")]
    if not ends:
        return _last(lines)
    shown, failed = [], False
    for line in lines[: lines.index(ends[0])]:
        if gate := re.fullmatch(r"\+ (.+)  \([0-9.]+ s\)", line):
            failed = f"{gate[1]} (exit code" in ends[0]
        if failed:
            shown.append(line)
    return "\n".join([*shown[:_MOST_LINES], *ends])


def _command(*words: str, show: Callable[[Sequence[str]], str] | None = None) -> str:
    """Run a program in the repository; its last lines if it fails, or those that `show` picks."""
    try:
        done = subprocess.run(
            words, cwd=ROOT, env=_environment(), capture_output=True, text=True, check=False,
            timeout=_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"no end after {_SECONDS // 60} minutes: {' '.join(words)}"
    lines = (done.stdout + done.stderr).strip().splitlines()
    picked = (show or _last)(lines)
    return "" if done.returncode == 0 else picked or f"exit code {done.returncode}"


def _environment() -> dict[str, str]:
    """Without what `make -n`, `make -s` or `make -j` of the caller would say to a make of ours."""
    return {name: value for name, value in os.environ.items() if name not in _FLAGS}


def _last(lines: Sequence[str]) -> str:
    return "\n".join(lines[-_LAST_LINES:])


def _git(*words: str) -> str:
    command = ["git", "-c", "log.showSignature=false", "-c", "core.quotePath=false", *words]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    return done.stdout.strip("\n")
