"""Requests and jobs for tests."""

from __future__ import annotations

import hashlib
from typing import Any

from qstore_ray.backends.ibm.requests import CircuitRequest, PackedJob


def key_of(name: object) -> str:
    """A key for a name."""
    return hashlib.sha256(str(name).encode()).hexdigest()[:32]


def request(name: object = "k", **changes: Any) -> CircuitRequest:
    """A request of one row and 100 shots."""
    values = {"key": key_of(name), "backend": "ibm_fez", "trial": "a", "shots": 100}
    return CircuitRequest(**{**values, **changes})


def job(*names: object, **changes: Any) -> PackedJob:
    """A job of such requests."""
    return PackedJob(tuple(request(name, **changes) for name in names or ("k",)))
