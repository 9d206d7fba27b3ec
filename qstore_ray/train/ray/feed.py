"""Streamed rows for Ray Train workers: read by tasks of Ray Data, split among the workers.

Each window is one read task. It gives one block to each worker, in the order of their ranks, all of
the same number of rows: what a worker needs, and filling. Ray Data hands out blocks in order to the
split that has the fewest rows so far (`streaming_split`, `preserve_order`), so of every window
worker w gets block w; a block says whose it is, and a worker that is given another one's stops.
One execution covers what is left of the run, so that no epoch waits for the one before it.

The tasks need no processor of their own: the workers may have them all, and then nothing would ever
be read. How many run at a time is limited instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import ray
import ray.data
import ray.train.collective
from ray.data.block import Block, BlockAccessor, BlockMetadata
from ray.data.datasource import Datasource, ReadTask
from ray.exceptions import RayError, RayTaskError

from qstore_ray.errors import QStoreError, RunError
from qstore_ray.train.job import StreamedRows
from qstore_ray.train.loop.feed import Piece, lane_columns, pieces

if TYPE_CHECKING:
    from qstore_ray.data.batches.windows import Columns

_READERS = 2  # windows that are read at a time
_FILLING = -1  # the number of a row that is none


@dataclass(frozen=True)
class SplitFeed:
    """A worker's part of the rows, see `train.job.RowFeed`. Used in every worker, by all at once.

    Args:
        rows: in the object store.
        rank, workers: this worker's number and how many there are.
    """

    rows: ray.ObjectRef[StreamedRows]
    rank: int
    workers: int

    def open(self, epoch: int, place: int, epochs: int, batch_size: int) -> Iterator[Columns]:
        """The rows of this worker in each piece from the row at `place` of `epoch` on.

        Worker 0 starts the reading, and ends it when it ends itself.

        Raises:
            DataError: a block is not what it was when the dataset was loaded.
            RunError: Ray gave a block to another worker than it was made for.
        """
        splits = None
        if self.rank == 0:
            source = _Windows(self.rows, epoch, place, epochs, batch_size, self.workers)
            splits = _split(source, self.workers)
        found: list[ray.data.DataIterator] = ray.train.collective.broadcast_from_rank_zero(splits)
        return self._received(found[self.rank])

    def _received(self, blocks: ray.data.DataIterator) -> Iterator[Columns]:
        batches = blocks.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=1)
        try:
            for number, block in enumerate(batches):
                here = int(block["worker"][0]), int(block["piece"][0])
                if here != (self.rank, number) or (block["worker"] != self.rank).any():
                    raise RunError(
                        f"worker {self.rank} was given the rows of worker {here[0]}, window "
                        f"{here[1]} in place of {number}",
                        fix="Set dataset.stream = false, or use the version of Ray in the lock.",
                    )
                there = block["row"] != _FILLING
                yield {n: v[there] for n, v in block.items() if n not in ("worker", "piece")}
        except RayError as exc:
            raise _error_of(exc) from exc


def _split(source: _Windows, workers: int) -> list[ray.data.DataIterator]:
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    rows: ray.data.Dataset = ray.data.read_datasource(
        source,
        override_num_blocks=source.count,
        concurrency=max(_READERS, workers),
        ray_remote_args={"num_cpus": 0},
    )
    rows.context.execution_options.preserve_order = True
    return rows.streaming_split(workers, equal=True)


class _Windows(Datasource):
    """What is left of a run: a read task a window."""

    def __init__(
        self,
        rows: ray.ObjectRef[StreamedRows],
        epoch: int,
        place: int,
        epochs: int,
        batch_size: int,
        workers: int,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Ray does not annotate it
        self._rows, self._batch_size, self._workers = rows, batch_size, workers
        self._from = epoch, place, epochs
        there: StreamedRows = ray.get(rows)
        n_features = there.first.shape[1]
        self._row_bytes = 8 * (n_features + 5)
        self._sizes = [piece.window.end - piece.place for piece in pieces(there, *self._from)]
        self.count = len(self._sizes)

    def get_name(self) -> str:
        """The name that Ray's progress report shows."""
        return "rows of the training"

    def estimate_inmemory_data_size(self) -> int | None:
        """Size of all blocks together, in bytes."""
        return sum(self._sizes) * self._row_bytes

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        """A task for each window; `parallelism` does not change their number."""
        return [
            ReadTask(
                _reader(self._rows, self._from, number, self._batch_size, self._workers),
                BlockMetadata(
                    num_rows=None, size_bytes=size * self._row_bytes, input_files=None,
                    exec_stats=None,
                ),
                per_task_row_limit=per_task_row_limit,
            )
            for number, size in enumerate(self._sizes)
        ]  # fmt: skip


def _reader(
    rows: ray.ObjectRef[StreamedRows],
    begin: tuple[int, int, int],
    number: int,
    batch_size: int,
    workers: int,
) -> Callable[[], Iterable[Block]]:
    def read() -> Iterator[Block]:
        there: StreamedRows = ray.get(rows)
        piece = next(islice(pieces(there, *begin), number, None))
        for block in _filled(there, piece, number, batch_size, workers):
            yield BlockAccessor.batch_to_block(block)

    return read


def _filled(
    rows: StreamedRows, piece: Piece, number: int, batch_size: int, workers: int
) -> Iterator[dict[str, Any]]:
    """The rows of each worker in a window, and filling to one number of rows for all."""
    found = lane_columns(rows, piece, batch_size, workers)
    count = max(1, *(len(lane["row"]) for lane in found))
    for worker, lane in enumerate(found):
        missing = count - len(lane["row"])
        block = {
            name: np.concatenate([values, np.zeros((missing, *values.shape[1:]), values.dtype)])
            for name, values in lane.items()
        }
        block["row"][count - missing :] = _FILLING
        yield {**block, "worker": np.full(count, worker), "piece": np.full(count, number)}


def _error_of(error: RayError) -> QStoreError:
    """What a read task raised: an error of ours, or Ray's in our words."""
    cause: BaseException | None = error
    while cause is not None:
        inner = cause.cause if isinstance(cause, RayTaskError) else None
        for found in (cause, inner):
            if isinstance(found, QStoreError):
                return found
        cause = inner if inner is not None and inner is not cause else cause.__cause__
    return RunError(f"the rows could not be read: {str(error).strip().splitlines()[-1]}")
