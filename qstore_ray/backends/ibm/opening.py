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
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

from qstore_ray.backends.ibm.account import sign_in
from qstore_ray.backends.ibm.call import HardwareCall
from qstore_ray.backends.ibm.client import IbmClient
from qstore_ray.backends.ibm.config import GatewayConfig, Where
from qstore_ray.backends.ibm.gateway import Gateway
from qstore_ray.backends.ibm.ledger.entries import LedgerOwner
from qstore_ray.backends.ibm.ledger.ledger import Ledger

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


def gateway_for(config: GatewayConfig, where: Where) -> OpenGateway:
    """The gateway of a run on a device.

    Args:
        where: `process`: here; `ray`: an actor; `auto`: an actor where Ray runs.

    Raises:
        ConfigError, ServiceError, LedgerError: see `open_gateway`.
    """
    ray = sys.modules.get("ray")
    if where == "ray" or (where == "auto" and ray is not None and ray.is_initialized()):
        from qstore_ray.backends.ibm.actor import gateway_actor

        return gateway_actor(config)
    text = config.model_dump_json()
    with _lock:
        if text not in _open:
            if not _open:
                atexit.register(close_gateways)
            _open[text] = open_gateway(config)
        return _open[text]


def open_gateway(config: GatewayConfig) -> Gateway:
    """A new gateway in this process, which signs in and opens the ledger.

    Raises:
        ConfigError: account, device or mode do not exist.
        ServiceError: the service is out of reach.
        LedgerError: another gateway has the ledger open, or it is damaged.
    """
    service = sign_in(config.sign_in)
    mode = config.rates.mode
    client = IbmClient(service, config.device, mode=mode, max_time=config.max_time)
    owner = LedgerOwner(run=config.run, instance=client.instance, backend=config.device)
    with ExitStack() as stack:
        ledger = stack.enter_context(Ledger.open(config.folder(client.instance), owner))
        gateway = Gateway(
            client, ledger, config.policy, config.rates, config.budget,
            seed=config.seed, level=config.level,
        )  # fmt: skip
        stack.pop_all()
    return gateway


def close_gateways() -> None:
    """Close the gateways of this process: sessions end, ledgers are free."""
    with _lock:
        gateways = list(_open.values())
        _open.clear()
    for gateway in gateways:
        gateway.close()
