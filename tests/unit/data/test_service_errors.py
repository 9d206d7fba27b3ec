"""An error of the service is the same error at its client; limits hold after unpacking too."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pandas as pd
import pytest
import requests

from qstore_ray.data.service.client.answers import refusal_error
from qstore_ray.data.service.client.client import DatasetServiceClient
from qstore_ray.data.sources.base import ColumnsConfig
from qstore_ray.errors import (
    BackendError,
    ConfigError,
    DataError,
    InterruptedRunError,
    MissingDependencyError,
    QStoreError,
    ResourceError,
    RunError,
    ServiceError,
    UnknownNameError,
    UnlabelledError,
    UsageError,
)
from tests.dataset_service import running

CROSSING = (
    UsageError,
    ConfigError,
    UnknownNameError,
    ResourceError,
    DataError,
    UnlabelledError,
    ServiceError,
    MissingDependencyError,
)


def _sent(error: QStoreError) -> bytes:
    return json.dumps({"detail": error.as_dict()}).encode()


@pytest.mark.parametrize("kind", CROSSING)
@pytest.mark.parametrize(
    "value", [None, "größe", 3, ("a", 1.5), float("inf"), Path("a"), "v" * 300]
)
def test_an_error_crosses_whole(kind: type[QStoreError], value):
    error = kind("what was wrong", field="columns.label", value=value, fix="Type this.")
    found = refusal_error(422, _sent(error))
    assert type(found) is kind
    assert (found.message, found.field, found.fix) == (error.message, error.field, error.fix)
    assert str(found) == str(error)
    assert str(pickle.loads(pickle.dumps(found))) == str(error)
    if isinstance(value, str | int | tuple) and value != "v" * 300:
        assert found.value == value


def test_an_earlier_service_calls_it_a_backend():
    sent = {"detail": {**ServiceError("gone").as_dict(), "error": "BackendError"}}
    assert type(refusal_error(409, json.dumps(sent).encode())) is ServiceError


def test_a_service_is_no_backend_of_circuits():
    assert not issubclass(ServiceError, BackendError)
    assert ServiceError.exit_code == BackendError.exit_code


@pytest.mark.parametrize("kind", [RunError, InterruptedRunError])
def test_an_error_that_no_service_raises_is_a_data_error(kind: type[QStoreError]):
    found = refusal_error(422, _sent(kind("stop", value=3)))
    assert (type(found), found.value) == (DataError, 3)
    assert "the service answered 422: stop" in str(found)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"detail": "x"}', b'{"detail": null}'])
def test_what_describes_no_error_is_shown(body: bytes):
    assert type(refusal_error(404, body)) is ServiceError


def test_an_unknown_column_is_not_an_unknown_address(tmp_path: Path):
    (tmp_path / "rows.csv").write_text("a,b,y\n" + "1,2,0\n3,4,1\n" * 8)
    with running(tmp_path / "service") as url:
        answer = requests.post(
            f"{url}/datasets",
            params={"name": "rows", "columns": '{"features": ["aa"]}'},
            data=(tmp_path / "rows.csv").read_bytes(),
            headers={"Content-Type": "text/csv"},
            timeout=20,
        )
        assert answer.status_code == 422
        client = DatasetServiceClient(url)
        with pytest.raises(QStoreError) as caught:
            client.upload(tmp_path / "rows.csv", "rows", columns=ColumnsConfig(features=("aa",)))
        assert isinstance(caught.value, UnknownNameError)
        assert (caught.value.field, caught.value.value) == ("columns.features", "aa")
        assert "Known: a, b" in caught.value.fix
        record = client.upload(tmp_path / "rows.csv", "rows")
        for route in ("0" * 16, f"{record.id}/download?split=val"):
            assert requests.get(f"{url}/datasets/{route}", timeout=20).status_code == 404


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_table_is_bounded_by_what_it_unpacks_to(tmp_path: Path, form: str):
    frame = pd.DataFrame({"a": [1.0, 2.0] * 500, "b": [0.0, 1.0] * 500, "y": [0, 1] * 500})
    path = tmp_path / f"rows.{form}"
    if form == "csv":
        frame.to_csv(path, index=False)
    elif form == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_parquet(path, index=False)
    needed = 3 * 8 * len(frame)
    with running(tmp_path / "small", max_array_bytes=needed - 1) as url:
        with pytest.raises(DataError, match="bytes"):
            DatasetServiceClient(url).upload(path, "rows")
        assert not list(DatasetServiceClient(url).datasets())
    with running(tmp_path / "large", max_array_bytes=2 * needed) as url:
        assert DatasetServiceClient(url).upload(path, "rows").num_samples == len(frame)
