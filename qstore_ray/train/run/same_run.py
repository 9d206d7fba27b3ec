"""What a run was made of: kept in its record, and compared when it is resumed."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, TypedDict, TypeGuard

from qstore_ray.backends.failover import FallbackStep
from qstore_ray.circuits.load import is_name, kept_circuit
from qstore_ray.circuits.qasm.source import (
    AS_TEXT,
    in_earlier_order,
    in_numeric_order,
    is_in_text_order,
)
from qstore_ray.data.config import DatasetConfig
from qstore_ray.errors import ConfigError, RunExistsError, shown_value
from qstore_ray.track.attempt import AttemptEntry
from qstore_ray.types import ReadOnlyTable, Table

_CIRCUIT, _STREAM = "model.circuit", "dataset.stream"
_LENGTHS = ("trainer.epochs", "federation.rounds")
"""What says how long a run is: one of them, which may grow."""

EARLIER = {"trainer.target_scaling": "none"}
"""Fields that a record of an earlier version does not have, and what that version did."""

_DESCRIPTION = "backend_description."
"""Settings of a backend that was given as an object. Earlier versions recorded its class alone."""

EARLIER_RANKS = ' (and split.ranks = "default_rng" where it is older than that field)'

_VERSIONED = ("qstore-ray", "numpy", "qiskit", "ray")


InitFrom = TypedDict("InitFrom", {"from": str, "step": int, "sha256": str})
"""Where the parameters came from that a run began with, and their digest."""


class ClientEntry(TypedDict):
    """A client of a federation: the digest of its rows, and the round that it joined in."""

    digest: str
    round: int


class RunDescription(TypedDict, total=False):
    """What `run.json` holds. A running run has no results; an earlier version wrote fewer keys."""

    name: str
    id: str
    generation: int
    status: str
    started: str
    fingerprints: dict[str, str]
    versions: dict[str, str]
    recipe: Table
    init_from: InitFrom
    metrics: dict[str, float]
    missing: dict[str, str]
    verdict: str
    fallbacks: list[FallbackStep]
    clients: dict[str, ClientEntry]
    attempts: list[AttemptEntry]


@dataclass(frozen=True)
class MadeOf:
    """What decides the result of a run, as its folder keeps it.

    Attributes:
        recipe: the configuration that decides the result; None if it may be another one.
        data_fingerprint: of the data; None before they are loaded.
        config_toml: the whole configuration; its `[dataset]` names the data.
    """

    recipe: Table | None
    data_fingerprint: str | None
    config_toml: str = ""


def check_same(earlier: RunDescription, now: MadeOf, earlier_toml: str = "") -> None:
    """Check that a run of which `earlier` is the record can be resumed with `now`.

    More epochs are no difference; `check_run` says what a finished run takes. Before the data are
    loaded only the configuration is compared, as far as the job has it: its `[dataset]`, `[model]`
    and `[trainer]`.

    Args:
        earlier_toml: the configuration in the run's folder; without it other data are refused
            without the field that differs.

    Raises:
        RunExistsError: other data, or another recipe; the error has the first field that differs,
            its two values, and the names of the other fields.
    """
    recipe = earlier.get("recipe", {})
    before, after = _flat(recipe), _flat(recipe if now.recipe is None else now.recipe)
    if now.data_fingerprint is None:
        before, after = _of_a_job(before, after)
    if "backend" in before and not any(name.startswith(_DESCRIPTION) for name in before):
        after = {name: each for name, each in after.items() if not name.startswith(_DESCRIPTION)}
    before = with_same_circuit(before, after, "run")
    known = {name: EARLIER[name] for name in EARLIER.keys() & after.keys() - before.keys()}
    changes = {
        field: change
        for field, change in differences({**known, **before}, after).items()
        if not (field in _LENGTHS and _may_differ(earlier, *change))
    }
    if now.data_fingerprint is None:
        changes = _dataset_changes(now, earlier_toml) | changes
    elif earlier.get("fingerprints", {}).get("data") != now.data_fingerprint:
        changes = _data_changes(earlier, now, earlier_toml) | changes
    if not changes:
        return
    field, (was, value) = next(iter(changes.items()))
    made = "without it" if was is None else f"with {shown_value(was, field)}"
    fix = "Resume it with what it was started with (its config.toml), or use existing='replace'."
    if field in known:
        fix = f'It is of an earlier version: set {field} = "{was}" to resume it.'
    elif field == _STREAM:
        fix = f"Set {_STREAM} = {'true' if was else 'false'} to resume it."
    elif field.partition(".")[0] == "dataset":
        fix = (
            "Resume it with the data, split and preprocessing of its config.toml"
            f"{EARLIER_RANKS}, or use existing='replace'."
        )
    also = ", ".join(list(changes)[1:])
    raise RunExistsError(
        f"the run was started {made}" + (f" (also changed: {also})" if also else ""),
        field=field,
        value="nothing" if value is None else value,
        fix=fix,
    )


def _data_changes(
    earlier: RunDescription, now: MadeOf, earlier_toml: str
) -> dict[str, tuple[Any, Any]]:
    """The fields of `[dataset]` that differ; the fingerprints if none does, so that the rows do."""
    before, after = _dataset(earlier_toml), _dataset(now.config_toml)
    changes = differences(before, after) if before and after else {}
    if changes:
        return changes
    was = earlier.get("fingerprints", {}).get("data") or "?"
    return {"dataset": (_rows(was), _rows(now.data_fingerprint or "?"))}


def _of_a_job(before: ReadOnlyTable, now: ReadOnlyTable) -> tuple[Table, Table]:
    """The fields that a job has before its data are loaded; some depend on the data's goal."""
    tables = ("model.", "trainer.")
    unknown = EARLIER.keys() - before.keys()
    first, second = (
        {name: value for name, value in each.items() if name.startswith(tables)}
        for each in (before, now)
    )
    return first, {name: value for name, value in second.items() if name not in unknown}


