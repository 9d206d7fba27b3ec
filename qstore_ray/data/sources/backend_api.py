"""Datasets of a dataset service (`data/service`), by their id.

    [dataset]
    source = "backend_api"
    params = { dataset_id = "0123456789abcdef" }

The address is `base_url` or the environment variable QSTORE_DATA_URL; the token is taken from
QSTORE_DATA_TOKEN alone, so that it is never saved with a run. The parts val and test that the
record has are official. Files are fetched once, by the process that loads, into `cache_dir`, else
`$XDG_CACHE_HOME/qstore_ray`, else `~/.cache/qstore_ray`. The read tasks open the fetched files and
check their SHA-256, so only where they run on other nodes must `cache_dir` be one that all see.
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, SecretStr

from qstore_ray.config import Config
from qstore_ray.data.files.files import sha256_of
from qstore_ray.data.files.npyfile import LARGEST_RATIO, Place, count_rows
from qstore_ray.data.service.client.client import DatasetServiceClient
from qstore_ray.data.service.client.transport import Timeouts
from qstore_ray.data.service.records import ID_PATTERN, SPLITS, DatasetRecord, table_of
from qstore_ray.data.sources.base import ReadTask, SourceAdapter, SourceConfig, SourceData
from qstore_ray.data.sources.local.arrays import ArrayChunk
from qstore_ray.data.sources.local.base import ChunkTask, row_ranges
from qstore_ray.errors import ConfigError, DataError, unknown_name_error
from qstore_ray.files import expanded

if TYPE_CHECKING:
    from qstore_ray.data.columns import TableSchema
    from qstore_ray.data.sources.base import ColumnsConfig
    from qstore_ray.types import AnyArray

URL_VARIABLE = "QSTORE_DATA_URL"
TOKEN_VARIABLE = "QSTORE_DATA_TOKEN"  # noqa: S105, the name of a variable


class BackendAPIParams(Config):
    """Which dataset of which service.

    Args:
        dataset_id: as the service lists it.
        base_url: address of the service; QSTORE_DATA_URL where it is left out.
        plain_http: allow the token over `http` to another machine (inside a closed network).
        timeout: seconds until a connection stands, and between two pieces of an answer.
        retries: attempts beyond the first.
        max_bytes: largest size of one array.
        rows_per_task: rows that one read task returns.
    """

    dataset_id: str = Field(pattern=ID_PATTERN, examples=["0123456789abcdef"])
    base_url: str | None = None
    plain_http: bool = False
    timeout: float = Field(default=30.0, gt=0.0)
    retries: int = Field(default=4, ge=0)
    max_bytes: int = Field(default=2**30, ge=1)
    rows_per_task: int = Field(default=65_536, ge=1)


class BackendAPISourceAdapter(SourceAdapter[BackendAPIParams]):
    """Datasets of a dataset service."""

    Params: ClassVar[type[Config]] = BackendAPIParams
    accepts: ClassVar[frozenset[str]] = frozenset(
        {"revision", "cache_dir", "columns.encoding", "columns.unknown"}
    )

    def read(self, params: BackendAPIParams, config: SourceConfig) -> SourceData:
        """Fetch the parts of the dataset into `cache_dir`; read tasks for ranges of their rows.

        Raises:
            ConfigError: no address.
            DataError: not ready, another revision than asked for, or damaged.
            ServiceError: the service cannot answer.
        """
        client = _client(params)
        record = client.get(params.dataset_id)
        _check_record(record, config.revision)
        folder = _cache(config.cache_dir) / "backend_api"
        table, places = _table(record, config.columns)
        tasks: dict[Any, tuple[ReadTask, ...]] = {}
        first_row = 0
        for split in SPLITS:
            if split not in record.splits:
                continue
            sha256 = record.splits[split].sha256
            path = client.download(record.id, split, folder=folder, sha256=sha256)
            x, y = Place(str(path), "x"), Place(str(path), "y")
            n_rows = count_rows(x, y, params.max_bytes)
            tasks[split] = tuple(
                CheckedFileTask(
                    ChunkTask(
                        ArrayChunk(x, y, *rows, params.max_bytes, LARGEST_RATIO),
                        first_row + rows[0],
                    ),
                    str(path),
                    sha256,
                    places,
                )
                for rows in row_ranges(n_rows, params.rows_per_task)
            )
            first_row += n_rows
        return SourceData(
            tasks=tasks.pop("train"),
            official=tasks,
            parts=tuple((split, f"the record's {split}") for split in record.splits)
            if len(record.splits) > 1
            else (),
            feature_names=record.feature_names if table is None else table.names,
            table=table,
            image_shape=record.shape if len(record.shape) > 1 else None,
            class_names=record.class_names,
            uncut=record.copies > 0,
            provenance=_provenance(record, client.base_url),
        )


@dataclass(frozen=True)
class CheckedFileTask:
    """Reads rows from a fetched file, after its content was compared with its hash."""

    task: ChunkTask
    path: str
    sha256: str
    places: tuple[int, ...] | None = None

    def __call__(self) -> dict[str, AnyArray]:
        """The columns x, y, row of the rows.

        Raises:
            DataError: the file is gone, or no longer what was fetched.
        """
        try:
            about = Path(self.path).stat()
            found = _hash(self.path, (about.st_ino, about.st_size, about.st_mtime_ns))
        except OSError as exc:
            raise DataError(
                f"the fetched file cannot be read: {exc.strerror}",
                field="cache_dir",
                value=self.path,
                fix="Load the dataset again; where other nodes read it, set cache_dir to a folder "
                "that every node sees.",
            ) from exc
        if found != self.sha256:
            raise DataError(
                "the fetched file is no longer what was fetched",
                field="cache_dir",
                value=self.path,
                fix="Delete it and load the dataset again.",
            )
        rows = self.task()
        if self.places is not None:
            rows["x"] = rows["x"][:, list(self.places)]
        return rows


@functools.lru_cache(maxsize=64)
def _hash(path: str, _state: tuple[int, int, int]) -> str:
    """SHA-256 of the file, once for all tasks of a process while its inode, size, time stay."""
    return sha256_of(Path(path))


def _cache(asked: str | None) -> Path:
    """The folder that is asked for, else the one of this program below the user's cache folder."""
    if asked is None:
        root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        asked = str(Path(root, "qstore_ray"))
    return expanded(asked).resolve()


