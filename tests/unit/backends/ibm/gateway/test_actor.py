"""The gateway in an actor: what a caller does when the actor ends, dies or does not answer.

The actor is one of a script here, so that it fails at a chosen call; `tests/ray/test_ibm_ray.py`
has the same gateway in a real one.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, GetTimeoutError, RayTaskError

from qstore_ray.backends.ibm.budget import Spending
from qstore_ray.backends.ibm.config import GatewayConfig
from qstore_ray.backends.ibm.gateway import actor as module
from qstore_ray.backends.ibm.gateway.actor import (
    NAMESPACE,
    RESOURCE,
    GatewayServer,
    RemoteGateway,
    gateway_actor,
    gateway_actors,
)
from qstore_ray.errors import BackendError, ConfigError, ServiceError

CONFIG = GatewayConfig(device="fake_manila", run="digits")
NODE = {"NodeID": "a" * 56, "Alive": True}


class ScriptedActor:
    """Each method's call is its own name and arguments."""

    def __getattr__(self, method: str) -> Any:
        return SimpleNamespace(remote=lambda *given, **more: (method, given, more))


class ScriptedRay:
    """What a gateway uses of Ray; calls are answered by `answers`, one after the other."""

    def __init__(self) -> None:
        self.answers: list[Any] = []
        self.asked: list[Any] = []
        self.options: list[dict[str, Any]] = []
        self.killed: list[bool] = []
        self.resources: dict[str, float] = {"CPU": 4.0}
        self.alive = [NODE]
        self.named: list[dict[str, str]] = []
        self.gone: set[str] = set()
        self.util = SimpleNamespace(list_named_actors=lambda all_namespaces: self.named)

    def cluster_resources(self) -> dict[str, float]:
        return self.resources

    def nodes(self) -> list[dict[str, Any]]:
        return self.alive

    def remote(self, kind: type) -> Any:
        assert kind is GatewayServer
        return SimpleNamespace(options=self._made)

    def _made(self, **options: Any) -> Any:
        self.options.append(options)
        return SimpleNamespace(remote=ScriptedActor)

    def get(self, call: Any, timeout: float | None = None) -> Any:
        self.asked.append(call)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def get_actor(self, name: str, namespace: str) -> ScriptedActor:
        if name in self.gone:
            raise ValueError(name)
        return ScriptedActor()

    def kill(self, actor: Any, no_restart: bool) -> None:
        self.killed.append(no_restart)

    def is_initialized(self) -> bool:
        return True

    def get_runtime_context(self) -> Any:
        return SimpleNamespace(current_actor="me")


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> ScriptedRay:
    found = ScriptedRay()
    monkeypatch.setattr(module, "ray", found)
    monkeypatch.setattr(module, "_PAUSE", 0.0)
    return found


def test_a_call_of_an_actor_that_has_just_ended_is_made_again_as_it_was(scripted):
    """The key of the call is the same, so the service is paid once."""
    gateway = gateway_actor(CONFIG)
    scripted.answers = ["ended", ActorDiedError(), [["values"]]]
    assert gateway.evaluate("the call") == ["values"]  # type: ignore[arg-type]
    names = [options["name"] for options in scripted.options]
    assert names == [f"qpu-gateway/{CONFIG.place}"] * 3, "it is got again by its name"
    assert all(options["get_if_exists"] for options in scripted.options)
    first, *others = scripted.asked
    assert first[1] == (CONFIG.model_dump_json(), "evaluate_all", ["the call"])
    assert others == [first, first]


@pytest.mark.parametrize(
    ("answer", "words"), [("ended", "again and again"), (ActorDiedError(), "does not answer")]
)
def test_an_actor_that_never_stays_is_an_error(scripted, answer, words):
    scripted.answers = [answer] * module._TRIES
    with pytest.raises(BackendError, match=words):
        gateway_actor(CONFIG).check_circuits([])
    assert scripted.answers == []


def test_an_error_of_the_gateway_is_raised_as_it_is(scripted):
    ours = ServiceError("the service is busy", field="backend")
    scripted.answers = [RayTaskError("ask", "Traceback …", ours)]
    with pytest.raises(ServiceError) as caught:
        gateway_actor(CONFIG).evaluate_all([])
    assert caught.value is ours
    fault = RayTaskError("ask", "Traceback …", KeyError("job"))
    scripted.answers = [fault]
    with pytest.raises(RayTaskError) as raised:
        gateway_actor(CONFIG).evaluate_all([])
    assert raised.value is fault


