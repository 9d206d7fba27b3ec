"""Arguments of a wrong kind: what training and scoring say of them."""

from __future__ import annotations

import numpy as np
import pytest

from qstore_ray import DatasetLoader, ModelConfig, QuantumTrainer, TrackConfig, TrainerConfig
from qstore_ray.errors import ConfigError, UsageError

X, Y = np.random.default_rng(0).random((20, 2)), np.arange(20) % 2


@pytest.mark.parametrize("field", ["model", "trainer", "cluster", "track"])
@pytest.mark.parametrize("given", [{}, {"epochs": 1}, "digits", TrainerConfig])
def test_a_configuration_of_another_kind_is_named(field: str, given: object):
    with pytest.raises(ConfigError, match="Config is needed") as caught:
        QuantumTrainer(**{field: given})
    assert caught.value.field == field


def test_rows_and_labels_are_not_scored_as_a_dataset_and_a_split(tmp_path):
    trainer = QuantumTrainer(
        ModelConfig(n_qubits=2, layers=1),
        TrainerConfig(epochs=1),
        storage=tmp_path,
        track=TrackConfig(mlflow=False, figures=False),
    )
    model = trainer.fit(DatasetLoader.from_arrays(X, Y)).model
    with pytest.raises(UsageError, match="the name of a split") as caught:
        model.evaluate(X, Y)
    assert "labelled(x, y)" in caught.value.fix
    assert model.evaluate(model.labelled(X, Y))["accuracy"] >= 0.0


def test_one_name_is_no_list():
    with pytest.raises(ConfigError) as caught:
        TrainerConfig(metrics="roc_auc")
    assert caught.value.fix == "Write a list: [ … ]."
