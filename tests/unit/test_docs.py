"""The Python of the guides runs as it stands there, from top to bottom."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_iris

from qstore_ray.data.sources import base

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that the guides speak of, in the folder where they run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(base, "_registered", {})  # what a guide registers is gone afterwards
    x, y = load_iris(return_X_y=True)
    np.savez("x_y.npz", x=x, y=y)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    rows = "".join(f"{a},{b},{name}\n" for (a, b), name in zip(x[:, :2], names, strict=True))
    Path("flowers.csv").write_text("width,length,species\n" + rows)
    visits = "".join(f"p{i // 6},{a},{b},{i % 2}\n" for i, (a, b) in enumerate(x[:, :2]))
    Path("visits.csv").write_text("patient,width,length,label\n" + visits)


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("guide", ["data.md"])
def test_a_guide_runs(guide: str) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / guide).read_text("utf-8"), re.DOTALL)
    assert blocks
    names: dict[str, object] = {"__name__": "guide"}
    for block in blocks:
        exec(compile(block, guide, "exec"), names)  # the guide's own lines
