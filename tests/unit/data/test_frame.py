"""Tables of any library as raw rows: columns by name, values by what the schema says they are."""

from __future__ import annotations

import datetime as dt
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qstore_ray.data.columns import Column, TableSchema
from qstore_ray.data.inputs.frame import frame_of
from qstore_ray.data.inputs.signature import Signature
from qstore_ray.data.rows.validate import as_features
from qstore_ray.errors import CheckpointError, DataError

TABLE = TableSchema(
    (Column("age"), Column("sex", "category", ("female", "male")), Column("alone", "boolean")),
    label="survived",
    missing=("?", "-200"),
)
SIGNATURE = Signature(3, TABLE)
X = np.array([[22.0, 1.0, 0.0], [38.0, 0.0, 1.0], [np.nan, np.nan, np.nan]])
COLUMNS: dict[str, list[Any]] = {
    "alone": [False, True, None],
    "name": ["Braund", "Cumings", "Heikkinen"],
    "sex": ["male", "female", None],
    "age": [22.0, 38.0, None],
}


class Streamed:
    """What only hands out an Arrow stream, as polars and DuckDB do."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


class Interchanged:
    """What only knows the dataframe interchange protocol."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __dataframe__(self, *args: Any, **options: Any) -> object:
        return self._table.__dataframe__(*args, **options)


FRAME = pd.DataFrame(COLUMNS)
TEXTS = {
    "alone": ["false", "TRUE", "?"],
    "sex": ["male", "female", ""],
    "age": ["22", " 38.0 ", "?"],
}
FORMS = {
    "a dictionary of lists": COLUMNS,
    "pandas": FRAME,
    "pandas with nullable types": FRAME.convert_dtypes(),
    "pandas with categories": FRAME.astype({"sex": "category"}),
    "pandas with another index": FRAME.set_index("name"),
    "pandas with an unused column that is no data": FRAME.assign(extra=[object(), 1, "x"]),
    "pandas with unused columns of one name": pd.concat([FRAME, FRAME[["name"]]], axis=1),
    "Arrow": pa.table(COLUMNS),
    "an Arrow batch": pa.RecordBatch.from_pydict(COLUMNS),
    "Arrow with dictionaries": pa.table(
        {**COLUMNS, "sex": pa.array(COLUMNS["sex"]).dictionary_encode()}
    ),
    "records": FRAME.astype(object).where(FRAME.notna(), None).to_dict("records"),
    "a Hugging Face dataset": datasets.Dataset.from_dict(COLUMNS),
    "an Arrow stream": Streamed(pa.table(COLUMNS)),
    "the interchange protocol": Interchanged(pa.table(COLUMNS)),
    "texts": TEXTS,
    "numbers that stand for a missing value": {**COLUMNS, "age": [22, 38, -200]},
    "numbers and text side by side": {**COLUMNS, "age": [22, 38.0, "?"]},
    "true and false as 1 and 0": {**COLUMNS, "alone": [0, 1.0, np.nan]},
}


@pytest.mark.parametrize("form", FORMS)
def test_columns_are_found_by_their_names_in_every_kind_of_table(form: str):
    np.testing.assert_array_equal(SIGNATURE.raw(FORMS[form]), X)


def test_a_structured_array_has_columns_too():
    rows = np.array([(True, 3.0, 1), (False, 2.0, 0)], dtype=[("b", "?"), ("z", "f4"), ("a", "i2")])
    table = TableSchema((Column("a"), Column("b", "boolean")))
    assert Signature(2, table).raw(rows).tolist() == [[1.0, 1.0], [0.0, 0.0]]


@settings(max_examples=50)
@given(order=st.permutations(range(5)), extra=st.lists(st.text(min_size=1), max_size=3))
def test_neither_the_order_nor_further_columns_change_anything(order: list[int], extra: list[str]):
    x = np.arange(15.0).reshape(3, 5)
    names = [f"column {place}" for place in range(5)]
    columns = {names[place]: x[:, place] for place in order}
    columns |= {f"other {name}": [name] * 3 for name in extra}
    found = Signature(5, TableSchema(tuple(map(Column, names)))).raw(columns)
    np.testing.assert_array_equal(found, x)


