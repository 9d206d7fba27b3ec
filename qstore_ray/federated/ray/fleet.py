"""Clients as Ray actors. An actor holds one client or many, on the node that they name.

Each question is one call of an actor, so a client that is late does not hold up the others' answers
(except those behind it in the same actor). A call that missed its deadline is left alone: its
answer is dropped when it comes, and until then its client is not asked again. An actor that dies
takes its clients out of the round, and is started again before the next one, `cluster.max_failures`
times in all, as soon as a node is its place; its clients have no state that the server did not
commit, so nothing is lost.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import ray
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from qstore_ray.deadline import ray_result
from qstore_ray.errors import QStoreError, ResourceError, WorkerError, last_line
from qstore_ray.federated.fleet import (
    ROUND_MESSAGES,
    Answer,
    ClientFault,
    RoundWatch,
    answer_of,
    late_fault,
)
from qstore_ray.federated.hosts.host import OPEN, TAKE_SECRET, ClientHost
from qstore_ray.federated.hosts.sites import ClientSite
from qstore_ray.federated.rows import ClientRows
from qstore_ray.federated.strategies.base import RoundTask
from qstore_ray.train.config import ClusterConfig
from qstore_ray.train.ray.errors import meaning

if TYPE_CHECKING:
    AnyClient = ClientRows | ClientSite

_SHARE: Final = 1e-3
"""Of a resource that only says where an actor may be."""
_SETUP: Final = (OPEN, TAKE_SECRET)
_OF_A_SUM: Final = ROUND_MESSAGES - {"train"}
_POLL_SECONDS: Final = 0.2


class ClientActor:
    """What runs in an actor's process: some clients, asked one call at a time."""

    def __init__(self, clients: Mapping[str, AnyClient]) -> None:
        self._hosts = {name: ClientHost(name, given) for name, given in clients.items()}

    def ask(self, client: str, message: str, *arguments: Any) -> Any:
        """What a client answers, or its fault."""
        return answer_of(self._hosts[client], message, arguments)


class _Started:
    """An actor that was started, with its clients."""

    def __init__(self, place: tuple[str, str], clients: Mapping[str, AnyClient]) -> None:
        self.place, self.clients = place, dict(clients)
        self.handle: Any = None
        self.why = ""  # there is none


