"""Compressed text files: the rows, errors and lines of the plain file, and no bomb unpacked."""

from __future__ import annotations

import bz2
import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from qstore_ray import Dataset, DatasetConfig, DatasetLoader
from qstore_ray.errors import DataError


def zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "zst": zstd,
    "GZ": lambda content: gzip.compress(content[:100]) + gzip.compress(content[100:]),
}
N = 2000
CSV = "p,q,label\n" + "".join(f"{i},{i % 7},{'ab'[i % 2]}\n" for i in range(N))
TEXTS = {
    "csv": CSV,
    "tsv": CSV.replace(",", "\t"),
    "data": CSV.replace(",", " "),
    "jsonl": "".join(
        f'{{"p": {i}, "q": {i % 7}, "label": "{"ab"[i % 2]}"}}\n' for i in range(N)
    ),
    "arff": "@relation r\n@attribute p numeric\n@attribute q numeric\n@attribute label {a,b}\n"
    "@data\n" + CSV.partition("\n")[2],
    "libsvm": "".join(f"{i % 2} 1:{i} 2:{i % 7}\n" for i in range(N)),
}  # fmt: skip


def load(path: Path, **params: object) -> Dataset:
    given = {"path": str(path), "rows_per_task": 300, **params}
    return DatasetLoader.load(DatasetConfig(name="t", source="local", params=given))


@pytest.mark.parametrize("ending", PACK)
@pytest.mark.parametrize("form", TEXTS)
def test_a_packed_file_has_the_rows_of_the_plain_one(tmp_path: Path, form: str, ending: str):
    content = TEXTS[form].encode()
    (tmp_path / f"t.{form}").write_bytes(content)
    (tmp_path / f"t.{form}.{ending}").write_bytes(PACK[ending](content))
    plain, packed = load(tmp_path / f"t.{form}"), load(tmp_path / f"t.{form}.{ending}")
    assert packed.fingerprint == plain.fingerprint
    for split in plain.plans:
        for ours, theirs in zip(packed.materialize(split), plain.materialize(split), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_fault_is_in_the_line_of_the_text(tmp_path: Path, form: str):
    lines = TEXTS[form].splitlines()
    lines[1700] = lines[1700].replace("1699", "x").replace("1700", '"x"')
    (tmp_path / f"t.{form}.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    with pytest.raises(DataError, match="not a number") as caught:
        load(tmp_path / f"t.{form}.gz")
    assert f"t.{form}.gz, line 1701" in caught.value.field


def test_official_parts_may_be_packed(tmp_path: Path):
    for part in ("train", "test"):
        (tmp_path / f"{part}.csv.gz").write_bytes(gzip.compress(CSV.encode()))
    assert load(tmp_path).sizes["test"] == N


def test_a_packed_file_that_changed_is_read_anew(tmp_path: Path):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(CSV.encode()))
    before = load(path)
    path.write_bytes(gzip.compress(CSV.replace("\n5,", "\n55,").encode()))
    assert load(path).fingerprint != before.fingerprint
    with pytest.raises(DataError, match="changed"):
        before.materialize("train")


@pytest.mark.parametrize("ending", ["gz", "bz2", "zst"])
def test_a_damaged_packed_file_says_so(tmp_path: Path, ending: str):
    packed = PACK[ending](CSV.encode())
    for content in (packed[: len(packed) // 2], b"no such thing", b""):
        (tmp_path / f"t.csv.{ending}").write_bytes(content)
        with pytest.raises(DataError, match=r"unpacked|empty"):
            load(tmp_path / f"t.csv.{ending}")


def test_a_bomb_is_not_unpacked_to_its_end(tmp_path: Path):
    bomb = bz2.compress(bytes(2**26))
    (tmp_path / "t.csv.bz2").write_bytes(bomb)
    with pytest.raises(DataError, match="times its size"):
        load(tmp_path / "t.csv.bz2")


def test_a_packed_file_elsewhere_is_to_be_copied_first():
    with pytest.raises(DataError, match="not on this machine"):
        DatasetLoader.load(
            DatasetConfig(name="t", source="local", params={"path": "memory://t.csv.gz"})
        )
