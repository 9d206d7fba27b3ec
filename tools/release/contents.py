"""No file of the package is missing in what was built.

Data files are named one by one in pyproject.toml. A forgotten one is noticed only where the package
is installed from a wheel, by its users.
"""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from tools.release.errors import ReleaseError


def missing(archive: Path, tracked: Iterable[str], unpacked: tuple[str, ...] = ()) -> list[str]:
    """Files that git tracks and the archive lacks; a wheel has none that end in `unpacked`."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            names = set(wheel.namelist())
        return [path for path in tracked if path not in names and not path.endswith(unpacked)]
    with tarfile.open(archive) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    return [path for path in tracked if path not in names]


def refuse_if_missing(archive: Path, tracked: Iterable[str], unpacked: tuple[str, ...]) -> None:
    """`ReleaseError` that names the files which an archive lacks."""
    if absent := missing(archive, tracked, unpacked):
        raise ReleaseError(
            f"{archive.name} lacks {', '.join(absent[:5])} ({len(absent)} files): name them in "
            "package-data of pyproject.toml, or in MANIFEST.in"
        )
