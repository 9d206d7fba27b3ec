"""From a source's read tasks to a `Dataset`: survey, number the classes, split, fit, fingerprint.

The source is read once to check every row (widths, labels, NaN, digests) and once more, if
the config has a preparation, to fit it on the rows of train; of the features only train's are held.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from qstore_ray.config import fingerprint
from qstore_ray.data.augment.expansion import Expansion, expansion_of
from qstore_ray.data.prepare.categories import (
    check_known,
    columns_to_keep,
    names_after,
    resolved_steps,
)
from qstore_ray.data.prepare.prepare import Preparation
from qstore_ray.data.prepare.steps import Step
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.data.read.fit import fit_on, has_gaps
from qstore_ray.data.read.merge import with_val_in_train
from qstore_ray.data.read.plan import ReadPlan, SplitTask
from qstore_ray.data.read.schema import Schema
from qstore_ray.data.read.size import streams
from qstore_ray.data.rows.labels import KINDS, ClassLabels, Labels, rows_of_each
from qstore_ray.data.rows.select import encode, select
from qstore_ray.data.sources.base import ArrayTask
from qstore_ray.data.splits.cut import Cut, cut
from qstore_ray.data.survey import PartSurvey, check_parts, survey_part
from qstore_ray.data.usable import check_used, dropped, kept_rows, weightless
from qstore_ray.errors import ConfigError, DataError, unknown_name_error

if TYPE_CHECKING:
    from qstore_ray.data.config import DatasetConfig
    from qstore_ray.data.prepare.step_config import StepConfig
    from qstore_ray.data.sources.base import SourceData
    from qstore_ray.types import AnyArray, FloatArray, IntArray


def build_dataset(config: DatasetConfig, source: SourceData) -> Dataset:
    """The dataset that `config` asks for, made from what its source found.

    Raises:
        ConfigError: the source has another task, or not the columns asked for.
        DataError: empty, ragged or non-finite data, one class only, too few rows to split.
    """
    if source.task is not None and source.task != config.task:
        raise ConfigError(
            f"the labels of this source are for {source.task}",
            field="task",
            value=config.task,
            fix=f'Set task = "{source.task}".',
        )
    names, columns = _chosen(config, source)
    steps = resolved_steps(config.preprocessing, source.table, names, config.columns)
    keep = columns_to_keep(steps)
    fills = bool(steps) and steps[0].accepts_nan
    several = KINDS[config.task].several
    main = survey_part(
        source.tasks, columns, "the source", nan_allowed=fills, several=several, keep=keep
    )
    parts: dict[str, PartSurvey] = {"": main}
    for split in ("val", "test"):
        if split in source.official:
            parts[split] = survey_part(
                source.official[split],
                columns,
                f"the official {split} split{_found_in(source, split)}",
                nan_allowed=fills,
                several=several,
                keep=keep,
            )
    check_parts(parts, names, dict(source.parts))
    whole = {name: kept_rows(config, source, part, name) for name, part in parts.items()}
    kept, labels, said = select(config, parts, whole)
    numbers = {name: encode(labels, part, kept[name]) for name, part in parts.items()}
    positions = _split(config, source, kept, main, numbers[""], labels)
    if config.bad_values == "error":
        check_used(parts, positions, names)
    home = {split: (split if split in parts else "") for split in positions}
    encoded = {split: numbers[home[split]][positions[split]] for split in positions}
    counts = _class_counts(config, encoded, labels)
    weights = {split: _weights(parts[home[split]], positions[split]) for split in positions}

    streamed = _streams(config, source, positions, main.n_features)

    def plan(split: str, preparation: Preparation, expansion: Expansion | None = None) -> ReadPlan:
        part = parts[home[split]]
        made = _plan(split, part, positions[split], columns, labels, preparation, expansion)
        return replace(made, weight=weights[split], y=encoded[split] if streamed else None)

    preparation, gaps = Preparation(main.n_features, (), ()), False
    if steps:
        train = plan("train", preparation)
        preparation = fit_on(train, steps, main.n_features, streamed=streamed)
        gaps = fills and config.augmentation is not None and has_gaps(train)
        _check_categories(preparation, keep, parts, positions, home, source, names)
    n_features = preparation.apply(np.zeros((0, main.n_features))).shape[1]
    schema = _schema(config, source, main, labels, names, n_features)
    schema = schema._replace(prepared_names=names_after(names, preparation, source.table))
    expansion = expansion_of(config, schema)
    if expansion is not None:
        expansion.check(main.n_features, n_features, gaps=gaps)
    read = {split: plan(split, preparation) for split in positions}
    read["train"] = plan("train", preparation, expansion)
    times = {split: found.times for split, found in read.items()}
    dataset = Dataset(
        config=config,
        schema=schema,
        classes=labels.classes,
        class_counts={split: tuple(n * times[split] for n in c) for split, c in counts.items()},
        fingerprint=_fingerprint(config, parts, positions, numbers, labels, schema, steps),
        preparation=preparation,
        provenance={
            **source.provenance,
            **_found(source),
            **dropped(parts, whole),
            **weightless(parts),
            **said,
        },
        plans=read,
        streamed=streamed,
    )
    return with_val_in_train(dataset) if config.split.merge_val else dataset


def _streams(
    config: DatasetConfig,
    source: SourceData,
    positions: Mapping[str, IntArray],
    n_features: int,
) -> bool:
    """Whether the rows are streamed, by the configuration or by their size."""
    counts = {split: len(rows) for split, rows in positions.items()}
    if (copies := config.augmentation) is not None:
        counts["train"] *= copies.copies + copies.keep_original
    held = all(isinstance(task, ArrayTask) for task in source.tasks)
    return streams(config.stream, sum(counts.values()), n_features, held=held)


def _chosen(
    config: DatasetConfig, source: SourceData
) -> tuple[tuple[str, ...] | None, tuple[int, ...] | None]:
    """Names and positions of the features that `columns.features` asks for."""
    wanted = None if config.columns is None else config.columns.features
    if wanted is None and config.columns is not None and config.columns.exclude:
        wanted = _without(config.columns.exclude, source)
    if wanted is None or source.one_column or source.table is not None:
        return source.feature_names, None
    if source.feature_names is None:
        raise ConfigError(
            "this source does not name its features",
            field="columns.features",
            value=wanted,
            fix="Leave it out; the features are numbered, and all of them are used.",
        )
    for name in wanted:
        if name not in source.feature_names:
            raise unknown_name_error(
                "feature", name, source.feature_names, field="columns.features"
            )
    return wanted, tuple(source.feature_names.index(name) for name in wanted)


def _without(excluded: tuple[str, ...], source: SourceData) -> tuple[str, ...] | None:
    """The features that are left; None where the source itself has left the others out."""
    if source.table is not None:
        return None
    if source.feature_names is None:
        raise ConfigError(
            "this source does not name its features",
            field="columns.exclude",
            value=excluded,
            fix="Leave it out; the features are numbered, and all of them are used.",
        )
    for name in excluded:
        if name not in source.feature_names:
            raise unknown_name_error("feature", name, source.feature_names, field="columns.exclude")
    return tuple(name for name in source.feature_names if name not in excluded)


def _weights(part: PartSurvey, positions: IntArray) -> FloatArray | None:
    """The weights (N,) of some rows; None if the source has none."""
    return None if part.weight is None else part.weight[positions]


def _found_in(source: SourceData, split: str) -> str:
    where = dict(source.parts).get(split)
    return "" if where is None else f" ({where})"


def _found(source: SourceData) -> dict[str, str]:
    """Which official parts were found, and where, for the provenance."""
    said = ", ".join(f"{part} from {where}" for part, where in source.parts)
    return {"parts": said} if said else {}


def _split(
    config: DatasetConfig,
    source: SourceData,
    kept: Mapping[str, IntArray],
    main: PartSurvey,
    numbers: AnyArray,
    labels: Labels,
) -> dict[str, IntArray]:
    """Positions within their part of the rows of every split; official splits stay whole."""
    rows = kept[""]
    classifies = config.task == "classification"
    stratified = config.stratify and classifies and config.split.method == "seed"
    asked = Cut(
        n_rows=len(rows),
        seed=config.seed,
        official=frozenset(kept) - {""},
        uncut=source.uncut,
        rows=main.row[rows],
        groups=None if main.group is None else main.group[rows],
        labels=numbers[rows] if stratified else None,
        classes=labels.classes,
    )
    both = {name: rows[positions] for name, positions in cut(config.split, asked).items()}
    both |= {name: positions for name, positions in kept.items() if name}
    return {name: both[name] for name in ("train", "val", "test") if name in both}


_RARE_CLASS = {
    "seed": 'Set stratify = true, or rare_classes = "drop" or "merge", or use another seed.',
    "hash": 'Use another seed, or set split.method = "seed" and stratify = true.',
    "group": "Use another seed, or ask for a larger train.",
    "time": 'Ask for a larger train, or set split.method = "seed" and stratify = true.',
}
"""What to do where train lacks a class, by the method of the split."""


def _class_counts(
    config: DatasetConfig, numbered: Mapping[str, AnyArray], labels: Labels
) -> dict[str, tuple[int, ...]]:
    if not labels.classes:
        return {}
    size = len(labels.classes)
    counts = {split: rows_of_each(numbers, size) for split, numbers in numbered.items()}
    for label, n_rows in zip(labels.classes, counts["train"], strict=True):
        if n_rows == 0 and labels.several:
            raise DataError(
                f"label {label} holds in no row of train",
                field="y",
                fix="Leave the label out, or use another seed if it holds in other rows.",
            )
        if n_rows == 0:
            raise DataError(
                f"no row of class {label!r} fell into train",
                field="split",
                fix=_RARE_CLASS[config.split.method],
            )
    return counts


def _check_categories(
    preparation: Preparation,
    keep: tuple[int, ...],
    parts: Mapping[str, PartSurvey],
    positions: Mapping[str, IntArray],
    home: Mapping[str, str],
    source: SourceData,
    names: tuple[str, ...] | None,
) -> None:
    """Raise `DataError` if a split has a category that train does not have."""
    kept = [column for column in keep if column < preparation.n_features]  # as `survey_part` has it
    values = {
        split: dict(zip(kept, parts[home[split]].kept[rows].T, strict=True))
        for split, rows in positions.items()
    }
    rows = {split: parts[home[split]].row[rows] for split, rows in positions.items()}
    check_known(preparation, values, rows, source.table, names)


def _as_written(step: StepConfig) -> dict[str, Any]:
    """The step's fields, those that were not there from the beginning only where they are set."""
    later = {"unknown": "error", "most_frequent": ()}
    usual = {name for name, value in later.items() if getattr(step, name, value) == value}
    return {name: value for name, value in step.to_dict().items() if name not in usual}


