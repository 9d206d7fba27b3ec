"""An object store that answers 503, loses connections, or refuses."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from qstore_ray.cli.app import main
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.doctor.storage import examine_storage
from qstore_ray.errors import StorageError
from qstore_ray.storage import cloud
from qstore_ray.storage.address import StorageAddress
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.run import origin
from tests.faulty_proxy import Fault, FaultyProxy, faulty_proxy
from tests.unit.storage.test_runs import data, end, on_another_machine, train, undisturbed

__all__ = ["data", "undisturbed"]  # fixtures


def no_fault(number: int, method: str, path: str) -> Fault:
    return ""


@pytest.fixture
def proxy(bucket: str, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """In front of the bucket; pauses between attempts are short."""
    pauses = {"init_backoff": timedelta(milliseconds=1), "max_backoff": timedelta(milliseconds=5)}
    monkeypatch.setattr(cloud, "_RETRY", cloud._RETRY | {"backoff": {**pauses, "base": 2}})
    with faulty_proxy(endpoint, no_fault) as found:
        monkeypatch.setenv("AWS_ENDPOINT_URL", found.address)
        yield found


@pytest.mark.parametrize("fault", ["503", "cut", "lost"])
def test_a_run_whose_requests_fail_now_and_then_is_the_same(
    data: Dataset, bucket: str, undisturbed: dict[str, Any], proxy: FaultyProxy, fault: Fault,
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    proxy.plan = lambda number, method, path: fault if number % 3 == 0 else ""
    train(data, bucket)
    assert {what.split()[1] for what in proxy.met} >= {"PUT", "GET"}
    proxy.plan = no_fault
    on_another_machine(monkeypatch, tmp_path)
    from qstore_ray.train.run.find import find_run

    assert end(find_run("digits", bucket)) == undisturbed


@pytest.mark.parametrize("fault", ["503", "cut", "lost"])
def test_conditional_writes_survive_a_fault(bucket: str, proxy: FaultyProxy, fault: Fault) -> None:
    """A write that is repeated as its answer was lost finds its own object, not another's."""
    objects = cloud.open_objects(StorageAddress("s3", bucket.removeprefix("s3://"), "x"))
    proxy.plan = lambda number, method, path: fault if number % 2 else ""
    tag = objects.create("lock", b"mine")
    assert tag is not None
    assert objects.create("lock", b"yours") is None
    assert objects.replace("lock", b"again", tag) is not None
    assert objects.replace("lock", b"too late", tag) is None
    assert len(proxy.met) >= 4


