"""From a `SplitConfig` to the rows of train, val and test: which rule is asked, and about what.

Without folds the rows are dealt out by the fractions. With k folds, test is cut off first, the same
rows whichever fold is asked for; the rest is in k parts, of which one is val and the others are
train. So the k datasets of a cross-validation share their test rows, and every other row is in val
exactly once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from qstore_ray.data.splits.split import folds, split_by_hash, split_groups, split_rows
from qstore_ray.errors import ConfigError, DataError

if TYPE_CHECKING:
    from qstore_ray.data.config import SplitConfig
    from qstore_ray.data.splits.split import Ranks
    from qstore_ray.types import AnyArray, IntArray


@dataclass(frozen=True, kw_only=True)
class Cut:
    """The rows to cut.

    Args:
        n_rows: how many there are, N.
        seed: decides which row goes where.
        official: parts that the source brings itself, which are not cut from these rows.
        rows: numbers of the rows (N,), their keys where they have no groups.
        groups: groups of the rows (N,), as text.
        labels: class numbers (N,), where each class is to be divided on its own.
        classes: what the classes are called in error messages.
        uncut: whether they may not be cut, because some are changed copies of others.
    """

    n_rows: int
    seed: int
    official: frozenset[str]
    rows: IntArray
    groups: AnyArray | None
    labels: IntArray | None
    classes: Sequence[Any]
    uncut: bool = False


def cut(split: SplitConfig, asked: Cut) -> dict[str, IntArray]:
    """Positions 0 … N−1 of the parts of `split` that are not official, sorted within a part.

    Raises:
        ConfigError: folds of a source that brings its own val; rows that may not be cut.
        DataError: too few rows, rows of a class, or groups; a source that left out the groups.
    """
    wanted = {
        name: fraction for name, fraction in split.fractions().items() if name not in asked.official
    }
    if asked.uncut and (split.folds is not None or set(wanted) != {"train"}):
        raise ConfigError(
            "the source holds changed copies of its rows, which the parts would share",
            field="split",
            value=split.to_dict(),
            fix='Set split = {"train": 1.0}. To have other parts, take the dataset without copies '
            "and set augmentation here: it is applied after the split.",
        )
    if split.folds is None:
        return _dealt(split, asked, wanted)
    if "val" in asked.official:
        raise ConfigError(
            "the source brings its own validation rows, which no fold can replace",
            field="split.folds",
            value=split.folds,
            fix='Leave folds and fold out: split = {"train": 1.0}.',
        )
    held_out = wanted.get("test", 0.0)
    assert split.fold is not None, "checked by SplitConfig"
    if split.method == "seed":
        return _fold_by_seed(asked, split.folds, split.fold, held_out, split.ranks)
    # A key's part follows from the key alone, so test and all folds have to be dealt out at once.
    names = [f"fold {i}" for i in range(split.folds)]
    dealt = _dealt(split, asked, dict.fromkeys(names, (1.0 - held_out) / split.folds) | wanted)
    val = dealt.pop(names[split.fold])
    test = {"test": dealt.pop("test")} if wanted else {}
    return {"train": np.sort(np.concatenate([*dealt.values()])), "val": val, **test}


def _dealt(split: SplitConfig, asked: Cut, fractions: Mapping[str, float]) -> dict[str, IntArray]:
    if split.method == "group":
        if asked.groups is None:
            raise DataError(
                "the source gave no groups",
                field="columns.group",
                fix="This is a fault of the source adapter: its read tasks lack a column group.",
            )
        return split_groups(asked.groups, fractions, asked.seed, split.ranks)
    if split.method == "hash":
        keys = asked.rows if asked.groups is None else asked.groups
        return split_by_hash(keys, fractions, asked.seed)
    return split_rows(
        asked.n_rows,
        fractions,
        asked.seed,
        labels=asked.labels,
        method=split.method,
        keys=asked.rows,
        ranks=split.ranks,
    )


def _fold_by_seed(
    asked: Cut, k: int, fold: int, held_out: float, ranks: Ranks
) -> dict[str, IntArray]:
    labels, seed, rest = asked.labels, asked.seed, np.arange(asked.n_rows)
    test: dict[str, IntArray] = {}
    if held_out:
        parts = {"rest": 1.0 - held_out, "test": held_out}
        first = split_rows(asked.n_rows, parts, seed, labels, ranks=ranks)
        rest, test = first["rest"], {"test": first["test"]}
    kept = None if labels is None else labels[rest]
    chosen = folds(len(rest), k, seed, kept, classes=asked.classes, ranks=ranks)[fold]
    return {**{name: rest[positions] for name, positions in chosen.items()}, **test}
