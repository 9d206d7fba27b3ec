"""The gateway as a named Ray actor, one for each run and device.

It is detached and restarts by itself, so neither a worker's nor a driver's end takes it along; the
ledger is on its node, so it is pinned to one: to a node with the custom resource `qpu_gateway`, or
to the only node. A call that was interrupted by a restart is made again by Ray; its key is the
same, so it is answered from the ledger and paid once.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from qstore_ray.backends.ibm.budget import HardwareBudget
from qstore_ray.backends.ibm.call import HardwareCall
from qstore_ray.backends.ibm.config import GatewayConfig
from qstore_ray.backends.ibm.forecast import HardwareCost
from qstore_ray.backends.ibm.gateway.gateway import Gateway
from qstore_ray.backends.ibm.gateway.opening import open_gateway
from qstore_ray.errors import ConfigError, QStoreError

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray

RESOURCE = "qpu_gateway"
NAMESPACE = "qstore_ray"
_CALLERS = 512
_PREDECESSOR_SECONDS = 15.0
"""For how long the process of an actor may live after Ray has given it up."""


class GatewayServer:
    """What runs in the actor's process; its only argument holds no credentials.

    The gateway is opened by the first call, so what is wrong with an account is raised there: an
    error in the constructor would reach the caller as the text of a dead actor.
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

    def withdraw(self, trial: str) -> None:
        """See `Gateway.withdraw`."""
        self._open().withdraw(trial)

    def check_forecast(self, forecast: HardwareCost, trial: str, budget: HardwareBudget) -> None:
        """See `Gateway.check_forecast`."""
        self._open().check_forecast(forecast, trial, budget)

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
        """See `Gateway.evaluate`."""
        found: Sequence[AnyArray] = _answer(self._actor.evaluate.remote(call))
        return found

    def withdraw(self, trial: str) -> None:
        """See `Gateway.withdraw`."""
        ray.get(self._actor.withdraw.remote(trial))

    def check_forecast(self, forecast: HardwareCost, trial: str, budget: HardwareBudget) -> None:
        """See `Gateway.check_forecast`."""
        _answer(self._actor.check_forecast.remote(forecast, trial, budget))

    def close(self) -> None:
        """End the actor, when its session is closed."""
        ray.get(self._actor.close.remote())
        ray.kill(self._actor, no_restart=True)


def _answer(reference: Any) -> Any:
    try:
        return ray.get(reference)
    except RayTaskError as exc:
        if isinstance(exc.cause, QStoreError):
            raise exc.cause from None
        raise


def actor_name(config: GatewayConfig) -> str:
    """The actor's name: of instance, device and run."""
    text = config.model_dump_json(include={"sign_in", "run", "ledger"})
    return f"qpu-gateway/{config.device}/{hashlib.sha256(text.encode()).hexdigest()[:16]}"


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
