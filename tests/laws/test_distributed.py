"""Laws of workers that do not exchange every gradient as it is."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qstore_ray.data.batches.batches import StandardBatches
from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import ConfigError, DivergenceError
from qstore_ray.learn import step
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.distributed.compression import EightBits, TopK, fed_back
from qstore_ray.learn.distributed.period import period_for
from qstore_ray.learn.gradients import get_gradient
from qstore_ray.learn.model import build_model
from qstore_ray.track.jsonl import epoch_records, read_records
from qstore_ray.train.checks import checked
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.job import Assignment, TrainingRows, WorkerResult
from qstore_ray.train.loop import loop
from qstore_ray.train.loop.reducer import LocalReducer, ThreadedReducer
from qstore_ray.train.loop.reporter import LocalReporter
from qstore_ray.train.run.checkpoint import latest_checkpoint
from tests.laws import test_training
from tests.laws.test_training import BarrierReducer, _end, _job, _train

rows = test_training.rows
uninterrupted = test_training.uninterrupted
WAYS = {
    "period": {"averaging": {"period": 3}},
    "delay": {"averaging": {"period": 3, "delay": 2}},
    "top_k": {"compression": {"method": "top_k", "keep": 0.2}},
    "int8": {"compression": {"method": "int8"}},
}


def _apart(folder, workers: int = 2, **options) -> Assignment:
    """A training of 12 steps in an epoch, in two blocks each but for the last."""
    small = {"batch_size": 32, "num_workers": workers, "epochs": 3}
    return _job(folder, **{**small, **options})


@pytest.fixture(scope="module")
def many(rows) -> TrainingRows:
    """The rows four times over, with a little noise: 8 steps of 32."""
    x = np.concatenate([rows.x] * 4) + np.random.default_rng(1).normal(scale=0.1, size=(244, 4))
    return TrainingRows(x, np.concatenate([rows.y] * 4), rows.x_val, rows.y_val)


class StopFrom(LocalReporter):
    """Asks to stop from a step on."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._left = steps

    def should_stop(self) -> bool:
        self._left -= 1
        return self._left < 0


def _overlapped(
    job: Assignment, rows: TrainingRows, workers: int, stop_after: int = 1000
) -> WorkerResult:
    """`_train` with reducers that add up while their worker computes; θ is that of worker 0."""
    slots, barrier = [None] * workers, threading.Barrier(workers)
    stop = StopFrom(stop_after)  # asked by worker 0 alone

    def work(rank: int) -> WorkerResult:
        with ThreadPoolExecutor(1) as thread:
            reducer = ThreadedReducer(BarrierReducer(rank, slots, barrier), thread)
            try:
                return loop.run(job, rows, reducer, stop)
            except BaseException:
                barrier.abort()
                raise

    with ThreadPoolExecutor(workers) as pool:
        runs = [pool.submit(work, rank) for rank in range(workers)]
    # A barrier that one worker's failure has broken is what the others fail of.
    failures = [failure for run in runs if (failure := run.exception()) is not None]
    for failure in sorted(
        failures, key=lambda each: isinstance(each, threading.BrokenBarrierError)
    ):
        raise failure
    found = [run.result() for run in runs]
    assert {each.status for each in found} == {found[0].status}
    return found[0]


# ---------------------------------------------------------------------------- nothing changes


@pytest.mark.parametrize(
    "options",
    [
        {"averaging": {"period": 1}},
        {"compression": {"method": "none"}},
        {"averaging": {"period": 1}, "compression": {"method": "none"}},
    ],
    ids=["period-1", "no-compression", "both"],
)
@pytest.mark.parametrize("workers", [0, 2, 3])
def test_what_changes_nothing_keeps_every_bit(rows, uninterrupted, tmp_path, workers, options):
    job = _job(tmp_path, **options)
    assert _end(job, _train(job, rows, workers)) == uninterrupted


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_workers_that_are_measured_to_meet_every_step_have_the_bits_of_any(
    many, tmp_path, optimizer, monkeypatch
):
    """Period 1 as the averaging code takes it, not as the configuration leaves it out."""
    monkeypatch.setattr("qstore_ray.train.distributed.averaging.period_for", lambda *_: 1)
    plain = _apart(tmp_path / "plain", optimizer=optimizer)
    measured = _apart(tmp_path / "measured", optimizer=optimizer, averaging={"period": "auto"})
    expected, found = _end(plain, _train(plain, many, 2)), _end(measured, _train(measured, many, 2))
    assert found.theta == expected.theta
    assert found.epochs == expected.epochs


