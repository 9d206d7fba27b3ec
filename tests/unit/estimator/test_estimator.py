"""Estimators for scikit-learn: its own checks, its tools around them, and the training inside."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris, load_wine, make_moons
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import (
    check_sample_weight_equivalence_on_dense_data,
    parametrize_with_checks,
)

from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import UsageError
from qstore_ray.estimator import QuantumClassifier, QuantumKernelClassifier, QuantumRegressor
from qstore_ray.learn.config import ModelConfig
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.callbacks import Callback
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.trainer import QuantumTrainer

X, Y = load_iris(return_X_y=True)
MOONS = make_moons(60, noise=0.1, random_state=0)
ALL = (QuantumClassifier(), QuantumRegressor(), QuantumKernelClassifier())
EACH = pytest.mark.parametrize("estimator", ALL, ids=lambda each: type(each).__name__)


@EACH
def test_columns_in_another_order_are_refused_as_by_scikit_learn(estimator):
    table = pd.DataFrame(X[::5], columns=["a", "b", "c", "d"])
    model = clone(estimator).fit(table, Y[::5])
    for wrong in (table[["d", "c", "b", "a"]], table.rename(columns={"a": "e"}), table.assign(e=0)):
        with pytest.raises(ValueError, match="feature names should match") as caught:
            model.predict(wrong)
        with pytest.raises(ValueError, match="feature names should match") as theirs:
            StandardScaler().fit(table).transform(wrong)
        assert str(caught.value) == str(theirs.value)


EQUIVALENCE = "check_sample_weight_equivalence_on_dense_data"
UNEQUAL = {
    # Where rows are repeated, PCA on its 30 features sees them repeated; it takes no weights.
    QuantumClassifier: {EQUIVALENCE: "the projection of features on the qubits takes no weights"},
    QuantumRegressor: {EQUIVALENCE: "the projection of features on the qubits takes no weights"},
    QuantumKernelClassifier: {EQUIVALENCE: "SVC itself does not pass: a weight is a larger C"},
}


@parametrize_with_checks(list(ALL), expected_failed_checks=lambda each: UNEQUAL[type(each)])
def test_scikit_learn_s_own_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    "estimator",
    [
        QuantumClassifier(encoding="amplitude"),
        QuantumClassifier(encoding="amplitude", class_weight="balanced"),
        QuantumRegressor(encoding="amplitude"),
    ],
    ids=str,
)
def test_a_weight_is_a_number_of_repetitions_where_a_batch_has_all_rows(estimator):
    """Its 30 features are amplitudes of 5 qubits, so that nothing is projected."""
    check_sample_weight_equivalence_on_dense_data(type(estimator).__name__, estimator)


@EACH
@pytest.mark.parametrize(
    ("weight", "said"),
    [
        (np.ones(3), "one weight for each of the 60"),
        (np.r_[-1.0, np.ones(59)], "that of row 0"),
        (np.r_[np.ones(59), np.nan], "that of row 59"),
        (np.zeros(60), "zero"),
        (["a"] * 60, "weights are numbers"),
    ],
    ids=["length", "negative", "nan", "zero", "text"],
)
def test_weights_that_are_none_are_refused(estimator, weight, said):
    with pytest.raises(UsageError, match=said) as caught:
        clone(estimator).fit(*MOONS, sample_weight=weight)
    assert caught.value.field == "sample_weight"
    assert caught.value.fix


def test_class_weights_are_those_of_the_rows():
    x, y = MOONS[0], np.where(MOONS[1] == 1, "b", "a")
    table = _quick(class_weight={"b": 3.0}).fit(x, y)
    rows = _quick().fit(x, y, sample_weight=np.where(y == "b", 3.0, 1.0))
    np.testing.assert_array_equal(table.theta_, rows.theta_)
    assert (table.theta_ != _quick().fit(x, y).theta_).any()
    equal = _quick().fit(x, y, sample_weight=np.full(60, 0.3))
    np.testing.assert_array_equal(equal.theta_, _quick().fit(x, y).theta_)
    with pytest.raises(UsageError, match="Known: a, b") as caught:
        _quick(class_weight={"c": 1.0}).fit(x, y)
    assert caught.value.field == "class_weight"
    with pytest.raises(UsageError, match="one class a row"):
        QuantumRegressor(class_weight="balanced").fit(x, x[:, 0])


def test_weights_follow_the_rows_that_are_held_out():
    weight = np.where(MOONS[1] == 1, 5.0, 1.0)
    model = _quick(early_stopping=True).fit(*MOONS, sample_weight=weight)
    assert len(model.validation_scores_) == 3
    model = QuantumRegressor(early_stopping=True, epochs=2).fit(*MOONS, sample_weight=weight)
    assert np.isfinite(model.validation_scores_).all()


@pytest.mark.parametrize("y", [np.full(20, 7.0), 1e6 * np.arange(20.0)])
def test_predictions_are_in_the_units_of_the_targets(y):
    x = np.arange(20.0)[:, None]
    scaled = QuantumRegressor(random_state=0, epochs=5).fit(x, y)
    assert scaled.target_scaling_.mean == (y.mean(),)
    assert np.abs(scaled.predict(x) - y.mean()).max() <= 5 * y.std()
    options = {"target_scaling": "none"}
    raw = QuantumRegressor(random_state=0, epochs=5, trainer_options=options).fit(x, y)
    assert raw.target_scaling_ is None
    assert np.abs(raw.predict(x)).max() < 10.0


def _quick(**parameters) -> QuantumClassifier:
    return QuantumClassifier(**{"epochs": 3, "random_state": 0, **parameters})


# ----------------------------------------------------------------------------- scikit-learn's tools


@EACH
def test_parameters_can_be_read_set_and_copied(estimator):
    changed = clone(estimator).set_params(encoding="iqp", n_qubits=3)
    assert (changed.encoding, changed.n_qubits) == ("iqp", 3)
    assert clone(changed).get_params() == changed.get_params()
    assert "encoding='iqp'" in repr(changed)
    page = changed._repr_html_()
    assert type(estimator).__name__ in page
    assert "n_qubits" in page


@pytest.mark.parametrize("model", [QuantumClassifier(random_state=0), QuantumKernelClassifier()])
def test_a_default_classifier_knows_iris(model):
    assert cross_val_score(model, X, Y, cv=3).mean() > 0.92


def test_a_default_regressor_finds_a_curve():
    x = np.linspace(-3.0, 3.0, 80)[:, None]
    y = 100.0 + 20.0 * np.sin(x[:, 0])
    model = QuantumRegressor(reuploading=True, input_scaling=True, n_layers=3, random_state=0)
    assert model.fit(x, y).score(x, y) > 0.95


def test_a_pipeline_in_a_grid_search():
    pipeline = make_pipeline(StandardScaler(), QuantumClassifier(random_state=0, epochs=10))
    grid = {
        "quantumclassifier__n_layers": np.arange(1, 3),  # numbers as numpy has them
        "quantumclassifier__encoding": ["angle", "dense_angle"],
    }
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(X, Y)
    assert search.best_score_ > 0.85
    assert search.best_estimator_[-1].n_layers in (1, 2)


@EACH
def test_columns_of_a_table_keep_their_names(estimator):
    table = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    model = clone(estimator).fit(table, Y)
    assert model.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    assert model.predict(table).shape == (len(X),)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(table[["d", "c", "b", "a"]])


def test_a_table_is_its_numbers():
    table = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    found = _quick().fit(table, Y).predict_proba(table)
    np.testing.assert_array_equal(found, _quick().fit(X, Y).predict_proba(X))


# ------------------------------------------------------------------------------------- the training


def test_the_parameters_are_those_that_the_trainer_finds(tmp_path):
    data = DatasetLoader.load(
        DatasetConfig(name="iris", params={"dataset": "iris"}, preprocessing=[{"name": "minmax"}])
    )
    config = TrainerConfig(epochs=4, batch_size=16, learning_rate=0.05, seed=3, optimizer="adamw")
    trainer = QuantumTrainer(
        ModelConfig(layers=1, input_scaling=True),
        config,
        storage=tmp_path,
        track=TrackConfig(mlflow=False, figures=False),
    )
    expected = trainer.fit(data).model
    x, y = data.materialize("train")
    model = QuantumClassifier(
        n_layers=1, input_scaling=True, scale_features=False, epochs=4, batch_size=16,
        learning_rate=0.05, optimizer="adamw", random_state=3,
    ).fit(x, y)  # fmt: skip
    assert model.model_ == expected.model
    np.testing.assert_array_equal(model.theta_, expected.theta)
    assert model.n_parameters_ == len(expected.theta)


def test_nothing_is_printed_or_written(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    _quick(early_stopping=True).fit(X, Y).score(X, Y)
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_verbose_writes_a_line_an_epoch(capsys):
    _quick(verbose=1).fit(X, Y)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("[QuantumClassifier] epoch 1/3: train_loss ")


def test_the_random_state_decides():
    same = [_quick(random_state=5).fit(X, Y).theta_ for _ in range(2)]
    np.testing.assert_array_equal(*same)
    assert (_quick(random_state=6).fit(X, Y).theta_ != same[0]).any()
    # A generator goes on from fit to fit, as scikit-learn defines it.
    model = _quick(random_state=np.random.RandomState(0))
    assert (model.fit(X, Y).theta_ != model.fit(X, Y).theta_).any()


def test_threads_and_engines_change_nothing():
    model = _quick().fit(X, Y)
    np.testing.assert_array_equal(_quick(n_threads=2).fit(X, Y).theta_, model.theta_)
    numpy = _quick(backend="statevector", backend_options={"engine": "numpy"}).fit(X, Y)
    np.testing.assert_allclose(numpy.theta_, model.theta_, atol=1e-9)
    given = _quick(backend=StatevectorBackend("numpy")).fit(X, Y)
    np.testing.assert_array_equal(given.theta_, numpy.theta_)


def test_a_warm_start_goes_on():
    """Plain gradient descent over all rows has no memory, so two fits are one longer one."""
    plain = {
        "optimizer": "sgd", "optimizer_options": {"momentum": 0.0}, "schedule": "constant",
        "batch_size": len(X),
    }  # fmt: skip
    whole = _quick(**plain, epochs=7).fit(X, Y)
    parts = _quick(**plain, epochs=3, warm_start=True).fit(X, Y)
    parts.set_params(epochs=4).fit(X, Y)
    np.testing.assert_allclose(parts.theta_, whole.theta_, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(parts.loss_curve_, whole.loss_curve_, rtol=1e-9)
    assert parts.n_iter_ == 7
    cold = _quick(**plain, epochs=3).fit(X, Y)
    assert cold.fit(X, Y).n_iter_ == 3


def test_a_warm_start_keeps_the_scaling_of_features():
    model = _quick(warm_start=True).fit(X, Y)
    before = model.preparation_
    model.fit(X * 2.0, Y)
    assert model.preparation_ is before


def test_early_stopping_ends_with_the_best_parameters():
    model = _quick(epochs=60, early_stopping=True, n_iter_no_change=2, tol=0.02).fit(X, Y)
    assert model.n_iter_ < 60
    assert len(model.validation_scores_) == model.n_iter_
    assert max(model.validation_scores_) <= 1.0
    assert _quick().fit(X, Y).validation_scores_ is None


def test_a_regressor_s_validation_score_is_r2():
    x = np.linspace(0.0, 1.0, 60)[:, None]
    model = QuantumRegressor(early_stopping=True, validation_fraction=0.3, random_state=0)
    model.fit(x, 5.0 + x[:, 0])
    assert 0.9 < max(model.validation_scores_) <= 1.0


def test_callbacks_of_ones_own_take_part():
    class EndsSoon(Callback):
        def on_epoch_end(self, run, record):
            assert run.run_dir is None
            run.end("enough")

    assert _quick(epochs=9, callbacks=[EndsSoon()]).fit(X, Y).n_iter_ == 1
    table = {"name": "early_stopping", "monitor": "train_loss", "patience": 1, "min_delta": 10.0}
    assert _quick(epochs=9, callbacks=[table]).fit(X, Y).n_iter_ == 2


def test_further_options_reach_the_training():
    rare = np.flatnonzero((Y < 2) & ((Y == 0) | (np.arange(len(Y)) % 10 == 0)))
    balanced = _quick(trainer_options={"batches": "balanced"}).fit(X[rare], Y[rare])
    assert (balanced.theta_ != _quick().fit(X[rare], Y[rare]).theta_).any()


def test_layers_before_the_circuit_take_a_wide_table():
    x, y = load_wine(return_X_y=True)
    model = _quick(model_options={"pre_layers": [6, 3], "post_layers": [4]}, epochs=15).fit(x, y)
    assert (model.n_qubits_, model.model_.n_features) == (3, 13)
    np.testing.assert_allclose(model.preparation_.apply(x).std(axis=0), 1.0)
    assert model.score(x, y) > 0.9


def test_a_loss_of_ones_own():
    x, y = MOONS
    model = _quick(model_options={"loss": "hinge"}, epochs=20).fit(x, y)
    assert model.model_.loss_name == "hinge"
    assert model.score(x, y) > 0.8
    with pytest.raises(AttributeError) as caught:
        model.predict_proba(x)
    assert isinstance(caught.value.__cause__, UsageError)
    assert "hinge has no class probabilities" in str(caught.value.__cause__)
    robust = QuantumRegressor(model_options={"loss": "huber"}, early_stopping=True, epochs=3)
    scores = robust.fit(X[:, :3], X[:, 3]).validation_scores_
    assert len(scores) == 3
    assert max(scores) < 0.0


# ----------------------------------------------------------------------------------- what comes out


def test_labels_come_back_as_they_were():
    names = np.array(["setosa", "versicolor", "virginica"])
    model = _quick(epochs=10).fit(X, names[Y])
    assert model.classes_.tolist() == names.tolist()
    assert set(model.predict(X)) <= set(names)
    assert model.score(X, names[Y]) > 0.85
    np.testing.assert_array_equal(model.predict(X), names[model.decision_function(X).argmax(1)])
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1.0)


def test_the_sign_of_the_score_decides_between_two_classes():
    x, y = MOONS
    model = _quick().fit(x, y)
    scores = model.decision_function(x)
    assert scores.shape == (60,)
    np.testing.assert_array_equal(model.predict(x), scores > 0)
    odds = np.log(model.predict_proba(x)[:, 1] / model.predict_proba(x)[:, 0])
    np.testing.assert_allclose(odds, scores, atol=1e-9)


def test_the_units_of_the_targets_do_not_matter():
    x, y = load_wine(return_X_y=True)
    x, y = x[:60, :3], x[:60, 5]
    plain = QuantumRegressor(epochs=5, random_state=0).fit(x, y).predict(x)
    scaled = QuantumRegressor(epochs=5, random_state=0).fit(x, 1000.0 * y - 7.0).predict(x)
    np.testing.assert_allclose(scaled, 1000.0 * plain - 7.0, rtol=1e-6)


def test_targets_that_are_all_equal_are_predicted_exactly():
    model = QuantumRegressor(epochs=1).fit(X, np.full(len(X), 0.1))
    np.testing.assert_array_equal(model.predict(X), 0.1)