def _client(params: BackendAPIParams) -> DatasetServiceClient:
    base_url = params.base_url or os.environ.get(URL_VARIABLE)
    if not base_url:
        raise ConfigError(
            "no address of a dataset service",
            field="params.base_url",
            fix=f"Set params.base_url or {URL_VARIABLE}, for example http://127.0.0.1:8321.",
        )
    token = os.environ.get(TOKEN_VARIABLE)
    return DatasetServiceClient(
        base_url,
        token=SecretStr(token) if token else None,
        timeout=Timeouts(
            connect=params.timeout, read=params.timeout, total=max(120.0, 4 * params.timeout)
        ),
        retries=params.retries,
        plain_http=params.plain_http,
    )


def _table(
    record: DatasetRecord, asked: ColumnsConfig | None
) -> tuple[TableSchema | None, tuple[int, ...] | None]:
    """What the columns mean that are used, and their places in x where they are not all."""
    table = table_of(record)
    if table is None or asked is None:
        return table, None
    for field in ("features", "exclude"):
        for name in getattr(asked, field) or ():
            if name not in table.names:
                raise unknown_name_error("feature", name, table.names, field=f"columns.{field}")
    kept = asked.features or tuple(n for n in table.names if n not in asked.exclude)
    if not kept:
        raise ConfigError("no feature is left", field="columns.exclude", value=asked.exclude)
    places = tuple(table.names.index(name) for name in kept)
    why = "excluded" if asked.features is None else "not asked for"
    return replace(table.only(kept, why), unknown=asked.unknown), places


def _check_record(record: DatasetRecord, revision: str | None) -> None:
    if record.status != "ready" or "train" not in record.splits:
        raise DataError(
            f"the dataset is {record.status} and has the parts {sorted(record.splits)}",
            field="params.dataset_id",
            value=record.id,
            fix="Wait until it is ready; it needs a part called train.",
        )
    if revision is not None and revision != record.revision:
        raise DataError(
            "the service has another revision of this dataset",
            field="revision",
            value=revision,
            fix=f"It has {record.revision}. Leave revision out to take what there is.",
        )


def _provenance(record: DatasetRecord, base_url: str) -> dict[str, str]:
    hashes = {f"sha256.{split}": part.sha256 for split, part in record.splits.items()}
    return {
        "source": "backend_api",
        "url": base_url,
        "id": record.id,
        "revision": record.revision,
        **hashes,
    }