def test_plain_descent_with_means_is_local_sgd_as_it_is_written(many, tmp_path):
    """Two workers on halves of each batch; the mean of their models in every second step."""
    rows = TrainingRows(many.x[:224], many.y[:224], many.x_val, many.y_val)  # 7 whole batches
    job = _apart(
        tmp_path, epochs=1, averaging={"period": 2}, learning_rate=0.3,
        optimizer="sgd", schedule="constant", schedule_options={},
    )  # fmt: skip
    found = _train(job, rows, 2).theta
    backend = job.config.open_backend()
    method = get_gradient("auto", backend)
    thetas = [job.model.initial(5)] * 2
    batches = StandardBatches(n_rows=224, batch_size=32, seed=5).of_epoch(0)
    for place, index in enumerate(batches):
        for rank, own in enumerate((index[:16], index[16:])):
            sums = step.total(
                step.value_and_grad(
                    job.model, thetas[rank], rows.x[own], rows.y[own], backend, method
                )
            )
            thetas[rank] = thetas[rank] - 0.3 * sums.gradient / sums.n_rows
        if place in {1, 3, 5, 6}:
            thetas = [np.mean(thetas, axis=0)] * 2
    np.testing.assert_allclose(found, thetas[0], rtol=1e-10, atol=1e-12)
    in_step = _train(_apart(tmp_path / "in-step", epochs=1, learning_rate=0.3, optimizer="sgd",
                            schedule="constant", schedule_options={}), rows, 2)  # fmt: skip
    assert np.abs(in_step.theta - found).max() > 1e-6  # and not the same as in step


# --------------------------------------------------------------------------------------- resumed


@pytest.mark.parametrize("way", list(WAYS))
@pytest.mark.parametrize("stop_after", [2, 4, 13])
def test_stopped_and_resumed_workers_end_with_the_same_bits(many, tmp_path, way, stop_after):
    whole, parts = (_apart(tmp_path / name, **WAYS[way]) for name in ("whole", "parts"))
    expected = _end(whole, _overlapped(whole, many, 2))
    assert _overlapped(parts, many, 2, stop_after).status == "interrupted"
    stopped = latest_checkpoint(parts.run_dir / "checkpoints")[0]
    assert stopped is not None
    assert stopped.manifest["step"] < 24
    assert _end(parts, _overlapped(parts, many, 2)) == expected


def test_a_checkpoint_within_an_epoch_has_the_models_of_all_workers(many, tmp_path):
    job = _apart(tmp_path, **WAYS["delay"])
    _overlapped(job, many, 2, 2)
    found = latest_checkpoint(job.run_dir / "checkpoints")[0]
    assert found is not None
    first, second = found.arrays["averaging.own"]
    assert np.array_equal(first[: job.model.n_parameters], found.arrays["theta"])
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("way", list(WAYS))
def test_every_row_is_counted_once_and_the_loss_falls(many, tmp_path, way):
    job = _apart(tmp_path, epochs=6, **WAYS[way])
    end = _end(job, _overlapped(job, many, 2))
    plain = _apart(tmp_path / "plain", epochs=6)
    expected = _end(plain, _train(plain, many, 2))
    assert [each["samples"] for each in end.epochs] == [244 * n for n in range(1, 7)]
    circuits = [each["circuit_evaluations"] for each in end.epochs]
    assert circuits == [each["circuit_evaluations"] for each in expected.epochs]
    assert end.theta != expected.theta
    last, reference = end.epochs[-1]["val_loss"], expected.epochs[-1]["val_loss"]
    assert last < 1.25 * reference
    assert last < 0.6 * end.epochs[0]["val_loss"] or last < 0.5


