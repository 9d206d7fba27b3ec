"""The Python of the guides runs as it stands there, their tables are read, no name is missing."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_iris

from qstore_ray.circuits.library import ANSATZE, ENCODINGS
from qstore_ray.data.sources import base
from qstore_ray.job import JobConfig
from qstore_ray.learn.losses import LOSSES
from qstore_ray.learn.optimizers import OPTIMIZERS
from qstore_ray.learn.schedules import SCHEDULES
from qstore_ray.train.callbacks import CALLBACKS

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


GUIDES = ["data.md", "training.md"]


def _blocks(guide: str, language: str) -> list[str]:
    text = (DOCS / guide).read_text("utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_runs(guide: str) -> None:
    blocks = _blocks(guide, "python")
    assert blocks
    names: dict[str, object] = {"__name__": "guide"}
    for block in blocks:
        if "import torch" in block and find_spec("torch") is None:
            continue  # an extra
        exec(compile(block, guide, "exec"), names)  # the guide's own lines


@pytest.mark.parametrize("guide", GUIDES)
def test_the_tables_of_a_guide_are_parts_of_a_job(guide: str) -> None:
    blocks = _blocks(guide, "toml")
    assert blocks
    for block in blocks:
        table = tomllib.loads(block)
        dataset = {"name": "iris", "params": {"dataset": "iris"}} | table.pop("dataset", {})
        JobConfig.from_dict({"name": "job", "dataset": dataset, **table})


@pytest.mark.parametrize(
    "family", [ANSATZE, CALLBACKS, ENCODINGS, LOSSES, OPTIMIZERS, SCHEDULES], ids=min
)
def test_every_name_has_its_row_in_the_guide_to_training(family: Mapping[str, object]) -> None:
    rows = re.findall(r"^\|(.*?)\|", (DOCS / "training.md").read_text("utf-8"), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert set(family) <= named
