"""Errors of other libraries in one line: with no text, with one line, with many; and Ray's own."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    LocalRayletDiedError,
    NodeDiedError,
    ObjectStoreFullError,
    OutOfDiskError,
    OutOfMemoryError,
    RayActorError,
    RayError,
    RayTaskError,
    WorkerCrashedError,
)

from qstore_ray.errors import (
    BackendError,
    CheckpointError,
    DataError,
    ResourceError,
    RunError,
    first_line,
    last_line,
)
from qstore_ray.train.config import ClusterConfig
from qstore_ray.train.ray import failures, kernel_matrix, predict, session, workers
from qstore_ray.train.ray.errors import meaning, no_room_error
from qstore_ray.train.ray.feed import reading_error
from qstore_ray.train.ray.session import ray_session

TEXTS = {"": ("", ""), " \n\t": ("", ""), "one": ("one", "one"), "\n a \n\nb\n": ("a", "b")}
KILLED = "its process was killed or crashed"


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("kind", [RuntimeError, RayError, MemoryError])
def test_an_error_is_known_by_a_line_or_by_its_class(text: str, kind: type[Exception]):
    first, last = TEXTS[text]
    assert first_line(kind(text)) == (first or kind.__name__)
    assert last_line(kind(text)) == (last or kind.__name__)
    assert (first_line(text), last_line(text)) == (first, last)
    assert first_line(kind()) == last_line(kind()) == kind.__name__


def _actor_died(text: str) -> RayActorError:
    """As Ray makes it of an actor's record: a first line, what the actor was, and why it died."""
    error = ActorDiedError()
    error.error_msg = f"{error.BASE_ERROR_MSG}\n\tclass_name: RayTrainWorker\n\tpid: 7\n{text}"
    return error


def _as_ray_train_meets_it(error: Exception) -> Exception:
    from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError

    return WorkerHealthCheckFailedError("A worker health check failed.", failure=error)


DEATHS = {
    "killed": (
        _actor_died(
            "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR "
            "Worker exit detail: Worker unexpectedly exits with a connection error code 2. End of "
            "file. Some common causes include: (1) the process was killed by the OOM killer."
        ),
        KILLED,
    ),
    "crashed in a task": (WorkerCrashedError(), KILLED),
    "memory": (
        OutOfMemoryError("Memory on the node was 31 GB / 32 GB.\nSet RAY_memory_usage_threshold."),
        "Ray ended its process, because the memory of its machine was nearly full",
    ),
    "memory of an actor": (
        _actor_died("Task was killed due to the node running low on memory.\nRefer to the docs."),
        "Ray ended its process, because the memory of its machine was nearly full",
    ),
    "node": (NodeDiedError("node 7 died"), "its machine was lost"),
    "raylet": (LocalRayletDiedError(), "its machine was lost"),
    "node of an actor": (
        _actor_died(
            "The actor died because its node has died. Node Id: 7\n"
            "\tthe actor's node was terminated unexpectedly: health check failed"
        ),
        "its machine was lost",
    ),
    "unavailable": (ActorUnavailableError("rpc", None), "its process cannot be reached"),
    "full": (ObjectStoreFullError("Failed to put object 7."), "Ray's object store is full"),
    "disk": (
        OutOfDiskError("Local disk is full"),
        "Ray's object store is full, and so is the disk that it spills to",
    ),
    "ours": (CheckpointError("it broke", field="run", fix="Mend it."), "it broke"),
    "unknown": (RayError("what\nnobody expects"), "nobody expects"),
    "silent": (RayError(), "RayError"),
}


@pytest.mark.parametrize("case", DEATHS)
def test_a_death_has_words_of_ours_without_ids_and_settings_of_rays(case: str):
    error, words = DEATHS[case]
    assert meaning(error) == words
    assert meaning(_as_ray_train_meets_it(error)) == words


