"""Laws of a training that streams its rows: exact batches, any number of workers, any resume.

Workers are threads, see `test_training`; each reads what it needs of every window.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import ConfigError, DataError, RunExistsError
from qstore_ray.learn.config import ModelConfig
from qstore_ray.track.config import TrackConfig
from qstore_ray.track.jsonl import epoch_records, read_records
from qstore_ray.train.checks import checked
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.job import Assignment, StreamedRows
from qstore_ray.train.loop import feed
from qstore_ray.train.loop.reducer import LocalReducer
from qstore_ray.train.loop.source import StreamedBatches
from qstore_ray.train.run.checkpoint import latest_checkpoint
from qstore_ray.train.trainer import QuantumTrainer
from tests.laws.test_training import _train

MODEL = ModelConfig(n_qubits=3, layers=1)
N, EPOCHS = 131, 3
SPLIT = {"train": 0.7, "val": 0.2, "test": 0.1}


def _dataset(task: str = "classification", *, n_rows: int = N, **options):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n_rows, 3))
    y = (x[:, 0] + x[:, 1] > 0) * 1 if task == "classification" else 50.0 * x[:, 0] + 7
    settings = {"preprocessing": [{"name": "standard"}], "split": SPLIT, "stream": True, **options}
    return DatasetLoader.from_arrays(x, y, task=task, rows_per_task=13, **settings)


@pytest.fixture(autouse=True)
def _small_windows(monkeypatch):
    """Windows of a few blocks, so that an epoch has several."""
    monkeypatch.setattr("qstore_ray.train.loop.streamed.rows_of_a_window", lambda _: 20)


def _job(folder: Path, dataset, **options):
    config = TrainerConfig(
        **{"epochs": EPOCHS, "batch_size": 24, "learning_rate": 0.1, "seed": 5, **options}
    )
    found = checked(MODEL, config, dataset)
    folder.mkdir(parents=True, exist_ok=True)
    job = Assignment(
        found.model, config, folder, 1, {}, {}, targets=found.targets, metrics=found.metrics
    )
    return job, found.rows


def _records(job) -> list[dict]:
    records = epoch_records(read_records(job.run_dir / "metrics.jsonl"))
    return [{k: v for k, v in record.items() if k != "seconds"} for record in records]


OPTIONS = {
    "standard": {},
    "accumulated": {"accumulate": 2, "batch_size": 20},
    "searched": {"optimizer": "spsa"},
    "weighted": {"class_weight": "balanced", "metrics": ["f1_macro"]},
    "shots": {"backend_options": {"shots": 100}, "gradient": "parameter_shift"},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_any_number_of_workers_gives_the_same_bits(tmp_path, options, workers):
    dataset = _dataset()
    one, rows = _job(tmp_path / "one", dataset, **options)
    many, _ = _job(tmp_path / "many", dataset, **options)
    alone, together = _train(one, rows), _train(many, rows, workers)
    np.testing.assert_array_equal(alone.theta, together.theta)
    assert _records(one) == _records(many)


@pytest.mark.parametrize("stop_after", [1, 3, 4, 5, 9])
@pytest.mark.parametrize("workers", [0, 2])
def test_resumed_at_its_block_is_undisturbed(tmp_path, stop_after, workers):
    dataset = _dataset()
    whole, rows = _job(tmp_path / "whole", dataset)
    straight = _train(whole, rows)
    job, _ = _job(tmp_path / "stopped", dataset)
    stopped = _train(job, rows, workers, stop_after)
    assert stopped.status == "interrupted"
    resumed = _train(replace(job, generation=2), rows, workers)
    np.testing.assert_array_equal(resumed.theta, straight.theta)
    assert _records(job) == _records(whole)
    assert latest_checkpoint(job.checkpoints)[0].arrays.keys() == (
        latest_checkpoint(whole.checkpoints)[0].arrays.keys()
    )


def test_a_resumed_epoch_reads_only_the_windows_that_are_left(tmp_path, monkeypatch):
    job, rows = _job(tmp_path, _dataset())
    size = job.config.batch_size
    read = []
    known = feed.lane_columns

    def watched(rows, piece, *rest):
        read.append(piece)
        return known(rows, piece, *rest)

    monkeypatch.setattr(feed, "lane_columns", watched)
    source = StreamedBatches(job.config, rows, LocalReducer())
    batches = list(source.steps(1, 2))
    assert [batch.count for batch in batches] == [size, rows.n_rows - 3 * size]
    assert read[0].place == 2 * size
    assert all(piece.window.end > 2 * size for piece in read)


def _seen(rows, config, epoch):
    """The numbers of the rows of each step."""
    source = StreamedBatches(config, rows, LocalReducer())
    return [batch.number.tolist() for batch in source.steps(epoch, 0)]


@pytest.mark.parametrize("batch_size", [1, 16, 24, 91, 1000])
def test_each_row_comes_exactly_once_an_epoch_in_full_batches(tmp_path, batch_size):
    dataset = _dataset()
    job, rows = _job(tmp_path, dataset, batch_size=batch_size)
    n_rows = dataset.sizes["train"]
    steps = _seen(rows, job.config, 1)
    assert sorted(row for step in steps for row in step) == dataset.rows("train").tolist()
    assert [len(step) for step in steps[:-1]] == [batch_size] * (len(steps) - 1)
    assert len(steps) == -(-n_rows // batch_size)


def test_the_order_follows_from_seed_and_epoch(tmp_path):
    dataset = _dataset()

    def order(seed, epoch):
        job, rows = _job(tmp_path / str(seed), dataset, seed=seed)
        return tuple(row for step in _seen(rows, job.config, epoch) for row in step)

    assert order(1, 0) == order(1, 0)
    assert len({order(seed, epoch) for seed in (1, 2) for epoch in (0, 1)}) == 4


def test_fewer_rows_than_workers_have_blocks_leave_some_without_any(tmp_path):
    dataset = _dataset(n_rows=30)
    one, rows = _job(tmp_path / "one", dataset)
    many, _ = _job(tmp_path / "many", dataset)
    np.testing.assert_array_equal(_train(one, rows).theta, _train(many, rows, 5).theta)


def test_a_regression_scales_its_targets_as_they_are_read(tmp_path):
    job, rows = _job(tmp_path, _dataset("regression"))
    assert isinstance(rows, StreamedRows)
    assert abs(rows.y.mean()) < 1e-12
    batch = next(iter(StreamedBatches(job.config, rows, LocalReducer()).steps(0, 0)))
    place = {row: at for at, row in enumerate(_dataset("regression").rows("train").tolist())}
    at = [place[row] for row in batch.number.tolist()]
    np.testing.assert_array_equal(batch.y, rows.y[at])
    assert _train(job, rows).status == "finished"


def test_copies_of_an_augmentation_are_streamed(tmp_path):
    copies = {"copies": 2, "steps": [{"name": "gaussian_noise", "std": 0.1}]}
    dataset = _dataset(augmentation=copies)
    job, rows = _job(tmp_path, dataset)
    assert rows.n_rows == 3 * len(dataset.plan("train").source_rows)
    steps = _seen(rows, job.config, 0)
    assert sorted(row for step in steps for row in step) == sorted(dataset.rows("train").tolist())


def test_a_training_without_val_streams(tmp_path):
    dataset = _dataset(split={"train": 0.9, "val": None, "test": 0.1})
    one, rows = _job(tmp_path / "one", dataset)
    two, _ = _job(tmp_path / "two", dataset)
    np.testing.assert_array_equal(_train(one, rows).theta, _train(two, rows, 2).theta)


def test_what_is_recorded_is_near_to_that_of_held_rows(tmp_path):
    """The batches are others, but one batch of all rows has the same gradient."""
    streamed, rows = _job(tmp_path / "streamed", _dataset(), batch_size=200)
    held, all_rows = _job(tmp_path / "held", _dataset(stream=False), batch_size=200)
    np.testing.assert_allclose(
        _train(streamed, rows).theta, _train(held, all_rows).theta, rtol=1e-9
    )
    for a, b in zip(_records(streamed), _records(held), strict=True):
        assert a["train_loss"] == pytest.approx(b["train_loss"], rel=1e-9)
        assert a["val_loss"] == pytest.approx(b["val_loss"], rel=1e-9)
        assert a.keys() == b.keys()


# ---------------------------------------------------------------------------------- whole trainings


def _trainer(storage: Path, **options):
    track = TrackConfig(mlflow=False, figures=False)
    config = TrainerConfig(**{"epochs": 2, "batch_size": 24, "schedule": "constant", **options})
    return QuantumTrainer(MODEL, config, name="run", storage=storage, track=track)


def test_a_streamed_run_is_scored_part_by_part_and_resumes_only_streamed(tmp_path):
    dataset, held = _dataset(), _dataset(stream=False)
    result = _trainer(tmp_path).fit(dataset)
    seen, there = (result.model.evaluation(each, "test") for each in (dataset, held))
    assert seen.scores.values == pytest.approx(there.scores.values, rel=1e-6)
    np.testing.assert_array_equal(
        result.model.confusion(dataset, "test"), result.model.confusion(held, "test")
    )
    record = json.loads((result.run_dir / "run.json").read_text())
    assert record["recipe"]["dataset"] == {"stream": True}
    with pytest.raises(RunExistsError, match=r"dataset\.stream") as caught:
        _trainer(tmp_path, epochs=3).fit(held, existing="resume")
    assert "dataset.stream = true" in caught.value.fix
    assert len(_trainer(tmp_path, epochs=3).fit(dataset, existing="resume").history) == 3


def test_rows_that_changed_under_a_run_end_it(tmp_path):
    x = np.random.default_rng(0).normal(size=(90, 3))
    dataset = DatasetLoader.from_arrays(x, np.arange(90) % 2, rows_per_task=30, stream=True)
    job, rows = _job(tmp_path, dataset)
    x[70, 1] += 1.0
    with pytest.raises(DataError, match="changed since the dataset was loaded"):
        _train(job, rows)


REFUSED = {
    "trainer.batches": {"batches": "balanced"},
    "trainer.optimizer": {"optimizer": "gcans", "num_workers": 2, "backend_options": {"shots": 10}},
}


@pytest.mark.parametrize(("field", "options"), REFUSED.items(), ids=REFUSED)
def test_what_needs_all_rows_is_refused_before_anything_is_written(tmp_path, field, options):
    options = {"batch_size": 64, **options}
    with pytest.raises(ConfigError, match="streamed") as caught:
        _trainer(tmp_path, **options).fit(_dataset())
    assert caught.value.field == field
    assert "dataset.stream = false" in caught.value.fix
    assert not any(tmp_path.iterdir())
