"""A session that a killed gateway left open is closed by the next one: it would bill on."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from qstore_ray.backends.ibm.gateway.access import close_gateways
from qstore_ray.cli.app import main
from qstore_ray.errors import ServiceError
from tests.child import in_child
from tests.ibm.faults import Fault
from tests.ibm.launch import in_process
from tests.ibm.test_killed_gateway import evaluated


def events(ibm, event: str) -> list[str]:
    """Ids of the sessions with this event."""
    return [entry["session"] for entry in ibm.journal() if entry["event"] == event]


def killed(ledger: Path, options: dict[str, Any]) -> None:
    """Leave a session open."""
    evaluated(ledger, 0, **options)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("mode", ["session", pytest.param("batch", marks=pytest.mark.slow)])
def test_a_session_of_a_killed_gateway_is_closed_by_the_next_one(tmp_path, monkeypatch, mode):
    options = {"mode": mode, "client_seconds": 1.0} if mode == "session" else {"mode": mode}

    with in_process() as ibm:
        for name, value in ibm.environment(tmp_path).items():
            monkeypatch.setenv(name, value)
        assert in_child(killed, tmp_path / "ledger", options) == -signal.SIGKILL
        assert (len(events(ibm, "opened")), events(ibm, "closed")) == (1, [])
        ibm.inject(Fault("status", on="close_session", status=503))
        try:
            evaluated(tmp_path / "ledger", 0, **options)  # it is in the ledger
            ibm.wait(lambda: events(ibm, "closed") == events(ibm, "opened"))
            evaluated(tmp_path / "ledger", 1, **options)
            assert len(events(ibm, "opened")) == 2
        finally:
            close_gateways()
        assert sorted(events(ibm, "closed")) == sorted(events(ibm, "opened"))
        before = ibm.requests()["close_session"]
        try:
            evaluated(tmp_path / "ledger", 1, **options)
        finally:
            close_gateways()
        assert ibm.requests()["close_session"] == before, "nothing is closed again"
        assert len(ibm.accepted()) == 2


@pytest.mark.parametrize("mode", ["session", "batch"])
def test_a_session_that_was_left_open_is_closed_by_reattach(ibm, tmp_path, monkeypatch, mode):
    """The gateway cannot close it; then the command does, and says so if it cannot."""
    options = {"mode": mode, "client_seconds": 1.0} if mode == "session" else {"mode": mode}
    evaluated(tmp_path, 0, **options)
    ibm.inject(Fault("status", on="close_session", status=503, times=2))
    with pytest.raises(ServiceError, match="cannot close a session"):
        close_gateways()
    assert events(ibm, "closed") == []
    ibm.inject(Fault("status", on="close_session", status=503, times=1))
    assert main(["hardware", "reattach", str(tmp_path)]) == 4
    assert main(["hardware", "reattach", str(tmp_path)]) == 0
    assert events(ibm, "closed") == events(ibm, "opened")
    before = ibm.requests()["close_session"]
    assert main(["hardware", "reattach", str(tmp_path)]) == 0
    assert ibm.requests()["close_session"] == before
