"""What this process may use of its machine, and its environment variables."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def environment(
    values: Mapping[str, str] | None = None, *, defaults: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Set variables inside the block, and restore the previous values when it ends or raises.

    Args:
        values: override existing variables. defaults: apply only to variables that are not set.
    """
    unset = {name: value for name, value in (defaults or {}).items() if name not in os.environ}
    wanted = {**unset, **(values or {})}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def available_cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
