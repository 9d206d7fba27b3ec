"""Files as people have them: blanks, units, times, counters, second headers, wrong suffixes."""

from __future__ import annotations

import bz2
import gzip
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.inputs.signature import Signature
from qstore_ray.data.inputs.unlabelled import read_unlabelled
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.data.sources.local.csv.chunk import CsvLayout
from qstore_ray.data.sources.local.csv.dialect import Dialect
from qstore_ray.data.sources.local.csv.lines import LineRange
from qstore_ray.data.tables.notation import notation_of
from qstore_ray.errors import DataError
from tests.local_files import load, rows

N = 40
A = np.arange(N) * 0.5


def _write(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines))
    return path


def _column(path: Path, values: list[str], name: str = "u") -> Path:
    lines = [f"{a},{value},{i % 2}" for i, (a, value) in enumerate(zip(A, values, strict=True))]
    return _write(path, [f"a,{name},label", *lines])


def _dropped(path: Path, **params) -> Dataset:
    """The dataset without rows that have a missing value, read in ranges of seven rows."""
    params = {"path": str(path), "rows_per_task": 7, **params}
    return DatasetLoader.load(
        DatasetConfig(name="t", source="local", params=params, bad_values="drop")
    )


@pytest.mark.parametrize("sign", ["", "NA", "?"])
@pytest.mark.parametrize(("before", "behind"), [(" ", ""), ("", " "), ("  ", "\t"), ("\t", " ")])
def test_blanks_around_a_missing_number(tmp_path: Path, sign: str, before: str, behind: str):
    written = [f"{before}{sign}{behind}" if i % 5 == 1 else f" {i}" for i in range(N)]
    params = {"missing": [sign]} if sign == "?" else {}
    path = _column(tmp_path / "t.csv", written)
    dataset = _dropped(path, **params)
    kept = np.array([i for i in range(N) if i % 5 != 1])
    x, y = rows(dataset)
    np.testing.assert_array_equal(x, np.column_stack([A[kept], kept]))
    np.testing.assert_array_equal(y, kept % 2)


@given(
    st.lists(
        st.one_of(
            st.sampled_from(["", "NA", " ", "\tNA ", " nan"]),
            st.floats(allow_nan=False, allow_infinity=False).map(lambda value: f" {value!r} "),
        ),
        min_size=1,
    )
)
def test_numbers_with_blanks_are_what_pandas_reads(tmp_path_factory, cells: list[str]):
    text = "".join(f"{cell},x\n" for cell in cells)
    path = tmp_path_factory.mktemp("t") / "t.csv"
    path.write_text(text)
    layout = CsvLayout(
        names=("a", "b"),
        read=("a", "b"),
        numbers=frozenset(("a",)),
        dialect=Dialect(","),
        missing=("", "NA", "nan"),
        max_bytes=2**20,
    )
    lines = LineRange(str(path), 0, len(text), 1, len(cells), "utf-8", len(text))
    found = layout.parse(lines).column("a").to_numpy()
    kept = pd.read_csv(io.StringIO(text), header=None, skipinitialspace=True, dtype=str)[0]
    plain = pd.to_numeric(kept.str.strip().replace({"": None, "NA": None, "nan": None}))
    np.testing.assert_array_equal(found, plain.to_numpy(np.float64))


def test_a_text_among_numbers_with_blanks_has_its_line(tmp_path: Path):
    written = [" NA" if i == 3 else "oops" if i == 9 else str(i) for i in range(N)]
    with pytest.raises(DataError, match="not a number") as caught:
        load(_column(tmp_path / "t.csv", written))
    assert "line 11, column 'u'" in str(caught.value)


@pytest.mark.parametrize(
    ("written", "what"),
    [
        ("{} kg", "the unit kg"),
        ("{}cm", "the unit cm"),
        ("{}.5 °C", "the unit °C"),
        ("{} km/h", "the unit km/h"),
        ("1,{:03} m²", "the unit m²"),
        ("{:02}:30", "times"),
        ("7:{:02} pm", "times"),
        ("0:{:02}:07.25", "times"),
        ("{} Jan 2020", "dates"),
        ("Mar-19{:02}", "dates"),
        ("March {}, 2020", "dates"),
        ("3rd of {}", ""),
        ("{} Main Street", ""),
        ("A{}", ""),
    ],
)
def test_quantities_written_with_words_are_no_names(tmp_path: Path, written: str, what: str):
    values = [written.format(10 + i % 20) for i in range(N)]
    path = _column(tmp_path / "t.csv", [f'"{value}"' for value in values])
    if not what:
        assert notation_of(set(values)) is None
        return
    with pytest.raises(DataError, match=what) as caught:
        load(path)
    assert 'columns.categories = ["u"]' in caught.value.fix
    names = load(path, {"categories": ["u"], "unknown": "zeros"}).schema.feature_names
    assert names is not None
    assert "u" in names


