"""Datasets of the Hugging Face hub, from their Parquet files.

    DatasetLoader.load(DatasetConfig(name="fashion", source="huggingface",
                                     params={"path": "zalando-datasets/fashion_mnist"}))

Only data is read: the repository's Parquet files, else those that the hub itself has made of it
(revision `refs/convert/parquet`). A script that a repository brings is never run. The revision is
resolved to a commit, which `provenance` records and which every read task reads. A test or
validation split of the hub stays the official one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias
from urllib.parse import urlsplit

import pyarrow as pa
from huggingface_hub import constants
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]
from pydantic import Field, field_validator

from qstore_ray.config import Config
from qstore_ray.data.sources.base import (
    TABLE_COLUMNS,
    ColumnsConfig,
    ReadTask,
    SourceAdapter,
    SourceConfig,
    SourceData,
)
from qstore_ray.data.sources.huggingface.hub import Hub, HubCommit, is_offline
from qstore_ray.data.sources.huggingface.layout import parts_of, shards_by_split
from qstore_ray.data.sources.huggingface.rows import (
    Columns,
    Shard,
    ShardTask,
    TableTask,
    class_names,
    is_image,
    is_number,
    read_range,
)
from qstore_ray.data.tables.arrow import index_of, read_schema
from qstore_ray.data.tables.request import TableRequest, signs
from qstore_ray.data.tables.rows import is_text
from qstore_ray.errors import ConfigError, DataError, unknown_name_error
from qstore_ray.files import expanded

_CONVERTED = "refs/convert/parquet"
_FEATURE_NAMES = ("image", "img")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_LABEL_NAMES = ("label", "labels")


class HuggingFaceParams(Config):
    """Which dataset, and how to reach it.

    The label column is `columns.label` of the dataset's configuration, `label` or `labels` by
    default. `columns.features` names columns of numbers, or one of images or vectors.

    Args:
        path: name on the hub, `owner/name`.
        config: name of the config, if the dataset has several.
        feature_column: one column of images or vectors; `image` or `img` by default.
        split_mapping: split of the hub to `train`, `val` or `test`; splits that are not named are
            left out. By default train, val and test are found by the usual words in their names.
        streaming: transfer only the parts of the files that are read; nothing is cached.
        endpoint: address of the hub; `HF_ENDPOINT`, else the public one, by default.
        offline: use the cache only, as does `HF_HUB_OFFLINE`.
        timeout: seconds that a listing or a file may take.
        mode: convert images to grey (`L`) or `RGB`.
        max_pixels: largest image.
        max_bytes: largest row group of a file, unpacked.
        rows_per_task: rows that one read task returns.
        missing: texts and numbers that stand for a missing value in columns of text and numbers;
            by default those of pandas.
    """

    path: str = Field(examples=["zalando-datasets/fashion_mnist"])
    config: str | None = None
    feature_column: str | None = None
    split_mapping: dict[str, Literal["train", "val", "test"]] | None = None
    streaming: bool = False
    endpoint: str | None = Field(default=None, pattern=r"^https?://[^/?#@]+(/[^?#]*)?$")
    offline: bool = False
    timeout: float = Field(default=300.0, gt=0.0)
    mode: Literal["L", "RGB"] | None = None
    max_pixels: int = Field(default=2**24, ge=1)
    max_bytes: int = Field(default=2**30, ge=1)
    rows_per_task: int = Field(default=65_536, ge=1)
    missing: tuple[str | int | float, ...] | None = None

    @field_validator("path")
    @classmethod
    def _a_name(cls, path: str) -> str:
        try:
            validate_repo_id(path)
        except HFValidationError as exc:
            raise ConfigError(
                "not the name of a dataset on the hub",
                value=path,
                fix='Set source = "local" for a folder or a file of this machine.'
                if Path(path).exists()
                else "Write owner/name, for example zalando-datasets/fashion_mnist.",
            ) from exc
        return path


class HuggingFaceSourceAdapter(SourceAdapter[HuggingFaceParams]):
    """Parquet files of a dataset on the Hugging Face hub."""

    Params: ClassVar[type[Config]] = HuggingFaceParams
    accepts: ClassVar[frozenset[str]] = frozenset({"revision", "cache_dir", *TABLE_COLUMNS})

    def read(self, params: HuggingFaceParams, config: SourceConfig) -> SourceData:
        """Read tasks for ranges of rows of the Parquet files of one commit."""
        hub = _hub(params, config)
        listing, revision = _listing(hub, config.revision)
        shards = shards_by_split(listing.files, params.config, repository=params.path)
        parts = parts_of(tuple(shards), params.split_mapping)
        found: dict[Any, list[tuple[Shard, int, pa.Schema]]] = {}
        for part, split in parts.items():
            for file in shards[split]:
                shard = Shard(hub, file, listing.commit, params.streaming)
                n_rows, schema = shard.use(lambda f: (f.metadata.num_rows, f.schema_arrow))
                found.setdefault(part, []).append((shard, n_rows, schema))
        schema = found["train"][0][2]
        made = _as_table if _is_table(schema, params, config) else _as_one_column
        provenance = {
            "source": "huggingface",
            "path": params.path,
            "endpoint": hub.endpoint,
            "revision": revision,
            "commit": listing.commit,
        }
        source = made(found, params, config, provenance)
        return replace(source, parts=tuple(parts.items()) if len(parts) > 1 else ())


Shards: TypeAlias = "dict[Any, list[tuple[Shard, int, pa.Schema]]]"


def _is_table(schema: pa.Schema, params: HuggingFaceParams, config: SourceConfig) -> bool:
    """Whether the features are columns of numbers or text, not one of images or vectors."""
    if params.feature_column is not None:
        return False
    asked = None if config.columns is None else config.columns.features
    if asked is None:
        images = any(is_image(column.type) for column in schema)
        return not images and not any(name in schema.names for name in _FEATURE_NAMES)
    known = [schema.field(name).type for name in asked if name in schema.names]
    if any(map(is_image, known)):
        return False
    return len(asked) > 1 or bool(known and (is_number(known[0]) or is_text(known[0])))


def _as_table(
    found: Shards, params: HuggingFaceParams, config: SourceConfig, provenance: dict[str, str]
) -> SourceData:
    schema = found["train"][0][2]
    shards = [one for part in found.values() for one in part]
    request = TableRequest(
        columns=config.columns or ColumnsConfig(),
        task=getattr(config, "task", "classification"),
        missing=signs(params.missing),
    )

    def blocks(names: tuple[str, ...]) -> Iterator[pa.Table]:
        for shard, n_rows, _ in shards:
            for start, stop in _ranges(n_rows, params):
                yield shard.use(
                    partial(
                        read_range,
                        names=names,
                        start=start,
                        stop=stop,
                        max_bytes=params.max_bytes,
                        where=shard.file,
                    )
                )

    first = shards[0][0].file
    columns, table = read_schema(schema, request, first, blocks, index=index_of(schema))
    tasks: dict[Any, tuple[ReadTask, ...]] = {}
    first_row = 0
    for part, those in found.items():
        made: list[ReadTask] = []
        for shard, n_rows, other in those:
            _check_same(other, schema, columns.names, shard.file)
            made += [
                TableTask(shard, columns, table, start, stop, first_row, params.max_bytes)
                for start, stop in _ranges(n_rows, params)
            ]
            first_row += n_rows
        tasks[part] = tuple(made)
    names = class_names(schema, table.label or "")
    return SourceData(
        tasks=tasks.pop("train"),
        official=tasks,
        feature_names=table.names,
        table=table,
        class_names=names,
        task=None if names is None else "classification",
        provenance=provenance,
    )


def _as_one_column(
    found: Shards, params: HuggingFaceParams, config: SourceConfig, provenance: dict[str, str]
) -> SourceData:
    schema = found["train"][0][2]
    columns = _columns(schema, params, config)
    tasks: dict[Any, tuple[ReadTask, ...]] = {}
    first_row = 0
    for part, those in found.items():
        made: list[ReadTask] = []
        for shard, n_rows, other in those:
            _check_same(other, schema, columns.names, shard.file)
            made += [
                ShardTask(shard, columns, start, stop, first_row)
                for start, stop in _ranges(n_rows, params)
            ]
            first_row += n_rows
        tasks[part] = tuple(made)
    names = class_names(schema, columns.label)
    return SourceData(
        tasks=tasks.pop("train"),
        official=tasks,
        one_column=config.columns is not None and config.columns.features is not None,
        class_names=names,
        task=None if names is None else "classification",
        provenance=provenance,
    )


def _ranges(n_rows: int, params: HuggingFaceParams) -> Iterator[tuple[int, int]]:
    for start in range(0, n_rows, params.rows_per_task):
        yield start, min(start + params.rows_per_task, n_rows)


def _hub(params: HuggingFaceParams, config: SourceConfig) -> Hub:
    offline = params.offline or is_offline()
    if offline and params.streaming:
        raise ConfigError(
            "streaming needs the network, and offline forbids it",
            field="params.streaming",
            value=True,
            fix="Set streaming = false to read the cache, or unset offline and HF_HUB_OFFLINE.",
        )
    endpoint = params.endpoint or os.environ.get("HF_ENDPOINT") or constants.ENDPOINT
    address = urlsplit(endpoint)
    plain = address.scheme != "https" and address.hostname not in _LOOPBACK
    if plain and os.environ.get("HF_TOKEN"):
        raise ConfigError(
            "HF_TOKEN would be sent unencrypted",
            field="params.endpoint",
            value=endpoint,
            fix="Use https, or unset HF_TOKEN.",
        )
    cache_dir = expanded(config.cache_dir or constants.HF_HUB_CACHE).resolve()
    return Hub(params.path, endpoint.rstrip("/"), str(cache_dir), offline, params.timeout)


def _listing(hub: Hub, revision: str | None) -> tuple[HubCommit, str]:
    """The commit to read and the revision that it was: the repository's, else the converted one."""
    asked = revision or "main"
    own = hub.listing(asked)
    if any(file.endswith(".parquet") for file in own.files):
        return own, asked
    scripts = [file for file in own.files if file.endswith(".py")]
    what = f"only a script ({scripts[0]}), which is never run" if scripts else "no Parquet files"
    missing = DataError(
        f"the dataset has {what}",
        field="params.path",
        value=hub.path,
        fix="Look for a copy of it in Parquet on the hub, or save it with datasets' to_parquet.",
    )
    if revision is not None:
        raise missing
    try:
        converted = hub.listing(_CONVERTED)
    except DataError as exc:
        raise (missing if exc.field == "revision" else exc) from exc
    if not any(file.endswith(".parquet") for file in converted.files):
        raise missing
    return converted, _CONVERTED


