"""Backends by name. A backend's module is imported when it is opened."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from qstore_ray.backends.base import Backend
from qstore_ray.errors import unknown_name

__all__ = ["BACKENDS", "check_backend", "open_backend"]

BACKENDS: dict[str, str] = {
    "statevector": "qstore_ray.backends.statevector:StatevectorBackend",
    "aer": "qstore_ray.backends.aer:AerBackend",
}


def open_backend(name: str, options: dict[str, Any], *, threads: int = 1) -> Backend:
    """The backend of that name, with its own options.

    Args:
        threads: CPUs it may use, unless its options say otherwise.

    Raises:
        UnknownNameError: no such backend, or an option it does not have.
        MissingDependencyError: it needs a package that is not installed.
    """
    check_backend(name, options)
    backend: Backend = _backend_class(name)(**{"threads": threads, **options})
    return backend


def check_backend(name: str, options: dict[str, Any]) -> None:
    """Whether there is such a backend, with such options; nothing is opened.

    Raises:
        UnknownNameError: no such backend, or an option it does not have.
    """
    if name not in BACKENDS:
        raise unknown_name("backend", name, BACKENDS, field="backend")
    if not options:
        return  # and so the backend's module is not imported for this
    known = inspect.signature(_backend_class(name)).parameters
    for option in options:
        if option not in known:
            raise unknown_name("option", option, known, field="backend_options")


def _backend_class(name: str) -> type[Any]:
    module, _, attribute = BACKENDS[name].partition(":")
    found: type[Any] = getattr(importlib.import_module(module), attribute)
    return found
