"""The Python of the guide to tuning runs as it stands there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.guides import blocks_of

if TYPE_CHECKING:
    import pytest


def test_the_guide_to_tuning_runs(
    ray_cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = blocks_of("tuning.md", "python")
    assert blocks
    names: dict[str, object] = {"__name__": "guide"}
    for block in blocks:
        exec(compile(block, "tuning.md", "exec"), names)  # the guide's own lines
    assert sorted(path.name for path in Path("runs").iterdir()) == [
        "cheap",
        "flowers",
        "flowers-2",
    ]
