"""Categories behind other categories: positions are followed through the steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.prepare.prepare import Preparation
from qstore_ray.data.prepare.steps import STEPS, OneHot
from qstore_ray.errors import DataError

N = 40
FIRST = np.arange(N) % 4
TIMES = {"train": 0.75, "test": 0.25, "method": "time"}


def _loaded(steps: list[dict], column: int = 2, unseen: float = 9.0, **fields):
    """Rows whose last one has the category `unseen` in a column; only test has this row."""
    x = np.stack([FIRST, np.linspace(0.0, 1.0, N), np.arange(N) % 2], axis=1)
    x[-1, column] = unseen
    y = np.arange(N) % 2
    return DatasetLoader.from_arrays(x, y, split=TIMES, preprocessing=steps, **fields)


def _one_hot(*columns: int, **fields: object) -> dict:
    return {"name": "one_hot", "columns": list(columns), **fields}


BEHIND = {
    "alone": [_one_hot(2)],
    "both at once": [_one_hot(0, 2)],
    "behind four columns in place of one": [_one_hot(0), _one_hot(5)],
    "before": [_one_hot(2), _one_hot(0)],
    "behind a step that fills": [{"name": "impute"}, _one_hot(0), _one_hot(5)],
}


@pytest.mark.parametrize("steps", BEHIND.values(), ids=BEHIND)
def test_a_category_that_only_test_has_is_found_in_its_raw_column(steps: list[dict]):
    with pytest.raises(DataError, match="1 rows of test have a category in column 2") as caught:
        _loaded(steps)
    assert "first row 39" in caught.value.message
    assert caught.value.value == 9.0
    zeros = [step | ({"unknown": "zeros"} if step["name"] == "one_hot" else {}) for step in steps]
    assert _loaded(zeros).materialize("test").x.shape[0] == 10


def test_a_later_step_does_not_look_at_the_column_that_stood_there():
    steps = [_one_hot(0), _one_hot(2, unknown="error")]  # an indicator of column 0
    assert _loaded(steps).schema.n_features == 7  # 1 + 1 + 2 + 1 of column 0, and two others


def test_later_columns_keep_the_names_of_their_categories(tmp_path: Path):
    rows = [f"{k},{'UB'[k % 2]},{'pq'[k // 2 % 2]},{k % 2}" for k in range(N)]
    (tmp_path / "rows.csv").write_text("\n".join(["size,town,kind,y", *rows]))
    dataset = DatasetLoader.load(
        DatasetConfig(
            name="rows",
            source="local",
            params={"path": str(tmp_path / "rows.csv")},
            columns={"encoding": "ordinal"},
            preprocessing=[_one_hot(1), {"name": "impute"}, _one_hot(3)],
        )
    )
    names = ("size", "town=B", "town=U", "kind=p", "kind=q")
    assert dataset.schema.prepared_names == names


@pytest.mark.parametrize("name", [name for name, step in STEPS.items() if step.keeps_columns])
def test_a_step_that_keeps_columns_gives_as_many(name: str):
    x = np.random.default_rng(0).uniform(0.5, 2.0, (10, 3))
    needed = {"scale": {"factor": 2.0}}.get(name, {})
    fitted = Preparation.fit((STEPS[name](**needed),), x)
    (step,), (state,) = fitted.steps, fitted.states
    assert step.origins(state, 3) == (0, 1, 2)
    assert fitted.apply(x).shape == x.shape


def test_one_hot_says_where_its_columns_come_from():
    x = np.array([[0.0, 5.0, 1.0], [1.0, 5.5, 2.0], [2.0, 6.0, 1.0]])
    fitted = Preparation.fit((OneHot(columns=(0, 2)),), x)
    (state,) = fitted.states
    assert fitted.steps[0].origins(state, 3) == (0, 0, 0, 1, 2, 2)


def test_a_step_that_mixes_columns_has_no_origins():
    x = np.random.default_rng(0).normal(size=(10, 3))
    fitted = Preparation.fit((STEPS["pca"](components=2),), x)
    assert fitted.steps[0].origins(fitted.states[0], 3) is None
