"""Local files that are wrong: each fault is an error that says where it is and what to do."""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

from qstore_ray.errors import ConfigError, DataError, QStoreError
from tests.dataset_service import breaking, send
from tests.local_files import (
    IMAGES,
    NUMBERS,
    TABLES,
    N,
    X,
    csv_text,
    idx,
    jsonl_text,
    load,
    rows,
    table,
    write_images,
)


def _refused(path: Path | str, *expected: str, error: type[QStoreError] = DataError, **params):
    """The error names all that is `expected`: the file or line, the fault, the fix."""
    with pytest.raises(error) as caught:
        rows(load(path, **params))
    for text in expected:
        assert text in str(caught.value)


def _lines(change: dict[int, str]) -> str:
    """A CSV table of which some lines, numbered from 1, are others."""
    lines = csv_text().splitlines()
    for number, text in change.items():
        lines[number - 1] = text
    return "\n".join(lines) + "\n"


# ------------------------------------------------------------------------------------ text


@pytest.mark.parametrize("rows_per_task", [7, 60])
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (_lines({31: "1,2,3"}), ("line 31", "3 values, the first line has 4")),
        (_lines({31: "1,2,3,4,5"}), ("line 31", "5 values")),
        (_lines({31: "1,x,3,ant"}), ("line 31, column 'b'", "not a number", "(got 'x')")),
        (_lines({31: "1,true,3,ant"}), ("line 31, column 'b'", "not a number")),
        (_lines({31: "1,2,3,"}), ("column 'label'", "a label is missing")),
        (_lines({31: "1,,3,ant"}), ("NaN", "column 1 ('b')", "first in row 29")),
        (_lines({31: "1,inf,3,ant"}), ("infinite", "column 1 ('b')", "first in row 29")),
        (_lines({31: '1,2,3,"ant'}), ("line 31", "a quote is opened and never closed")),
        (_lines({31: "1,2\0,3,ant"}), ("line 31", "a NUL byte", "UTF-8")),
        (_lines({31: "1,2,3,ant\r1,2,3,ant"}), ("Lines end with",)),
        (_lines({1: "a,b,a,label"}), ("columns have the same name", "'a'")),
        ("", ("the file is empty",)),
        ("\n\n", ("the file is empty",)),
        ("a,b,label\n", ("there are 0 rows in train",)),
        ("label\n1\n2\n", ("no column beside the label",)),
    ],
)
def test_a_faulty_csv_file_names_line_and_column(tmp_path, content, expected, rows_per_task):
    (tmp_path / "t.csv").write_bytes(content.encode())
    _refused(tmp_path / "t.csv", *expected, rows_per_task=rows_per_task)


def test_bytes_that_are_not_utf_8(tmp_path: Path):
    (tmp_path / "t.csv").write_bytes(_lines({31: "1,2,3,fée"}).encode("latin-1"))
    _refused(tmp_path / "t.csv", "line 31", "not UTF-8", 'params.encoding = "latin-1"')
    (tmp_path / "t.csv").write_bytes(csv_text().encode("utf-16"))
    _refused(tmp_path / "t.csv", "a NUL byte", "UTF-16")


def test_a_line_without_end_is_refused_before_it_is_read(tmp_path: Path):
    with (tmp_path / "long.csv").open("wb") as file:
        file.write(b"a,b,label\n1,")
        file.seek(2**30)  # a hole: 1 GB that takes no room on the disk
        file.write(b"\n")
    _refused(tmp_path / "long.csv", "line 2", "a NUL byte")
    (tmp_path / "dense.csv").write_bytes(b"a,label\n" + b"1" * 5000 + b",x\n")
    _refused(
        tmp_path / "dense.csv",
        "line 2",
        "more than 1,000 bytes",
        "Raise params.max_line_bytes",
        max_line_bytes=1000,
    )


def test_a_million_columns(tmp_path: Path):
    names = ",".join(f"c{k}" for k in range(1_000_000))
    (tmp_path / "wide.csv").write_text(f"{names}\n1\n")
    _refused(tmp_path / "wide.csv", "1,000,000 columns, 100,000 are allowed", "params.max_columns")


def test_a_task_that_would_read_too_much(tmp_path: Path):
    (tmp_path / "t.csv").write_text(csv_text())
    _refused(tmp_path / "t.csv", "60 lines are", "Set params.rows_per_task lower", max_bytes=1000)
    assert load(tmp_path / "t.csv", max_bytes=1000, rows_per_task=7).sizes["train"] == 42


