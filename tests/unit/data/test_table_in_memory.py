"""A table in memory is read by the rule of tables in files; labels may be of any library."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from qstore_ray import DatasetConfig, DatasetLoader
from qstore_ray.errors import ConfigError, DataError, UnknownNameError

N = 40
Y = np.arange(N) % 2
RNG = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {
        "row_id": np.arange(N) + 7,
        "width": RNG.random(N),
        "kind": ["u", "v"] * (N // 2),
        "code": [1, 1, 9, 9] * (N // 4),
        "text number": [str(k / 4) for k in range(N)],
        "truth": ["True", "False"] * (N // 2),
        "nothing": [None] * N,
    }
)
FORMS = {
    "pandas": lambda table: table,
    "arrow": pa.table,
    "dictionary": lambda table: {name: table[name].tolist() for name in table},
    "records": lambda table: table.to_dict("records"),
}
COLUMNS = {
    "as they are": {},
    "excluded": {"exclude": ["width", "nothing"]},
    "chosen": {"features": ["code", "width", "row_id"]},
    "categories": {"categories": ["code"]},
    "ordinal": {"encoding": "ordinal"},
    "zeros": {"unknown": "zeros"},
    "grouped": {"group": "code"},
    "weighted": {"weight": "code"},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("columns", COLUMNS)
def test_memory_and_file_give_the_same_dataset(columns: str, form: str, tmp_path: Path):
    settings = {"columns": COLUMNS[columns]}
    if columns == "grouped":
        settings["split"] = {"train": 0.5, "test": 0.5, "method": "group"}
    held = DatasetLoader.from_arrays(FORMS[form](TABLE), Y, **settings)
    TABLE.assign(y=Y).to_parquet(tmp_path / "t.parquet", index=False)
    settings["columns"] = {**COLUMNS[columns], "label": "y"}
    params = {"path": str(tmp_path / "t.parquet")}
    file = DatasetLoader.load(DatasetConfig(name="t", source="local", params=params, **settings))
    assert held.schema.table.features == file.schema.table.features
    for split in file.sizes:
        np.testing.assert_array_equal(held.materialize(split).x, file.materialize(split).x)
        np.testing.assert_array_equal(held.materialize(split).y, file.materialize(split).y)
    if columns == "weighted":
        np.testing.assert_array_equal(held.weights("train"), file.weights("train"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["1,000", "2,500"], "the numbers have commas"),
        (["10%", "20%"], "a percent sign"),
        (["1.5", "?"], "stand for a missing one"),
        ([f"name {k}" for k in range(N)], "different values"),
    ],
)
def test_numbers_in_disguise_are_no_categories(values: list[str], message: str):
    columns = {"max_categories": 30}
    table = {"a": TABLE["width"], "b": (values * N)[:N]}
    with pytest.raises(DataError, match=message):
        DatasetLoader.from_arrays(table, Y, columns=columns)
    left = DatasetLoader.from_arrays(table, Y, columns={**columns, "exclude": ["b"]})
    assert left.schema.feature_names == ("a",)


def test_signs_of_a_missing_value_may_be_named():
    table = {"a": [1.5, "?", 2.5, -200.0] * (N // 4)}
    steps = [{"name": "impute"}]
    given = DatasetLoader.from_arrays(
        table, Y, params={"missing": ["?", -200]}, preprocessing=steps, split={"train": 1.0}
    )
    assert set(given.materialize("train").x[:, 0]) == {1.5, 2.5, 2.0}


@pytest.mark.parametrize("field", ["group", "weight", "categories", "encoding", "unknown"])
def test_columns_of_arrays_have_no_names(field: str):
    values = {"categories": ["a"], "encoding": "ordinal", "unknown": "zeros"}
    split = {"train": 0.5, "test": 0.5, "method": "group"} if field == "group" else {"train": 1.0}
    with pytest.raises(ConfigError, match="arrays have no columns with names") as caught:
        DatasetLoader.from_arrays(
            TABLE[["width"]].to_numpy(), Y, columns={field: values.get(field, "a")}, split=split
        )
    assert caught.value.field == f"columns.{field}"


def test_a_column_that_does_not_exist_cannot_be_excluded():
    with pytest.raises(UnknownNameError):
        DatasetLoader.from_arrays(TABLE, Y, columns={"exclude": ["height"]})


LEAKS = {
    "a series of the table": lambda table: table["species"],
    "a column with a usual name": lambda table: table["label"].to_numpy(),
    "a list": lambda table: table["label"].tolist(),
    "numbers": lambda table: table["class"],
}


@pytest.mark.parametrize("leak", LEAKS)
def test_labels_that_are_a_feature_too_are_refused(leak: str):
    """`from_arrays(df, df["species"])` would learn the labels from the labels."""
    table = TABLE[["width"]].assign(species=TABLE["kind"], label=TABLE["truth"], **{"class": Y})
    y = LEAKS[leak](table)
    with pytest.raises(DataError, match="would be a feature") as caught:
        DatasetLoader.from_arrays(table, y)
    named = caught.value.field.split("'")[1]
    left = DatasetLoader.from_arrays(table, y, columns={"exclude": [named]})
    assert named not in left.schema.feature_names


def test_labels_derived_from_a_feature_of_their_name_are_taken():
    """pandas names `df["width"] > 0.5` width; it is another column."""
    y = TABLE["width"] > 0.5
    assert DatasetLoader.from_arrays(TABLE[["width"]], y).classes == (False, True)


MISSING = {
    "None in texts": ["a", None, "b", "a"],
    "NaN in texts": pd.Series(["a", np.nan, "b", "a"] * (N // 4), dtype=object),
    "text of pandas": pd.Series(["a", None, "b", "a"] * (N // 4), dtype="string"),
    "NaN in numbers": [0.0, np.nan, 1.0, 0.0],
    "None in numbers": [0, None, 1, 0],
    "NA in integers": pd.Series([0, None, 1, 0] * (N // 4), dtype="Int64"),
    "NA in truths": pd.Series([True, None, False, True] * (N // 4), dtype="boolean"),
    "Arrow": pa.array(["a", None, "b", "a"] * (N // 4)),
    "an empty text": ["a", "", "b", "a"],
}


@pytest.mark.parametrize("form", MISSING)
def test_rows_without_a_label_are_named_or_dropped(form: str):
    y = MISSING[form] * (N // 4) if isinstance(MISSING[form], list) else MISSING[form]
    x = TABLE[["width"]].to_numpy()
    with pytest.raises(DataError, match="a label is missing in row 1, and in 9 more"):
        DatasetLoader.from_arrays(x, y)
    kept = DatasetLoader.from_arrays(x, y, bad_values="drop", split={"train": 1.0})
    assert kept.sizes == {"train": 30}
    assert "without a label" in kept.provenance["dropped"]
    assert [kept.classes[k] for k in kept.materialize("train").y[:3]] in (
        ["a", "b", "a"],
        [0, 1, 0],
        [True, False, True],
    )
    np.testing.assert_array_equal(kept.materialize("train").x[:3], x[[0, 2, 3]])


@pytest.mark.parametrize("form", [list, tuple, lambda y: np.array(y, dtype=object)])
def test_labels_of_text_and_numbers_are_refused(form):
    """As text 1 and "1" would be one class."""
    with pytest.raises(DataError, match="text and numbers side by side"):
        DatasetLoader.from_arrays(TABLE[["width"]], form(["1", 1, "b", 1] * (N // 4)))


def test_targets_that_are_missing_are_dropped():
    y = np.where(Y == 0, np.nan, 2.5)
    kept = DatasetLoader.from_arrays(
        TABLE[["width"]], y, task="regression", bad_values="drop", split={"train": 1.0}
    )
    assert kept.sizes == {"train": N // 2}
    assert set(kept.materialize("train").y) == {2.5}
