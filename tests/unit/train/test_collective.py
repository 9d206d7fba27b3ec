"""The sum over processes: xgboost's C library, called as its Python package calls it."""

from __future__ import annotations

import multiprocessing
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from qstore_ray.errors import MissingDependencyError
from qstore_ray.train.loop import collective as ours
from qstore_ray.train.loop.collective import joined
from qstore_ray.train.loop.reducer import CollectiveReducer, collective, start_tracker

SHAPES = ((), (1,), (3, 7), (2, 0), (1000,))


def _values(rank: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(rank).normal(size=shape)


def _worker(address: dict[str, Any], rank: int, out: Any) -> None:
    reducer = CollectiveReducer(rank, 2)
    with collective(address, rank):
        sums = [reducer.all_reduce(_values(rank, shape)) for shape in SHAPES]
        first = [reducer.broadcast(_values(rank, shape)) for shape in SHAPES]
    out.put((rank, sums, first))


def test_two_processes_have_the_same_sums():
    context = multiprocessing.get_context("spawn")
    address, out = start_tracker(2, "127.0.0.1"), context.Queue()
    workers = [context.Process(target=_worker, args=(address, rank, out)) for rank in range(2)]
    for worker in workers:
        worker.start()
    found = sorted((out.get(timeout=120.0) for _ in workers), key=lambda each: each[0])
    for worker in workers:
        worker.join(timeout=30.0)
        assert worker.exitcode == 0
    for _, sums, first in found:
        for shape, total, leader in zip(SHAPES, sums, first, strict=True):
            np.testing.assert_array_equal(total, _values(0, shape) + _values(1, shape))
            np.testing.assert_array_equal(leader, _values(0, shape))
            assert total.shape == shape


def test_a_tracker_that_is_not_there_is_an_error():
    address = {"dmlc_tracker_uri": "127.0.0.1", "dmlc_tracker_port": 1, "n_workers": 2}
    with (
        pytest.raises(ConnectionError, match="refused"),
        joined(**address, dmlc_task_id="0", dmlc_retry=1, dmlc_timeout=5),
    ):
        pass


def test_the_library_has_what_the_python_package_calls():
    from xgboost import collective as theirs
    from xgboost.core import _LIB

    from qstore_ray.train.loop.collective import _library

    for name in (
        "XGCommunicatorInit", "XGCommunicatorFinalize", "XGCommunicatorAllreduce",
        "XGTrackerCreate", "XGTrackerRun", "XGTrackerWaitFor", "XGTrackerWorkerArgs",
        "XGTrackerFree", "XGBGetLastError", "XGBRegisterLogCallback",
    ):  # fmt: skip
        assert hasattr(_library(), name)
        assert hasattr(_LIB, name)
    assert theirs.Op.SUM == 2
    assert theirs._map_dtype(np.dtype(np.float64)) == 2


def test_the_library_is_also_found_where_conda_has_it(tmp_path: Path, monkeypatch):
    real = Path(ours._library()._name)
    package, prefix = tmp_path / "xgboost", tmp_path / "prefix"
    for folder in (package, prefix / "lib"):
        folder.mkdir(parents=True)
    found = SimpleNamespace(submodule_search_locations=[str(package)])
    monkeypatch.setattr(ours, "find_spec", lambda _name: found)
    monkeypatch.setattr(sys, "base_prefix", str(prefix))
    with pytest.raises(MissingDependencyError, match="needs xgboost"):
        ours._library.__wrapped__()
    (prefix / "lib" / real.name).symlink_to(real)
    assert ours._library.__wrapped__()._name == str(prefix / "lib" / real.name)


def test_a_library_that_cannot_be_loaded_says_why(tmp_path: Path, monkeypatch):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libxgboost.so").write_text("not a library")
    found = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(ours, "find_spec", lambda _name: found)
    with pytest.raises(MissingDependencyError, match="cannot be loaded"):
        ours._library.__wrapped__()
