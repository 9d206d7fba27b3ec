"""Whose evaluations they are: a run has a ledger of its own, which it has again when resumed."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from qstore_ray import ModelConfig, QuantumClassifier, QuantumTrainer, TrackConfig, TrainerConfig
from qstore_ray.backends.base import Bindings
from qstore_ray.backends.ibm.backend import IbmBackend
from qstore_ray.backends.ibm.gateway.access import gateways_of
from qstore_ray.backends.ibm.ledger.replay import LEDGER, replay
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.mitigation.backend import open_mitigated
from qstore_ray.backends.mitigation.config import MitigationConfig
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Op, Template, row
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import BudgetError, BudgetReachedError, InterruptedRunError
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
            epochs=1, batch_size=12, backend="ibm", backend_options={**backend, **options}
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
    (gateway,) = gateways_of(run_id(tmp_path))
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
    assert ledgers(tmp_path) == {first: spent, again: spent}, "the resumed run paid nothing twice"
    assert len(ibm.accepted()) == 2 * spent


def test_the_budget_covers_the_scoring(ibm, tmp_path):
    trainer(tmp_path / "whole").fit(DATA)
    jobs = len(ibm.accepted())
    with pytest.raises(BudgetError, match=f"may use {jobs - 1} jobs"):
        trainer(tmp_path / "refused", budget={"jobs": jobs - 1}).fit(DATA)
    assert len(ibm.accepted()) == jobs
    trainer(tmp_path / "enough", budget={"jobs": jobs}).fit(DATA)
    assert len(ibm.accepted()) == 2 * jobs


def test_a_budget_that_is_reached_by_the_scoring_names_the_run(ibm, tmp_path):
    trainer(tmp_path / "whole").fit(DATA)
    jobs = len(ibm.accepted())
    ibm.inject(Fault("fail", code=9701, message="system error"))
    with pytest.raises(BudgetReachedError, match=f"may use {jobs} jobs, has used {jobs}") as raised:
        trainer(tmp_path, budget={"jobs": jobs}).fit(DATA)
    assert raised.value.field == "budget.jobs"
    assert raised.value.value == str(tmp_path / "digits")
    assert "(name 'digits') and a larger limit" in raised.value.fix
    resumed = trainer(tmp_path, budget={"jobs": jobs + 1}).fit(DATA, existing="resume")
    assert "test_accuracy" in resumed.metrics


def test_a_session_that_cannot_be_closed_does_not_hide_the_result(ibm, tmp_path, capsys):
    class Closes(Callback):
        def on_train_end(self, run) -> None:
            ibm.inject(Fault("status", on="close_session", status=500, times=50))

    result = trainer(tmp_path, (Closes(),), mode="batch").fit(DATA)
    assert "test_accuracy" in result.metrics
    assert "warning: the backend of the run could not be closed" in capsys.readouterr().err


def test_shares_of_a_step_whose_others_are_in_the_ledger_leave_at_once(ibm, tmp_path):
    """Two workers share a step; the share of the first was measured alone, and it asks again."""
    template = Template(n_qubits=1, ops=(Op("ry", (0,), (row(0),)),), n_rows=1)

    def share(part: int, group_wait: float) -> None:
        backend = IbmBackend(
            "fake_manila", 16, level=1, ledger=str(tmp_path), where="process",
            policy={**POLICY, "group_wait": group_wait},
        ).for_run("r")  # fmt: skip
        rows = Bindings(np.full((2, 1), float(part)), np.zeros(0))
        key = DrawKey((1,), first_row=2 * part, part=part, parts=2)
        backend.evaluate(template, (Observable.parse("Z0"),), rows, key=key)

    share(0, group_wait=0.01)
    IbmBackend.close_run("r")
    share(0, group_wait=1e6)
    share(1, group_wait=1e6)
    IbmBackend.close_run("r")
    assert len(ibm.accepted()) == 2


def test_each_fit_of_an_estimator_is_a_run_of_its_own(ibm, tmp_path):
    backend = trainer(tmp_path).trainer.backend_options
    classifier = QuantumClassifier(
        n_qubits=1, n_layers=1, epochs=1, batch_size=32, backend="ibm", backend_options=backend
    )
    for _ in range(2):
        classifier.fit(X, X[:, 0] > 0)
    (first, jobs), (second, others) = ledgers(tmp_path).items()
    assert jobs == others
    assert {first[:7], second[:7]} == {"memory-"}
    assert gateways_of(first) == gateways_of(second) == []


def test_a_mitigated_backend_belongs_to_the_run_too(ibm, tmp_path):
    given = trainer(tmp_path).trainer.backend_options
    config = MitigationConfig(twirl=2)
    backend = open_mitigated("ibm", given, config).for_run("r", "trial-0000")
    template = Template(n_qubits=2, ops=(Op("ry", (0,), (row(0),)), Op("cx", (0, 1))), n_rows=1)
    rows = Bindings(np.ones((1, 1)), np.zeros(0))
    backend.evaluate(template, (Observable.parse("Z0"),), rows, key=DrawKey((1,)))
    backend.close_run("r")
    assert list(ledgers(tmp_path)) == ["r"]
