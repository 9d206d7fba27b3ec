"""The loader: the door to data, datasets from arrays, official splits, sources of one's own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from qstore_ray.config import Config
from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.sources.base import SourceAdapter, SourceData, array_tasks
from qstore_ray.errors import ConfigError, DataError, UnknownNameError, UsageError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = np.arange(60) % 3

DIGITS = DatasetConfig(
    name="digits",
    source="sklearn",
    params={"dataset": "digits"},
    split={"train": 0.65, "val": 0.15, "test": 0.2},
    preprocessing=[
        {"name": "standard"},
        {"name": "pca", "components": 16},
        {"name": "scale", "factor": 0.5},
    ],
    seed=0,
)


class CountParams(Config):
    count: int = 30


class CountAdapter(SourceAdapter[CountParams]):
    Params = CountParams
    accepts = frozenset({"revision", "columns.label"})

    def read(self, params, config):
        x = np.arange(2.0 * params.count).reshape(-1, 2)
        return SourceData(tasks=array_tasks(x, np.arange(params.count) % 2, rows_per_task=8))


@dataclass(frozen=True)
class Rows:
    columns: dict

    def __call__(self):
        return self.columns


class FaultyAdapter(CountAdapter):
    columns: dict = {}  # noqa: RUF012 - set by each test

    def read(self, params, config):
        return SourceData(tasks=(Rows(self.columns), Rows(self.columns)))


DatasetLoader.register("count-for-tests", CountAdapter)
DatasetLoader.register("faulty-for-tests", FaultyAdapter)


def test_the_folder_of_a_saved_dataset_is_loaded_as_a_configuration_is(tmp_path):
    dataset = DatasetLoader.from_arrays(X, Y)
    folder = dataset.save(tmp_path / "saved")
    for given in (folder, str(folder)):
        assert DatasetLoader.load(given).fingerprint == dataset.fingerprint
    with pytest.raises(DataError):
        DatasetLoader.load(tmp_path)


def test_digits():
    dataset = DatasetLoader.load(DIGITS)
    assert sum(dataset.sizes.values()) == 1797
    assert dataset.classes == tuple(range(10))
    assert dataset.schema[:3] == (64, 16, "float64")
    assert dataset.schema.image_shape == (8, 8)
    for split, fraction in DIGITS.split.fractions().items():
        assert dataset.sizes[split] == pytest.approx(1797 * fraction, abs=10)
        assert min(dataset.class_counts[split]) > 0
    assert dataset.materialize("train").x.shape == (dataset.sizes["train"], 16)


def test_preparation_is_fitted_on_train_only():
    dataset = DatasetLoader.from_arrays(X, Y, preprocessing=[{"name": "standard"}])
    train = X[dataset.rows("train")]
    for split in dataset.sizes:
        np.testing.assert_allclose(
            dataset.materialize(split).x,
            (X[dataset.rows(split)] - train.mean(axis=0)) / train.std(axis=0),
        )


def test_val_and_test_rows_do_not_touch_what_is_fitted():
    dataset = DatasetLoader.from_arrays(X, Y, preprocessing=[{"name": "pca", "components": 2}])
    moved = X.copy()
    for split in ("val", "test"):
        moved[dataset.rows(split)] += 100.0
    other = DatasetLoader.from_arrays(moved, Y, preprocessing=[{"name": "pca", "components": 2}])
    for name, array in dataset.preparation.to_arrays().items():
        np.testing.assert_array_equal(array, other.preparation.to_arrays()[name])


def test_raw_rows_are_prepared_as_the_splits_are():
    dataset = DatasetLoader.from_arrays(X, Y, preprocessing=[{"name": "minmax"}])
    np.testing.assert_array_equal(
        dataset.preparation.transform(X[dataset.rows("test")]), dataset.materialize("test").x
    )


def test_an_official_test_set_stays_what_it_is_and_the_rest_is_cut():
    x_test, y_test = RNG.normal(size=(7, 3)), np.arange(7) % 3
    dataset = DatasetLoader.from_arrays(
        X, Y, test=(x_test, y_test), split={"train": 0.6, "val": 0.2, "test": 0.2}
    )
    np.testing.assert_array_equal(dataset.materialize("test").x, x_test)
    np.testing.assert_array_equal(dataset.materialize("test").y, y_test)
    assert dataset.sizes == {"train": 45, "val": 15, "test": 7}


def test_an_official_test_set_is_kept_where_the_split_asks_for_none():
    dataset = DatasetLoader.from_arrays(X, Y, test=(X[:5], Y[:5]), split={"train": 1.0})
    assert dataset.sizes == {"train": 60, "test": 5}


@pytest.mark.parametrize("what", ["value", "label", "order", "step", "name"])
def test_the_fingerprint_is_of_content_and_preparation(what: str):
    base = DatasetLoader.from_arrays(X, Y, preprocessing=[{"name": "minmax"}]).fingerprint
    x, y, step, name = X.copy(), Y.copy(), {"name": "minmax"}, "arrays"
    if what == "value":
        x[59, 2] = np.nextafter(x[59, 2], np.inf)
    elif what == "label":
        y[[0, 1]] = y[[1, 0]]
    elif what == "order":
        x, y = x[::-1], y[::-1]
    elif what == "step":
        step["clip"] = True
    else:
        name = "another"
    other = DatasetLoader.from_arrays(x, y, preprocessing=[step], name=name).fingerprint
    assert (base == other) == (what == "name")


def test_data_that_changes_after_loading_is_an_error():
    x = X.copy()
    dataset = DatasetLoader.from_arrays(x, Y)
    x[0, 0] += 1.0
    with pytest.raises(DataError, match="changed since the dataset was loaded"):
        dataset.materialize("train")


def test_arrays_in_memory_cannot_be_loaded_again():
    config = DatasetLoader.from_arrays(X, Y).config
    with pytest.raises(ConfigError, match="arrays in memory") as caught:
        DatasetLoader.load(DatasetConfig.from_dict(config.to_dict()))
    assert caught.value.field == "params.in_memory"


def test_selected_features_come_in_the_order_asked_for():
    names = ("a", "b", "c")
    dataset = DatasetLoader.from_arrays(X, Y, feature_names=names, columns={"features": ["c", "a"]})
    np.testing.assert_array_equal(
        dataset.materialize("train").x, X[dataset.rows("train")][:, [2, 0]]
    )
    assert dataset.schema.feature_names == ("c", "a")
    with pytest.raises(UnknownNameError, match="unknown feature"):
        DatasetLoader.from_arrays(X, Y, feature_names=names, columns={"features": ["d"]})
    with pytest.raises(ConfigError, match="does not name its features"):
        DatasetLoader.from_arrays(X, Y, columns={"features": ["a"]})
    with pytest.raises(DataError, match="2 feature names for 3 features"):
        DatasetLoader.from_arrays(X, Y, feature_names=("a", "b"))


def test_a_read_task_has_rows():
    with pytest.raises(ConfigError, match="one row or more") as caught:
        DatasetLoader.from_arrays(X, Y, rows_per_task=0)
    assert (caught.value.field, caught.value.value) == ("rows_per_task", 0)
    assert "1 or more" in caught.value.fix


def test_the_task_must_be_the_source_s():
    for name, task in (("diabetes", "classification"), ("iris", "regression")):
        with pytest.raises(ConfigError) as caught:
            DatasetLoader.load(DatasetConfig(name=name, params={"dataset": name}, task=task))
        assert caught.value.field == "task"


def test_describe_says_what_there_is():
    text = DatasetLoader.load(DIGITS).describe()
    for part in ("digits: classification, 1797 rows", "64 (8 x 8)", "standard → pca → scale"):
        assert part in text
    lacking = DatasetLoader.from_arrays(X, Y, test=(X[:2], [0, 0]))
    assert "test has no rows of 1, 2" in lacking.describe()


def test_an_unknown_split_lists_the_known_ones():
    dataset = DatasetLoader.from_arrays(X, Y)
    with pytest.raises(UnknownNameError, match="Known: test, train, val"):
        dataset.materialize("validation")


def test_a_source_of_one_s_own():
    assert {"count-for-tests", "numpy", "sklearn"} <= set(DatasetLoader.available())
    config = DatasetConfig(
        name="count",
        source="count-for-tests",
        params={"count": 20},
        revision="v1",
        columns={"label": "y"},
    )
    assert sum(DatasetLoader.load(config).sizes.values()) == 20


def test_registering_twice():
    DatasetLoader.register("count-for-tests", CountAdapter)
    for name in ("count-for-tests", "sklearn"):
        with pytest.raises(ConfigError, match="a source of this name exists"):
            DatasetLoader.register(name, FaultyAdapter)
    with pytest.raises(ConfigError, match="derived from SourceAdapter"):
        DatasetLoader.register("other", Rows)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": X, "y": Y}, "left out columns"),
        ({"x": X, "y": Y, "row": np.arange(59)}, "60 rows but 59 labels"),
        ({"x": X, "y": Y, "row": np.arange(60)}, "row numbers must increase"),
    ],
)
def test_a_faulty_adapter_is_found_out(columns: dict, message: str, monkeypatch):
    monkeypatch.setattr(FaultyAdapter, "columns", columns)
    with pytest.raises(DataError, match=message):
        DatasetLoader.load(DatasetConfig(name="faulty", source="faulty-for-tests"))


def test_ray_is_not_started_behind_one_s_back():
    dataset = DatasetLoader.from_arrays(np.eye(6), [0, 1] * 3, split={"train": 1.0})
    with pytest.raises(UsageError, match="Ray is not running"):
        dataset.to_ray("train")


def test_a_table_in_memory_keeps_its_names_and_its_categories():
    columns = {"b": X[:, 0], "town": ["Ulm", "Bonn", None] * 20, "a": [True, False] * 30}
    last = {name: values[:3] for name, values in reversed(columns.items())}
    split = {"train": 1.0}
    dataset = DatasetLoader.from_arrays(
        columns, Y, test=(last, Y[:3]), split=split, preprocessing=[{"name": "impute"}]
    )
    assert dataset.schema.feature_names == ("b", "town", "a")
    table = dataset.schema.table
    assert table is not None
    assert [(column.name, column.kind, column.categories) for column in table.features] == [
        ("b", "number", ()),
        ("town", "category", ("Bonn", "Ulm")),
        ("a", "boolean", ()),
    ]
    x = dataset.plans["test"].read_raw().x
    np.testing.assert_array_equal(x, np.column_stack([X[:3, 0], [1, 0, np.nan], [1, 0, 1]]))


def test_of_a_table_in_memory_columns_may_be_chosen():
    columns = {"a": X[:, 0], "id": [object()] * 60, "b": X[:, 1]}
    dataset = DatasetLoader.from_arrays(columns, Y, columns={"features": ["b", "a"]})
    assert dataset.schema.feature_names == ("b", "a")
    expected = X[dataset.rows("train")][:, [1, 0]]
    np.testing.assert_array_equal(dataset.materialize("train").x, expected)
    with pytest.raises(UnknownNameError, match="unknown feature"):
        DatasetLoader.from_arrays(columns, Y, columns={"features": ["c"]})


def test_a_table_in_memory_has_names_once():
    with pytest.raises(ConfigError, match="names already"):
        DatasetLoader.from_arrays({"a": X[:, 0]}, Y, feature_names=("a",))
    with pytest.raises(DataError, match="no text"):
        DatasetLoader.from_arrays({0: X[:, 0]}, Y)
    with pytest.raises(DataError, match="1 of the model's 1 features are missing"):
        DatasetLoader.from_arrays({"a": X[:, 0]}, Y, test=({"b": X[:, 0]}, Y))
