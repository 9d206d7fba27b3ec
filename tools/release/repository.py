"""The calls of git. Commits are made in worktrees; the checkout moves forward at the end."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from packaging.version import InvalidVersion, Version

from tools.release.errors import ReleaseError

SCRATCH = "tools-release-"
"""How the name of the folder of a release's checkout begins."""

_SAME = tuple(
    word
    for setting in (
        "core.hooksPath=/dev/null", "core.autocrlf=false", "core.eol=lf", "column.ui=never",
        "log.showSignature=false", "status.showUntrackedFiles=normal",
    )
    for word in ("-c", setting)
)  # fmt: skip
"""What hooks and settings of the one who releases must not change: commits, bits, answers."""

_ELSEWHERE = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY",
    "GIT_NAMESPACE", "GIT_PREFIX",
)  # fmt: skip
"""Where git looks instead of in the folder it is called in; a hook or `rebase --exec` sets them."""


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}


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

    @property
    def folder(self) -> Path:
        """Git's own folder, the same for all checkouts."""
        return self.root / self.git("rev-parse", "--git-common-dir")

    def git(self, *words: str) -> str:
        """What a command of git prints. `ReleaseError` with git's own words if it fails."""
        return self._output(*words).decode("utf-8", "replace").strip("\n")

    def content(self, commit: str, path: str) -> bytes:
        """The bytes of a file in a commit, none if it is not there."""
        listed = self.git("ls-tree", commit, "--", path)
        return self._output("cat-file", "blob", f"{commit}:{path}") if listed else b""

    def _output(self, *words: str) -> bytes:
        done = subprocess.run(
            ["git", *_SAME, *words],
            cwd=self.root, env=_environment(), capture_output=True, check=False, timeout=300.0,
        )  # fmt: skip
        if done.returncode:
            said = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
            raise ReleaseError(f"git {' '.join(words)}: {said}")
        return done.stdout

    def changed(self) -> list[str]:
        """The files that are not committed, new ones too."""
        listed = self.git("-c", "status.renames=false", "status", "--porcelain", "-z")
        return [line[3:] for line in listed.split("\0") if line]

    def refuse_unless_clean(self, branch: str) -> None:
        """`ReleaseError` if files are not committed, or for another branch or a shallow clone."""
        if changed := self.changed():
            names = ", ".join(changed[:5])
            raise ReleaseError(f"not committed: {names}; commit it, or git stash -u")
        here = self.git("branch", "--show-current")
        if here != branch:
            raise ReleaseError(
                f"releases are made from {branch}, not {here or 'no branch'}: git switch {branch}"
            )
        if self.git("rev-parse", "--is-shallow-repository") == "true":
            raise ReleaseError(
                "this is a shallow clone, which lacks releases: git fetch --unshallow --tags"
            )

    def versions(self) -> list[Version]:
        """All versions that have a tag."""
        tags = self.git("tag", "--list", "v[0-9]*").split()
        return [version for tag in tags if (version := _version(tag)) is not None]

    def has_tag(self, version: str) -> bool:
        """True if this version has a tag."""
        return bool(self.git("tag", "--list", f"v{version}"))

    def apart(self, revision: str) -> tuple[int, int]:
        """How many commits of a revision the checkout lacks, and how many it has beside them."""
        counts = self.git("rev-list", "--left-right", "--count", f"{revision}^{{commit}}...HEAD")
        missing, more = map(int, counts.split())
        return missing, more

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
            self.verify_tag(version, signers)
        except ReleaseError:
            self.git("tag", "--delete", f"v{version}")
            raise

    def verify_tag(self, version: str, signers: Path) -> None:
        """`ReleaseError` if the tag of a version is not signed by a key that may sign."""
        allowed = f"gpg.ssh.allowedSignersFile={signers}"
        self.git("-c", allowed, "tag", "--verify", f"v{version}")

    @contextmanager
    def worktree(self, revision: str) -> Iterator[Path]:
        """Another checkout of a revision, on no branch, removed in the end."""
        folder = Path(tempfile.mkdtemp(prefix=SCRATCH))
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
        with subprocess.Popen(
            words, cwd=self.root, env=_environment(), stdout=subprocess.PIPE
        ) as archive:
            assert archive.stdout is not None
            with tarfile.open(fileobj=archive.stdout, mode="r|") as tar:
                tar.extractall(into, filter="data")
        if archive.returncode:
            raise ReleaseError(f"git archive {commit} failed")