def test_a_store_that_is_away_for_long_ends_the_run_and_it_is_resumed(
    data: Dataset, bucket: str, undisturbed: dict[str, Any], proxy: FaultyProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(origin, "_PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(cloud, "_RETRY", cloud._RETRY | {"max_retries": 1})
    puts = 0

    def away_after_a_while(number: int, method: str, path: str) -> Fault:
        nonlocal puts
        puts += method == "PUT"
        return "503" if puts > 12 else ""

    proxy.plan = away_after_a_while
    with pytest.raises(StorageError, match=r"503 Service Unavailable") as caught:
        train(data, bucket)
    assert "existing='resume'" in caught.value.fix
    proxy.plan = no_fault
    assert end(train(data, bucket, "resume").run_dir) == undisturbed


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("403", "refuses the keys"),
        ("503", "503 Service Unavailable"),
        ("507", "507 Insufficient Storage"),
    ],
)
def test_a_store_that_refuses_is_named_and_nothing_is_written(
    data: Dataset, bucket: str, proxy: FaultyProxy, fault: Fault, said: str,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(cloud, "_RETRY", cloud._RETRY | {"max_retries": 1})
    proxy.plan = lambda number, method, path: fault
    with pytest.raises(StorageError, match=said):
        train(data, bucket)
    assert main(["runs", "--storage", bucket]) == 4
    shown = capsys.readouterr().err
    assert said in shown
    assert "testing" not in shown  # the key
    proxy.plan = no_fault
    objects = cloud.open_objects(StorageAddress("s3", bucket.removeprefix("s3://")))
    assert list(objects.listing()) == []


REFUSALS = {
    "only read": (lambda method, path: method == "PUT", "cannot write"),
    "not delete": (lambda method, path: method == "POST" and "delete" in path, "cannot delete"),
    "not list": (lambda method, path: method == "GET" and "list-type" in path, "cannot list"),
}


@pytest.mark.parametrize(
    ("what", "fault"),
    [*((what, "denied") for what in REFUSALS), ("not delete", "denied each")],
)
def test_keys_that_may_not_do_all_of_it_are_refused_before_the_training(
    data: Dataset, bucket: str, proxy: FaultyProxy, what: str, fault: Fault
) -> None:
    """Also what a run does late, as deleting its old checkpoints, which S3 answers with 200."""
    denies, said = REFUSALS[what]
    proxy.plan = lambda number, method, path: fault if denies(method, path) else ""
    with pytest.raises(StorageError, match=f"does not allow this to the keys: {said}") as caught:
        train(data, bucket)
    assert "list, read, write and delete" in caught.value.fix
    proxy.plan = no_fault
    objects = cloud.open_objects(StorageAddress("s3", bucket.removeprefix("s3://")))
    assert not [key for key in objects.listing() if "/.lock" not in key], "no part of a run"


def test_a_store_that_ignores_conditions_is_refused_before_the_training(
    data: Dataset, bucket: str, proxy: FaultyProxy
) -> None:
    proxy.plan = lambda number, method, path: "blind"
    with pytest.raises(StorageError, match="ignores the conditions of writes"):
        train(data, bucket)
    (found,) = examine_storage(bucket, TrackConfig(mlflow=False))
    assert (found.state, "ignores the conditions" in found.found) == ("fault", True)
    proxy.plan = no_fault
    objects = cloud.open_objects(StorageAddress("s3", bucket.removeprefix("s3://")))
    assert list(objects.listing()) == []


def test_keys_that_expire_end_the_run_at_once_and_it_is_resumed(
    data: Dataset, bucket: str, undisturbed: dict[str, Any], proxy: FaultyProxy
) -> None:
    """It is not tried for a minute, as with a store that is away."""
    puts = 0

    def expired_after_a_while(number: int, method: str, path: str) -> Fault:
        nonlocal puts
        puts += method == "PUT"
        return "expired" if puts > 20 else ""

    proxy.plan = expired_after_a_while
    with pytest.raises(StorageError, match="the keys have expired") as caught:
        train(data, bucket)
    assert not caught.value.may_pass
    assert "existing='resume'" in caught.value.fix
    proxy.plan = no_fault
    assert end(train(data, bucket, "resume").run_dir) == undisturbed


def test_keys_that_lose_their_rights_end_the_run_and_it_is_resumed(
    data: Dataset, bucket: str, undisturbed: dict[str, Any], proxy: FaultyProxy
) -> None:
    puts = 0

    def denied_after_a_while(number: int, method: str, path: str) -> Fault:
        nonlocal puts
        puts += method == "PUT"
        return "denied" if puts > 20 else ""

    proxy.plan = denied_after_a_while
    with pytest.raises(StorageError, match="does not allow this to the keys") as caught:
        train(data, bucket)
    assert not caught.value.may_pass
    kept = caught.value.__notes__[0]
    assert "This machine keeps what it has of the run, to the checkpoint step-" in kept
    proxy.plan = no_fault
    assert end(train(data, bucket, "resume").run_dir) == undisturbed


def test_keys_are_in_no_object_and_no_file(data: Dataset, bucket: str, stage: Path) -> None:
    train(data, bucket, epochs=1)
    objects = cloud.open_objects(StorageAddress("s3", bucket.removeprefix("s3://")))
    written = [objects.read(key) for key in objects.listing()]
    kept = [path.read_bytes() for path in stage.rglob("*") if path.is_file()]
    for found in [*(each.data for each in written if each is not None), *kept]:
        assert b"testing" not in found
