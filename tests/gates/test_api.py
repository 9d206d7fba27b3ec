"""Breaks of the public API, planted in a small repository."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

pytest.importorskip("griffe", reason="griffelib comes with the extra dev")

from tools.gates.api import announced, base_of, breaks_since, check_api

EXPORTS = '_EXPORTS = {"clip": "qstore_ray.maths"}\n'
MATHS = 'def clip(x: float, *, low: float = 0.0) -> float:\n    """Clip."""\n    return x\n'
HIDDEN = "def inner(x):\n    return x\n"


class Clone:
    """A repository of git with one commit of a package."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "qstore_ray").mkdir()
        self.git("init", "-q")
        self.write(maths=MATHS, hidden=HIDDEN, __init__=EXPORTS)
        (root / "CHANGELOG.md").write_text("# Changelog\n")
        self.commit("Begin")

    def write(self, **files: str) -> None:
        for name, text in files.items():
            (self.root / "qstore_ray" / f"{name}.py").write_text(text)

    def commit(self, subject: str) -> str:
        self.git("add", ".")
        self.git("commit", "-qm", subject)
        return self.git("rev-parse", "HEAD")

    def git(self, *words: str) -> str:
        author = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        done = subprocess.run(
            ["git", "-C", self.root, *author, *words], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


@pytest.mark.parametrize(
    ("maths", "what"),
    [
        (MATHS.replace(", *, low: float = 0.0", ""), "removed"),
        (MATHS.replace("*, low: float = 0.0", "low: float, *, high: float"), "required"),
        (MATHS.replace("low: float = 0.0", "low: float = 1.0"), "default"),
        ("x = 1\n", "removed"),
    ],
    ids=["argument", "required", "default", "name"],
)
def test_a_planted_break_is_found(clone: Clone, maths: str, what: str) -> None:
    clone.write(maths=maths)
    found = breaks_since("HEAD", clone.root)
    assert found
    assert any(what in each.what.lower() for each in found)
    assert all(each.path.startswith("qstore_ray.maths.clip") for each in found)
    assert found[0].file == "qstore_ray/maths.py"


@pytest.mark.parametrize(
    "files",
    [
        {"maths": MATHS.replace("low: float = 0.0", "low: float = 0.0, high: float = 1.0")},
        {"maths": MATHS.replace("Clip.", "Clip x.")},
        {"hidden": "def inner(x, y):\n    return x\n"},
    ],
)
def test_what_no_caller_of_an_export_notices_is_no_break(clone: Clone, files) -> None:
    clone.write(**files)
    assert breaks_since("HEAD", clone.root) == []


def test_the_last_tag_of_a_release_is_the_base(clone: Clone) -> None:
    first = clone.git("rev-parse", "HEAD")
    assert base_of(clone.root, first) == (first, False)
    clone.git("tag", "v0.9.0")
    clone.write(hidden="x = 1\n")
    clone.commit("Change")
    clone.git("tag", "v0.10.0")
    clone.git("tag", "nightly")
    assert base_of(clone.root, first) == ("v0.10.0", True)


def test_a_break_fails_until_the_changelog_announces_it(clone: Clone, capsys) -> None:
    clone.git("tag", "v0.1.0")
    assert check_api(clone.root) == 0
    assert "v0.1.0: the last release" in capsys.readouterr().out
    clone.write(maths="x = 1\n")
    assert check_api(clone.root) == 1
    assert "qstore_ray.maths.clip" in capsys.readouterr().out
    (clone.root / "CHANGELOG.md").write_text(
        "# Changelog\n\n### Breaking\n\n- `qstore_ray.maths.clip` is gone.\n\n### Added\n- `x.y`\n"
    )
    assert announced((clone.root / "CHANGELOG.md").read_text()) == {"qstore_ray.maths.clip"}
    assert check_api(clone.root) == 0


def test_a_commit_that_the_clone_lacks_is_an_error_that_says_so(clone: Clone, capsys) -> None:
    assert check_api(clone.root) == 1  # no tag, and not our history
    assert "is not in this clone" in capsys.readouterr().out
