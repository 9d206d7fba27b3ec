"""Whose evaluations they are: a run has a ledger of its own, which it has again when resumed."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from qstore_ray import ModelConfig, QuantumTrainer, TrackConfig, TrainerConfig
from qstore_ray.backends.ibm.gateway.access import gateways_of
from qstore_ray.backends.ibm.ledger.replay import LEDGER, replay
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import InterruptedRunError
from qstore_ray.train.callbacks import Callback
from tests.ibm.faults import Fault

X = np.random.default_rng(0).normal(size=(30, 1))
DATA = DatasetLoader.from_arrays(X, (X[:, 0] > 0).astype(int))
POLICY = {"first_poll": 0.02, "longest_poll": 0.1, "first_pause": 0.1, "tag_delay": 0.2}


def trainer(storage: Path, callbacks: tuple[Callback, ...] = (), **options: object):
    backend = {
        "device": "fake_manila",
        "shots": 32,
        "level": 1,
        "ledger": str(storage / "ledgers"),
        "policy": POLICY,
    }
    return QuantumTrainer(
        ModelConfig(n_qubits=1, layers=1),
        TrainerConfig(
            epochs=1, batch_size=32, backend="ibm", backend_options={**backend, **options}
        ),
        name="digits",
        storage=storage,
        track=TrackConfig(mlflow=False, figures=False),
        callbacks=callbacks,
    )


def ledgers(storage: Path) -> dict[str, int]:
    """The number of jobs in the ledger of each run."""
    paths = (storage / "ledgers").rglob(LEDGER)
    return {path.parent.name: len(replay(path.parent).records) for path in paths}


def run_id(storage: Path) -> str:
    return json.loads((storage / "digits" / "run.json").read_bytes())["id"]


class StopsAt(Callback):
    """Ends the process's run by a signal, when the first step is done."""

    def on_batch_end(self, run, step) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_run_has_one_ledger_with_its_scoring_too(ibm, tmp_path):
    result = trainer(tmp_path).fit(DATA)
    assert ledgers(tmp_path) == {run_id(tmp_path): len(ibm.accepted())}
    assert not [name for name in result.metrics if name.startswith("noisy_")], "scored once"
    assert gateways_of(run_id(tmp_path)) == [], "closed with the run"
    before = len(ibm.accepted())
    result.model.predict(X)
    assert ledgers(tmp_path) == {run_id(tmp_path): len(ibm.accepted())}
    assert len(ibm.accepted()) > before, "the model opens the gateway again"
    (gateway,) = gateways_of(run_id(tmp_path), forget=True)
    gateway.close()


def test_a_run_that_starts_again_measures_again_and_a_resumed_one_does_not(ibm, tmp_path):
    with pytest.raises(InterruptedRunError):
        trainer(tmp_path, (StopsAt(),)).fit(DATA)
    first = run_id(tmp_path)
    assert gateways_of(first) == [], "closed after a signal, too"
    trainer(tmp_path).fit(DATA, existing="resume")
    assert run_id(tmp_path) == first
    spent = len(ibm.accepted())
    trainer(tmp_path).fit(DATA, existing="replace")
    again = run_id(tmp_path)
    assert again != first
    jobs = ledgers(tmp_path)
    assert jobs == {first: spent, again: len(ibm.accepted()) - spent}
    assert jobs[again] <= jobs[first]


def test_the_budget_covers_the_scoring(ibm, tmp_path):
    trainer(tmp_path / "whole").fit(DATA)
    jobs = len(ibm.accepted())
    with pytest.raises(InterruptedRunError, match=f"{jobs - 1} jobs"):
        trainer(tmp_path, budget={"jobs": jobs - 1}).fit(DATA)
    assert gateways_of(run_id(tmp_path)) == []


def test_a_session_that_cannot_be_closed_does_not_hide_the_result(ibm, tmp_path, capsys):
    class Closes(Callback):
        def on_train_end(self, run) -> None:
            ibm.inject(Fault("status", on="close", status=500, times=50))

    result = trainer(tmp_path, (Closes(),), mode="session").fit(DATA)
    assert "test_accuracy" in result.metrics
    assert "warning: the backend of the run could not be closed" in capsys.readouterr().err
