"""Streamed rows for Ray Train workers: read by tasks of Ray Data, split among the workers.

Each window is one read task, which gives each worker a parcel: one row of Ray's dataset, with all
rows of the window that this worker needs. Ray Data hands out blocks in order to the split that has
the fewest rows so far (`streaming_split`, `preserve_order`); blocks are of one parcel, so of every
window worker w gets parcel w. A parcel says whose it is, and a worker that is given another one's
stops. One execution covers what is left of the run, so that no epoch waits for the one before it.

The tasks need no processor of their own: the workers may have them all, and then nothing would ever
be read. How many run at a time is limited instead.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
import ray
import ray.cloudpickle
import ray.data
from ray.data.block import Block, BlockMetadata
from ray.data.datasource import Datasource, ReadTask
from ray.exceptions import ObjectStoreFullError, OutOfDiskError, RayError, RayTaskError

from qstore_ray.deadline import ray_result
from qstore_ray.errors import QStoreError, RunError
from qstore_ray.train.job import StreamedRows
from qstore_ray.train.loop.feed import lane_columns, pieces
from qstore_ray.train.ray.errors import no_room_error

if TYPE_CHECKING:
    from qstore_ray.data.batches.windows import Columns
    from qstore_ray.train.loop.reducer import Reducer

T = TypeVar("T")

_READERS = 2  # windows that are read at a time


@dataclass(frozen=True)
class SplitFeed:
    """A worker's part of the rows, see `train.job.RowFeed`. Used in every worker, by all at once.

    Args:
        rows: in the object store.
        reducer: joins the workers; used in the thread of the training.
    """

    rows: ray.ObjectRef[StreamedRows]
    reducer: Reducer

    def open(self, epoch: int, place: int, epochs: int, batch_size: int) -> Iterator[Columns]:
        """The rows of this worker in each piece from the row at `place` of `epoch` on.

        Worker 0 starts the reading, and ends it when it ends itself.

        Raises:
            DataError: a block is not what it was when the dataset was loaded.
            RunError: Ray gave a block to another worker than it was made for.
        """
        rank, workers = self.reducer.rank, self.reducer.world_size
        splits: list[ray.data.DataIterator] = []
        if rank == 0:
            source = _Windows(self.rows, epoch, place, epochs, batch_size, workers)
            splits = _split(source, workers)
        return self._received(from_first(self.reducer, splits)[rank])

    def _received(self, parcels: ray.data.DataIterator) -> Iterator[Columns]:
        found = parcels.iter_batches(batch_size=1, batch_format="numpy", prefetch_batches=1)
        try:
            for number, parcel in enumerate(found):
                here = int(parcel["worker"][0]), int(parcel["piece"][0])
                if here != (self.reducer.rank, number):
                    raise RunError(
                        f"worker {self.reducer.rank} was given the rows of worker {here[0]}, "
                        f"window {here[1]} in place of {number}",
                        fix="Set dataset.stream = false, or use the version of Ray in the lock.",
                    )
                with np.load(io.BytesIO(parcel["rows"][0]), allow_pickle=False) as columns:
                    yield dict(columns)
        except RayError as exc:
            raise reading_error(exc) from exc


def from_first(reducer: Reducer, value: T) -> T:
    """Worker 0's value, which Ray can serialize, in every worker. Called by all of them at once."""
    sent = np.frombuffer(ray.cloudpickle.dumps(value), np.uint8)  # type: ignore[no-untyped-call]
    size = int(reducer.broadcast(np.array([float(len(sent))]))[0])
    mine = sent if reducer.rank == 0 else np.zeros(size)
    received = reducer.broadcast(mine.astype(np.float64))  # a byte is exact in a float
    # gate: QS102 because the bytes come from rank 0 of the same run
    found: T = ray.cloudpickle.loads(received.astype(np.uint8).tobytes())
    return found


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
    rows.context.target_max_block_size = 1  # byte: a block is never of more than one parcel
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
        there: StreamedRows = ray_result(rows, "the rows of the training")
        n_features = there.first.shape[1]
        self._row_bytes = 8 * (n_features + 5)
        self._sizes = [piece.window.end - piece.place for piece in pieces(there, *self._from)]
        self.count = len(self._sizes)

    def get_name(self) -> str:
        """The name that Ray's progress report shows."""
        return "rows of the training"

    def estimate_inmemory_data_size(self) -> int | None:
        """Size of all blocks together, in bytes."""
        return int(sum(self._sizes) * self._row_bytes)

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
        there: StreamedRows = ray_result(rows, "the rows of the training")
        piece = next(islice(pieces(there, *begin), number, None))
        for worker, columns in enumerate(lane_columns(there, piece, batch_size, workers)):
            parcel = io.BytesIO()
            np.savez(parcel, **dict(columns))  # type: ignore[arg-type]  # the stub of 2.4: no names
            yield pa.table({"worker": [worker], "piece": [number], "rows": [parcel.getvalue()]})

    return read


def reading_error(error: BaseException) -> QStoreError:
    """What a read task raised: an error of ours, out of all that Ray puts around it."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, QStoreError) and not isinstance(inner, RayError):
            return inner
        if isinstance(inner, ObjectStoreFullError | OutOfDiskError):
            return no_room_error(inner)
        inner = inner.cause if isinstance(inner, RayTaskError) else inner.__cause__
    return RunError(f"the rows could not be read: {str(error).strip().splitlines()[-1]}")
