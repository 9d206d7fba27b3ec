"""What git knows of a project, asked by its own command, each call with a time limit.

Nothing is written, not even a refreshed index, and no hook, pager or external diff is run: what is
only reviewed must not run what its own configuration names.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

from qstore_ray.errors import MissingDependencyError, TransientError, UsageError, last_line

_SECONDS: Final = 60.0
_QUIET: Final = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_PAGER": "cat",
    "LC_ALL": "C",
}
_SAFE: Final = (
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "diff.external=",
    "-c",
    "core.quotePath=false",
    "-c",
    "log.showSignature=false",
)
_AMBIENT: Final = ("GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_ICASE_PATHSPECS")
"""Variables that would change what a path among the arguments means."""


class GitProject:
    """A folder under git.

    Args:
        root: the top of its working tree.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def around(cls, folder: Path) -> GitProject:
        """The project that a folder is part of.

        Raises:
            UsageError: the folder is in no working tree.
            MissingDependencyError: git is not installed.
        """
        try:
            found = _git(folder, "rev-parse", "--show-toplevel")
        except UsageError as exc:
            if "dubious ownership" in exc.message:
                raise UsageError(
                    "another user owns this repository, so git refuses to read it",
                    field="folder",
                    value=str(folder),
                    fix=f"If you trust it: git config --global --add safe.directory {folder}",
                ) from exc
            if "must be run in a work tree" in exc.message:
                raise UsageError(
                    "this repository has no files to review: it is bare",
                    field="folder",
                    value=str(folder),
                    fix="git worktree add ../tree, and review there.",
                ) from exc
            raise UsageError(
                "this folder is not under git, so nothing is known of changes",
                field="folder",
                value=str(folder),
                fix="Name the files to review: qstore review FILE …",
            ) from exc
        return cls(Path(found.rstrip("\n")))

    @property
    def is_shallow(self) -> bool:
        """Whether the clone lacks the history before some commit."""
        return self.ask("rev-parse", "--is-shallow-repository").strip() == "true"

    def ask(self, *arguments: str, seconds: float = _SECONDS) -> str:
        """What a git command prints.

        Raises:
            UsageError: git refuses; its reason is the message.
            TransientError: it took longer than `seconds`.
        """
        return _git(self.root, *arguments, seconds=seconds)

    def has(self, revision: str) -> bool:
        """Whether a text names a commit."""
        if "\0" in revision:
            return False
        try:
            self.ask(
                "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"
            )
        except UsageError:
            return False
        return True


def _git(folder: Path, *arguments: str, seconds: float = _SECONDS) -> str:
    command = ["git", *_SAFE, *arguments]
    try:
        done = subprocess.run(  # noqa: S603 - git, with arguments that no shell reads
            command,
            cwd=folder,
            env={name: os.environ[name] for name in os.environ if name not in _AMBIENT} | _QUIET,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError as exc:
        raise MissingDependencyError(
            "a review of changes needs git, which is not installed",
            field="git",
            fix="Install git, or name the files to review: qstore review FILE …",
        ) from exc
    except subprocess.TimeoutExpired as exc:
        raise TransientError(
            f"git {arguments[0]} took longer than {seconds:g} s",
            fix="Review fewer files, or another range of commits.",
        ) from exc
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace")
        reason = next((line for line in said.splitlines() if "dubious ownership" in line), "")
        raise UsageError(
            f"git {arguments[0]} failed: {reason or last_line(said) or 'without a reason'}",
            field="git",
            fix="Check the revision and the folder.",
        )
    # As the system codes names of files, and with every carriage return: both are parts of names.
    return os.fsdecode(done.stdout)
