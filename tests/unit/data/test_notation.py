"""Lines before the table, and numbers that are written as people write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.inputs.signature import Signature
from qstore_ray.data.inputs.unlabelled import read_unlabelled
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.data.sources.local.csv.dialect import Dialect
from qstore_ray.data.tables.notation import notation_of
from qstore_ray.errors import ConfigError, DataError

N = 30
ROWS = [f"{i / 2},{i % 3},{'ab'[i % 2]}" for i in range(N)]


def _load(path: Path, params: dict | None = None, **config) -> Dataset:
    return DatasetLoader.load(
        DatasetConfig(
            name="t",
            source="local",
            params={"path": str(path), **(params or {})},
            split={"train": 1.0},
            **config,
        )
    )


def _column(values: list[str], name: str = "u") -> str:
    rows = (f'{i},"{value}",{i % 2}' for i, value in enumerate(values))
    return "\n".join([f"a,{name},label", *rows])


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("rows_per_task", [7, 100])
def test_lines_before_the_header_are_left_out(tmp_path: Path, end, mark, rows_per_task):
    path = tmp_path / "t.csv"
    lines = ['"Data Source","World"', "", 'a "stray" quote"', "u,v,label", *ROWS]
    path.write_bytes((mark + end.join(lines)).encode())
    with pytest.raises(DataError, match="looks like a title") as caught:
        _load(path)
    assert "in line 4, set params.skip_lines = 3" in caught.value.fix
    dataset = _load(path, {"skip_lines": 3, "rows_per_task": rows_per_task})
    x, y = dataset.materialize("train")
    np.testing.assert_array_equal(x, [[i / 2, i % 3] for i in range(N)])
    assert dataset.classes == ("a", "b")
    np.testing.assert_array_equal(y, np.arange(N) % 2)
    path.write_bytes((mark + end.join([*lines, "oops,1,a"])).encode())
    with pytest.raises(DataError, match="not a number") as caught:
        _load(path, {"skip_lines": 3})
    assert f"line {5 + N}," in caught.value.field


def test_a_line_of_counts_is_left_out_for_prediction_too(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["30,2,a", *ROWS]))
    dataset = _load(path, {"skip_lines": 1, "header": False}, columns={"label": "f2"})
    assert dataset.sizes["train"] == N
    rows = read_unlabelled(str(path), Signature.of(dataset)).rows
    assert len(rows.arrow("f0")) == N


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_line_in_which_excel_notes_the_delimiter(tmp_path: Path, delimiter: str):
    path = tmp_path / "t.csv"
    lines = [line.replace(",", delimiter) for line in ("u,v,label", *ROWS)]
    path.write_text("\n".join([f"sep={delimiter}", *lines]))
    with pytest.raises(DataError, match="Excel") as caught:
        _load(path)
    assert caught.value.fix == "Set params.skip_lines = 1."
    assert _load(path, {"skip_lines": 1}).sizes["train"] == N


def test_more_lines_than_there_are(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["u,v,label", *ROWS]))
    with pytest.raises(DataError, match=f"there are {N} lines"):
        _load(path, {"skip_lines": N + 5})


@pytest.mark.parametrize("sign", ["#", "%"])
def test_comments_before_the_header_name_the_option(tmp_path: Path, sign: str):
    path = tmp_path / "t.csv"
    lines = [f"{sign} made by, a telescope", f"{sign} see there", "u,v,label", *ROWS]
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match="looks like a comment") as caught:
        _load(path)
    assert caught.value.fix == f'Set params.comment = "{sign}".'
    assert _load(path, {"comment": sign}).sizes["train"] == N


@pytest.mark.parametrize(
    ("values", "what", "fix"),
    [
        ([f"{i * 1234567 + 1000:,}" for i in range(N)], "between thousands", "thousands"),
        ([f"{i + 1},5" for i in range(N)], "decimal comma", "params.decimal"),
        ([f"{i + 1},234" for i in range(N)], "have commas", "thousands"),
        ([f"{i}.5%" for i in range(N)], "percent sign", "without it"),
        ([f"${i}.99" for i in range(N)], "currency sign", "without it"),
        ([f"{i} €" for i in range(N)], "currency sign", "without it"),
        ([f"{i + 1} 000" for i in range(N)], "blanks between thousands", "thousands"),
        ([f"{i + 1}_000" for i in range(N)], "underscores", "without them"),
        ([f"{i}.5D+00" for i in range(N)], "Fortran", "in place of D"),
        ([f"'{i}'" for i in range(N)], "single quotes", "double quotes"),
        ([f"\u2212{i + 1}.5" for i in range(N)], "not ASCII", "alone"),
        ([f"{i + 1}\u00a0000" for i in range(N)], "not ASCII", "alone"),
        ([f"\uff11{i}" for i in range(N)], "not ASCII", "alone"),
    ],
)
def test_numbers_in_disguise_say_what_to_type(tmp_path: Path, values, what, fix):
    path = tmp_path / "t.csv"
    path.write_text(_column(values))
    with pytest.raises(DataError, match=what) as caught:
        _load(path)
    assert fix in caught.value.fix
    assert 'columns.exclude = ["u"]' in caught.value.fix
    assert 'columns.categories = ["u"]' in caught.value.fix
    assert _load(path, columns={"categories": ["u"]}).schema.table.features[1].kind == "category"


def test_blanks_that_are_not_ascii_around_numbers_are_blanks(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text(_column([f"\u00a0{i}\u202f" for i in range(N)]))
    np.testing.assert_array_equal(_load(path).materialize("train").x[:, 1], np.arange(N))


def test_a_sign_that_is_not_ascii_further_down_is_named(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text(_column([*map(str, range(N)), "\u22127"]))
    with pytest.raises(DataError, match="not a number") as caught:
        _load(path)
    assert f"line {N + 2}" in caught.value.field
    assert "with - and 0 to 9" in caught.value.fix


def test_a_decimal_comma_between_quotes_goes_with_commas_between_values(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text(_column([f"{i},5" for i in range(N)]))
    x = _load(path, {"decimal": ","}).materialize("train").x
    np.testing.assert_array_equal(x[:, 1], np.arange(N) + 0.5)


def test_the_few_that_are_written_so_say_it_too(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text(_column([*map(str, range(N)), "1,234"]))
    with pytest.raises(DataError, match="not a number") as caught:
        _load(path)
    assert 'Set params.thousands = ","' in caught.value.fix
    assert "columns.exclude" in caught.value.fix


DATES = [f"2019-03-{i % 28 + 1:02}" for i in range(N)]


@pytest.mark.parametrize("days", [2, 28, N * 10])
@pytest.mark.parametrize("suffix", ["", " 20:01:09", "T20:01:09Z"])
def test_dates_are_no_categories(tmp_path: Path, suffix: str, days: int):
    """A category of each day would know no day of the test rows."""
    path = tmp_path / "t.csv"
    values = [f"20{i // 28 % 90:02}-03-{i % 28 + 1:02}{suffix}" for i in range(days)]
    path.write_text(_column((values * N)[: max(N, days)]))
    with pytest.raises(DataError, match="the values are dates") as caught:
        _load(path)
    assert "'u'" in caught.value.field
    assert _load(path, columns={"exclude": ["u"]}).schema.feature_names == ("a",)
    named = _load(path, columns={"categories": ["u"], "max_categories": 1000})
    assert named.schema.table.features[1].kind == "category"


@pytest.mark.parametrize("suffix", ["parquet", "jsonl", "arff"])
def test_dates_are_no_categories_in_any_format(tmp_path: Path, suffix: str):
    table = pd.DataFrame({"a": range(N), "u": DATES, "label": [i % 2 for i in range(N)]})
    path = tmp_path / f"t.{suffix}"
    if suffix == "parquet":
        table.to_parquet(path)
    elif suffix == "jsonl":
        table.to_json(path, orient="records", lines=True)
    else:
        head = (
            "@relation t\n@attribute a real\n@attribute u string\n@attribute label {0,1}\n@data\n"
        )
        path.write_text(head + table.to_csv(header=False, index=False))
    with pytest.raises(DataError, match="the values are dates"):
        _load(path)


@pytest.mark.parametrize(
    ("texts", "what"),
    [
        (["(1.50)", "2", "(1,200)"], "brackets for a minus sign"),
        (["($3)", "4"], "brackets for a minus sign"),
        (["0x1A", "0xff", "7"], "hexadecimal digits"),
        (["٣", "٤", "5"], "not ASCII"),
        (["१२", "७.५"], "not ASCII"),
        (["１２", "３"], "not ASCII"),
    ],
)
def test_numbers_of_accountants_and_other_digits(texts: list[str], what: str):
    assert what in notation_of(texts).what


@pytest.mark.parametrize("texts", [["(a)", "(b)"], ["(1", "2)"], ["³", "½"], ["2019", "2020"], []])
def test_names_are_no_numbers_in_disguise(texts: list[str]):
    assert notation_of(texts) is None


@pytest.mark.parametrize("days", [5, 150])
@pytest.mark.parametrize("sign", ["#DIV/0!", "#REF!", "#NAME?", "#VALUE!"])
def test_errors_of_a_spreadsheet_are_no_categories(tmp_path: Path, sign: str, days: int):
    path = tmp_path / "t.csv"
    path.write_text(_column([str(i % days) if i % 3 == 0 else sign for i in range(600)]))
    with pytest.raises(DataError, match="stand for a missing one") as caught:
        _load(path)
    assert f'params.missing = ["{sign}"]' in caught.value.fix
    filled = _load(path, {"missing": [sign]}, preprocessing=[{"name": "impute"}])
    assert filled.schema.table.features[1].kind == "number"


@pytest.mark.parametrize("rows_per_task", [50, 1000])
@pytest.mark.parametrize("signs", [["?"], ["missing"], ["unknown", "refused", "-"]])
def test_few_texts_among_many_numbers_are_not_the_fault_of_the_column(
    tmp_path: Path, signs: list[str], rows_per_task: int
):
    """Most rows have the sign, so the column does not look like one of numbers."""
    path = tmp_path / "t.csv"
    values = [str(i / 4) if i % 3 == 0 else signs[i % len(signs)] for i in range(900)]
    path.write_text(_column(values))
    params = {"rows_per_task": rows_per_task}
    with pytest.raises(DataError, match="stand for a missing one") as caught:
        _load(path, params)
    assert caught.value.value == min(signs)
    path.write_text(_column([*values, "a", "b", "c", "d"]))
    with pytest.raises(DataError, match="more than 100 different values"):
        _load(path, params)


@pytest.mark.parametrize(("thousands", "decimal"), [(",", "."), (".", ","), (" ", "."), ("'", ".")])
def test_signs_between_thousands(tmp_path: Path, thousands: str, decimal: str):
    numbers = [i * 12345.25 for i in range(N)]
    swap = str.maketrans(",.", thousands + decimal)
    path = tmp_path / "t.csv"
    rows = (f'"{n:,}";{i};"{n * 2:,}"'.translate(swap) for i, n in enumerate(numbers))
    path.write_text("\n".join(["u;v;y", *rows, ";1;3"]))
    params = {"thousands": thousands, "decimal": decimal, "delimiter": ";"}
    steps = [{"name": "impute"}]
    dataset = _load(path, params, task="regression", preprocessing=steps)
    x, y = dataset.materialize("train")
    np.testing.assert_array_equal(x[:-1], np.column_stack([numbers, range(N)]))
    np.testing.assert_array_equal(y[:, 0] if y.ndim == 2 else y, [*(2 * n for n in numbers), 3])
    rows = read_unlabelled(str(path), Signature.of(dataset)).rows
    assert rows.arrow("u").to_pylist()[1] == "12345.25"


def test_one_sign_cannot_mean_both(tmp_path: Path):
    with pytest.raises(ConfigError, match="same sign"):
        _load(tmp_path / "t.csv", {"thousands": ",", "decimal": ","})


def test_targets_in_disguise(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text(_column([f"{i * 5000 + 1000:,}" for i in range(N)], "price"))
    asked = {"columns": {"label": "price"}, "task": "regression"}
    with pytest.raises(DataError, match="labels: the numbers have commas") as caught:
        _load(path, **asked)
    assert "params.thousands" in caught.value.fix
    assert _load(path, {"thousands": ","}, **asked).materialize("train").y.max() == 146_000


@given(st.integers(-(10**12), 10**12), st.sampled_from([",", ".", " ", "'"]))
def test_a_number_is_the_same_with_and_without_signs(number: int, sign: str):
    decimal = "," if sign == "." else "."
    dialect = Dialect(";", decimal, thousands=sign)
    written = f"{number:,}".replace(",", sign) + f"{decimal}25"
    assert dialect.number(written) == f"{number}.25"
    assert dialect.number(f"{number}") == f"{number}"
    assert dialect.number(f"item {number}") == f"item {number}"


@given(st.lists(st.text(alphabet="ab1 ", min_size=1), min_size=1))
def test_names_are_no_notation(texts: list[str]):
    assert notation_of(texts) is None


@pytest.mark.parametrize("extra", [[], ["maybe"]])
def test_true_and_false_are_labels_unless_there_is_another(tmp_path: Path, extra: list[str]):
    path = tmp_path / "t.csv"
    texts = ["TRUE", "FALSE"] * 5 + extra
    path.write_text("\n".join(["a,label", *(f"{i},{text}" for i, text in enumerate(texts))]))
    assert _load(path).classes == (("FALSE", "TRUE", "maybe") if extra else (False, True))


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_text_among_learnt_numbers_gets_no_advice_for_training(tmp_path: Path, ending: str):
    train, rows = tmp_path / "t.csv", tmp_path / f"p.{ending}"
    train.write_text(_column([str(i) for i in range(N)]))
    lines = {"csv": "u,a\n1,2\n3%,1\n", "jsonl": '{"u": 1, "a": 2}\n{"u": "3%", "a": 1}\n'}
    rows.write_text(lines[ending])
    signature = Signature.of(_load(train))
    with pytest.raises(DataError, match="not a number") as caught:
        signature.raw(read_unlabelled(str(rows), signature).rows)
    assert "model has learnt numbers" in caught.value.fix
    assert "params" not in caught.value.fix
    assert "columns." not in caught.value.fix
