"""No file of the package is missing in what was built, and its tag says what is in it.

Data files are named one by one in pyproject.toml. A forgotten one is noticed only where the package
is installed from a wheel, by its users. A wheel for every later Python (`abi3`) whose extension was
compiled for one installs on all of them, and fails to import on all others.
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


def bound_to_one_python(wheel: Path) -> list[str]:
    """Extensions that one version of Python loads, in a wheel whose tag says every later one."""
    if "-abi3-" not in wheel.name:
        return []
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    modules = (name for name in names if name.endswith(".so") and ".libs/" not in name)
    return [name for name in modules if not name.endswith(".abi3.so")]


def refuse_if_bound(wheel: Path) -> None:
    """`ReleaseError` that names the extensions which belie the tag of a wheel."""
    if bound := bound_to_one_python(wheel):
        raise ReleaseError(
            f"{wheel.name} is for every later Python, but {', '.join(bound)} is not: set "
            "py-limited-api of the extension in pyproject.toml"
        )


def refuse_if_missing(archive: Path, tracked: Iterable[str], unpacked: tuple[str, ...]) -> None:
    """`ReleaseError` that names the files which an archive lacks."""
    if absent := missing(archive, tracked, unpacked):
        raise ReleaseError(
            f"{archive.name} lacks {', '.join(absent[:5])} ({len(absent)} files): name them in "
            "package-data of pyproject.toml, or in MANIFEST.in"
        )
