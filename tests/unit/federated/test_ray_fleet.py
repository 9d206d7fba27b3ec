"""A fleet of actors through deaths, late answers and lost nodes, one step at a time.

The actors run in this process, in a cluster that a test scripts: which calls hang, which actors
die, which nodes exist. `tests/ray/test_federation_ray.py` has the same clients in real actors.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayTaskError, TaskCancelledError

from qstore_ray.data.config import DatasetConfig
from qstore_ray.errors import DataError, ResourceError, WorkerError
from qstore_ray.federated.config import FederationConfig
from qstore_ray.federated.fleet import ClientFault, LocalFleet, RoundWatch
from qstore_ray.federated.hosts.host import DESCRIBE, OPEN, ClientHost, ClientSetup
from qstore_ray.federated.hosts.member import RoundTask
from qstore_ray.federated.hosts.sites import ClientSite
from qstore_ray.federated.ray import fleet as module
from qstore_ray.federated.ray.fleet import ClientActor, RayFleet, grouped
from qstore_ray.federated.rows import ClientRows
from qstore_ray.federated.strategies.base import LocalRule
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.model import build_model
from qstore_ray.train.config import ClusterConfig, TrainerConfig

NODE = {"NodeID": "a" * 56, "Alive": True,
        "Resources": {"CPU": 4.0, "node:10.0.0.1": 1.0, "hospital": 1.0}}  # fmt: skip
TRAINER = TrainerConfig(optimizer="sgd", batch_size=8, learning_rate=0.1, schedule="constant")
LATE = 0.05


class Call:
    """A call of an actor: it runs once it is waited for, unless the script holds it."""

    def __init__(self, of: StandInActor, run: Callable[[], Any], client: str = "") -> None:
        self.of, self.run, self.client = of, run, client
        self.is_over = False
        self.value: Any = None
        self.error: Exception | None = None

    def is_ready(self) -> bool:
        held = self.of.cluster.hanging
        if not self.is_over and not (self.client in held or self.of in held):
            self.is_over, self.error = True, self.of.dies
            if self.error is None:
                self._run()
        return self.is_over

    def _run(self) -> None:
        try:
            self.value = self.run()
        except (RayTaskError, TaskCancelledError) as exc:  # `get` raises it
            self.error = exc


class StandInActor:
    """An actor in this process."""

    def __init__(self, cluster: StandInCluster, options: dict[str, Any], made: Any) -> None:
        self.cluster, self.options, self.made = cluster, options, made
        self.dies: Exception | None = None
        self.ask = SimpleNamespace(remote=self._ask)
        self.__ray_ready__ = SimpleNamespace(remote=lambda: Call(self, lambda: None))

    def _ask(self, client: str, message: str, *given: Any) -> Call:
        given = tuple(each.value if isinstance(each, Sent) else each for each in given)
        self.cluster.asked.append((client, message))
        run = self.cluster.instead.get((client, message), self.made.ask)
        call = Call(self, lambda: run(client, message, *given), client)
        if message == OPEN:
            call.is_ready()  # calls of an actor run in order
        return call


class Sent:
    """What is in the object store."""

    def __init__(self, value: Any) -> None:
        self.value = value


class StandInCluster:
    """What a fleet uses of Ray."""

    def __init__(self) -> None:
        self.alive = [NODE]
        self.hanging: set[Any] = set()
        self.instead: dict[tuple[str, str], Callable[..., Any]] = {}
        self.started: list[StandInActor] = []
        self.killed: list[StandInActor] = []
        self.cancelled: list[Call] = []
        self.asked: list[tuple[str, str]] = []
        self.sent: list[Any] = []

    def remote(self, **options: Any) -> Callable[[type], Any]:
        def maker(kind: type) -> Any:
            def start(*given: Any) -> StandInActor:
                self.started.append(StandInActor(self, options, kind(*given)))
                return self.started[-1]

            return SimpleNamespace(remote=start)

        return maker

    def nodes(self) -> list[dict[str, Any]]:
        return self.alive

    def put(self, value: Any) -> Sent:
        self.sent.append(value)
        return Sent(value)

    def wait(
        self, calls: Sequence[Call], num_returns: int = 1, timeout: float = 0.0
    ) -> tuple[list[Call], list[Call]]:
        ready = [call for call in calls if call.is_ready()]
        if not ready:
            time.sleep(min(timeout, 0.01))
        return ready, [call for call in calls if call not in ready]

    def get(self, call: Call) -> Any:
        if call.error is not None:
            raise call.error
        return call.value

    def cancel(self, call: Call) -> None:
        self.cancelled.append(call)

    def kill(self, actor: StandInActor) -> None:
        self.killed.append(actor)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> StandInCluster:
    found = StandInCluster()
    monkeypatch.setattr(module, "ray", found)
    return found


def _rows(seed: int, n: int = 16) -> ClientRows:
    x = np.random.default_rng(seed).normal(size=(n, 2))
    return ClientRows(x, (x[:, 0] > 0).astype(int), ("no", "yes"))


def _clients(count: int = 4) -> dict[str, ClientRows]:
    return {f"c{i}": _rows(i) for i in range(count)}


def _site(**place: str) -> ClientSite:
    return ClientSite(dataset=DatasetConfig(name="iris", params={"dataset": "iris"}), **place)


def _fleet(clients=None, workers=2, watch=None, **given) -> RayFleet:
    return RayFleet(
        _clients() if clients is None else clients, workers,
        ClusterConfig(**{"cpus_per_worker": 0.5, **given}), watch,
    )  # fmt: skip


def _all(fleet: RayFleet, *given: Any) -> dict[str, tuple[Any, ...]]:
    return dict.fromkeys(fleet.ids, given)


def _setup() -> ClientSetup:
    model = build_model(
        ModelConfig(n_qubits=2, layers=1), n_features=2, n_classes=2, task=_rows(0).task,
        n_targets=1,
    )  # fmt: skip
    return ClientSetup(model, TRAINER, FederationConfig(rounds=2))


@pytest.mark.parametrize("workers", [1, 2, 3, 9])
def test_clients_train_with_the_bits_of_this_process_on_any_number_of_actors(cluster, workers):
    local = LocalFleet({name: ClientHost(name, rows) for name, rows in _clients().items()})
    fleet, setup = _fleet(workers=workers), _setup()
    task = RoundTask(0, setup.model.initial(0), LocalRule())
    found = []
    for each in (local, fleet):
        assert each.ask(OPEN, dict.fromkeys(each.ids, (setup,))) == dict.fromkeys(each.ids)
        found.append(each.ask("train", dict.fromkeys(each.ids, (task, {}))))
    assert list(found[0]) == list(found[1]) == ["c0", "c1", "c2", "c3"]
    for name, (update, _) in found[0].items():
        assert update.theta.tobytes() == found[1][name][0].theta.tobytes()
        assert update.loss == found[1][name][0].loss
    assert len(cluster.started) == min(workers, 4)
    assert cluster.sent == [task], "the task of a round goes through the object store once"
    fleet.close()
    assert cluster.killed == cluster.started
    assert fleet.ids == ()


def test_an_actor_answers_with_the_fault_of_a_client():
    fault = ClientActor({"c0": _rows(0)}).ask("c0", "train")
    assert isinstance(fault, ClientFault)
    assert "opened before it is asked" in fault.reason


@pytest.mark.parametrize("died", [ActorDiedError(), ActorUnavailableError("gone", b"\0" * 16)])
def test_clients_of_an_actor_that_died_come_back_as_they_were_set_up(cluster, died):
    fleet, setup = _fleet(), _setup()
    fleet.ask(OPEN, _all(fleet, setup))
    victim = cluster.started[0]
    victim.dies = died
    task = RoundTask(0, setup.model.initial(0), LocalRule())
    answers = fleet.ask("train", _all(fleet, task, {}))
    gone = {name for name, each in answers.items() if isinstance(each, ClientFault)}
    assert gone == {"c0", "c2"}
    assert all("its process ended" in answers[name].reason for name in gone)
    assert cluster.killed == [victim], "once, though both clients met the death"
    for message, given in (("keys", (0, b"", 2)), ("masked", ({},))):
        faults = fleet.ask(message, _all(fleet, *given))  # members are those that have trained
        assert "its process ended" in faults["c0"].reason
    assert len(cluster.started) == 2
    cluster.asked.clear()
    again = fleet.ask("train", _all(fleet, task, {}))
    assert not any(isinstance(each, ClientFault) for each in again.values())
    assert sorted(cluster.asked[:2]) == [("c0", OPEN), ("c2", OPEN)]
    assert len(cluster.started) == 3


def test_an_actor_that_dies_too_often_stays_away(cluster):
    fleet = _fleet(workers=1, max_failures=1)
    for allowed in (True, False):
        cluster.started[-1].dies = ActorDiedError()
        fleet.ask(DESCRIBE, _all(fleet))
        after = fleet.ask(DESCRIBE, _all(fleet))["c1"]
        assert isinstance(after, ClientFault) is not allowed
    assert after.reason == "its process ended more often than allowed"
    assert len(cluster.started) == 2


def test_a_client_that_is_late_is_left_alone_until_it_has_answered(cluster):
    fleet = _fleet()
    cluster.hanging.add("c1")
    answers = fleet.ask(DESCRIBE, _all(fleet), seconds=LATE)
    assert "late" in answers["c1"].reason
    assert f"{LATE:g} s" in answers["c1"].reason
    assert [call.client for call in cluster.cancelled] == ["c1"]
    assert not isinstance(answers["c3"], ClientFault), "of the same actor"
    cluster.asked.clear()
    again = fleet.ask(DESCRIBE, _all(fleet), seconds=LATE)["c1"]
    assert again.reason == "it is still at work on an earlier round"
    assert ("c1", DESCRIBE) not in cluster.asked
    cluster.hanging.clear()
    assert not isinstance(fleet.ask(DESCRIBE, _all(fleet))["c1"], ClientFault)


def test_a_late_client_whose_actor_died_is_asked_in_the_new_one(cluster):
    fleet = _fleet()
    cluster.hanging.add("c1")
    fleet.ask(DESCRIBE, _all(fleet), seconds=LATE)
    cluster.started[1].dies = ActorDiedError()
    fleet.ask(DESCRIBE, {"c3": ()})
    cluster.hanging.clear()
    assert not isinstance(fleet.ask(DESCRIBE, _all(fleet))["c1"], ClientFault)


def _raises(error: Exception) -> Callable[..., Any]:
    def run(*given: Any) -> Any:
        raise error

    return run


def test_what_a_client_raised_is_its_fault_or_one_of_a_program(cluster):
    fleet = _fleet()
    ours = DataError("it has no rows", field="x")
    cluster.instead["c0", DESCRIBE] = _raises(RayTaskError("ask", "Traceback …\nDataError", ours))
    cluster.instead["c1", DESCRIBE] = _raises(TaskCancelledError())
    answers = fleet.ask(DESCRIBE, _all(fleet))
    assert answers["c0"].error is ours
    assert answers["c0"].reason == f"DataError: {ours}"
    assert isinstance(answers["c1"], ClientFault)
    assert answers["c1"].error is None
    fault = RayTaskError("ask", "Traceback …\nKeyError: 'theta'", KeyError("theta"))
    cluster.instead["c2", DESCRIBE] = _raises(fault)
    with pytest.raises(WorkerError, match="client c2 failed") as caught:
        fleet.ask(DESCRIBE, _all(fleet))
    assert (caught.value.field, "fault of a program" in caught.value.fix) == ("clients.c2", True)
    assert caught.value.__cause__ is fault


@pytest.mark.parametrize(
    "place", [{"node": "10.0.0.1"}, {"node": "a" * 56}, {"resource": "hospital"}]
)
def test_an_actor_is_placed_where_its_client_says(cluster, place):
    _fleet({"north": _site(**place), "c0": _rows(0)})
    kinds = [actor.options for actor in cluster.started]
    assert len(kinds) == 2
    anywhere, placed = sorted(kinds, key=len)
    assert anywhere == {"max_restarts": 0, "num_cpus": 0.5}
    if place == {"node": "a" * 56}:
        strategy = placed["scheduling_strategy"]
        assert (strategy.node_id, strategy.soft) == ("a" * 56, False)
    else:
        (resource,) = placed["resources"]
        assert resource == ("hospital" if "resource" in place else "node:10.0.0.1")


@pytest.mark.parametrize(
    "place", [{"node": "10.0.0.9"}, {"node": "b" * 56}, {"resource": "clinic"}]
)
def test_a_place_that_no_living_node_has_is_refused_at_once(cluster, place):
    """Ray would wait for such a node."""
    cluster.alive = [NODE, NODE | {"NodeID": "b" * 56, "Alive": False, "Resources": {"clinic": 1}}]
    with pytest.raises(ResourceError, match="the place of north") as caught:
        _fleet({"north": _site(**place)})
    (kind,) = place
    assert (caught.value.field, caught.value.value) == (f"clients.north.{kind}", place[kind])
    assert "10.0.0.1" in caught.value.fix
    assert cluster.started == []


def test_clients_whose_node_is_lost_wait_for_it(cluster, tmp_path):
    fleet = _fleet({"north": _site(resource="hospital"), "c0": _rows(0)})
    cluster.instead["north", DESCRIBE] = lambda *given: "its facts"
    (of_north,) = (each for each in cluster.started if "resources" in each.options)
    of_north.dies = ActorDiedError()
    cluster.alive = [NODE | {"Resources": {"CPU": 4.0, "node:10.0.0.1": 1.0}}]
    fleet.ask(DESCRIBE, _all(fleet))
    gone = fleet.ask(DESCRIBE, _all(fleet))
    assert gone["north"].reason == "no node of the cluster is its place, hospital"
    assert not isinstance(gone["c0"], ClientFault)
    cluster.alive = [NODE]
    assert fleet.ask(DESCRIBE, _all(fleet))["north"] == "its facts"


def test_an_actor_that_does_not_start_is_named(cluster, monkeypatch):
    fleet = _fleet(start_timeout=LATE, max_failures=5)
    cluster.started[0].dies = ActorDiedError()
    fleet.ask(DESCRIBE, {"c0": ()})
    before = len(cluster.started)
    real = StandInCluster.remote

    def remote(**options: Any) -> Any:
        made = real(cluster, **options)

        def start(kind: Any) -> Any:
            def begun(*given: Any) -> StandInActor:
                actor = made(kind).remote(*given)
                cluster.hanging.add(actor)
                return actor

            return SimpleNamespace(remote=begun)

        return start

    monkeypatch.setattr(cluster, "remote", remote)
    answers = fleet.ask(DESCRIBE, _all(fleet))
    assert answers["c0"].reason == f"its actor did not start within {LATE:g} s"
    assert cluster.killed[-1] is cluster.started[before]
    with pytest.raises(WorkerError, match="the actor of late did not start") as caught:
        fleet.add({"late": _rows(9)})
    assert caught.value.field == "cluster.start_timeout"
    assert "cluster.cpus_per_worker" in caught.value.fix


def test_a_round_that_is_to_stop_is_given_up_and_other_messages_are_not(cluster):
    watch = RoundWatch(threading.Event())
    fleet = _fleet(watch=watch)
    watch.stop.set()
    assert not any(isinstance(a, ClientFault) for a in fleet.ask(DESCRIBE, _all(fleet)).values())
    with pytest.raises(KeyboardInterrupt):
        fleet.ask("train", _all(fleet))


@pytest.mark.parametrize("workers", [1, 2, 5, 40])
def test_each_client_is_in_one_actor_of_its_place(workers):
    clients: dict[str, Any] = _clients(7) | {
        f"s{i}": _site(resource=name) for i, name in enumerate(("north", "south", "north"))
    }
    groups = grouped(clients, workers)
    names = sorted(name for _, some in groups for name in some)
    assert names == sorted(clients)
    for place, some in groups:
        assert some
        for given in some.values():
            assert (given.place if isinstance(given, ClientSite) else ("", "")) == place
    assert len({place for place, _ in groups}) == 3
    assert len(groups) <= min(len(clients), workers + 3)