def _plan(
    split: str,
    part: PartSurvey,
    positions: IntArray,
    columns: tuple[int, ...] | None,
    labels: Labels,
    preparation: Preparation,
    expansion: Expansion | None,
) -> ReadPlan:
    """One task for every block of the part that has rows of the split."""
    edges = np.searchsorted(positions, part.starts)
    tasks = tuple(
        SplitTask(
            source=part.tasks[block],
            digest=part.digests[block],
            take=positions[low:high] - part.starts[block],
            columns=columns,
            labels=labels,
            preparation=preparation,
            split=split,
            expansion=expansion,
        )
        for block, (low, high) in enumerate(pairwise(edges))
        if high > low
    )
    return ReadPlan(tasks, part.row[positions])


def _schema(
    config: DatasetConfig,
    source: SourceData,
    main: PartSurvey,
    labels: Labels,
    names: tuple[str, ...] | None,
    n_features: int,
) -> Schema:
    whole = source.one_column or config.columns is None or config.columns.features is None
    image = source.image_shape or (main.shape if len(main.shape) > 1 else None)
    called = source.class_names
    if called is None or len(called) != len(labels.classes):
        called = tuple(str(label) for label in labels.classes)
    return Schema(
        n_raw_features=main.n_features,
        n_features=n_features,
        dtype=main.dtype,
        feature_names=names,
        image_shape=image if whole else None,
        class_names=called if labels.classes else (),
        n_targets=main.y.shape[1] if main.y.ndim == 2 else 1,
        table=None if source.table is None else replace(source.table, parts=source.parts),
    )


