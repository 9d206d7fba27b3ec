"""The scores of the commits that were measured: `history.jsonl`, a line a commit, oldest first."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tools.gates.score.parts import Part, score
from tools.gates.source import ROOT

FILE: Final = Path(__file__).parents[1] / "history.jsonl"
_SECONDS = 60.0


class Scored(NamedTuple):
    """A commit, its date (ISO 8601), its score and the values of its parts."""

    commit: str
    date: str
    score: float
    parts: dict[str, float]


def read_history(file: Path = FILE) -> list[Scored]:
    """All commits that were measured.

    Raises:
        ValueError: a line that is not JSON.
    """
    if not file.exists():
        return []
    return [Scored(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]


def scored(parts: Sequence[Part], root: Path = ROOT) -> Scored:
    """The commit that is checked out in `root`, with these parts.

    Raises:
        CalledProcessError: git fails there.
    """
    commit, date = git(root, "log", "-1", "--format=%h %cI").split()
    values = {part.name: round(part.value, 4) for part in parts}
    return Scored(commit, date, round(score(parts), 2), values)


def add(one: Scored, file: Path = FILE) -> list[Scored]:
    """The history with this commit in it; measured again, a commit keeps its place."""
    history = read_history(file)
    known = [each.commit for each in history]
    if one.commit in known:
        history[known.index(one.commit)] = one
    else:
        history = sorted([*history, one], key=lambda each: each.date)
    lines = [json.dumps(each._asdict()) for each in history]
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return history


def is_clean(root: Path = ROOT) -> bool:
    """Whether the package and its settings are as they were committed.

    Raises:
        CalledProcessError: git fails there.
    """
    return not git(root, "status", "--porcelain", "--", "qstore_ray", "pyproject.toml")


def git(root: Path, *words: str) -> str:
    """What git prints in a folder.

    Raises:
        CalledProcessError: git fails there.
    """
    return subprocess.run(
        ["git", "-C", str(root), "-c", "log.showSignature=false", *words],  # noqa: S607 - the git of who measures
        check=True, capture_output=True, text=True, timeout=_SECONDS,
    ).stdout.strip()  # fmt: skip