@pytest.mark.parametrize("case", DEATHS)
def test_every_place_that_meets_an_error_of_rays_says_what_it_means(case: str):
    error, words = DEATHS[case]
    once = ClusterConfig(max_failures=1)
    if isinstance(error, RayError):
        assert predict._translated_error(error).message == f"predicting on Ray failed: {words}"
        said = kernel_matrix._translated_error(error, once)
        assert said.message == f"a worker failed while it computed a kernel: {words}"
        said = failures.training_error(error, once, {})
        assert said.message == f"the workers failed more than 1 times: {words}"


def _failed(failures: dict[int, Exception]) -> Exception:
    from ray.train.v2.api.exceptions import WorkerGroupError

    return WorkerGroupError("a long text", failures)


@pytest.mark.parametrize("kind", failures._NO_START)
def test_workers_that_do_not_start_are_an_error_about_the_start(kind: type[Exception]):
    from ray.train.v2.api.exceptions import ControllerError

    error = ControllerError(kind(2))
    said = failures.training_error(error, ClusterConfig(start_timeout=7.0), {})
    assert (said.field, said.value) == ("cluster.start_timeout", 7.0)
    assert said.message == "the workers did not start within 7 s"
    assert "RAY_" not in str(said)


def test_of_a_group_those_are_named_that_were_lost_and_not_those_that_waited_for_them():
    lost = _as_ray_train_meets_it(DEATHS["killed"][0])
    waited = RuntimeError("Traceback\nallreduce: the connection was reset")
    once = ClusterConfig(max_failures=1)
    said = failures.training_error(_failed({0: waited, 1: lost}), once, {})
    assert said.message == f"the workers failed more than 1 times: worker 1: {KILLED}"
    said = failures.training_error(_failed({0: waited}), once, {})
    assert said.message.endswith("worker 0: allreduce: the connection was reset")
    ours = DataError("row 7 is not finite", field="x")
    assert failures.training_error(_failed({0: waited, 1: ours}), once, {}) is ours


@pytest.mark.parametrize(
    ("failures", "line"),
    [
        ({1: _as_ray_train_meets_it(DEATHS["killed"][0])}, f"worker 1 was lost: {KILLED}"),
        (
            {0: DEATHS["ours"][0], 1: RuntimeError("b")},
            "worker 0 failed: it broke; worker 1 failed: b",
        ),
    ],
)
def test_workers_that_follow_are_told_why_the_last_ones_ended(tmp_path, failures, line):
    losses = workers._Losses(SimpleNamespace(run_dir=tmp_path, generation=1, origin=None), 60.0)
    losses.after_exception(None, failures)
    assert (tmp_path / ".ray" / "lost-1.txt").read_text() == line


def test_a_worker_that_hung_is_told_from_one_that_was_killed_afterwards(tmp_path):
    said, dump = tmp_path / ".ray" / "lost-2.txt", tmp_path / "stuck-worker-0.txt"
    dump.write_text("of an earlier attempt")
    losses = workers._Losses(SimpleNamespace(run_dir=tmp_path, generation=2, origin=None), 60.0)
    killed = {0: _as_ray_train_meets_it(DEATHS["killed"][0])}
    for text, cause in (("", KILLED), ("more", "it made no progress for 60 s"), ("", KILLED)):
        with dump.open("a") as file:
            file.write(text)
        losses.after_exception(None, killed)
        assert said.read_text() == f"worker 0 was lost: {cause}"


def test_rows_that_ray_has_no_room_for_are_an_error_about_the_store():
    error = no_room_error(OutOfDiskError("Local disk is full"), 100)
    assert (error.field, error.value) == ("cluster.object_store_mb", 100)
    assert "its disk" not in error.message
    assert "trainer.num_workers = 0" in error.fix


@pytest.mark.parametrize("text", ["", "no\nanswer"])
def test_a_cluster_that_cannot_be_joined_is_an_error_in_a_line(monkeypatch, text: str):
    def refuse(*_, **__) -> None:
        raise RayError(text)

    monkeypatch.setattr(session.ray, "init", refuse)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(BackendError) as caught, ray_session(ClusterConfig(address="auto"), 1):
        pass
    shown = "no" if text else "RayError"
    assert caught.value.message == f"cannot join the Ray cluster: {shown}"
    assert caught.value.field == "cluster.address"


