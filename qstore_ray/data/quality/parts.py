"""The splits of a dataset as arrays to be looked at, either as the source has them or prepared.

All rows of all splits are held at once: quality is looked at on one machine. Copies that an
augmentation adds to train are left out; what is looked at is the data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from qstore_ray.data.quality.finding import RowOrigin
from qstore_ray.errors import UsageError

if TYPE_CHECKING:
    from qstore_ray.data.read.dataset import Dataset
    from qstore_ray.types import AnyArray, FloatArray


class Split(NamedTuple):
    """Rows of a split: x (N, F), y (N,), and where they are from."""

    x: FloatArray
    y: AnyArray
    origin: RowOrigin


def read_splits(dataset: Dataset, *, prepared: bool = False) -> dict[str, Split]:
    """All splits of `dataset`, raw or prepared.

    Raises:
        DataError: the source cannot be read any more, or has changed.
        UsageError: rows with several labels.
    """
    whole = not prepared or not dataset.preparation.steps
    schema = dataset.schema
    names = schema.feature_names if whole else schema.prepared_names
    splits = {}
    for name, plan in dataset.plans.items():
        x, y = plan.unaugmented().read() if prepared else plan.read_raw()
        if y.ndim > 1:
            raise UsageError(
                "the checks and the profile know data with one label a row",
                field="dataset.task",
                value=dataset.config.task,
                fix="Look at one label at a time.",
            )
        splits[name] = Split(x, y, RowOrigin(name, plan.source_rows, names))
    return splits
