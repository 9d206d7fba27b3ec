"""What is wrong with a job for IBM's hardware is said before anything is submitted."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from qstore_ray.backends.ibm.config import GatewayConfig
from qstore_ray.backends.ibm.forecast import HardwareCost
from qstore_ray.backends.ibm.gateway.access import close_gateways
from qstore_ray.backends.ibm.gateway.actor import GatewayServer
from qstore_ray.cli.app import main
from qstore_ray.errors import ConfigError
from tests.ibm.test_estimate import job_file

BUDGET = "trainer.backend_options.budget"


def refused(
    job: str, capsys: pytest.CaptureFixture[str], command: str = "train", *words: str
) -> dict[str, Any]:
    """The error of a command, which is one of usage."""
    try:
        assert main([command, job, "--json", *words]) == 2
    finally:
        close_gateways()
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize(
    ("options", "field", "message", "fix"),
    [
        ({"budget": {"seconds": 0}}, "budget.seconds", "greater than 0", ""),
        ({"trial_budget": {"jobs": 0}}, "trial_budget.jobs", "greater than 0", ""),
        ({"price_per_second": -1.6}, "price_per_second", "greater than 0", ""),
        ({"budget": {"money": 10.0}}, "budget.money", "no price", "price_per_second"),
        ({"budget": {"hours": 1.0}}, "budget.hours", "unknown", "seconds"),
        ({"shot": 100}, "", "unknown option", "shots"),
        ({"policy": {"polls": 1}}, "policy.polls", "unknown", "first_poll"),
        ({"shots": 10_000_001}, "shots", "a job takes at most 10000000", "Take 10000000 shots"),
        ({"mode": "sessions"}, "mode", "session", ""),
        ({"mode": "session"}, "client_seconds", "not given", "batch"),
        (
            {"sampler": {"decoupling": True}},
            "sampler.decoupling",
            "does not take",
            "SamplerOptions",
        ),
        (
            {"estimator": {"resilience_level": 7}},
            "estimator.resilience_level",
            "does not take",
            "EstimatorOptions",
        ),
        ({"estimator": {}, "sampler": {"max_execution_time": 9}}, "estimator", "not from both", ""),
        ({"sampler": {"twirling": {"enable_gates": True}}}, "shots", "in place", "shots = 64"),
        ({"budget": 600}, "budget", "dictionary", ""),
        ({"budget": 0}, "budget", "dictionary", ""),
        ({"trial_budget": "ten"}, "trial_budget", "dictionary", ""),
        ({"policy": 5}, "policy", "dictionary", ""),
        ({"sampler": 5}, "sampler", "a table is needed", ""),
        ({"estimator": False}, "estimator", "a table is needed", ""),
        ({"where": "moon"}, "where", "'auto', 'process' or 'ray'", ""),
        ({"ledger": ""}, "ledger", "at least 1 character", ""),
        ({"budget": {"seconds": math.inf}}, "budget.seconds", "finite", ""),
        ({"budget": {"money": math.nan}}, "budget.money", "finite", ""),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_option_that_is_wrong_needs_no_account(
    tmp_path, capsys, monkeypatch, options, field, message, fix
):
    monkeypatch.setenv("QISKIT_IBM_URL", "http://127.0.0.1:1/nobody/answers")
    job = job_file(tmp_path, **options)
    for command in ("estimate", "train"):
        found = refused(job, capsys, command)
        assert found["field"] == ".".join(filter(None, ("trainer.backend_options", field)))
        assert message in found["message"]
        assert fix in found["fix"]
    assert not (tmp_path / "runs" / "tiny").exists()


def test_a_key_that_is_not_accepted(ibm, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("QISKIT_IBM_TOKEN", "not-the-key-of-anybody")
    found = refused(job_file(tmp_path), capsys)
    assert "does not accept the API key" in found["message"]
    assert "not-the-key-of-anybody" not in json.dumps(found)
    assert not ibm.accepted()


def test_no_account(ibm, tmp_path, capsys, monkeypatch):
    from qiskit_ibm_runtime.accounts import management

    for name in ("TOKEN", "URL", "INSTANCE", "CHANNEL"):
        monkeypatch.delenv(f"QISKIT_IBM_{name}")
    monkeypatch.setattr(
        management, "_DEFAULT_ACCOUNT_CONFIG_JSON_FILE", str(tmp_path / "accounts.json")
    )
    for options in ({}, {"account": "nobody"}):
        found = refused(job_file(tmp_path, **options), capsys)
        assert "there is no account to sign in with" in found["message"]
        assert found["field"] == "trainer.backend_options.account"
        assert "token_file" in found["fix"]
    assert not ibm.accepted()


@pytest.mark.parametrize(
    ("option", "value"), [("channel", "ibm_moon"), ("url", "https://ibm.example")]
)
def test_an_option_that_the_client_refuses_when_it_signs_in(ibm, tmp_path, capsys, option, value):
    found = refused(job_file(tmp_path, **{option: value}), capsys)
    assert found["field"] == f"trainer.backend_options.{option}"
    assert f"'{option}'" in found["message"]
    assert not ibm.accepted()


def test_an_instance_that_the_account_does_not_have(ibm, tmp_path, capsys):
    found = refused(job_file(tmp_path, instance="nobody"), capsys)
    assert found["field"] == "trainer.backend_options.instance"
    assert found["value"] == "'nobody'"
    assert not ibm.accepted()


@pytest.mark.parametrize(
    ("option", "value", "field", "fix"),
    [
        ("gradient", "adjoint", "gradient", "'parameter_shift'"),
        ("optimizer", "qng", "backend", "'qn_spsa'"),
    ],
)
def test_a_method_that_needs_exact_values_is_bad_input(
    ibm, tmp_path, capsys, option, value, field, fix
):
    found = refused(job_file(tmp_path, trainer={option: value}), capsys)
    assert found["field"] == f"trainer.{field}"
    assert fix in found["fix"]
    assert not ibm.accepted()


def test_a_file_with_the_key_that_others_can_read(ibm, tmp_path, capsys):
    key = Path(tmp_path / "key")
    key.write_text(ibm.settings.api_key)
    key.chmod(0o644)
    found = refused(job_file(tmp_path, token_file=str(key)), capsys)
    assert "0644" in found["message"]
    assert found["field"] == "trainer.backend_options.token_file"
    assert "chmod 600" in found["fix"]


def test_a_folder_that_can_have_no_ledger(ibm, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    found = refused(job_file(tmp_path, ledger=str(tmp_path / "file")), capsys)
    assert found["field"] == "trainer.backend_options.ledger"
    assert "Not a directory" in found["message"]
    assert not ibm.accepted()


def test_an_actor_without_ray(ibm, tmp_path, capsys):
    found = refused(job_file(tmp_path, where="ray"), capsys)
    assert found["field"] == "trainer.backend_options.where"
    assert "Ray does not run" in found["message"]
    assert not ibm.accepted()


def test_a_tiny_budget_is_said_as_it_is(ibm, tmp_path, capsys):
    found = refused(job_file(tmp_path, budget={"seconds": 1e-9}), capsys)
    assert "the run may use 1e-09 seconds" in found["message"]


def test_an_unknown_device_lists_those_of_the_instance(start, tmp_path, capsys):
    ibm = start(backend=("fake_manila", "fake_lima"))
    found = refused(job_file(tmp_path, device="ibm_fes"), capsys)
    assert found["field"] == "trainer.backend_options.device"
    assert "ibm_fes" in found["value"]
    assert found["fix"] == "Take one of the instance's: fake_lima, fake_manila."
    assert not ibm.accepted()


def test_a_plan_without_sessions(start, tmp_path, capsys):
    ibm = start(plan="open")
    found = refused(job_file(tmp_path, mode="session", client_seconds=1.0), capsys)
    assert found["field"] == "trainer.backend_options.mode"
    assert "has no sessions" in found["message"]
    assert not ibm.accepted()


def test_a_circuit_wider_than_the_device(ibm, tmp_path, capsys):
    job = Path(job_file(tmp_path))
    job.write_text(job.read_text().replace("n_qubits = 2", "n_qubits = 6"))
    found = refused(str(job), capsys)
    assert "fake_manila has 5 connected qubits that work, the circuit needs 6" in found["message"]
    assert not ibm.accepted()
    assert not (tmp_path / "runs" / "tiny").exists(), "it is refused before the run begins"


def test_a_circuit_that_lasts_longer_than_the_forecast_says(ibm, tmp_path, capsys):
    """Its budget would be passed. The duration that is named is enough, a shorter one is not."""
    job, deep = Path(job_file(tmp_path)), "n_qubits = 2\n"
    job.write_text(job.read_text().replace(deep, f"{deep}ansatz = 'strongly_entangling'\n"))
    job.write_text(job.read_text().replace("layers = 1", "layers = 200"))
    found = refused(str(job), capsys)
    assert found["field"] == "trainer.backend_options.circuit_seconds"
    assert "0.0001 s" in found["message"]
    assert not ibm.accepted()
    assert not (tmp_path / "runs" / "tiny").exists(), "it is refused before the run begins"
    named = float(found["fix"].split("circuit_seconds = ")[1].rstrip("."))
    assert 200 * 2e-7 < named < 200 * 4e-6, "two CX a layer, of 0.3 µs each, and turns"
    change = "backend_options.circuit_seconds"
    for seconds, field in ((named * 0.99, change), (named, "backend_options.budget.seconds")):
        wanted = ("--set", f"trainer.{change}={seconds}", "--set", f"{BUDGET}.seconds=0.1")
        assert refused(str(job), capsys, "train", *wanted)["field"] == f"trainer.{field}"


@pytest.mark.parametrize("during", ["always", "test"])
def test_a_calibration_of_too_few_shots(ibm, tmp_path, capsys, during):
    readout = {"readout": "inverse", "calibration": "circuits", "calibration_shots": 64}
    found = refused(
        job_file(tmp_path, trainer={"mitigation": {**readout, "during": during}}), capsys
    )
    assert found["field"] == "trainer.mitigation.calibration_shots"
    assert "Take at least 100" in found["fix"]
    assert not ibm.accepted()
    assert not (tmp_path / "runs" / "tiny").exists()


def test_the_gateway_of_a_cluster_says_what_is_wrong_and_opens_once_it_is_right(
    ibm, tmp_path, monkeypatch
):
    """An error in an actor's constructor would be the end of the actor, without its own type."""
    config = GatewayConfig(device="fake_manila", ledger=str(tmp_path))
    monkeypatch.setenv("QISKIT_IBM_TOKEN", "not-the-key-of-anybody")
    server, text = GatewayServer(), config.model_dump_json()
    asked = (text, "check_forecast", HardwareCost(), "", config.budget)
    with pytest.raises(ConfigError, match="does not accept the API key"):
        server.ask(*asked)
    monkeypatch.setenv("QISKIT_IBM_TOKEN", ibm.settings.api_key)
    server.ask(*asked)
    assert server.has_run("")
    assert server.close("") == (True, None)
    assert server.ask(*asked) == "ended", "the driver is about to end the actor"