@pytest.mark.parametrize(
    ("given", "said", "field"),
    [
        (
            FRAME.drop(columns="age"),
            "1 of the model's 3 features are missing: age; found",
            "columns",
        ),
        (FRAME.rename(columns=str.upper), "3 of the model's 3 features", "columns"),
        (pd.DataFrame(X), "the columns have no names", "columns"),
        (pd.DataFrame(), "3 of the model's 3 features are missing", "columns"),
        (pd.DataFrame(X, columns=["22", "1.5", "0"]), "columns are numbers", "params.header"),
        (pd.concat([FRAME, FRAME], axis=1), "columns have the same name: age", "columns"),
        ({**COLUMNS, "age": [1.0, 2.0]}, "different lengths", "columns"),
        ({"age": 1.0}, "one value a row", "age"),
        ({**COLUMNS, "age": ["22", "old", "1"]}, "not a number|no number", "row 1"),
        ({**COLUMNS, "sex": ["male", "x", "y"]}, "categor", "row 1"),
        ({**COLUMNS, "age": [dt.date(2000, 1, 1)] * 3}, "numbers", "age"),
        ({**COLUMNS, "age": [[1], [2], [3]]}, "numbers", "age"),
        ({**COLUMNS, "age": [{}, "a", 1]}, "cannot be read", "age"),
    ],
)
def test_what_does_not_fit_is_an_error_that_names_the_column(given: Any, said: str, field: str):
    with pytest.raises(DataError, match=said) as caught:
        SIGNATURE.raw(given)
    assert field in caught.value.field
    assert caught.value.fix


def test_an_array_is_taken_by_position_and_its_texts_by_the_schema():
    mixed = np.array([[22.0, "male", False], [38.0, "female", True], [None, None, None]], object)
    np.testing.assert_array_equal(SIGNATURE.raw(mixed), X)
    np.testing.assert_array_equal(SIGNATURE.raw(X), X)
    np.testing.assert_array_equal(SIGNATURE.raw(X.tolist()), X)
    with pytest.raises(DataError, match="categor") as caught:
        SIGNATURE.raw(np.array([[1.0, 0.0, 0.0], [1.0, 2.0, 0.0]]))
    assert "'sex'" in caught.value.field
    assert "row 1" in caught.value.field


def test_what_is_masked_is_missing():
    masked = np.ma.masked_invalid(X)
    masked.data[2] = 7.0
    np.testing.assert_array_equal(SIGNATURE.raw(masked), X)
    columns = {"age": masked[:, 0], "sex": COLUMNS["sex"], "alone": masked[:, 2]}
    np.testing.assert_array_equal(SIGNATURE.raw(columns), X)
    np.testing.assert_array_equal(as_features(masked), X)


def test_a_model_without_names_takes_tables_by_their_places():
    nameless = Signature(2)
    x = np.arange(6.0).reshape(3, 2)
    for names in (None, ["0", "1"], ["f0", "f1"], ["height", "width"]):
        np.testing.assert_array_equal(nameless.raw(pd.DataFrame(x, columns=names)), x)
    with pytest.raises(DataError, match="has 3 columns, the model takes 2") as caught:
        nameless.raw(pd.DataFrame(np.zeros((1, 3)), columns=["height", "width", "depth"]))
    assert caught.value.value == ["height", "width", "depth"]


def test_what_has_no_columns_is_no_table():
    for what in (X, X.tolist(), "abc", 3.0, None, [], FRAME["age"], FRAME.iloc[0]):
        assert frame_of(what) is None


# ------------------------------------------------------------------------- in a file


@pytest.mark.parametrize(
    "signature",
    [
        SIGNATURE,
        Signature(2),
        Signature(12, image_shape=(2, 2, 3), reader={"size": [2, 2], "mode": "RGB"}),
        Signature(2, TableSchema((Column("f0"), Column("f1"))), reader={"header": False}),
    ],
    ids=["table", "nameless", "images", "no header"],
)
def test_a_signature_comes_back_from_json(signature: Signature):
    import json

    text = json.dumps(signature.to_dict())
    again = Signature.from_dict(json.loads(text))
    assert again == signature
    assert json.dumps(again.to_dict()) == text


FORGED = {
    "no object": [],
    "another type": {"n_features": "3"},
    "a key too many": {"code": "x"},
    "a key of a column": {"table": {**TABLE.to_dict(), "features": [{"name": "a", "x": 1}]}},
    "a kind": {"table": {**TABLE.to_dict(), "features": [{"name": "a", "kind": "evil"}]}},
    "names": {"n_features": 2},
    "one name": {"table": {**TABLE.to_dict(), "features": [Column("a").__dict__] * 3}},
    "an image": {"image_shape": [2, 2]},
    "an image of nothing": {"image_shape": [-1, -3]},
    "a path": {"reader": {"path": "/etc/passwd"}},
    "labels": {"reader": {"y_path": "/etc/passwd"}},
    "a setting": {"reader": {"delimiter": ";;"}},
    "a type of a setting": {"reader": {"header": "perhaps"}},
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_signature_is_refused(name: str):
    forged = FORGED[name]
    data = {**SIGNATURE.to_dict(), **forged} if isinstance(forged, dict) else forged
    with pytest.raises(CheckpointError) as caught:
        Signature.from_dict(data)  # type: ignore[arg-type]
    assert caught.value.field.startswith("input")


def test_one_row_of_pandas_is_no_table():
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [0.5, 1.5]})
    for one in (frame.iloc[0], frame["a"], frame.astype(object).iloc[0]):
        with pytest.raises(DataError, match="rows are a table") as caught:
            SIGNATURE.raw(one)
        assert "df.iloc[[0]]" in caught.value.fix
