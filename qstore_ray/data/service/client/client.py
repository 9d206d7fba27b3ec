"""A client of the dataset service that survives what servers do.

    client = DatasetServiceClient("https://data.example.org", token=SecretStr("…"))
    for record in client.datasets(source="custom"):
        path = client.download(record.id, "train", folder="cache")

Reading is tried again with growing, jittered pauses; what changes something is sent once. Every
answer is checked against `records.py`, and no secret is ever part of a message.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from qstore_ray.data.service.client.answers import checked
from qstore_ray.data.service.client.breaker import CircuitBreaker
from qstore_ray.data.service.client.download import Fetch
from qstore_ray.data.service.client.transport import Timeouts, Transport
from qstore_ray.data.service.records import (
    DatasetPatch,
    DatasetRecord,
    Format,
    HubDataset,
    HubImport,
    JobRecord,
    Origin,
    PipelineApply,
    PipelineRecord,
    PipelineRequest,
    Preview,
    ProjectExport,
    ProjectRecord,
    ProjectRequest,
    Split,
    SplitStatistics,
    Status,
)
from qstore_ray.errors import DataError, ServiceError, UsageError

if TYPE_CHECKING:
    from pydantic import BaseModel, SecretStr

    from qstore_ray.data.sources.base import ColumnsConfig

M = TypeVar("M")

_UPLOADS = {
    ".npz": "application/zip",
    ".parquet": "application/vnd.apache.parquet",
    ".csv": "text/csv",
    ".jsonl": "application/x-ndjson",
}


class DatasetServiceClient:
    """Everything the service can do, as methods.

    Args:
        base_url: where the service is, without credentials.
        token: sent as `Authorization: Bearer`.
        api_key: sent as `X-API-Key`.
        timeout: bounds of a call, in seconds; those of a download are `download_seconds` in all.
        retries: attempts beyond the first, for calls that only read.
        longest_pause: bound of one pause between attempts, in seconds.
        page_size: records asked for at once.
        max_records: most records that a listing may have.
        max_json_bytes: largest JSON answer.
        max_file_bytes: largest file.
        breaker: shared between clients of one server, if given.
        plain_http: allow a secret over `http` to another machine.

    Raises:
        ConfigError: a wrong address or bound.
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: SecretStr | None = None,
        api_key: SecretStr | None = None,
        timeout: Timeouts | None = None,
        download_seconds: float = 3600.0,
        retries: int = 4,
        longest_pause: float = 8.0,
        page_size: int = 100,
        max_records: int = 100_000,
        max_json_bytes: int = 2**26,
        max_file_bytes: int = 2**34,
        breaker: CircuitBreaker | None = None,
        plain_http: bool = False,
    ) -> None:
        timeouts = timeout or Timeouts()
        shared: dict[str, Any] = {
            "token": token,
            "api_key": api_key,
            "retries": retries,
            "longest_pause": longest_pause,
            "max_bytes": max_json_bytes,
            "breaker": breaker or CircuitBreaker("the dataset service"),
            "plain_http": plain_http,
        }
        self._transport = Transport(base_url, timeouts=timeouts, **shared)
        self._files = Transport(
            base_url,
            timeouts=Timeouts(connect=timeouts.connect, read=timeouts.read, total=download_seconds),
            **shared,
        )
        self._page_size, self._max_records = page_size, max_records
        self._max_file_bytes = max_file_bytes

    @property
    def base_url(self) -> str:
        """The address of the service."""
        return self._transport.base_url

    def __repr__(self) -> str:
        return f"DatasetServiceClient({self.base_url!r})"

    def healthy(self) -> bool:
        """Whether the service answers as a dataset service.

        Raises:
            ServiceError: it does not answer at all.
        """
        body, _ = self._transport.json("GET", "/health")
        return isinstance(body, dict) and body.get("status") == "ok"

    def datasets(
        self, *, source: Origin | None = None, status: Status | None = None
    ) -> Iterator[DatasetRecord]:
        """Every record, page after page.

        Raises:
            ServiceError: a page repeats, or pages never end, or a record is not one.
        """
        chosen = {"source": source, "status": status}
        params = {name: value for name, value in chosen.items() if value is not None}
        seen: set[str] = set()
        while True:
            page = {**params, "offset": str(len(seen)), "limit": str(self._page_size)}
            body, headers = self._transport.json("GET", "/datasets", params=page)
            records = checked(list[DatasetRecord], body, f"page at offset {len(seen)}")
            for record in records:
                if record.id in seen:
                    raise ServiceError(
                        "the list of datasets repeats itself",
                        field=f"offset {len(seen)}",
                        value=record.id,
                        fix="List again; if it stays so, the server ignores the offset.",
                    )
                seen.add(record.id)
                if len(seen) > self._max_records:
                    raise ServiceError(
                        f"the list of datasets has more than {self._max_records:,} entries",
                        fix="Filter by source or status, or raise max_records.",
                    )
                yield record
            count = headers.get("X-Total-Count", "")
            more = count.isdecimal() and int(count) > len(seen)
            if not records or (len(records) < self._page_size and not more):
                return

    def get(self, dataset_id: str) -> DatasetRecord:
        """One record."""
        return self._ask(DatasetRecord, "GET", f"/datasets/{_segment(dataset_id)}")

    def upload(
        self,
        path: str | Path,
        name: str,
        *,
        description: str = "",
        label: str = "",
        columns: ColumnsConfig | None = None,
    ) -> DatasetRecord:
        """Make a dataset from a `.npz` file, or from a Parquet, CSV or JSONL table.

        Args:
            label: the label column of a table, as `columns.label`.
            columns: which columns of a table are used, and how; as in a `DatasetConfig`.

        Raises:
            DataError: no such file, of another kind, or refused by the service.
        """
        file = Path(path)
        if file.suffix not in _UPLOADS:
            raise DataError(
                "not a .npz, .parquet, .csv or .jsonl file", field="path", value=str(path)
            )
        params = {"name": name, "description": description, "label": label}
        if columns is not None:
            params["columns"] = columns.model_dump_json(exclude_defaults=True)
        try:
            with file.open("rb") as body:
                return self._ask(
                    DatasetRecord,
                    "POST",
                    "/datasets",
                    params=params,
                    data=body,
                    headers={"Content-Type": _UPLOADS[file.suffix]},
                )
        except FileNotFoundError as exc:
            raise DataError("no such file", field="path", value=str(path)) from exc

    def patch(self, dataset_id: str, patch: DatasetPatch) -> DatasetRecord:
        """Change name, description or metadata."""
        return self._send(DatasetRecord, f"/datasets/{_segment(dataset_id)}", patch, "PATCH")

    def delete(self, dataset_id: str) -> None:
        """Delete a dataset."""
        self._transport.json("DELETE", f"/datasets/{_segment(dataset_id)}")

    def download(
        self,
        dataset_id: str,
        split: Split = "train",
        *,
        folder: str | Path,
        format: Format = "npz",  # noqa: A002, the name in the query
        sha256: str | None = None,
    ) -> Path:
        """The file of one part, fetched into `folder` unless it is there already.

        Args:
            sha256: what it must hash to; a kept file of this hash is used without asking.

        Raises:
            DataError: the content is not what was promised.
        """
        fetch = Fetch(
            self._files,
            Path(folder),
            f"{_segment(dataset_id)}-{split}.{format}",
            sha256=sha256,
            max_bytes=self._max_file_bytes,
        )
        return fetch.run(f"/datasets/{dataset_id}/download", {"split": split, "format": format})

    def statistics(self, dataset_id: str) -> dict[Split, SplitStatistics]:
        """Statistics of every part."""
        path = f"/datasets/{_segment(dataset_id)}/statistics"
        return self._ask(dict[Split, SplitStatistics], "GET", path)

    def preview(self, dataset_id: str, split: Split = "train", rows: int = 5) -> Preview:
        """The first rows of a part."""
        path = f"/datasets/{_segment(dataset_id)}/preview"
        return self._ask(Preview, "GET", path, params={"split": split, "rows": str(rows)})

    def search_hub(self, query: str, limit: int = 20) -> list[HubDataset]:
        """Datasets of the Hugging Face hub, searched by the service."""
        params = {"query": query, "limit": str(limit)}
        return self._ask(list[HubDataset], "GET", "/datasets/huggingface/search", params=params)

    def import_hub(self, asked: HubImport) -> JobRecord:
        """Import a dataset of the hub; `wait` for the job."""
        return self._send(JobRecord, "/datasets/huggingface/import", asked)

    def create_project(self, asked: ProjectRequest) -> ProjectRecord:
        """Register a Label Studio project."""
        return self._send(ProjectRecord, "/datasets/label-studio/project", asked)

    def import_export(self, asked: ProjectExport) -> DatasetRecord:
        """Turn a Label Studio export into a dataset."""
        return self._send(DatasetRecord, "/datasets/label-studio/export", asked)

    def create_pipeline(self, asked: PipelineRequest) -> PipelineRecord:
        """Store an augmentation pipeline."""
        return self._send(PipelineRecord, "/datasets/augmentation/pipeline", asked)

    def apply_pipeline(self, asked: PipelineApply) -> JobRecord:
        """Apply a pipeline; `wait` for the job."""
        return self._send(JobRecord, "/datasets/augmentation/apply", asked)

    def job(self, job_id: str) -> JobRecord:
        """What became of a job."""
        return self._ask(JobRecord, "GET", f"/jobs/{_segment(job_id)}")

    def wait(self, job: JobRecord, *, seconds: float = 600.0, pause: float = 0.5) -> JobRecord:
        """The job when it is done.

        Raises:
            ServiceError: it failed, or is not done after `seconds`.
        """
        until = time.monotonic() + seconds
        while job.status in {"queued", "running"}:
            if time.monotonic() > until:
                raise ServiceError(
                    f"the job is not done after {seconds:g} s", value=job.id, fix="Wait longer."
                )
            time.sleep(pause)
            job = self.job(job.id)
        if job.status == "failed":
            raise ServiceError(f"the job failed: {job.error}", field=job.kind, value=job.id)
        return job

    def _send(self, model: type[M], path: str, asked: BaseModel, method: str = "POST") -> M:
        return self._ask(model, method, path, json=asked.model_dump(mode="json", exclude_none=True))

    def _ask(self, model: type[M], method: str, path: str, **options: Any) -> M:
        body, _ = self._transport.json(method, path, **options)
        return checked(model, body, f"{method} {path}")


def _segment(id_: str) -> str:
    """An id as one segment of a path; nothing that could lead elsewhere."""
    if not (id_.isascii() and id_.replace("-", "").replace("_", "").isalnum()):
        raise UsageError(
            "not the id of a dataset or job", field="id", value=id_, fix="List the datasets."
        )
    return id_
