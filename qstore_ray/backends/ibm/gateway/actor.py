"""The gateway as a named Ray actor, one for each run and device.

It is detached and restarts by itself, so neither a worker's nor a driver's end takes it along; the
ledger is on its node, so it is pinned to one: to a node with the custom resource `qpu_gateway`, or
to the only node. A call that was interrupted by a restart is made again by Ray; its key is the
same, so it is answered from the ledger and paid once.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from qstore_ray.backends.ibm.budget import HardwareBudget, Spending
from qstore_ray.backends.ibm.call import HardwareCall
from qstore_ray.backends.ibm.config import GatewayConfig
from qstore_ray.backends.ibm.forecast import HardwareCost
from qstore_ray.backends.ibm.gateway.gateway import Gateway
from qstore_ray.backends.ibm.gateway.opening import open_gateway
from qstore_ray.errors import BackendError, ConfigError, QStoreError, first_line

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray

RESOURCE = "qpu_gateway"
NAMESPACE = "qstore_ray"
_CALLERS = 512
_CLOSING_SECONDS = 60.0
"""For how long the driver waits for an answer of an actor that is to end."""
_PREDECESSOR_SECONDS = 15.0
"""For how long the process of an actor may live after Ray has given it up."""


class GatewayServer:
    """What runs in the actor's process; its only argument holds no credentials.

    The gateway is opened by the first call, not with the actor: of an error there, Ray would only
    say that the actor died.
    """

    def __init__(self, config: str) -> None:
        self._config = GatewayConfig.model_validate_json(config)
        self._gateway: Gateway | None = None
        self._opening = threading.Lock()

    def _open(self) -> Gateway:
        with self._opening:
            if self._gateway is None:
                self._gateway = open_gateway(self._config, wait=_PREDECESSOR_SECONDS)
            return self._gateway

    def evaluate(self, call: HardwareCall) -> Sequence[AnyArray]:
        """See `Gateway.evaluate`."""
        return self._open().evaluate(call)

    def evaluate_all(self, calls: Sequence[HardwareCall]) -> Sequence[Sequence[AnyArray]]:
        """See `Gateway.evaluate_all`."""
        return self._open().evaluate_all(calls)

    def withdraw(self, trial: str) -> None:
        """See `Gateway.withdraw`."""
        if self._gateway is not None:
            self._gateway.withdraw(trial)

    def check_forecast(self, forecast: HardwareCost, trial: str, budget: HardwareBudget) -> None:
        """See `Gateway.check_forecast`."""
        self._open().check_forecast(forecast, trial, budget)

    def spending(self) -> Spending:
        """See `Gateway.spending`; of a gateway that was never opened, nothing."""
        return Spending() if self._gateway is None else self._gateway.spending()

    def check_circuits(self, calls: Sequence[HardwareCall]) -> None:
        """See `Gateway.check_circuits`."""
        self._open().check_circuits(calls)

    def close(self) -> None:
        """Close session and ledger."""
        with self._opening:
            if self._gateway is not None:
                self._gateway.close()


class RemoteGateway:
    """A gateway in an actor; errors are those that it raised."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def evaluate(self, call: HardwareCall) -> Sequence[AnyArray]:
        """See `Gateway.evaluate`.

        Raises:
            BackendError: the actor has ended.
        """
        with _answering():
            found: Sequence[AnyArray] = ray.get(self._actor.evaluate.remote(call))
        return found

    def evaluate_all(self, calls: Sequence[HardwareCall]) -> Sequence[Sequence[AnyArray]]:
        """See `Gateway.evaluate_all`."""
        with _answering():
            found: Sequence[Sequence[AnyArray]] = ray.get(self._actor.evaluate_all.remote(calls))
        return found

    def withdraw(self, trial: str) -> None:
        """See `Gateway.withdraw`.

        Raises:
            BackendError: the actor does not answer.
        """
        with _answering():
            ray.get(self._actor.withdraw.remote(trial), timeout=_CLOSING_SECONDS)

    def check_forecast(self, forecast: HardwareCost, trial: str, budget: HardwareBudget) -> None:
        """See `Gateway.check_forecast`."""
        with _answering():
            ray.get(self._actor.check_forecast.remote(forecast, trial, budget))

    def spending(self) -> Spending:
        """See `Gateway.spending`.

        Raises:
            BackendError: the actor does not answer.
        """
        with _answering():
            found: Spending = ray.get(self._actor.spending.remote(), timeout=_CLOSING_SECONDS)
        return found

    def check_circuits(self, calls: Sequence[HardwareCall]) -> None:
        """See `Gateway.check_circuits`."""
        with _answering():
            ray.get(self._actor.check_circuits.remote(calls))

    def close(self) -> None:
        """End the actor, when its session is closed; also one that does not answer.

        Raises:
            BackendError: the actor does not answer: its session may be open.
        """
        try:
            with _answering():
                ray.get(self._actor.close.remote(), timeout=_CLOSING_SECONDS)
        finally:
            with _answering():
                ray.kill(self._actor, no_restart=True)


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


def actor_name(config: GatewayConfig) -> str:
    """The actor's name: of run, device and instance."""
    text = config.model_dump_json(include={"sign_in", "run", "ledger"})
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"{_prefix(config.run)}{config.device}/{digest}"


def _prefix(run: str) -> str:
    return f"qpu-gateway/{run}/"


def gateway_actors(run: str) -> list[RemoteGateway]:
    """The actors of a run that exist."""
    named: list[dict[str, str]] = ray.util.list_named_actors(all_namespaces=True)
    names = [each["name"] for each in named if each["namespace"] == NAMESPACE]
    found = []
    for name in names:
        if name.startswith(_prefix(run)):
            with suppress(ValueError):  # it has ended meanwhile
                found.append(RemoteGateway(ray.get_actor(name, namespace=NAMESPACE)))
    return found


def gateway_actor(config: GatewayConfig) -> RemoteGateway:
    """The actor of a run on a device; the first call makes it.

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
    actor = (
        ray.remote(GatewayServer)
        .options(
            name=actor_name(config),
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            max_restarts=-1,
            max_task_retries=-1,
            max_concurrency=_CALLERS,
            num_cpus=0,
            **options,
        )
        .remote(config.model_dump_json())
    )
    return RemoteGateway(actor)
