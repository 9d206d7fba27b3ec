"""The calibration that a device has now, as data: for its noise, and for the choice of its qubits.

device = read_calibration(IbmAccount(account="work"), "ibm_fez")
save_device(device, "fez.json")             then noise = { device = "fez.json" }
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qstore_ray.backends.ibm.service.account import IbmAccount, sign_in
from qstore_ray.backends.ibm.service.client import IbmClient

if TYPE_CHECKING:
    from qstore_ray.backends.noise.device.device import Device


def read_calibration(account: IbmAccount, device: str) -> Device:
    """The calibration of a device of the account. Signs in; nothing is submitted or billed.

    Raises:
        ConfigError: no such account or device, or a key that is refused.
        ServiceError: the service is out of reach.
        MissingDependencyError: the client library is not installed.
    """
    return IbmClient(sign_in(account), device).device
