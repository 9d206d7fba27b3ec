"""The calibration that a device has now, as data: for its noise, and for the choice of its qubits.

device = read_calibration(IbmAccount(account="work"), "ibm_fez")
save_device(device, "fez.json")             then noise = { device = "fez.json" }
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from qstore_ray.backends.ibm.patience import patiently
from qstore_ray.backends.ibm.policy import GatewayPolicy
from qstore_ray.backends.ibm.service.account import IbmAccount, sign_in
from qstore_ray.backends.ibm.service.client import IbmClient

if TYPE_CHECKING:
    from qstore_ray.backends.noise.device.device import Device


def read_calibration(
    account: IbmAccount, device: str, policy: GatewayPolicy | None = None
) -> Device:
    """The calibration of a device of the account. Signs in; nothing is submitted or billed.

    Args:
        policy: how long a service that does not answer is asked again, and with which pauses.

    Raises:
        ConfigError: no such account or device, or a key that is refused.
        ServiceError: the service has been out of reach for the policy's `patience`.
        MissingDependencyError: the client library is not installed.
    """
    return patiently(
        lambda: IbmClient(sign_in(account), device).device,
        policy or GatewayPolicy(),
        threading.Event(),
    )