@pytest.mark.parametrize("written", ["{} months", "{}:00", "{} kg"])
@pytest.mark.parametrize("many", [2, 12, 13])
def test_few_values_with_a_unit_may_be_names(written: str, many: int):
    found = notation_of({written.format(10 + i) for i in range(many)})
    assert (found is None) == (many < 13)


def test_many_units_are_names():
    assert notation_of({f"{i}{'ABCD'[i % 4]}" for i in range(40)}) is None  # seats
    assert "units (g, kg)" in notation_of({f"{i} {['g', 'kg'][i % 2]}" for i in range(40)}).what


@pytest.mark.parametrize("begin", [0, 1])
@pytest.mark.parametrize("name", ["No", "no.", "Nr.", "#", "RowNumber", "Sr. No.", "S.No", "idx"])
def test_a_counter_of_the_rows_is_left_out(tmp_path: Path, name: str, begin: int):
    counted = [str(begin + i) for i in range(N)]
    table = load(_column(tmp_path / "t.csv", counted, name)).schema.table
    assert dict(table.left_out) == {name: "numbers the rows"}
    table = load(tmp_path / "t.csv", {"features": [name, "a"]}).schema.table
    assert table.names == (name, "a")
    mixed = [str(i * 7 % N) for i in range(N)]  # another meaning: how many
    assert load(_column(tmp_path / "t.csv", mixed, name)).schema.table.names == ("a", name)


def test_names_below_a_counters_name_are_texts(tmp_path: Path):
    with pytest.raises(DataError, match="more than 20 different"):
        load(
            _column(tmp_path / "t.csv", [f"n{i}x" for i in range(N)], "No"), {"max_categories": 20}
        )


@pytest.mark.parametrize("units", ["mm,kg,", "(m),%,class", "a,b,c", ",kg,0/no"])
def test_a_second_line_of_names_or_units(tmp_path: Path, units: str):
    below = [f"{a},{i},{i % 2}" for i, a in enumerate(A)]
    path = _write(tmp_path / "t.csv", ["u,v,label", units, *below])
    with pytest.raises(DataError, match="second header") as caught:
        load(path)
    assert caught.value.field == f"{path}, line 2"
    assert "params.skip_lines = 1" in caught.value.fix
    if units == "a,b,c":
        assert load(path, {"label": "c"}, skip_lines=1).schema.feature_names == ("a", "b")


@pytest.mark.parametrize("second", ["NA,NA,1", "?,?,1", ",,1", "none,none,none"])
def test_a_first_row_without_values_is_no_header(tmp_path: Path, second: str):
    below = [f"{a},{i},{i % 2}" for i, a in enumerate(A)]
    path = _write(tmp_path / "t.csv", ["u,v,label", second, *below])
    dataset = _dropped(path, missing=["NA", "?", "none"])
    assert sum(dataset.sizes.values()) == N


@pytest.mark.parametrize("sign", [";", "\t", "|"])
def test_commas_in_names_and_decimal_commas_do_not_cut(tmp_path: Path, sign: str):
    path = _write(
        tmp_path / "t.csv",
        [
            sign.join(["a", "b,c", "label"]),
            *(f"{a}{sign}{i}{sign}{i % 2}" for i, a in enumerate(A)),
        ],
    )
    assert load(path).schema.feature_names == ("a", "b,c")
    cells = [f"{a},5{sign}{i},25{sign}{i % 2},0" for i, a in enumerate(range(N))]
    path = _write(tmp_path / "d.csv", [sign.join(["a, in m", "b, in s", "label, or not"]), *cells])
    columns = {"label": "label, or not"}
    with pytest.raises(DataError, match="decimal comma"):
        load(path, columns)
    x, y = rows(load(path, columns, decimal=","))
    np.testing.assert_array_equal(x, np.column_stack([np.arange(N) + 0.5, np.arange(N) + 0.25]))
    np.testing.assert_array_equal(y, np.arange(N) % 2)


def test_signs_within_values_do_not_cut(tmp_path: Path):
    lines = ["a,tags,label", *(f"{a},x;y|{i % 3},{i % 2}" for i, a in enumerate(A))]
    assert load(_write(tmp_path / "t.csv", lines)).schema.feature_names == ("a", "tags")


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
TABLE = b"a,label\n1,0\n2,1\n"


