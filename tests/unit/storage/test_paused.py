"""A driver that was stopped, and taken over from, overwrites nothing when it goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import RunExistsError, StorageError
from qstore_ray.storage import lease
from qstore_ray.storage.address import StorageAddress
from qstore_ray.storage.cloud import CloudObjects, open_objects
from qstore_ray.storage.mirror import Mirror
from qstore_ray.track.jsonl import epoch_records, read_records
from qstore_ray.train.run.checkpoint import read_checkpoint
from qstore_ray.train.run.find import find_run
from qstore_ray.train.run.summary import summarize
from tests.object_store import FailingObjects
from tests.unit.storage.test_runs import (
    Store,
    data,
    end,
    on_another_machine,
    store,
    train,
    undisturbed,
)

__all__ = ["data", "store", "undisturbed"]  # fixtures
PLACE = "s3://memory/digits-1"


def resume(data: Dataset) -> Path:
    """What the next driver does, on its machine."""
    try:
        return train(data, PLACE, "resume").run_dir
    except RunExistsError as exc:
        if "has finished" in str(exc):
            return find_run("digits", PLACE)
        if "no run of this name" not in str(exc):
            raise
        return train(data, PLACE).run_dir


def visible(objects: CloudObjects) -> dict[str, bytes]:
    """What readers see: all but leases, and what waits to be deleted."""
    found = {key: objects.read(key) for key in objects.listing() if not key.startswith(".")}
    return {key: each.data for key, each in found.items() if each is not None}


def check_seen(objects: CloudObjects, folder: Path) -> None:
    """A reader sees whole checkpoints alone, and the metrics that the newest one implies."""
    Mirror(objects, folder, lambda: None).pull()
    saved = list(folder.glob("checkpoints/*"))
    for each in saved:
        read_checkpoint(each)
    records = epoch_records(read_records(folder / "metrics.jsonl"))
    steps = [record["step"] for record in records]
    assert steps == sorted(set(steps))
    newest = max((int(path.name.partition("-")[2]) for path in saved), default=0)
    assert newest <= max(steps, default=0)


@pytest.mark.parametrize("dies", [False, True])
def test_a_driver_that_is_paused_before_any_write_is_harmless(
    dies: bool, data: Dataset, store: Store, undisturbed: dict[str, Any], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Another one takes over while it is stopped, and ends, or dies half-way; then the first goes
    on until it notices, and a third one has the end of an undisturbed run.
    """
    monkeypatch.setattr(lease, "SECONDS", 0.0)  # a stopped one is known for dead at once
    monkeypatch.setattr(lease, "BEAT_SECONDS", 3600.0)
    train(data, PLACE)
    writes = list(store.writer.written)
    before, wrote = dict[str, bytes](), list[str]()
    for paused_at in range(0, len(writes), 1 if "TEST_ALL" in os.environ else 11):
        store.begin(None)
        objects = store.whole
        before.clear()
        wrote.clear()

        def another(objects: CloudObjects = objects, at: int = paused_at) -> None:
            on_another_machine(monkeypatch, tmp_path)
            paused = store.writer
            store.writer = FailingObjects(objects, 10 + at * 5 % len(writes) if dies else None)
            try:
                resume(data)
            except StorageError as exc:
                assert "dead before" in str(exc)  # noqa: PT017 - it may die after its end
            wrote.extend(store.writer.written)
            before.update(visible(objects))
            store.writer = paused

        store.writer = first = FailingObjects(objects, pauses_at=paused_at, meanwhile=another)
        on_another_machine(monkeypatch, tmp_path)
        try:
            train(data, PLACE)
        except (StorageError, RunExistsError) as exc:
            leased = "create .lock" in first.written[:paused_at]
            assert "taken this run over" in str(exc) or not leased  # noqa: PT017
        if len(first.written) <= paused_at:
            continue  # the uploads between two epochs are by the clock: this one had fewer
        at = f"paused before {first.written[paused_at]}"
        assert {"create .lock", "replace .lock"} & set(wrote), "the other one has the lease"
        changed = {key for key, was in before.items() if visible(objects).get(key) != was}
        if any("run.json" in write for write in wrote):  # else nothing is known of it yet
            assert "run.json" not in changed, at
        check_seen(objects, tmp_path / f"reader-{dies}-{paused_at}")
        if not dies:
            assert not changed, at
        on_another_machine(monkeypatch, tmp_path)
        store.live()
        folder = resume(data)
        assert end(folder) == undisturbed, at
        assert summarize(folder).status == "finished"


_DRIVER = """
import os, signal, sys
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import StorageError
from qstore_ray.storage import cloud, lease
from tests.object_store import FailingObjects
from tests.unit.storage.test_runs import rows, train

lease.SECONDS, lease.BEAT_SECONDS = 1.0, 0.2
real = cloud.open_objects

class Objects(FailingObjects):
    def _count(self, what):
        if what.startswith("create checkpoints/") and what.endswith("manifest.json"):
            os.kill(os.getpid(), signal.SIGSTOP)

cloud.open_objects = lambda address: Objects(real(address))
try:
    train(rows(), sys.argv[1])
except StorageError as exc:
    print(exc)
    sys.exit(3)
"""


def test_a_driver_that_was_stopped_by_a_signal_goes_on_in_vain(
    data: Dataset, bucket: str, undisturbed: dict[str, Any], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """SIGSTOP between the last look at the lease and the write that would show a checkpoint."""
    command = [sys.executable, "-c", _DRIVER, bucket]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "first")}
    first = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
    try:
        until = time.monotonic() + 60
        while state_of(first.pid) != "T":
            assert first.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        monkeypatch.setattr(lease, "SECONDS", 1.0)
        monkeypatch.setattr(lease, "BEAT_SECONDS", 0.2)
        on_another_machine(monkeypatch, tmp_path)
        assert end(train(data, bucket, "resume").run_dir) == undisturbed
        objects = open_objects(StorageAddress("s3", bucket.removeprefix("s3://"), "digits"))
        before = {key: facts.tag for key, facts in objects.listing().items()}
        first.send_signal(signal.SIGCONT)
        said, _ = first.communicate(timeout=60)
    finally:
        first.kill()
        first.wait()
    assert first.returncode == 3
    assert b"taken this run over" in said
    on_another_machine(monkeypatch, tmp_path)
    assert end(find_run("digits", bucket)) == undisturbed
    after = {key: facts.tag for key, facts in objects.listing().items()}
    assert {key: after.get(key) for key in before} == before
    assert len(after.keys() - before.keys()) <= 1, "what was on its way, which counts for nothing"


def state_of(pid: int) -> str:
    """One letter, as Linux has it: T is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
