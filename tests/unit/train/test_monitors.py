"""A metric that is followed is known before the first epoch, or the run is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from qstore_ray import (
    Callback,
    DatasetLoader,
    ModelConfig,
    QuantumTrainer,
    TrackConfig,
    TrainerConfig,
)
from qstore_ray.errors import ConfigError, UnknownNameError
from qstore_ray.train.callbacks import as_callback
from qstore_ray.train.callbacks.early_stopping import EarlyStopping
from qstore_ray.train.callbacks.model_checkpoint import ModelCheckpoint

if TYPE_CHECKING:
    from pathlib import Path

    from qstore_ray.train.callbacks import Run

RNG = np.random.default_rng(1)
X = RNG.normal(size=(40, 2))
Y = (X[:, 0] > 0).astype(int)
DATA = DatasetLoader.from_arrays(X, Y)
QUIET = TrackConfig(mlflow=False, figures=False)


def fit(folder: Path, *callbacks: Any, **options: Any) -> Any:
    """A training of two epochs with these callbacks."""
    trainer = TrainerConfig(epochs=2, batch_size=16, **options)
    made = QuantumTrainer(
        ModelConfig(n_qubits=2), trainer, name="run", storage=folder, track=QUIET,
        callbacks=callbacks,
    )  # fmt: skip
    return made.fit(DATA)


@pytest.mark.parametrize(
    "table",
    [
        {"name": "early_stopping", "monitor": "vl_loss"},
        {"name": "model_checkpoint", "monitor": "vl_loss"},
        {"name": "convergence_monitor", "monitor": "vl_loss"},
    ],
)
def test_an_unknown_monitor_is_refused_before_training(
    tmp_path: Path, table: dict[str, str]
) -> None:
    callback = as_callback(table)
    with pytest.raises(UnknownNameError, match="Did you mean 'val_loss'") as caught:
        fit(tmp_path, callback)
    assert caught.value.field == f"{type(callback).__name__}.monitor"
    with pytest.raises(UnknownNameError, match="val_loss"):
        fit(tmp_path, callbacks=[table])
    assert not list(tmp_path.iterdir())


def test_an_own_callback_declares_what_it_follows_the_same_way(tmp_path: Path) -> None:
    class Own(Callback):
        monitor = "vl_loss"

        def logged_metrics(self, model: Any) -> tuple[str, ...]:
            return ()

    with pytest.raises(UnknownNameError, match=r"Own\.monitor"):
        fit(tmp_path, Own())


def test_an_attribute_of_another_meaning_is_left_alone(tmp_path: Path) -> None:
    class Own(Callback):
        monitor = object()

        def logged_metrics(self, model: Any) -> tuple[str, ...]:
            return ()

    assert len(fit(tmp_path, Own()).history) == 2


class Distance(Callback):
    """Logs a number of its own."""

    def on_epoch_end(self, run: Run, record: Any) -> None:
        run.log(distance=float(np.abs(run.theta).sum()))


class Declared(Distance):
    """Says so before."""

    def logged_metrics(self, model: Any) -> tuple[str, ...]:
        return ("distance",)


@pytest.mark.parametrize("own", [Distance, Declared])
def test_what_an_own_callback_logs_can_be_followed(tmp_path: Path, own: type[Callback]) -> None:
    result = fit(tmp_path, own(), EarlyStopping(monitor="distance", mode="min"))
    assert all("distance" in record for record in result.history)


def test_what_is_declared_is_known_before_training(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'distance'"):
        fit(tmp_path, Declared(), EarlyStopping(monitor="distanc", mode="min"))


def test_a_metric_is_logged_before_it_is_followed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Write Declared before EarlyStopping"):
        fit(tmp_path, EarlyStopping(monitor="distance", mode="min"), Declared())


@pytest.mark.parametrize("name", ["gradient_norm", "circuit_evaluations", "epoch_seconds",
                                  "gradient_norm_circuit", "learning_rate_max",
                                  "budget_seconds", "val_balanced_accuracy"])  # fmt: skip
def test_every_metric_that_is_known_before_is_there_after(tmp_path: Path, name: str) -> None:
    tables = [{"name": "timer"}, {"name": "gradient_stats"}, {"name": "learning_rate_monitor"},
              {"name": "budget", "seconds": 1e6}]  # fmt: skip
    loggers = [as_callback(table) for table in tables]
    result = fit(tmp_path, *loggers, ModelCheckpoint(monitor=name, mode="max"))
    assert name in result.history[-1]


def test_without_validation_rows_the_fix_says_so(tmp_path: Path) -> None:
    whole = DatasetLoader.from_arrays(X, Y, split={"train": 0.8, "test": 0.2})
    trainer = QuantumTrainer(
        ModelConfig(n_qubits=2), TrainerConfig(epochs=1), storage=tmp_path, track=QUIET,
        callbacks=[EarlyStopping()],
    )  # fmt: skip
    with pytest.raises(UnknownNameError, match=r"Set dataset\.split\.val|set dataset\.split\.val"):
        trainer.fit(whole)
