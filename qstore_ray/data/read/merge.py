"""Val joined to train: the dataset that a final training is given, after val has done its work.

While a model is chosen, val says which one; once it is chosen, the rows of val are worth more as
training rows. The cut is made as it always is, and only then are the rows of val added to those of
train. So test has the very same rows as before, and no row of it can get into train:

    train ─┐
    val   ─┴─ train      new preparation and augmentation, from all of these rows
    test  ─── test       the same rows, prepared by the new preparation
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.config import fingerprint
from qstore_ray.data.augment.expansion import expansion_of
from qstore_ray.data.prepare.categories import names_after
from qstore_ray.data.read.fit import fit_on, has_gaps
from qstore_ray.data.read.plan import ReadPlan, SplitTask
from qstore_ray.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from qstore_ray.data.prepare.prepare import Preparation
    from qstore_ray.data.read.dataset import Dataset
    from qstore_ray.types import IntArray


def with_val_in_train(dataset: Dataset) -> Dataset:
    """The dataset with train ∪ val as train, no val, and the same rows in test.

    The preparation, fitted on train, and the augmentation, made from it, are made again. The
    fingerprint is a function of the dataset's own, so it is the same wherever val is joined: here,
    or by `split.merge_val` when the dataset is loaded.

    Raises:
        ConfigError: the dataset has no val; a step that does not fit the rows of both.
        DataError: the source cannot be read any more, or has changed.
        UsageError: a saved dataset, whose blocks hold rows of one split only, in between those of
            the other.
    """
    if "val" not in dataset.plans:
        raise ConfigError(
            "there are no validation rows to join to train",
            field="split.merge_val",
            value=dataset.sizes,
            fix="Leave merge_val out, or give split.val or folds.",
        )
    config = dataset.config
    train, val = dataset.plans["train"], dataset.plans["val"]
    joined = _joined(train.unaugmented(), val)
    preparation, gaps = dataset.preparation, False
    if preparation.steps:
        width, streamed = dataset.schema.n_raw_features, dataset.streamed
        preparation = fit_on(joined, preparation.steps, width, streamed=streamed)
        gaps = config.augmentation is not None and has_gaps(joined)
    width = preparation.apply(np.zeros((0, dataset.schema.n_raw_features))).shape[1]
    known = dataset.schema
    names = names_after(known.feature_names, preparation, known.table)
    schema = known._replace(n_features=width, prepared_names=names)
    expansion = expansion_of(config, schema)
    if expansion is not None:
        expansion.check(schema.n_raw_features, width, gaps=gaps)
    plans = {
        split: _prepared(joined if split == "train" else plan, preparation)
        for split, plan in dataset.plans.items()
        if split != "val"
    }
    tasks = (replace(task, expansion=expansion) for task in plans["train"].tasks)
    plans["train"] = replace(joined, tasks=tuple(tasks))
    counts = dict(dataset.class_counts)
    if counts:
        both = zip(counts["train"], counts.pop("val"), strict=True)
        counts["train"] = tuple(n + m * train.times for n, m in both)
    split = config.split.model_copy(update={"merge_val": True})
    return replace(
        dataset,
        config=config.model_copy(update={"split": split}),
        schema=schema,
        class_counts=counts,
        fingerprint=fingerprint({"merge_val": True, "of": dataset.fingerprint}),
        preparation=preparation,
        provenance={**dataset.provenance, "merged": "val is part of train"},
        plans=plans,
    )


class _Piece(NamedTuple):
    """A task with the numbers (N,) of the rows that it reads."""

    task: SplitTask
    rows: IntArray


def _joined(train: ReadPlan, val: ReadPlan) -> ReadPlan:
    """The plan that reads the rows of both, ascending; one task for every block of the source."""
    blocks: dict[int, _Piece] = {}
    for task, rows in (*_pieces(train), *_pieces(val)):
        known = blocks.get(id(task.source))
        if known is None:
            blocks[id(task.source)] = _Piece(replace(task, split="train"), rows)
            continue
        take = np.sort(np.concatenate([known.task.take, task.take]))
        both = np.sort(np.concatenate([known.rows, rows]))
        blocks[id(task.source)] = _Piece(replace(known.task, take=take), both)
    pieces = sorted(blocks.values(), key=lambda piece: int(piece.rows[0]))
    joined = np.concatenate([piece.rows for piece in pieces])
    if (np.diff(joined) <= 0).any():
        raise UsageError(
            "train and val of a saved dataset are in files of their own, which cannot be read as "
            "one split in the order of the rows",
            field="split.merge_val",
            fix="Set split.merge_val = true in the configuration that the dataset was saved from, "
            "load that, and save it as another dataset.",
        )
    weight = None
    if train.weight is not None and val.weight is not None:
        order = np.argsort(np.concatenate([train.source_rows, val.source_rows]))
        weight = np.concatenate([train.weight, val.weight])[order]
    y = None
    if train.y is not None and val.y is not None:
        order = np.argsort(np.concatenate([train.source_rows, val.source_rows]))
        y = np.concatenate([train.y, val.y])[order]
    return ReadPlan(tuple(piece.task for piece in pieces), joined, weight=weight, y=y)


def _pieces(plan: ReadPlan) -> Iterator[_Piece]:
    start = 0
    for task in plan.tasks:
        yield _Piece(task, plan.source_rows[start : start + len(task.take)])
        start += len(task.take)


def _prepared(plan: ReadPlan, preparation: Preparation) -> ReadPlan:
    tasks = tuple(replace(task, preparation=preparation) for task in plan.tasks)
    return replace(plan, tasks=tasks, held=None)
