"""What the tests of releases share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.release.small_project import GIT, SmallProject, small_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallProject:
    """A repository with one change to release; git knows who commits."""
    for name, value in GIT.items():
        monkeypatch.setenv(name, value)
    made = small_project(tmp_path)
    made.change("good", "The answer is good.")
    return made
