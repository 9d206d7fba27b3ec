"""The gateways as a named Ray actor, one for each sign-in and device.

It hosts the gateways of the open runs, is detached and restarts by itself, so neither a worker's
nor a driver's end takes it along; the ledgers are on its node, so it is pinned to one: to a node
with the custom resource `qpu_gateway`, or to the only node. Ray makes a call again that a restart
interrupted; its key is the same, so it is answered from the ledger and paid once.

The driver that closes the last run ends the actor. A call that comes then finds it gone, gets it
again by its name, and is made again.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import ActorDiedError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from qstore_ray.backends.ibm.budget import HardwareBudget, Spending
from qstore_ray.backends.ibm.call import HardwareCall
from qstore_ray.backends.ibm.config import GatewayConfig
from qstore_ray.backends.ibm.forecast import HardwareCost
from qstore_ray.backends.ibm.gateway.hosting import IDLE_SECONDS, GatewayHost
from qstore_ray.backends.ibm.gateway.waiter import QUEUE_SECONDS
from qstore_ray.deadline import ray_result
from qstore_ray.errors import BackendError, ConfigError, QStoreError, first_line

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray

RESOURCE = "qpu_gateway"
NAMESPACE = "qstore_ray"
_PREFIX = "qpu-gateway/"
_CALLERS = 512
_CLOSING_SECONDS = 60.0
"""For how long the driver waits for an answer of an actor that is to end."""
_PREDECESSOR_SECONDS = 15.0
"""For how long the process of an actor may live after Ray has given it up."""
_TRIES, _PAUSE = 20, 0.25
"""How often an actor that has just ended is asked for again, and the seconds between."""
_ENDED = "ended"
"""The answer of an actor that is about to end: the call has to be made again."""


_ME = secrets.token_hex(8)
"""This process, as a caller of gateways."""


class GatewayServer:
    """What runs in the actor's process. No argument holds credentials.

    A gateway is opened by the first call of its run, not with the actor: of an error there, Ray
    would only say that the actor died.
    """

    def __init__(self) -> None:
        self._host = GatewayHost(wait=_PREDECESSOR_SECONDS)
        self._ending, self._is_over, self._is_watched = threading.Lock(), False, False
        self._asking = 0
        self._closed: Counter[tuple[str, str]] = Counter()
        """By run and process: how often it has closed the gateway."""

    def ask(self, config: str, method: str, *arguments: Any, caller: str = "") -> Any:
        """What a method of the run's gateway returns, which is opened by the first call.

        Args:
            caller: names the process. If several make the same call, and one of them closes the
                gateway, it is opened again for the others.
        """
        with self._ending:
            if self._is_over:
                return _ENDED
            if not self._is_watched and ray.is_initialized():
                me, self._is_watched = ray.get_runtime_context().current_actor, True
                threading.Thread(target=self._end_if_idle, args=(me,), daemon=True).start()
            self._asking += 1
        made = GatewayConfig.model_validate_json(config)
        before = self._closed[made.run, caller]
        try:
            gateway = self._host.gateway(made)
        finally:
            with self._ending:
                self._asking -= 1
        while True:
            try:
                return getattr(gateway, method)(*arguments)
            except BackendError:
                is_ours = not made.waits or self._closed[made.run, caller] != before
                if is_ours or gateway.is_alive:
                    raise
            gateway = self._host.gateway(made)

    def has_run(self, run: str) -> bool:
        """Whether a gateway of the run is open, or is being opened or closed."""
        return bool(self._host.of_run(run))

    def withdraw(self, run: str, trial: str) -> None:
        """See `Gateway.withdraw`."""
        for gateway in self._host.of_run(run):
            gateway.withdraw(trial)

    def spending(self, run: str) -> list[Spending]:
        """See `Gateway.spending`: of each ledger of the run."""
        return [gateway.spending() for gateway in self._host.of_run(run)]

    def close(self, run: str, caller: str = "") -> tuple[bool, QStoreError | None]:
        """Close the gateways of a run; whether none is left, and what went wrong.

        If none is left, every later call is refused: the actor has to be ended.
        """
        error = None
        self._closed[run, caller] += 1
        try:
            self._host.close(run)
        except QStoreError as exc:
            error = exc
        with self._ending:
            self._is_over = self._is_empty()
            return self._is_over, error

    def _is_empty(self) -> bool:
        return not self._asking and self._host.is_empty()

    def _end_if_idle(self, me: Any) -> None:
        """End the actor once nobody has called it for long."""
        since = time.monotonic()
        while True:
            time.sleep(30.0)
            self._host.close_idle()
            with self._ending:
                if not self._is_empty():
                    since = time.monotonic()
                elif time.monotonic() - since > IDLE_SECONDS:
                    self._is_over = True
                    ray.kill(me, no_restart=True)
                    return


class RemoteGateway:
    """The gateway of a run in an actor; errors are those that it raised.

    Args:
        actor: of the device.
        config: of the gateway; None for one that is open, see `gateway_actors`.
        run: whose gateway it is.
    """

    def __init__(self, actor: Any, config: GatewayConfig | None, run: str) -> None:
        self._actor, self._config, self._run = actor, config, run

    def _ask(self, method: str, *arguments: object) -> Any:
        """The answer of a method of the actor, which is found again if it has just ended."""
        assert self._config is not None, "an open gateway is not asked to open one"
        text = self._config.model_dump_json()
        for left in reversed(range(_TRIES)):
            with _answering():
                try:
                    asked = self._actor.ask.remote(text, method, *arguments, caller=_ME)
                    found = ray_result(
                        asked, f"the device {self._config.device}", first_warning=QUEUE_SECONDS
                    )
                    if not (isinstance(found, str) and found == _ENDED):
                        return found
                except ActorDiedError:
                    if not left:
                        raise
            time.sleep(_PAUSE)
            self._actor = _actor_of(self._config)
        raise BackendError("the gateway to the quantum computer ends again and again")

    def evaluate(self, call: HardwareCall) -> Sequence[AnyArray]:
        """See `Gateway.evaluate`.

        Raises:
            BackendError: the actor has ended.
        """
        return self.evaluate_all([call])[0]

    def evaluate_all(self, calls: Sequence[HardwareCall]) -> Sequence[Sequence[AnyArray]]:
        """See `Gateway.evaluate_all`."""
        found: Sequence[Sequence[AnyArray]] = self._ask("evaluate_all", calls)
        return found

    def check_forecast(self, forecast: HardwareCost, trial: str, budget: HardwareBudget) -> None:
        """See `Gateway.check_forecast`."""
        self._ask("check_forecast", forecast, trial, budget)

    def check_circuits(self, calls: Sequence[HardwareCall]) -> None:
        """See `Gateway.check_circuits`."""
        self._ask("check_circuits", calls)

    def withdraw(self, trial: str) -> None:
        """See `Gateway.withdraw`.

        Raises:
            BackendError: the actor does not answer.
        """
        with _answering():
            ray.get(self._actor.withdraw.remote(self._run, trial), timeout=_CLOSING_SECONDS)

    def spending(self) -> Spending:
        """See `Gateway.spending`.

        Raises:
            BackendError: the actor does not answer.
        """
        with _answering():
            found: list[Spending] = ray.get(
                self._actor.spending.remote(self._run), timeout=_CLOSING_SECONDS
            )
        return found[0] if found else Spending()

    def close(self) -> None:
        """Close the gateway of the run; the actor ends with its last one.

        Raises:
            BackendError: the actor does not answer: its session may be open. It is started again.
            ServiceError: a session could not be closed.
        """
        is_last, error = False, None
        try:
            with _answering():
                is_last, error = ray.get(
                    self._actor.close.remote(self._run, _ME), timeout=_CLOSING_SECONDS
                )
        except BackendError:
            with _answering():
                ray.kill(self._actor, no_restart=False)
            raise
        if is_last:
            with _answering():
                ray.kill(self._actor, no_restart=True)
        if error is not None:
            raise error


@contextmanager
def _answering() -> Iterator[None]:
    """Errors of the gateway are raised as they are, those of its process as a `BackendError`."""
    try:
        yield
    except RayTaskError as exc:
        if isinstance(exc.cause, QStoreError):
            raise exc.cause from None
        raise
    except RayError as exc:
        raise BackendError(
            f"the gateway to the quantum computer does not answer: {first_line(exc)}",
            field="backend",
            fix="Jobs at the service are run; the ledger has them. Look there for an open session.",
        ) from exc


def gateway_actors(run: str) -> list[RemoteGateway]:
    """The gateways of a run that are open in an actor."""
    named: list[dict[str, str]] = ray.util.list_named_actors(all_namespaces=True)
    names = [each["name"] for each in named if each["namespace"] == NAMESPACE]
    found = []
    for name in names:
        if name.startswith(_PREFIX):
            with suppress(ValueError):  # it has ended meanwhile
                actor = ray.get_actor(name, namespace=NAMESPACE)
                found += [RemoteGateway(actor, None, run)] if _has_run(actor, run) else []
    return found


def _has_run(actor: Any, run: str) -> bool:
    """Whether a gateway of the run is open in the actor; one that has just ended has none."""
    with _answering():
        try:
            return bool(ray.get(actor.has_run.remote(run), timeout=_CLOSING_SECONDS))
        except ActorDiedError:
            return False


def gateway_actor(config: GatewayConfig) -> RemoteGateway:
    """The gateway of a run in the actor of its device; the first call makes the actor.

    Raises:
        ConfigError: no node has the resource `qpu_gateway`, and there are several.
    """
    return RemoteGateway(_actor_of(config), config, config.run)


def _actor_of(config: GatewayConfig) -> Any:
    """The actor of a device and sign-in; the first call makes it.

    Raises:
        ConfigError: no node has the resource `qpu_gateway`, and there are several.
    """
    options: dict[str, Any] = {}
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    if resources.get(RESOURCE, 0.0) > 0.0:
        options["resources"] = {RESOURCE: 0.001}
    else:
        found: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        nodes = [node["NodeID"] for node in found if node["Alive"]]
        if len(nodes) != 1:
            raise ConfigError(
                f"none of the {len(nodes)} nodes has the resource {RESOURCE!r}",
                field="backend",
                value=config.device,
                fix="Start the node that may sign in at IBM with "
                f"the resource {RESOURCE}: 1; docs/hardware.md shows how.",
            )
        options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(nodes[0], soft=False)
    return (
        ray.remote(GatewayServer)
        .options(
            name=_PREFIX + config.place,
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            max_restarts=-1,
            max_task_retries=-1,
            max_concurrency=_CALLERS,
            num_cpus=0,
            **options,
        )
        .remote()
    )
