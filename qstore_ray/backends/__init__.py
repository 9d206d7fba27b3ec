"""Backends by name. A backend's module is imported when it is opened."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from qstore_ray.backends.base import Backend
from qstore_ray.errors import unknown_name_error
from qstore_ray.registry import Registry

__all__ = ["BACKENDS", "check_backend", "open_backend"]

BACKENDS: Registry[Callable[..., Backend]] = Registry(
    "backend",
    {
        "statevector": "qstore_ray.backends.statevector:StatevectorBackend",
        "aer": "qstore_ray.backends.aer:AerBackend",
    },
    entry_points="qstore_ray.backends",
    field="backend",
)


def open_backend(name: str, options: dict[str, Any], *, threads: int = 1) -> Backend:
    """The backend of that name, with its own options.

    Args:
        threads: CPUs it may use, unless its options say otherwise.

    Raises:
        UnknownNameError: no such backend, or an option it does not have.
        MissingDependencyError: it needs a package that is not installed.
    """
    check_backend(name, options)
    return BACKENDS[name](**{"threads": threads, **options})


def check_backend(name: str, options: dict[str, Any]) -> None:
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
