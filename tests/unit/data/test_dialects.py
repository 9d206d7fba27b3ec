"""How tables in text are written: quotes, delimiters, decimals, comments, ARFF, LIBSVM."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from qstore_ray.data.inputs.signature import Signature
from qstore_ray.data.inputs.unlabelled import read_unlabelled
from qstore_ray.errors import DataError
from tests.local_files import KINDS, X, csv_text, load, rows


def _check(path: Path, columns: dict | None = None, **params) -> None:
    for rows_per_task in (7, 1000):
        x, y = rows(load(path, columns, rows_per_task=rows_per_task, **params))
        np.testing.assert_array_equal(x, X)
        assert y.tolist() == KINDS.tolist()


@pytest.mark.parametrize("delimiter", [";", "\t", "|", " ", "   ", " \t "])
@pytest.mark.parametrize("ending", ["csv", "data", "dat", "txt"])
def test_the_delimiter_is_seen(tmp_path: Path, delimiter: str, ending: str):
    path = tmp_path / f"t.{ending}"
    path.write_text(csv_text(delimiter=delimiter))
    _check(path)
    assert "separated by" in load(path).provenance["delimiter"]


def test_blanks_around_lines_and_quoted_blanks(tmp_path: Path):
    path = tmp_path / "t.dat"
    lines = csv_text(delimiter="  ").splitlines()
    path.write_text("\n".join(f"  {line} " for line in lines))
    _check(path)
    names = [f'"{kind} x"' for kind in KINDS]
    path.write_text(csv_text(y=names, delimiter="  "))
    assert load(path).classes == ("ant x", "bee x", "cow x")


def test_decimal_commas(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text(csv_text(delimiter=";").replace(".", ","))
    for most in (20, 100):
        with pytest.raises(DataError, match="decimal comma") as caught:
            load(path, {"max_categories": most})
    assert 'params.decimal = ","' in caught.value.fix
    _check(path, decimal=",")


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_comments_and_line_ends(tmp_path: Path, end: str):
    lines = csv_text().splitlines()
    lines[20:20] = ["% it's \"odd, isn't it"]
    path = tmp_path / "t.csv"
    path.write_bytes(end.join(["% made by me", *lines, ""]).encode())
    with pytest.raises(DataError, match="looks like a comment") as caught:
        load(path)
    assert 'params.comment = "%"' in caught.value.fix
    _check(path, comment="%")


@pytest.mark.parametrize("rows_per_task", [7, 1000])
def test_a_quote_opens_only_at_the_start_of_a_value(tmp_path: Path, rows_per_task: int):
    lines = csv_text(y=[f'"{kind},\n""x"""' for kind in KINDS]).split("\n")
    lines[0] = "size," + lines[0]
    lines[1:] = [
        f'5"{10 + i},{line}' if line and line[0] in "-0123" else line
        for i, line in enumerate(lines[1:])
    ]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines))
    dataset = load(path, {"exclude": ["size"]}, rows_per_task=rows_per_task)
    x, y = rows(dataset)
    np.testing.assert_array_equal(x, X)
    assert y[0] == 'ant,\n"x"'


def test_row_names_of_r_are_an_index(tmp_path: Path):
    head, *lines = csv_text(delimiter=" ").splitlines()
    path = tmp_path / "t.txt"
    path.write_text("\n".join([head, *(f'"{i}" {line}' for i, line in enumerate(lines))]))
    _check(path)


