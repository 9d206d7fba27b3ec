"""A worker's rows as Ray hands them out: what arrives is what was made for this worker."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ray.exceptions import RayTaskError, WorkerCrashedError

from qstore_ray.errors import DataError, QStoreError, RunError
from qstore_ray.train.ray.feed import SplitFeed, from_first


class PairedReducer:
    """Joins two workers, which are threads here."""

    def __init__(self, rank: int, shared: dict[str, Any], barrier: threading.Barrier) -> None:
        self.rank, self.world_size = rank, 2
        self._shared, self._barrier = shared, barrier

    def broadcast(self, array: np.ndarray) -> np.ndarray:
        if self.rank == 0:
            self._shared["sent"] = array.copy()
        self._barrier.wait(30)
        found: np.ndarray = self._shared["sent"].copy()
        self._barrier.wait(30)
        return found


@pytest.mark.parametrize(
    "value",
    [None, [], list(range(300)), {"a": b"\x00\xff" * 999}, "größe"],
    ids=["none", "empty", "numbers", "bytes", "text"],
)
def test_every_worker_has_the_value_of_the_first(value):
    shared: dict[str, Any] = {}
    barrier, found = threading.Barrier(2), {}

    def work(rank: int, own: Any) -> None:
        found[rank] = from_first(PairedReducer(rank, shared, barrier), own)

    other = threading.Thread(target=work, args=(1, "of the second"))
    other.start()
    work(0, value)
    other.join(30)
    assert found == {0: value, 1: value}


class Parcels:
    """What Ray gives a worker: parcels, and perhaps an error after them."""

    def __init__(self, *parcels: dict[str, np.ndarray], error: Exception | None = None) -> None:
        self._parcels, self._error = parcels, error

    def iter_batches(self, **options: Any) -> Iterator[dict[str, np.ndarray]]:
        assert options["batch_size"] == 1, "a parcel is one row"
        yield from self._parcels
        if self._error is not None:
            raise self._error


def _parcel(worker: int, piece: int, **columns: np.ndarray) -> dict[str, np.ndarray]:
    packed = io.BytesIO()
    np.savez(packed, **columns)
    rows = np.empty(1, object)
    rows[0] = packed.getvalue()
    return {"worker": np.array([worker]), "piece": np.array([piece]), "rows": rows}


def _received(parcels: Parcels, rank: int = 1) -> list[dict[str, np.ndarray]]:
    feed = SplitFeed(None, SimpleNamespace(rank=rank, world_size=2))
    return list(feed._received(parcels))


def test_rows_arrive_with_their_bits():
    x = [np.random.default_rng(seed).normal(size=(5, 3)) for seed in (0, 1)]
    y = np.array(["a", "b", "c", "d", "e"])
    found = _received(Parcels(_parcel(1, 0, x=x[0], y=y), _parcel(1, 1, x=x[1], y=y)))
    assert [sorted(columns) for columns in found] == [["x", "y"]] * 2
    for columns, sent in zip(found, x, strict=True):
        assert columns["x"].tobytes() == sent.tobytes()
        assert columns["y"].tolist() == y.tolist()


@pytest.mark.parametrize(
    ("worker", "piece", "words"),
    [(0, 1, "rows of worker 0, window 1 in place of 1"), (1, 2, "window 2 in place of 1")],
)
def test_rows_of_another_worker_or_window_are_an_error(worker, piece, words):
    """Two workers would train on the same rows, and nobody on the others."""
    with pytest.raises(RunError, match=words) as caught:
        _received(Parcels(_parcel(1, 0, x=np.zeros(1)), _parcel(worker, piece, x=np.zeros(1))))
    assert "dataset.stream = false" in caught.value.fix


def test_objects_are_never_loaded():
    parcel = _parcel(1, 0, x=np.array([{}], object))
    with pytest.raises(ValueError, match="allow_pickle"):
        _received(Parcels(parcel))


@pytest.mark.parametrize("error", [DataError("row 3 has NaN", field="x"), None])
def test_an_error_of_the_reading_is_ours(error):
    raised = WorkerCrashedError() if error is None else RayTaskError("read", "Traceback …", error)
    with pytest.raises(QStoreError) as caught:
        _received(Parcels(_parcel(1, 0, x=np.zeros(1)), error=raised))
    assert error is None or caught.value is error
    assert caught.value.__cause__ is raised
