"""The calibration that the circuits of a run are laid out by, kept beside its ledger.

A run stays on its qubits: confusion matrices that were measured are of these. So a gateway that
opens the ledger again lays circuits out as the first one did, also after the device was calibrated
again. A new run takes a new calibration.
"""

from __future__ import annotations

import os
from pathlib import Path

from qstore_ray.backends.ibm.ledger.file import unwritable_error
from qstore_ray.backends.noise.device.device import Device
from qstore_ray.errors import ConfigError, LedgerError
from qstore_ray.files import write_durably

CALIBRATION = "calibration.json"


def calibration_of_run(folder: Path, now: Device) -> Device:
    """The calibration in the folder of a run. If no file exists, write `now` and return it.

    Raises:
        LedgerError: the file is damaged, or cannot be written.
    """
    path = folder / CALIBRATION
    try:
        text = path.read_bytes() if path.exists() else None
        if text is None:
            write_durably(path, now.model_dump_json(exclude_none=True).encode())
            return now
    except OSError as exc:
        raise unwritable_error(path, exc) from exc
    try:
        return Device.model_validate_json(text)
    except (ValueError, ConfigError) as exc:
        raise LedgerError(
            "the calibration of the run is damaged",
            field="ledger",
            value=os.fspath(path),
            fix="Restore the file, or begin a new run.",
        ) from exc
