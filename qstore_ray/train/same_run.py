"""What a run was made of: kept in its record, and compared when it is resumed."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping
from typing import Any

from qstore_ray.errors import RunExistsError

_VERSIONED = ("qstore-ray", "numpy", "numba", "qiskit", "ray")


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
            fix="Resume it with the data, split and preprocessing of its config.toml, or use "
            "fresh=True.",
        )
    before, now = _flat(earlier.get("recipe", {})), _flat(recipe)
    for field in sorted(before.keys() | now.keys()):
        same = before.get(field) == now.get(field)
        if not same and not _longer(field, before.get(field), now.get(field)):
            raise RunExistsError(
                f"the run was started with {before.get(field)!r}",
                field=field,
                value=now.get(field),
                fix="Resume it with what it was started with (its config.toml), or use fresh=True.",
            )


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
