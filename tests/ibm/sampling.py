"""What the tests submit with: a Sampler whose jobs have tags, and a short poll interval."""

from __future__ import annotations

from typing import Any

from qiskit_ibm_runtime.executor_sampler import Sampler

QUICK = {"poll_interval": 0.1}


def tagged(mode: Any, *tags: str, **options: Any) -> Sampler:
    """A Sampler for a backend, a session or a batch."""
    return Sampler(mode, options={**options, "environment": {"job_tags": list(tags)}})


def sampler_of(service: Any, tag: str = "t") -> Sampler:
    """A Sampler for fake_manila."""
    return tagged(service.backend("fake_manila"), tag)
