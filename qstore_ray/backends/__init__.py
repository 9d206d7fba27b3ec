"""Backends by name. A backend's module is imported when it is opened."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from qstore_ray.backends.base import Backend
from qstore_ray.errors import unknown_name

__all__ = ["BACKENDS", "open_backend"]

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
    if name not in BACKENDS:
        raise unknown_name("backend", name, BACKENDS, field="trainer.backend")
    module, _, attribute = BACKENDS[name].partition(":")
    backend_class = getattr(importlib.import_module(module), attribute)
    known = inspect.signature(backend_class).parameters
    for option in options:
        if option not in known:
            raise unknown_name("option", option, known, field="trainer.backend_options")
    backend: Backend = backend_class(**{"threads": threads, **options})
    return backend
