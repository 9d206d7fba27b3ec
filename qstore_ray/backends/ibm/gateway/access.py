"""One gateway for each run and device, in this process or in a Ray actor.

`gateway_for` opens it at the first call and gives the same one afterwards. In this process it is
kept here and closed at exit. On Ray it is a named actor (`actor.py`), which every worker and trial
finds by its name. The driver of a run or a study closes both with `gateways_of`.
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
from qstore_ray.backends.ibm.gateway.gateway import Gateway
from qstore_ray.backends.ibm.gateway.opening import open_gateway

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray


class OpenGateway(Protocol):
    """A gateway, wherever it runs."""

    def evaluate(self, call: HardwareCall) -> Sequence[AnyArray]:
        """See `Gateway.evaluate`."""
        ...

    def evaluate_all(self, calls: Sequence[HardwareCall]) -> Sequence[Sequence[AnyArray]]:
        """See `Gateway.evaluate_all`."""
        ...

    def withdraw(self, trial: str) -> None:
        """See `Gateway.withdraw`."""
        ...

    def check_forecast(self, forecast: HardwareCost, trial: str, budget: HardwareBudget) -> None:
        """See `Gateway.check_forecast`."""
        ...

    def spending(self) -> Spending:
        """See `Gateway.spending`."""
        ...

    def check_circuits(self, calls: Sequence[HardwareCall]) -> None:
        """See `Gateway.check_circuits`."""
        ...

    def close(self) -> None:
        """See `Gateway.close`."""
        ...


_open: dict[str, tuple[str, Gateway]] = {}
"""By their settings: the run and the gateway."""
_actors: dict[tuple[str, str], tuple[str, OpenGateway]] = {}
"""By the address of Ray and their settings: the run and the actor."""
_lock = threading.Lock()


def gateway_for(config: GatewayConfig, where: Where) -> OpenGateway:
    """The gateway of a run on a device.

    Args:
        where: `process`: here; `ray`: an actor; `auto`: an actor if Ray runs.

    Raises:
        ConfigError, ServiceError, LedgerError: see `opening.open_gateway`.
    """
    text = config.model_dump_json()
    ray = _running_ray()
    with _lock:
        if where == "ray" or (where == "auto" and ray is not None):
            from qstore_ray.backends.ibm.gateway.actor import gateway_actor

            place = (ray.get_runtime_context().gcs_address if ray else "", text)
            if place not in _actors:
                _actors[place] = config.run, gateway_actor(config)
            return _actors[place][1]
        if text not in _open:
            if not _open:
                atexit.register(close_gateways)
            _open[text] = config.run, open_gateway(config)
        return _open[text][1]


def gateways_of(run: str, *, forget: bool = False) -> list[OpenGateway]:
    """The open gateways of a run, on all devices: those of this process, and all actors.

    Args:
        forget: they are about to be closed: the next call opens others.
    """
    with _lock:
        here = {text: gateway for text, (owner, gateway) in _open.items() if owner == run}
        found: list[OpenGateway] = list(here.values())
        if forget:
            for text in here:
                del _open[text]
            for place in [place for place, (owner, _) in _actors.items() if owner == run]:
                del _actors[place]
    if _running_ray() is not None:
        from qstore_ray.backends.ibm.gateway.actor import gateway_actors

        found += gateway_actors(run)
    return found


def close_gateways() -> None:
    """Close the gateways of this process: sessions end, ledgers are free."""
    with _lock:
        gateways = [gateway for _, gateway in _open.values()]
        _open.clear()
    with ExitStack() as closing:
        for gateway in gateways:
            closing.callback(gateway.close)


def _running_ray() -> ModuleType | None:
    """Ray, if this process has it and is connected."""
    ray = sys.modules.get("ray")
    return ray if ray is not None and ray.is_initialized() else None
