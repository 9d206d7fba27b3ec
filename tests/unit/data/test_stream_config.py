"""Whether rows are streamed, and preparation that is fitted block by block."""

from __future__ import annotations

import numpy as np
import pytest

from qstore_ray import DatasetLoader
from qstore_ray.data.read import size
from qstore_ray.environment import free_memory
from qstore_ray.errors import ConfigError, DataError, ResourceError
from qstore_ray.job import JobConfig, run_job
from qstore_ray.learn.config import ModelConfig
from qstore_ray.train.checks import checked
from qstore_ray.train.config import TrainerConfig
from qstore_ray.tune.config import TuneConfig
from qstore_ray.tune.driver.checks import checked_search

N, F = 203, 6


def _rows():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, F)) * [1, 2, 3, 4, 5, 0] + [1e6, 0, 0, 1, 2, 7]
    x[:, 4] = rng.integers(0, 4, N)
    return x, (x[:, 1] > 0) * 1


def _gaps(x):
    x = x.copy()
    x[np.random.default_rng(1).random(x.shape) < 0.1] = np.nan
    return x


CHAINS = [
    [{"name": "standard"}],
    [{"name": "minmax"}],
    [{"name": "binarize", "threshold": "mean"}],
    [{"name": "binarize", "threshold": 0.5}],
    [{"name": "standard"}, {"name": "pca", "components": 3, "whiten": True}, {"name": "minmax"}],
    [{"name": "one_hot", "columns": [4]}, {"name": "standard"}],
    [{"name": "random_projection", "components": 2}, {"name": "standard"}],
    [{"name": "scale", "factor": 0.5}, {"name": "normalize"}],
    [{"name": "standard"}, {"name": "amplitudes", "width": 8, "constant": 1.0}],
]
WITH_GAPS = [
    [{"name": "impute"}, {"name": "standard"}],
    [{"name": "impute", "strategy": "most_frequent"}],
    [{"name": "impute", "strategy": "constant", "value": 3.0}],
    [{"name": "impute", "most_frequent": [4]}, {"name": "one_hot", "columns": [4]}],
]


@pytest.mark.parametrize("chain", [*CHAINS, *WITH_GAPS], ids=str)
@pytest.mark.parametrize("rows_per_task", [7, 64, N])
def test_preparation_fitted_in_blocks_is_that_of_all_rows(chain, rows_per_task):
    x, y = _rows()
    x = _gaps(x) if chain in WITH_GAPS else x

    def loaded(stream):
        return DatasetLoader.from_arrays(
            x, y, preprocessing=chain, rows_per_task=rows_per_task, stream=stream
        )

    held, streamed = loaded(False), loaded(True)
    assert streamed.streamed
    assert not held.streamed
    assert "part by part" in streamed.describe()
    assert "part by part" not in held.describe()
    assert streamed.fingerprint == held.fingerprint
    assert streamed.schema == held.schema
    for a, b in zip(held.preparation.states, streamed.preparation.states, strict=True):
        for name in a:
            np.testing.assert_allclose(b[name], a[name], rtol=1e-9, atol=1e-9)


def test_small_variances_beside_large_ones_are_found_in_blocks():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(500, 3)) * [1e6, 1.0, 1e-3]
    chain = [{"name": "pca", "components": 3, "whiten": True}]
    y = np.arange(500) % 2
    found = DatasetLoader.from_arrays(x, y, preprocessing=chain, rows_per_task=50, stream=True)
    train = found.materialize("train").x
    np.testing.assert_allclose(train.std(axis=0), 1.0, rtol=1e-6)


@pytest.mark.parametrize(
    "step",
    [
        {"name": "robust"},
        {"name": "binarize"},
        {"name": "impute", "strategy": "median"},
    ],
    ids=str,
)
def test_a_step_that_needs_all_rows_is_refused(step):
    x, y = _rows()
    with pytest.raises(ConfigError, match="all training rows at once") as caught:
        DatasetLoader.from_arrays(x, y, preprocessing=[step], stream=True)
    assert caught.value.field == f"preprocessing.{step['name']}"
    assert "dataset.stream = false" in caught.value.fix


