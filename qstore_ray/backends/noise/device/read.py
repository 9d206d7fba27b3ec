"""Read a device from its description: a name, an object of Qiskit's, saved data; and save it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qstore_ray.backends.noise.device.device import Device
from qstore_ray.errors import ConfigError, UsageError
from qstore_ray.files import expanded, write_durably

_FIX = (
    "Give the name of a fake backend such as fake_torino, a backend, a target, saved properties or "
    "an Aer noise model."
)


def read_device(given: Any) -> Device:
    """The device that is described.

    Args:
        given: the name of a fake backend of qiskit-ibm-runtime; the path of a JSON file; a Qiskit
            backend, target or `BackendProperties`; an Aer `NoiseModel`; the dictionary of either.

    Raises:
        ConfigError: something else, or data that describe no device.
        UnknownNameError: no fake backend of this name.
        MissingDependencyError: the package that has it is not installed.
    """
    from qstore_ray.backends.noise.device import aer_model, fake

    if isinstance(given, Device):
        return given
    if isinstance(given, type):
        raise ConfigError(
            "this is a class, and no device",
            value=given.__name__,
            fix=f"Make an object of it: {given.__name__}().",
        )
    if isinstance(given, Path) or (isinstance(given, str) and given.endswith(".json")):
        return _from_file(Path(given))
    if isinstance(given, str):
        return fake.from_name(given)
    if hasattr(given, "noise_instructions"):  # Aer's NoiseModel
        return aer_model.from_noise_model(given)
    if (model := getattr(getattr(given, "options", None), "noise_model", None)) is not None:
        return aer_model.from_noise_model(model)
    if hasattr(given, "target") or hasattr(given, "operation_names"):
        return fake.from_backend(given)  # a target is a mapping too
    if isinstance(given, Mapping):
        return _from_dict(dict(given))
    if hasattr(given, "gates") and hasattr(given, "to_dict"):
        return fake.from_properties(given.to_dict())
    raise ConfigError("no description of a device", value=type(given).__name__, fix=_FIX)


def save_device(device: Device, path: str | Path) -> Path:
    """Write a device's data to a JSON file, which `read_device` reads; the path.

    Raises:
        UsageError: the file cannot be written.
    """
    path = expanded(path)
    if path.suffix != ".json":
        raise UsageError(
            "a device's data are written to a .json file", field="output", value=str(path)
        )
    try:
        write_durably(path, (json.dumps(device.to_dict()) + "\n").encode())
    except OSError as exc:
        raise UsageError(
            f"cannot write the device: {exc.strerror or type(exc).__name__}",
            field="output",
            value=str(path),
            fix="Give a file in a folder that exists and may be written to.",
        ) from exc
    return path


def _from_dict(given: dict[str, Any]) -> Device:
    from qstore_ray.backends.noise.device import aer_model, fake

    if "errors" in given:
        return aer_model.from_dict(given)
    if "backend_name" in given:
        return fake.from_properties(given)
    if "basis" in given:
        return Device.from_dict(given)
    raise ConfigError("no description of a device", value=sorted(given)[:5], fix=_FIX)


def _from_file(path: Path) -> Device:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise ConfigError(f"cannot read the device: {reason}", value=str(path), fix=_FIX) from exc
    except ValueError as exc:
        raise ConfigError("the file is not JSON", value=str(path), fix=_FIX) from exc
    if not isinstance(found, dict):
        raise ConfigError("the file describes no device", value=str(path), fix=_FIX)
    return _from_dict(found)
