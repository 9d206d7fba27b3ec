"""Signing in while the service is in trouble: asked again as long as any other request is."""

from __future__ import annotations

import pytest

from qstore_ray.backends.ibm.config import GatewayConfig
from qstore_ray.backends.ibm.gateway.opening import open_gateway
from qstore_ray.backends.ibm.policy import GatewayPolicy
from qstore_ray.backends.ibm.service.account import IbmAccount
from qstore_ray.errors import ConfigError, RefusedError, TransientError
from tests.ibm.faults import Fault
from tests.ibm.settings import CRN

DROP = None
PASSING = [
    ("token", 503), ("search", DROP), ("catalog", DROP), ("backends", 429), ("configuration", 500),
    ("properties", DROP), ("usage", 502),
]  # fmt: skip
LASTING = [("token", DROP), ("search", 429), ("backends", 429), ("configuration", DROP)]
REFUSALS = [
    ("token", 400), ("token", 409), ("search", 401), ("search", 403), ("backends", 403),
    ("configuration", 409), ("usage", 401),
]  # fmt: skip


def fault(on: str, status: int | None, times: int | None) -> Fault:
    if status is DROP:
        return Fault("drop", on=on, times=times)
    return Fault("status", on=on, status=status, times=times)


def config(tmp_path, patience: float = 30.0) -> GatewayConfig:
    policy = GatewayPolicy(first_pause=0.01, longest_pause=0.02, patience=patience)
    return GatewayConfig(device="fake_manila", ledger=str(tmp_path), policy=policy)


def raw_keys(ibm) -> list[object]:
    return [entry for entry in ibm.journal() if entry["event"] == "raw_key"]


@pytest.mark.parametrize(("on", "status"), PASSING)
def test_trouble_that_passes_is_waited_for(ibm, tmp_path, on, status):
    ibm.inject(fault(on, status, times=2))
    open_gateway(config(tmp_path)).close()
    assert ibm.requests()[on] >= 3
    assert not raw_keys(ibm)


@pytest.mark.parametrize(("on", "status"), LASTING)
def test_trouble_that_does_not_pass_ends_patience(ibm, tmp_path, on, status):
    ibm.inject(fault(on, status, times=None))
    with pytest.raises(TransientError, match="has not answered for 0 s") as raised:
        open_gateway(config(tmp_path, patience=0.001))
    assert raised.value.status == status
    assert not raw_keys(ibm)
    assert not list(tmp_path.iterdir()), "no ledger is begun"


@pytest.mark.parametrize(("on", "status"), REFUSALS)
def test_a_refusal_is_not_asked_again(ibm, tmp_path, on, status):
    ibm.inject(fault(on, status, times=None))
    with pytest.raises((ConfigError, RefusedError)):
        open_gateway(config(tmp_path))
    assert ibm.requests()["token"] <= 3, "an access token that is refused is renewed once"
    assert ibm.requests().get("search", 0) <= 1
    assert not raw_keys(ibm)


def test_one_device_without_its_configuration_is_not_said_to_be_missing(start, tmp_path):
    ibm = start(backend=("fake_manila", "fake_quito"))
    ibm.inject(Fault("status", on="configuration", status=503, times=1))
    open_gateway(config(tmp_path)).close()


def test_an_instance_without_devices_is_not_waited_for(start, tmp_path):
    start(backend=())
    with pytest.raises(ConfigError, match="the instance has no device"):
        open_gateway(config(tmp_path))


def test_an_account_without_an_instance_is_told_to_create_one(start, tmp_path, monkeypatch):
    """A key that is accepted is not called wrong, and no filter is named that nobody gave."""
    start(crn="")
    monkeypatch.delenv("QISKIT_IBM_INSTANCE")
    with pytest.raises(ConfigError, match="its account has no instance") as raised:
        open_gateway(config(tmp_path))
    assert "Create one on quantum" in str(raised.value)


@pytest.mark.parametrize("instance", ["my-instance", f"{CRN[:-6]}9f00::"])
def test_an_instance_of_another_account_is_at_fault(ibm, tmp_path, monkeypatch, instance):
    """Not the account, which signed in."""
    monkeypatch.delenv("QISKIT_IBM_INSTANCE")
    named = config(tmp_path).model_copy(update={"sign_in": IbmAccount(instance=instance)})
    with pytest.raises(ConfigError) as raised:
        open_gateway(named)
    assert raised.value.field == "backend_options.instance"
    assert "lists for this key" in str(raised.value)


@pytest.mark.parametrize("is_paused", [False, True])
def test_a_paused_device_is_said_at_once(ibm, tmp_path, caplog, is_paused):
    if is_paused:
        ibm.inject(Fault("pause", seconds=3600.0))
    open_gateway(config(tmp_path)).close()
    assert ("fake_manila runs no jobs now (maintenance)" in caplog.text) == is_paused
