"""Orders of rows: functions of a seed and an epoch, and of nothing else.

The order is a function of (seed, epoch), so that nothing has to be saved for a resume, and all
workers agree without a word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.data.rows.validate import check_not_empty
from qstore_ray.errors import ConfigError

if TYPE_CHECKING:
    from qstore_ray.types import IntArray

_ORDER = 0x0EDE  # keeps this use of a seed apart from others


def row_order(seed: int, epoch: int, n_rows: int) -> IntArray:
    """The permutation (N,) of the rows in `epoch`; the training loop takes its batches from it."""
    return np.random.default_rng([seed, _ORDER, epoch]).permutation(n_rows)


def shuffled(count: int, *key: int) -> IntArray:
    """A permutation of 0 … count−1 that depends on the key alone, for good.

    Sorts raw PCG64 output, whose stream numpy promises not to change; `split.py` does the same.
    """
    ranks = np.random.PCG64(list(key)).random_raw(count)
    return np.argsort(ranks, kind="stable")


def check_batches(batch_size: int, seed: int, n_rows: int, *, drop_last: bool) -> None:
    """Raise where no batch can be cut from `n_rows` rows.

    Raises:
        ConfigError: a batch size below 1, a negative seed, or `drop_last` that drops everything.
        DataError: no rows.
    """
    if batch_size < 1:
        raise ConfigError(
            "a batch has one row or more",
            field="batch_size",
            value=batch_size,
            fix="Take 1 or more.",
        )
    if seed < 0:
        raise ConfigError(
            "a seed is counted from 0", field="seed", value=seed, fix="Take 0 or more."
        )
    check_not_empty(n_rows, "the split")
    if drop_last and n_rows < batch_size:
        raise ConfigError(
            f"an epoch has {n_rows} rows, so that dropping the last batch drops them all",
            field="batch_size",
            value=batch_size,
            fix=f"Take {n_rows} or less, or drop_last=False.",
        )


def check_position(epoch: int, step: int, steps: int | None) -> None:
    """Raise `ConfigError` unless (epoch, step) is a place to start from; `steps` if it is known."""
    for field, value in (("epoch", epoch), ("step", step)):
        if value < 0:
            raise ConfigError(
                "epochs and steps are counted from 0",
                field=field,
                value=value,
                fix="Take 0 or more.",
            )
    if steps is not None and step > steps:
        raise ConfigError(
            f"epoch {epoch} has {steps} steps",
            field="step",
            value=step,
            fix="Was the place saved with another batch size or other data?",
        )
