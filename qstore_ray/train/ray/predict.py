"""Predicting on Ray: actors that load the model once and are given batches of rows.

The model travels as the bytes of its file, which an actor verifies as it would any other. A row's
prediction does not depend on its batch, so it has the same bits here as in one process, however
the rows are cut and on however many actors.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import ray
import ray.data
from ray.data.block import BlockAccessor
from ray.exceptions import RayError

from qstore_ray.backends.paid_call import paid_call
from qstore_ray.data.inputs.frame import check_names
from qstore_ray.errors import DataError, QStoreError, UsageError, WorkerError, numbered
from qstore_ray.train.config import ClusterConfig
from qstore_ray.train.ray.beside import call_beside
from qstore_ray.train.ray.errors import meaning
from qstore_ray.train.ray.session import ray_session

if TYPE_CHECKING:
    from qstore_ray.backends.base import Backend
    from qstore_ray.train.model.trained import TrainedModel
    from qstore_ray.types import AnyArray, FloatArray

_ROWS = ("x",)
_BLOCKS_PER_WORKER = 4  # so that a slow actor does not keep the others waiting


class _Predictor:
    """Predicts batch after batch. Lives in an actor of Ray Data."""

    def __init__(
        self,
        kind: type[TrainedModel],
        model: bytes,
        backend: Backend,
        prepared: bool,
        names: tuple[str, ...],
    ) -> None:
        self._model = kind.from_bytes(model, backend)
        self._prepared = prepared
        self._names = names or _ROWS
        self._whole = not names

    def __call__(self, batch: dict[str, AnyArray]) -> dict[str, AnyArray]:
        """The batch with its predictions in place of its rows."""
        taken = {name: batch.pop(name) for name in self._names}
        rows = taken["x"] if self._whole else taken
        with numbered(batch.get("row")):  # without it, the place in the batch is all that is known
            return {**batch, **self._model.predictions(rows, prepared=self._prepared)}


def predict_on_ray(
    model: TrainedModel,
    rows: ray.data.Dataset,
    *,
    prepared: bool,
    num_workers: int,
    batch_size: int,
) -> ray.data.Dataset:
    """`rows` with predictions in place of the features; see `TrainedModel.predict_dataset`."""
    _check_numbers(num_workers, batch_size)
    names = () if prepared else _taken(model, rows.columns() or [])
    return rows.map_batches(
        _Predictor,
        batch_size=batch_size,
        batch_format="numpy",
        compute=ray.data.ActorPoolStrategy(size=num_workers),
        num_cpus=1,
        fn_constructor_args=(type(model), model.to_bytes(), model.backend, prepared, names),
    )


def _taken(model: TrainedModel, columns: list[str]) -> tuple[str, ...]:
    """The model's features if the rows have them by their names; none if `x` holds a row."""
    signature = model.signature
    table = None if signature is None else signature.table
    if table is not None and ("x" not in columns or set(table.names) <= set(columns)):
        check_names(columns, table)
        return table.names
    if "x" not in columns:
        raise DataError(
            "the rows are taken from the column x",
            field="rows",
            value=columns,
            fix="Put the features of a row into one column: rows.map_batches(...).",
        )
    return ()


def predict_rows(
    model: TrainedModel,
    raw: Any,
    *,
    num_workers: int,
    batch_size: int = 1024,
    cluster: ClusterConfig | None = None,
) -> dict[str, AnyArray]:
    """`model.predictions` of rows as `TrainedModel.raw` takes them, in their order, by actors.

    Joins or starts Ray as a training does.

    Raises:
        DataError: rows that the model does not take.
        ResourceError: more workers than there are CPUs.
        WorkerError: the actors failed.
        LostClusterError: Ray was lost.
    """
    _check_numbers(num_workers, batch_size)
    # In this process, where an error has the row's own number and no actor waits for anything.
    x = model.features(raw)
    cluster = cluster or ClusterConfig()
    with (
        ray_session(cluster, num_workers),
        _quiet_ray_data(),
        paid_call(model.record, model.backend, (model.theta, x)) as backend,  # one for all actors
    ):
        return _predicted(replace(model, backend=backend), x, num_workers, batch_size)


def _predicted(
    model: TrainedModel, x: FloatArray, num_workers: int, batch_size: int
) -> dict[str, AnyArray]:
    """The predictions for features x (N, F), by actors."""
    size = max(1, math.ceil(len(x) / (_BLOCKS_PER_WORKER * num_workers)))
    numbers = np.arange(len(x))
    blocks = [
        BlockAccessor.batch_to_block({"x": x[part], "row": part})
        for part in np.split(numbers, range(size, len(x), size))
    ]
    predicted = predict_on_ray(
        model,
        ray.data.from_arrow(blocks),
        prepared=True,
        num_workers=num_workers,
        batch_size=batch_size,
    )
    try:
        batches = predicted.iter_batches(batch_size=None, batch_format="numpy")
        found = call_beside(lambda: list(batches), threading.Event(), on_stop=lambda: None)
    except RayError as exc:
        raise _translated_error(exc) from exc
    columns: dict[str, Any] = {
        name: np.concatenate([batch[name] for batch in found]) for name in found[0]
    }
    order = np.argsort(columns.pop("row"))
    return {name: column[order] for name, column in columns.items()}


@contextmanager
def _quiet_ray_data() -> Iterator[None]:
    """Ray Data without its own display, and with the errors of an actor as they were raised."""
    context = ray.data.DataContext.get_current()
    names = ("enable_progress_bars", "raise_original_map_exception")
    before = {name: getattr(context, name) for name in names}
    context.enable_progress_bars, context.raise_original_map_exception = False, True
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(context, name, value)


def _check_numbers(num_workers: int, batch_size: int) -> None:
    for field, value in (("num_workers", num_workers), ("batch_size", batch_size)):
        if value < 1:
            raise UsageError("must be at least 1", field=field, value=value, fix="Give 1 or more.")


def _translated_error(exc: RayError) -> QStoreError:
    """Ray's error as ours."""
    cause = getattr(exc, "cause", None)
    if isinstance(cause, QStoreError):
        return cause
    return WorkerError(
        f"predicting on Ray failed: {meaning(exc)}",
        field="num_workers",
        fix="Predict in this process (no workers) to see the error where it happens.",
    )
