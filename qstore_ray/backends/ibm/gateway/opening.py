"""Opening a gateway: signing in, reading the calibration, opening the ledger."""

from __future__ import annotations

from contextlib import ExitStack

from qstore_ray.backends.ibm.config import GatewayConfig
from qstore_ray.backends.ibm.gateway.compiling import CallCompiler
from qstore_ray.backends.ibm.gateway.gateway import Gateway
from qstore_ray.backends.ibm.gateway.lanes import Lanes
from qstore_ray.backends.ibm.ledger.entries import LedgerOwner
from qstore_ray.backends.ibm.ledger.layout import calibration_of_run
from qstore_ray.backends.ibm.ledger.ledger import Ledger
from qstore_ray.backends.ibm.service.account import sign_in
from qstore_ray.backends.ibm.service.client import IbmClient


def open_gateway(
    config: GatewayConfig, *, wait: float = 0.0, lanes: Lanes | None = None
) -> Gateway:
    """A new gateway in this process, which signs in and opens the ledger.

    Args:
        wait: seconds to wait for another gateway to close the ledger.
        lanes: the cap of jobs in flight that it shares.

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
        folder = config.folder(client.instance)
        ledger = stack.enter_context(Ledger.open(folder, owner, wait=wait))
        client.device = calibration_of_run(folder, client.device)
        compiler = CallCompiler(client, config.seed, config.level)
        gateway = Gateway(
            client, ledger, config.policy, config.rates, config.budget, compiler, lanes or Lanes()
        )
        stack.pop_all()
    return gateway
