"""What goes into the training loop and what comes out of it, as plain values.

An `Assignment` and rows are sent to every worker; an `WorkerResult` comes back from each. Rows are
`TrainingRows`, held in memory, or `StreamedRows`, which are read while the training runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from qstore_ray.backends.base import Backend
from qstore_ray.backends.paid import RunIdentity, new_identity
from qstore_ray.learn.model import QuantumModel
from qstore_ray.learn.optimizers import SearchOptimizer, get_optimizer
from qstore_ray.learn.targets import TargetScaling
from qstore_ray.storage.address import StorageAddress
from qstore_ray.track.base import Record
from qstore_ray.train.callbacks.base import Callback
from qstore_ray.train.config import TrainerConfig

if TYPE_CHECKING:
    from qstore_ray.data.batches.windows import Columns, RowStream
    from qstore_ray.train.run.chain import ChainPlace
    from qstore_ray.train.run.manifest import CheckpointManifest
    from qstore_ray.types import AnyArray, FloatArray, IntArray


class TrainingRows(NamedTuple):
    """Prepared rows: train x (N, F), y (N, …), and those to validate on (maybe none).

    The targets of a regression are as training sees them, see `Assignment.targets`. `row` and
    `row_val` (N,) are numbers in the source, for errors about one row; without them a row is known
    by its place here. The loss has the weights of rows (N,), see `learn.weights`; None for 1 each.
    """

    x: FloatArray
    y: AnyArray
    x_val: FloatArray
    y_val: AnyArray
    row: IntArray | None = None
    row_val: IntArray | None = None
    weight: FloatArray | None = None
    weight_val: FloatArray | None = None

    @property
    def n_rows(self) -> int:
        """N, the rows of train."""
        return len(self.x)

    @property
    def n_val(self) -> int:
        """How many rows of val there are."""
        return len(self.x_val)

    @property
    def first(self) -> FloatArray:
        """The first row of train (1, F)."""
        return self.x[:1]


class RowFeed(Protocol):
    """Brings a worker the rows of train and val that it needs, read by others."""

    def open(self, epoch: int, place: int, epochs: int, batch_size: int) -> Iterator[Columns]:
        """The rows of this worker, for each of `loop.feed.pieces` in order."""
        ...


@dataclass(frozen=True, eq=False)  # arrays have no truth value
class StreamedRows:
    """Rows that are read window by window, as `TrainingRows` without the features.

    Attributes:
        train, val: what reads them; val is None without rows. Their weights are 1 on the mean.
        y, y_val: targets (N, …), as training sees them.
        first: the first row of train (1, F). row: its number (1,).
        weight_val: weights of the rows of val (N,), or None.
        targets: how the targets of a regression are scaled.
        feed: brings the rows to a worker; None reads them in this process.
    """

    train: RowStream
    val: RowStream | None
    y: AnyArray
    y_val: AnyArray
    first: FloatArray
    row: IntArray
    weight_val: FloatArray | None = None
    targets: TargetScaling | None = None
    feed: RowFeed | None = None

    @property
    def n_rows(self) -> int:
        """N, the rows of train."""
        return len(self.y)

    @property
    def n_val(self) -> int:
        """How many rows of val there are."""
        return len(self.y_val)

    def micro_batch(self, config: TrainerConfig) -> int:
        """How many rows of a step the workers divide among themselves at a time."""
        optimizer = get_optimizer(config.optimizer, config.optimizer_options)
        together = isinstance(optimizer, SearchOptimizer)
        return config.batch_size * (config.accumulate if together else 1)


AnyRows: TypeAlias = TrainingRows | StreamedRows


@dataclass(frozen=True)
class Assignment:
    """What every worker is given.

    Attributes:
        run_dir: the run folder; None keeps nothing on disk.
        manifest: goes into every checkpoint.
        arrays: likewise (the fitted preparation).
        threads: CPUs of one worker.
        callbacks: run in worker 0.
        backend: where circuits run; None opens the one that `config` names.
        identity: for whom the backend evaluates; by default a run that is never resumed.
        theta: parameters (P,) to begin with; None takes those of the model under the seed.
        targets: how the targets of a regression were scaled; None if they were not.
        metrics: of `learn.scoring` that val is scored by each epoch, beside loss and accuracy.
        class_names: of the data.
        lost: why the workers before these ended; "" where these are the first.
        origin: the objects that `run_dir` is a copy of; None for a plain folder. lease: the token
            of the attempt that may write them.
        traceparent: the span of OpenTelemetry that the run is in; "" if none.
    """

    model: QuantumModel
    config: TrainerConfig
    run_dir: Path | None
    generation: int
    manifest: CheckpointManifest
    arrays: Mapping[str, AnyArray]
    threads: int = 1
    callbacks: tuple[Callback, ...] = ()
    backend: Backend | None = None
    identity: RunIdentity = field(default_factory=new_identity)
    theta: FloatArray | None = None
    targets: TargetScaling | None = None
    metrics: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    lost: str = ""
    origin: StorageAddress | None = None
    lease: str = ""
    traceparent: str = ""

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints, of a run with a folder."""
        assert self.run_dir is not None, "a run without a folder has no checkpoints"
        return self.run_dir / "checkpoints"

    def on_member(self, place: ChainPlace) -> Assignment:
        """The same on one backend of the chain; an object that was given is the first."""
        manifest = self.manifest.copy()
        if place.steps:
            manifest["fallbacks"] = list(place.steps)
        backend = None if place.member else self.backend
        return replace(self, config=place.config, backend=backend, manifest=manifest)


class WorkerResult(NamedTuple):
    """How the loop ended.

    Attributes:
        status: `finished`, `interrupted`, or `regroup` if another group of workers is to continue.
        reason: why, if a callback requested it.
        theta: the parameters (P,). seconds: spent in steps. samples: rows used by this attempt.
        records: one record an epoch, if no run folder stores them.
        limit: the field of the budget that ended the loop, if one did.
    """

    status: str
    theta: FloatArray
    seconds: float
    samples: int
    reason: str = ""
    records: tuple[Record, ...] = ()
    limit: str = ""
