"""The manifest of a dataset on disk: what `dataset.json` holds, checked before it is believed.

A folder may have been copied halfway, or edited, or come from somebody else; so every field is
there and of its type, the splits have the names that splits have, and the files are those of the
splits and no others, or the folder is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from qstore_ray.data.read.schema import Schema
from qstore_ray.data.rows.labels import Label
from qstore_ray.errors import DataError
from qstore_ray.types import Table

FORMAT = 1
MANIFEST, PREPARATION = "dataset.json", "preparation.npz"
_SplitName: TypeAlias = Literal["train", "val", "test"]


@dataclass(frozen=True)
class PreparationSpec:
    """What `Preparation.spec` says: the width of a raw row, and the steps with their fields."""

    n_features: int
    steps: tuple[Table, ...]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Manifest:
    """What `dataset.json` holds; nothing of it is used before all of it has been checked.

    `merged` are the labels of the last class, where rare classes are merged into it; `blocks` are
    the digests of the row groups of each split, `sha256` those of the files.
    """

    format: int
    config: Table
    schema: Schema
    classes: tuple[Label, ...]
    class_counts: dict[str, tuple[int, ...]]
    fingerprint: str
    preparation: PreparationSpec
    provenance: dict[str, str]
    rows: dict[str, int]
    blocks: dict[_SplitName, tuple[str, ...]]
    sha256: dict[str, str]
    merged: tuple[Label, ...] = ()


def files_of(splits: Iterable[str]) -> list[str]:
    """Names of the files that stand beside the manifest of a dataset with these splits."""
    return [*(f"{split}.parquet" for split in splits), PREPARATION]


def read_manifest(folder: Path) -> Manifest:
    """The manifest in `folder`, checked.

    Raises:
        DataError: none there, of another version, or not what `Dataset.save` writes.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
    except (OSError, ValueError) as exc:
        raise DataError(
            "this folder holds no saved dataset",
            field="folder",
            value=str(folder),
            fix="Give the folder that Dataset.save wrote; its dataset.json is written last.",
        ) from exc
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise DataError(
            "this dataset was saved by another version of qstore_ray",
            field="folder",
            value=manifest.get("format") if isinstance(manifest, dict) else None,
            fix="Save it again with this version.",
        )
    try:
        checked: Manifest = TypeAdapter(Manifest).validate_python(manifest)
    except ValidationError as exc:
        wrong = exc.errors()[0]
        raise no_manifest_error(
            folder, f"{'.'.join(map(str, wrong['loc']))}: {wrong['msg'].lower()}"
        ) from exc
    if set(checked.sha256) != set(files_of(checked.blocks)) or "train" not in checked.blocks:
        raise no_manifest_error(folder, f"it lists the files {sorted(checked.sha256)}")
    return checked


def no_manifest_error(folder: str | Path, why: str) -> DataError:
    """The error of a manifest that does not fit itself or its files."""
    return DataError(
        f"{MANIFEST} is not what Dataset.save writes: {why}",
        field="folder",
        value=str(folder),
        fix="Copy the folder again, or make it again with Dataset.save.",
    )
