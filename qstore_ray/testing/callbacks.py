"""The laws of a callback: it watches a training and changes nothing about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.model import build_model
from qstore_ray.track.base import Record
from qstore_ray.track.jsonl import epoch_records, read_records
from qstore_ray.train.callbacks.base import Callback
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.job import Assignment, TrainingRows, WorkerResult
from qstore_ray.train.loop import loop
from qstore_ray.train.loop.reducer import LocalReducer
from qstore_ray.train.loop.reporter import LocalReporter
from qstore_ray.train.run.checkpoint import latest_checkpoint

EPOCHS, STEPS = 4, 2


class CallbackLaws:
    """A training with it has the bits of one without it, whole or in parts; its state goes through
    checkpoints; one object serves several trainings.

    Fixtures: `callback`.
    """

    @pytest.fixture
    def callback(self) -> Callback:
        """The callback under test, which ends no training of 4 epochs early; override it."""
        raise NotImplementedError

    def test_it_changes_neither_parameters_nor_metrics(
        self, callback: Callback, tmp_path: Path
    ) -> None:
        """It may add metrics of its own."""
        bare = train(tmp_path / "bare")
        watched = train(tmp_path / "watched", [callback])
        assert watched.theta.tobytes() == bare.theta.tobytes()
        pairs = zip(epochs(tmp_path / "bare"), epochs(tmp_path / "watched"), strict=True)
        for one, other in pairs:
            assert one.items() <= other.items()

    @pytest.mark.parametrize("stop_after", [1, 2, 3, 5])
    def test_a_resumed_run_ends_as_an_uninterrupted_one(
        self, callback: Callback, stop_after: int, tmp_path: Path
    ) -> None:
        whole = train(tmp_path / "whole", [callback])
        parts = train(tmp_path / "parts", [callback], stop_after=stop_after)
        assert parts.status == "interrupted"
        parts = train(tmp_path / "parts", [callback])
        assert parts.theta.tobytes() == whole.theta.tobytes()
        assert epochs(tmp_path / "parts") == epochs(tmp_path / "whole")

    def test_being_saved_after_every_step_changes_nothing(
        self, callback: Callback, tmp_path: Path
    ) -> None:
        """What a callback adds up, it adds in one order, whenever it is asked for its state."""
        small: dict[str, Any] = {"batch_size": 4, "epochs": 3}
        whole = train(tmp_path / "whole", [callback], **small)
        saved = train(tmp_path / "saved", [callback], checkpoint_every_seconds=1e-9, **small)
        assert saved.theta.tobytes() == whole.theta.tobytes()
        assert epochs(tmp_path / "saved") == epochs(tmp_path / "whole")

    def test_one_object_serves_several_runs(self, callback: Callback, tmp_path: Path) -> None:
        first, second = train(tmp_path / "1", [callback]), train(tmp_path / "2", [callback])
        assert first.theta.tobytes() == second.theta.tobytes()
        assert epochs(tmp_path / "1") == epochs(tmp_path / "2")

    def test_every_checkpoint_can_be_read(self, callback: Callback, tmp_path: Path) -> None:
        train(tmp_path, [callback])
        found, problems = latest_checkpoint(tmp_path / "checkpoints")
        assert found is not None
        assert not problems


class _Stops(LocalReporter):
    """Asks to stop after a number of steps, as Ctrl-C would."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._left = steps

    def should_stop(self) -> bool:
        self._left -= 1
        return self._left == 0


def iris() -> TrainingRows:
    """Real rows: 60 to train on, 30 to validate with; 4 features, 3 classes."""
    from sklearn.datasets import load_iris

    x, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = ((x - x.mean(axis=0)) / x.std(axis=0))[order], y[order]
    return TrainingRows(x[:60], y[:60], x[60:90], y[60:90])


def train(
    folder: Path | None,
    callbacks: Sequence[Callback] = (),
    *,
    rows: Callable[[], TrainingRows] = iris,
    stop_after: int = 0,
    **options: Any,
) -> WorkerResult:
    """A training of 4 epochs of 2 steps, in this process; it resumes what is in the folder.

    Args:
        folder: the run folder; None writes nothing.
        callbacks: who watches.
        rows: what it trains on.
        stop_after: the number of steps after which it is interrupted; 0 is never.
        options: fields of `TrainerConfig`.
    """
    config = TrainerConfig(**{"epochs": EPOCHS, "batch_size": 30, "seed": 3, **options})
    model = build_model(ModelConfig(n_qubits=4, layers=1), n_features=4, n_classes=3)
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    job = Assignment(model, config, folder, 1, {}, {}, callbacks=tuple(callbacks))
    reporter = _Stops(stop_after) if stop_after else LocalReporter()
    return loop.run(job, rows(), LocalReducer(), reporter)


def epochs(folder: Path) -> list[Record]:
    """What the training recorded of each epoch, without times."""
    timed = ("seconds", "epoch_seconds", "samples_per_second")
    records = epoch_records(read_records(folder / "metrics.jsonl"))
    return [{k: v for k, v in record.items() if k not in timed} for record in records]