def test_a_changed_file_is_noticed_though_its_rows_are_held(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text(csv_text())
    dataset = load(path)
    np.testing.assert_array_equal(dataset.materialize("train").x, dataset.materialize("train").x)
    path.write_text(csv_text(x=X + 1))
    with pytest.raises(DataError, match="changed since"):
        dataset.materialize("train")


# ------------------------------------------------------------------------- ARFF and LIBSVM

ARFF = """% a comment
@RELATION 'two words'

@attribute 'the size' REAL
@ATTRIBUTE kind {'big one', small, "it's"}
@attribute class {yes,no}

@DATA
"""


def test_arff_with_quotes_and_missing_values(tmp_path: Path):
    lines = [f"{i}, 'big one', {('yes', 'no')[i % 2]}" for i in range(40)]
    lines[3:3] = ["% another", "?,small,yes", "", '1.5,"it\'s",no', "7,?,no"]
    path = tmp_path / "t.arff"
    path.write_text(ARFF + "\n".join(lines))
    for rows_per_task in (7, 1000):
        with pytest.raises(DataError, match="NaN"):
            load(path, rows_per_task=rows_per_task)
    x = _predicted(path, _schema(path))
    assert np.isnan(x[3, 0])
    assert (x[4].tolist(), np.isnan(x[5, 1])) == ([1.5, 1.0], True)


def _predicted(path: Path, schema) -> np.ndarray:
    signature = Signature(len(schema.names), schema)
    return signature.raw(read_unlabelled(str(path), signature).rows)


def _schema(path: Path):
    from qstore_ray.data.config import DatasetConfig
    from qstore_ray.data.loader import DatasetLoader

    config = DatasetConfig(
        name="t",
        source="local",
        params={"path": str(path)},
        bad_values="drop",
        columns={"encoding": "ordinal"},
    )
    return DatasetLoader.load(config).schema.table


NOMINAL = (
    "@relation t\n@attribute a numeric\n@attribute c {u,' v'}\n@attribute class {no,yes}\n@data\n"
)


def _arff(tmp_path: Path, rows: list[str], head: str = NOMINAL) -> Path:
    path = tmp_path / "t.arff"
    path.write_text(head + "\n".join(rows * 8) + "\n")
    return path


@pytest.mark.parametrize(
    ("row", "column", "value"), [("2,w,yes", "c", "w"), ("2,u,YES", "class", "YES")]
)
def test_a_value_that_the_arff_header_does_not_declare(tmp_path: Path, row, column, value):
    path = _arff(tmp_path, ["1,u,no", "3,v,yes", row])
    with pytest.raises(DataError, match="the header does not declare this value") as caught:
        load(path)
    assert f"line 8, column '{column}'" in caught.value.field
    assert caught.value.value == value


def test_arff_weights_of_rows_say_what_to_write(tmp_path: Path):
    with pytest.raises(DataError, match="4 values") as caught:
        load(_arff(tmp_path, ["1,u,no,{2}", "3,u,yes,{1}"]))
    assert "columns.weight" in caught.value.fix


def test_arff_dates_are_refused_as_those_of_parquet(tmp_path: Path):
    head = NOMINAL.replace("{u,' v'}", 'DATE "yyyy-MM-dd"')
    path = _arff(tmp_path, ["1,'2020-01-01',no", "3,'2020-01-02',yes"], head)
    with pytest.raises(DataError, match=r"nor categories: 'c' \(date\)"):
        load(path)
    assert load(path, {"exclude": ["c"]}).schema.feature_names == ("a",)


def test_sparse_arff(tmp_path: Path):
    lines = [f"{{0 {i}, 1 small, 2 no}}" if i % 2 else "{1 small}" for i in range(40)]
    path = tmp_path / "t.arff"
    path.write_text(ARFF + "\n".join(lines))
    x, y = rows(load(path))
    assert x[:4, 0].tolist() == [0.0, 1.0, 0.0, 3.0]
    assert y[:2].tolist() == ["yes", "no"]


@pytest.mark.parametrize("first", [0, 1])
def test_libsvm_places_begin_alike_in_all_files(tmp_path: Path, first: int):
    dense = np.where(np.arange(80).reshape(20, 4) % 3 == 0, 0.0, np.arange(80).reshape(20, 4))
    dense[:, 3] = 1.0
    for part, keep in (("train", slice(0, 14)), ("test", slice(14, 20))):
        (tmp_path / part).mkdir()
        written = [
            f"{(-1, 1)[i % 2]:+d} "
            + " ".join(f"{place + first}:{value}" for place, value in enumerate(row) if value)
            for i, row in enumerate(dense[keep])
        ]
        (tmp_path / part / "t.svm").write_text("\n".join(["# a comment", *written]))
    dataset = load(tmp_path, rows_per_task=5)
    assert dataset.schema.feature_names == tuple(f"f{place + first}" for place in range(4))
    np.testing.assert_array_equal(dataset.materialize("test").x, dense[14:])
    assert dataset.classes == (-1, 1)
    assert dataset.schema.table is not None
    x = _predicted(tmp_path / "test", dataset.schema.table)
    np.testing.assert_array_equal(x, dense[14:])


def test_a_pickled_task_carries_no_rows_and_reads_the_same(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text(csv_text(x=np.tile(X, (50, 1)), y=np.tile(KINDS, 50)))
    (task,) = load(path).plan("train").tasks
    sent = pickle.dumps(task)
    assert len(sent) < path.stat().st_size / 4
    np.testing.assert_array_equal(pickle.loads(sent)()["x"], task()["x"])
