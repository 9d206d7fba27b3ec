"""Publish what `make release` left in dist/VERSION: to a folder that is an index, or by upload.

The signature and the checksums are verified first, so what is published is what was tried.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tools.release import numbers
from tools.release.errors import ReleaseError
from tools.release.index import FolderIndex
from tools.release.project import Project
from tools.release.repository import Repository
from tools.release.signing import signed_files, verify
from tools.release.steps import Steps


def folder_index(index: str) -> FolderIndex | None:
    """The index in a folder (a path or a file: URL); None for one behind a server."""
    parts = urlsplit(index)
    if parts.scheme in {"http", "https"}:
        return None
    if parts.scheme not in {"", "file"}:
        raise ReleaseError(f"INDEX={index}: no index; type a folder, or an https: URL for uploads")
    return FolderIndex(Path(unquote(parts.path)).expanduser())


def publish(project: Project, text: str, index: str, steps: Steps) -> None:
    """Publish sdist and wheels of a release. `ReleaseError` if they are not as they were signed."""
    version = str(numbers.parsed(text))
    built = project.root / "dist" / version
    if not built.is_dir():
        raise ReleaseError(f"{built} does not exist: make release VERSION={version}")
    if not Repository(project.root).has_tag(version):
        raise ReleaseError(
            f"{version} has no tag, so its release was not finished: make release VERSION={version}"
        )
    with steps.step("signature and checksums verified"):
        verify(built, project.root / project.signers)
        files = distributions(built)
        signed = signed_files(built)
        if added := [path.name for path in files if path.name not in signed]:
            raise ReleaseError(
                f"{', '.join(added)} is in {built}, but was not signed: move it away"
            )
    with steps.step(f"published to {index}: {', '.join(path.name for path in files)}"):
        if (target := folder_index(index)) is not None:
            target.add(files)
        else:
            _upload(files, index)


def distributions(folder: Path) -> list[Path]:
    """The sdist and the wheels of a release."""
    return sorted((*folder.glob("*.whl"), *folder.glob("*.tar.gz")))


def _upload(files: list[Path], url: str) -> None:
    """By the upload API of package indexes; user and password are in twine's own variables."""
    words = ["upload", "--non-interactive", "--disable-progress-bar", "--repository-url", url]
    done = subprocess.run(
        [sys.executable, "-m", "twine", *words, *map(str, files)],
        capture_output=True, text=True, check=False, timeout=1800.0,
    )  # fmt: skip
    if done.returncode:
        raise ReleaseError(f"twine upload to {url}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
