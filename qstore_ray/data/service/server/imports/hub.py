"""The Hugging Face hub, as the service uses it: search by words, and read one dataset.

Reading goes through the source adapter `huggingface`, so that the service takes from the hub
exactly what a training job would, under the same rules (no code of a dataset is ever run).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from qstore_ray.data.service.records import HubDataset, HubImport, Split
from qstore_ray.errors import ConfigError, DataError, ServiceError

if TYPE_CHECKING:
    from qstore_ray.data.service.server.content import Content, Rows
    from qstore_ray.data.sources.base import ReadTask, SourceData


def search_hub(words: str, limit: int) -> list[HubDataset]:
    """At most `limit` datasets of the hub whose name or description has the words.

    Raises:
        ServiceError: the hub cannot be reached.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        found = list(HfApi().list_datasets(search=words, limit=limit))
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError) as exc:
        raise ServiceError(
            f"the Hugging Face hub cannot be searched: {exc}",
            fix="Check the connection of the server, and that HF_HUB_OFFLINE is not set.",
        ) from exc
    return [
        HubDataset(id=one.id, downloads=one.downloads, likes=one.likes, gated=bool(one.gated))
        for one in found
    ]


def read_hub(asked: HubImport, cache: Path) -> SourceData:
    """The read tasks of one dataset of the hub; its files are kept in `cache`.

    Raises:
        DataError: no such dataset, or not one that can be read.
        MissingDependencyError: the adapter or a package that it needs is not installed.
    """
    from qstore_ray.data.sources.base import ColumnsConfig, SourceConfig, open_source

    adapter = open_source("huggingface")
    given: dict[str, Any] = {
        "path": asked.dataset_name,
        "config": asked.dataset_config,
        "feature_column": asked.feature_column,
        "split_mapping": asked.split_mapping,
    }
    params = {name: value for name, value in given.items() if value is not None}
    columns = ColumnsConfig(features=asked.feature_columns, label=asked.label_column)
    config = SourceConfig(
        name=asked.name, columns=columns, revision=asked.revision, cache_dir=str(cache)
    )
    return adapter().read(adapter.Params(**params), config)


def content_of(
    source: SourceData, feature_columns: tuple[str, ...] | None, max_bytes: int
) -> Content:
    """What a source found, read into memory: the parts train, val and test.

    Args:
        max_bytes: largest size of the rows of all parts together, as arrays.

    Raises:
        ConfigError: a feature column that the source does not have.
        DataError: a part without rows, a row without a label, or more than `max_bytes`.
    """
    from qstore_ray.data.service.server.content import Content

    tasks: dict[Split, tuple[ReadTask, ...]] = {"train": source.tasks}
    official: tuple[Literal["val", "test"], ...] = ("val", "test")
    tasks |= {split: source.official[split] for split in official if split in source.official}
    names = source.feature_names
    if feature_columns is not None:
        absent = sorted(set(feature_columns) - set(names or ()))
        if names is None or absent:
            raise ConfigError(
                "the dataset has no such feature column",
                field="feature_columns",
                value=absent or feature_columns,
                fix=f"It has: {', '.join(names or ('no names',))}.",
            )
    chosen = None if feature_columns is None else [names.index(n) for n in feature_columns or ()]  # type: ignore[union-attr]
    parts: dict[Split, Rows] = {}
    for split, part in tasks.items():
        read = sum(rows.x.nbytes + rows.y.nbytes for rows in parts.values())
        parts[split] = _read(split, part, chosen, read, max_bytes)
    table = source.table
    if table is not None and feature_columns is not None:
        table = table.only(feature_columns, "not asked for")
    return Content(parts, feature_columns or names, source.class_names, table=table)


def _read(
    split: str, tasks: Iterable[ReadTask], chosen: list[int] | None, read: int, max_bytes: int
) -> Rows:
    """The rows of one part, after `read` bytes of other parts."""
    import numpy as np

    from qstore_ray.data.rows.labels import join_labels
    from qstore_ray.data.rows.raw import read_raw
    from qstore_ray.data.service.server.content import Rows

    blocks = []
    for task in tasks:
        blocks.append(block := read_raw(task))
        read += block.x.nbytes + block.y.nbytes
        if read > max_bytes:
            raise DataError(
                f"the rows unpack to more than {max_bytes:,} bytes",
                field=split,
                fix="Leave columns out, or make two datasets of the rows.",
            )
    if not any(len(block.x) for block in blocks):
        raise DataError("the dataset has no rows in this split", field=split)
    if any(block.unlabelled is not None and block.unlabelled.any() for block in blocks):
        raise DataError(
            "a row has no label", field=split, fix="Remove such rows, or give them a label."
        )
    x = np.concatenate([block.x for block in blocks])
    return Rows(x if chosen is None else x[:, chosen], join_labels([b.y for b in blocks]))