def test_the_forecast_is_checked_in_the_actor(scripted):
    scripted.answers = [None]
    gateway_actor(CONFIG).check_forecast("forecast", "trial", "budget")  # type: ignore[arg-type]
    assert scripted.asked[0][1][1:] == ("check_forecast", "forecast", "trial", "budget")


def test_a_run_without_a_gateway_has_spent_nothing(scripted):
    gateway = RemoteGateway(ScriptedActor(), None, "digits")
    spent = Spending(pending_seconds=2.0)
    scripted.answers = [[], [spent], None]
    assert gateway.spending() == Spending()
    assert gateway.spending() == spent
    gateway.withdraw("trial 3")
    assert scripted.asked[-1] == ("withdraw", ("digits", "trial 3"), {})


@pytest.mark.parametrize("method", ["spending", "close"])
def test_an_actor_that_does_not_answer_is_an_error_that_names_the_ledger(scripted, method):
    scripted.answers = [GetTimeoutError("60 s")]
    with pytest.raises(BackendError, match="does not answer") as caught:
        getattr(RemoteGateway(ScriptedActor(), None, "digits"), method)()
    assert "ledger" in caught.value.fix
    assert scripted.killed == ([False] if method == "close" else []), "it is started again"


@pytest.mark.parametrize("is_last", [True, False])
@pytest.mark.parametrize("error", [None, ServiceError("a session is open", field="backend")])
def test_the_actor_ends_with_its_last_run_also_if_that_could_not_be_closed(
    scripted, is_last, error
):
    scripted.answers = [(is_last, error)]
    gateway = RemoteGateway(ScriptedActor(), None, "digits")
    if error is None:
        gateway.close()
    else:
        with pytest.raises(ServiceError, match="a session is open"):
            gateway.close()
    assert scripted.killed == ([True] if is_last else [])


def test_the_actor_is_on_the_node_that_may_sign_in(scripted):
    gateway_actor(CONFIG)
    assert scripted.options[-1]["scheduling_strategy"].node_id == NODE["NodeID"]
    scripted.alive = [NODE, NODE | {"NodeID": "b" * 56}, NODE | {"Alive": False}]
    with pytest.raises(ConfigError, match="none of the 2 nodes") as caught:
        gateway_actor(CONFIG)
    assert f"{RESOURCE}: 1" in caught.value.fix
    scripted.resources[RESOURCE] = 1.0
    gateway_actor(CONFIG)
    assert scripted.options[-1]["resources"] == {RESOURCE: 0.001}
    assert "scheduling_strategy" not in scripted.options[-1]


def test_the_gateways_of_a_run_are_found_by_their_names(scripted):
    names = ["qpu-gateway/a", "qpu-gateway/b", "qpu-gateway/c", "qpu-gateway/gone", "others"]
    scripted.named = [{"name": name, "namespace": NAMESPACE} for name in names]
    scripted.named.append({"name": "qpu-gateway/d", "namespace": "of somebody"})
    scripted.gone = {"qpu-gateway/gone"}
    scripted.answers = [True, False, ActorDiedError()]
    assert len(gateway_actors("digits")) == 1
    assert scripted.answers == []


def test_a_server_is_watched_from_its_first_call_on(scripted, monkeypatch):
    watched: list[Any] = []
    monkeypatch.setattr(GatewayServer, "_end_if_idle", lambda self, me: watched.append(me))
    server = GatewayServer()
    opened = SimpleNamespace(spending=lambda: "spent", is_alive=True)
    monkeypatch.setattr(server._host, "gateway", lambda config: opened)
    for _ in range(2):
        assert server.ask(CONFIG.model_dump_json(), "spending") == "spent"
    assert watched == ["me"]


def test_a_server_that_nobody_asks_for_long_ends_itself(scripted, monkeypatch):
    server, slept = GatewayServer(), []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        server._asking = int(len(slept) < 5)  # a call is under way for a while

    clock = SimpleNamespace(monotonic=lambda: sum(slept), sleep=sleep)
    monkeypatch.setattr(module, "time", clock)
    server._end_if_idle("me")
    assert scripted.killed == [True]
    assert sum(slept[4:]) > module.IDLE_SECONDS >= sum(slept[4:-1])
    assert server.ask(CONFIG.model_dump_json(), "spending") == "ended"


def test_a_run_that_cannot_be_closed_ends_the_server_and_says_why(monkeypatch):
    server, error = GatewayServer(), ServiceError("a session is open", field="backend")

    def close(run: str) -> None:
        raise error

    monkeypatch.setattr(server._host, "close", close)
    assert server.close("digits") == (True, error)
    assert not server.has_run("digits")
    assert server.spending("digits") == []
    server.withdraw("digits", "trial 3")  # of no gateway
