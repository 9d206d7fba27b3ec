"""The laws of an object store, on a server and in memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from qstore_ray.errors import ConfigError, StorageError
from qstore_ray.storage.address import StorageAddress, address_of
from qstore_ray.storage.cloud import CloudObjects, open_objects
from qstore_ray.storage.objects import Objects
from tests.object_store import in_memory


@pytest.fixture(params=["memory", "server"])
def objects(request: pytest.FixtureRequest) -> Objects:
    if request.param == "memory":
        return in_memory()
    address = address_of(f"{request.getfixturevalue('bucket')}/team")
    assert address is not None
    return open_objects(address)


def test_an_object_is_read_as_it_was_written(objects: Objects) -> None:
    assert objects.read("a/b") is None
    assert objects.facts("a/b") is None
    tag = objects.put("a/b", b"one")
    found, facts = objects.read("a/b"), objects.facts("a/b")
    assert found == (b"one", tag)
    assert facts is not None
    assert (facts.size, facts.tag) == (3, tag)
    objects.put("a/b", b"two")
    assert objects.read("a/b") != found


def test_objects_are_listed_by_their_keys(objects: Objects) -> None:
    for key in ("b/2/x", "b/1", "a", "c/3"):
        objects.put(key, b"")
    assert list(objects.listing()) == ["a", "b/1", "b/2/x", "c/3"]
    assert list(objects.listing("b")) == ["b/1", "b/2/x"]
    assert objects.names() == ["b", "c"]
    objects.delete("b/1")
    objects.delete("b/1")
    assert list(objects.listing("b")) == ["b/2/x"]


def test_an_object_is_created_once(objects: Objects) -> None:
    tag = objects.create("run", b"mine")
    assert objects.create("run", b"yours") is None
    assert objects.read("run") == (b"mine", tag)


def test_a_write_whose_answer_was_lost_is_known_as_our_own(objects: Objects) -> None:
    tag = objects.create("run", b"mine")
    assert objects.create("run", b"mine") == tag
    assert tag is not None
    after = objects.replace("run", b"more", tag)
    assert objects.replace("run", b"more", tag) == after != tag


def test_only_the_object_that_was_read_is_replaced(objects: Objects) -> None:
    tag = objects.create("run", b"1")
    assert tag is not None
    assert objects.replace("run", b"2", tag) is not None
    assert objects.replace("run", b"3", tag) is None
    assert objects.replace("absent", b"3", tag) is None
    found = objects.read("run")
    assert found is not None
    assert found.data == b"2"


def test_of_racing_creations_one_wins(objects: Objects) -> None:
    with ThreadPoolExecutor(8) as pool:
        tags = list(pool.map(lambda n: objects.create("run", str(n).encode()), range(8)))
    winner = next(number for number, tag in enumerate(tags) if tag is not None)
    assert sum(tag is not None for tag in tags) == 1
    assert objects.read("run") == (str(winner).encode(), tags[winner])


def test_a_bucket_that_does_not_exist_is_named(bucket: str) -> None:
    objects = open_objects(StorageAddress("s3", "no-such-bucket", "team"))
    calls = (
        objects.listing,
        lambda: objects.read("a"),
        lambda: objects.create("a", b""),
        lambda: objects.put("a", b""),
        objects.names,
    )
    for call in calls:
        with pytest.raises(StorageError, match="no bucket of this name") as caught:
            call()
        assert caught.value.exit_code == 4
        assert not caught.value.may_pass
    assert isinstance(objects, CloudObjects)


def test_an_endpoint_that_nothing_listens_at_is_named(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    address = address_of(bucket)
    assert address is not None
    with pytest.raises(StorageError, match=r"127\.0\.0\.1:9 cannot list") as caught:
        open_objects(address).listing()
    assert caught.value.may_pass


def test_a_profile_of_the_cloud_is_used(
    bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.delenv(name)
    profile = tmp_path / "credentials"
    profile.write_text("[team]\naws_access_key_id = a\naws_secret_access_key = b\nregion = eu-1\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(profile))
    monkeypatch.setenv("AWS_PROFILE", "team")
    objects = open_objects(StorageAddress("s3", bucket.removeprefix("s3://")))
    assert objects.create("a", b"1") is not None


def test_a_service_elsewhere_is_asked_without_encryption_only_if_that_is_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://me:secret@storage.invalid:9000")
    with pytest.raises(ConfigError, match="without encryption") as caught:
        open_objects(StorageAddress("s3", "runs"))
    assert "secret" not in str(caught.value)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    open_objects(StorageAddress("s3", "runs"))
