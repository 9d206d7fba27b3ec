"""What clients do to a dataset service: hang up, repeat, come together, send the unusual."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pytest
from pydantic import SecretStr

from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.service.client.client import DatasetServiceClient
from qstore_ray.data.service.records import table_of
from qstore_ray.errors import DataError, ServiceError
from tests.dataset_service import X, Y, made, npz, running


def _table(path: Path, **columns) -> Path:
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


def test_an_upload_that_breaks_off_leaves_nothing(tmp_path: Path):
    with running(tmp_path / "service") as url:
        address = urlsplit(url)
        for body in (b"a,b,y\n1,2,0\n", npz()[:300]):
            with socket.create_connection((address.hostname, address.port), timeout=20) as line:
                line.sendall(
                    b"POST /datasets?name=half HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                    b"Content-Type: text/csv\r\nContent-Length: 100000\r\n\r\n" + body
                )
        client = DatasetServiceClient(url)
        path = _table(tmp_path / "rows.csv", a=[1.0, 2.0] * 8, y=[0, 1] * 8)
        whole = client.upload(path, "whole")
        assert [record.id for record in client.datasets()] == [whole.id]
    blobs = list((tmp_path / "service" / "blobs").iterdir())
    assert [blob.name for blob in blobs] == [whole.splits["train"].sha256]


def test_a_name_can_be_given_twice_and_each_dataset_keeps_its_columns(tmp_path: Path):
    first = _table(tmp_path / "a.csv", a=[1.0, 2.0] * 8, y=[0, 1] * 8)
    second = _table(tmp_path / "b.csv", town=["Ulm", "Bonn"] * 8, b=[3.0, 4.0] * 8, y=[0, 1] * 8)
    with running(tmp_path / "service") as url:
        client = DatasetServiceClient(url)
        one, two = client.upload(first, "rows"), client.upload(second, "rows")
        assert one.id != two.id
        assert table_of(client.get(one.id)).names == ("a",)
        assert table_of(client.get(two.id)).names == ("town", "b")
        client.delete(one.id)
        assert client.preview(two.id).x[0] == [1.0, 3.0]


def test_clients_at_once_do_not_mix(tmp_path: Path):
    paths = [
        _table(tmp_path / f"{k}.csv", **{f"c{k}": [float(k), k + 0.5] * 8, "y": [0, 1] * 8})
        for k in range(6)
    ]

    def both_ways(k: int) -> tuple[tuple[str, ...] | None, list]:
        client = DatasetServiceClient(url)
        record = client.upload(paths[k], "rows")
        return record.feature_names, client.preview(record.id, rows=2).x

    with running(tmp_path / "service") as url, ThreadPoolExecutor(6) as threads:
        found = list(threads.map(both_ways, range(6)))
    assert found == [((f"c{k}",), [[float(k)], [k + 0.5]]) for k in range(6)]


def test_a_table_of_ten_thousand_columns(tmp_path: Path):
    names = [f"c{k}" for k in range(10_000)]
    x = np.arange(20_000.0).reshape(2, -1) / 7.0
    frame = pd.DataFrame(np.tile(x, (3, 1)), columns=names).assign(y=[0, 1] * 3)
    frame.to_csv(tmp_path / "wide.csv", index=False)
    with running(tmp_path / "service") as url:
        client = DatasetServiceClient(url)
        record = client.upload(tmp_path / "wide.csv", "wide")
        assert client.get(record.id).feature_names == tuple(names)
        with np.load(client.download(record.id, folder=tmp_path / "down")) as held:
            np.testing.assert_array_equal(held["x"][:2], x)


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet", "npz"])
def test_an_empty_file_is_an_error_about_the_file(tmp_path: Path, form: str):
    (tmp_path / f"rows.{form}").touch()
    with running(tmp_path / "service") as url:
        client = DatasetServiceClient(url)
        with pytest.raises(DataError) as caught:
            client.upload(tmp_path / f"rows.{form}", "rows")
        assert str(tmp_path / "service") not in str(caught.value)
        assert not list(client.datasets())


def test_a_test_part_without_labels_is_refused(tmp_path: Path):
    frame = pd.DataFrame({"a": [1.0, 2.0] * 8, "y": [0, 1] * 8, "split": ["train"] * 16})
    bare = pd.DataFrame({"a": [3.0], "y": [None], "split": ["test"]})
    pd.concat([frame.astype({"y": object}), bare]).astype({"y": "Int64"}).to_parquet(
        tmp_path / "rows.parquet", index=False
    )
    with running(tmp_path / "service") as url:
        client = DatasetServiceClient(url)
        with pytest.raises(DataError, match="label") as caught:
            client.upload(tmp_path / "rows.parquet", "rows")
        assert "test" in str(caught.value)
        assert not list(client.datasets())


@pytest.mark.parametrize("name", ["größe", "my rows", "", "a/b", "数据"])
def test_a_name_of_other_signs_is_refused_with_its_rule(tmp_path: Path, name: str):
    path = _table(tmp_path / "rows.csv", a=[1.0, 2.0] * 8, y=[0, 1] * 8)
    with running(tmp_path / "service") as url, pytest.raises(DataError, match="name"):
        DatasetServiceClient(url).upload(path, name)


def test_names_of_columns_cross_as_they_are(tmp_path: Path):
    names = ["größe in cm", "数据", 'a "b", c', " b "]
    columns = {name: [float(k), k + 1.5] * 8 for k, name in enumerate(names)}
    pd.DataFrame({**columns, "y": [0, 1] * 8}).to_parquet(tmp_path / "größe 1.parquet", index=False)
    with running(tmp_path / "service") as url:
        client = DatasetServiceClient(url)
        record = client.upload(tmp_path / "größe 1.parquet", "rows")
        assert record.feature_names == tuple(names)
        file = client.download(record.id, folder=tmp_path, format="parquet")
        assert list(pd.read_parquet(file).columns) == [*names, "y"]


def test_a_wrong_token_changes_nothing(tmp_path: Path):
    path = _table(tmp_path / "rows.csv", a=[1.0, 2.0] * 8, y=[0, 1] * 8)
    right, wrong = SecretStr("right-token-0123456789"), SecretStr("wrong-token-0123456789")
    with running(tmp_path / "service", token=right) as url:
        record = DatasetServiceClient(url, token=right).upload(path, "rows")
        for client in (DatasetServiceClient(url, token=wrong), DatasetServiceClient(url)):
            for act in (
                lambda c: c.upload(path, "more"),
                lambda c: c.delete(record.id),
                lambda c: c.get(record.id),
                lambda c: c.download(record.id, folder=tmp_path / "down"),
            ):
                with pytest.raises(ServiceError, match="401") as caught:
                    act(client)
                assert "wrong-token" not in str(caught.value)
        assert list(DatasetServiceClient(url, token=right).datasets()) == [record]


SERVER = """
import sys
from qstore_ray.data.service.server.app import serve
serve(sys.argv[1], port=0, ready=lambda url: print(url, flush=True))
"""


def test_a_server_that_is_killed_goes_on_after_a_restart(tmp_path: Path):
    def load(url: str, dataset_id: str):
        return DatasetLoader.load(
            DatasetConfig(
                name="rows",
                source="backend_api",
                params={"dataset_id": dataset_id, "base_url": url, "retries": 0},
                cache_dir=str(tmp_path / "cache"),
            )
        ).materialize("train")

    folder = tmp_path / "service"
    command = [sys.executable, "-c", SERVER, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            url = server.stdout.readline().strip()
            record = made(url, x=X, y=Y)
            address = urlsplit(url)
            with socket.create_connection((address.hostname, address.port), timeout=20) as line:
                line.sendall(
                    b"POST /datasets?name=half HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                    b"Content-Type: text/csv\r\nContent-Length: 100000\r\n\r\na,b"
                )
                os.kill(server.pid, signal.SIGKILL)
        finally:
            server.kill()
    with pytest.raises(ServiceError, match="connection failed"):
        load(url, record.id)
    with running(folder) as again:
        assert [found.id for found in DatasetServiceClient(again).datasets()] == [record.id]
        assert load(again, record.id).x.shape[1] == X.shape[1]
    assert not list((folder / "blobs").glob(".part-*"))
