"""Devices from Qiskit: a backend, a target, the properties that were saved, a fake backend by name.

Readout errors are those of the properties, P(0|1) and P(1|0), if there are any; a target knows only
their mean. Everything is in seconds.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from qstore_ray.backends.noise.device.device import (
    Device,
    DeviceGate,
    DeviceQubit,
    as_calibrated,
)
from qstore_ray.backends.noise.entries import Confusion
from qstore_ray.circuits.first_import import import_qiskit
from qstore_ray.errors import (
    ConfigError,
    MissingDependencyError,
    UnknownNameError,
    unknown_name_error,
)
from qstore_ray.types import Table

_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9, "ps": 1e-12}
_NO_GATES = frozenset({"measure", "delay", "if_else", "for_loop", "while_loop", "switch_case"})
_IDLE = "id"


def from_name(name: str) -> Device:
    """The fake backend of qiskit-ibm-runtime with this name.

    Raises:
        UnknownNameError: no such backend; the message has the nearest names.
        MissingDependencyError: the package is not installed.
    """
    import_qiskit("qiskit_ibm_runtime")
    try:
        from qiskit_ibm_runtime import fake_provider
        from qiskit_ibm_runtime.fake_provider.fake_backend import FakeBackendV2
    except ImportError as exc:
        raise MissingDependencyError(
            "fake backends come with qiskit-ibm-runtime, which cannot be imported",
            field="device",
            value=name,
            fix="pip install qiskit-ibm-runtime",
        ) from exc
    known: dict[str, Any] = {
        str(vars(each)["backend_name"]): each
        for each in vars(fake_provider).values()
        if isinstance(each, type) and issubclass(each, FakeBackendV2) and each is not FakeBackendV2
    }
    if name not in known:
        raise unknown_device_error(name, known)
    return from_backend(known[name]())


def unknown_device_error(name: str, known: Iterable[str]) -> UnknownNameError:
    """The error for a name that no fake backend has; `torino` is near to `fake_torino`."""
    known = list(known)
    if f"fake_{name.removeprefix('ibm_')}" in known:
        name_fix = f"Did you mean fake_{name.removeprefix('ibm_')}?"
        return UnknownNameError("unknown fake backend", field="device", value=name, fix=name_fix)
    return unknown_name_error("fake backend", name, known, field="device")


def from_backend(given: Any) -> Device:
    """From a `BackendV2`, or its `Target` alone."""
    target = getattr(given, "target", given)
    properties = given.properties() if callable(getattr(given, "properties", None)) else None
    read = _readouts(properties.to_dict()["qubits"]) if properties is not None else {}
    n_qubits = target.num_qubits or 0
    measured = _measured(target)
    known = target.qubit_properties or [None] * n_qubits
    qubits = tuple(
        DeviceQubit(
            t1=_positive(getattr(each, "t1", None)),
            t2=_positive(getattr(each, "t2", None)),
            readout=read.get(q) or measured.get(q),
        )
        for q, each in enumerate(known)
    )
    gates = [
        DeviceGate(
            gate=name,
            qubits=places,
            error=_number(getattr(each, "error", None)),
            time=_number(getattr(each, "duration", None)),
        )
        for name in target.operation_names
        if _is_gate(name)
        for places, each in (target[name] or {None: None}).items()
    ]
    other = {name for name in target.operation_names if not _is_gate(name)} - _NO_GATES
    return _device(
        _name_of(given, target),
        " ".join(
            str(part)
            for part in (
                getattr(given, "backend_version", None),
                getattr(properties, "last_update_date", None),
            )
            if part
        ),
        qubits,
        gates,
        left_out=other,
    )


def from_properties(given: Table) -> Device:
    """From the dictionary of a `BackendProperties`, as IBM's backends save it.

    Raises:
        ConfigError: no such dictionary; a gate on no qubits; an unknown unit.
    """
    try:
        named = [{entry["name"]: entry for entry in each} for each in given["qubits"]]
        read = _readouts(given["qubits"])
        qubits = tuple(
            DeviceQubit(t1=_time(each, "T1"), t2=_time(each, "T2"), readout=read.get(q))
            for q, each in enumerate(named)
        )
        gates, other = [], set()
        for entry in given["gates"]:
            if not _is_gate(entry["gate"]):
                other.add(entry["gate"])
                continue
            values = {each["name"]: each for each in entry["parameters"]}
            gates.append(
                DeviceGate(
                    gate=entry["gate"],
                    qubits=tuple(entry["qubits"]),
                    error=_number(values.get("gate_error", {}).get("value")),
                    time=_time(values, "gate_length", zero=True),
                )
            )
        name, version = str(given["backend_name"]), given.get("backend_version", "")
        when = given.get("last_update_date", "")
    except (KeyError, TypeError, AttributeError) as exc:
        raise ConfigError(
            f"these are not the properties of a backend: {type(exc).__name__} at {exc}",
            field="device",
            fix="Save the properties with backend.properties().to_dict().",
        ) from exc
    return _device(name, f"{version} {when}".strip(), qubits, gates, left_out=other - _NO_GATES)


def _device(
    name: str,
    version: str,
    qubits: tuple[DeviceQubit, ...],
    gates: list[DeviceGate],
    *,
    left_out: set[str],
) -> Device:
    """A gate that takes no time and makes no error on any qubit is one entry."""
    by_name: dict[str, list[DeviceGate]] = defaultdict(list)
    for gate in as_calibrated(gates, qubits):
        by_name[gate.gate].append(gate)
    kept: list[DeviceGate] = []
    for gate_name, each in sorted(by_name.items()):
        free = all(g.error == 0 and g.time == 0 for g in each)
        one = all(g.qubits is not None and len(g.qubits) == 1 for g in each)
        if free and one:
            kept.append(DeviceGate(gate=gate_name, error=0.0, time=0.0))
        else:
            kept += sorted(each, key=lambda g: g.qubits or ())
    if not by_name:
        raise ConfigError("the device has no gates that are known here", field="device", value=name)
    coupled = not any(gate_width(g.gate) == 2 and g.qubits is None for g in kept)
    return Device(
        name=name,
        version=version,
        basis=tuple(sorted(by_name)),
        qubits=qubits,
        gates=tuple(kept),
        coupled=coupled,
        left_out=tuple(sorted(left_out)),
    )


def _name_of(given: Any, target: Any) -> str:
    name = getattr(given, "name", None) or getattr(target, "description", None)
    return name if isinstance(name, str) and name else "target"


def _is_gate(name: str) -> bool:
    return name != _IDLE and gate_width(name) in {1, 2}


def gate_width(name: str) -> int:
    """How many qubits a gate of Qiskit's own acts on; 0 if it is no gate."""
    from qiskit.circuit import Gate
    from qiskit.circuit.library import get_standard_gate_name_mapping

    found = get_standard_gate_name_mapping().get(name)
    return int(found.num_qubits) if isinstance(found, Gate) else 0


