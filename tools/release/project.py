"""What pyproject.toml says of releases, and the one place that has the version.

[tool.release]
branch = "main"                     # releases are made from this branch
version = "package/__init__.py"     # its line `__version__ = "…"` is the one place
images = ["docs/clusters.md"]       # files that name images `VERSION-py…`
signers = "security/allowed_signers"
unpacked = [".c", ".h"]             # files of the package that the sdist has and the wheel has not
extras = ["cpu"]                    # installed with the wheel in the bare environments
lock = "requirements-cpu.lock"      # versions of what is installed there, and the bill of materials
check = "tools/check.py"            # run by the Python of each bare environment
bill = "security/sbom.py"
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from tools.release.errors import ReleaseError

CHANGELOG = "CHANGELOG.md"
_VERSION = re.compile(r'^(__version__ = ")([^"]+)(")$', re.MULTILINE)
_IMAGE = re.compile(r"[0-9][0-9A-Za-z.]*(?=-py\d)")


@dataclass(frozen=True, kw_only=True)
class Project:
    """A checkout; paths are relative to `root`."""

    root: Path
    name: str  # as installers write it: qstore-ray
    pythons: tuple[str, ...]  # minor versions that are supported: "3.11"
    branch: str
    version_file: str
    signers: str
    images: tuple[str, ...] = ()
    unpacked: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    lock: str | None = None
    check: str | None = None
    bill: str | None = None

    @classmethod
    def at(cls, root: Path) -> Project:
        """Read pyproject.toml. `ReleaseError` if it has no table `tool.release`."""
        content = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
        table = content.get("tool", {}).get("release")
        if table is None:
            raise ReleaseError(f"{root / 'pyproject.toml'} has no table [tool.release]: add it")
        about = content["project"]
        found = (
            re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", line)
            for line in about.get("classifiers", ())
        )
        return cls(
            root=root,
            name=canonicalize_name(about["name"]),
            pythons=tuple(match[1] for match in found if match),
            branch=table["branch"],
            version_file=table["version"],
            signers=table["signers"],
            images=tuple(table.get("images", ())),
            unpacked=tuple(table.get("unpacked", ())),
            extras=tuple(table.get("extras", ())),
            lock=table.get("lock"),
            check=table.get("check"),
            bill=table.get("bill"),
        )

    @property
    def package(self) -> str:
        """The folder of the package."""
        return self.version_file.rpartition("/")[0]

    @property
    def version(self) -> str:
        """The version of this checkout."""
        found = _VERSION.search(self.read(self.version_file))
        if found is None:
            raise ReleaseError(f'{self.version_file} has no line __version__ = "…": add it')
        return found[2]

    def write_version(self, version: str) -> None:
        """Change the version in its one place."""
        text = _VERSION.sub(rf"\g<1>{version}\g<3>", self.read(self.version_file))
        self.write(self.version_file, text)

    def write_images(self, version: str) -> None:
        """Change the version in the tags of images, which name a release, none in between."""
        for path in self.images:
            self.write(path, _IMAGE.sub(version, self.read(path)))

    def read(self, path: str) -> str:
        """The text of a file of the checkout."""
        return (self.root / path).read_text("utf-8")

    def write(self, path: str, text: str) -> None:
        """Replace a file of the checkout."""
        (self.root / path).write_text(text, "utf-8")
