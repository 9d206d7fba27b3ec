"""The source `backend_api`: a job's data from a running service, fetched once and checked."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from pydantic import SecretStr

from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.data.service.client.client import DatasetServiceClient
from qstore_ray.data.service.records import PipelineApply, PipelineRequest
from qstore_ray.data.sources.backend_api import BackendAPIParams, BackendAPISourceAdapter
from qstore_ray.data.sources.base import SourceConfig
from qstore_ray.errors import ConfigError, DataError, ServiceError, UnknownNameError
from tests.dataset_service import X, Y, breaking, made, npz, running, send

TOKEN = "a-token-for-the-tests"
ABSENT = "0123456789abcdef"


@pytest.fixture(autouse=True)
def _no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QSTORE_DATA_URL", raising=False)
    monkeypatch.delenv("QSTORE_DATA_TOKEN", raising=False)


def _config(cache: Path, dataset_id: str, url: str | None, **fields) -> DatasetConfig:
    params = {"dataset_id": dataset_id, "retries": 0}
    if url is not None:
        params["base_url"] = url
    fields = {"cache_dir": str(cache), **fields}
    return DatasetConfig(name="remote", source="backend_api", params=params, **fields)


def _load(*args, **fields) -> Dataset:
    return DatasetLoader.load(_config(*args, **fields))


def test_the_rows_are_those_of_the_same_file(tmp_path: Path):
    arrays = {"x": X, "y": Y, "x_test": X[:6] + 1.0, "y_test": Y[:6]}
    (tmp_path / "local.npz").write_bytes(npz(**arrays))
    local = DatasetLoader.load(
        DatasetConfig(name="f", source="local", params={"path": str(tmp_path / "local.npz")})
    )
    with running(tmp_path / "service") as url:
        record = made(url, **arrays)
        remote = _load(tmp_path / "cache", record.id, url)
    # the server is gone: the read tasks need only the files
    for split in ("train", "val", "test"):
        np.testing.assert_array_equal(remote.materialize(split).x, local.materialize(split).x)
        np.testing.assert_array_equal(remote.materialize(split).y, local.materialize(split).y)
    assert remote.sizes["test"] == 6
    assert remote.provenance["id"] == record.id
    assert remote.provenance["url"] == url
    assert remote.provenance["sha256.train"] == record.splits["train"].sha256


def test_the_file_is_fetched_once(tmp_path: Path):
    with running(tmp_path / "service") as url:
        record = made(url, x=X, y=Y)
        _load(tmp_path / "cache", record.id, url)
    body = record.model_dump_json().encode()
    with breaking(lambda handler, _: send(handler, body)) as server:
        dataset = _load(tmp_path / "cache", record.id, server.url)
        assert [asked.path for asked in server.asked] == [f"/datasets/{record.id}"]
    assert sum(dataset.sizes.values()) == 12


def test_a_fetched_file_that_changes_is_an_error(tmp_path: Path):
    config = SourceConfig(name="remote", cache_dir=str(tmp_path / "cache"))
    with running(tmp_path / "service") as url:
        record = made(url, x=X, y=Y)
        params = BackendAPIParams(dataset_id=record.id, base_url=url, rows_per_task=5)
        tasks = BackendAPISourceAdapter().read(params, config).tasks
    assert [task()["row"].tolist() for task in pickle.loads(pickle.dumps(tasks))] == [
        list(range(5)),
        list(range(5, 10)),
        [10, 11],
    ]
    (file,) = (tmp_path / "cache").rglob("*.npz")
    file.write_bytes(npz(x=X + 1.0, y=Y))
    with pytest.raises(DataError, match="no longer what was fetched") as caught:
        tasks[0]()
    assert caught.value.field == "cache_dir"
    file.unlink()
    with pytest.raises(DataError, match="No such file"):
        tasks[0]()


def test_the_token_comes_from_the_environment_alone(tmp_path: Path, monkeypatch):
    with running(tmp_path / "service", token=SecretStr(TOKEN)) as url:
        client = DatasetServiceClient(url, token=SecretStr(TOKEN))
        (tmp_path / "d.npz").write_bytes(npz())
        record = client.upload(tmp_path / "d.npz", "set")
        with pytest.raises(ServiceError, match="401") as caught:
            _load(tmp_path / "cache", record.id, url)
        assert "QSTORE_DATA_TOKEN" in caught.value.fix
        monkeypatch.setenv("QSTORE_DATA_TOKEN", TOKEN)
        monkeypatch.setenv("QSTORE_DATA_URL", url)
        dataset = _load(tmp_path / "cache", record.id, None)
    assert TOKEN not in dataset.config.to_toml() + str(dict(dataset.provenance))
    with pytest.raises(ConfigError, match="unknown key"):
        BackendAPIParams(dataset_id=ABSENT, token=TOKEN)


def test_without_a_folder_files_go_below_the_user_s_cache(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    with running(tmp_path / "service") as url:
        dataset = _load(tmp_path, made(url, x=X, y=Y).id, url, cache_dir=None)
    assert sum(dataset.sizes.values()) == 12
    (file,) = (tmp_path / "xdg" / "qstore_ray" / "backend_api").rglob("*.npz")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with running(tmp_path / "service") as url:
        _load(tmp_path, made(url, x=X, y=Y).id, url, cache_dir=None)
    assert list((tmp_path / "home" / ".cache" / "qstore_ray" / "backend_api").rglob("*.npz"))
    file.unlink()
    with pytest.raises(DataError, match="a folder that every node sees"):
        dataset.materialize("train")


def test_a_missing_address_is_an_error(tmp_path: Path):
    with pytest.raises(ConfigError, match="no address") as caught:
        _load(tmp_path, ABSENT, None)
    assert "QSTORE_DATA_URL" in caught.value.fix
    with pytest.raises(ConfigError, match="must not contain credentials"):
        _load(tmp_path, ABSENT, "https://me:secret@data.example.org")
    with pytest.raises(ConfigError) as caught:
        _config(tmp_path, "../../etc", "http://127.0.0.1:1")
    assert caught.value.field == "params.dataset_id"


def test_copies_of_a_row_do_not_fall_into_other_splits(tmp_path: Path):
    with running(tmp_path / "service") as url:
        client = DatasetServiceClient(url)
        old = made(url, x=X, y=Y, x_test=X[:6] + 9.0, y_test=Y[:6])
        steps = [{"type": "scale_jitter"}]
        pipeline = client.create_pipeline(PipelineRequest(dataset_id=old.id, transformations=steps))
        asked = PipelineApply(pipeline_id=pipeline.pipeline_id, name="more", copies=2)
        new = client.wait(client.apply_pipeline(asked), pause=0.01).dataset_id
        with pytest.raises(ConfigError, match="which the parts would share") as caught:
            _load(tmp_path / "cache", new, url, split={"train": 0.8, "val": 0.2})
        assert caught.value.field == "split"
        assert "augmentation" in caught.value.fix
        whole = _load(tmp_path / "cache", new, url, split={"train": 1.0})
    assert whole.sizes == {"train": 3 * len(X), "test": 6}


def test_a_revision_pins_the_content(tmp_path: Path):
    with running(tmp_path / "service") as url:
        record = made(url, x=X, y=Y)
        assert _load(tmp_path / "cache", record.id, url, revision=record.revision).sizes["train"]
        with pytest.raises(DataError, match="another revision") as caught:
            _load(tmp_path / "cache", record.id, url, revision="old")
        assert record.revision in caught.value.fix
        with pytest.raises(UnknownNameError, match="no dataset of this id"):
            _load(tmp_path / "cache", ABSENT, url)


def test_a_dataset_that_is_not_ready_is_refused(tmp_path: Path):
    body = b'{"id": "0123456789abcdef", "name": "set", "status": "pending"}'
    with (
        breaking(lambda handler, _: send(handler, body)) as server,
        pytest.raises(DataError, match="is pending"),
    ):
        _load(tmp_path, ABSENT, server.url)
