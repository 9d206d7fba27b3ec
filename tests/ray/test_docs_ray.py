"""The Python of the guide to tuning runs as it stands there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.guides import blocks_of


@pytest.mark.slow
def test_the_guide_to_tuning_runs(
    ray_cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = blocks_of("tuning.md", "python")
    assert blocks
    names: dict[str, Any] = {"__name__": "guide"}
    for block in blocks:
        exec(compile(block, "tuning.md", "exec"), names)  # the guide's own lines
    studies = sorted(path.parent.name for path in Path("runs").glob("*/study.journal"))
    assert studies == ["cheap", "flowers", "flowers-2", "steady"]
    trials = [run for run in names["runs"] if "trial" in run.data.tags]
    assert len(trials) == 2
    for run in trials:
        low, mean, high = (
            run.data.metrics[f"summary.{name}"]
            for name in ("objective_low", "val_loss", "objective_high")
        )
        assert low < mean < high
