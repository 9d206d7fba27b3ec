"""A package index in a folder: the files, and pages (PEP 503) that any web server may serve.

    files/qstore_ray-0.1.0.tar.gz …     what was published, never changed
    simple/qstore-ray/index.html        their names, hashes and what was withdrawn (PEP 592)
    simple/index.html
    withdrawn.json                      file → why; the pages are written from it
    overrides/0.2.0.txt                 what replaces a withdrawn version

A withdrawn file stays, because a lock with its hash must still install. Installers leave it out
unless exactly its version is asked for, and print the reason if it is.
"""

from __future__ import annotations

import fcntl
import html
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import (
    NormalizedName,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)

from tools.release.build import sha256
from tools.release.errors import ReleaseError

if TYPE_CHECKING:
    from packaging.version import Version

_PAGE = (
    '<!DOCTYPE html>\n<html><head><meta charset="utf-8">'
    '<meta name="pypi:repository-version" content="1.0"><title>{title}</title></head>\n'
    "<body>\n{links}</body></html>\n"
)


@dataclass(frozen=True)
class FolderIndex:
    """An index in the folder `root`, which is made when something is added."""

    root: Path

    def add(self, files: list[Path]) -> None:
        """Publish files. `ReleaseError` if one of the same name and other bytes was published."""
        with self._alone():
            for file in files:
                target = self.root / "files" / file.name
                if target.exists() and sha256(target) != sha256(file):
                    raise ReleaseError(
                        f"{target} was published with other bytes: release them under another "
                        "version"
                    )
            for file in files:
                if not (self.root / "files" / file.name).exists():
                    _replace(self.root / "files" / file.name, file.read_bytes())
            self._write_pages()

    def withdraw(self, name: str, version: Version, reason: str) -> list[str]:
        """Mark all files of a version; their names. `ReleaseError` if it was not published here."""
        found = [
            path.name
            for path in self._files()
            if named(path.name) == (canonicalize_name(name), version)
        ]
        if not found:
            raise ReleaseError(f"{self.root} has no {name} {version}: give the INDEX that has it")
        with self._alone():
            self._write_withdrawn({**self.withdrawn, **dict.fromkeys(found, reason)})
            self._write_pages()
        return found

    def replace(self, version: Version, requirement: str) -> Path:
        """Write the file by which installers replace a withdrawn version (`uv --overrides`)."""
        path = self.root / "overrides" / f"{version}.txt"
        _replace(path, f"{requirement}\n".encode())
        return path

    @property
    def withdrawn(self) -> dict[str, str]:
        """File → the reason why it was withdrawn."""
        path = self.root / "withdrawn.json"
        try:
            return json.loads(path.read_text("utf-8")) if path.exists() else {}
        except ValueError as error:
            raise ReleaseError(f"{path} is damaged ({error}): restore it from a copy") from error

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait until no other process writes to this index."""
        _make(self.root)
        folder = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _write_withdrawn(self, reasons: dict[str, str]) -> None:
        _replace(
            self.root / "withdrawn.json", json.dumps(reasons, indent=1, sort_keys=True).encode()
        )

    def _files(self) -> list[Path]:
        """What was published; a file that is no distribution was put there by others."""
        if not (self.root / "files").is_dir():
            return []
        return sorted(path for path in (self.root / "files").iterdir() if _is_published(path))

    def has(self, name: str, version: Version) -> bool:
        """True if a version was published here."""
        wanted = (canonicalize_name(name), version)
        return any(named(path.name) == wanted for path in self._files())

    def _write_pages(self) -> None:
        by_name: dict[NormalizedName, list[Path]] = {}
        for path in self._files():
            by_name.setdefault(named(path.name)[0], []).append(path)
        for name, files in by_name.items():
            page = _PAGE.format(title=name, links="".join(map(self._link, files)))
            _replace(self.root / "simple" / name / "index.html", page.encode())
        links = "".join(f'<a href="{name}/">{name}</a><br>\n' for name in by_name)
        _replace(
            self.root / "simple" / "index.html", _PAGE.format(title="index", links=links).encode()
        )

    def _link(self, file: Path) -> str:
        reason = self.withdrawn.get(file.name)
        yanked = "" if reason is None else f' data-yanked="{html.escape(reason)}"'
        href = f"../../files/{file.name}#sha256={sha256(file)}"
        return f'<a href="{href}"{yanked}>{file.name}</a><br>\n'


def _is_published(path: Path) -> bool:
    try:
        named(path.name)
    except ValueError:  # of packaging: no name of a distribution
        return False
    return path.is_file()


def named(file: str) -> tuple[NormalizedName, Version]:
    """Package and version of a published file."""
    if file.endswith(".whl"):
        return parse_wheel_filename(file)[:2]
    return parse_sdist_filename(file)


def _replace(target: Path, content: bytes) -> None:
    """Write a file that a server may be reading: it has the old or the new content, never half.

    What a process that was killed had begun to write is overwritten by the next one.
    """
    _make(target.parent)
    begun = target.with_name(f".{target.name}.new")
    try:
        with begun.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        shutil.copymode(target, begun) if target.exists() else begun.chmod(0o644)
        begun.replace(target)
    except OSError as error:  # a full disk
        error.filename = str(target)
        begun.unlink(missing_ok=True)
        raise


def _make(folder: Path) -> None:
    """Make a folder that a server may read, as its files, whatever the umask is."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
