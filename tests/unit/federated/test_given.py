"""What a federation cannot be trained on is refused before anything is written."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import ConfigError, DataError, QStoreError, RunError, UsageError
from qstore_ray.federated.config import FederationConfig
from qstore_ray.federated.rows import ClientRows
from qstore_ray.federated.trainer import FederatedTrainer
from qstore_ray.learn.config import ModelConfig
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.config import TrainerConfig

CLASSES = ("no", "yes")


def _rows(seed: int = 0, n: int = 12, features: int = 2) -> ClientRows:
    x = np.random.default_rng(seed).normal(size=(n, features))
    return ClientRows(x, (x[:, 0] > 0).astype(np.int64), CLASSES)


def _fit(storage, clients, *, test=None, trainer=None, join=None, existing="error", **federation):
    local = {"batch_size": 8, "schedule": "constant", **(trainer or {})}
    found = FederatedTrainer(
        ModelConfig(n_qubits=2, layers=1), TrainerConfig(**local),
        FederationConfig(**{"rounds": 2, **federation}), storage=storage,
        track=TrackConfig(mlflow=False, figures=False),
    )  # fmt: skip
    return found.fit(clients, test=test, join=join, existing=existing)


def _clients(count: int = 3) -> dict[str, ClientRows]:
    return {f"c{i}": _rows(i) for i in range(count)}


def _holed(value: float) -> ClientRows:
    rows = _rows()
    x = rows.x.copy()
    x[3, 1] = value
    return ClientRows(x, rows.y, CLASSES)


GOOD = _rows()
WRONG = {
    "NaN": (_holed(np.nan), "x", "row 3 has NaN"),
    "infinity": (_holed(-np.inf), "x", "row 3 has NaN"),
    "one column": (ClientRows(GOOD.x[:, 0], GOOD.y, CLASSES), "", "x \\(N, F\\)"),
    "lengths": (ClientRows(GOOD.x, GOOD.y[:5], CLASSES), "", "as many rows"),
    "texts": (ClientRows(GOOD.x.astype(str), GOOD.y, CLASSES), "x", "are numbers"),
    "objects": (ClientRows(GOOD.x.astype(object), GOOD.y, CLASSES), "x", "are numbers"),
    "labels": (ClientRows(GOOD.x, np.array(CLASSES)[GOOD.y], CLASSES), "y", "from 0 to 1"),
    "real classes": (ClientRows(GOOD.x, GOOD.y + 0.5, CLASSES), "y", "from 0 to 1"),
    "negative class": (ClientRows(GOOD.x, GOOD.y - 1, CLASSES), "y", "from 0 to 1"),
    "class without a label": (ClientRows(GOOD.x, GOOD.y + 1, CLASSES), "y", "from 0 to 1"),
    "target NaN": (ClientRows(GOOD.x, GOOD.x[:, 0] * np.nan), "y", "row 0 has NaN"),
    "no rows": (ClientRows(GOOD.x[:0], GOOD.y[:0], CLASSES), "", "no rows"),
    "width": (_rows(features=3), "", "features"),
    "classes": (ClientRows(GOOD.x, GOOD.y, ("yes", "no")), "", "classes"),
    "targets": (ClientRows(GOOD.x, GOOD.x[:, 0]), "", "disagree"),
}


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("place", ["client", "test"])
def test_rows_that_are_none_are_refused_before_anything_is_written(tmp_path, kind, place):
    wrong, field, said = WRONG[kind]
    storage = tmp_path / "runs"
    clients = {**_clients(), "e": wrong} if place == "client" else _clients()
    with pytest.raises(DataError, match=said) as caught:
        _fit(storage, clients, test=wrong if place == "test" else None)
    where = "clients.e" if place == "client" else "test"
    assert caught.value.field == f"{where}.{field}".rstrip(".")
    assert not storage.exists()


@given(
    x=st.sampled_from([np.float32, np.int16, bool, list, np.float64]),
    y=st.sampled_from([np.int8, np.uint64, bool, list]),
)
def test_rows_in_any_kind_of_numbers_are_those_rows(x, y):
    whole = np.array([[0, 1], [1, 1], [1, 0]])
    labels = np.array([0, 1, 1])
    given_x = whole.tolist() if x is list else whole.astype(x)
    given_y = labels.tolist() if y is list else labels.astype(y)
    found = ClientRows(given_x, given_y, CLASSES).checked("clients.a")
    assert found.x.dtype == np.float64
    assert (found.x == whole).all()
    assert (found.y == labels).all()


def test_sound_rows_keep_their_bits_and_their_digest():
    assert _rows().checked("clients.a").facts() == _rows().facts()


def test_a_dataset_without_the_split_test_is_refused_before_anything_is_written(tmp_path):
    data = {"name": "iris", "params": {"dataset": "iris"}, "split": {"train": 1.0}}
    with pytest.raises(QStoreError, match="unknown split"):
        _fit(tmp_path / "runs", _clients(), test=DatasetLoader.load(DatasetConfig(**data)))
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", ["", "  ", "a\0", "a\nb", "x" * 201, "\ud800"])
def test_an_id_that_no_line_could_hold_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match="printable"):
        _fit(tmp_path / "runs", {**_clients(), name: _rows()})
    assert not (tmp_path / "runs").exists()


def test_ids_in_any_script_are_kept(tmp_path):
    names = {"Krankenhaus Süd", "北", "../x", "a b"}
    found = _fit(tmp_path, {name: _rows(i) for i, name in enumerate(sorted(names))})
    assert set(found.history[-1].used) == names


def test_two_ids_that_are_the_same_text_are_refused(tmp_path):
    with pytest.raises(UsageError, match="the same id"):
        _fit(tmp_path, {3: _rows(1), "3": _rows(2)})


def test_a_personal_part_that_the_model_lacks_or_that_is_all_of_it_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no parameters of this part") as caught:
        _fit(tmp_path / "runs", _clients(), personal=["bias", "pre"])
    assert caught.value.field == "federation.personal.1"
    with pytest.raises(ConfigError, match="nothing is learnt together"):
        _fit(tmp_path / "runs", _clients(), personal=["circuit", "weights", "bias"])
    assert not (tmp_path / "runs").exists()


def test_a_secure_sum_of_one_client_says_what_to_set(tmp_path):
    hidden = {"secure_sum": True, "strategy_options": {"weights": "uniform"}}
    with pytest.raises(ConfigError, match="is its update") as caught:
        _fit(tmp_path, _clients(1), **hidden)
    assert caught.value.field == "federation.secure_sum"
    with pytest.raises(ConfigError, match="is its update") as caught:
        _fit(tmp_path, _clients(3), fraction=0.4, **hidden)
    assert caught.value.field == "federation.fraction"


def test_the_largest_batch_is_all_rows_together(tmp_path):
    with pytest.raises(ConfigError, match="36 rows") as caught:
        _fit(tmp_path, _clients(), trainer={"batch_size": 37})
    assert caught.value.field == "trainer.batch_size"
    _fit(tmp_path, _clients(), trainer={"batch_size": 36})


def test_a_robust_rule_with_too_few_clients_names_the_option(tmp_path):
    with pytest.raises(ConfigError, match="needs 5 updates") as caught:
        _fit(tmp_path, _clients(4), strategy="krum")
    assert caught.value.field == "federation.strategy_options.faulty"
    assert caught.value.value == 1


def test_a_run_whose_every_round_changed_nothing_has_failed(tmp_path):
    """As where the learning rate is far too large: the result would be the untrained model."""
    trainer = {"optimizer": "sgd", "learning_rate": 1e300}
    with pytest.raises(RunError, match="all rounds had too few sound updates"):
        _fit(tmp_path, _clients(), trainer=trainer)
    with pytest.raises(RunError, match="all rounds"):  # and again when it is resumed
        _fit(tmp_path, _clients(), trainer=trainer, existing="resume")
    with pytest.raises(RunError, match="3 rounds in a row"):
        _fit(tmp_path / "longer", _clients(), trainer=trainer, rounds=5)


@pytest.mark.parametrize("joined", [None, ["c9"]])
def test_what_joins_is_a_table_of_clients(tmp_path, joined):
    with pytest.raises(UsageError) as caught:
        _fit(tmp_path, _clients(), join=lambda _: joined)
    assert caught.value.field == "join"
