"""What is recorded of each attempt at a run: when, on what machine, with which code and packages.

The user's name is not recorded: it is personal data. Whoever wants it in the record writes it as a
tag of the run, `track.tags.user`.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NotRequired, TypedDict

_MOST: Final = 100
_GIT_SECONDS: Final = 2.0


class AttemptEntry(TypedDict):
    """One attempt at a run, as `run.json` holds it.

    Keys:
        started, ended: UTC, ISO 8601; an attempt that was killed has no `ended`.
        machine: system and processor family, without the name of the host.
        packages: SHA-256 of the installed packages, see `packages_digest`.
        commit: of the git work tree that the attempt was started in; it ends in `-dirty` if
            tracked files had changes. Missing outside a work tree, or without git.
    """

    generation: int
    status: str
    started: str
    ended: NotRequired[str]
    versions: dict[str, str]
    machine: str
    packages: str
    commit: NotRequired[str]


def new_attempt(generation: int, started: str, versions: dict[str, str]) -> AttemptEntry:
    """The entry of an attempt that begins now, in this process.

    Examples:
        entry = new_attempt(1, "2026-01-01T00:00:00+00:00", {"python": "3.11.7"})
        assert entry["status"] == "running"
    """
    entry: AttemptEntry = {
        "generation": generation,
        "status": "running",
        "started": started,
        "versions": versions,
        "machine": f"{platform.system()} {platform.machine()}",
        "packages": packages_digest(installed_packages()),
    }
    commit = commit_of(Path.cwd())
    if commit:
        entry["commit"] = commit
    return entry


def with_status(attempts: Sequence[AttemptEntry], status: str) -> list[AttemptEntry]:
    """The entries with the newest one in this status; it has ended unless it is running.

    Only the newest hundred are kept.
    """
    if not attempts:
        return []
    *earlier, last = attempts[-_MOST:]
    if status == "running":
        return [*earlier, {**last, "status": status}]
    return [*earlier, {**last, "status": status, "ended": now()}]


def now() -> str:
    """The time in UTC, ISO 8601, in whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def installed_packages() -> tuple[str, ...]:
    """The packages on this process's path, each as `name-version`, sorted.

    The names are those of the `.dist-info` folders: reading the metadata of a few hundred packages
    would take as long as a small training. Folders inside a package are left out: Ray puts one of
    its own on the path when it is imported, and the list would depend on that.
    """
    folders = [Path(place or ".") for place in sys.path]
    found = {
        each.name.removesuffix(".dist-info")
        for folder in dict.fromkeys(folders)
        if folder.is_dir() and not (folder.parent / "__init__.py").exists()
        for each in folder.glob("*.dist-info")
    }
    return tuple(sorted(found))


def packages_digest(packages: Sequence[str]) -> str:
    """SHA-256 of a sorted list of packages, 64 hex digits.

    Examples:
        assert len(packages_digest(["numpy-2.1.0"])) == 64
    """
    return hashlib.sha256("\n".join(packages).encode()).hexdigest()


def commit_of(folder: Path) -> str:
    """The commit of the git work tree that `folder` is in, 40 hex digits, with `-dirty` if a
    tracked file has changed; "" outside a work tree, without git, or if git takes 2 seconds.
    """
    program = shutil.which("git")
    if program is None:
        return ""
    lockless, *shown = (
        f"--{name}" for name in ("no-optional-locks", "always", "dirty", "abbrev=40", "exclude=*")
    )
    safe = ["-c", "core.fsmonitor=false"]  # a repository's configuration may name a program there
    try:
        done = subprocess.run(  # noqa: S603 - its arguments are ours
            [program, lockless, "-C", str(folder), *safe, "describe", *shown],
            capture_output=True, text=True, check=False, timeout=_GIT_SECONDS,
        )  # fmt: skip
    except (subprocess.TimeoutExpired, OSError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