@pytest.mark.parametrize("way", list(WAYS))
def test_a_divergence_of_one_worker_ends_all_of_them(many, tmp_path, way):
    y = many.y.astype(float)
    y[3] = np.nan  # in one worker's part of one batch
    job = _job(tmp_path, batch_size=32, num_workers=2, **WAYS[way])
    job = replace(job, model=build_model(
        ModelConfig(n_qubits=4, layers=1, observables=["Z0"]), n_features=4, n_classes=None,
        task="regression",
    ))  # fmt: skip
    with pytest.raises(DivergenceError):
        _overlapped(job, many._replace(y=y), 2)


# ------------------------------------------------------------------------------------ compression

VECTORS = arrays(
    np.float64, 23,
    elements=st.floats(-1e300, 1e300, allow_subnormal=True) | st.floats(-1.0, 1.0),
)  # fmt: skip
COMPRESSIONS = [TopK(0.2), TopK(1.0), EightBits()]


@pytest.mark.parametrize("compression", COMPRESSIONS, ids=["top-5", "top-all", "int8"])
@given(gradient=VECTORS, residual=VECTORS)
def test_what_is_sent_and_what_is_left_are_the_gradient_exactly(compression, gradient, residual):
    sent, left = fed_back(compression, gradient, residual, LocalReducer())
    wanted = gradient + residual
    np.testing.assert_array_equal(sent.own + left, wanted)
    np.testing.assert_array_equal(sent.total, sent.own)
    assert np.linalg.norm(left / max(1.0, np.abs(wanted).max())) <= np.linalg.norm(
        wanted / max(1.0, np.abs(wanted).max())
    )


@pytest.mark.parametrize("compression", COMPRESSIONS, ids=["top-5", "top-all", "int8"])
@pytest.mark.parametrize("workers", [2, 3])
def test_a_compressed_sum_is_the_sum_of_what_each_sent_on_every_worker(compression, workers):
    vectors = (
        np.random.default_rng(2).normal(size=(workers, 50)) * 10.0 ** np.arange(workers)[:, None]
    )
    slots, barrier = [None] * workers, threading.Barrier(workers)

    def work(rank):
        return compression.add_up(vectors[rank], BarrierReducer(rank, slots, barrier))

    with ThreadPoolExecutor(workers) as pool:
        found = list(pool.map(work, range(workers)))
    for each in found:
        np.testing.assert_array_equal(each.total, found[0].total)
    np.testing.assert_allclose(found[0].total, sum(each.own for each in found), rtol=1e-12)
    expected = 2 * 50 + 8 * workers if compression is COMPRESSIONS[2] else 8 * workers * 50
    assert found[0].n_bytes == (8 * workers * 10 if compression is COMPRESSIONS[0] else expected)