def _dataset_changes(now: MadeOf, earlier_toml: str) -> dict[str, tuple[Any, Any]]:
    """The fields of `[dataset]` that differ, with defaults for those that were not written."""
    tables = []
    for text in (earlier_toml, now.config_toml):
        try:
            config = DatasetConfig.from_dict(tomllib.loads(text)["dataset"])
        except (tomllib.TOMLDecodeError, KeyError, ConfigError):  # of an earlier version, damaged
            return {}
        tables.append(_without_stream(_flat(config.to_dict(), "dataset.")))
    return differences(*tables)


def _without_stream(table: Table) -> Table:
    """The recipe has how the rows were read, which their size may have decided."""
    return {field: value for field, value in table.items() if field != _STREAM}


def _rows(data_fingerprint: str) -> str:
    return f"other data, fingerprint {data_fingerprint[:16]}"


def _dataset(config_toml: str) -> Table:
    """The fields of `[dataset]`, by dotted names."""
    try:
        table = tomllib.loads(config_toml).get("dataset", {})
    except tomllib.TOMLDecodeError:  # damaged since; the fingerprints say that the data differ
        return {}
    return _without_stream(_flat(table, "dataset."))


def differences(before: ReadOnlyTable, now: ReadOnlyTable) -> dict[str, tuple[Any, Any]]:
    """The fields with two values, those of `before` first; lists of tables by their place.

    A member's name comes before its options, which change along with it.
    """
    changes: dict[str, tuple[Any, Any]] = {}
    for field in sorted(before.keys() | now.keys(), key=lambda name: name.removesuffix(".name")):
        was, value = before.get(field), now.get(field)
        if _are_tables(was) and _are_tables(value) and len(was) == len(value):
            first, second = (_flat(dict(enumerate(each)), f"{field}.") for each in (was, value))
            changes |= differences(first, second)
        elif was != value:
            changes[field] = (was, value)
    return changes


def _are_tables(value: Any) -> TypeGuard[Sequence[ReadOnlyTable]]:
    return isinstance(value, list | tuple) and all(isinstance(each, Mapping) for each in value)


