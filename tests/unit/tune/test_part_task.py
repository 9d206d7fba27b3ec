"""A part of a trial in a task: its metrics, its errors, and its end when the search is stopped."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import RayTaskError, WorkerCrashedError

from qstore_ray.errors import DataError, InterruptedRunError, WorkerError
from qstore_ray.tune.trial import part_task
from qstore_ray.tune.trial.part_task import train_in_task


class ScriptedTask:
    """A task that ends after some looks, with an answer or an error."""

    def __init__(self, answer: Any, looks: int = 0) -> None:
        self.answer, self.looks = answer, looks
        self.cancelled: list[bool] = []
        self.options: dict[str, Any] = {}
        self.given: tuple[Any, ...] = ()

    def wait(self, tasks: list[Any], timeout: float) -> tuple[list[Any], list[Any]]:
        self.looks -= 1
        return (tasks, []) if self.looks < 0 else ([], tasks)

    def get(self, task: Any) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def cancel(self, task: Any, force: bool) -> None:
        self.cancelled.append(force)

    def remote(self, *given: Any) -> str:
        self.given = given
        return "task"


CONFIG = SimpleNamespace(
    cpus_per_trial=2, gpus_per_trial=0.5, resources={"fast": 1}, trial_failures=3, parts_at_once=4
)


@pytest.fixture
def begin(monkeypatch: pytest.MonkeyPatch) -> Any:
    def begun(task: ScriptedTask, stop: threading.Event | None = None) -> Any:
        def options(**given: Any) -> ScriptedTask:
            task.options = given
            return task

        monkeypatch.setattr(part_task, "ray", task)
        monkeypatch.setattr(part_task, "_train_part", SimpleNamespace(options=options))
        job: Any = SimpleNamespace(name="digits-3")
        return train_in_task(CONFIG, "plan", job, stop or threading.Event())  # type: ignore[arg-type]

    return begun


def test_a_part_has_the_resources_and_retries_of_a_trial(begin):
    task = ScriptedTask({"val_loss": 0.5}, looks=3)
    assert begin(task) == {"val_loss": 0.5}
    assert task.options == {
        "num_cpus": 2, "num_gpus": 0.5, "resources": {"fast": 1}, "max_retries": 3
    }  # fmt: skip
    assert task.given[0] == "plan"
    assert task.cancelled == []


def test_a_search_that_is_stopped_kills_its_parts(begin):
    stop = threading.Event()
    stop.set()
    task = ScriptedTask(None, looks=10**6)
    with pytest.raises(InterruptedRunError, match="stopped by the search") as caught:
        begin(task, stop)
    assert (task.cancelled, caught.value.value) == ([True], "digits-3")


def test_a_part_that_has_ended_is_taken_though_the_search_was_stopped(begin):
    stop = threading.Event()
    stop.set()
    assert begin(ScriptedTask({"val_loss": 0.5}), stop) == {"val_loss": 0.5}


def test_an_error_of_the_training_is_raised_as_it_is(begin):
    ours = DataError("row 3 has NaN", field="x")
    with pytest.raises(DataError) as caught:
        begin(ScriptedTask(RayTaskError("train", "Traceback …", ours)))
    assert caught.value is ours
    fault = RayTaskError("train", "Traceback …", KeyError("x"))
    with pytest.raises(RayTaskError) as raised:
        begin(ScriptedTask(fault))
    assert raised.value is fault


def test_a_process_that_died_says_what_to_lower(begin):
    with pytest.raises(WorkerError, match="its process was killed or crashed") as caught:
        begin(ScriptedTask(WorkerCrashedError()))
    assert (caught.value.field, caught.value.value) == ("tune.parts_at_once", 4)
    assert "fewer parts at once" in caught.value.fix
