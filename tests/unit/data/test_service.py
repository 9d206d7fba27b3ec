"""The dataset service as a real server: what goes in comes out, and nothing else gets in."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import SecretStr

from qstore_ray.data.service.client.client import DatasetServiceClient
from qstore_ray.data.service.records import (
    DatasetPatch,
    DatasetRecord,
)
from qstore_ray.data.service.server.app import make_server, serve
from qstore_ray.data.service.server.settings import ServiceSettings
from qstore_ray.data.service.server.store import DatasetStore
from qstore_ray.errors import ConfigError, DataError, ServiceError, UnknownNameError
from tests.dataset_service import X, Y, made, npz, running

TOKEN, KEY = SecretStr("a-token-for-the-tests"), SecretStr("a-key-for-the-tests")
ZIP = {"Content-Type": "application/zip"}


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("service"), max_upload_bytes=10**6) as address:
        yield address


@pytest.fixture
def client(url: str) -> DatasetServiceClient:
    return DatasetServiceClient(url, retries=0)


def _upload(url: str, body: bytes, name: str = "set", **params) -> requests.Response:
    return requests.post(
        f"{url}/datasets", params={"name": name, **params}, data=body, headers=ZIP, timeout=20
    )


def _get(url: str, record: DatasetRecord, what: str, **options) -> requests.Response:
    return requests.get(f"{url}/datasets/{record.id}/{what}", timeout=20, **options)


@settings(max_examples=15)
@given(
    x=hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=2, max_dims=3, max_side=4),
        elements=st.floats(-1e6, 1e6),
    ),
    labels=st.sampled_from([[0, 1], [-3, 7], ["cat", "dog"]]),
)
def test_what_is_stored_comes_back_bit_for_bit(tmp_path_factory, x, labels):
    from qstore_ray.data.service.server.content import Content, Rows

    store = DatasetStore(tmp_path_factory.mktemp("store"), 2**20)
    y = np.array([labels[k % 2] for k in range(len(x))])
    record = store.add("set", "custom", Content({"train": Rows(x, y)}))
    rows = store.rows(record, "train")
    np.testing.assert_array_equal(rows.x, x)
    np.testing.assert_array_equal(rows.y, y)
    again = store.add("set", "custom", Content({"train": Rows(x, y)}))
    assert again.revision == record.revision
    store.delete(record.id)
    np.testing.assert_array_equal(store.rows(again, "train").x, x)


def test_every_format_holds_the_same_rows(url: str, client: DatasetServiceClient, tmp_path: Path):
    record = made(url, x=X, y=Y)
    files = {
        name: client.download(record.id, folder=tmp_path, format=name)
        for name in ("npz", "parquet", "json", "csv")
    }
    with np.load(files["npz"], allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["x"], X)
        np.testing.assert_array_equal(arrays["y"], Y)
    table = pq.read_table(files["parquet"])
    assert table.column_names == ["x0", "x1", "x2", "y"]
    np.testing.assert_array_equal(table.to_pandas().to_numpy()[:, :3], X)
    np.testing.assert_array_equal(json.loads(files["json"].read_text())["x"], X)
    text = np.loadtxt(files["csv"], delimiter=",", skiprows=1)
    np.testing.assert_array_equal(text, np.column_stack([X, Y]))
    for name, path in files.items():
        assert path.stem == hashlib.sha256(path.read_bytes()).hexdigest()
        assert path.suffix == f".{name}"


def test_a_parquet_table_keeps_its_names_and_parts(client: DatasetServiceClient, tmp_path: Path):
    split = ["train"] * 6 + ["val"] * 3 + ["test"] * 3
    columns = {"a": X[:, 0], "b": X[:, 1], "class": [str(y) for y in Y], "split": split}
    pq.write_table(pa.table(columns), tmp_path / "d.parquet")
    record = client.upload(tmp_path / "d.parquet", "table", label="class")
    assert record.feature_names == ("a", "b")
    assert {name: part.rows for name, part in record.splits.items()} == {
        "train": 6,
        "val": 3,
        "test": 3,
    }
    assert (record.num_samples, record.num_classes, record.shape) == (12, 3, (2,))
    np.testing.assert_array_equal(client.preview(record.id, "val").x, X[6:9, :2])
    lists = pa.table({"x": X.tolist(), "y": Y})
    pq.write_table(lists, tmp_path / "lists.parquet")
    found = client.preview(client.upload(tmp_path / "lists.parquet", "lists").id, rows=12)
    np.testing.assert_array_equal(found.x, X)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": [[1.0]] * 2, "a": [1.0, None], "y": [0, 1]}, "missing values"),
        (
            {"x": [[1.0]] * 2, "a": ["u", "v"], "y": [0, 1]},
            "columns of numbers, this one is string",
        ),
        ({"x": [[1.0], [1.0, 2.0]], "y": [0, 1]}, "lists of different lengths"),
        ({"a": [1.0, 2.0], "z": [0, 1]}, "no column is called label"),
        ({"y": [0, 1]}, "no column beside the label"),
        ({"a": [1.0, 2.0], "y": [0, 1], "split": ["train", "x"]}, "unknown split"),
        ({"a": [1.0, 2.0], "y": [0, 1], "split": ["val", "val"]}, "no training rows"),
    ],
)
def test_a_table_that_is_no_dataset_is_refused(
    client: DatasetServiceClient, tmp_path: Path, columns: dict, message: str
):
    pq.write_table(pa.table(columns), tmp_path / "d.parquet")
    with pytest.raises((DataError, UnknownNameError), match=message):
        client.upload(tmp_path / "d.parquet", "table")


def test_range_and_etag(url: str):
    record = made(url, x=X, y=Y)
    whole = _get(url, record, "download")
    tag = whole.headers["ETag"]
    assert tag == f'"{record.splits["train"].sha256}"'
    assert whole.headers["Accept-Ranges"] == "bytes"
    part = _get(url, record, "download", headers={"Range": "bytes=10-19", "If-Range": tag})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    other = _get(url, record, "download", headers={"Range": "bytes=10-19", "If-Range": '"no"'})
    assert (other.status_code, other.content) == (200, whole.content)
    assert _get(url, record, "download", headers={"Range": "bytes=99999-"}).status_code == 416
    same = _get(url, record, "download", headers={"If-None-Match": f'"x", W/{tag}'})
    assert (same.status_code, same.content) == (304, b"")


def test_a_second_download_sends_nothing(url: str, client: DatasetServiceClient, tmp_path: Path):
    record = made(url, x=X, y=Y)
    first = client.download(record.id, folder=tmp_path)
    before = first.stat().st_mtime_ns
    assert client.download(record.id, folder=tmp_path) == first
    assert first.stat().st_mtime_ns == before
    first.write_bytes(b"damaged")
    assert client.download(record.id, folder=tmp_path).stat().st_size > 100


def test_statistics_are_numpys(url: str, client: DatasetServiceClient):
    record = made(url, x=X, y=Y, x_val=X[:3], y_val=Y[:3])
    found = client.statistics(record.id)
    assert set(found) == {"train", "val"}
    np.testing.assert_allclose(found["train"].features.mean, X.mean(axis=0))
    np.testing.assert_allclose(found["train"].features.std, X.std(axis=0))
    np.testing.assert_array_equal(found["val"].features.max, X[:3].max(axis=0))
    assert found["train"].class_distribution == {"0": 4, "1": 4, "2": 4}


def test_records_are_listed_changed_and_deleted(tmp_path: Path):
    with running(tmp_path) as url:
        client = DatasetServiceClient(url, page_size=2)
        all_made = [made(url, x=X + k, y=Y) for k in range(5)]
        assert [record.id for record in client.datasets()] == [record.id for record in all_made]
        assert list(client.datasets(source="huggingface")) == []
        page = requests.get(f"{url}/datasets?offset=1&limit=2", timeout=20)
        assert page.headers["X-Total-Count"] == "5"
        assert [record["id"] for record in page.json()] == [all_made[1].id, all_made[2].id]
        client.patch(all_made[0].id, DatasetPatch(name="other", metadata={"by": "us"}))
        assert client.get(all_made[0].id).name == "other"
        for record in all_made:
            client.delete(record.id)
        assert list(client.datasets()) == []
        assert list((tmp_path / "blobs").iterdir()) == []
        with pytest.raises(UnknownNameError, match="no dataset of this id"):
            client.get(all_made[0].id)


def test_the_catalogue_survives_the_server(tmp_path: Path):
    with running(tmp_path) as url:
        record = made(url, x=X, y=Y)
    with running(tmp_path) as url:
        assert DatasetServiceClient(url).get(record.id) == record


class Trap:
    def __reduce__(self):
        return Path.mkdir, (Path("sprung"),)


def _bomb() -> bytes:
    file = io.BytesIO()
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (30, 100_000)}
    )
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header.getvalue() + bytes(24_000_000))
        archive.writestr("y.npy", header.getvalue())
    return file.getvalue()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (lambda: npz(x=np.array([Trap()] * 3, dtype=object), y=[0, 1, 0]), "object are refused"),
        (_bomb, "times its size"),
        (lambda: b"PK\x03\x04 something else", "damaged or foreign"),
        (lambda: b"", "damaged or foreign"),
        (lambda: npz(x=X, y=Y[:5]), "12 rows but 5 labels"),
        (lambda: npz(x=X * np.nan, y=Y), "NaN or infinite"),
        (lambda: npz(x=X[:0], y=Y[:0]), "rows of numbers"),
        (lambda: npz(x=X[:, 0], y=Y), "rows of numbers"),
        (lambda: npz(x=np.array([["a"]] * 12), y=Y), "must be numbers"),
        (lambda: npz(x=X, y=Y, x_val=X[:, :2], y_val=Y), "different shapes"),
        (lambda: npz(x=X, y=Y, x_val=X, y_val=Y.astype(str)), "text in one part"),
        (lambda: npz(x_val=X, y_val=Y), "no training rows"),
        (lambda: npz(x=X, y=Y, z=X), "unknown name"),
        (lambda: npz(x=X), "damaged or foreign"),
    ],
)
def test_an_upload_that_is_no_dataset_is_refused(url: str, body, message: str):
    before = requests.get(f"{url}/datasets", timeout=20).headers["X-Total-Count"]
    answer = _upload(url, body())
    assert answer.status_code == 422
    assert message in answer.json()["detail"]["message"]
    assert not Path("sprung").exists()
    assert requests.get(f"{url}/datasets", timeout=20).headers["X-Total-Count"] == before


def test_an_upload_that_is_too_large_is_stopped(url: str):
    declared = _upload(url, bytes(10**6 + 1))
    chunked = requests.post(
        f"{url}/datasets?name=a", data=(bytes(10**5) for _ in range(11)), headers=ZIP, timeout=20
    )
    assert (declared.status_code, chunked.status_code) == (413, 413)


def test_the_kind_of_a_body_must_be_said(url: str):
    answer = requests.post(f"{url}/datasets?name=a", data=npz(), timeout=20)
    assert answer.status_code == 415  # a form of a web page cannot send the others unasked


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "", "a" * 101, "a\x00b"])
def test_names_cannot_be_paths(url: str, name: str):
    assert _upload(url, npz(), name=name).status_code == 422


@pytest.mark.parametrize("id_", ["%2e%2e%2fcatalogue.sqlite", "..%2f..%2fetc", "A" * 16, "x"])
def test_ids_cannot_be_paths(url: str, id_: str):
    for path in ("", "/download", "/preview"):
        answer = requests.get(f"{url}/datasets/{id_}{path}", timeout=20)
        assert answer.status_code in {404, 422}


def test_the_door_opens_for_the_token_or_the_key_alone(tmp_path: Path):
    with running(tmp_path, token=TOKEN, api_key=KEY) as url:
        bearer = f"Bearer {TOKEN.get_secret_value()}"
        for headers, status in [
            ({}, 401),
            ({"Authorization": "Bearer wrong"}, 401),
            ({"Authorization": "Bearer "}, 401),
            ({"X-API-Key": TOKEN.get_secret_value()}, 401),
            ({"X-API-Key": ""}, 401),
            ({"Authorization": bearer}, 200),
            ({"X-API-Key": KEY.get_secret_value()}, 200),
        ]:
            answer = requests.get(f"{url}/datasets", headers=headers, timeout=20)
            assert answer.status_code == status, headers
        assert "Bearer" in requests.get(f"{url}/datasets", timeout=20).headers["WWW-Authenticate"]
        with pytest.raises(ServiceError, match="refuses us with 401") as caught:
            list(DatasetServiceClient(url).datasets())
        assert "QSTORE_DATA_TOKEN" in caught.value.fix
        assert list(DatasetServiceClient(url, token=TOKEN).datasets()) == []
        assert list(DatasetServiceClient(url, api_key=KEY).datasets()) == []
        assert DatasetServiceClient(url).healthy()


def test_a_missing_secret_is_not_an_empty_one(tmp_path: Path):
    with running(tmp_path, api_key=KEY) as url:
        for headers in ({"Authorization": "Bearer "}, {"Authorization": "Bearer x"}):
            assert requests.get(f"{url}/datasets", headers=headers, timeout=20).status_code == 401


def test_without_a_secret_other_machines_are_kept_out(tmp_path: Path, url: str):
    for host in ("0.0.0.0", "::", "192.168.0.7", "data.example.org"):
        with pytest.raises(ConfigError, match="without a token") as caught:
            serve(tmp_path / "unused", host=host, port=0)
        assert caught.value.field == "host"
    assert not (tmp_path / "unused").exists()
    make_server(ServiceSettings(folder=tmp_path, token=TOKEN), "0.0.0.0", 0)
    rebound = requests.get(f"{url}/datasets", headers={"Host": "evil.example"}, timeout=20)
    assert rebound.status_code == 400


def test_a_short_secret_is_refused_and_none_is_shown(tmp_path: Path):
    with pytest.raises(ConfigError, match="can be guessed") as caught:
        ServiceSettings(folder=tmp_path, token=SecretStr("hunter2"))
    assert "hunter2" not in str(caught.value)
    assert TOKEN.get_secret_value() not in repr(ServiceSettings(folder=tmp_path, token=TOKEN))


def test_two_uploads_at_once_are_both_there(tmp_path: Path):
    with running(tmp_path) as url:
        threads = [
            threading.Thread(target=made, args=(url,), kwargs={"x": X + k, "y": Y})
            for k in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(list(DatasetServiceClient(url).datasets(status="ready"))) == 8