def test_a_label_unlike_the_first_thousand(tmp_path: Path):
    y = np.arange(1500) % 3
    text = csv_text(np.zeros((1500, 3)), y) + "1,2,3,x\n" * 3
    (tmp_path / "t.csv").write_text(text)
    _refused(tmp_path / "t.csv", "line 1502, column 'label'", "not a number", 'label_type = "text"')
    assert load(tmp_path / "t.csv", label_type="text").classes == ("0", "1", "2", "x")


def test_labels_that_float64_would_confuse(tmp_path: Path):
    (tmp_path / "t.csv").write_text(csv_text(y=[2**60 + k % 2 for k in range(N)]))
    _refused(tmp_path / "t.csv", "too large", 'params.label_type = "text"')
    assert len(load(tmp_path / "t.csv", label_type="text").classes) == 2
    # 2**53 + 1 is read as 2**53, so that the two would be one class.
    (tmp_path / "t.csv").write_text(csv_text(y=[(1, 2**53, 2**53 + 1)[k % 3] for k in range(N)]))
    _refused(tmp_path / "t.csv", "too large", 'params.label_type = "text"')


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_web_server_that_refuses_is_our_error(status: int):
    with breaking(lambda handler, _: send(handler, status=status)) as server:
        with pytest.raises(DataError) as caught:
            load(f"{server.url}/t.csv")
        assert caught.value.field == "params.path"
        assert server.url in caught.value.value


def test_labels_that_are_no_classes(tmp_path: Path):
    (tmp_path / "t.csv").write_text(csv_text(y=NUMBERS + 0.5))
    _refused(tmp_path / "t.csv", "not a whole number", 'task = "regression"')


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"a": 1, "b": "x", "c": 3, "label": "ant"}', ("line 31, column 'b'", "not a number")),
        ('{"a": 1, "b": true, "c": 3, "label": "ant"}', ("line 31, column 'b'", "not a number")),
        ('{"a": 1, "b": [2], "c": 3, "label": "ant"}', ("line 31, column 'b'", "not a number")),
        ('{"a": 1, "b": 2, "c": 3, "label": 4}', ("line 31, column 'label'", "not a text")),
        ('{"a": 1, "b": 2, "c": 3, "d": 4, "label": "ant"}', ("NaN", "'d'")),
        ('{"a": 1, "b": 2, "c": 3}', ("column 'label'", "a label is missing")),
        ('{"a": 1, "b": 2, "label": "ant"}', ("NaN", "column 2 ('c')")),
        ('{"a": 1, "a": 2, "b": 2, "c": 3, "label": "ant"}', ("line 31", "twice", "'a'")),
        ('{"a": 1, "b": 2', ("line 31", "not JSON")),
        ("[1, 2, 3]", ("line 31", "not an object")),
        ("[" * 100_000, ("line 31", "not JSON")),
    ],
)
def test_a_faulty_jsonl_file_names_line_and_column(tmp_path, line, expected):
    lines = jsonl_text().splitlines()
    lines[30] = line
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    for rows_per_task in (7, 60):
        _refused(tmp_path / "t.jsonl", *expected, rows_per_task=rows_per_task)


# ------------------------------------------------------------------------- arrays and HDF5


def test_numpy_files_that_are_refused(tmp_path: Path):
    np.savez(tmp_path / "object.npz", x=np.array([{}] * N), y=NUMBERS)
    np.savez_compressed(tmp_path / "bomb.npz", x=np.zeros((N, 100_000)), y=NUMBERS)
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (100000000000, 2), }\n"
    lie = b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header
    (tmp_path / "lie.npy").write_bytes(lie)
    np.save(tmp_path / "y.npy", NUMBERS)
    _refused(tmp_path / "object.npz", "x", "type object are refused")
    _refused(tmp_path / "bomb.npz", "500 times is allowed", "params.max_ratio")
    _refused(
        tmp_path / "lie.npy",
        "1,600,000,000,000 bytes, 1,073,741,824 are allowed",
        y_path=str(tmp_path / "y.npy"),
    )


def test_text_in_numpy_files_that_is_no_text(tmp_path: Path):
    np.save(tmp_path / "x.npy", X)
    y = np.array(["ab"] * N)
    y.view(np.uint32)[5] = 0xFFFFFFFF
    np.save(tmp_path / "y.npy", y)
    _refused(tmp_path / "x.npy", "no characters", y_path=str(tmp_path / "y.npy"))


