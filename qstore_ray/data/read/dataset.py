"""`Dataset`: train, val and test as read plans, with what a model has to know about them.

A dataset holds no rows. It holds, for every split, the functions that read them, so that a split
can be had as arrays in this process or as a `ray.data.Dataset` on a cluster, with equal rows:

    dataset = DatasetLoader.load(DatasetConfig(name="digits", params={"dataset": "digits"}))
    x, y = dataset.materialize("train")
    rows = dataset.to_ray("train").iter_batches(batch_size=256)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

from qstore_ray.data.read.plan import Arrays, ReadPlan, hold
from qstore_ray.data.read.schema import Schema
from qstore_ray.data.read.size import check_held
from qstore_ray.data.rows.labels import ClassLabels
from qstore_ray.errors import unknown_name_error
from qstore_ray.files import expanded
from qstore_ray.storage.address import address_of

if TYPE_CHECKING:
    import ray.data

    from qstore_ray.data.config import DatasetConfig
    from qstore_ray.data.prepare.prepare import Preparation
    from qstore_ray.data.rows.labels import Label
    from qstore_ray.types import AnyArray, FloatArray, IntArray


_WIDTH = 87  # of what stands behind a name in `describe`


@dataclass(frozen=True)
class Dataset:
    """Rows to train, validate and test on; made by `DatasetLoader`.

    Args:
        config: what was asked for.
        schema: the columns.
        classes: the original label of every class number, or the name of each of several labels;
            empty for a regression.
        class_counts: rows of each class, by split, copies included; of several labels, rows for
            which each holds.
        fingerprint: SHA-256 over the content of all splits, the preprocessing and the augmentation,
            64 hex digits; the same however many read tasks there are.
        preparation: the steps fitted on train; prepares raw rows for prediction too.
        provenance: where the data comes from, in words.
        plans: split name to read plan.
        streamed: whether a training reads the rows part by part and never holds them all.

    Examples:
        dataset = DatasetLoader.from_arrays(np.random.rand(40, 3), np.arange(40) % 2)
        train = dataset.materialize("train")
        print(train.x.shape, train.y.shape, dataset.classes)
    """

    config: DatasetConfig
    schema: Schema
    classes: tuple[Label, ...]
    class_counts: Mapping[str, tuple[int, ...]]
    fingerprint: str
    preparation: Preparation
    provenance: Mapping[str, str]
    plans: Mapping[str, ReadPlan]
    streamed: bool = False

    def __repr__(self) -> str:
        sizes = ", ".join(f"{split} {size}" for split, size in self.sizes.items())
        features = f"{self.schema.n_features} features"
        return f"Dataset({self.config.name!r}, {self.config.task}, {features}, {sizes})"

    @property
    def sizes(self) -> dict[str, int]:
        """Number of rows of every split, copies included."""
        return {split: plan.n_rows for split, plan in self.plans.items()}

    @property
    def merged(self) -> tuple[Label, ...]:
        """The labels that all are the last class, where rare classes were merged; else none."""
        labels = next(iter(self.plans.values())).tasks[0].labels
        return labels.merged if isinstance(labels, ClassLabels) else ()

    def plan(self, split: str) -> ReadPlan:
        """The read plan of `split`.

        Raises:
            UnknownNameError: the dataset has no such split.
        """
        if split not in self.plans:
            raise unknown_name_error("split", split, self.plans, field="split")
        return self.plans[split]

    def materialize(self, split: str) -> Arrays:
        """Read `split` in this process: x float64 (N, F), y (N,) or (N, T), by row number.

        Where train is augmented, the copies of a row stand behind it.

        Raises:
            UnknownNameError: the dataset has no such split.
            DataError: the source cannot be read any more, or has changed.
            ResourceError: the rows are streamed, and do not fit into memory.
        """
        plan = self.plan(split)
        if self.streamed and plan.held is None:
            check_held(plan.n_rows, self.schema.n_features, split)
        return plan.read()

    def parts(self, split: str) -> Iterator[Arrays]:
        """The rows of `materialize` in parts, one after another; all at once unless streamed.

        Raises:
            UnknownNameError, DataError: see `materialize`.
        """
        plan = self.plan(split)
        if not self.streamed or plan.held is not None:
            yield plan.read()
            return
        for task in plan.tasks:
            block = task()
            yield Arrays(block["x"], block["y"])

    def labels(self, split: str) -> AnyArray:
        """Labels (N,) or (N, T) of `materialize`; of streamed rows they alone are in memory.

        Raises:
            UnknownNameError, DataError: see `materialize`.
        """
        return self.plan(split).labels

    def in_memory(self, *, raw: bool = True) -> Dataset:
        """The same dataset with its rows read already: `materialize` gives them at once.

        Pickled, it carries them along; the arrays are not to be changed.

        Args:
            raw: hold the rows as the source has them too, so that nothing reads the source again
                (`with_val_in_train`, `to_ray`, `save`). Without them the dataset is as small as
                its prepared rows, and what needs raw ones reads the source.

        Raises:
            DataError, ResourceError: see `materialize`.
        """
        if self.streamed:
            for split, plan in self.plans.items():
                check_held(plan.n_rows, self.schema.n_features, split)
        plans = hold(self.plans) if raw else self.plans
        held = {split: replace(plan, held=plan.read()) for split, plan in plans.items()}
        return replace(self, plans=held, streamed=False)

    def weights(self, split: str) -> FloatArray | None:
        """Sample weights (N,) of the rows of `materialize`, all above 0; None without weights.

        Weights that are all equal are none, so that they change no bit.

        Raises:
            UnknownNameError: the dataset has no such split.
        """
        found = self.plan(split).weights
        return None if found is None or (found == found[0]).all() else found

    def rows(self, split: str) -> IntArray:
        """Row numbers (N,) in the source, in the order of `materialize`; a copy has its row's."""
        return self.plan(split).rows

    def with_val_in_train(self) -> Dataset:
        """The same dataset with the rows of val in train, as `split.merge_val` loads it.

        Test keeps its rows; preparation and augmentation are fitted again on the larger train.

        Raises:
            ConfigError: there is no val.
            UsageError: a saved dataset, whose rows of train and val are in files of their own.
        """
        from qstore_ray.data.read.merge import with_val_in_train

        return with_val_in_train(self)

    def to_ray(self, split: str) -> ray.data.Dataset:
        """`split` as a `ray.data.Dataset` with columns x, y, row (and weight), by the same tasks.

        Blocks may come in any order; `row` says which row is which. The copies of a row have its
        number and stand behind it.

        Raises:
            UnknownNameError: the dataset has no such split.
            UsageError: Ray is not running; it is not started from here.
        """
        from qstore_ray.data.read.ray_reader import read_with_ray

        return read_with_ray(
            f"{self.config.name}/{split}", self.plan(split), self.schema.n_features
        )

    def save(self, folder: str | Path) -> Path | str:
        """Write all splits as Parquet with everything to load them again; the folder.

        Args:
            folder: a new folder, or an unused address: s3://bucket/datasets/digits.

        Raises:
            DataError: the folder is not empty, or cannot be written.
            UsageError, StorageError: the same of an address.
        """
        from qstore_ray.data.read.saved import save_dataset, upload_dataset

        address = address_of(folder, "folder")
        if address is not None:
            return upload_dataset(self, address)
        return save_dataset(self, expanded(folder))

    @staticmethod
    def load(folder: str | Path, *, stream: bool | None = None) -> Dataset:
        """The dataset that `save` wrote into `folder`, with the same fingerprint.

        Of an address, a copy on this machine is read; what has not changed is not fetched again.
        Streamed, nothing is copied: whoever reads rows fetches the blocks that he reads.

        Args:
            stream: whether a training reads the rows part by part; None is as it was saved.

        Raises:
            DataError: no dataset there, or its files are not what was written.
            StorageError: the object store cannot be used.
        """
        from qstore_ray.data.read.saved import load_dataset

        address = address_of(folder, "folder")
        return load_dataset(expanded(folder) if address is None else address, Dataset, stream)

    def describe(self) -> str:
        """The dataset in a few lines of text."""
        schema, config = self.schema, self.config
        shape = (
            "" if schema.image_shape is None else f" ({' x '.join(map(str, schema.image_shape))})"
        )
        chain = " → ".join(step.name for step in self.preparation.steps)
        prepared = f" → {chain} → {schema.n_features} features" if chain else ""
        lines = [
            f"{config.name}: {config.task}, {sum(self.sizes.values())} rows",
            f"source       {', '.join(self.provenance.values())}",
            f"features     {schema.n_raw_features}{shape}{prepared}",
            f"splits       {', '.join(f'{name} {n}' for name, n in self.sizes.items())}",
        ]
        if schema.table is not None:
            parts = [wrap(part, _WIDTH) for part in schema.table.line().split("; ")]
            table = [line for part in parts for line in part]
            lines[2:2] = [f"{'' if i else 'columns':13}{line}" for i, line in enumerate(table)]
        if config.augmentation is not None:
            lines.append(f"augmentation {self._augmented()}")
        if self.streamed:
            lines.append("stream       a training reads the rows part by part")
        if self.classes:
            lines.append(f"classes      {len(self.classes)}: {', '.join(schema.class_names)}")
        for split, counts in self.class_counts.items():
            absent = [name for name, n in zip(schema.class_names, counts, strict=True) if n == 0]
            if absent:
                lines.append(f"note         {split} has no rows of {', '.join(absent)}")
        return "\n".join([*lines, f"fingerprint  {self.fingerprint}"])

    def _augmented(self) -> str:
        assert self.config.augmentation is not None
        plan, settings = self.plans["train"], self.config.augmentation
        n_rows = len(plan.source_rows)
        chain = " → ".join(step.name for step in settings.steps)
        originals = f"{n_rows} rows and" if settings.keep_original else "only"
        return f"train has {originals} {n_rows * settings.copies} copies ({chain})"
