"""Leases: one holder at a time, dead holders are taken over from."""

from __future__ import annotations

import json
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from qstore_ray.errors import RunExistsError, StorageError
from qstore_ray.storage import lease as module
from qstore_ray.storage.lease import LEASE, Lease, check_holder, is_leased, take_lease
from qstore_ray.storage.objects import Objects
from tests.object_store import in_memory


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(module, "_stage_name", lambda: getattr(_machine, "name", "this"))


_machine = threading.local()


def elsewhere(objects: Objects) -> Lease | RunExistsError:
    """What another machine gets."""
    before, _machine.name = getattr(_machine, "name", "this"), secrets.token_hex(4)
    try:
        return take_lease(objects, "digits")
    except RunExistsError as error:
        return error
    finally:
        _machine.name = before


def test_a_second_holder_is_refused_until_the_first_lets_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    objects = in_memory()
    lease = take_lease(objects, "digits")
    with monkeypatch.context() as patched:
        patched.setattr(_machine, "name", "another", raising=False)
        assert is_leased(objects)
    refused = elsewhere(objects)
    assert isinstance(refused, RunExistsError)
    assert refused.locked
    assert "another process" in refused.message
    lease.check()
    lease.release()
    assert not is_leased(objects)
    second = elsewhere(objects)
    assert isinstance(second, Lease)
    with pytest.raises(StorageError, match="taken this run over"):
        lease.check()
    check_holder(objects, second.token)
    second.release()
    assert list(objects.listing()) == [LEASE]


def test_a_dead_holder_is_taken_over_from(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = in_memory()
    lease = take_lease(objects, "digits")
    monkeypatch.setattr(module, "SECONDS", 0.0)
    assert not is_leased(objects)
    second = elsewhere(objects)
    assert isinstance(second, Lease)
    with pytest.raises(StorageError, match="taken this run over"):
        lease.check()
    second.release()


def test_a_holder_of_the_same_stage_is_dead_since_its_folder_is_free() -> None:
    objects = in_memory()
    lease = take_lease(objects, "digits")
    again = take_lease(objects, "digits")
    with pytest.raises(StorageError):
        lease.check()
    again.check()
    again.release()


def test_a_holder_renews_its_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.001)
    objects = in_memory()
    lease = take_lease(objects, "digits")
    while json.loads(objects.read(LEASE).data)["beat"] < 3:  # type: ignore[union-attr]
        pass
    lease.release()
    assert json.loads(objects.read(LEASE).data)["released"]  # type: ignore[union-attr]


def test_of_racing_holders_one_wins() -> None:
    objects = in_memory()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: elsewhere(objects), range(8)))
    holders = [each for each in found if isinstance(each, Lease)]
    assert len(holders) == 1
    holders[0].check()
    holders[0].release()


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b'{"token": 3}'])
def test_a_damaged_lease_is_taken_when_it_is_old(
    data: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.1)
    objects = in_memory()
    objects.put(LEASE, data)
    take_lease(objects, "digits").release()
    assert "waiting at most 0 s for a sign of life" in capsys.readouterr().err


def test_a_holder_that_dies_while_another_one_waits_is_taken_over_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.2)
    objects = in_memory()
    lease = take_lease(objects, "digits")
    lease._done.set()  # it is not renewed any more
    lease._thread.join()
    second = elsewhere(objects)
    assert isinstance(second, Lease)
    second.release()


def test_the_name_of_a_stage_stays(stage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(stage.parents[1]))
    first = module._stage_name()
    assert len(first) == 32
    assert module._stage_name() == first
