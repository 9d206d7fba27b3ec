"""A dataset on disk: one Parquet file a split, and a manifest that says what they are.

    mine/train.parquet  val.parquet  test.parquet     columns x (list of float64), y, row[, weight]
         preparation.npz                              what the steps of preparation learnt
         dataset.json                                 written last: config, schema, SHA-256 of all

The rows are the raw ones, so that a loaded dataset prepares what is predicted later as the saved
one did; it has the same fingerprint, and a run begun with one resumes with the other. Copies that
an augmentation adds are not written but drawn again: seed and row numbers decide them.

A folder without its manifest is not a dataset, and a file whose bytes are not those of the manifest
is refused before it is parsed. Nothing is ever unpickled.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from qstore_ray.data.augment.expansion import Expansion, expansion_of
from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.files.files import sha256_of
from qstore_ray.data.prepare.prepare import Preparation
from qstore_ray.data.read.manifest import (
    FORMAT,
    MANIFEST,
    PREPARATION,
    Manifest,
    files_of,
    no_manifest_error,
    read_manifest,
)
from qstore_ray.data.read.plan import ReadPlan, SplitTask
from qstore_ray.data.read.row_groups import RowGroup, label_values, open_rows, write_rows
from qstore_ray.data.read.schema import Schema
from qstore_ray.data.read.size import streams
from qstore_ray.data.rows.labels import KINDS, ClassLabels, Labels
from qstore_ray.errors import DataError
from qstore_ray.files import write_durably
from qstore_ray.storage.copies import check_free, fetched_folder, save_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from qstore_ray.data.read.dataset import Dataset
    from qstore_ray.storage.address import StorageAddress


def save_dataset(dataset: Dataset, folder: Path) -> Path:
    """Write the dataset into a new folder; the folder.

    Raises:
        DataError: the folder is there already and not empty, or cannot be written; the source
            changed since the dataset was loaded.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(
            "the folder is not empty",
            field="folder",
            value=str(folder),
            fix="Give the name of a new folder, or delete this one first.",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        digests = {
            split: write_rows(plan, folder / f"{split}.parquet")
            for split, plan in dataset.plans.items()
        }
        _write_arrays(dataset.preparation.to_arrays(), folder / PREPARATION)
        manifest = {
            "format": FORMAT,
            "config": dataset.config.to_dict(),
            "schema": _plain_schema(dataset.schema),
            "classes": list(dataset.classes),
            "merged": list(dataset.merged),
            "class_counts": {name: list(c) for name, c in dataset.class_counts.items()},
            "fingerprint": dataset.fingerprint,
            "preparation": dataset.preparation.spec(),
            "provenance": dict(dataset.provenance),
            "rows": dataset.sizes,
            "blocks": digests,
            "sha256": {name: sha256_of(folder / name) for name in files_of(dataset.plans)},
        }
        write_durably(folder / MANIFEST, json.dumps(manifest, indent=1).encode())
    except OSError as exc:
        raise DataError(
            f"the dataset cannot be written: {exc.strerror or exc}",
            field="folder",
            value=str(folder),
        ) from exc
    return folder


def upload_dataset(dataset: Dataset, address: StorageAddress) -> str:
    """Write the dataset to an unused address, its manifest last; the address.

    Raises:
        DataError: the source changed since the dataset was loaded.
        UsageError: there is something at the address.
        StorageError: the object store cannot be used.
    """
    check_free(address)  # before the rows are read
    with TemporaryDirectory(prefix="qstore-dataset-") as folder:
        save_folder(save_dataset(dataset, Path(folder)), address, last=MANIFEST)
    return str(address)


def load_dataset(
    place: Path | StorageAddress, make: Callable[..., Dataset], stream: bool | None = None
) -> Dataset:
    """The dataset that `save_dataset` wrote; its rows are read when they are asked for.

    From an object store the files are copied to this machine, unless the rows are streamed: then
    each task reads its own ranges, and checks the rows against the manifest.

    Args:
        stream: whether the rows are streamed; None is what was saved with them.

    Raises:
        DataError: no dataset, an unknown format, or a file that is not what was written.
        StorageError: the object store cannot be used.
    """
    folder = place if isinstance(place, Path) else fetched_folder(place, {MANIFEST: True})
    manifest = read_manifest(folder)
    config = DatasetConfig(**manifest.config)
    if stream is not None:
        config = config.model_copy(update={"stream": stream})
    n_rows = sum(manifest.rows.values())
    streamed = streams(config.stream, n_rows, manifest.schema.n_raw_features, held=False)
    if isinstance(place, Path):
        rows_at, here = str(place.resolve()), list(manifest.sha256)
    else:
        here = [PREPARATION] if streamed else list(manifest.sha256)
        rows_at = str(place if streamed else folder.resolve())
        fetched_folder(place, {name: not _is_whole(folder, name, manifest) for name in here})
    for name in here:
        if not _is_whole(folder, name, manifest):
            raise DataError(
                f"{name} is missing or not what was written",
                field="folder",
                value=str(place),
                fix="Copy the folder again, or make it again with Dataset.save.",
            )
    with np.load(folder / PREPARATION, allow_pickle=False) as arrays:
        spec = manifest.preparation
        preparation = Preparation.from_arrays(
            dict(arrays), {"n_features": spec.n_features, "steps": list(spec.steps)}
        )
    labels: Labels = KINDS[config.task](manifest.classes)
    if manifest.merged:
        labels = ClassLabels(manifest.classes, manifest.merged)
    expansion = expansion_of(config, manifest.schema)
    return make(
        config=config,
        schema=manifest.schema,
        classes=manifest.classes,
        class_counts=manifest.class_counts,
        fingerprint=manifest.fingerprint,
        preparation=preparation,
        provenance=manifest.provenance,
        plans={
            split: _plan(
                f"{rows_at}/{split}.parquet",
                split,
                digests,
                labels,
                preparation,
                expansion if split == "train" else None,
                streamed=streamed,
            )
            for split, digests in manifest.blocks.items()
        },
        streamed=streamed,
    )


def _is_whole(folder: Path, name: str, manifest: Manifest) -> bool:
    path = folder / name
    return path.is_file() and sha256_of(path) == manifest.sha256[name]


def _plan(
    path: str,
    split: str,
    digests: tuple[str, ...],
    labels: Labels,
    preparation: Preparation,
    expansion: Expansion | None,
    *,
    streamed: bool,
) -> ReadPlan:
    try:
        with open_rows(path) as file:
            if file.num_row_groups != len(digests):
                folder, _, name = path.rpartition("/")
                raise no_manifest_error(folder, f"{name} has {file.num_row_groups} blocks")
            sizes = [file.metadata.row_group(number).num_rows for number in range(len(digests))]
            weighted = "weight" in file.schema_arrow.names
            kept = file.read(columns=["row", "weight"] if weighted else ["row"])
            rows = kept.column("row").to_numpy()
            weight = kept.column("weight").to_numpy() if weighted else None
            y = labels.encode(label_values(file.read(columns=["y"]))) if streamed else None
    except (OSError, pa.ArrowException) as exc:
        raise DataError(
            f"a saved dataset cannot be read: {exc}", field="folder", value=path
        ) from exc
    tasks = tuple(
        SplitTask(
            source=RowGroup(path, number),
            digest=digest,
            take=np.arange(size),
            columns=None,
            labels=labels,
            preparation=preparation,
            split=split,
            expansion=expansion,
        )
        for number, (digest, size) in enumerate(zip(digests, sizes, strict=True))
    )
    return ReadPlan(tasks, rows, weight=weight, y=y)


def _plain_schema(schema: Schema) -> dict[str, Any]:
    """The schema as JSON holds it."""
    table = None if schema.table is None else schema.table.to_dict()
    fields = schema._replace(table=None)._asdict()
    return {k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()} | {"table": table}


def _write_arrays(arrays: dict[str, Any], path: Path) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write_durably(path, buffer.getvalue())
