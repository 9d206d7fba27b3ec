"""The server of gateways, as it is in an actor; tests/ray/test_ibm_ray.py has it in a real one."""

from __future__ import annotations

from qstore_ray.backends.ibm.gateway.actor import GatewayServer
from qstore_ray.errors import ServiceError


def test_a_run_that_cannot_be_closed_ends_the_server_and_says_why(monkeypatch):
    server, error = GatewayServer(), ServiceError("a session is open", field="backend")

    def close(run: str) -> None:
        raise error

    monkeypatch.setattr(server._host, "close", close)
    assert server.close("digits") == (True, error)
    assert not server.has_run("digits")
    assert server.spending("digits") == []
    server.withdraw("digits", "trial 3")  # of no gateway