def _fingerprint(
    config: DatasetConfig,
    parts: Mapping[str, PartSurvey],
    positions: Mapping[str, IntArray],
    numbers: Mapping[str, AnyArray],
    labels: Labels,
    schema: Schema,
    chosen: tuple[Step, ...],
) -> str:
    """SHA-256 over every row, its label, the split it is in, preprocessing and augmentation."""
    content = hashlib.sha256()
    for name in sorted(parts):
        content.update(json.dumps([name, parts[name].content]).encode())
        content.update(parts[name].row.data)
        content.update(numbers[name].data)
        if (weight := parts[name].weight) is not None:
            content.update(b"weight")
            content.update(weight.data)
    for split in sorted(positions):
        content.update(json.dumps([split, len(positions[split])]).encode())
        content.update(positions[split].data)
    table = schema.table
    coded = table is not None and any(column.kind == "category" for column in table.features)
    steps = [_as_written(step) for step in (chosen if coded else config.preprocessing)]
    settings: dict[str, Any] = {
        "task": config.task,
        "classes": list(labels.classes),
        "steps": steps,
    }
    if table is not None and coded:
        settings["categories"] = [[c.name, *c.categories] for c in table.features]
    if isinstance(labels, ClassLabels) and labels.merged:
        settings["merged"] = list(labels.merged)
    if config.augmentation is not None:  # what decides the copies, beside the rows
        drawn = {"seed": config.seed, "image_shape": schema.image_shape}
        settings["augmentation"] = {**config.augmentation.to_dict(), **drawn}
    content.update(fingerprint(settings).encode())
    return content.hexdigest()