def test_features_and_labels_of_different_lengths(tmp_path: Path):
    np.savez(tmp_path / "t.npz", x=X, y=NUMBERS[1:])
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["x"], file["y"] = X, NUMBERS[1:]
    (tmp_path / "images.idx").write_bytes(idx(IMAGES))
    (tmp_path / "labels.idx").write_bytes(idx(NUMBERS[1:]))
    for name in ("t.npz", "t.h5", "images.idx"):
        _refused(tmp_path / name, "60 rows but 59 labels")


OTHER, RAW = "other.h5", "raw"
VIRTUAL = h5py.VirtualLayout(X.shape, X.dtype)
VIRTUAL[:] = h5py.VirtualSource(OTHER, "x", X.shape)
ODD: dict[str, Callable[[h5py.File], object]] = {
    "soft": lambda file: file.__setitem__("x", h5py.SoftLink("/y")),
    "external link": lambda file: file.__setitem__("x", h5py.ExternalLink(OTHER, "x")),
    "virtual": lambda file: file.create_virtual_dataset("x", VIRTUAL),
    "external": lambda file: file.create_dataset("x", X.shape, "f8", external=[(RAW, 0, 1440)]),
    "bomb": lambda file: file.create_dataset("x", (N, 10**6), "f8", chunks=(1, 1000)),
    "huge": lambda file: file.create_dataset("x", (N, 10**10), "f8", chunks=(1, 1000)),
    "compound": lambda file: file.__setitem__("x", np.zeros(N, [("a", "f8")])),
    "references": lambda file: file.create_dataset("x", data=[file.ref] * N, dtype=h5py.ref_dtype),
    "text": lambda file: file.create_dataset("x", data=[["1.0"]] * N),
    "group": lambda file: file.create_group("x"),
    "scalar": lambda file: file.__setitem__("x", 1.0),
}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("soft", "a link (SoftLink), which is refused"),
        ("external link", "a link (ExternalLink), which is refused"),
        ("virtual", "a virtual dataset, made of other files, which is refused"),
        ("external", "kept in other files, which is refused"),
        ("bomb", "500 times is allowed"),
        ("huge", "4,800,000,000,000 bytes, 1,073,741,824 are allowed"),
        ("compound", "which is refused"),
        ("references", "which is refused"),
        ("text", "text of variable length, of shape (60, 1), which is refused"),
        ("group", "a group, not an array"),
        ("scalar", "an array of rows is needed"),
    ],
)
def test_hdf5_that_is_no_plain_array(tmp_path: Path, kind: str, expected: str):
    with h5py.File(tmp_path / OTHER, "w") as file:
        file["x"] = X
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["y"] = NUMBERS
        ODD[kind](file)
    _refused(tmp_path / "t.h5", str(tmp_path / "t.h5"), expected)


def test_idx_that_is_none(tmp_path: Path):
    (tmp_path / "images.idx").write_bytes(b"\0\0\x08\x03" + b"\xff" * 12)
    (tmp_path / "labels.idx").write_bytes(idx(NUMBERS))
    _refused(tmp_path / "images.idx", "are allowed", "params.max_bytes")
    (tmp_path / "images.idx").write_bytes(idx(IMAGES)[:-1])
    _refused(tmp_path / "images.idx", "declares 720 bytes, the file holds 719")
    (tmp_path / "images.idx").write_bytes(b"GIF89a")
    _refused(tmp_path / "images.idx", "not an IDX file")
    (tmp_path / "images.idx").write_bytes(idx(IMAGES))
    (tmp_path / "labels.idx").unlink()
    _refused(tmp_path / "images.idx", "no such file", "labels.idx")


# --------------------------------------------------------------------------------- Parquet


