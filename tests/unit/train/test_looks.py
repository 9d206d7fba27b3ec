"""How workers on Ray answer whether they still train: late, unless they do not."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from ray.train.v2._internal.execution.worker_group import worker as worker_module
from ray.train.v2._internal.execution.worker_group.poll import PollTask
from ray.train.v2._internal.execution.worker_group.thread_runner import ThreadRunner

from qstore_ray.train.ray import controller
from qstore_ray.train.ray.controller import _WaitingRayTrainWorker, _WorkersOnly


class _Training:
    """What a worker has of Ray's: a thread that trains."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, target: Callable[[], object]) -> None:
        context = SimpleNamespace(
            execution_context=SimpleNamespace(
                result_queue=queue.Queue(), training_thread_runner=ThreadRunner()
            ),
            preemption_context=SimpleNamespace(preemption_info=None),
        )
        for where in (controller, worker_module):
            monkeypatch.setattr(where, "get_train_context", lambda: context)
        context.execution_context.training_thread_runner.run(target)
        self.worker = object.__new__(_WaitingRayTrainWorker)


def test_a_worker_answers_as_soon_as_its_training_has_ended(monkeypatch):
    release = threading.Event()
    threading.Timer(0.05, release.set).start()
    answer = _Training(monkeypatch, lambda: release.wait() and 7).worker.poll_status(60.0)
    assert (answer.running, answer.error, answer.return_value) == (False, None, 7)


def test_a_worker_answers_as_soon_as_its_training_has_failed(monkeypatch):
    def fails() -> None:
        raise ValueError("no")

    answer = _Training(monkeypatch, fails).worker.poll_status(60.0)
    assert not answer.running
    assert "no" in str(answer.error)


def test_a_worker_that_trains_answers_within_the_seconds_that_it_is_given(monkeypatch):
    release = threading.Event()
    answer = _Training(monkeypatch, release.wait).worker.poll_status(0.01)
    release.set()
    assert answer.running


@pytest.mark.parametrize(("timeout", "seconds"), [(float("inf"), 1.0), (600.0, 1.0), (2.0, 0.5)])
def test_a_worker_answers_long_before_it_counts_as_hung(timeout: float, seconds: float):
    group = object.__new__(_WorkersOnly)
    group._worker_health_check_timeout_s = timeout
    assert group.look_seconds == seconds


def test_a_worker_is_asked_again_only_when_it_has_answered():
    asked: list[float] = []
    poll = SimpleNamespace(remote=lambda seconds: asked.append(seconds) or "new")
    workers = [SimpleNamespace(actor=SimpleNamespace(poll_status=poll))] * 3
    group = object.__new__(_WorkersOnly)
    group._worker_health_check_timeout_s = 600.0
    group._world_rank_to_ongoing_poll = {1: PollTask(0.0, "old")}
    group.get_workers = lambda: workers
    assert group._get_poll_tasks() == ["new", "old", "new"]
    assert asked == [1.0, 1.0]