def _columns(schema: pa.Schema, params: HuggingFaceParams, config: SourceConfig) -> Columns:
    """The columns to read: those that are named, else those of the usual names."""
    asked = config.columns
    label = None if asked is None else asked.label
    several = None if asked is None else asked.features
    label = label or _usual(schema, _LABEL_NAMES, "columns.label")
    if several is not None and params.feature_column is not None:
        raise ConfigError(
            "name the features once, here or in columns.features",
            field="params.feature_column",
            value=params.feature_column,
        )
    one = params.feature_column
    features = several or (one or _usual(schema, _FEATURE_NAMES, "params.feature_column"),)
    for name in (*features, label):
        if name not in schema.names:
            raise _no_column_error(schema, name, "columns" if several else "params.feature_column")
    group = None if asked is None else asked.group
    if group is not None:
        _check_group(schema, group)
    weight = None if asked is None else asked.weight
    if weight is not None and weight not in schema.names:
        raise unknown_name_error("column", weight, schema.names, field="columns.weight")
    for name in several if several and len(several) > 1 else ():
        if not is_number(schema.field(name).type):
            raise ConfigError(
                "several features are columns of numbers",
                field="columns.features",
                value=name,
                fix=f'A column of images or vectors stands alone: features = ["{name}"].',
            )
    kind = schema.field(features[0]).type
    vector = pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)
    if not (is_image(kind) or is_number(kind) or vector):
        raise DataError(
            f"column {features[0]!r} is of type {kind}, not images, numbers or vectors",
            field="columns.features" if several else "params.feature_column",
            value=features[0],
        )
    limits = params.max_pixels, params.max_bytes
    return Columns(features, label, params.mode, *limits, group, weight)


