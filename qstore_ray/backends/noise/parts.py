"""Evaluations of many rows and trajectories, as many at a time as memory is meant for.

A row draws by its own number and rounds alike in any part of a batch, so the parts have the bits of
the whole. 16 rows are the least that is computed at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from qstore_ray.backends.base import Bindings, Estimates, Usage
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.memory import check_trajectories
from qstore_ray.simulate.compile.signed_program import SignedProgram

PART_BYTES = 256 * 2**20
"""Angles, signs and values that are held at a time."""
_BLOCK = 16
"""A part begins at a multiple of 16 rows, as `product_of_rows` needs it."""


def bytes_of_trajectory(signed: SignedProgram, n_observables: int) -> int:
    """What a trajectory takes beside its state: draws, signs, angles, slots and values."""
    program = signed.program
    numbers = len(signed.outcome_starts) + 4 * signed.n_signs
    return 8 * (numbers + 3 * (program.n_rows + program.n_params) + 3 * n_observables)


def parts_of(
    bindings: Bindings, key: DrawKey, trajectories: int, bytes_each: int
) -> Iterator[tuple[Bindings, DrawKey]]:
    """N rows, or whole copies of them (`DrawKey.n_rows`), in order, with the keys of their draws.

    Args:
        trajectories: of each row.
        bytes_each: what a trajectory takes; see `bytes_of_trajectory`.

    Raises:
        ResourceError: the least part needs more memory than this machine has.
    """
    n = len(bindings)
    least = key.n_rows or min(_BLOCK, n)
    check_trajectories(least, trajectories, bytes_each)
    size = max(1, PART_BYTES // max(least * trajectories * bytes_each, 1)) * least
    if size >= n:
        yield bindings, key
        return
    for first in range(0, n, size):
        part = slice(first, min(first + size, n))
        yield bindings.part(part), _moved(key, first)


def joined(parts: Sequence[Estimates]) -> Estimates:
    """The estimates of all parts."""
    if len(parts) == 1:
        return parts[0]
    known = [part.variances for part in parts if part.variances is not None]
    return Estimates(
        np.concatenate([part.values for part in parts]),
        np.concatenate(known) if len(known) == len(parts) else None,
        Usage(sum(p.usage.circuits for p in parts), sum(p.usage.shots for p in parts)),
    )


def _moved(key: DrawKey, first: int) -> DrawKey:
    """The key of the rows from `first`. Copies of rows have the errors of the first copy."""
    return key if key.n_rows else key._replace(first_row=key.first_row + first)
