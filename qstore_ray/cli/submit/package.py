"""The files that go with a job, in one zip file: those that git tracks, without `.rayignore`'s."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from qstore_ray.errors import ResourceError, UsageError

LIMIT: Final = 100 * 2**20
"""Bytes that the job server of Ray takes in one request."""
_SHOWN: Final = 5
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_GIT_SECONDS: Final = 60.0
_IGNORE: Final = ".rayignore"
"""Patterns as in `.gitignore`, by which Ray, too, leaves out files of the folder that it takes."""


@dataclass(frozen=True)
class Package:
    """The files of a job.

    Attributes:
        root: the folder in which the job runs.
        files: relative to `root`.
        job: the job file, relative to `root`.
        tracked: the files are those that git tracks, without those of `.rayignore`; otherwise the
            job file and what it names.
    """

    root: Path
    files: tuple[Path, ...]
    job: Path
    tracked: bool

    def write(self, path: Path) -> int:
        """Write the zip file; its bytes. The same files make the same bytes.

        Raises:
            ResourceError: it is larger than Ray's job server takes.
        """
        packed = {}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in self.files:
                entry = zipfile.ZipInfo(file.as_posix(), date_time=_EPOCH)
                entry.external_attr = ((self.root / file).stat().st_mode & 0o777) << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                with (self.root / file).open("rb") as source, archive.open(entry, "w") as target:
                    shutil.copyfileobj(source, target)
                packed[file] = archive.getinfo(file.as_posix()).compress_size
        size = path.stat().st_size
        if size >= LIMIT:
            largest = sorted(packed, key=lambda file: -packed[file])[:_SHOWN]
            named = ", ".join(f"{file} {_mib(packed[file])}" for file in largest)
            raise ResourceError(
                f"the files of the job are {_mib(size)} in a zip file, Ray takes {_mib(LIMIT)}",
                field="job",
                value=named,
                fix=f"Keep large files outside git, or name them in {_IGNORE}; put data of the job "
                "into storage that all nodes of the cluster reach.",
            )
        return size


def package_of(job: Path) -> Package:
    """What goes with a job file: the files of its git work tree that git tracks.

    `.rayignore` at the root of the tree leaves some of them out. Outside a git work tree: the job
    file, and the files below its folder that it names.

    Raises:
        UsageError: the job file is in a git work tree, and git does not track it, or `.rayignore`
            leaves it out.
    """
    file = job.resolve()
    root = _git(file.parent, "rev-parse", "--show-toplevel")
    if root is None:
        named = (path.relative_to(file.parent) for path in _named(file))
        files = (Path(file.name), *named)
        return Package(file.parent, tuple(dict.fromkeys(files)), Path(file.name), tracked=False)
    top = Path(root.rstrip("\n")).resolve()
    tracked, ignored = _tracked(top), _ignored(top)
    mine = file.relative_to(top)
    if mine in ignored:
        raise UsageError(
            f"{_IGNORE} leaves the job file out, so it would not go with the job",
            field="job",
            value=str(job),
            fix=f"Add a line !/{mine.as_posix()} to {top / _IGNORE}, or move the job file.",
        )
    files = tuple(sorted(path for path in tracked - ignored if _kept(top, path)))
    if mine not in files:
        raise UsageError(
            "git does not track the job file, so it would not go with the job",
            field="job",
            value=str(job),
            fix=f"git add {job}",
        )
    return Package(top, files, mine, tracked=True)


def _tracked(root: Path, *words: str) -> set[Path]:
    """The files that git tracks and that `words` of `git ls-files` select."""
    listed = _git(root, "ls-files", "-z", "--cached", *words) or ""
    return {Path(name) for name in listed.split("\0") if name}


def _ignored(root: Path) -> set[Path]:
    """Those of the tracked files that `.rayignore` names."""
    file = root / _IGNORE
    return _tracked(root, "--ignored", f"--exclude-from={file}") if file.is_file() else set()


def _kept(root: Path, path: Path) -> bool:
    """Whether it is a file of the work tree: not deleted, no submodule, no link out of it."""
    file = root / path
    return file.is_file() and file.resolve().is_relative_to(root)


def _named(job: Path) -> Iterator[Path]:
    """The files below the folder of a job file that its values name."""
    import tomllib

    from qstore_ray.errors import ConfigError

    try:
        tables = tomllib.loads(job.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise ConfigError(
            f"the job file cannot be read: {exc}", field="job", value=str(job),
            fix="Write a TOML file, such as jobs/digits.toml.",
        ) from exc  # fmt: skip
    for text in _texts(tables):
        path = job.parent / text
        inside = path.resolve().is_relative_to(job.parent)
        if text and "\0" not in text and inside and path.is_file():
            yield path.resolve()


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, Sequence):
        for inner in value:
            yield from _texts(inner)


def _git(folder: Path, *words: str) -> str | None:
    """What git prints there; None outside a work tree, and on a machine without git.

    Raises:
        UsageError: git takes longer than a minute, as on a disk that does not answer.
    """
    program = shutil.which("git")
    if program is None:
        return None
    command = [program, "-C", str(folder), *words]
    try:
        done = subprocess.run(  # noqa: S603 - its arguments are ours
            command, capture_output=True, text=True, check=False, timeout=_GIT_SECONDS
        )
    except subprocess.TimeoutExpired as exc:
        raise UsageError(
            f"git {words[0]} did not end within {_GIT_SECONDS:.0f} s",
            field="job",
            value=str(folder),
            fix="Check the disk of that folder, or submit a job file outside the git work tree.",
        ) from exc
    return done.stdout if done.returncode == 0 else None


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
