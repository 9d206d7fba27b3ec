"""Runs that share a process: one that is opened or closed slowly delays no other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from qstore_ray.backends.base import Bindings
from qstore_ray.backends.ibm.backend import IbmBackend
from qstore_ray.backends.ibm.call import hardware_call
from qstore_ray.backends.ibm.config import GatewayConfig
from qstore_ray.backends.ibm.forecast import HardwareCost
from qstore_ray.backends.ibm.gateway import run_gateway
from qstore_ray.backends.ibm.gateway.actor import GatewayServer
from qstore_ray.backends.ibm.gateway.gateway import Gateway
from qstore_ray.backends.keys import DrawKey
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Op, Template, row
from qstore_ray.errors import BackendError, ServiceError
from tests.ibm.faults import Fault
from tests.ibm.launch import Loopback

LONG = 30.0


class Held:
    """A call that waits until `release` is set; `begun` says that it was made."""

    def __init__(self) -> None:
        self.begun, self.release = threading.Event(), threading.Event()

    def wait(self) -> None:
        self.begun.set()
        assert self.release.wait(LONG)


@pytest.fixture
def server(ibm: Loopback) -> Iterator[GatewayServer]:
    made = GatewayServer()
    yield made
    for run in ("slow", "quick"):
        made.close(run)


@pytest.fixture
def ask(server, tmp_path):
    """Asks the gateway of a run something, which opens it."""

    def asked(run: str) -> object:
        config = GatewayConfig(device="fake_manila", ledger=str(tmp_path), run=run)
        return server.ask(config.model_dump_json(), "spending")

    return asked


@contextmanager
def beside(task, *arguments) -> Iterator[list[object]]:
    """A task in another thread, which has ended at the end of the block; what it returned."""
    found: list[object] = []

    def run() -> None:
        try:
            found.append(task(*arguments))
        except BackendError as exc:
            found.append(exc)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield found
    thread.join(LONG)
    assert not thread.is_alive()


@pytest.fixture
def opening(monkeypatch) -> Held:
    """The opening of the slow run."""
    held, real = Held(), run_gateway.open_gateway

    def open_gateway(config: GatewayConfig, **options) -> Gateway:
        if config.run == "slow":
            held.wait()
        return real(config, **options)

    monkeypatch.setattr(run_gateway, "open_gateway", open_gateway)
    return held


def test_a_run_that_is_being_opened_delays_no_other(server, ask, opening):
    with beside(ask, "slow") as found:
        assert opening.begun.wait(LONG)
        assert ask("quick").total == HardwareCost()
        assert ask("quick").total == HardwareCost(), "an open one neither"
        assert server.has_run("slow"), "whoever closes the run finds it"
        assert server.spending("slow")[0].total == HardwareCost()
        assert server.close("quick") == (False, None), "the actor does not end under the other"
        assert not found
        opening.release.set()
    assert found[0].total == HardwareCost()
    assert server.close("slow") == (True, None)


def test_a_run_that_is_being_closed_delays_no_other(server, ask, monkeypatch):
    held, real = Held(), Gateway.close
    ask("slow")
    slow = server._host.of_run("slow")[0]._gateway

    def close(gateway: Gateway) -> None:
        if gateway is slow:
            held.wait()
        real(gateway)

    monkeypatch.setattr(Gateway, "close", close)
    with beside(server.close, "slow") as found:
        assert held.begun.wait(LONG)
        assert ask("quick").total == HardwareCost()
        assert server.close("quick") == (False, None), "the actor does not end under the other"
        assert server.has_run("slow")
        held.release.set()
    assert found == [(True, None)]


def test_a_trial_that_ends_while_its_run_is_opened_is_withdrawn(server, ask, opening, monkeypatch):
    seen: list[str] = []
    monkeypatch.setattr(Gateway, "withdraw", lambda _, trial: seen.append(trial))
    with beside(ask, "slow"):
        assert opening.begun.wait(LONG)
        server.withdraw("slow", "trial-0001")
        assert not seen
        opening.release.set()
    assert seen == ["trial-0001"]


def test_a_run_that_waits_for_the_sign_in_can_be_closed(server, ask, ibm):
    ibm.inject(Fault("status", on="token", status=503, times=None))
    with beside(ask, "slow") as found:
        ibm.wait(lambda: ibm.requests().get("token", 0) > 0)
        assert server.close("slow") == (True, None)
    assert isinstance(found[0], BackendError)
    assert not isinstance(found[0], ServiceError)
    assert "before it had signed in" in str(found[0])


@pytest.mark.parametrize("own", [False, True])
def test_a_process_that_closes_ends_its_own_calls_alone(start, server, tmp_path, own):
    """Two drivers make the same prediction; the one that ends first closes the gateway."""
    ibm = start(queue_delay=3600.0)
    backend = IbmBackend(
        "fake_manila", 16, ledger=str(tmp_path), where="process", policy={"first_poll": 0.02}
    ).for_call("quick")
    call = hardware_call(
        Template(1, (Op("ry", (0,), (row(0),)),), 1), (Observable.parse("Z0"),),
        Bindings(np.zeros((2, 1)), np.zeros(0)), 16, DrawKey((1,)), device="fake_manila",
        identity=backend.identity, options={},
    )  # fmt: skip

    def ask() -> object:
        text = backend.config.model_dump_json()
        try:
            return server.ask(text, "evaluate_all", [call], caller="a")
        except BackendError as exc:
            return exc

    with beside(ask) as found:
        ibm.wait(lambda: len(ibm.accepted()) == 1)
        server.close("quick", "a" if own else "b")
        if not own:
            assert not found
            ibm.advance(3600.0)
    (answer,) = found
    if own:
        assert "was closed" in str(answer)
    else:
        assert answer[0][0].shape == (2, 16, 1)
    assert len(ibm.accepted()) == 1, "found by its tag"
