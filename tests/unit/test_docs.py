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

from qstore_ray.backends.noise.config import NoiseConfig
from qstore_ray.circuits.library.library import ANSATZE, ENCODINGS
from qstore_ray.data.augment.config import AUGMENTATIONS
from qstore_ray.data.prepare.step_config import STEPS
from qstore_ray.data.sources.base import SOURCES
from qstore_ray.federated.config import FederationConfig
from qstore_ray.job import JobConfig
from qstore_ray.learn.losses import LOSSES
from qstore_ray.learn.optimizers import OPTIMIZERS
from qstore_ray.learn.schedules import SCHEDULES
from qstore_ray.train.callbacks import CALLBACKS
from qstore_ray.tune.metrics import TRIAL_METRICS
from qstore_ray.tune.samplers import SAMPLERS
from qstore_ray.tune.schedulers import SCHEDULERS
from qstore_ray.tune.space.parameters import PARAMETERS
from tests.guides import DOCS, blocks_of


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that the guides speak of, in the folder where they run."""
    monkeypatch.chdir(tmp_path)
    for family in (
        OPTIMIZERS,
        SAMPLERS,
        SCHEDULERS,
        SOURCES,
        STEPS,
    ):  # what a guide registers is gone afterwards
        monkeypatch.setattr(family, "_registered", {})
    x, y = load_iris(return_X_y=True)
    np.savez("x_y.npz", x=x, y=y)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    rows = "".join(f"{a},{b},{name}\n" for (a, b), name in zip(x[:, :2], names, strict=True))
    Path("flowers.csv").write_text("width,length,species\n" + rows)
    visits = "".join(f"p{i // 6},{a},{b},{i % 2}\n" for i, (a, b) in enumerate(x[:, :2]))
    Path("visits.csv").write_text("patient,width,length,label\n" + visits)


GUIDES = [
    "index.md",
    "advice.md",
    "callbacks.md",
    "compliance.md",
    "data.md",
    "extending.md",
    "federated.md",
    "gpu.md",
    "migration.md",
    "models.md",
    "noise.md",
    "operations.md",
    "predicting.md",
    "privacy.md",
    "review.md",
    "runs.md",
    "training.md",
    "wide.md",
    *(f"explanations/{page.name}" for page in sorted((DOCS / "explanations").glob("*.md"))),
]
"""Those that run here; tests/ray has the one that needs Ray."""


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_runs(guide: str) -> None:
    blocks = blocks_of(guide, "python")
    assert blocks
    names: dict[str, object] = {"__name__": "guide"}
    for block in blocks:
        if any(f" {name}" in block and find_spec(name) is None for name in ("torch", "flwr")):
            continue  # an extra
        exec(compile(block, guide, "exec", dont_inherit=True), names)  # the guide's own lines


@pytest.mark.parametrize(
    "guide",
    [
        "callbacks.md",
        "data.md",
        "gpu.md",
        "hardware.md",
        "models.md",
        "noise.md",
        "runs.md",
        "training.md",
        "tuning.md",
    ],
)
def test_the_tables_of_a_guide_are_parts_of_a_job(guide: str) -> None:
    blocks = blocks_of(guide, "toml")
    assert blocks
    for block in blocks:
        table = tomllib.loads(block)
        dataset = {"name": "iris", "params": {"dataset": "iris"}} | table.pop("dataset", {})
        JobConfig.from_dict({"name": "job", "dataset": dataset, **table})


MODELS = [ANSATZE, ENCODINGS, LOSSES]
TUNING = [PARAMETERS, SAMPLERS, SCHEDULERS, TRIAL_METRICS]
NOISE = {name: field for name, field in NoiseConfig.model_fields.items() if name != "places"}
"""Without what mitigation alone writes."""


@pytest.mark.parametrize(
    ("guide", "family"),
    [
        ("callbacks.md", CALLBACKS),
        ("data.md", AUGMENTATIONS),
        ("data.md", STEPS),
        ("federated.md", FederationConfig.model_fields),
        *(("models.md", family) for family in MODELS),
        ("noise.md", NOISE),
        ("training.md", OPTIMIZERS),
        ("training.md", SCHEDULES),
        *(("tuning.md", family) for family in TUNING),
    ],
    ids=lambda value: value if isinstance(value, str) else min(value),
)
def test_every_name_has_its_row_in_its_guide(guide: str, family: Mapping[str, object]) -> None:
    rows = re.findall(r"^\|(.*?)\|", (DOCS / guide).read_text("utf-8"), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert set(family) <= named
