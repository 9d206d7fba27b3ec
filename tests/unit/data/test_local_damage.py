"""Damaged files in every format: the outcome is rows or an error of ours, never another one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qstore_ray.errors import QStoreError
from tests.local_files import load, rows, write_all

TARGETS = {
    "t.npz": "t.npz",
    "packed.npz": "packed.npz",
    "npy": "npy/x.npy",
    "npy labels": "npy/y.npy",
    "t.h5": "t.h5",
    "t.csv": "t.csv",
    "t.jsonl": "t.jsonl",
    "t.parquet": "t.parquet",
    "mnist": "mnist/train-images-idx3-ubyte.gz",
    "images": "images/bee/031.png",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("damage")
    write_all(path)
    return path


@st.composite
def _damage(draw: st.DrawFn) -> tuple[float, int, bytes]:
    """Where, as a share of the file; how many bytes go; what comes instead."""
    where = draw(st.floats(0.0, 1.0))
    return where, draw(st.sampled_from([0, 1, 4, 10**9])), draw(st.binary(max_size=8))


@pytest.mark.parametrize("rows_per_task", [7, 60])
@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=15)
@given(damage=_damage())
def test_damage_is_found_or_harmless(folder: Path, name: str, rows_per_task: int, damage):
    where, gone, new = damage
    target = folder / TARGETS[name]
    good = target.read_bytes()
    at = int(where * len(good))
    target.write_bytes(good[:at] + new + good[at + gone :])
    try:
        x, y = rows(load(folder / name.removesuffix(" labels"), rows_per_task=rows_per_task))
    except QStoreError:
        return
    finally:
        target.write_bytes(good)
    assert np.isfinite(x).all()
    assert len(x) == len(y)