def _column(values: pa.Array) -> pa.Table:
    return table().set_column(1, "b", values)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pa.array([["x"]] * N), "list"),
        (pa.array([{"u": 1}] * N), "struct"),
        (pa.array([b"x"] * N), "binary"),
        (pa.array([1] * N, pa.timestamp("s")), "timestamp"),
        (pa.FixedShapeTensorArray.from_numpy_ndarray(X), "extension"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_parquet_columns_that_are_no_numbers(tmp_path: Path, values: pa.Array, kind: str):
    pyarrow.parquet.write_table(_column(values), tmp_path / "t.parquet")
    _refused(tmp_path / "t.parquet", "'b'", kind, "are neither numbers", "columns.exclude")
    assert load(tmp_path / "t.parquet", {"features": ["a", "c"]}).sizes["train"] == 42


def test_an_extension_type_that_nobody_knows(tmp_path: Path):
    foreign = pa.field("b", pa.float64(), metadata={b"ARROW:extension:name": b"os.system"})
    schema = table().schema.set(1, foreign)
    pyarrow.parquet.write_table(table().cast(schema), tmp_path / "t.parquet")
    _refused(tmp_path / "t.parquet", "'b' (extension double)", "columns.exclude")


def test_parquet_files_of_different_schemas(tmp_path: Path):
    pyarrow.parquet.write_table(table(), tmp_path / "1.parquet")
    pyarrow.parquet.write_table(_column(pa.array(range(N))), tmp_path / "2.parquet")
    _refused(tmp_path, "2.parquet, column 'b'", "type int64, in", "it has double")
    pyarrow.parquet.write_table(table().drop_columns("b"), tmp_path / "2.parquet")
    _refused(tmp_path, "2.parquet", "a column is missing", "'b'")
    extra = table().append_column("d", table()["a"])
    pyarrow.parquet.write_table(extra, tmp_path / "2.parquet")
    _refused(tmp_path, "2.parquet", "does not have", "'d'")


def test_parquet_row_groups_and_columns_that_are_too_many(tmp_path: Path):
    pyarrow.parquet.write_table(table(), tmp_path / "t.parquet")
    _refused(tmp_path / "t.parquet", "row group 0", "row_group_size", max_bytes=100)
    _refused(tmp_path / "t.parquet", "4 columns, 2 are allowed", max_columns=2)


def test_csv_files_of_different_columns(tmp_path: Path):
    (tmp_path / "1.csv").write_text(csv_text())
    (tmp_path / "2.csv").write_text(csv_text(names=("a", "d", "c")))
    _refused(tmp_path, "2.csv", "other columns than in", "without b and with d besides")


# ---------------------------------------------------------------------------------- images


GREY = Image.fromarray(IMAGES[0])


def _damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[45:50] = b"zzzzz"
    path.write_bytes(content)


SPOILERS: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_text("no image"),
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-30]),
    "corrupt": _damaged,
    "cmyk": lambda path: GREY.convert("CMYK").save(path, "JPEG"),
    "16 bits": lambda path: Image.fromarray(IMAGES[0].astype(np.uint16) * 256).save(path),
    "animated": lambda path: GREY.save(
        path, "GIF", save_all=True, append_images=[Image.fromarray(IMAGES[1])]
    ),
    "palette": lambda path: GREY.convert("P").save(path),
    "transparent": lambda path: GREY.convert("LA").point(lambda _: 7).save(path),
    "colour": lambda path: GREY.convert("RGB").save(path),
    "other size": lambda path: Image.new("L", (5, 5)).save(path),
    "huge": lambda path: Image.new("1", (9_000, 9_000)).save(path),
    "postscript": lambda path: GREY.save(path, "EPS"),
}
SPOILT = [
    ("text", "not an image"),
    ("empty", "not an image"),
    ("truncated", "a damaged image"),
    ("corrupt", "a damaged image"),
    ("cmyk", "of mode CMYK, which is refused"),
    ("16 bits", "of 16 bits a value, which is refused"),
    ("animated", "2 images in one file"),
    ("palette", "of mode RGB, the first image is L"),
    ("transparent", "partly transparent"),
    ("colour", "of mode RGB, the first image is L"),
    ("other size", "5 by 5 pixels, the first image is 4 by 3"),
    ("huge", "9000 by 9000 pixels, 67,108,864 in all are allowed"),
    ("postscript", "not an image"),
]


@pytest.mark.parametrize(("kind", "expected"), SPOILT)
def test_a_bad_image_is_named_or_left_out(tmp_path: Path, kind: str, expected: str):
    bad = write_images(tmp_path) / "bee" / "031.png"
    SPOILERS[kind](bad)
    _refused(tmp_path, str(bad), expected)
    _refused(tmp_path, str(bad), "1 of 60 images are bad", expected, bad_images="skip")
    dataset = load(tmp_path, bad_images="skip", max_bad_share=0.02)
    assert sum(dataset.sizes.values()) == N - 1
    assert dataset.provenance["left_out"] == "1 of 60 images left out: 031.png"