def with_same_circuit(before: Table, now: Table, what: str) -> Table:
    """What an earlier attempt was made of, its circuit as text, which must be the same now.

    Args:
        before, now: by dotted fields. what: run or study, for the error.

    Raises:
        RunExistsError: another circuit. ConfigError: see `complete_circuit`.
    """
    earlier, later = before.get(_CIRCUIT, "library"), now.get(_CIRCUIT, "library")
    if earlier == later:
        return dict(before)
    earlier = complete_circuit(earlier)
    if earlier != later:
        if is_in_text_order(earlier) and in_numeric_order(before[_CIRCUIT]) == later:
            raise _text_order_error(what)
        raise RunExistsError(
            f"the {what} was started with another circuit",
            field=_CIRCUIT,
            value=_first_difference(earlier, later),
            fix=f"Continue with the circuit of the {what}, which its record keeps, "
            "or train the changed one under another name.",
        )
    return {**before, _CIRCUIT: earlier}


def _text_order_error(what: str) -> RunExistsError:
    return RunExistsError(
        f"an earlier version started the {what} with its vectors of parameters in the order of "
        "text, theta[10] before theta[2]; now they are in numeric order",
        field=_CIRCUIT,
        value="vectors in numeric order",
        fix=f'Add the line "{AS_TEXT}" to the circuit\'s text to resume it, '
        "or train it under another name.",
    )


def complete_circuit(circuit: str) -> str:
    """The circuit that a run keeps, complete, also if an earlier version kept less of it.

    A text says its order of parameters; a function that was kept by its name is called.

    Raises:
        ConfigError: the function is gone, or gives no circuit any more.
    """
    if not is_name(circuit):
        return in_earlier_order(circuit)
    sys.stderr.write(
        f"warning: an earlier version kept the circuit only by its name, {circuit}. The function "
        "is called again; if it was changed since, this is another circuit than was trained\n"
    )
    return kept_circuit(circuit, earlier=True)


def _first_difference(before: str, now: str) -> str:
    """The first line of `now` that is not in its place in `before`."""
    lines = zip_longest(before.splitlines(), now.splitlines(), fillvalue="")
    return next((f"{new!r} for {old!r}" for old, new in lines if new != old), "")


def epochs_of(record: RunDescription) -> int | None:
    """The number of epochs that the run of this record was to have; None if it is unknown.

    Of a federation it is the number of rounds.
    """
    recipe = _flat(record.get("recipe", {}))
    known = [recipe[name] for name in _LENGTHS if isinstance(recipe.get(name), int)]
    return known[0] if known else None


def length_field(record: RunDescription) -> str:
    """The field that says how long the run of this record was to be."""
    recipe = _flat(record.get("recipe", {}))
    return next((name for name in _LENGTHS if name in recipe), _LENGTHS[0])


def _may_differ(earlier: RunDescription, before: Any, now: Any) -> bool:
    """True if the number of epochs alone does not stand in the way of the run."""
    longer = isinstance(before, int) and isinstance(now, int) and before < now
    return longer or earlier.get("status") == "finished"


def _flat(values: Mapping[Any, Any], prefix: str = "") -> Table:
    """Nested tables as one, with dotted names."""
    flat: Table = {}
    for name, value in values.items():
        inner = isinstance(value, Mapping)
        flat |= _flat(value, f"{prefix}{name}.") if inner else {f"{prefix}{name}": value}
    return flat


def changed_versions(earlier: RunDescription) -> str:
    """A warning if a run is resumed with other versions than those of its record, else "".

    That is no reason to refuse it, but its end may differ in the last digits from one that was
    never interrupted.
    """
    before, now = earlier.get("versions", {}), versions()
    other = [f"{name} {before[name]}" for name in before if before[name] != now.get(name)]
    if not other:
        return ""
    found = ", ".join(f"{name} {now.get(name)}" for name in before if before[name] != now.get(name))
    return f"the run was started with {', '.join(other)}, and continues with {found}"


def versions() -> dict[str, str]:
    """Of Python and of the packages that a result may depend on."""
    found = {"python": platform.python_version()}
    for package in _VERSIONED:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found
