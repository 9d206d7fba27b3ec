"""The laws of training: W workers = 1 worker, resumed = uninterrupted, bit for bit.

Workers are threads here, each with a loop of its own, that add up through a barrier; the loop is
the one that runs in Ray Train workers (`tests/ray/` has those).
"""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from qstore_ray.data.batches.order import row_order
from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import CheckpointError, CircuitError, DataError, DivergenceError
from qstore_ray.learn import step
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.model import build_model
from qstore_ray.learn.optimizers import OPTIMIZERS
from qstore_ray.track.config import TrackConfig
from qstore_ray.track.jsonl import epoch_records, read_records
from qstore_ray.train.callbacks import Callback
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.job import Assignment, TrainingRows, WorkerResult
from qstore_ray.train.loop import loop
from qstore_ray.train.loop.reducer import LocalReducer
from qstore_ray.train.loop.reporter import LocalReporter
from qstore_ray.train.model.trained import TrainedModel
from qstore_ray.train.run.checkpoint import latest_checkpoint
from qstore_ray.train.trainer import QuantumTrainer

N_TRAIN, N_VAL, BATCH, EPOCHS = 61, 37, 40, 3
STEPS = 2 * EPOCHS  # batches of 40 and 21 rows: 3 blocks and 2, the last ones not full

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "iris.json"


@pytest.fixture(scope="module")
def rows() -> TrainingRows:
    """Real rows of iris, in a number that divides by nothing."""
    from sklearn.datasets import load_iris

    x, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = ((x - x.mean(axis=0)) / x.std(axis=0))[order], y[order]
    end = N_TRAIN + N_VAL
    return TrainingRows(x[:N_TRAIN], y[:N_TRAIN], x[N_TRAIN:end], y[N_TRAIN:end])


def _job(folder: Path, **options) -> Assignment:
    config = {
        "epochs": EPOCHS,
        "batch_size": BATCH,
        "learning_rate": 0.1,
        "schedule": "warmup",
        "schedule_options": {"length": 0.2, "then": {"name": "cosine"}},
        "seed": 5,
        **options,
    }
    model = build_model(
        ModelConfig(n_qubits=4, layers=1, input_scaling=True), n_features=4, n_classes=3
    )
    folder.mkdir(parents=True, exist_ok=True)
    return Assignment(model, TrainerConfig(**config), folder, 1, {}, {})


# ------------------------------------------------------------------------- workers that are threads


class BarrierReducer:
    """One of W workers: adds the arrays of all in the order of their ranks."""

    def __init__(self, rank: int, slots: list, barrier: threading.Barrier) -> None:
        self.rank = rank
        self.world_size = len(slots)
        self._slots = slots
        self._barrier = barrier

    def all_reduce(self, values):
        self._slots[self.rank] = values
        self._barrier.wait()
        total = self._slots[0].copy()
        for other in self._slots[1:]:
            total += other
        self._barrier.wait()
        return total

    def broadcast(self, values):
        return self.all_reduce(values if self.rank == 0 else np.zeros_like(values))

    def close(self) -> None:
        self._barrier.abort()