def test_colours_of_16_bits_are_not_cut_to_8(tmp_path: Path):
    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    bad = write_images(tmp_path) / "bee" / "031.png"
    head = struct.pack(">IIBBBBB", 3, 4, 16, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + bytes(18) for _ in range(4)))
    bad.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )
    _refused(tmp_path, str(bad), "of 16 bits a value, which is refused", mode="L")


def test_other_sizes_and_modes_are_fine_where_asked_for(tmp_path: Path):
    bad = write_images(tmp_path) / "bee" / "031.png"
    SPOILERS["other size"](bad)
    assert load(tmp_path, size=[4, 3]).sizes["train"] == 42
    SPOILERS["colour"](bad)
    assert load(tmp_path, mode="L").sizes["train"] == 42


@pytest.mark.parametrize(
    "name",
    [
        "../secret.png",
        "/etc/passwd",
        "a/../../b.png",
        "..\\b.png",
        "ant/../ant/000.png",
        "https://a/b.png",
        "~/b.png",
    ],
)
def test_a_label_file_cannot_lead_out_of_the_folder(tmp_path: Path, name: str):
    write_images(tmp_path / "images")
    Image.fromarray(IMAGES[0]).save(tmp_path / "secret.png")
    labels = tmp_path / "labels.csv"
    labels.write_text(f"filename,label\nant/000.png,x\n{name},y\n")
    _refused(
        tmp_path / "images",
        f"{labels}, line 3",
        "leads out of the folder",
        name.partition("\\")[0],
        y_path=str(labels),
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("name,label\n", ("no column of files", "Call the column of files filename")),
        ("filename,label\nant/000.png,x\nant/000.png,x\n", ("line 3", "listed twice")),
        ("filename,label\nant/099.png,x\n", ("line 2", "no such image")),
        ("filename,label\nant/000.png,\n", ("line 2", "missing")),
        ("filename,label\nant/000.png,x\n", ("59 images have no label",)),
        ("filename,label\n\udcff\n", ("not a CSV file in UTF-8",)),
        ("", ("no column of files",)),
    ],
)
def test_a_label_file_that_does_not_fit(tmp_path: Path, content: str, expected: tuple[str, ...]):
    write_images(tmp_path / "images")
    (tmp_path / "labels.csv").write_bytes(content.encode(errors="surrogateescape"))
    _refused(tmp_path / "images", *expected, y_path=str(tmp_path / "labels.csv"))


# ----------------------------------------------------------------------------------- paths


def test_what_is_not_there(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".hidden").write_text("")
    _refused(tmp_path / "absent.csv", "no such file", "absent.csv")
    _refused(tmp_path / "empty", "the folder holds no files")
    _refused(tmp_path / "*.csv", "no file matches the pattern")
    _refused("memory://nowhere/*.csv", "no file matches the pattern")
    _refused("memory://nowhere/t.csv", "no such file")
    _refused("nonsense://t.csv", "Protocol not known", error=ConfigError)
    _refused("zip://t.csv::memory://a.zip", "not a path", error=ConfigError)


def test_folders_that_cannot_be_understood(tmp_path: Path):
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "t.csv").write_text(csv_text())
    _refused(tmp_path, "test without a train")
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "t.csv").write_text(csv_text())
    (tmp_path / "stray.csv").write_text(csv_text())
    _refused(tmp_path, "test, train are named for train and test", "stray.csv")
    (tmp_path / "stray.csv").rename(tmp_path / "stray.xyz")
    _refused(tmp_path, "no format has this suffix", "stray.xyz", "params.format")
    (tmp_path / "stray.xyz").rename(tmp_path / "stray.jsonl")
    _refused(tmp_path, "files of several formats: csv, jsonl")


def test_a_device_is_not_read(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.csv")
    _refused(tmp_path / "pipe.csv", "not a regular file")


def test_a_link_to_its_own_folder_does_not_loop(tmp_path: Path):
    (tmp_path / "t.csv").write_text(csv_text())
    (tmp_path / "again").symlink_to(tmp_path)
    assert sum(load(tmp_path).sizes.values()) == N


@pytest.mark.parametrize("name", ["t.npz", "t.csv", "t.jsonl", "t.parquet", "t.h5"])
def test_a_file_that_changes_is_an_error(tmp_path: Path, name: str):
    TABLES[name](tmp_path)
    dataset = load(tmp_path / name, rows_per_task=7)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError):
        dataset.materialize("train")
    (tmp_path / name).unlink()
    with pytest.raises(DataError, match=re.escape("no such file")):
        dataset.materialize("train")
