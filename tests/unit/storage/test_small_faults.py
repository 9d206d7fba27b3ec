"""Races and refusals of an object store and its stage, one at a time, in memory."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from qstore_ray.errors import RunError, RunExistsError, StorageError, UsageError
from qstore_ray.storage import cloud, copies, ranges
from qstore_ray.storage import lease as leases
from qstore_ray.storage.address import StorageAddress
from qstore_ray.storage.cloud import CloudObjects
from qstore_ray.storage.lease import LEASE, take_lease
from qstore_ray.storage.mirror import Mirror
from qstore_ray.storage.parts import PartedFile
from qstore_ray.storage.ranges import ObjectFile
from tests.object_store import in_memory

ADDRESS = StorageAddress("s3", "memory", "team/rows.bin")


@pytest.fixture
def objects(monkeypatch: pytest.MonkeyPatch) -> CloudObjects:
    """What every address leads to."""
    found = in_memory()
    monkeypatch.setattr(cloud, "open_objects", lambda address: found)
    return found


def _mirror(objects: CloudObjects, folder: Path) -> Mirror:
    return Mirror(objects, folder, lambda: None)


def test_an_object_is_read_at_any_place_as_a_file_is(objects, monkeypatch):
    data = bytes(range(100))
    objects.put("rows.bin", data)
    monkeypatch.setattr(ranges, "_TAIL_BYTES", 30)
    file = ObjectFile(ADDRESS)
    assert file.readable()
    assert file.seekable()
    for start in (0, 40, 69, 70, 71, 99, 100, 170):
        for size in (0, 1, 25, 31, 200, -1, None):
            assert file.seek(start) == start
            end = None if size is None or size < 0 else start + size
            assert file.read(size) == data[start:end], (start, size)
            assert file.tell() >= start
    assert (file.seek(-10, 2), file.seek(3, 1), file.seek(-500, 1)) == (90, 93, 0)


def test_an_object_that_is_not_there_is_no_file(objects):
    with pytest.raises(FileNotFoundError, match=r"team/rows\.bin"):
        ObjectFile(ADDRESS)


def test_an_address_with_something_is_not_saved_to(objects, tmp_path):
    objects.put("other", b"")
    (tmp_path / "last").write_text("")
    with pytest.raises(UsageError, match="something at this address") as caught:
        copies.save_folder(tmp_path, ADDRESS, last="last")
    assert caught.value.value == str(ADDRESS)
    assert list(objects.listing()) == ["other"]


@pytest.mark.parametrize(
    "fetched",
    [copies.fetched_file, lambda address: copies.fetched_folder(address, {"rows.bin": True})],
    ids=["file", "folder"],
)
def test_a_stage_that_cannot_be_written_says_what_sets_it(objects, tmp_path, monkeypatch, fetched):
    objects.put("rows.bin", b"1")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(RunError, match="into the stage: Not a directory") as caught:
        fetched(ADDRESS)
    assert "XDG_CACHE_HOME" in caught.value.fix
    assert str(tmp_path / "file") in str(caught.value.value)


def test_a_folder_that_cannot_be_written_is_named_when_it_is_brought_up_to_date(objects, tmp_path):
    objects.put("notes/a.txt", b"1")
    (tmp_path / "notes").write_text("a file of this name")
    with pytest.raises(RunError, match="cannot write into the stage") as caught:
        _mirror(objects, tmp_path).pull(exact=False)
    assert caught.value.value == str(tmp_path)


def test_files_that_grow_are_fetched_if_they_are_asked_for(objects, tmp_path):
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.mkdir()
    (source / "metrics.jsonl").write_text("{}\n")
    (source / "notes.txt").write_text("1")
    _mirror(objects, source).push()
    _mirror(objects, copy).pull(only=lambda key: key == "notes.txt")
    assert [file.name for file in copy.iterdir()] == ["notes.txt"]
    _mirror(objects, copy).pull()
    assert (copy / "metrics.jsonl").read_text() == "{}\n"


def test_what_is_deleted_during_a_copy_is_passed_over(objects, tmp_path, monkeypatch):
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(name)
    create = objects.create

    def create_and_delete(key: str, data: bytes) -> str | None:
        (tmp_path / "b.txt").unlink(missing_ok=True)
        return create(key, data)

    monkeypatch.setattr(objects, "create", create_and_delete)
    _mirror(objects, tmp_path).push()
    assert list(objects.listing()) == ["a.txt"]
    monkeypatch.setattr(objects, "read", lambda key: None)
    other = tmp_path / "other"
    _mirror(objects, other).pull()
    assert not (other / "a.txt").exists()


def test_a_file_that_another_process_writes_all_the_time_is_given_up(
    objects, tmp_path, monkeypatch
):
    (tmp_path / "a.txt").write_text("mine")
    asked: list[str] = []
    objects.put("a.txt", b"of the other")
    monkeypatch.setattr(objects, "create", lambda key, data: asked.append("create"))
    monkeypatch.setattr(objects, "replace", lambda key, data, tag: asked.append(tag))
    mirror = Mirror(objects, tmp_path, lambda: asked.append("guard"))
    with pytest.raises(StorageError, match=r"writes a\.txt of this run again and again") as caught:
        mirror.push()
    assert "existing='resume'" in caught.value.fix
    assert asked.count("guard") > 9, "only the holder of the lease tries again"
    facts = objects.facts("a.txt")
    assert facts is not None
    assert facts.tag in asked


def test_a_log_that_another_attempt_writes_is_given_up(objects, tmp_path, monkeypatch):
    file = tmp_path / "metrics.jsonl"
    file.write_text("{}\n")
    objects.put("metrics/of-others", b"")  # no part of a log
    parts = PartedFile(objects, file)
    parts.flush()
    assert sorted(objects.listing()) == ["metrics/000001-000000.jsonl", "metrics/of-others"]
    file.write_text("{}\n{}\n")
    monkeypatch.setattr(objects, "replace", lambda key, data, tag: None)
    monkeypatch.setattr(objects, "create", lambda key, data: None)
    with pytest.raises(StorageError, match=r"another attempt writes metrics\.jsonl"):
        parts.flush()


def test_a_lease_that_vanishes_while_it_is_looked_at_is_taken(objects, monkeypatch):
    objects.create(LEASE, b"{}")
    read = objects.read

    def deleted(key: str) -> Any:
        monkeypatch.setattr(objects, "read", read)
        objects.delete(key)

    monkeypatch.setattr(objects, "read", deleted)
    lease = take_lease(objects, "digits")
    lease.check()
    lease.release()


def test_of_two_attempts_after_a_dead_one_the_slower_is_refused(objects, monkeypatch):
    objects.create(
        LEASE, json.dumps({"released": True, "pid": 1, "host": "a", "since": "b"}).encode()
    )
    monkeypatch.setattr(leases, "_is_over", lambda objects, found: True)
    monkeypatch.setattr(objects, "replace", lambda key, data, tag: None)
    with pytest.raises(RunExistsError, match="another process, 1 on a since b UTC") as caught:
        take_lease(objects, "digits")
    assert caught.value.locked


def test_a_machine_without_a_stage_has_no_name_for_it(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert leases._stage_name() == ""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    name = leases._stage_name()
    assert len(name) == 32
    assert leases._stage_name() == name


@pytest.mark.parametrize(
    ("endpoint", "region", "wanted"),
    [
        ("", None, {"region": "us-east-1"}),
        ("https://s3.example.org", None,
         {"endpoint": "https://s3.example.org", "region": "us-east-1"}),
        ("https://s3.example.org", "eu-north-1", {"endpoint": "https://s3.example.org"}),
    ],
)  # fmt: skip
def test_keys_without_a_region_have_the_usual_one(monkeypatch, endpoint, region, wanted):
    """A store of one's own has none; Amazon answers with the right one."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    if region is not None:
        monkeypatch.setenv("AWS_REGION", region)
    assert cloud._amazon(endpoint) == {"config": wanted}


def test_without_boto3_obstore_finds_the_keys_by_itself(monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.setitem(sys.modules, "boto3", None)
    assert cloud._amazon("") == {}


def test_the_reason_of_an_error_is_one_line_without_the_request():
    text = 'Generic S3 error\n\nDebug source:\nReqwest { url: "https://a.example.org" }'
    assert cloud._reason(text) == "Generic S3 error"
    assert cloud._reason("after 3 retries: HTTP error: connection refused: <body>") == (
        "connection refused"
    )
