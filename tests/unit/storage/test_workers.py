"""Workers on a node that does not see the driver's folder: all goes through the objects."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import InterruptedRunError, StorageError
from qstore_ray.storage.address import StorageAddress
from qstore_ray.train.job import Assignment, TrainingRows, WorkerResult
from qstore_ray.train.loop import loop
from qstore_ray.train.loop.reducer import LocalReducer
from qstore_ray.train.loop.reporter import RayTrainReporter
from qstore_ray.train.ray import stage as module
from qstore_ray.train.ray.stage import record_loss, relayed, request_stop, staged
from qstore_ray.train.run.find import find_run
from qstore_ray.train.run.summary import summarize
from qstore_ray.train.trainer import QuantumTrainer
from tests.unit.storage.test_runs import data, end, train, undisturbed

__all__ = ["data", "undisturbed"]  # fixtures


class Node:
    """Runs the loop as a worker on another node does; in this process, without Ray."""

    def __init__(self) -> None:
        self.stops_at: int | None = None
        self.fails_at: int | None = None
        self.lost: list[str] = []

    def fit(
        self, job: Assignment, rows: TrainingRows, cluster: object, stop: threading.Event
    ) -> WorkerResult:
        with relayed(job):
            return self.work(job, rows)

    def work(self, job: Assignment, rows: TrainingRows) -> WorkerResult:
        elsewhere = replace(job, run_dir=Path("/folder/of/the/driver"))
        try:
            with staged(elsewhere, 0) as own:
                assert own.run_dir not in (None, job.run_dir)
                self.lost.append(own.lost)
                return loop.run(own, rows, LocalReducer(), _Reporter(self, job, own))
        except RuntimeError as exc:  # Ray starts the workers again
            record_loss(job, str(exc))
            return self.work(job, rows)


class _Reporter(RayTrainReporter):
    def __init__(self, node: Node, driver: Assignment, own: Assignment) -> None:
        assert own.run_dir is not None
        super().__init__(own.run_dir, threading.Event())
        self._node, self._driver, self._steps = node, driver, 0

    def should_stop(self) -> bool:
        self._steps += 1
        if self._steps == self._node.fails_at:
            self._node.fails_at = None
            raise RuntimeError("worker 0 was lost")
        if self._steps == self._node.stops_at:
            request_stop(self._driver)
            while not self._stop_file.exists():
                pass
            self._looked = 0.0
        return super().should_stop()


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    found = Node()
    monkeypatch.setattr(module, "_SECONDS_BETWEEN_LOOKS", 0.01)
    monkeypatch.setattr(QuantumTrainer, "_session", lambda self: nullcontext())
    monkeypatch.setattr("qstore_ray.train.ray.workers.fit_on_ray", found.fit)
    return found


def test_a_run_whose_worker_is_on_another_node_is_the_same(
    data: Dataset, bucket: str, undisturbed: dict[str, Any], node: Node
) -> None:
    result = train(data, bucket, workers=1)
    assert end(result.run_dir) == undisturbed
    assert node.lost == [""]
    keys = module.cloud.open_objects(_address(bucket)).listing()
    assert [key for key in keys if key.startswith(".")] == [".lock"]


def test_workers_that_were_lost_are_followed_from_the_last_checkpoint(
    data: Dataset, bucket: str, undisturbed: dict[str, Any], node: Node
) -> None:
    node.fails_at = 4
    result = train(data, bucket, workers=1)
    assert end(result.run_dir) == undisturbed
    assert node.lost == ["", "worker 0 was lost"]


def test_workers_on_another_node_stop_on_request_and_are_resumed(
    data: Dataset, bucket: str, undisturbed: dict[str, Any], node: Node,
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    node.stops_at = 3
    with pytest.raises(InterruptedRunError):
        train(data, bucket, workers=1)
    assert summarize(find_run("digits", bucket)).status == "interrupted"
    node.stops_at = None
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another machine"))
    resumed = end(train(data, bucket, "resume", workers=1).run_dir)
    assert {**resumed, "kept": undisturbed["kept"]} == undisturbed  # it was stopped within an epoch


def test_a_worker_of_an_attempt_that_was_taken_over_from_writes_nothing(
    data: Dataset, bucket: str, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = node.work

    def stale(job: Assignment, rows: TrainingRows) -> WorkerResult:
        return work(replace(job, lease="of an earlier attempt"), rows)

    monkeypatch.setattr(node, "work", stale)
    with pytest.raises(StorageError, match="taken this run over"):
        train(data, bucket, workers=1)
    keys = module.cloud.open_objects(_address(bucket)).listing()
    assert not any(key.startswith("checkpoints/") for key in keys)


def _address(bucket: str) -> StorageAddress:
    return StorageAddress("s3", bucket.removeprefix("s3://"), "digits")
