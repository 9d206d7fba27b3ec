"""Whether the rows of a dataset are held in memory, or streamed.

A training holds every prepared row, and fitting a preparation every raw one: 16 bytes for each
feature of each row. If that is more than half of the memory that is free, the rows are streamed;
`dataset.stream` decides otherwise. Rows that are in memory already are streamed only on request.
"""

from __future__ import annotations

import logging

from qstore_ray.environment import free_memory
from qstore_ray.errors import ResourceError

_BYTES = 16  # of a feature: raw and prepared
_SHARE = 0.5  # of the free memory
_log = logging.getLogger(__name__)


def streams(asked: bool | None, n_rows: int, n_features: int, *, held: bool) -> bool:
    """Whether rows are streamed: as `asked`, or by their size; the log says what was decided.

    Args:
        n_rows: of all splits, copies included. held: whether the source holds them in memory.
    """
    needed, free = n_rows * n_features * _BYTES, free_memory()
    if asked is None and (held or free is None or needed <= _SHARE * free):
        return False
    if asked is not None:
        if asked:
            _log.info("the rows are streamed, as dataset.stream = true says")
        return asked
    _log.warning(
        "the rows are streamed: %s rows of %s features take %s in memory, and %s are free; "
        "set dataset.stream = false to hold them",
        f"{n_rows:,}", n_features, _size(needed), _size(free or 0),
    )  # fmt: skip
    return True


def check_held(n_rows: int, n_features: int, split: str) -> None:
    """Raise `ResourceError` where a streamed split does not fit into half of the free memory."""
    needed, free = n_rows * n_features * _BYTES // 2, free_memory()
    if free is not None and needed > _SHARE * free:
        raise ResourceError(
            f"this needs all rows of {split} in memory, {_size(needed)}, and {_size(free)} are "
            "free; only training, evaluating and predicting read them part by part",
            field="dataset.stream",
            value=True,
            fix="Select fewer rows (dataset.select), or take a machine with more memory.",
        )


def _size(count: float) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
