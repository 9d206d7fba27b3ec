"""What a run was made of: kept in its record, and compared when it is resumed."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

from qstore_ray.circuits.load import is_name, kept_circuit
from qstore_ray.errors import RunExistsError

_CIRCUIT = "model.circuit"
EARLIER = {"trainer.target_scaling": "none"}
"""Fields that a record of an earlier version does not have, and what that version did."""

EARLIER_RANKS = ' (and split.ranks = "default_rng" where it is older than that field)'

_VERSIONED = ("qstore-ray", "numpy", "qiskit", "ray")


def check_same(
    earlier: Mapping[str, Any], recipe: Mapping[str, Any], data_fingerprint: str
) -> None:
    """Raise where a run that is resumed is made of something else than its first attempt. More
    epochs are no such thing.

    Args:
        earlier: its record. recipe, data_fingerprint: of the attempt that begins.

    Raises:
        RunExistsError: other data, or another recipe; the first field that differs is named.
    """
    if earlier.get("fingerprints", {}).get("data") != data_fingerprint:
        raise RunExistsError(
            "the run was started with other data",
            field="dataset",
            value=data_fingerprint[:16],
            fix="Resume it with the data, split and preprocessing of its config.toml"
            f"{EARLIER_RANKS}, or use existing='replace'.",
        )
    before, now = _flat(earlier.get("recipe", {})), _flat(recipe)
    before = with_same_circuit(before, now, "run")
    for field in sorted(before.keys() | now.keys()):
        was = before.get(field, EARLIER.get(field))
        if was != now.get(field) and not _longer(field, was, now.get(field)):
            fix = (
                "Resume it with what it was started with (its config.toml), or use "
                "existing='replace'."
            )
            if field in EARLIER and field not in before:
                fix = f'It is of an earlier version: set {field} = "{was}" to resume it.'
            raise RunExistsError(
                f"the run was started with {was!r}", field=field, value=now.get(field), fix=fix
            )


def with_same_circuit(
    before: Mapping[str, Any], now: Mapping[str, Any], what: str
) -> dict[str, Any]:
    """What an earlier attempt was made of, its circuit as text, which must be the same now.

    Args:
        before, now: by dotted fields. what: run or study, for the error.

    Raises:
        RunExistsError: another circuit. ConfigError: see `circuit_by_name`.
    """
    earlier, later = before.get(_CIRCUIT, "library"), now.get(_CIRCUIT, "library")
    if earlier == later:
        return dict(before)
    earlier = circuit_by_name(earlier)
    if earlier != later:
        raise RunExistsError(
            f"the {what} was started with another circuit",
            field=_CIRCUIT,
            value=_first_difference(earlier, later),
            fix=f"Continue with the circuit that the {what} was started with (its record has it), "
            "or train the changed one under another name.",
        )
    return {**before, _CIRCUIT: earlier}


def circuit_by_name(circuit: str) -> str:
    """The circuit, for those that runs of earlier versions kept by a function's name alone.

    Raises:
        ConfigError: the function is gone, or gives no circuit any more.
    """
    if not is_name(circuit):
        return circuit
    sys.stderr.write(
        f"warning: an earlier version kept the circuit only by its name, {circuit}. The function "
        "is called again; if it was changed since, this is another circuit than was trained\n"
    )
    return kept_circuit(circuit)


def _first_difference(before: str, now: str) -> str:
    """The first line of `now` that is not in its place in `before`."""
    lines = zip_longest(before.splitlines(), now.splitlines(), fillvalue="")
    return next((f"{new!r} for {old!r}" for old, new in lines if new != old), "")


def epochs_of(record: Mapping[str, Any]) -> int | None:
    """For how many epochs the run of this record was meant; None where it does not say."""
    epochs = record.get("recipe", {}).get("trainer", {}).get("epochs")
    return epochs if isinstance(epochs, int) else None


def _longer(field: str, before: Any, now: Any) -> bool:
    return field == "trainer.epochs" and isinstance(before, int) and before < now


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one, with dotted names."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        inner = isinstance(value, Mapping)
        flat |= _flat(value, f"{prefix}{name}.") if inner else {f"{prefix}{name}": value}
    return flat


def changed_versions(earlier: Mapping[str, Any]) -> str:
    """A warning where a run is resumed with other versions than those of its record, or nothing.

    That is no reason to refuse it, but its end may differ in the last digits from one that was
    never interrupted.
    """
    before, now = earlier.get("versions", {}), versions()
    other = [f"{name} {before[name]}" for name in before if before[name] != now.get(name)]
    if not other:
        return ""
    found = ", ".join(f"{name} {now.get(name)}" for name in before if before[name] != now.get(name))
    return f"the run was started with {', '.join(other)}, and goes on with {found}"


def versions() -> dict[str, str]:
    """Of Python and of the packages that a result may depend on."""
    found = {"python": platform.python_version()}
    for package in _VERSIONED:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found
