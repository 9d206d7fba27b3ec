"""What data to use, as a configuration: source, split, preparation, seed.

    [dataset]
    name = "digits"
    source = "sklearn"
    params = { dataset = "digits" }
    split = { train = 0.65, val = 0.15, test = 0.2 }

    [[dataset.preprocessing]]
    name = "standard"

    [[dataset.preprocessing]]
    name = "pca"
    components = 16

    [dataset.augmentation]
    copies = 2
    steps = [{ name = "rotate", degrees = 10.0 }]

`source` names an adapter (`DatasetLoader.available()` lists them), and `params` belongs to that
adapter, which declares its own fields; so does every step of `preprocessing` and `augmentation`.
All are checked and completed with their defaults as soon as the configuration is built, so that
what is saved with a run says everything that was in force.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import Field, SerializeAsAny, ValidationInfo, field_validator, model_validator

from qstore_ray.config import Config
from qstore_ray.data.augment.config import ExpansionConfig
from qstore_ray.data.prepare.step_config import STEPS, StepConfig
from qstore_ray.data.rows.select_config import SelectConfig
from qstore_ray.data.sources.base import TABLE_COLUMNS, ColumnsConfig, SourceConfig, open_source
from qstore_ray.errors import ConfigError, unknown_name_error
from qstore_ray.types import Table, Task

Fraction: TypeAlias = Annotated[float, Field(gt=0.0, le=1.0)]


class SplitConfig(Config):
    """Fractions of the rows for train, val and test, which sum to 1; or one of several folds.

    A part that the source brings itself (an official test set) is kept as it is; the fractions of
    the other parts are then scaled to sum to 1 over the rows that remain.

    Args:
        train: fraction for training; none with folds.
        val: fraction for validation; none with folds.
        test: fraction for the test.
        method: `seed` deals the rows out at random; `hash` by the row's number alone, so that
            added rows move none, or by its group where `columns.group` names one; `group` deals
            out whole groups of `columns.group` at random; `time` takes the rows in their order,
            train first.
        folds: k for cross-validation: what is not test is cut into k parts.
        fold: which of them, 0 to k − 1, is val; the others are train.
        merge_val: cut as the fields above say, or as the source does, then add the rows of val to
            train: for a final training, when val has served its purpose. There is no val then, and
            test has the same rows.
        ranks: `default_rng` orders rows and groups by the stream of numpy's `default_rng(seed)`,
            as was done before this field existed; for runs of that time only, because rows that
            were drawn from that stream would be sorted by their values. Without it, the stream
            is one of its own.
    """

    train: Fraction | None = None
    val: Fraction | None = None
    test: Fraction | None = None
    method: Literal["seed", "hash", "group", "time"] = "seed"
    folds: int | None = Field(default=None, ge=2)
    fold: int | None = Field(default=None, ge=0)
    merge_val: bool = False
    ranks: Literal["default_rng"] | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.folds is None:
            self._check_fractions()
        else:
            self._check_folds(self.folds)
        return self

    def _check_fractions(self) -> None:
        if self.fold is not None:
            raise ConfigError(
                "one of how many folds?",
                field="fold",
                value=self.fold,
                fix="Write for example folds = 5 beside it.",
            )
        if self.train is None:
            raise ConfigError(
                "is missing", field="train", fix="Give its fraction, or folds and fold."
            )
        total = math.fsum(self.fractions().values())
        if abs(total - 1.0) > 1e-9:
            raise ConfigError(
                f"the fractions sum to {total:.12g}, not to 1",
                value=self.fractions(),
                fix='Write for example {"train": 0.7, "val": 0.1, "test": 0.2}.',
            )

    def _check_folds(self, k: int) -> None:
        if self.fold is None or self.fold >= k:
            raise ConfigError(
                f"it is not said which of the {k} folds is val"
                if self.fold is None
                else f"there are only {k} folds",
                field="fold",
                value=self.fold,
                fix=f"Give a number from 0 to {k - 1}.",
            )
        for name, fraction in (("train", self.train), ("val", self.val)):
            if fraction is not None:
                raise ConfigError(
                    "train and val follow from the folds",
                    field=name,
                    value=fraction,
                    fix=f"Leave {name} out, or leave folds and fold out.",
                )
        if self.test == 1.0:
            raise ConfigError("no rows are left for the folds", field="test", value=self.test)
        if self.method == "time":
            raise ConfigError(
                "folds would train on what is later than their val",
                field="method",
                value=self.method,
                fix="Use seed, hash or group; or train, val and test without folds.",
            )

    def fractions(self) -> dict[str, float]:
        """The parts asked for, in the order train, val, test."""
        parts = {"train": self.train, "val": self.val, "test": self.test}
        return {name: part for name, part in parts.items() if part is not None}


class DatasetConfig(SourceConfig):
    """What data to use and how to cut and prepare it.

    Args:
        name: what the data is called in run folders and trackers: letters, digits, `-`, `_`, `.`.
        source: name of the source adapter.
        params: the adapter's own fields.
        columns: feature and label columns, for sources that name their columns.
        split: fractions for train, val, test.
        stratify: keep the proportions of the classes in every part (classification, and a split
            by seed: in the others a row's part follows from its number, group or place alone).
        bad_values: what becomes of rows with NaN or infinity: `error` names the first one, `drop`
            leaves them out, with those that have no label, and says how many.
        select: a choice of classes and rows.
        rare_classes: what becomes of classes with fewer than `rare_below` rows: `keep` them, their
            rows in train first if they are too few for all parts; `drop` them; `merge` them
            into one class called other; or `error`.
        rare_below: 3 by default, with folds their number.
        preprocessing: steps, fitted on train in this order and applied to every part.
        augmentation: changed copies of the rows of train; val and test are never augmented, and the
            preparation is fitted on the rows of the source alone.
        seed: decides which row goes where, and the draws of the augmentation.
        revision: version of the data, for sources that have versions.
        cache_dir: folder for downloaded data, for sources that download.
        task: what labels are: one class a row (`classification`), rows of 0 and 1 in which several
            may hold (`multilabel`), or one or several numbers a row (`regression`).
        stream: whether a training reads the rows block by block, for data larger than memory; by
            default if they would take more than half of the memory that is free.

    Raises:
        ConfigError: a wrong value, an unknown source, step or key.

    Examples:
        config = DatasetConfig(name="iris", params={"dataset": "iris"}, seed=1)
        print(config.source, config.split.train)
    """

    source: str = "sklearn"
    params: Table = Field(default_factory=dict)
    split: SplitConfig = SplitConfig(train=0.7, val=0.1, test=0.2)
    stratify: bool = True
    bad_values: Literal["error", "drop"] = "error"
    select: SelectConfig = SelectConfig()
    rare_classes: Literal["keep", "drop", "merge", "error"] = "keep"
    rare_below: int | None = Field(default=None, ge=1)
    preprocessing: tuple[SerializeAsAny[StepConfig], ...] = ()
    augmentation: ExpansionConfig | None = None
    seed: int = Field(default=0, ge=0, lt=2**63)
    task: Task = "classification"
    stream: bool | None = None

    @field_validator("source")
    @classmethod
    def _known_source(cls, name: str) -> str:
        open_source(name)
        return name

    @field_validator("params")
    @classmethod
    def _complete_params(cls, params: Table, info: ValidationInfo) -> Table:
        if "source" not in info.data:  # the source itself was wrong, which is reported already
            return params
        return open_source(info.data["source"]).Params(**params).to_dict()

    @field_validator("preprocessing", mode="before")
    @classmethod
    def _known_steps(cls, steps: Any) -> Any:
        if not isinstance(steps, (list, tuple)):
            raise ConfigError(
                "preprocessing is a list of steps", value=steps, fix='Write [{"name": "standard"}].'
            )
        return tuple(_step(step, position) for position, step in enumerate(steps))

    @model_validator(mode="after")
    def _accepted(self) -> Self:
        group = None if self.columns is None else self.columns.group
        given = {
            "revision": self.revision,
            "cache_dir": self.cache_dir,
            **{field: _asked(self.columns, field) for field in sorted(TABLE_COLUMNS)},
        }
        accepts = open_source(self.source).accepts
        for field, value in given.items():
            if value is not None and field not in accepts:
                raise ConfigError(
                    f"the source {self.source!r} has no {field.rpartition('.')[2]}",
                    field=field,
                    value=value,
                    fix="Leave it out.",
                )
        self._check_group(group, "columns.group" in accepts)
        return self

    def _check_group(self, group: str | None, accepted: bool) -> None:
        method = self.split.method
        if group is None and method == "group":
            fix = (
                'Write for example columns = {group = "patient"}.'
                if accepted
                else f"The source {self.source!r} names no groups; tables of the sources local "
                "and huggingface do."
            )
            raise ConfigError("a split by group needs a group", field="columns.group", fix=fix)
        if group is not None and method not in ("group", "hash"):
            raise ConfigError(
                f"a split by {method} does not keep groups together",
                field="columns.group",
                value=group,
                fix='Set split.method = "group" or "hash", or leave the group out.',
            )


def _asked(columns: ColumnsConfig | None, field: str) -> Any:
    """What was set in a field of `columns`; None where it is as it would be by itself."""
    name = field.rpartition(".")[2]
    value = getattr(columns, name, None)
    usual = ColumnsConfig.model_fields[name].default
    return None if value == usual else value


def _step(step: Any, position: int) -> StepConfig:
    """The step that a mapping with a name describes, checked by its own class."""
    if isinstance(step, StepConfig):
        if type(step) is not StepConfig:
            return step
        step = {"name": step.name}
    if not isinstance(step, Mapping) or not isinstance(step.get("name"), str):
        raise ConfigError(
            "a step is a mapping with a name",
            field=str(position),
            value=step,
            fix='Write for example {"name": "pca", "components": 16}.',
        )
    if step["name"] not in STEPS:
        raise unknown_name_error("step", step["name"], STEPS, field=f"{position}.name")
    try:
        return STEPS[step["name"]](**step)
    except ConfigError as exc:
        field = f"{position}.{exc.field}" if exc.field else str(position)
        raise type(exc)(exc.message, field=field, value=exc.value, fix=exc.fix) from exc
