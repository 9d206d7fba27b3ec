"""A Ray object is waited for as long as it takes; a warning says so, and a dead process ends it."""

from __future__ import annotations

import logging
import os
import threading
import time

import pytest
import ray
from ray.exceptions import ActorDiedError, GetTimeoutError, RayTaskError

from qstore_ray.deadline import ray_result

pytestmark = pytest.mark.usefixtures("ray_cluster")


class Process:
    """Lives in an actor."""

    def die(self) -> None:
        os._exit(1)

    def pid(self) -> int:
        return os.getpid()

    def hang(self) -> None:
        threading.Event().wait()


def test_one_value_several_and_none() -> None:
    references = [ray.put(number) for number in (3, 1, 2)]
    assert ray_result(references, "numbers") == [3, 1, 2]
    assert ray_result(references[0], "a number") == 3
    assert ray_result([], "nothing") == []


def test_a_process_that_dies_ends_the_wait() -> None:
    actor = ray.remote(max_restarts=0)(Process).remote()
    with pytest.raises(ActorDiedError):
        ray_result(actor.die.remote(), "the actor")


def test_a_task_without_a_free_cpu_is_waited_for_with_a_warning(caplog) -> None:
    def pid() -> int:
        return os.getpid()

    holder = ray.remote(num_cpus=2)(Process).remote()
    held = ray.get(holder.pid.remote())
    caplog.set_level(logging.WARNING)

    def free_after_the_warning() -> None:
        while not caplog.messages:
            time.sleep(0.02)
        ray.kill(holder)

    threading.Thread(target=free_after_the_warning, daemon=True).start()
    found = ray.remote(num_cpus=2)(pid).remote()
    by = ray_result(found, "a task that needs 2 CPUs", first_warning=0.2)
    assert by not in {held, os.getpid()}
    assert caplog.messages[0] == "still waiting for a task that needs 2 CPUs, for 0.2 s"


def test_the_first_error_of_several_ends_the_wait_while_others_run() -> None:
    """A worker that cannot start must not be waited for by way of those that wait for it."""

    def fail() -> None:
        raise GetTimeoutError("an object that the task asked for")

    actor = ray.remote(num_cpus=0)(Process).remote()
    both = [actor.hang.remote(), ray.remote(num_cpus=0)(fail).remote()]
    with pytest.raises(RayTaskError, match="an object that the task asked for"):
        ray_result(both, "both", first_warning=0.5)
    ray.kill(actor)