class StopAfter(LocalReporter):
    """Asks to stop after a number of steps."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._left = steps

    def should_stop(self) -> bool:
        self._left -= 1
        return self._left == 0


def _train(
    job: Assignment, rows: TrainingRows, workers: int = 0, stop_after: int = 0
) -> WorkerResult:
    """The loop with so many workers; 0 is the one of a run without Ray."""
    reporter = StopAfter(stop_after) if stop_after else LocalReporter()
    if workers == 0:
        return loop.run(job, rows, LocalReducer(), reporter)
    slots, barrier = [None] * workers, threading.Barrier(workers)
    outcomes: list = [None] * workers

    def work(rank: int) -> None:
        reducer = BarrierReducer(rank, slots, barrier)
        try:
            outcomes[rank] = loop.run(job, rows, reducer, reporter)
        except BaseException as exc:  # gate: QS104 because raised below, in the thread of the test
            outcomes[rank] = exc
            reducer.close()

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a worker waits for ever"
    failures = [found for found in outcomes if isinstance(found, BaseException)]
    for failure in failures:
        if not isinstance(failure, threading.BrokenBarrierError):
            raise failure
    assert not failures
    assert len({outcome.theta.tobytes() for outcome in outcomes}) == 1
    assert {outcome.status for outcome in outcomes} == {outcomes[0].status}
    return outcomes[0]


class End(NamedTuple):
    """All that a run ends with, as bits and numbers that can be compared."""

    theta: bytes
    arrays: dict[str, bytes]
    epochs: list[dict]


def _end(job: Assignment, outcome: WorkerResult) -> End:
    assert outcome.status == "finished"
    checkpoint, problems = latest_checkpoint(job.run_dir / "checkpoints")
    assert checkpoint is not None
    assert problems == []
    records = epoch_records(read_records(job.run_dir / "metrics.jsonl"))
    epochs = [{k: v for k, v in record.items() if k != "seconds"} for record in records]
    arrays = {name: array.tobytes() for name, array in checkpoint.arrays.items()}
    assert outcome.theta.tobytes() == arrays["theta"]
    assert [record["epoch"] for record in epochs] == list(range(len(epochs)))
    return End(outcome.theta.tobytes(), arrays, epochs)


@pytest.fixture(scope="module")
def uninterrupted(rows, tmp_path_factory) -> End:
    job = _job(tmp_path_factory.mktemp("uninterrupted"))
    end = _end(job, _train(job, rows))
    assert len(end.epochs) == EPOCHS
    assert end.epochs[-1]["train_loss"] < end.epochs[0]["train_loss"]
    return end


# ----------------------------------------------------------------------------- W workers = 1 worker


@pytest.mark.parametrize("workers", [1, 2, 3, 5])
def test_any_number_of_workers_ends_with_the_bits_of_one(rows, uninterrupted, tmp_path, workers):
    job = _job(tmp_path)
    assert _end(job, _train(job, rows, workers)) == uninterrupted


OPTIONS = [
    {"batch_size": 1},
    {"batch_size": 16},
    {"batch_size": 1000},
    {"gradient": "parameter_shift", "epochs": 1},
    {"schedule": "constant", "schedule_options": {}},
    {"schedule": "plateau", "schedule_options": {"patience": 0}, "monitor": "train_loss"},
    {"accumulate": 2, "batch_size": 17},
    {"batches": "balanced"},
    {"clip_norm": 0.1, "clip_value": 0.02},
    *({"optimizer": name} for name in sorted(OPTIMIZERS)),
]
"""Ways to train that are not those of `_job`."""


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_whatever_the_options_three_workers_end_with_the_bits_of_one(rows, tmp_path, options):
    """And so does a run that was stopped in the middle of an epoch."""
    options = {"schedule": "cosine", "schedule_options": {}, "epochs": 2, **options}
    jobs = [_job(tmp_path / str(workers), **options) for workers in (0, 3)]
    one, three = (_end(job, _train(job, rows, w)) for job, w in zip(jobs, (0, 3), strict=True))
    assert one == three
    job = _job(tmp_path / "resumed", **options)
    _train(job, rows, 2, stop_after=1)
    assert _end(job, _train(job, rows)) == one


def test_accumulated_batches_are_one_large_batch(rows, tmp_path):
    """But for the order of the sums: blocks of 16 are added within a batch first."""
    small = _job(tmp_path / "1", batch_size=16, accumulate=2)
    large = _job(tmp_path / "2", batch_size=32)
    one, two = (_train(job, rows) for job in (small, large))
    np.testing.assert_allclose(one.theta, two.theta, rtol=1e-9)


def test_balanced_batches_show_every_class_equally_often(rows, tmp_path):
    classes = [np.flatnonzero(rows.y == label)[:n] for label, n in ((0, 4), (1, 18), (2, 18))]
    take = np.concatenate(classes)
    rare = rows._replace(x=rows.x[take], y=rows.y[take])
    outcome = _train(_job(tmp_path, batches="balanced", epochs=1), rare)
    assert outcome.samples == 3 * 18


def test_without_rows_to_validate_there_is_no_validation(rows, tmp_path):
    bare = rows._replace(x_val=rows.x_val[:0], y_val=rows.y_val[:0])
    ends = []
    for workers in (0, 2):
        job = _job(tmp_path / str(workers))
        ends.append(_end(job, _train(job, bare, workers)))
    assert ends[0] == ends[1]
    assert "val_loss" not in ends[0].epochs[0]
    assert "train_loss" in ends[0].epochs[0]


# -------------------------------------------------------------------------- resumed = uninterrupted


@pytest.mark.parametrize(("before", "after"), [(0, 0), (3, 2), (2, 5)])
@pytest.mark.parametrize("stop_after", range(1, STEPS + 1))
def test_stopped_after_any_step_and_resumed_on_other_workers_it_ends_with_the_same_bits(
    rows, uninterrupted, tmp_path, stop_after, before, after
):
    job = _job(tmp_path)
    first = _train(job, rows, before, stop_after)
    assert first.status == "interrupted"
    assert first.samples == sum([40, 21][k % 2] for k in range(stop_after))
    second = _train(job, rows, after)
    assert first.samples + second.samples == N_TRAIN * EPOCHS
    assert _end(job, second) == uninterrupted


def test_stopped_after_every_single_step_it_ends_with_the_same_bits(rows, uninterrupted, tmp_path):
    job = _job(tmp_path)
    for attempt in range(STEPS):
        assert _train(job, rows, attempt % 3, stop_after=1).status == "interrupted"
    assert _end(job, _train(job, rows)) == uninterrupted


def test_without_a_checkpoint_every_epoch_a_stop_writes_one(rows, uninterrupted, tmp_path):
    job = _job(tmp_path, checkpoint_every_epochs=100)
    _train(job, rows, stop_after=5)
    (path,) = (tmp_path / "checkpoints").iterdir()
    assert path.name == "step-00000005"
    assert _end(job, _train(job, rows)) == uninterrupted


def test_a_finished_run_run_again_changes_nothing(rows, uninterrupted, tmp_path):
    job = _job(tmp_path)
    _train(job, rows)
    again = _train(job, rows, workers=2)
    assert again.samples == 0
    assert _end(job, again) == uninterrupted


# ------------------------------------------------------------------------------ damaged checkpoints


def _flip(path: Path) -> None:
    data = bytearray((path / "arrays.npz").read_bytes())
    data[len(data) // 2] ^= 1
    (path / "arrays.npz").write_bytes(data)


def _cut(path: Path) -> None:
    data = (path / "arrays.npz").read_bytes()
    (path / "arrays.npz").write_bytes(data[: len(data) // 2])


DAMAGE = {
    "a bit flipped": _flip,
    "cut short": _cut,
    "no manifest": lambda path: (path / "manifest.json").unlink(),
    "no arrays": lambda path: (path / "arrays.npz").unlink(),
    "half a manifest": lambda path: (path / "manifest.json").write_text('{"format": 1, "mem'),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("workers", [0, 2])
def test_from_a_damaged_checkpoint_it_falls_back_says_so_and_ends_with_the_same_bits(
    rows, uninterrupted, tmp_path, damage, workers
):
    job = _job(tmp_path)
    _train(job, rows, stop_after=5)
    newest = max((tmp_path / "checkpoints").iterdir())
    assert newest.name == "step-00000005"
    damage(newest)
    outcome = _train(job, rows, workers)
    assert outcome.samples == N_TRAIN, "the last epoch was done again"
    records = read_records(tmp_path / "metrics.jsonl")
    (warning,) = (record for record in records if record["event"] == "warning")
    (start,) = (record for record in records if record.get("resumed_from_step"))
    assert start["resumed_from_step"] == 4
    assert _end(job, outcome) == uninterrupted
    assert "step-00000005" in warning["message"]


def test_with_no_readable_checkpoint_it_does_not_start_again_in_silence(rows, tmp_path):
    job = _job(tmp_path)
    _train(job, rows, stop_after=5)
    for path in (tmp_path / "checkpoints").iterdir():
        _flip(path)
    with pytest.raises(CheckpointError, match="existing='replace'"):
        _train(job, rows)


# --------------------------------------------------------------------------------------- randomness


def test_the_same_seed_gives_the_same_bits_and_another_gives_others(rows, uninterrupted, tmp_path):
    ends = []
    for name, seed in (("same", 5), ("other", 6)):
        job = _job(tmp_path / name, seed=seed)
        ends.append(_end(job, _train(job, rows)))
    assert ends[0] == uninterrupted
    assert ends[1].theta != uninterrupted.theta
    assert ends[1].epochs[0]["train_loss"] != uninterrupted.epochs[0]["train_loss"]


@pytest.mark.parametrize("n_rows", [1, 2, 61, 1000])
def test_the_order_of_rows_is_a_permutation_of_its_own_for_every_seed_and_epoch(n_rows):
    orders = [row_order(seed, epoch, n_rows) for seed in (0, 1, 2) for epoch in (0, 1, 2)]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(n_rows))
    np.testing.assert_array_equal(row_order(1, 2, n_rows), orders[5])
    if n_rows > 2:
        assert len({order.tobytes() for order in orders}) == len(orders)


@pytest.mark.parametrize("workers", [0, 3])
def test_every_row_is_used_once_an_epoch(rows, tmp_path, monkeypatch, workers):
    seen: list[tuple[bytes, int]] = []
    original = step.value_and_grad

    def recorded(model, theta, x, y, *others, **options):
        seen.extend((row.tobytes(), int(label)) for row, label in zip(x, y, strict=True))
        return original(model, theta, x, y, *others, **options)

    monkeypatch.setattr(step, "value_and_grad", recorded)
    _train(_job(tmp_path), rows, workers)
    expected = [(row.tobytes(), int(label)) for row, label in zip(rows.x, rows.y, strict=True)]
    # Iris has equal rows, so they are counted, not collected in a set.
    assert sorted(seen) == sorted(expected * EPOCHS)
    epochs = [seen[k * N_TRAIN : (k + 1) * N_TRAIN] for k in range(EPOCHS)]
    if workers == 0:
        assert all(sorted(epoch) == sorted(expected) for epoch in epochs)
        assert epochs[0] != epochs[1]


# --------------------------------------------------------------------------------------- divergence


@pytest.mark.parametrize("workers", [0, 2])
def test_a_huge_learning_rate_is_a_divergence_and_not_a_number(rows, tmp_path, workers):
    job = _job(tmp_path, learning_rate=1e300, epochs=20)
    with pytest.raises(DivergenceError) as caught:
        _train(job, rows, workers)
    assert "learning_rate" in caught.value.fix
    assert set(caught.value.value) == {"loss", "gradient_norm"}
    _, problems = latest_checkpoint(tmp_path / "checkpoints")
    assert problems == [], "nothing half-written"
    read_records(tmp_path / "metrics.jsonl")


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_loss_that_is_no_number_ends_the_run(rows, tmp_path, workers, value):
    model = build_model(ModelConfig(n_qubits=4, layers=1), n_features=4, n_classes=None)
    job = _job(tmp_path)
    job = Assignment(model, job.config, tmp_path, 1, {}, {})
    targets = rows.y.astype(float)
    targets[17] = value
    with pytest.raises(DivergenceError, match=r"step [12] "):
        _train(job, rows._replace(y=targets), workers)
    assert not (tmp_path / "checkpoints").exists()
    events = [record["event"] for record in read_records(tmp_path / "metrics.jsonl")]
    assert "epoch" not in events


# -------------------------------------------------------------------------------------- the trainer


def _iris() -> Dataset:
    return DatasetLoader.load(
        DatasetConfig(
            name="iris",
            params={"dataset": "iris"},
            preprocessing=[{"name": "standard"}],
            split={"train": 0.7, "val": 0.1, "test": 0.2},
        )
    )


def test_fewer_rows_than_workers_is_refused_before_anything_is_written(tmp_path):
    dataset = _iris()
    workers = dataset.sizes["train"] + 1
    trainer = QuantumTrainer(
        ModelConfig(n_qubits=4),
        TrainerConfig(num_workers=workers),
        name="iris",
        storage=tmp_path,
        track=TrackConfig(mlflow=False, figures=False),
    )
    with pytest.raises(DataError) as caught:
        trainer.fit(dataset)
    assert (caught.value.field, caught.value.value) == ("trainer.num_workers", workers)
    assert list(tmp_path.iterdir()) == []


def test_what_the_backend_could_not_run_is_refused_before_anything_is_written(tmp_path):
    trainer = QuantumTrainer(
        ModelConfig(n_qubits=4, observables=["Z4"]),
        name="iris",
        storage=tmp_path,
        track=TrackConfig(mlflow=False, figures=False),
    )
    with pytest.raises(CircuitError, match="qubit 4"):
        trainer.fit(_iris())
    assert list(tmp_path.iterdir()) == []


def _fit_golden(golden: dict, storage: Path):
    trainer = QuantumTrainer(
        ModelConfig.from_dict(golden["model"]),
        TrainerConfig.from_dict(golden["trainer"]),
        name="iris",
        storage=storage,
        track=TrackConfig(mlflow=False, figures=False),
    )
    return trainer.fit(DatasetLoader.load(DatasetConfig.from_dict(golden["dataset"])))


def test_the_loss_curve_of_iris_is_the_recorded_one(tmp_path):
    golden = json.loads(GOLDEN.read_text())
    result = _fit_golden(golden, tmp_path)
    for name, expected in golden["history"].items():
        found = [record[name] for record in result.history]
        # Other processors round sines differently, and training passes that on.
        assert found == pytest.approx(expected, rel=1e-10), name
    assert result.metrics["test_accuracy"] == golden["test_accuracy"]
    loaded = TrainedModel.load(result.run_dir)
    assert loaded.theta.tobytes() == result.model.theta.tobytes()


# --------------------------------------------------------------------- callbacks and the workers


@pytest.mark.parametrize("workers", [2, 3])
@pytest.mark.parametrize(
    "table",
    [
        {"name": "early_stopping", "patience": 2},
        {"name": "convergence_monitor", "window": 4, "end_on": ["plateau", "converged"]},
    ],
    ids=str,
)
def test_a_callback_that_ends_the_run_ends_it_for_all_workers(rows, tmp_path, workers, table):
    """The best parameters, put in place by worker 0, are those of every worker."""
    options = {"learning_rate": 2.0, "schedule": "constant", "schedule_options": {}, "epochs": 25}
    ends = []
    for count in (0, workers):
        job = _job(tmp_path / str(count), **options, callbacks=[table])
        job = replace(job, callbacks=tuple(job.config.open_callbacks()))
        ends.append(_end(job, _train(job, rows, count)))
    assert ends[0] == ends[1]
    if table["name"] == "early_stopping":
        assert len(ends[0].epochs) < 25


def test_a_callback_that_stops_the_run_stops_all_workers_a_step_later(rows, tmp_path):
    class Stops(Callback):
        def on_batch_end(self, run, batch):
            if run.state.step == 1:
                run.stop("enough")

    for count, steps in ((0, 1), (3, 2)):
        job = replace(_job(tmp_path / str(count)), callbacks=(Stops(),))
        outcome = _train(job, rows, count)
        assert outcome.status == "interrupted"
        found, _ = latest_checkpoint(tmp_path / str(count) / "checkpoints")
        assert found.manifest["step"] == steps