class RayFleet:
    """All clients of a federation in actors. In the server's process, inside a `ray_session`.

    Args:
        clients: their rows, which are sent to their actor, or where their actor finds them.
        num_workers: how many actors hold those without a place; each place has its own.
        cluster: CPUs of an actor, how often actors may die, how long they may take to start.
        watch: stops a round.

    Raises:
        ResourceError: no node has the place that a client names.
        WorkerError: an actor did not start.
    """

    def __init__(
        self,
        clients: Mapping[str, AnyClient],
        num_workers: int,
        cluster: ClusterConfig,
        watch: RoundWatch | None = None,
    ) -> None:
        self._cluster, self._watch = cluster, watch or RoundWatch()
        self._workers = num_workers
        self._actors: list[_Started] = []
        self._of: dict[str, _Started] = {}
        self._setup: dict[str, dict[str, tuple[Any, ...]]] = {}
        self._late: dict[str, Any] = {}
        self._deaths = 0
        self.add(clients)

    @property
    def ids(self) -> tuple[str, ...]:
        """See `Fleet`."""
        return tuple(sorted(self._of))

    def add(self, clients: Mapping[str, AnyClient]) -> None:
        """See `Fleet`; new clients have actors of their own.

        Raises:
            ResourceError, WorkerError: as the constructor.
        """
        began = [_Started(*group) for group in grouped(clients, self._workers)]
        for actor in began:
            _check_place(actor.place, sorted(actor.clients))
            self._start(actor)
            self._actors.append(actor)
            self._of |= dict.fromkeys(actor.clients, actor)
        missing = self._not_started("", began)
        if missing:
            names = sorted(missing[0].clients)
            raise WorkerError(
                f"the actor of {', '.join(names)} did not start within "
                f"{self._cluster.start_timeout:g} s",
                field="cluster.start_timeout",
                value=self._cluster.start_timeout,
                fix="Free CPUs on the node that they name, lower cluster.cpus_per_worker or "
                "federation.num_workers, or wait longer.",
            )

    def ask(
        self, message: str, arguments: Mapping[str, tuple[Any, ...]], seconds: float | None = None
    ) -> dict[str, Answer]:
        """See `Fleet`.

        Raises:
            WorkerError: a client raised an error that is none of ours: a fault of a program.
        """
        if message in _SETUP:
            for client, given in arguments.items():
                self._setup.setdefault(client, {})[message] = given
        if message not in _OF_A_SUM:  # whose members are those that have trained
            self._revive(message)
        self._forget_late()
        answers: dict[str, Any] = {}
        calls: dict[Any, str] = {}
        shared = _SentOnce()
        for client in sorted(arguments):
            if self._of[client].handle is None:
                answers[client] = ClientFault(self._of[client].why)
            elif client in self._late:
                answers[client] = ClientFault("it is still at work on an earlier round")
            else:
                sent = map(shared.sent, arguments[client])
                call = self._of[client].handle.ask.remote(client, message, *sent)
                calls[call] = client
        late = self._collect(message, calls, answers, seconds)
        for call in late:
            ray.cancel(call)  # where it has not begun
            answers[calls[call]] = late_fault(seconds or 0.0)
            self._late[calls[call]] = call
        return dict(sorted(answers.items()))

    def close(self) -> None:
        """See `Fleet`; actors end at once."""
        for actor in self._actors:
            if actor.handle is not None:
                ray.kill(actor.handle)
        self._actors, self._of = [], {}

    def _collect(
        self,
        message: str,
        calls: Mapping[Any, str],
        answers: dict[str, Any],
        seconds: float | None,
    ) -> list[Any]:
        """Take the answers as they come; the calls that missed the deadline.

        Raises:
            KeyboardInterrupt: the run is to stop.
        """
        ends = None if seconds is None else time.monotonic() + seconds
        waiting = list(calls)
        while waiting:
            self._watch.check(message, len(calls) - len(waiting), len(calls))
            left = _POLL_SECONDS if ends is None else max(0.0, ends - time.monotonic())
            ready, waiting = ray.wait(waiting, timeout=min(left, _POLL_SECONDS))
            for call in ready:
                answers[calls[call]] = self._answer(call, calls[call])
            if ends is not None and not ready and time.monotonic() >= ends:
                return waiting
        self._watch.check(message, len(calls), len(calls))
        return []

    def _answer(self, call: Any, client: str) -> Any:
        try:
            return ray_result(call, f"the answer of client {client}")
        except (ActorDiedError, ActorUnavailableError) as exc:
            actor = self._of[client]
            if actor.handle is not None:
                self._deaths += 1
                ray.kill(actor.handle)  # one that cannot be reached is not asked any more
                actor.handle, actor.why = None, f"its process ended: {meaning(exc)}"
            return ClientFault(actor.why)
        except RayTaskError as exc:
            cause = exc.cause
            if isinstance(cause, QStoreError):
                return ClientFault(f"{type(cause).__name__}: {cause}", cause)
            raise WorkerError(
                f"client {client} failed: {last_line(exc)}",
                field=f"clients.{client}",
                fix="This is a fault of a program; the error above has the client's traceback.",
            ) from exc
        except RayError as exc:
            return ClientFault(meaning(exc))

    def _forget_late(self) -> None:
        """Drop answers that came after their deadline."""
        if not self._late:
            return
        calls = {call: client for client, call in self._late.items()}
        ready, _ = ray.wait(list(calls), num_returns=len(calls), timeout=0.0)
        for call in ready:
            del self._late[calls[call]]

    def _revive(self, message: str) -> None:
        """Start actors that died again, as often as the cluster's configuration allows."""
        began = [actor for actor in self._actors if actor.handle is None and self._may_start(actor)]
        for actor in began:
            self._start(actor)
        for actor in self._not_started(message, began):
            ray.kill(actor.handle)
            actor.handle = None
            actor.why = f"its actor did not start within {self._cluster.start_timeout:g} s"
        for actor in began:
            for client in actor.clients if actor.handle is not None else ():
                self._late.pop(client, None)
                for setup, given in self._setup.get(client, {}).items():
                    actor.handle.ask.remote(client, setup, *given)

    def _may_start(self, actor: _Started) -> bool:
        """Whether an actor is started again; its `why` says why not."""
        if self._deaths > self._cluster.max_failures:
            actor.why = "its process ended more often than allowed"
            return False
        if not _is_there(actor.place):
            actor.why = f"no node of the cluster is its place, {actor.place[1]}"
            return False
        return True

    def _not_started(self, message: str, began: Sequence[_Started]) -> list[_Started]:
        """Those that are not ready within `cluster.start_timeout` seconds.

        Raises:
            KeyboardInterrupt: the run is to stop.
        """
        ends = time.monotonic() + self._cluster.start_timeout
        waiting = {actor.handle.__ray_ready__.remote(): actor for actor in began}
        while waiting and time.monotonic() < ends:
            self._watch.check(message, 0, len(waiting))
            ready, _ = ray.wait(list(waiting), timeout=_POLL_SECONDS)
            for call in ready:
                del waiting[call]
        return list(waiting.values())

    def _start(self, actor: _Started) -> None:
        options = _placed(actor.place)
        options["num_cpus"] = self._cluster.cpus_per_worker
        clients = {
            name: given.without_source() if isinstance(given, ClientRows) else given
            for name, given in actor.clients.items()
        }
        # Restarts are ours, since an actor that Ray restarts has not been set up.
        actor.handle = ray.remote(max_restarts=0, **options)(ClientActor).remote(clients)


