"""What a forecast says, and what the stand-in's journal says afterwards."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qstore_ray.backends.ibm.gateway.access import close_gateways
from qstore_ray.cli.app import main
from qstore_ray.config import dump_toml
from qstore_ray.errors import BudgetError
from tests.ibm.faults import Fault
from tests.ibm.launch import Loopback

READOUT = {"readout": "inverse", "calibration": "circuits", "calibration_shots": 400}
POLICY = {"first_poll": 0.02, "longest_poll": 0.1, "delay": 0.0}


def job_file(folder: Path, **options: Any) -> str:
    """A job of five steps in two epochs, the last of each broken, with val and test."""
    rng = np.random.default_rng(0)
    np.savez(folder / "rows.npz", x=rng.uniform(0.0, 1.0, (30, 2)), y=np.arange(30) % 2)
    trainer = options.pop("trainer", {})
    given = {
        "device": "fake_manila", "shots": 16, "ledger": str(folder / "ledger"), "policy": POLICY,
    } | options  # fmt: skip
    job = {
        "name": "tiny",
        "storage": str(folder / "runs"),
        "baseline": False,
        "dataset": {
            "name": "rows", "source": "local", "params": {"path": str(folder / "rows.npz")},
            "split": {"train": 0.6, "val": 0.2, "test": 0.2},
        },
        "model": {"n_qubits": 2, "layers": 1, "observables": ["Z0", "X1"]},
        "trainer": {
            "epochs": 2, "batch_size": 8, "backend": "ibm", "backend_options": given, **trainer,
        },
        "track": {"mlflow": False, "figures": False},
    }  # fmt: skip
    path = folder / "job.toml"
    path.write_text(dump_toml(job))
    return str(path)


def estimated(job: str, capsys: pytest.CaptureFixture[str], *changes: str) -> dict[str, Any]:
    """The forecast of `qstore estimate --json`."""
    assert main(["estimate", job, "--json", *changes]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)["hardware"]
    return found


@pytest.mark.parametrize(
    ("trainer", "options"),
    [
        ({}, {}),
        ({"gradient": "parameter_shift"}, {"policy": POLICY | {"caps": {"executions": 2100}}}),
        ({"optimizer": "spsa"}, {}),
        ({"optimizer": "rotosolve", "epochs": 1, "batch_size": 18}, {}),
        ({"accumulate": 2, "batch_size": 4}, {"shots": 1024}),
        ({"mitigation": {"twirl": 2, "during": "always"}}, {}),
        ({"optimizer": "spsa", "optimizer_options": {"calibration": 3, "blocking": True}}, {}),
        ({"mitigation": READOUT}, {}),
        ({"mitigation": READOUT | {"during": "always", "zne": {"scales": [1, 3]}}}, {}),
        ({"mitigation": READOUT | {"during": "always"}, "gradient": "parameter_shift"}, {}),
        ({"mitigation": READOUT | {"during": "always"}, "optimizer": "qn_spsa"}, {}),
        ({}, {"estimator": {"resilience_level": 1}}),
        ({"optimizer": "rotosolve"}, {"mode": "batch", "estimator": {"resilience_level": 0}}),
        ({"optimizer": "qn_spsa"}, {"mode": "session", "client_seconds": 1.0}),
    ],
    ids=[
        "spsa gradient", "jobs in pieces", "search", "sweep", "accumulated", "mitigated",
        "size of a slope", "test rows calibrated", "calibrated", "two circuits", "metric",
        "estimator", "batch", "session",
    ],
)  # fmt: skip
def test_the_forecast_is_what_the_service_was_asked_for(ibm, tmp_path, capsys, trainer, options):
    job = job_file(tmp_path, trainer=trainer, **options)
    found = estimated(job, capsys)["total"]
    try:
        assert main(["train", job, "--quiet"]) == 0
    finally:
        close_gateways()
    assert len(list((tmp_path / "ledger").rglob("ledger*"))) == 1, "all jobs are in the run's"
    accepted = ibm.accepted().values()
    assert found["jobs"] == len(accepted)
    assert found["executions"] == sum(each.executions for each in accepted)
    assert found["qpu_seconds"] == pytest.approx(sum(each.seconds for each in accepted), rel=1e-6)


def test_the_parts_of_the_workers_are_in_one_job(tmp_path, capsys):
    job = job_file(tmp_path, trainer={"batch_size": 18, "epochs": 1})
    alone = estimated(job, capsys)
    assert estimated(job, capsys, "--set", "trainer.num_workers=2") == alone
    assert alone["training"]["jobs"] == 1


@pytest.mark.parametrize(
    ("changes", "jobs"),
    [
        ({"optimizer": "spsa"}, 1),
        ({"optimizer": "spsa", "optimizer_options": {"directions": 3, "blocking": True}}, 2),
        ({"optimizer": "qn_spsa", "optimizer_options": {"directions": 3, "blocking": False}}, 1),
        ({"optimizer": "qn_spsa"}, 2),
        ({"gradient": "parameter_shift"}, 1),
        ({"mitigation": READOUT | {"during": "always", "zne": {"scales": [1, 3]}}}, 1),
    ],
)
def test_a_step_is_one_job_unless_it_needs_the_answer_of_another(tmp_path, capsys, changes, jobs):
    """Blocking compares the value at the end of the step, which the first job decides."""
    job = job_file(tmp_path, trainer={"batch_size": 18, "epochs": 1, **changes})
    alone = estimated(job, capsys)
    assert alone["training"]["jobs"] == alone["step"]["jobs"] == jobs
    assert estimated(job, capsys, "--set", "trainer.num_workers=2") == alone


@pytest.mark.parametrize("during", ["test", "always"])
@pytest.mark.parametrize("workers", [0, 2])
def test_an_estimate_asks_the_service_for_nothing(ibm, tmp_path, capsys, during, workers):
    before = ibm.requests()
    mitigation = {"twirl": 2, "during": during}
    job = job_file(tmp_path, trainer={"mitigation": mitigation, "num_workers": workers})
    assert estimated(job, capsys)["total"]["jobs"] > 0
    assert ibm.requests() == before
    assert not (tmp_path / "ledger").exists()


def test_an_estimate_opens_no_connection(tmp_path, capsys, monkeypatch):
    def refused(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setenv("HOME", str(tmp_path))
    job = job_file(tmp_path, price_per_second=2.0, budget={"seconds": 3.0})
    total = estimated(job, capsys)["total"]
    assert total["money"] == pytest.approx(2.0 * total["billed_seconds"])
    assert main(["estimate", job]) == 0
    said = capsys.readouterr().out
    assert "does not suffice: the run may use 3 seconds, has used 0, and needs" in said
    assert "on the QPU for a whole batch, by IBM's formula" in said
    assert not (tmp_path / "ledger").exists()


def test_a_training_above_its_budget_is_refused_before_its_first_job(ibm, tmp_path, capsys):
    job = job_file(tmp_path, budget={"jobs": 3})
    assert main(["train", job, "--json"]) == BudgetError.exit_code == 2
    close_gateways()
    assert "the run may use 3 jobs" in json.loads(capsys.readouterr().out)["message"]
    assert not ibm.accepted()
    assert not (tmp_path / "runs" / "tiny").exists()


def test_a_training_above_what_the_account_has_left_is_refused(start, tmp_path, capsys):
    ibm: Loopback = start(usage_limit=5.0)
    assert main(["train", job_file(tmp_path), "--json"]) == 2
    close_gateways()
    assert "the account has 5 seconds left" in json.loads(capsys.readouterr().out)["message"]
    assert not ibm.accepted()


def test_a_training_that_reached_its_budget_continues_with_a_larger_one(ibm, tmp_path, capsys):
    """The limit is reached because the first job had to be run twice."""
    job = job_file(tmp_path)
    jobs = estimated(job, capsys)["total"]["jobs"]
    ibm.inject(Fault("fail"))
    limit = "trainer.backend_options.budget.jobs="
    try:
        assert main(["train", job, "--quiet", "--set", f"{limit}{jobs}"]) == 5
        close_gateways()
        capsys.readouterr()
        assert main(["train", job, "--json", "--resume", "--set", f"{limit}{jobs}"]) == 2
        close_gateways()
        said = json.loads(capsys.readouterr().out)["message"]
        assert said == f"the run may use {jobs} jobs, has used {jobs}, and needs 1 more"
        more = ["--resume", "--set", f"{limit}{jobs + 1}"]
        assert main(["train", job, "--quiet", *more]) == 0
    finally:
        close_gateways()
    assert len(ibm.accepted()) == jobs + 1
