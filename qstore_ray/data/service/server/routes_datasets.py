"""Routes of the datasets themselves: list, upload, read, change, delete, download, look at."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path as FilePath
from typing import Annotated, TypeAlias

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse

from qstore_ray.data.service.records import (
    ID_PATTERN,
    NAME_PATTERN,
    DatasetPatch,
    DatasetRecord,
    Format,
    Origin,
    Preview,
    Split,
    SplitStatistics,
    Status,
)
from qstore_ray.data.service.server.access import problems
from qstore_ray.data.service.server.arrays import read_npz, read_parquet
from qstore_ray.data.service.server.content import Content
from qstore_ray.data.service.server.formats import MEDIA_TYPES, describe, with_gaps
from qstore_ray.data.service.server.settings import ServiceSettings
from qstore_ray.data.service.server.store import DatasetStore
from qstore_ray.data.service.server.tables import SUFFIXES, read_text_table
from qstore_ray.data.sources.base import ColumnsConfig
from qstore_ray.errors import ConfigError

router = APIRouter(tags=["datasets"])

_UPLOADS = {
    "application/zip": read_npz,
    "application/x-npz": read_npz,
    "application/vnd.apache.parquet": read_parquet,
    **dict.fromkeys(SUFFIXES, read_text_table),
}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_LONGEST_UPLOAD = 600.0  # seconds


def store_of(request: Request) -> DatasetStore:
    """The store of the application that a request came to."""
    store: DatasetStore = request.app.state.store
    return store


def settings_of(request: Request) -> ServiceSettings:
    """The settings of the application that a request came to."""
    settings: ServiceSettings = request.app.state.settings
    return settings


Store: TypeAlias = Annotated[DatasetStore, Depends(store_of)]
Settings: TypeAlias = Annotated[ServiceSettings, Depends(settings_of)]
PathId: TypeAlias = Annotated[str, Path(pattern=ID_PATTERN)]


@router.get(
    "/datasets",
    responses={
        **problems(),
        200: {"headers": {"X-Total-Count": {"schema": {"type": "integer"}}}},
    },
)
def list_datasets(
    store: Store,
    response: Response,
    offset: Annotated[int, Query(ge=0, lt=2**31)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    source: Origin | None = None,
    status: Status | None = None,
) -> list[DatasetRecord]:
    """Records in the order in which they were made; `X-Total-Count` says how many there are."""
    records, count = store.catalogue.page(
        "dataset",
        DatasetRecord,
        offset=offset,
        limit=limit,
        source=source or "",
        status=status or "",
    )
    response.headers["X-Total-Count"] = str(count)
    return records


@router.post(
    "/datasets",
    status_code=201,
    responses=problems(413, 415),
    openapi_extra={
        "requestBody": {"required": True, "content": dict.fromkeys(_UPLOADS, _BINARY)},
    },
)
async def upload_dataset(
    request: Request,
    store: Store,
    settings: Settings,
    name: Annotated[str, Query(pattern=NAME_PATTERN)],
    description: Annotated[str, Query(max_length=4000)] = "",
    label: Annotated[str, Query(max_length=200, description="label column of a table")] = "",
    columns: Annotated[
        str, Query(max_length=100_000, description="`columns` of a dataset's configuration as JSON")
    ] = "{}",
) -> DatasetRecord:
    """Make a dataset from a `.npz` body (x, y, x_val, …), or from a Parquet, CSV or JSONL table."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in _UPLOADS:
        raise HTTPException(415, f"Content-Type must be one of: {', '.join(_UPLOADS)}")
    asked = _columns(columns, label)
    with store.blobs.scratch() as path:
        await _receive(request, path, settings.max_upload_bytes)

        def add() -> DatasetRecord:
            if _UPLOADS[media_type] is read_npz:
                content = read_npz(path, settings.max_array_bytes)
            else:
                content = _read_table(path, media_type, settings.max_array_bytes, asked)
            return store.add(name, "custom", content, description)

        return await run_in_threadpool(add)


def _columns(text: str, label: str) -> ColumnsConfig:
    """The columns that are asked for."""
    try:
        given = json.loads(text)
    except ValueError as exc:
        raise ConfigError("this is no JSON", field="columns", value=text) from exc
    if not isinstance(given, dict):
        raise ConfigError("columns are an object of fields", field="columns", value=text)
    return ColumnsConfig(**({"label": label} if label else {}) | given)


