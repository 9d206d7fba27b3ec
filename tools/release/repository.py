"""The calls of git. Commits are made in worktrees; the checkout moves forward at the end."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from packaging.version import InvalidVersion, Version

from tools.release.errors import ReleaseError

_SAME = tuple(
    word
    for setting in (
        "core.hooksPath=/dev/null", "core.autocrlf=false", "core.eol=lf", "column.ui=never",
        "log.showSignature=false", "status.showUntrackedFiles=normal",
    )
    for word in ("-c", setting)
)  # fmt: skip
"""What hooks and settings of the one who releases must not change: commits, bits, answers."""


def _version(tag: str) -> Version | None:
    """The version of a tag; None if its name is none, such as `v2-notes`."""
    try:
        return Version(tag[1:])
    except InvalidVersion:
        return None


@dataclass(frozen=True)
class Repository:
    """The git repository of a checkout."""

    root: Path

    def git(self, *words: str, environment: Mapping[str, str] | None = None) -> str:
        """What a command of git prints. `ReleaseError` with git's own words if it fails."""
        done = subprocess.run(
            ["git", *_SAME, *words],
            cwd=self.root, capture_output=True, text=True, check=False, timeout=300.0,
            env={**os.environ, **(environment or {})},
        )  # fmt: skip
        if done.returncode:
            raise ReleaseError(f"git {' '.join(words)}: {(done.stderr or done.stdout).strip()}")
        return done.stdout.strip()

    def refuse_unless_clean(self, branch: str) -> None:
        """`ReleaseError` if anything is not committed, or another branch is checked out."""
        if changed := self.git("status", "--porcelain"):
            names = ", ".join(line[3:] for line in changed.splitlines()[:5])
            raise ReleaseError(f"not committed: {names}; commit it, or git stash -u")
        here = self.git("branch", "--show-current")
        if here != branch:
            raise ReleaseError(
                f"releases are made from {branch}, not {here or 'no branch'}: git switch {branch}"
            )

    def versions(self) -> list[Version]:
        """All versions that have a tag."""
        tags = self.git("tag", "--list", "v[0-9]*").split()
        return [version for tag in tags if (version := _version(tag)) is not None]

    def has_tag(self, version: str) -> bool:
        """True if this version has a tag."""
        return bool(self.git("tag", "--list", f"v{version}"))

    def leads_to(self, revision: str) -> bool:
        """True if the checkout is at a commit, or before it."""
        try:
            self.git("merge-base", "--is-ancestor", "HEAD", f"{revision}^{{commit}}")
        except ReleaseError:
            return False
        return True

    def tracked(self, folder: str) -> list[str]:
        """The files of a folder that git knows."""
        return self.git("ls-files", "-z", "--", folder).strip("\0").split("\0")

    def commit(self, subject: str) -> str:
        """Commit all changes; the new commit."""
        self.git("add", "--all")
        self.git("commit", "--no-verify", "--quiet", "-m", subject)
        return self.git("rev-parse", "HEAD")

    def seconds_of(self, commit: str) -> int:
        """When a commit was made, in seconds since 1970."""
        return int(self.git("log", "-1", "--format=%ct", commit))

    def forward(self, commit: str) -> None:
        """Move the checkout to a commit that follows it."""
        self.git("merge", "--ff-only", "--quiet", commit)

    def tag(self, version: str, commit: str, message: str, key: Path, signers: Path) -> None:
        """An annotated tag, signed with the key that signs the checksums."""
        sign = ("-c", "gpg.format=ssh", "-c", f"user.signingkey={key}")
        self.git(*sign, "tag", "--sign", "-m", message, f"v{version}", commit)
        try:
            allowed = f"gpg.ssh.allowedSignersFile={signers}"
            self.git("-c", allowed, "tag", "--verify", f"v{version}")
        except ReleaseError:
            self.git("tag", "--delete", f"v{version}")
            raise

    @contextmanager
    def worktree(self, revision: str) -> Iterator[Path]:
        """Another checkout of a revision, on no branch, removed in the end."""
        folder = Path(tempfile.mkdtemp(prefix="release-"))
        try:
            self.git("worktree", "add", "--quiet", "--detach", str(folder / "tree"), revision)
            yield folder / "tree"
        finally:
            shutil.rmtree(folder)
            self.git("worktree", "prune")

    def unpack(self, commit: str, into: Path) -> None:
        """The files of a commit, and nothing else, in a folder."""
        into.mkdir(parents=True)
        words = ["git", *_SAME, "archive", "--format=tar", commit]
        with subprocess.Popen(words, cwd=self.root, stdout=subprocess.PIPE) as archive:
            assert archive.stdout is not None
            with tarfile.open(fileobj=archive.stdout, mode="r|") as tar:
                tar.extractall(into, filter="data")
        if archive.returncode:
            raise ReleaseError(f"git archive {commit} failed")
