"""Tables: names, kinds of columns, labels and missing signs, by one rule in every format."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.data.columns import TableSchema
from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.inputs.signature import Signature
from qstore_ray.data.inputs.unlabelled import read_unlabelled
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.data.tables.texts import label_kind_of
from qstore_ray.errors import DataError, QStoreError, UnknownNameError

N = 60
SEX = [("m", "f")[i % 2] for i in range(N)]
PORT = [("S", "C", "Q")[i % 3] for i in range(N)]
AGE = [0.5 * i for i in range(N)]
ALONE = [i % 4 == 0 for i in range(N)]
NAMED = [f"Person {i}" for i in range(N)]
Y = [i % 2 for i in range(N)]
COLUMNS = {"sex": SEX, "port": PORT, "age": AGE, "alone": ALONE, "survived": Y}
SPELLING = {"sex": ["f", "m"], "port": ["C", "Q", "S"]}


def _load(path: Path, params: dict | None = None, **config) -> Dataset:
    return DatasetLoader.load(
        DatasetConfig(
            name="t", source="local", params={"path": str(path), **(params or {})}, **config
        )
    )


def _predicted(path: Path, schema: TableSchema, **changes) -> np.ndarray:
    """Raw rows of a file to predict on."""
    signature = Signature(len(schema.names), schema)
    return signature.raw(read_unlabelled(str(path), signature, changes).rows)


def _all(dataset: Dataset) -> np.ndarray:
    """Prepared rows in the order of the source."""
    x = np.concatenate([dataset.materialize(split).x for split in dataset.plans])
    return x[np.argsort(np.concatenate([dataset.rows(split) for split in dataset.plans]))]


def _write(folder: Path, ending: str, columns: dict[str, list]) -> Path:
    path = folder / f"t.{ending}"
    rows = list(zip(*columns.values(), strict=True))
    if ending == "parquet":
        pq.write_table(pa.table(columns), path)
    elif ending == "jsonl":
        lines = (json.dumps(dict(zip(columns, row, strict=True))) for row in rows)
        path.write_text("\n".join(lines))
    elif ending == "arff":
        kinds = (
            "numeric"
            if isinstance(values[0], (int, float)) and not isinstance(values[0], bool)
            else "{" + ",".join(sorted({str(v) for v in values if v is not None})) + "}"
            for values in columns.values()
        )
        head = (f"@attribute {name} {kind}" for name, kind in zip(columns, kinds, strict=True))
        data = (",".join("?" if v is None else str(v) for v in row) for row in rows)
        path.write_text("\n".join(["@relation t", *head, "@data", *data]))
    else:
        data = (",".join("" if v is None else str(v) for v in row) for row in rows)
        path.write_text("\n".join([",".join(columns), *data]))
    return path


FORMATS = ("csv", "jsonl", "parquet", "arff")


@pytest.mark.parametrize("ending", FORMATS)
def test_texts_and_booleans_are_features_in_every_format(tmp_path: Path, ending: str):
    dataset = _load(_write(tmp_path, ending, COLUMNS), columns={"label": "survived"})
    table = dataset.schema.table
    assert table is not None
    assert [column.kind for column in table.features] == [
        "category",
        "category",
        "number",
        "boolean",
    ]
    assert {c.name: list(c.categories) for c in table.features if c.categories} == SPELLING
    assert dataset.schema.prepared_names == (
        *("sex=f", "sex=m", "port=C", "port=Q", "port=S"),
        *("age", "alone"),
    )
    x = _all(dataset)
    np.testing.assert_array_equal(x[:, 0], [sex == "f" for sex in SEX])
    np.testing.assert_array_equal(x[:, 4], [port == "S" for port in PORT])
    np.testing.assert_array_equal(x[:, 5:], np.column_stack([AGE, ALONE]))
    line = table.line()
    assert "label survived" in line
    assert "sex (category)" in line
    described = [text.strip() for text in dataset.describe().splitlines()]
    assert "columns      label survived" in described
    assert line.partition("; ")[2] in described


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("rows_per_task", [7, 1000])
def test_rows_to_predict_are_found_by_name(tmp_path: Path, ending: str, rows_per_task: int):
    schema = _load(_write(tmp_path, ending, COLUMNS), columns={"label": "survived"}).schema.table
    assert schema is not None
    schema = TableSchema.from_dict(json.loads(json.dumps(schema.to_dict())))
    moved = {name: COLUMNS[name] for name in ("alone", "age", "port", "sex")} | {"id": NAMED}
    for other in FORMATS:
        path = _write(tmp_path, other, moved)
        x = _predicted(path, schema, rows_per_task=rows_per_task)
        codes = [SPELLING["sex"].index(sex) for sex in SEX]
        np.testing.assert_array_equal(x[:, 0], codes)
        np.testing.assert_array_equal(x[:, 2:], np.column_stack([AGE, ALONE]))


@pytest.mark.parametrize("ending", FORMATS)
def test_a_missing_feature_and_an_unknown_category_are_errors(tmp_path: Path, ending: str):
    schema = _load(_write(tmp_path, ending, COLUMNS), columns={"label": "survived"}).schema.table
    assert schema is not None
    path = _write(tmp_path, ending, {"age": AGE, "alone": ALONE})
    with pytest.raises(DataError, match=r"2 of the model.s 4 features") as caught:
        _predicted(path, schema)
    assert caught.value.value == ["sex", "port"]
    strange = COLUMNS | {"port": ["S", "X", *PORT[2:]]}
    path = _write(tmp_path, ending, strange)
    with pytest.raises(DataError, match="the training data do not have") as unknown:
        _predicted(path, schema)
    assert (unknown.value.value, "'port'" in unknown.value.field) == ("X", True)
    zeros = TableSchema.from_dict(schema.to_dict() | {"unknown": "zeros"})
    assert _predicted(path, zeros)[1, 1] == -1.0  # which no category is


@pytest.mark.parametrize("ending", FORMATS)
def test_text_that_is_no_category_lists_what_to_exclude(tmp_path: Path, ending: str):
    names = [f"{name} of {i}" for i, name in enumerate(NAMED)]
    path = _write(tmp_path, ending, {"name": NAMED, "ticket": names} | COLUMNS)
    columns = {"label": "survived", "max_categories": 50}
    with pytest.raises(DataError) as caught:
        _load(path, columns=columns)
    assert 'columns.exclude = ["name", "ticket"]' in caught.value.fix
    dataset = _load(path, columns=columns | {"exclude": ["name", "ticket"]})
    assert dataset.schema.table is not None
    assert dataset.schema.table.left_out == (("name", "excluded"), ("ticket", "excluded"))
    with pytest.raises(UnknownNameError, match="unknown column"):
        _load(path, columns=columns | {"exclude": ["names"]})


def test_numbers_can_be_categories_and_categories_places(tmp_path: Path):
    path = _write(tmp_path, "csv", {"zip": [10, 9, 8] * 20, "y": Y})
    dataset = _load(path, columns={"categories": ["zip"], "encoding": "ordinal"})
    assert _all(dataset)[:3, 0].tolist() == [0.0, 2.0, 1.0]  # sorted as texts: 10, 8, 9
    hot = _load(path, columns={"categories": ["zip"]})
    assert hot.schema.prepared_names == ("zip=10", "zip=8", "zip=9")


@pytest.mark.parametrize("ending", FORMATS)
def test_missing_categories_are_filled_with_the_most_frequent(tmp_path: Path, ending: str):
    sex = [
        None if i in (3, 5) else value
        for i, value in enumerate(["m", *["f", "f", "m"] * 19, "f", "f"])
    ]
    path = _write(tmp_path, ending, {"sex": sex, "age": AGE, "y": Y})
    with pytest.raises(DataError, match="'sex'"):
        _load(path)
    dataset = _load(path, preprocessing=[{"name": "impute"}, {"name": "standard"}])
    assert [step.name for step in dataset.preparation.steps] == ["impute", "one_hot", "standard"]
    filled = dataset.preparation.steps[0].apply(
        np.array([[np.nan, 1.0]]), dataset.preparation.states[0]
    )
    assert filled[0, 0] == 0.0  # f


def test_one_hot_by_name_takes_the_other_categories_along(tmp_path: Path):
    path = _write(tmp_path, "csv", COLUMNS | {"code": [i % 4 for i in range(N)]})
    step = {"name": "one_hot", "columns": ["code"], "unknown": "zeros"}
    dataset = _load(path, columns={"label": "survived"}, preprocessing=[step])
    assert len(dataset.preparation.steps) == 1
    assert dataset.schema.n_features == 2 + 3 + 1 + 1 + 4
    with pytest.raises(UnknownNameError, match="'cod'"):
        _load(path, columns={"label": "survived"}, preprocessing=[step | {"columns": ["cod"]}])


@pytest.mark.parametrize("part", ["val", "test"])
def test_a_category_that_train_lacks_is_said_when_loading(tmp_path: Path, part: str):
    for name, port in (("train", "S"), (part, "Q")):
        (tmp_path / name).mkdir()
        lines = [f"{'C' if i % 2 else port},{i},{i % 2}" for i in range(30)]
        (tmp_path / name / "t.csv").write_text("\n".join(["port,age,y", *lines]))
    split = {"train": 0.5, "test": 0.5} if part == "val" else {"train": 0.5, "val": 0.5}
    with pytest.raises(DataError, match=f"15 rows of {part} have a category in column 'port'") as e:
        _load(tmp_path, split=split)
    assert (e.value.value, 'unknown = "zeros"' in e.value.fix) == ("Q", True)
    dataset = _load(tmp_path, split=split, columns={"unknown": "zeros"})
    assert dataset.schema.prepared_names == ("port=C", "port=S", "age")
    assert dataset.materialize(part).x[0].tolist() == [0.0, 0.0, 0.0]


# ------------------------------------------------------------------------- index and header


def test_the_index_of_pandas_is_left_out_and_said(tmp_path: Path):
    pandas = pytest.importorskip("pandas", reason="writes the files as users do")
    frame = pandas.DataFrame({"a": AGE, "y": Y}).sample(frac=1, random_state=1)
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_csv(tmp_path / "t.csv")
    pandas.read_csv(tmp_path / "t.csv").to_csv(tmp_path / "again.csv", index=False)
    for name in ("t.parquet", "t.csv", "again.csv"):
        table = _load(tmp_path / name).schema.table
        assert table is not None
        assert table.names == ("a",), name
        assert table.left_out[0][1] == "the index of a pandas table"


def test_an_empty_column_is_left_out(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("a,gap,y,\n" + "".join(f"{i},,{i % 2},\n" for i in range(N)))
    table = _load(path).schema.table
    assert table is not None
    assert (table.names, dict(table.left_out)["gap"]) == (("a",), "every value is missing")
    path.write_text("a,y\n" + "".join(f"{i},{i % 2},\n" for i in range(N)))
    assert _load(path).schema.feature_names == ("a",)
    empty = pa.table({"a": AGE, "gap": pa.array([None] * N, pa.float64()), "y": Y})
    pq.write_table(empty, tmp_path / "t.parquet")
    assert _load(tmp_path / "t.parquet").schema.feature_names == ("a",)


@pytest.mark.parametrize(
    "lines",
    [
        ["5.1,3.5,1.4,setosa", "4.9,3.0,1.3,virginica", "5.0,3.1,1.2,setosa"],
        ["1,85,66,0", "8,183,64,1", "2,90,60,0"],
        ["sunny,hot,high,no", "rain,mild,high,yes", "sunny,cool,normal,no"],
    ],
)
def test_a_first_line_that_is_a_row_is_no_header(tmp_path: Path, lines: list[str]):
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines * 20))
    for label in (lines[0].rpartition(",")[2], None):
        with pytest.raises(QStoreError, match=r"params\.header = false"):
            _load(path, columns={"label": label})
    dataset = _load(path, {"header": False}, columns={"label": "f3"})
    assert sum(dataset.sizes.values()) == 60
    assert dataset.schema.feature_names == ("f0", "f1", "f2")


def test_names_that_count_on_are_a_header(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("0,1,2,y\n" + "".join(f"{i},{i + 0.5},3,{i % 2}\n" for i in range(N)))
    assert _load(path).schema.feature_names == ("0", "1", "2")
    path.write_text("2.5,7.5,y\n" + "".join(f"{i},{i + 0.5},{i % 2}\n" for i in range(N)))
    assert _load(path, {"header": True}).schema.feature_names == ("2.5", "7.5")


def test_an_excluded_column_is_not_taken_for_the_label(tmp_path: Path):
    path = _write(tmp_path, "csv", {"a": AGE, "class": AGE, "label": Y})
    dataset = _load(path, columns={"exclude": ["class"]})
    assert (dataset.schema.table.label, dataset.schema.feature_names) == ("label", ("a",))
    alone = _write(tmp_path, "csv", {"a": AGE, "y": Y})
    with pytest.raises(DataError, match="no column is called"):
        _load(alone, columns={"exclude": ["y"]})


def test_one_name_that_is_also_a_value_is_still_a_header(tmp_path: Path):
    path = _write(tmp_path, "csv", {"a": AGE, "y": [("x", "y")[i % 2] for i in range(N)]})
    assert _load(path).classes == ("x", "y")


def test_several_labels_are_an_error_and_any_case_is_one(tmp_path: Path):
    path = _write(tmp_path, "csv", {"a": AGE, "Class": Y})
    assert _load(path).schema.table.label == "Class"
    with pytest.raises(DataError, match="several columns could be the label") as caught:
        _load(_write(tmp_path, "csv", {"a": AGE, "Class": Y, "target": Y}))
    assert caught.value.value == ["Class", "target"]


# ------------------------------------------------------------------------- labels


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["0", "00", "01", "1"], ("0", "00", "01", "1")),
        (["001", "010", "100"], ("001", "010", "100")),
        (["1.0", "1"], ("1", "1.0")),
        (["1e3", "2"], ("1e3", "2")),
        (["+1", "-1"], ("+1", "-1")),
        (["-1", "1"], (-1, 1)),
        (["1.0", "2.0"], (1, 2)),
        (["True", "False"], (False, True)),
    ],
)
@pytest.mark.parametrize("ending", ["csv", "arff"])
def test_labels_are_what_was_written(tmp_path: Path, ending: str, labels, classes):
    path = _write(tmp_path, ending, {"a": AGE, "y": (labels * N)[:N]})
    assert _load(path).classes == classes


@given(st.lists(st.integers(-(10**6), 10**6), min_size=1))
def test_whole_numbers_are_numbers_however_many(values):
    assert label_kind_of({str(value) for value in values}, (), quantity=False) == "number"
    padded = {f"0{abs(value)}" for value in values}
    assert label_kind_of(padded, (), quantity=False) == "text"
    assert label_kind_of(padded, (), quantity=True) == "number"


# ------------------------------------------------------------------------- missing values


@pytest.mark.parametrize("sign", ["", "NA", "None", "<NA>", "n/a", "#N/A", "null", "NaN"])
def test_usual_signs_of_a_missing_value(tmp_path: Path, sign: str):
    path = _write(tmp_path, "csv", {"a": [sign if i == 3 else i for i in range(N)], "y": Y})
    dataset = _load(path, bad_values="drop")
    assert dataset.provenance["dropped"].startswith("1 rows")


@pytest.mark.parametrize("sign", ["?", "-", "missing"])
def test_a_sign_that_was_not_said_names_the_option(tmp_path: Path, sign: str):
    path = _write(tmp_path, "csv", {"a": [sign if i == 3 else i for i in range(N)], "y": Y})
    with pytest.raises(DataError, match="not a number") as caught:
        _load(path)
    assert f'params.missing = ["{sign}"]' in caught.value.fix
    assert caught.value.field.endswith("line 5, column 'a'")
    dataset = _load(path, {"missing": [sign]}, preprocessing=[{"name": "impute"}])
    assert np.isfinite(_all(dataset)).all()


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_sign_among_names_is_asked_about(tmp_path: Path, ending: str):
    work = [("?" if i < 6 else f"job {i % 3}") for i in range(N)]
    path = _write(tmp_path, ending, {"work": work, "a": AGE, "y": Y})
    with pytest.raises(DataError, match="stand for a missing one") as caught:
        _load(path)
    assert 'params.missing = ["?"]' in caught.value.fix
    assert _load(path, {"missing": ["?"]}, bad_values="drop").provenance["dropped"][:2] == "6 "
    columns = {"categories": ["work"], "unknown": "zeros"}
    assert _load(path, columns=columns).schema.table.features[0].categories[0] == "?"


@pytest.mark.parametrize("ending", FORMATS)
def test_numbers_can_stand_for_missing_values(tmp_path: Path, ending: str):
    path = _write(
        tmp_path, ending, {"a": [-200.0 if i == 3 else i + 0.5 for i in range(N)], "y": Y}
    )
    dataset = _load(path, {"missing": [-200]}, bad_values="drop")
    assert sum(dataset.sizes.values()) == N - 1


@pytest.mark.parametrize("ending", FORMATS)
def test_rows_without_a_label_are_dropped_and_counted(tmp_path: Path, ending: str):
    y = [None if i in (4, 9) else ("no", "yes")[i % 2] for i in range(N)]
    path = _write(tmp_path, ending, {"a": AGE, "y": y})
    with pytest.raises(DataError, match="a label is missing in row 4, and in 1 more") as caught:
        _load(path)
    assert 'bad_values = "drop"' in caught.value.fix
    dataset = _load(path, bad_values="drop")
    assert dataset.provenance["dropped"] == "2 rows without a label dropped"
    assert dataset.classes == ("no", "yes")
    y = [None if i == 4 else i % 2 for i in range(N)]
    assert _load(_write(tmp_path, ending, {"a": AGE, "y": y}), bad_values="drop").classes == (0, 1)


def test_a_class_that_dropping_empties_is_said_as_such(tmp_path: Path):
    y = [("a", "b", "c")[i % 3] for i in range(N)]
    values = [None if label == "c" else i for i, label in enumerate(y)]
    path = _write(tmp_path, "csv", {"a": values, "y": y})
    with pytest.raises(DataError, match="every row of class 'c'") as caught:
        _load(path, bad_values="drop")
    assert caught.value.field == "bad_values"


# ------------------------------------------------------------------------- lists


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_lists_of_one_length_are_features(tmp_path: Path, ending: str):
    columns = {"p": [[float(i), float(i + 1)] for i in range(N)], "a": AGE, "y": Y}
    path = _write(tmp_path, ending, columns)
    dataset = _load(path)
    assert dataset.schema.feature_names == ("p_0", "p_1", "a")
    assert _all(dataset)[5].tolist() == [5.0, 6.0, 2.5]
    columns["p"][7] = [1.0]
    with pytest.raises(DataError, match="the list has 1 values"):
        _load(_write(tmp_path, ending, columns))
