"""An error about one row of a batch names the row's number in the source."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from qstore_ray.backends import open_backend
from qstore_ray.data.augment.config import ExpansionConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.prepare.prepare import Preparation
from qstore_ray.data.prepare.steps import STEPS
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import DataError, QStoreError, numbered
from qstore_ray.estimator import QuantumClassifier
from qstore_ray.learn.config import ModelConfig
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.checks import checked
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.model.trained import TrainedModel
from qstore_ray.train.ray.predict import _Predictor
from qstore_ray.train.trainer import QuantumTrainer

BAD = 41


def _dataset(value: float, *, width: int = 4, bad: int = BAD, **fields) -> Dataset:
    x = np.random.default_rng(0).integers(0, 2, (120, width)).astype(float)
    x[:, 0] = 1.0
    x[bad] = value
    return DatasetLoader.from_arrays(x, np.arange(120) % 2, **fields)


def _train(dataset: Dataset, tmp_path, encoding: str = "amplitude", **settings) -> TrainedModel:
    model = ModelConfig(encoding=encoding, ansatz="real_amplitudes", layers=1, n_qubits=2)
    config = TrainerConfig(epochs=1, batch_size=10, **settings)
    quiet = TrackConfig(mlflow=False, figures=False)
    return QuantumTrainer(model, config, storage=tmp_path, track=quiet).fit(dataset).model


EVERYWHERE = {"train": 1.0}
VALIDATED = {"train": 0.5, "val": 0.5}


@pytest.mark.parametrize("optimizer", ["adam", "spsa", "qng"])
def test_training_names_the_row_of_the_source(tmp_path, optimizer: str):
    with pytest.raises(DataError, match=r"row 41 is all zeros"):
        _train(_dataset(0.0, split=EVERYWHERE), tmp_path, optimizer=optimizer)


def test_validation_names_the_row_of_the_source(tmp_path):
    seed = next(
        seed
        for seed in range(20)
        if BAD in _dataset(1.0, split=VALIDATED, seed=seed).rows("val").tolist()
    )
    with pytest.raises(DataError, match=r"row 41 is all zeros"):
        _train(_dataset(0.0, split=VALIDATED, seed=seed), tmp_path)


def test_bits_that_are_none_name_the_row(tmp_path):
    with pytest.raises(DataError, match=r"features of 0 and 1, row 41 holds others"):
        _train(_dataset(0.5, width=2, split=EVERYWHERE), tmp_path, encoding="basis")


def test_a_model_evaluated_and_asked_names_the_row(tmp_path):
    model = _train(_dataset(1.0, split=EVERYWHERE), tmp_path)
    tested = _dataset(0.0, split=VALIDATED, seed=1)
    split = next(name for name in tested.sizes if BAD in tested.rows(name).tolist())
    for score in (model.evaluate, model.confusion):
        with pytest.raises(DataError, match=r"row 41 is all zeros"):
            score(tested, split)
    rows = np.ones((9, 4))
    rows[7] = 0.0  # the place in what was given
    with pytest.raises(DataError, match=r"row 7 is all zeros"):
        model.predict(rows)
    backend = open_backend("statevector", {})
    actor = _Predictor(type(model), model.to_bytes(), backend, prepared=True, names=())
    with pytest.raises(DataError, match=r"row 107 is all zeros"):
        actor({"x": rows, "row": np.arange(100, 109)})


def test_estimators_name_the_row_of_what_they_were_given():
    x = np.random.default_rng(0).uniform(0.1, 1.0, (60, 4))
    x[BAD] = 0.0
    for stops_early in (False, True):
        model = QuantumClassifier(
            encoding="amplitude", n_qubits=2, scale_features=False, epochs=1, batch_size=10,
            early_stopping=stops_early, random_state=0,
        )  # fmt: skip
        with pytest.raises(DataError, match=r"row 41 "):
            model.fit(x, np.arange(60) % 2)


@pytest.mark.parametrize(
    ("step", "value"),
    [
        ({"name": "amplitudes", "width": 4}, 0.0),
        ({"name": "log1p"}, -3.0),
        ({"name": "one_hot", "columns": [0]}, 7.0),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) else "",
)
@pytest.mark.parametrize("copies", [0, 1])
def test_a_step_of_the_preparation_names_the_row(step: dict, value: float, copies: int):
    fields = {} if not copies else {"augmentation": _copies(copies)}
    homes = set()
    for seed in range(6):
        home = "val" if BAD in _dataset(1.0, split=VALIDATED, seed=seed).rows("val") else "train"
        if step["name"] == "one_hot" and home == "train":
            continue  # train knows the category then
        homes.add(home)
        with pytest.raises(DataError, match=r"row 41 "):
            _read(value, preprocessing=[step], split=VALIDATED, seed=seed, **fields)
    assert "val" in homes


def _read(value: float, **fields) -> None:
    dataset = _dataset(value, **fields)
    for split in dataset.sizes:
        dataset.materialize(split)


def _copies(copies: int) -> ExpansionConfig:
    return ExpansionConfig(copies=copies, steps=[{"name": "angle_jitter", "std": 0.01}])


def test_steps_that_are_fitted_name_the_row_on_joined_rows_too():
    split = {"train": 0.5, "val": 0.25, "test": 0.25, "merge_val": True}
    with pytest.raises(DataError, match=r"row 41 "):
        _read(-3.0, preprocessing=[{"name": "log1p"}], split=split)


def test_rows_carry_their_numbers_to_every_worker():
    dataset = _dataset(1.0, split=VALIDATED)
    found = checked(
        ModelConfig(encoding="amplitude", ansatz="real_amplitudes", layers=1, n_qubits=2),
        TrainerConfig(epochs=1),
        dataset,
    )
    np.testing.assert_array_equal(found.rows.row, dataset.rows("train"))
    np.testing.assert_array_equal(found.rows.row_val, dataset.rows("val"))


def test_the_number_survives_pickling_and_other_errors_stay_as_they_are():
    with pytest.raises(QStoreError) as caught, numbered([5, 6, 7]):
        raise DataError("row {row} is bad", row=2)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.message, again.row) == ("row 7 is bad", 7)
    with pytest.raises(DataError, match=r"no \{row\} here"), numbered([5]):
        raise DataError("no {row} here")
    with pytest.raises(DataError, match="row 0 is bad"), numbered(None):
        raise DataError("row {row} is bad", row=0)


def test_rows_handed_to_a_preparation_are_known_by_their_place():
    fitted = Preparation.fit([STEPS["log1p"](name="log1p")], np.ones((4, 2)))
    rows = np.ones((5, 2))
    rows[3, 1] = -9.0
    with pytest.raises(DataError, match=r"column 1 of row 3 is not"):
        fitted.transform(rows)