def test_a_column_with_too_many_values_is_refused(monkeypatch):
    monkeypatch.setattr("qstore_ray.data.prepare.summaries.MOST_VALUES", 30)
    x, y = _rows()
    step = {"name": "impute", "strategy": "most_frequent"}
    with pytest.raises(DataError, match="distinct values"):
        DatasetLoader.from_arrays(x, y, preprocessing=[step], stream=True)


def test_rows_are_streamed_by_their_size(monkeypatch, caplog):
    monkeypatch.setattr(size, "free_memory", lambda: 1000)
    assert not size.streams(None, 10, 3, held=False)  # 480 bytes
    assert size.streams(None, 11, 3, held=False)
    assert "11 rows of 3 features" in caplog.text
    assert "dataset.stream = false" in caplog.text
    assert not size.streams(False, 11, 3, held=False)
    assert not size.streams(None, 11, 3, held=True)
    assert size.streams(True, 1, 1, held=True)
    monkeypatch.setattr(size, "free_memory", lambda: None)
    assert not size.streams(None, 10**12, 3, held=False)


def test_streamed_rows_that_do_not_fit_are_not_read_at_once(monkeypatch):
    x, y = _rows()
    dataset = DatasetLoader.from_arrays(x, y, stream=True)
    monkeypatch.setattr(size, "free_memory", lambda: 1000)
    with pytest.raises(ResourceError, match="all rows of train in memory"):
        dataset.materialize("train")


def test_a_saved_dataset_streams(tmp_path):
    x, y = _rows()
    dataset = DatasetLoader.from_arrays(x, y, rows_per_task=20, stream=True)
    dataset.save(tmp_path / "saved")
    loaded = DatasetLoader.load(tmp_path / "saved")
    assert loaded.streamed
    for split in dataset.plans:
        np.testing.assert_array_equal(loaded.labels(split), dataset.labels(split))


def test_val_joined_to_a_streamed_train_is_streamed():
    x, y = _rows()
    chain = [{"name": "standard"}]
    dataset = DatasetLoader.from_arrays(x, y, rows_per_task=20, preprocessing=chain, stream=True)
    joined = dataset.with_val_in_train()
    assert joined.streamed
    np.testing.assert_array_equal(joined.labels("train"), joined.materialize("train").y)


def test_free_memory_is_that_of_the_container(tmp_path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 10 kB\nMemAvailable:  8 kB\n")
    assert free_memory(tmp_path, meminfo) == 8192
    (tmp_path / "memory.max").write_text("9000")
    (tmp_path / "memory.current").write_text("8000")
    assert free_memory(tmp_path, meminfo) == 1000
    assert free_memory(tmp_path / "none", tmp_path / "none") is None


def test_a_baseline_that_needs_all_rows_is_refused_before_the_run(monkeypatch, tmp_path):
    job = JobConfig(
        name="run",
        storage=str(tmp_path / "runs"),
        dataset={"name": "iris", "params": {"dataset": "iris"}, "stream": True},
        model={"n_qubits": 4},
    )
    monkeypatch.setattr(size, "free_memory", lambda: 1000)
    with pytest.raises(ConfigError, match="linear baseline") as caught:
        run_job(job)
    assert caught.value.field == "baseline"
    assert not (tmp_path / "runs" / "run").exists()


def test_a_search_and_an_estimate_refuse_streamed_rows():
    x, y = _rows()
    dataset = DatasetLoader.from_arrays(x, y, stream=True)
    found = checked(ModelConfig(n_qubits=6), TrainerConfig(), dataset)
    with pytest.raises(ConfigError, match="streamed") as caught:
        _ = found.held
    assert caught.value.field == "dataset.stream"
    job = JobConfig(name="run", dataset=dataset.config, model={"n_qubits": 6})
    space = {"trainer.learning_rate": {"type": "float", "low": 0.01, "high": 0.1}}
    with pytest.raises(ConfigError, match="streamed") as caught:
        checked_search(job, TuneConfig(trials=2, space=space), dataset)
    assert caught.value.field == "dataset.stream"
    held = dataset.in_memory()
    assert not held.streamed
