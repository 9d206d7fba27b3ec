"""Opening a gateway: signing in, reading the calibration, opening the ledger."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from qstore_ray.backends.ibm.config import GatewayConfig
from qstore_ray.backends.ibm.gateway.billing import AccountLeft
from qstore_ray.backends.ibm.gateway.compiling import CallCompiler
from qstore_ray.backends.ibm.gateway.gateway import Gateway
from qstore_ray.backends.ibm.ledger.entries import LedgerOwner
from qstore_ray.backends.ibm.ledger.file import unwritable_error
from qstore_ray.backends.ibm.ledger.layout import calibration_of_run
from qstore_ray.backends.ibm.ledger.ledger import Ledger
from qstore_ray.backends.ibm.patience import patiently
from qstore_ray.backends.ibm.queue.shared_cap import SharedCap
from qstore_ray.backends.ibm.service.account import sign_in
from qstore_ray.backends.ibm.service.client import IbmClient
from qstore_ray.errors import BackendError, ConfigError, LedgerError
from qstore_ray.files import write_durably

CONFIG: Final = "gateway.json"
_PAUSE: Final = 0.05
_log = logging.getLogger(__name__)


def open_gateway(
    config: GatewayConfig,
    *,
    wait: float = 0.0,
    shared_cap: SharedCap | None = None,
    closing: threading.Event | None = None,
) -> Gateway:
    """A new gateway in this process, which signs in and opens the ledger.

    Args:
        wait: seconds to wait for another gateway to close the ledger.
        shared_cap: the cap of jobs in flight that it shares.
        closing: if it is set, a service that does not answer is waited for no longer.

    Raises:
        ConfigError: account, device, mode or a folder for the ledger do not exist.
        BackendError: `closing` was set while the service or another process was waited for.
        ServiceError: the service has been out of reach for `patience`, or refuses a request.
        LedgerError: another gateway has the ledger open, or it is damaged.
    """
    closing = closing or threading.Event()
    client, account = patiently(lambda: _signed_in(config), config.policy, closing)
    owner = LedgerOwner(run=config.run, instance=client.instance, backend=config.device)
    with ExitStack() as stack:
        folder = config.folder(client.instance)
        ledger = stack.enter_context(_ledger(folder, owner, config, wait, closing))
        save_config(folder, config)
        client.device = calibration_of_run(folder, client.device)
        compiler = CallCompiler(client, config.seed, config.level)
        gateway = Gateway(
            client,
            ledger,
            config.policy,
            config.rates,
            config.budget,
            compiler,
            shared_cap or SharedCap(),
            account,
        )
        stack.pop_all()
    return gateway


def _ledger(
    folder: Path, owner: LedgerOwner, config: GatewayConfig, wait: float, closing: threading.Event
) -> Ledger:
    """The ledger, which is waited for if the settings say so and another process has it open."""
    until = time.monotonic() + max(wait, config.policy.patience if config.waits else 0.0)
    is_said = False
    while True:
        try:
            return Ledger.open(folder, owner)
        except LedgerError as exc:
            if not exc.locked or time.monotonic() >= until:
                raise
            if config.waits and not is_said:
                _log.warning("%s; waiting until it is closed", exc.message)
                is_said = True
        if closing.wait(_PAUSE):
            raise BackendError("the gateway was closed before it had its ledger", field="backend")


def _signed_in(config: GatewayConfig) -> tuple[IbmClient, AccountLeft]:
    """The client of the device, and what the account has left."""
    service = sign_in(config.sign_in)
    client = IbmClient(service, config.device, mode=config.rates.mode, max_time=config.max_time)
    return client, AccountLeft(client, time.monotonic)


def save_config(folder: Path, config: GatewayConfig) -> None:
    """Write beside a ledger what its gateway was opened with, readable by the owner alone.

    Raises:
        LedgerError: it cannot be written.
    """
    path = folder / CONFIG
    try:
        write_durably(path, config.model_dump_json().encode())
        path.chmod(0o600)
    except OSError as exc:
        raise unwritable_error(path, exc) from exc


def config_of(folder: Path, owner: LedgerOwner) -> GatewayConfig:
    """What the last gateway of a ledger was opened with; without the file, the defaults.

    Raises:
        LedgerError: the file is damaged.
    """
    path = folder / CONFIG
    if not path.exists():
        return GatewayConfig(device=owner.backend, run=owner.run)
    try:
        return GatewayConfig.model_validate_json(path.read_bytes())
    except (OSError, ValueError, ConfigError) as exc:
        raise LedgerError(
            "the settings of the gateway beside the ledger are damaged",
            field="ledger",
            value=str(path),
            fix="Remove the file: then the defaults are taken.",
        ) from exc