@pytest.mark.parametrize(
    ("error", "field", "said"),
    [
        (OSError("AF_UNIX path length cannot exceed 107 bytes: /x"), "TMPDIR", "too long"),
        (PermissionError(13, "Permission denied", "/tmp/ray"), "TMPDIR", "Permission denied"),
        (RuntimeError("no port is free\nmore"), "cluster", "no port is free"),
        (Exception("The current node timed out during startup. This"), "cluster", "too busy"),
    ],
)
def test_a_ray_that_cannot_be_started_is_an_error_that_says_what_to_do(
    monkeypatch, error: Exception, field: str, said: str
):
    def refuse(*_, **__) -> None:
        raise error

    monkeypatch.setattr(session.ray, "init", refuse)
    monkeypatch.setattr(session, "uses_own_ray", lambda config: True)
    with pytest.raises(BackendError, match=said) as caught, ray_session(ClusterConfig(), 1):
        pass
    assert caught.value.field == field
    assert "trainer.num_workers = 0" in caught.value.fix


@pytest.mark.parametrize(
    ("address", "variable", "own", "joins"),
    [
        (None, None, False, True),
        (None, "127.0.0.1:9", False, False),
        ("127.0.0.1:9", None, False, False),
        ("local", None, True, False),
        ("local", "127.0.0.1:9", True, False),
        (None, "local", True, False),
    ],
)
def test_the_warm_cluster_is_joined_unless_another_is_named(
    monkeypatch, address: str | None, variable: str | None, own: bool, joins: bool
):
    warm = object()
    monkeypatch.setattr(session, "find_cluster", lambda: (warm, False))
    monkeypatch.setattr(session, "check_software", lambda record: None)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if variable is not None:
        monkeypatch.setenv("RAY_ADDRESS", variable)
    config = ClusterConfig(address=address)
    assert session.uses_own_ray(config) is own
    assert session.warm_cluster(config) is (warm if joins else None)


def test_a_warm_cluster_that_had_died_is_reported_and_not_joined(monkeypatch, caplog):
    monkeypatch.setattr(session, "find_cluster", lambda: (None, True))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert session.uses_own_ray(ClusterConfig())
    assert "had died" in caplog.text


def test_what_a_reading_task_raised_is_found_in_all_that_ray_puts_around_it():
    own = DataError("changed", field="train")
    within = RayTaskError("read", "a trace", own).as_instanceof_cause()
    around = RayTaskError("get", "a trace", within)
    assert isinstance(within, DataError), "Ray makes a class that is both"
    assert reading_error(around) is own
    outer = RayError("user code failed")
    outer.__cause__ = around
    assert reading_error(outer) is own
    lost = reading_error(RayError("no room\nat all"))
    assert type(lost) is RunError
    assert "at all" in str(lost)
    outer.__cause__ = OutOfDiskError("Local disk is full")
    full = reading_error(outer)
    assert (type(full), full.field) == (ResourceError, "cluster.object_store_mb")
    assert "Ray's object store is full, and so is the disk" in str(full)


class OtherError(Exception):
    """Not an error of Ray's."""


@pytest.mark.parametrize(
    ("raised", "met"),
    [
        (Exception("The current node timed out during startup."), BackendError),
        (OtherError(), OtherError),
    ],
)
def test_a_node_that_takes_too_long_to_start_is_an_error_of_ours(monkeypatch, raised, met):
    def init(*args: object, **options: object) -> None:
        raise raised

    monkeypatch.setattr(session.ray, "init", init)
    with pytest.raises(met) as caught:
        session._start(ClusterConfig(), dashboard=False)
    if met is BackendError:
        assert "did not start on this machine within its time" in str(caught.value)
        assert "trainer.num_workers = 0" in caught.value.fix
