"""Backends by name. A backend's module is imported when it is opened.

    base          what a backend is, and what it may offer besides: `vjp`, `states`, `samples`
    statevector   the exact simulator; values from shots
    aer/          Qiskit Aer
    ibm/          IBM's quantum computers, through one gateway
    noise/        channels after gates, wrong readout, devices
    sampling/     shots of states
    mitigation/   values that are less wrong
    paid          for whom a backend evaluates, where that is recorded and paid
    failover      failures that another backend may take over from, and the record of the steps
    meter         counts what a backend was asked to do
    light_cones   which circuits are cut, and which cones are too wide
    device_circuit   what a backend that compiles by itself is asked for
    keys, check_bindings, memory, grouping, counts   what several backends share

Begin with `base.py`. To add a backend, write a class with `check` and `evaluate`, and name it in
`BACKENDS`; another package declares it in the entry-point group `qstore_ray.backends`.
"""

from __future__ import annotations

import inspect
import json
import pickle
from collections.abc import Callable
from typing import Any

from qstore_ray.backends.base import Backend, can_describe_itself
from qstore_ray.errors import ConfigError, unknown_name_error
from qstore_ray.registry import Registry
from qstore_ray.types import ReadOnlyTable, Table

__all__ = [
    "BACKENDS",
    "check_backend",
    "check_object",
    "check_sendable",
    "deciding_options",
    "described_backend",
    "open_backend",
    "option_or_default",
]

BACKENDS: Registry[Callable[..., Backend]] = Registry(
    "backend",
    {
        "statevector": "qstore_ray.backends.statevector:StatevectorBackend",
        "aer": "qstore_ray.backends.aer:AerBackend",
        "ibm": "qstore_ray.backends.ibm.backend:IbmBackend",
    },
    entry_points="qstore_ray.backends",
    field="backend",
    forms=(("check", "evaluate"),),
)


def open_backend(name: str, options: ReadOnlyTable, *, threads: int = 1) -> Backend:
    """The backend of that name, with its own options.

    Args:
        threads: CPUs it may use, unless its options say otherwise; only for a backend that has a
            parameter `threads`.

    Raises:
        UnknownNameError: no such backend, or an option it does not have.
        ConfigError: an option that it needs is missing.
        MissingDependencyError: it needs a package that is not installed.

    Examples:
        backend = open_backend("statevector", {}, threads=1)
        assert backend.name == "statevector"
    """
    check_backend(name, options)
    backend = BACKENDS[name]
    known = inspect.signature(backend).parameters
    given = {**({"threads": threads} if "threads" in known else {}), **options}
    missing = [each for each, option in known.items() if _is_needed(option) and each not in given]
    if missing:
        raise ConfigError(
            f"the backend {name} needs the option {missing[0]}",
            field=missing[0],
            fix="Write it.",
        )
    return backend(**given)


def _is_needed(option: inspect.Parameter) -> bool:
    """Whether the backend cannot be opened without it."""
    several = option.kind in (option.VAR_POSITIONAL, option.VAR_KEYWORD)
    return option.default is option.empty and not several


def check_backend(name: str, options: ReadOnlyTable) -> None:
    """Whether there is such a backend, with such options; nothing is opened.

    Raises:
        UnknownNameError: no such backend, or an option it does not have.
    """
    if name not in BACKENDS:
        raise unknown_name_error("backend", name, BACKENDS, field="backend")
    if not options:
        return  # and so the backend's module is not imported for this
    known = inspect.signature(BACKENDS[name]).parameters
    for option in options:
        if option not in known:
            raise unknown_name_error("option", option, known, field="backend_options")


def option_or_default(name: str, options: ReadOnlyTable, option: str) -> Any:
    """An option of the backend of that name, or its default; None if it has no such option."""
    if option in options:
        return options[option]
    known = inspect.signature(BACKENDS[name]).parameters.get(option)
    return None if known is None or known.default is known.empty else known.default


def deciding_options(name: str, options: ReadOnlyTable) -> Table:
    """The options that decide a result, without those of money, accounts and waiting."""
    incidental = getattr(BACKENDS[name], "incidental", frozenset[str]()) if options else ()
    return {option: value for option, value in options.items() if option not in incidental}


def check_object(backend: Backend) -> Backend:
    """`backend`, if it is an object that evaluates circuits.

    Raises:
        ConfigError: it is something else, such as a name or a class.
    """
    if isinstance(backend, type) or not hasattr(backend, "evaluate"):
        raise ConfigError(
            "not a backend: an object with the method `evaluate`",
            field="backend",
            value=backend,
            fix='For one that is known by name, set trainer.backend, for example "aer".',
        )
    return backend


def check_sendable(backend: Backend) -> None:
    """Refuse a backend that cannot be copied to workers.

    Raises:
        ConfigError: `pickle` refuses it.
    """
    try:
        pickle.dumps(backend)
    except (pickle.PicklingError, TypeError, AttributeError) as exc:
        raise ConfigError(
            f"the backend cannot be pickled, so workers cannot get it: {exc}",
            field="backend",
            value=type(backend).__name__,
            fix="Define its class in a module, without locks, files or connections in its fields, "
            "or set trainer.num_workers = 0.",
        ) from exc


def described_backend(backend: Backend) -> Table:
    """What a run's record keeps: the class, and the `description` if the backend has one.

    Raises:
        ConfigError: a description that JSON cannot hold.
    """
    kind = type(backend)
    found: Table = {"backend": f"{kind.__module__}.{kind.__qualname__}"}
    if not can_describe_itself(backend):
        return found
    try:
        text = json.dumps(backend.description(), allow_nan=False)
    except (TypeError, ValueError) as exc:
        raise ConfigError(
            f"the description of a backend has to be JSON-ready: {exc}",
            field="backend",
            value=kind.__name__,
            fix="Return numbers, texts, lists and tables with texts as keys from description().",
        ) from exc
    return {**found, "backend_description": json.loads(text)}
