"""A training on hardware continues on a simulator if IBM's service fails, as its job declares."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from qstore_ray import ModelConfig, QuantumTrainer, TrackConfig, TrainerConfig
from qstore_ray.backends.ibm.backend import IbmBackend
from qstore_ray.backends.ibm.gateway.access import close_gateways, gateways_of
from qstore_ray.backends.ibm.ledger.replay import LEDGER
from qstore_ray.cli.app import main
from qstore_ray.cli.shared.models import open_model
from qstore_ray.errors import BudgetError, ConfigError, InterruptedRunError, ServiceError
from qstore_ray.train.callbacks import Callback
from qstore_ray.train.run.summary import summarize
from qstore_ray.tune.trial.trial import TrialRunner
from tests.ibm.faults import Fault
from tests.ibm.launch import Loopback
from tests.ibm.test_estimate import job_file
from tests.ibm.test_runs import DATA, POLICY, ledgers, run_id
from tests.small_search import RATE, Listener, config_of, job_of, plan_of

CHAIN = [
    {
        "backend": "aer",
        "noise": {"device": "fake_manila", "twirl": True},
        "backend_options": {"shots": 32},
    },
    {"backend": "statevector"},
]


def trainer(storage: Path, callbacks: tuple[Callback, ...] = (), **options: object):
    fallback = options.pop("fallback", CHAIN)
    policy = {**POLICY, "patience": 0.3, "attempts": 1}
    backend = {
        "device": "fake_manila", "shots": 32, "level": 1, "ledger": str(storage / "ledgers"),
        "policy": policy,
    }  # fmt: skip
    return QuantumTrainer(
        ModelConfig(n_qubits=1, layers=1),
        TrainerConfig(
            epochs=2,
            batch_size=12,
            backend="ibm",
            gradient="spsa",
            backend_options={**backend, **options},
            fallback=fallback,
        ),
        name="digits",
        storage=storage,
        track=TrackConfig(mlflow=False, figures=False),
        callbacks=callbacks,
    )


class Breaks(Callback):
    """Lets a fault happen when so many steps are done."""

    def __init__(self, ibm: Loopback, step: int, fault: Fault) -> None:
        self._inject, self.step, self.fault = ibm.inject, step, fault

    def __deepcopy__(self, memo: object) -> Breaks:
        return self

    def on_batch_end(self, run, batch) -> None:
        if run.state.step == self.step:
            self._inject(self.fault)
            self.step = -1


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (Fault("maintenance", seconds=1e6), "has not answered for 0 s"),
        (Fault("fail", times=None), "a job failed 1 time at IBM's service"),
    ],
    ids=["out of reach", "jobs fail"],
)
def test_a_training_goes_on_elsewhere_and_pays_nothing_twice(ibm, tmp_path, capsys, fault, why):
    result = trainer(tmp_path, (Breaks(ibm, 3, fault),)).fit(DATA)
    (step,) = result.fallbacks
    assert (step["step"], step["member"], step["kind"]) == (3, 1, "service")
    assert step["from"] == "ibm (fake_manila, 32 shots)"
    assert step["to"] == "aer (noise of fake_manila, 32 shots)"
    assert why in step["why"]
    assert (
        f"after 3 steps, 1 whole epoch: {step['to']} instead of {step['from']}"
        in capsys.readouterr().err
    )
    assert result.model.backend.name == "aer"
    assert open_model(result.run_dir).backend.name == "aer", "config.toml has the chain"
    assert "noisy_test_accuracy" in result.metrics
    assert gateways_of(run_id(tmp_path)) == [], "closed with the run"
    lost = len([each for each in ibm.accepted().values() if each.end == "failed"])
    assert lost == (fault.what == "fail")
    assert ledgers(tmp_path) == {run_id(tmp_path): len(ibm.accepted()) + (not lost)}


def test_a_wrong_key_never_falls_back(ibm, tmp_path, monkeypatch):
    monkeypatch.setenv("QISKIT_IBM_TOKEN", "wrong-key-0123456789")
    with pytest.raises(ConfigError, match="does not accept the API key"):
        trainer(tmp_path).fit(DATA)
    assert not (tmp_path / "digits").exists()


def test_a_key_that_is_withdrawn_in_the_run_never_falls_back(ibm, tmp_path):
    fault = Fault("status", on="any", status=401, code=1217, times=None)
    with pytest.raises(ConfigError):
        trainer(tmp_path, (Breaks(ibm, 3, fault),)).fit(DATA)
    assert summarize(tmp_path / "digits").fallbacks == []


@pytest.mark.usefixtures("no_backoff")
def test_a_new_run_whose_service_is_out_of_reach_is_refused_and_a_resumed_one_is_not(ibm, tmp_path):
    gone = Fault("maintenance", seconds=1e6)
    ibm.inject(gone)
    with pytest.raises(ServiceError, match="has not answered for"):
        trainer(tmp_path).fit(DATA)
    assert not (tmp_path / "digits").exists()
    ibm.clear()
    with pytest.raises(ServiceError):
        trainer(tmp_path, (Breaks(ibm, 3, gone),), fallback=[]).fit(DATA)
    paid = len(ibm.accepted())
    (step,) = trainer(tmp_path).fit(DATA, existing="resume").fallbacks
    assert (step["step"], step["member"]) == (3, 1)
    assert len(ibm.accepted()) == paid


def test_a_budget_may_be_planned_for_the_first_steps(ibm, tmp_path):
    with pytest.raises(BudgetError):
        trainer(tmp_path / "refused", budget={"jobs": 2}).fit(DATA)
    assert not ibm.accepted()
    chain = [{**CHAIN[0], "when": ["service", "budget"]}]
    result = trainer(tmp_path / "planned", budget={"jobs": 2}, fallback=chain).fit(DATA)
    (step,) = result.fallbacks
    assert (step["step"], step["kind"]) == (2, "budget")
    assert "the run may use 2 jobs" in step["why"]
    assert len(ibm.accepted()) == 2


def test_another_device_may_take_over(start, tmp_path):
    """Jobs fail on the first device; each device has a ledger of the run."""
    ibm = start(backend=("fake_manila", "fake_quito"))
    given = trainer(tmp_path).trainer.backend_options
    chain = [{"backend": "ibm", "backend_options": {**given, "device": "fake_quito"}}]
    result = trainer(tmp_path, (Breaks(ibm, 3, Fault("fail")),), fallback=chain).fit(DATA)
    assert [step["to"] for step in result.fallbacks] == ["ibm (fake_quito, 32 shots)"]
    places = [path.parent.parts[-2:] for path in (tmp_path / "ledgers").rglob(LEDGER)]
    assert sorted(places) == [(name, run_id(tmp_path)) for name in ("fake_manila", "fake_quito")]
    assert gateways_of(run_id(tmp_path)) == []
    assert len([each for each in ibm.accepted().values() if each.end == "failed"]) == 1


def test_a_trial_of_a_search_falls_back_too(ibm, tmp_path):
    options = {
        "device": "fake_manila", "shots": 16, "level": 1, "ledger": str(tmp_path / "ledgers"),
        "policy": {**POLICY, "attempts": 1}, "where": "process",
    }  # fmt: skip
    job = job_of(
        tmp_path, epochs=1, batch_size=90, backend="ibm", backend_options=options, fallback=CHAIN
    )
    plan = replace(plan_of(job, config_of()), run_id="s-0123")
    ibm.inject(Fault("fail"))
    runner = TrialRunner(plan)
    try:
        for trial in ("trial-0000", "trial-0001"):
            runner.run(trial, {RATE: 0.1}, Listener())
    finally:
        IbmBackend.close_run("s-0123")
    taken = {
        path.parent.name: json.loads(path.read_text()).get("fallbacks", [])
        for path in plan.folder.rglob("run.json")
    }
    assert [len(steps) for _, steps in sorted(taken.items())] == [1, 0]


def test_a_job_file_declares_it_and_the_command_line_shows_it(ibm, tmp_path, capsys):
    job = job_file(tmp_path, policy={**POLICY, "attempts": 1}, trainer={"fallback": CHAIN})
    ibm.inject(Fault("fail", skip=1))
    try:
        assert main(["train", job, "--quiet", "--json"]) == 0
    finally:
        close_gateways()
    seen = capsys.readouterr()
    assert "aer (noise of fake_manila, 32 shots) instead of ibm (fake_manila, 16 shots)" in seen.err
    assert json.loads(seen.out)["fallback_steps"][0]["member"] == 1


def test_interrupted_runs_without_a_failure_stay_on_hardware(ibm, tmp_path):
    class Stops(Callback):
        def on_batch_end(self, run, batch) -> None:
            if run.state.step == 2:
                raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError):
        trainer(tmp_path, (Stops(),)).fit(DATA)
    assert trainer(tmp_path).fit(DATA, existing="resume").fallbacks == ()
