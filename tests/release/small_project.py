"""A small package in a git repository of its own, with a key that may sign its releases."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv" / "release" / "bin" / "python"
"""Of the environment that `make test` fills from requirements-release.lock."""

GIT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_AUTHOR_NAME": "Releaser",
    "GIT_AUTHOR_EMAIL": "releaser@example.com",
    "GIT_COMMITTER_NAME": "Releaser",
    "GIT_COMMITTER_EMAIL": "releaser@example.com",
}
"""Instead of the settings of the one who runs the tests."""

_PYPROJECT = f"""\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "small-package"
description = "A package to release"
readme = "README.md"
dynamic = ["version"]
classifiers = ["Programming Language :: Python :: 3.{sys.version_info.minor}"]

[tool.setuptools]
packages = ["small"]

[tool.setuptools.package-data]
small = ["data.txt"]

[tool.setuptools.dynamic]
version = {{ attr = "small.__version__" }}

[tool.release]
branch = "main"
version = "small/__init__.py"
images = ["images.yaml"]
signers = "allowed_signers"
check = "check.py"
"""
_CHECK = """\
import sys, small
from pathlib import Path
assert small.__version__ == sys.argv[1], small.__version__
assert Path(small.__file__).with_name("data.txt").read_text() == "data"
"""


@dataclass(frozen=True)
class SmallProject:
    """The checkout and what may be done with it."""

    root: Path
    key: Path

    def git(self, *words: str) -> str:
        """What a command of git prints."""
        done = subprocess.run(
            ["git", *words],
            cwd=self.root, env=_environment(), capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout.strip()

    def change(self, answer: str, line: str) -> None:
        """Commit a change of the code, with its line in the section `unreleased`."""
        code = self.root / "small" / "answer.py"
        code.write_text(f"ANSWER = {answer!r}\n")
        changelog = self.root / "CHANGELOG.md"
        text = changelog.read_text()
        changelog.write_text(text.replace("unreleased\n", f"unreleased\n\n- {line}\n", 1))
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", line)

    def release(
        self, *words: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """`python -m tools.release` on this checkout."""
        return subprocess.run(
            [PYTHON, "-m", "tools.release", "--root", self.root, *words],
            cwd=ROOT, env={**_environment(), **(environment or {})},
            capture_output=True, text=True, check=False,
        )  # fmt: skip


def _environment() -> dict[str, str]:
    return {**os.environ, **GIT}


def small_project(folder: Path) -> SmallProject:
    """Make the repository: one commit, nothing released, an empty section `unreleased`."""
    key, root = folder / "key", folder / "checkout"
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "releaser", "-f", key]
    subprocess.run(words, check=True)
    (root / "small").mkdir(parents=True)
    files = {
        "pyproject.toml": _PYPROJECT,
        "README.md": "# A small package\n",
        "CHANGELOG.md": "# Changelog\n\n## [0.1.0] - unreleased\n",
        "check.py": _CHECK,
        "images.yaml": "tag: 0.0.1-py3.11\n",
        "allowed_signers": f"release {key.with_suffix('.pub').read_text()}",
        ".gitignore": "dist/\n__pycache__/\n",
        "small/__init__.py": '"""Small."""\n\n__version__ = "0.1.0"\n',
        "small/data.txt": "data",
    }
    for name, text in files.items():
        (root / name).write_text(text)
    project = SmallProject(root, key)
    project.git("init", "--quiet", "--initial-branch", "main")
    project.git("add", "--all")
    project.git("commit", "--quiet", "-m", "Begin")
    return project