def _readouts(qubits: Iterable[Iterable[Mapping[str, Any]]]) -> dict[int, Confusion]:
    found: dict[int, Confusion] = {}
    for q, entries in enumerate(qubits):
        values = {each["name"]: each.get("value") for each in entries}
        mean = values.get("readout_error")
        one_for_zero = values.get("prob_meas1_prep0", mean)
        zero_for_one = values.get("prob_meas0_prep1", mean)
        if one_for_zero is not None and zero_for_one is not None:
            found[q] = _confusion(float(one_for_zero), float(zero_for_one))
    return found


def _measured(target: Any) -> dict[int, Confusion]:
    if "measure" not in target.operation_names:
        return {}
    return {
        places[0]: _confusion(float(each.error), float(each.error))
        for places, each in target["measure"].items()
        if places is not None and each is not None and each.error is not None
    }


def _confusion(one_for_zero: float, zero_for_one: float) -> Confusion:
    return ((1.0 - one_for_zero, zero_for_one), (one_for_zero, 1.0 - zero_for_one))


def _time(
    values: Mapping[str, Mapping[str, Any]], name: str, *, zero: bool = False
) -> float | None:
    entry = values.get(name)
    if entry is None or entry.get("value") is None:
        return None
    unit = entry.get("unit", "s")
    if unit not in _SECONDS:
        raise unknown_name_error("unit of time", str(unit), _SECONDS, field=name)
    seconds = float(entry["value"]) * _SECONDS[unit]
    return _number(seconds) if zero else _positive(seconds)


def _positive(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) and value > 0.0 else None


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
