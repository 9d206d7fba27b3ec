"""One release at a time in a repository, and repair of what a killed one left.

The file `release.lock` in git's folder is locked (flock) while a release runs, and is not empty.
The kernel unlocks it when the process dies. So a file that is unlocked and not empty means that the
last release was killed. It may have left:

    another checkout with its builds    removed: git has its path
    a lock file of git                  removed, if it is younger than that release
    a branch that had begun to move     moved, if each changed file has bytes of one of both commits
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tools.release.errors import ReleaseError
from tools.release.repository import SCRATCH, Repository

_LOCKS = ("index.lock", "HEAD.lock", "ORIG_HEAD.lock", "packed-refs.lock")


@dataclass(frozen=True)
class Running:
    """The release that runs: its repository, and the open file `release.lock`."""

    repository: Repository
    lock: BinaryIO

    def forward(self, commit: str) -> None:
        """Move the checkout to a commit that follows it; a kill on the way can be repaired."""
        self._note(f"{self.repository.git('rev-parse', 'HEAD')} {commit}")
        self.repository.forward(commit)
        self._note("running")

    def begin(self) -> None:
        """Repair what a killed release left."""
        self.lock.seek(0)
        if words := self.lock.read().decode().split():
            started = (self.repository.folder / "release.lock").stat().st_mtime
            _remove_checkouts(self.repository.folder)
            _remove_locks(self.repository.folder, started)
            if len(words) == 2:
                _finish_move(self.repository, *words)
        self._note("running")

    def end(self) -> None:
        """Note that nothing is left to repair, unless an error ended a move of the branch."""
        self.lock.seek(0)
        if self.lock.read() == b"running":
            self.lock.truncate(0)

    def _note(self, text: str) -> None:
        self.lock.truncate(0)  # it is open for appending
        self.lock.write(text.encode())
        self.lock.flush()


@contextmanager
def one_at_a_time(repository: Repository) -> Iterator[Running]:
    """Lock the repository, and repair it if the last release was killed.

    `ReleaseError` if another release runs.
    """
    with (repository.folder / "release.lock").open("a+b") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ReleaseError(
                "another release runs in this repository: wait until it ends, and type this again"
            ) from None
        running = Running(repository, lock)
        running.begin()
        try:
            yield running
        finally:
            running.end()


def _remove_checkouts(folder: Path) -> None:
    """Checkouts of releases. One that git had only begun to add is locked, so prune keeps it."""
    for known in (folder / "worktrees").glob("*"):
        path = known / "gitdir"
        where = Path(path.read_text("utf-8").strip()) if path.is_file() else None
        begun = known / "locked"
        if where is None or where == Path():
            stale = begun.is_file() and "initializing" in begun.read_text("utf-8")
        else:
            stale = where.parent.parent.name.startswith(SCRATCH)
            if stale:
                shutil.rmtree(where.parent.parent, ignore_errors=True)
        if stale:
            shutil.rmtree(known)


def _remove_locks(folder: Path, started: float) -> None:
    """Lock files of git from the time of that release: git removes its own unless it is killed."""
    for lock in (*(folder / name for name in _LOCKS), *(folder / "refs").rglob("*.lock")):
        if lock.is_file() and lock.stat().st_mtime >= started:
            lock.unlink()


def _finish_move(repository: Repository, old: str, new: str) -> None:
    """Move the branch from the commit `old` to `new`, unless someone has changed a file since."""
    if repository.git("rev-parse", "HEAD") not in {old, new}:
        return
    moved = set(repository.git("diff", "--name-only", "--no-renames", "-z", old, new).split("\0"))
    changed = repository.changed()
    if set(changed) <= moved and all(
        _is_on_its_way(repository, path, old, new) for path in changed
    ):
        repository.git("reset", "--hard", "--quiet", new)


def _is_on_its_way(repository: Repository, path: str, old: str, new: str) -> bool:
    """True if a file is that of one commit, is absent, or is the beginning of the new one."""
    file = repository.root / path
    content = file.read_bytes() if file.is_file() else b""
    return content == repository.content(old, path) or repository.content(new, path).startswith(
        content
    )
