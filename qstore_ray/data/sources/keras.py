"""The image sets of `keras.datasets`, read from Keras's own cache; Keras is not needed for it.

    DatasetLoader.load(DatasetConfig(name="fashion", source="keras",
                                     params={"dataset": "fashion_mnist", "download": True}))

The cache is the folder `cache_dir`, else `$KERAS_HOME/datasets`, else `~/.keras/datasets`, in the
layout that Keras writes. A file is compared with the SHA-256 that Keras publishes (or the one given
in `params.sha256`) before it is opened. Nobody has published hashes of the files of an *extracted*
CIFAR archive; where Keras left only the folder, those files are read unverified unless hashes are
given, which `provenance` says, and either way by a reader that no pickle can misuse
(`data/files/cifarfile.py`). Keras's test set is the official `test` part.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from qstore_ray.config import Config
from qstore_ray.data.sources.base import ReadTask, SourceAdapter, SourceConfig, SourceData
from qstore_ray.data.sources.cachefile import CachedFile, obtain
from qstore_ray.data.sources.keras_layout import SETS, Found, KerasSet, find_files, read_part
from qstore_ray.errors import ConfigError, DataError, unknown_name_error
from qstore_ray.files import expanded

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray


class KerasParams(Config):
    """Which set, and whether it may be downloaded.

    Args:
        dataset: `mnist`, `fashion_mnist`, `cifar10` or `cifar100`.
        label_mode: `fine` (100 classes) or `coarse` (20), for cifar100; `fine` by default.
        download: get what is missing or damaged from the place that Keras gets it from.
        sha256: expected hash by file name, in place of the one that Keras publishes.
        mirror: where to download from instead: a URL to which the file name is added.
        timeout: seconds that the download of one file may take.
        max_bytes: largest size of one file, packed and unpacked.
        rows_per_task: rows that one read task returns.
    """

    dataset: Literal["mnist", "fashion_mnist", "cifar10", "cifar100"] = Field(
        examples=["fashion_mnist"]
    )
    label_mode: Literal["fine", "coarse"] | None = None
    download: bool = False
    sha256: dict[str, str] = Field(default_factory=dict)
    mirror: str | None = None
    timeout: float = Field(default=900.0, gt=0.0)
    max_bytes: int = Field(default=2**30, ge=1)
    rows_per_task: int = Field(default=65_536, ge=1)

    @field_validator("sha256")
    @classmethod
    def _hashes(cls, hashes: dict[str, str]) -> dict[str, str]:
        for name, value in hashes.items():
            if len(value) != 64 or not set(value.lower()) <= set("0123456789abcdef"):
                raise ConfigError("a SHA-256 has 64 hex digits", field=name, value=value)
        return {name: value.lower() for name, value in hashes.items()}

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.label_mode is not None and self.dataset != "cifar100":
            raise ConfigError(
                f"{self.dataset} has one kind of label", field="label_mode", value=self.label_mode
            )
        known = SETS[self.dataset].file_names()
        for name in self.sha256:
            if name not in known:
                raise unknown_name_error("file", name, known, field="sha256")
        if self.mirror is not None and not self.download:
            raise ConfigError(
                "a mirror is used for downloads only",
                field="mirror",
                value=self.mirror,
                fix="Set download = true, or leave the mirror out.",
            )
        return self


class KerasSourceAdapter(SourceAdapter[KerasParams]):
    """MNIST, Fashion-MNIST, CIFAR-10 and CIFAR-100 from Keras's cache."""

    Params: ClassVar[type[Config]] = KerasParams
    accepts: ClassVar[frozenset[str]] = frozenset({"cache_dir"})

    def read(self, params: KerasParams, config: SourceConfig) -> SourceData:
        """Read tasks for train, and for Keras's test set as the official `test`."""
        kind, folder = SETS[params.dataset], cache_folder(config.cache_dir)
        if params.download:
            _download(kind, folder, params)
        found = find_files(kind, folder, params.sha256)
        if found is None:
            raise _missing_file_error(params.dataset, folder)
        key = _label_key(params)
        tasks: dict[Any, tuple[ReadTask, ...]] = {}
        first_row = 0
        for part in ("train", "test"):
            whole = KerasTask(
                found, params.dataset, part, key, 0, None, first_row, params.max_bytes
            )
            n_rows = len(whole()["row"])
            tasks[part] = tuple(
                replace(whole, start=start, stop=start + params.rows_per_task)
                for start in range(0, max(n_rows, 1), params.rows_per_task)
            )
            first_row += n_rows
        return SourceData(
            tasks=tasks.pop("train"),
            official=tasks,
            parts=(("train", "Keras's train"), ("test", "Keras's test")),
            image_shape=kind.image_shape,
            class_names=found.class_names(kind, key, params.max_bytes),
            task="classification",
            provenance={
                "source": "keras",
                "dataset": params.dataset,
                "path": str(folder),
                "sha256": found.verified(),
            },
        )


@dataclass(frozen=True)
class KerasTask:
    """Reads rows `start` to `stop` of one part from the cache's files, checking their hashes."""

    found: Found
    dataset: str
    part: str
    label_key: str
    start: int
    stop: int | None
    first_row: int
    max_bytes: int

    def __call__(self) -> dict[str, AnyArray]:
        """The columns x, y, row of the rows.

        Raises:
            DataError: a file is gone, damaged or refused.
        """
        x, y = read_part(self.found, SETS[self.dataset], self.part, self.label_key, self.max_bytes)
        rows = slice(self.start, self.stop)
        row = np.arange(len(x), dtype=np.int64)[rows] + self.first_row
        return {"x": x[rows], "y": y[rows], "row": row}


def cache_folder(cache_dir: str | None) -> Path:
    """The folder of the cache: `cache_dir`, `$KERAS_HOME/datasets`, or `~/.keras/datasets`."""
    if cache_dir is not None:
        return expanded(cache_dir).resolve()
    home = os.environ.get("KERAS_HOME") or "~/.keras"
    return (expanded(home) / "datasets").resolve()


def _label_key(params: KerasParams) -> str:
    return f"{params.label_mode or 'fine'}_labels" if params.dataset == "cifar100" else "labels"


def _download(kind: KerasSet, folder: Path, params: KerasParams) -> None:
    """Get every file of the set that is missing or has another hash."""
    if find_files(kind, folder, params.sha256, archive=False) is not None:
        return  # the extracted folder, which has no published hash to be wrong
    for name, published in kind.published.items():
        expected = params.sha256.get(name, published)
        base = params.mirror.rstrip("/") + "/" if params.mirror else kind.url
        obtain(
            CachedFile(str(kind.place(folder, name)), expected),
            base + name,
            max_bytes=params.max_bytes,
            timeout=params.timeout,
        )


def _missing_file_error(dataset: str, folder: Path) -> DataError:
    return DataError(
        f"{dataset} is not in Keras's cache",
        field="params.dataset",
        value=str(folder),
        fix="Set params.download = true, or run these two lines where Keras is installed: "
        f"`import keras` and `keras.datasets.{dataset}.load_data()`.",
    )