@pytest.mark.parametrize("compression", COMPRESSIONS, ids=["top-5", "top-all", "int8"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_sent_and_never_kept_back(compression, value):
    gradient = np.linspace(-1.0, 1.0, 20)
    gradient[7] = value
    assert not np.isfinite(compression.add_up(gradient, LocalReducer()).total).all()


def test_eight_bits_are_right_to_half_a_level():
    gradient = np.random.default_rng(3).normal(size=1000)
    sent = EightBits().add_up(gradient, LocalReducer())
    assert np.abs(sent.own - gradient).max() <= np.abs(gradient).max() / 127
    assert not EightBits().add_up(np.zeros(5), LocalReducer()).total.any()


# ------------------------------------------------------------------------------------- the period


@given(
    sum_seconds=st.floats(1e-6, 1.0), step_seconds=st.floats(1e-6, 1.0),
    overhead=st.floats(0.01, 0.9),
)  # fmt: skip
def test_the_period_is_the_shortest_that_keeps_the_overhead(sum_seconds, step_seconds, overhead):
    period = period_for(sum_seconds, step_seconds, overhead)
    assert 1 <= period <= 256

    def share(steps):
        return sum_seconds / (sum_seconds + steps * step_seconds)

    if period < 256:
        assert share(period) <= overhead * (1 + 1e-9)
    if period > 1:
        assert share(period - 1) > overhead * (1 - 1e-9)


class SlowReducer(BarrierReducer):
    """Two milliseconds a sum, as between machines far apart."""

    def all_reduce(self, values):
        time.sleep(0.002)
        return super().all_reduce(values)


def test_a_slow_network_is_measured_said_and_kept_by_the_checkpoint(many, tmp_path, monkeypatch):
    monkeypatch.setattr(test_training, "BarrierReducer", SlowReducer)
    job = _apart(tmp_path, averaging={"period": "auto", "overhead": 0.05}, epochs=2)
    _train(job, many, 2)
    found = latest_checkpoint(job.run_dir / "checkpoints")[0]
    assert found is not None
    period = int(found.arrays["averaging.period"])
    assert period > 1
    notes = [each for each in read_records(job.run_dir / "metrics.jsonl") if "sum_seconds" in each]
    assert len(notes) == 1
    assert notes[0]["period"] == period
    assert notes[0]["sum_seconds"] >= 0.002


# ----------------------------------------------------------------------------------------- digits


@pytest.mark.parametrize(("way", "lowest"), [("period", 0.9), ("top_k", 0.9), ("int8", 0.9)])
def test_on_digits_workers_apart_learn_as_well(tmp_path, way, lowest):
    dataset = DatasetLoader.load(
        DatasetConfig(
            name="digits", params={"dataset": "digits"}, split={"train": 0.8, "val": 0.2},
            preprocessing=[{"name": "pca", "components": 16}, {"name": "scale", "factor": 0.05}],
        )
    )  # fmt: skip
    x, y = dataset.materialize("train")
    x_val, y_val = dataset.materialize("val")
    model = build_model(
        ModelConfig(encoding="dense_angle", n_qubits=8, layers=3, observables="z+zz",
                    initial_spread=0.5, reuploading=True, input_scaling=True),
        n_features=16, n_classes=10,
    )  # fmt: skip
    job = _apart(tmp_path, epochs=8, batch_size=64, learning_rate=0.05, **WAYS[way])
    job = replace(job, model=model)
    _train(job, TrainingRows(x, y, x_val, y_val), 2)
    last = epoch_records(read_records(job.run_dir / "metrics.jsonl"))[-1]
    assert last["val_accuracy"] >= lowest, last


# ------------------------------------------------------------------------ what does not go together


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"num_workers": 0}, "num_workers"),
        ({"num_workers": 1}, "num_workers"),
        ({"num_workers": (2, 4)}, "num_workers"),
        ({"privacy": {"epsilon": 3.0}}, "privacy"),
        ({"optimizer": "spsa"}, "optimizer"),
        ({"fallback": [{"backend": "statevector"}]}, "fallback"),
        ({"backend": "ibm"}, "backend"),
        ({"batch_size": 16}, "batch_size"),
    ],
)
@pytest.mark.parametrize("way", list(WAYS))
def test_what_needs_all_workers_in_step_is_refused_with_a_sentence(way, options, field):
    with pytest.raises(ConfigError) as caught:
        TrainerConfig(**{"num_workers": 2, **WAYS[way], **options})
    assert caught.value.field == field
    assert caught.value.fix


def test_averaging_and_compression_are_not_both_used():
    with pytest.raises(ConfigError, match="most steps send none"):
        TrainerConfig(num_workers=2, averaging={"period": 4}, compression={"method": "int8"})


@pytest.mark.parametrize(
    "averaging", [{"period": 0}, {"period": 1000}, {"period": 4, "delay": 4}, {"overhead": 1.0}]
)
def test_an_exchange_that_cannot_be_is_refused(averaging):
    with pytest.raises(ConfigError):
        TrainerConfig(num_workers=2, averaging=averaging)


def test_streamed_rows_are_refused(tmp_path):
    dataset = DatasetLoader.from_arrays(
        np.random.default_rng(0).normal(size=(64, 4)), np.arange(64) % 2, split={"train": 1.0},
        stream=True,
    )  # fmt: skip
    trainer = TrainerConfig(num_workers=2, averaging={"period": 4})
    with pytest.raises(ConfigError, match="streamed"):
        checked(ModelConfig(n_qubits=4), trainer, dataset)


def test_the_number_of_workers_is_a_part_of_the_recipe_only_where_it_decides():
    plain = TrainerConfig(num_workers=2).recipe(regression=False)
    apart = TrainerConfig(num_workers=2, averaging={"period": 4}).recipe(regression=False)
    assert "num_workers" not in plain
    assert "averaging" not in plain
    assert apart["num_workers"] == 2
