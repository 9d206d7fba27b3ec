"""How the circuits of a run were computed, and what its test rows scored that way.

Both the report and the model card say it: backend, shots, noise, mitigation, and the scores of the
test rows exact, with the noise and shots of the run, and mitigated, side by side with Wilson's 95 %
intervals.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from qstore_ray.track.reading.statistics import Interval, wilson_interval

if TYPE_CHECKING:
    from qstore_ray.types import ReadOnlyTable, Table

PARTS = ("test", "noisy_test", "mitigated_test")
"""The ways in which test rows are scored: the first words of the metrics' names."""
_MOST_ENTRIES = 4


class Way(NamedTuple):
    """An accuracy of the test rows: how they were scored, and its interval if n is known."""

    said: str
    accuracy: float
    interval: Interval | None


def execution(trainer: ReadOnlyTable) -> list[tuple[str, str]]:
    """What is said of a run's backend: facts with their values.

    Args:
        trainer: the trainer's configuration as a table; what is missing has its default.
    """
    options = _options(trainer)
    shots, own = options.pop("shots", None), options.pop("noise", None)
    backend = str(trainer.get("backend", "statevector"))
    no_model = "that of the device" if backend == "ibm" else "none"
    if options:
        backend += f" ({', '.join(f'{name} = {value}' for name, value in options.items())})"
    noise, mitigation = trainer.get("noise") or own, trainer.get("mitigation")
    no_shots = "none" if noise else "none, exact values"
    said = [
        ("backend", backend),
        ("shots", f"{shots:,} a row and basis" if isinstance(shots, int) else no_shots),
        ("noise", "; ".join(_noise(noise)) if isinstance(noise, Mapping) else no_model),
    ]
    if isinstance(mitigation, Mapping):
        said.append(("mitigation", "; ".join(_entries(mitigation)) or "none"))
    steps = trainer.get("fallbacks")
    if isinstance(steps, list) and steps:
        said.append(("fell back", "; ".join(map(str, steps))))
    return said


def inexact(trainer: ReadOnlyTable) -> list[str]:
    """Why values of a run are not exact: "noise", "shots", both or neither.

    Args:
        trainer: see `execution`.
    """
    options = _options(trainer)
    noisy = trainer.get("noise") is not None or options.get("noise") is not None
    return ["noise"] * noisy + ["shots"] * (options.get("shots") is not None)


def ways(trainer: ReadOnlyTable) -> dict[str, str]:
    """What each of `PARTS` is called: exact or by a device, with noise and shots, mitigated.

    Args:
        trainer: see `execution`.
    """
    how = " and ".join(inexact(trainer)) or "noise"
    first = "on the device, with shots" if trainer.get("backend") == "ibm" else "exact"
    return dict(zip(PARTS, (first, f"with {how}", "mitigated"), strict=True))


def scored_ways(
    metrics: Mapping[str, float | None], n_rows: int | None, trainer: ReadOnlyTable
) -> list[Way]:
    """The accuracies of the test rows, in the order of `PARTS`.

    Args:
        n_rows: how many there are, if it is known.
        trainer: see `execution`.
    """
    found = []
    for part, said in ways(trainer).items():
        value = metrics.get(f"{part}_accuracy")
        if value is None:
            continue
        known = n_rows is not None and n_rows > 0 and 0.0 <= value <= 1.0
        interval = wilson_interval(round(value * n_rows), n_rows) if known and n_rows else None
        found.append(Way(said, value, interval))
    return found


def without_details(trainer: ReadOnlyTable) -> Table:
    """The trainer's configuration with a device's data replaced by its name."""
    noise = trainer.get("noise")
    if not isinstance(noise, Mapping) or not isinstance(noise.get("device"), Mapping):
        return dict(trainer)
    return {**trainer, "noise": {**noise, "device": noise["device"].get("name")}}


def _options(trainer: ReadOnlyTable) -> Table:
    options = trainer.get("backend_options")
    return dict(options) if isinstance(options, Mapping) else {}


def _noise(noise: Mapping[str, Any]) -> Iterator[str]:
    device = noise.get("device")
    if isinstance(device, Mapping):
        yield f"{device.get('name')} {device.get('version', '')}".strip()
    gates = noise.get("gates") or ()
    for entry in gates[:_MOST_ENTRIES]:
        channel = dict(entry.get("channel", {}))
        name = channel.pop("name", "a channel")
        numbers = ", ".join(f"{field} = {value}" for field, value in channel.items())
        qubits = f" on qubits {list(entry['qubits'])}" if entry.get("qubits") else ""
        yield f"{name} ({numbers}) after {entry.get('on', 'all')}{qubits}"
    if len(gates) > _MOST_ENTRIES:
        yield f"{len(gates) - _MOST_ENTRIES} more channels"
    if noise.get("over_rotation"):
        yield f"over-rotation {noise['over_rotation']}"
    readout = noise.get("readout")
    if readout:
        yield f"readout error {readout}" if isinstance(readout, int | float) else "readout errors"
    if noise.get("twirl"):
        yield "other channels twirled to Pauli channels"
    yield (
        f"trajectories {noise.get('trajectories', 1)} in training, "
        f"{noise.get('test_trajectories', 16)} for validation and test"
    )


def _entries(table: Mapping[str, Any]) -> Iterator[str]:
    for name, value in table.items():
        if value is None or value is False:
            continue
        if isinstance(value, Mapping):
            yield f"{name} ({', '.join(_entries(value))})"
        else:
            yield f"{name} = {value}"
