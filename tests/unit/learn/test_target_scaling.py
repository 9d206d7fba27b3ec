"""Targets of a regression: standardised in training, in the units of the data everywhere else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.preprocessing import StandardScaler

from qstore_ray.backends import open_backend
from qstore_ray.baseline import linear_baseline
from qstore_ray.cli.commands.evaluate import _as_text, _scores
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import CheckpointError, DataError, RunExistsError
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.targets import TargetScaling
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.model.archive import pack, unpack
from qstore_ray.train.model.trained import TrainedModel
from qstore_ray.train.ray.predict import _Predictor
from qstore_ray.train.result import TrainResult
from qstore_ray.train.trainer import QuantumTrainer

PLAIN = TrackConfig(mlflow=False, figures=False)
SPLIT = {"train": 0.6, "val": 0.2, "test": 0.2}
X = np.random.default_rng(7).uniform(0.0, 1.0, (200, 1))
LINE = 10_000.0 * X[:, 0] + 50_000.0


def _data(y: np.ndarray, x: np.ndarray = X) -> Dataset:
    steps = [{"name": "minmax"}]
    return DatasetLoader.from_arrays(x, y, task="regression", split=SPLIT, preprocessing=steps)


def _fit(
    data: Dataset, storage: Path, name: str = "run", *, existing="error", **trainer
) -> TrainResult:
    config = {"epochs": 40, "batch_size": 32, "learning_rate": 0.05, **trainer}
    model = ModelConfig(n_qubits=2, reuploading=True, input_scaling=True)
    fit = QuantumTrainer(model, TrainerConfig(**config), name=name, storage=storage, track=PLAIN)
    return fit.fit(data, existing=existing, baseline=linear_baseline(data))


# ------------------------------------------------------------------------------------ the scaling


@given(
    y=arrays(
        np.float64,
        st.tuples(st.integers(1, 20), st.integers(1, 3)),
        elements=st.floats(-1e6, 1e6, allow_subnormal=False),
    )
)
def test_it_is_scikit_learns_and_its_undoing_gives_the_targets_back(y):
    scaling = TargetScaling.of(y)
    found = scaling.apply(y)
    varies = y.min(axis=0) < y.max(axis=0)
    wide = varies & (y.std(axis=0) > 1e-6 * np.abs(y).max(axis=0, initial=1.0))
    expected = StandardScaler().fit_transform(y)
    np.testing.assert_allclose(found[:, wide], expected[:, wide], atol=1e-6)
    assert not found[:, ~varies].any()
    np.testing.assert_allclose(scaling.undo(found), y, rtol=1e-9, atol=1e-6)
    assert TargetScaling.from_spec(json.loads(json.dumps(scaling.spec()))) == scaling


def test_of_one_target_the_shape_is_kept():
    scaling = TargetScaling.of(LINE)
    assert scaling.apply(LINE).shape == LINE.shape
    np.testing.assert_allclose(scaling.apply(LINE).std(), 1.0)
    np.testing.assert_allclose(scaling.undo(scaling.apply(LINE)), LINE)


def test_a_weight_is_a_number_of_repetitions():
    y, weight = np.array([1.0, 4.0, -2.0, 9.0]), np.array([2, 0, 1, 3])
    found, repeated = (
        TargetScaling.of(y, weight.astype(float)),
        TargetScaling.of(np.repeat(y, weight)),
    )
    assert found.mean == pytest.approx(repeated.mean)
    assert found.std == pytest.approx(repeated.std)


def test_targets_that_overflow_are_refused():
    with pytest.raises(DataError, match="too large") as caught:
        TargetScaling.of(np.array([1e308, -1e308, 1e308]))
    assert caught.value.fix


# ----------------------------------------------------------------------------------- the training


@pytest.fixture(scope="module")
def line(tmp_path_factory) -> TrainResult:
    return _fit(_data(LINE), tmp_path_factory.mktemp("runs"))


def test_a_line_far_from_zero_is_learnt(line):
    assert line.metrics["test_r2"] > 0.95
    assert line.metrics["test_rmse"] < 800.0
    assert line.metrics["test_loss"] < 0.05, "the loss is of scaled targets"
    assert line.metrics["mean_r2"] <= 0.0
    predicted = line.model.predict(X[:5])
    np.testing.assert_allclose(predicted, LINE[:5], atol=2500.0)
    outputs = line.model.outputs(X[:5])
    np.testing.assert_array_equal(outputs[:, 0], predicted)
    assert line.verdict.startswith("worse than ridge regression"), "a line is ridge's own"


def test_every_way_to_predict_is_in_the_units_of_the_data(line, tmp_path):
    expected = line.model.predict(X)
    for path in (line.run_dir, line.checkpoint, line.model.save(tmp_path / "line.qsm")):
        np.testing.assert_array_equal(TrainedModel.load(path).predict(X), expected)
    columns = line.model.predictions(X)
    np.testing.assert_array_equal(columns["prediction"], expected)
    backend = open_backend("statevector", {})
    actor = _Predictor(TrainedModel, line.model.to_bytes(), backend, prepared=False, names=())
    np.testing.assert_array_equal(actor({"x": X})["prediction"], expected)
    scores = TrainedModel.load(tmp_path / "line.qsm").evaluate(_data(LINE))
    assert scores["mse"] == line.metrics["test_mse"]


def test_without_scaling_it_is_as_it_was(line, tmp_path):
    raw = _fit(_data(LINE), tmp_path, target_scaling="none")
    assert raw.model.targets is None
    assert "targets" not in raw.model.about
    assert raw.metrics["test_r2"] < 0.0
    assert raw.metrics["test_mse"] == pytest.approx(raw.metrics["test_loss"])


def test_prices_are_better_than_their_mean(tmp_path):
    """Like prices of diamonds: thousands, skewed, growing with size."""
    rng = np.random.default_rng(1)
    carat, cut = rng.gamma(2.0, 0.4, 300) + 0.2, rng.normal(size=300)
    price = 4000.0 * carat**1.6 * np.exp(0.1 * cut)
    result = _fit(_data(price, np.c_[carat, cut]), tmp_path)
    assert result.metrics["test_r2"] > 0.5


def test_several_targets_have_each_their_own_scale(tmp_path):
    y = np.c_[LINE, 1e-3 * np.sin(3.0 * X[:, 0])]
    result = _fit(_data(y), tmp_path, epochs=60)
    assert result.metrics["test_r2"] > 0.9
    predicted = result.model.predict(X)
    assert predicted.shape == (200, 2)
    np.testing.assert_allclose(predicted.mean(axis=0), y.mean(axis=0), rtol=0.1)


def test_a_constant_target_is_predicted(tmp_path):
    result = _fit(_data(np.full(200, 7.5)), tmp_path, epochs=3)
    np.testing.assert_allclose(result.model.predict(X), 7.5)
    assert result.metrics["test_mae"] == 0.0
    assert result.missing["test_r2"] == "all rows have the same target"
    assert "test_r2" not in result.metrics
    assert "R² is undefined" in result.verdict


# ------------------------------------------------------------- what an earlier version has written


def _as_written_before(run: Path) -> None:
    """The record of a run that knew no scaling, and was interrupted."""
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    del record["recipe"]["trainer"]["target_scaling"]
    (run / "run.json").write_text(json.dumps({**record, "status": "interrupted"}))


def test_an_earlier_run_goes_on_without_scaling_or_not_at_all(tmp_path):
    data = _data(LINE)
    first = _fit(data, tmp_path, epochs=4, target_scaling="none")
    theta = first.model.theta.tobytes()
    _as_written_before(first.run_dir)
    with pytest.raises(RunExistsError) as caught:
        _fit(data, tmp_path, epochs=4, existing="resume")
    assert caught.value.field == "trainer.target_scaling"
    assert 'set trainer.target_scaling = "none"' in caught.value.fix
    again = _fit(data, tmp_path, epochs=4, existing="resume", target_scaling="none")
    assert again.model.theta.tobytes() == theta


def test_an_earlier_model_file_predicts_what_it_did(tmp_path):
    raw = _fit(_data(LINE), tmp_path, epochs=2, target_scaling="none").model
    manifest = json.loads(unpack(raw.to_bytes(), MEMBERS)["manifest.json"])
    assert "targets" not in manifest["model"]
    again = TrainedModel.from_bytes(raw.to_bytes())
    assert again.to_bytes() == raw.to_bytes()
    np.testing.assert_array_equal(again.predict(X), raw.predict(X))


MEMBERS = ("arrays.npz", "circuit.qasm", "manifest.json")


@pytest.mark.parametrize(
    "targets",
    [
        {"mean": [0.0, 1.0], "std": [1.0, 1.0]}, {"mean": [0.0], "std": [-1.0]}, {"mean": [0.0]},
        {"mean": [0.0], "std": [1e999]}, {"mean": ["a"], "std": [1.0]},
    ],
    ids=str,
)  # fmt: skip
def test_a_forged_scaling_is_refused(line, targets):
    members = unpack(line.model.to_bytes(), MEMBERS)
    manifest = json.loads(members["manifest.json"])
    manifest["model"]["targets"] = targets
    members["manifest.json"] = json.dumps(manifest).replace("Infinity", "1e999").encode()
    with pytest.raises(CheckpointError) as caught:
        TrainedModel.from_bytes(pack(members))
    assert "targets" in caught.value.field


def test_the_command_line_says_in_which_units_the_loss_is(line, tmp_path):
    data = _data(LINE)
    found = _scores(line.model, data, "test")
    assert found["target_scaling"] == "standard"
    assert "(of scaled targets)" in _as_text(("split", "test"), found)
    raw = _fit(data, tmp_path, epochs=1, target_scaling="none").model
    assert "scaled" not in _as_text(("split", "test"), _scores(raw, data, "test"))


@pytest.mark.parametrize("shape", [(0,), (0, 2)])
def test_no_rows_of_val_stay_no_rows(shape):
    scaling = TargetScaling.of(
        np.arange(10.0).reshape(-1, *shape[1:]) if shape[1:] else np.arange(5.0)
    )
    assert scaling.apply(np.zeros(shape)).shape == shape
    assert scaling.undo(np.zeros(shape)).shape == shape
