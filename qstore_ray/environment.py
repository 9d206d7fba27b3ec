"""Environment variables for the time of a block: other packages are told in no other way."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def environment(
    values: Mapping[str, str] | None = None, *, defaults: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Set variables, and put back what was there before, however the block ends.

    Args:
        values: set whatever is there. defaults: set where nothing is.
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