@pytest.mark.parametrize(
    "ending", ["csv", "csv.gz", "jsonl", "parquet", "npz", "npy", "h5", "arff"]
)
def test_a_pointer_of_git_lfs_is_named(tmp_path: Path, ending: str):
    path = tmp_path / f"t.{ending}"
    path.write_bytes(POINTER)
    np.save(tmp_path / "y.npy", np.arange(2))
    more = {"y_path": str(tmp_path / "y.npy")} if ending == "npy" else {}
    with pytest.raises(DataError, match="Git LFS") as caught:
        load(path, **more)
    assert "git lfs pull" in caught.value.fix


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("t.csv", gzip.compress(TABLE), "packed by gzip"),
        ("t.csv", bz2.compress(TABLE), "packed by bzip2"),
        ("t.csv", b"PK\x03\x04\x14\x00\x00\x00", "workbook"),
        ("t.csv", b"PAR1\x15\x04\x15\x00", "Parquet"),
        ("t.csv", b"\xef\xbb\xbf\n<!DOCTYPE html>\n<html>\n", "a web page"),
        ("t.jsonl", b"<html><body>Sign in</body></html>", "a web page"),
        ("t.parquet", b"\x89HDF\r\n\x1a\n", "HDF5"),
        ("t.csv.gz", TABLE, "plain, unpacked text"),
    ],
    ids=["gzip", "bzip2", "zip", "parquet", "page", "page in jsonl", "hdf5", "text"],
)
def test_content_of_another_format_than_the_name_says(tmp_path: Path, name, content, what):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=what) as caught:
        load(path)
    assert caught.value.fix
    assert caught.value.__cause__ is not None
    good = load(_write(tmp_path / "good.csv", ["a,label", *(f"{i},{i % 2}" for i in range(N))]))
    with pytest.raises(DataError, match=what):
        read_unlabelled(str(path), Signature.of(good))


def test_a_fault_of_a_right_file_stays(tmp_path: Path):
    with pytest.raises(DataError, match="no column is called"):
        load(_write(tmp_path / "t.csv", ["a,b", "1,2"]))


def test_a_folder_of_hugging_face_says_how_to_write_parquet(tmp_path: Path):
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train"]}')
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "data-00000-of-00001.arrow").write_bytes(b"\xff\xff\xff\xff")
    with pytest.raises(DataError, match="save_to_disk") as caught:
        load(tmp_path)
    assert "to_parquet" in caught.value.fix


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_upright(tmp_path: Path, orientation: int):
    drawn = np.zeros((16, 16), np.uint8)
    drawn[:8, :8] = 255  # the upper left quarter
    upright = Image.fromarray(drawn)
    stored = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # how a camera turned so stores it
    kept = upright.transpose(stored[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    for i in range(20):
        folder = tmp_path / "ab"[i % 2]
        folder.mkdir(exist_ok=True)
        kept.save(folder / f"{i:02}.jpg", exif=exif, quality=100)
    x, _ = rows(load(tmp_path))
    np.testing.assert_allclose(x.reshape(-1, 16, 16), np.tile(drawn, (20, 1, 1)), atol=2)


def test_damaged_exif_says_nothing(tmp_path: Path):
    for i in range(20):
        folder = tmp_path / "ab"[i % 2]
        folder.mkdir(exist_ok=True)
        Image.new("L", (4, 4), 7).save(folder / f"{i:02}.jpg", exif=b"Exif\0\0II*\0\xff\xff\0\0\1")
    assert rows(load(tmp_path))[0].shape == (20, 16)


def test_classes_below_one_more_folder(tmp_path: Path):
    for i in range(20):
        folder = tmp_path / "images" / "ab"[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("L", (2, 2), i).save(folder / f"{i:02}.png")
    with pytest.raises(DataError, match="2 sub-folders") as caught:
        load(tmp_path)
    assert 'end params.path with "/images"' in caught.value.fix
    assert load(tmp_path / "images").classes == ("a", "b")


@pytest.mark.parametrize("times", [1, 2, 3])
def test_an_index_that_was_written_several_times(tmp_path: Path, times: int):
    path = tmp_path / "t.csv"
    pd.DataFrame({"a": A, "label": np.arange(N) % 2}).to_csv(path)
    for _ in range(times - 1):
        pd.read_csv(path).to_csv(path)
    table = load(path).schema.table
    assert table.names == ("a",)
    assert len(table.left_out) == times


def test_a_path_that_is_not_there_names_the_near_one(tmp_path: Path, monkeypatch):
    near = _write(tmp_path / "train.csv", ["a,label", "1,0"])
    for path in (tmp_path / "trian.csv", tmp_path / "Train.csv", f"file://{tmp_path}/train.cvs"):
        with pytest.raises(DataError, match="no such file") as caught:
            load(path)
        assert caught.value.fix == f"Did you mean {str(near)!r}? Check the path."
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="no such file") as caught:
        load("elsewhere.csv")
    assert caught.value.fix == "Check the path 'elsewhere.csv'; it begins at the working folder."
    with pytest.raises(DataError, match="no file matches") as caught:
        load("data/*.csv")
    assert "working folder" in caught.value.fix


@pytest.mark.parametrize(
    ("cell", "hint"), [("0,5", 'params.decimal = ","'), ("5 %", "without it"), ("five", "")]
)
def test_rows_to_predict_on_in_another_notation(tmp_path: Path, cell: str, hint: str):
    lines = ["a;b;label", *(f"{a};{i};{i % 2}" for i, a in enumerate(A))]
    signature = Signature.of(load(_write(tmp_path / "t.csv", lines)))
    rows_to_predict = _write(tmp_path / "p.csv", ["a;b", f"{cell};1"])
    with pytest.raises(DataError, match="not a number") as caught:
        read_unlabelled(str(rows_to_predict), signature).rows.arrow("a")
    assert hint in caught.value.fix
    assert caught.value.fix.endswith("leave the value empty if it is missing.")
