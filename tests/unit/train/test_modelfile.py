"""A model file is what was written, or it is refused: damaged, repacked, or not there."""

from __future__ import annotations

import io
import math
import os
import pickle
import stat
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qstore_ray.errors import CheckpointError, UsageError
from qstore_ray.train.model import archive
from qstore_ray.train.model.archive import pack, unpack
from qstore_ray.train.model.trained import TrainedModel
from tests.trained_models import N, made, rows

NAMES = ("arrays.npz", "circuit.qasm", "manifest.json")
MODEL = made(steps=[{"name": "standard"}, {"name": "pca", "components": 3, "whiten": True}])
DATA = MODEL.to_bytes()
RAW = rows(5, N, seed=1)
EXPECTED = MODEL.outputs(RAW).tobytes()


class Bomb:
    """What runs as soon as it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.abort, ()


def _refused(data: bytes, match: str | None = None) -> CheckpointError:
    with pytest.raises(CheckpointError, match=match) as caught:
        TrainedModel.from_bytes(data)
    assert caught.value.field
    assert caught.value.fix
    return caught.value


# ---------------------------------------------------------------------------------- damaged


@given(st.lists(st.tuples(st.integers(0, len(DATA) - 1), st.integers(1, 255)), max_size=4))
@settings(max_examples=300)
def test_flipped_bits_are_refused_or_change_no_prediction(flips: list[tuple[int, int]]):
    data = bytearray(DATA)
    for position, mask in flips:
        data[position] ^= mask
    _same_or_refused(bytes(data))


@given(st.integers(0, len(DATA)), st.integers(0, len(DATA)), st.binary(max_size=40))
@settings(max_examples=200)
def test_bytes_cut_out_or_put_in_are_refused(start: int, stop: int, instead: bytes):
    data = DATA[:start] + instead + DATA[max(start, stop) :]
    if data != DATA:
        _refused(data)


@given(st.binary(max_size=200))
def test_any_other_bytes_are_refused(data: bytes):
    _refused(data, "damaged")


def test_every_single_bit_of_the_members_is_guarded():
    for name, content in unpack(DATA, NAMES).items():
        start = DATA.index(content)
        for position in range(start, start + len(content), 37):
            data = bytearray(DATA)
            data[position] ^= 1
            _refused(bytes(data), f"CRC-32 for file '{name}'")


def _same_or_refused(data: bytes) -> None:
    try:
        loaded = TrainedModel.from_bytes(data)
    except CheckpointError:
        return
    assert loaded.outputs(RAW).tobytes() == EXPECTED


# ----------------------------------------------------------------------------- the archive


def _archive(write: Callable[[zipfile.ZipFile], None], compression: int = 0) -> bytes:
    buffer = io.BytesIO()
    with (
        warnings.catch_warnings(action="ignore"),
        zipfile.ZipFile(buffer, "w", compression) as archive,
    ):
        for name, data in unpack(DATA, NAMES).items():
            archive.writestr(_plain(name), data, compression)
        write(archive)
    return buffer.getvalue()


def _plain(name: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info


STRANGE = ("../evil", "/etc/passwd", "C:\\evil", "code.py", "arrays.npz/", "model.pkl")


@pytest.mark.parametrize("name", STRANGE)
def test_a_member_that_does_not_belong_is_named_and_not_read(name: str):
    bomb = pickle.dumps(Bomb())
    error = _refused(_archive(lambda a: a.writestr(_plain(name), bomb)), "does not belong there")
    assert error.value == name
    assert error.field == "model"
    assert "TrainedModel.save" in error.fix


@pytest.mark.parametrize("name", NAMES)
def test_a_member_that_is_there_twice_or_not_at_all_is_named(name: str):
    assert _refused(_archive(lambda a: a.writestr(_plain(name), b"")), "twice").value == name
    others = {n: data for n, data in unpack(DATA, NAMES).items() if n != name}
    assert _refused(pack(others), "lacks a member").value == name


def test_a_compressed_member_is_refused_unread():
    _refused(_archive(lambda a: None, zipfile.ZIP_DEFLATED), "compressed")
    zeros = {**unpack(DATA, NAMES), "arrays.npz": bytes(2**24)}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(zeros.items()):
            archive.writestr(_plain(name), data, zipfile.ZIP_DEFLATED)
    assert _refused(buffer.getvalue(), "compressed").value == "arrays.npz"


def test_links_encryption_and_notes_are_refused():
    def rewritten(**changes: Any) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, data in unpack(DATA, NAMES).items():
                info = _plain(name)
                for field, value in changes.items():
                    setattr(info, field, value)
                archive.writestr(info, data)
        return buffer.getvalue()

    assert TrainedModel.from_bytes(rewritten()).outputs(RAW).tobytes() == EXPECTED
    assert _refused(rewritten(external_attr=(stat.S_IFLNK | 0o777) << 16), "link").value
    _refused(rewritten(external_attr=(stat.S_IFIFO | 0o644) << 16), "no plain file")
    _refused(rewritten(comment=b"hello"), "no plain file")
    _refused(rewritten(extra=b"\xfe\xca\x02\x00ab"), "no plain file")
    encrypted = bytearray(DATA)
    entry = DATA.rindex(b"PK\x01\x02")
    encrypted[entry + 8] |= 1  # in the flags of the directory's last entry
    _refused(bytes(encrypted), "encrypted")


@pytest.mark.parametrize(
    "data", [b"#!/bin/sh\n" + DATA, DATA + b"more", DATA[:-2] + b"\x04\x00note"], ids=len
)
def test_bytes_around_the_archive_are_refused(data: bytes):
    _refused(data, "belong to no member|damaged")


def test_equal_members_give_equal_bytes_in_any_order():
    members = unpack(DATA, NAMES)
    assert pack(dict(reversed(members.items()))) == pack(members) == DATA


# --------------------------------------------------------------------------------- the file


def test_a_file_that_is_not_there_or_no_file_is_named(tmp_path: Path, monkeypatch):
    with pytest.raises(UsageError, match="no such model file") as caught:
        TrainedModel.load(tmp_path / "no.qsm")
    assert caught.value.value == str(tmp_path / "no.qsm")
    path = MODEL.save(tmp_path / "m.qsm")
    monkeypatch.setattr(archive, "LARGEST_BYTES", len(DATA) - 1)
    with pytest.raises(CheckpointError, match="larger than"):
        TrainedModel.load(path)


def test_saving_where_it_cannot_be_names_the_path(tmp_path: Path):
    with pytest.raises(UsageError) as caught:
        MODEL.save(tmp_path / "model.pkl")
    assert (caught.value.field, caught.value.value) == ("path", str(tmp_path / "model.pkl"))
    assert str(tmp_path / "model.qsm") in caught.value.fix
    with pytest.raises(UsageError, match="cannot write the model file: No such file") as caught:
        MODEL.save(tmp_path / "no" / "model.qsm")
    assert caught.value.field == "path"
    assert list(tmp_path.iterdir()) == []


def test_a_number_that_json_does_not_have_is_left_out():
    origin = MODEL.origin.model_validate({"metrics": {"loss": math.inf, "accuracy": 0.5}})
    assert origin.metrics == {"loss": None, "accuracy": 0.5}
    loaded = TrainedModel.from_bytes(made(origin=origin).to_bytes())
    assert loaded.origin == origin
