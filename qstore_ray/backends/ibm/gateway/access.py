"""One gateway for each run and device, in this process or in a Ray actor.

`gateway_for` opens it at the first call and gives the same one afterwards. In this process it is
kept here and closed at exit. On Ray it is in a named actor (`actor.py`), one for each sign-in and
device, which every worker and trial finds by its name. The driver of a run or a study closes both
with `gateways_of`.
"""

from __future__ import annotations

import atexit
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from types import ModuleType
from typing import TYPE_CHECKING, Protocol

from qstore_ray.backends.ibm.budget import HardwareBudget, Spending
from qstore_ray.backends.ibm.call import HardwareCall
from qstore_ray.backends.ibm.config import GatewayConfig, Where
from qstore_ray.backends.ibm.forecast import HardwareCost
from qstore_ray.backends.ibm.gateway.hosting import GatewayHost
from qstore_ray.errors import ConfigError

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray


class GatewayOfRun(Protocol):
    """What the driver of a run does with its gateway, wherever that runs."""

    def withdraw(self, trial: str) -> None:
        """See `Gateway.withdraw`."""
        ...

    def spending(self) -> Spending:
        """See `Gateway.spending`."""
        ...

    def close(self) -> None:
        """See `Gateway.close`."""
        ...


class OpenGateway(GatewayOfRun, Protocol):
    """A gateway, wherever it runs."""

    def evaluate(self, call: HardwareCall) -> Sequence[AnyArray]:
        """See `Gateway.evaluate`."""
        ...

    def evaluate_all(self, calls: Sequence[HardwareCall]) -> Sequence[Sequence[AnyArray]]:
        """See `Gateway.evaluate_all`."""
        ...

    def check_forecast(self, forecast: HardwareCost, trial: str, budget: HardwareBudget) -> None:
        """See `Gateway.check_forecast`."""
        ...

    def check_circuits(self, calls: Sequence[HardwareCall]) -> None:
        """See `Gateway.check_circuits`."""
        ...


_hosts: dict[str, GatewayHost] = {}
"""By sign-in and device: the gateways of this process."""
_actors: dict[tuple[str, str], OpenGateway] = {}
"""By the address of Ray and their settings."""
_lock = threading.Lock()


def gateway_for(config: GatewayConfig, where: Where) -> OpenGateway:
    """The gateway of a run on a device.

    Args:
        where: `process`: here; `ray`: an actor; `auto`: an actor if Ray runs.

    Raises:
        ConfigError: an actor is asked for, and Ray does not run.
        ConfigError, ServiceError, LedgerError: see `opening.open_gateway`.
    """
    if where == "ray" and _running_ray() is None:
        raise ConfigError(
            "the gateway is to be in an actor, and Ray does not run",
            field="backend_options.where",
            value=where,
            fix='Take where = "auto", or workers: trainer.num_workers = 1.',
        )
    if where == "ray" or (where == "auto" and _running_ray() is not None):
        return _remote(config)
    with _lock:
        if not _hosts:
            atexit.register(close_gateways)
        host = _hosts.setdefault(config.place, GatewayHost())
    return host.gateway(config)


def _remote(config: GatewayConfig) -> OpenGateway:
    """The gateway in an actor; it is found once by each process, and again if it has ended."""
    from qstore_ray.backends.ibm.gateway.actor import gateway_actor

    ray = _running_ray()
    at = ray.get_runtime_context().gcs_address if ray else "", config.model_dump_json()
    with _lock:
        if at not in _actors:
            _actors[at] = gateway_actor(config)
        return _actors[at]


def gateways_of(run: str) -> list[GatewayOfRun]:
    """The open gateways of a run, on all devices: those of this process, and of all actors."""
    found: list[GatewayOfRun] = [g for host in tuple(_hosts.values()) for g in host.of_run(run)]
    if _running_ray() is not None:
        from qstore_ray.backends.ibm.gateway.actor import gateway_actors

        found += gateway_actors(run)
    return found


def close_gateways() -> None:
    """Close the gateways of this process: sessions end, ledgers are free."""
    with ExitStack() as closing:
        for host in tuple(_hosts.values()):
            closing.callback(host.close)


def _running_ray() -> ModuleType | None:
    """Ray, if this process has it and is connected."""
    ray = sys.modules.get("ray")
    return ray if ray is not None and ray.is_initialized() else None
