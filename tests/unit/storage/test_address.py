"""Addresses: which are accepted, and which folder on this machine stands for one."""

from __future__ import annotations

from pathlib import Path

import pytest

from qstore_ray.errors import ConfigError
from qstore_ray.files import expanded
from qstore_ray.storage.address import StorageAddress, address_of, origin_of, storage_folder


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://runs", StorageAddress("s3", "runs")),
        ("s3://runs/", StorageAddress("s3", "runs")),
        ("gs://my.bucket/a/b/", StorageAddress("gs", "my.bucket", "a/b")),
        ("az://container/team 1//x", StorageAddress("az", "container", "team 1/x")),
    ],
)
def test_an_address_is_read(text: str, expected: StorageAddress) -> None:
    found = address_of(text)
    assert found == expected
    assert address_of(str(found)) == found


@pytest.mark.parametrize("text", ["runs", "/data/runs", "~/runs", "file:///data/runs", "a:b", ""])
def test_a_path_is_no_address(text: str) -> None:
    assert address_of(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "s3://",
        "s3:///runs",
        "s3://Runs",
        "s3://runs/../other",
        "s3://runs/a/./b",
        "s3://runs/.lock",
        "s3://runs/a\nb",
        "s3://runs?versionId=1",
        "hdfs://runs/a",
        "http://host/bucket",
        "s3a://runs",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        address_of(text)
    assert caught.value.field == "storage"
    assert caught.value.exit_code == 2


def test_keys_in_an_address_are_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError, match="holds no keys") as caught:
        address_of("s3://AKIA123:s3cr3t@runs/a")
    assert "s3cr3t" not in str(caught.value)


def test_a_stage_belongs_to_one_address(stage: Path) -> None:
    run = StorageAddress("s3", "runs", "team") / "digits"
    assert run.stage == stage / "s3" / "runs" / "team" / "digits"
    assert origin_of(run.stage) == run
    assert storage_folder("s3://runs/team") == run.parent.stage
    assert origin_of(stage / "s3") is None
    assert origin_of(Path("/data/runs")) is None


def test_a_file_address_is_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "my runs"
    assert storage_folder(f"file://{tmp_path}/my%20runs") == folder
    assert storage_folder(f"file:{tmp_path}/my%20runs") == folder
    assert storage_folder(f"FILE://localhost{tmp_path}/my%20runs/") == folder
    assert expanded(f"file://{tmp_path}/my%20runs") == folder  # of models, datasets, outputs
    assert expanded(Path(f"file://{tmp_path}/my runs")) == folder


@pytest.mark.parametrize("text", ["file://runs", "file:runs", "file:", "file://", "file://a/b"])
def test_a_file_address_has_a_whole_path(text: str) -> None:
    """Otherwise file://data/runs would be /runs, of a machine named data."""
    with pytest.raises(ConfigError, match="whole path"):
        storage_folder(text)
