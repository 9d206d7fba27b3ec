"""The rows of a worker, window after window, as a training that streams its rows takes them.

An epoch is the windows of train and then those of val. `pieces` says which, as a function of the
place where a run begins, so that every worker and every reading task knows them; `lane_columns`
reads one and divides it among the workers.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.data.batches.windows import Window, lanes
from qstore_ray.learn.step import BLOCK
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.job import StreamedRows

if TYPE_CHECKING:
    from qstore_ray.data.batches.windows import Columns


class Piece(NamedTuple):
    """A window of train, or of val, from the place `place` of its epoch on."""

    is_val: bool
    window: Window
    place: int


def pieces(
    rows: StreamedRows, epoch: int, place: int, end: int, *, validates: bool = True
) -> Iterator[Piece]:
    """The windows from the row at `place` of `epoch` on to the end of the epoch before `end`."""
    for number in range(epoch, end):
        for window in rows.train.windows(number, place):
            yield Piece(False, window, max(place, window.start))
        place = 0
        if validates and rows.val is not None:
            for window in rows.val.windows(0):
                yield Piece(True, window, window.start)


def lane_columns(rows: StreamedRows, piece: Piece, batch_size: int, workers: int) -> list[Columns]:
    """The rows of a piece that each worker needs, in their order; targets as training sees them.

    Args:
        batch_size: rows that the workers divide among themselves.

    Raises:
        DataError: a block is not what it was when the dataset was loaded.
    """
    stream = rows.val if piece.is_val else rows.train
    assert stream is not None, "a piece of val is of rows"
    window, start = piece.window, piece.place
    columns = dict(stream.read(window))
    if rows.targets is not None:
        columns["y"] = rows.targets.apply(columns["y"])
    kept = {name: values[start - window.start :] for name, values in columns.items()}
    if workers == 1:
        return [kept]
    if piece.is_val:  # each window is a batch
        of = lanes(
            0, window.n_rows, n_rows=window.n_rows, batch_size=window.n_rows, block=BLOCK,
            workers=workers,
        )  # fmt: skip
    else:
        of = lanes(
            start, window.end, n_rows=rows.n_rows, batch_size=batch_size, block=BLOCK,
            workers=workers,
        )  # fmt: skip
    return [
        {name: values[np.flatnonzero(of == worker)] for name, values in kept.items()}
        for worker in range(workers)
    ]


def open_feed(
    config: TrainerConfig, rows: StreamedRows, epoch: int, place: int, rank: int, workers: int
) -> Iterator[tuple[Piece, Columns]]:
    """The pieces from a place of an epoch on, each with the rows of it that a worker needs.

    They come from `rows.feed`, or are read in this process: one window is read by another thread
    while the one before it is used.
    """
    todo = pieces(rows, epoch, place, config.epochs)
    batch_size = rows.micro_batch(config)
    if rows.feed is not None:
        found = rows.feed.open(epoch, place, config.epochs, batch_size)
        return zip(todo, found, strict=True)
    return _read_ahead(rows, todo, batch_size, rank, workers)


def _read_ahead(
    rows: StreamedRows, todo: Iterator[Piece], batch_size: int, rank: int, workers: int
) -> Iterator[tuple[Piece, Columns]]:
    def read(piece: Piece) -> tuple[Piece, Columns]:
        return piece, lane_columns(rows, piece, batch_size, workers)[rank]

    with ThreadPoolExecutor(1, "read-rows") as pool:
        first = next(todo, None)
        waiting = None if first is None else pool.submit(read, first)
        while waiting is not None:
            found = waiting.result()
            following = next(todo, None)
            waiting = None if following is None else pool.submit(read, following)
            yield found