def _check_group(schema: pa.Schema, name: str) -> None:
    if name not in schema.names:
        raise unknown_name_error("column", name, schema.names, field="columns.group")
    kind = schema.field(name).type
    if not (
        pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)
    ):
        raise ConfigError(
            f"groups are whole numbers or text, these are {kind}",
            field="columns.group",
            value=name,
            fix="Name another column.",
        )


def _usual(schema: pa.Schema, names: tuple[str, ...], field: str) -> str:
    there = [name for name in names if name in schema.names]
    if len(there) != 1:
        raise _no_column_error(schema, " or ".join(names), field)
    return there[0]


def _no_column_error(schema: pa.Schema, name: str, field: str) -> DataError:
    return DataError(
        f"there is no one column {name}; the columns are {', '.join(schema.names)}",
        field=field,
        fix='Name the label as columns = {label = "…"}, and an image column, or columns of '
        'numbers, as columns = {features = ["…"]}, or one as params = {feature_column = "…"}.',
    )


def _check_same(found: pa.Schema, schema: pa.Schema, names: tuple[str, ...], file: str) -> None:
    """Raise `DataError` where a shard has other columns than the first one."""
    for name in names:
        if name not in found.names or found.field(name).type != schema.field(name).type:
            raise DataError(
                f"column {name!r} is missing here, or of another type than in the first file",
                field=file,
                fix="The repository is inconsistent; name another revision.",
            )