class _SentOnce:
    """What several clients of a round are sent goes through the object store once."""

    def __init__(self) -> None:
        self._sent: dict[int, Any] = {}

    def sent(self, value: Any) -> Any:
        """The value; a reference to the task of a round, which is the same for all."""
        if not isinstance(value, RoundTask):
            return value
        if id(value) not in self._sent:
            self._sent[id(value)] = ray.put(value)
        return self._sent[id(value)]


def grouped(
    clients: Mapping[str, AnyClient], num_workers: int
) -> list[tuple[tuple[str, str], dict[str, AnyClient]]]:
    """Which clients share an actor, and its place: a share of the actors for each place."""
    by_place: dict[tuple[str, str], list[str]] = {}
    for name in sorted(clients):
        given = clients[name]
        place = given.place if isinstance(given, ClientSite) else ("", "")
        by_place.setdefault(place, []).append(name)
    found = []
    for place, names in sorted(by_place.items()):
        share = max(1, round(num_workers * len(names) / len(clients)))
        for first in range(min(share, len(names))):
            some = {name: clients[name] for name in names[first::share]}
            found.append((place, some))
    return found


def _placed(place: tuple[str, str]) -> dict[str, Any]:
    """Options of an actor that is to be at a place."""
    kind, name = place
    if not kind:
        return {}
    if kind == "resource":
        return {"resources": {name: _SHARE}}
    if _is_address(name):
        return {"resources": {f"node:{name}": _SHARE}}
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(name, soft=False)}


def _is_address(node: str) -> bool:
    return "." in node or ":" in node


def _nodes() -> tuple[set[str], set[str]]:
    """The ids of all nodes that live, and what resources they declare."""
    nodes = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    return {node["NodeID"] for node in nodes}, {
        each for node in nodes for each in node["Resources"]
    }


def _is_there(place: tuple[str, str]) -> bool:
    """Whether a node of the cluster is the place."""
    kind, name = place
    ids, resources = _nodes()
    if kind == "node":
        return f"node:{name}" in resources if _is_address(name) else name in ids
    return not kind or name in resources


def _check_place(place: tuple[str, str], names: Sequence[str]) -> None:
    """Raise where no node of the cluster is the place; Ray would wait for one."""
    if _is_there(place):
        return
    kind, name = place
    _, resources = _nodes()
    addresses = sorted(each.removeprefix("node:") for each in resources if each.startswith("node:"))
    raise ResourceError(
        f"no node of the cluster is the place of {', '.join(names)}",
        field=f"clients.{names[0]}.{kind}",
        value=name,
        fix=f"The nodes are {', '.join(addresses)}; start one with this resource, or correct it.",
    )
