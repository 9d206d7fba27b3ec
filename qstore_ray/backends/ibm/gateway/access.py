"""One gateway for each run and device, in this process or in a Ray actor.

`gateway_for` opens it at the first call and gives the same one afterwards. In this process it is
kept here and closed at exit. On Ray it is a named actor (`actor.py`), which every worker and trial
finds by its name.
"""

from __future__ import annotations

import atexit
import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from qstore_ray.backends.ibm.budget import HardwareBudget
from qstore_ray.backends.ibm.call import HardwareCall
from qstore_ray.backends.ibm.config import GatewayConfig, Where
from qstore_ray.backends.ibm.forecast import HardwareCost
from qstore_ray.backends.ibm.gateway.gateway import Gateway
from qstore_ray.backends.ibm.gateway.opening import open_gateway

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray

_open: dict[str, Gateway] = {}
_lock = threading.Lock()


class OpenGateway(Protocol):
    """A gateway, wherever it runs."""

    def evaluate(self, call: HardwareCall) -> Sequence[AnyArray]:
        """See `Gateway.evaluate`."""
        ...

    def withdraw(self, trial: str) -> None:
        """See `Gateway.withdraw`."""
        ...

    def check_forecast(self, forecast: HardwareCost, trial: str, budget: HardwareBudget) -> None:
        """See `Gateway.check_forecast`."""
        ...


def gateway_for(config: GatewayConfig, where: Where) -> OpenGateway:
    """The gateway of a run on a device.

    Args:
        where: `process`: here; `ray`: an actor; `auto`: an actor where Ray runs.

    Raises:
        ConfigError, ServiceError, LedgerError: see `opening.open_gateway`.
    """
    ray = sys.modules.get("ray")
    if where == "ray" or (where == "auto" and ray is not None and ray.is_initialized()):
        from qstore_ray.backends.ibm.gateway.actor import gateway_actor

        return gateway_actor(config)
    text = config.model_dump_json()
    with _lock:
        if text not in _open:
            if not _open:
                atexit.register(close_gateways)
            _open[text] = open_gateway(config)
        return _open[text]


def close_gateways() -> None:
    """Close the gateways of this process: sessions end, ledgers are free."""
    with _lock:
        gateways = list(_open.values())
        _open.clear()
    for gateway in gateways:
        gateway.close()