def _read_table(path: FilePath, media_type: str, max_bytes: int, columns: ColumnsConfig) -> Content:
    if media_type in SUFFIXES:
        return read_text_table(path, SUFFIXES[media_type], columns, max_bytes)
    return read_parquet(path, max_bytes, columns)


async def _receive(request: Request, path: FilePath, max_bytes: int) -> None:
    """Write the body to a file as it comes, and stop when it is larger than allowed."""
    too_large = HTTPException(413, f"the body is larger than {max_bytes:,} bytes")
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared) > max_bytes:
        raise too_large
    received = 0
    try:
        with path.open("wb") as file:
            async with asyncio.timeout(_LONGEST_UPLOAD):
                async for chunk in request.stream():
                    received += len(chunk)
                    if received > max_bytes:
                        raise too_large
                    file.write(chunk)
    except TimeoutError as exc:
        raise HTTPException(408, f"the body took longer than {_LONGEST_UPLOAD:g} s") from exc


@router.get("/datasets/{id}", responses=problems(404))
def get_dataset(id: PathId, store: Store) -> DatasetRecord:  # noqa: A002, the name in the path
    """One record."""
    return store.get(id)


@router.patch("/datasets/{id}", responses=problems(404))
def patch_dataset(id: PathId, patch: DatasetPatch, store: Store) -> DatasetRecord:  # noqa: A002
    """Change name, description or metadata."""
    return store.patch(id, patch)


@router.delete("/datasets/{id}", status_code=204, responses=problems(404))
def delete_dataset(id: PathId, store: Store) -> None:  # noqa: A002
    """Delete a dataset and its files."""
    store.delete(id)


@router.get(
    "/datasets/{id}/download",
    response_class=FileResponse,
    responses={
        **problems(404, 409),
        200: {"content": dict.fromkeys(MEDIA_TYPES.values(), _BINARY)},
        206: {"description": "the bytes that the Range header asked for"},
        304: {"description": "the client has this content already"},
        400: {"description": "a malformed Range header"},
        416: {"description": "a range beyond the end"},
    },
)
def download_dataset(
    id: PathId,  # noqa: A002
    request: Request,
    store: Store,
    split: Split = "train",
    format: Format = "npz",  # noqa: A002, the name in the query
) -> Response:
    """The rows of one part as a file; the ETag is the SHA-256 of what is sent."""
    record = store.get(id)
    file = store.rendered(record, split, format)
    headers = {
        "ETag": f'"{file.sha256}"',
        "Cache-Control": "private, no-cache",
        "X-Content-Type-Options": "nosniff",
    }
    if _has_already(request.headers.get("if-none-match", ""), file.sha256):
        return Response(status_code=304, headers=headers)
    return FileResponse(
        file.path,
        headers=headers,
        media_type=MEDIA_TYPES[format],
        filename=f"{record.name}-{split}.{format}",
    )


def _has_already(if_none_match: str, sha256: str) -> bool:
    tags = {tag.strip().removeprefix("W/").strip('"') for tag in if_none_match.split(",")}
    return bool(tags & {sha256, "*"})


@router.get("/datasets/{id}/statistics", responses=problems(404, 409))
def dataset_statistics(id: PathId, store: Store) -> dict[Split, SplitStatistics]:  # noqa: A002
    """Mean, standard deviation, range and class counts of every part."""
    record = store.get(id)
    return {split: describe(store.rows(record, split)) for split in splits_of(record)}


def splits_of(record: DatasetRecord) -> tuple[Split, ...]:
    """The parts of a dataset; `train` where it has none yet, which is then an error of its own."""
    return tuple(record.splits) or ("train",)


@router.get("/datasets/{id}/preview", responses=problems(404, 409))
def preview_dataset(
    id: PathId,  # noqa: A002
    store: Store,
    split: Split = "train",
    rows: Annotated[int, Query(ge=1, le=100)] = 5,
) -> Preview:
    """The first rows of a part."""
    found = store.rows(store.get(id), split)
    return Preview(split=split, x=with_gaps(found.x[:rows]), y=found.y[:rows].tolist())
