"""The sidecar: calls and errors come back, and it never outlives or blocks its driver."""

from __future__ import annotations

import gc
import math
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from qstore_ray.errors import ConfigError, RunError
from qstore_ray.sidecar import process as process_of_driver
from qstore_ray.sidecar import server
from qstore_ray.sidecar.process import Sidecar, sidecar


def fails() -> None:
    raise ConfigError("it broke", field="trainer.epochs", value=-1, fix="Give 1.")


class UnpicklableError(Exception):
    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


def fails_strangely() -> None:
    raise UnpicklableError("not", "here")


class Unreadable:
    """A result that can be sent, and not be read where it arrives."""

    def __reduce__(self) -> tuple[object, ...]:
        return (fails_strangely, ())


def a_lock() -> object:
    return threading.Lock()


def _ends_its_lane(lane: str) -> None:
    server.end_lane(lane)


def _open_lanes() -> list[str]:
    return list(server._lanes)


def _lost_token(stop: float) -> bool:
    while time.monotonic() < stop:
        if "SIDECAR_TOKEN" not in os.environ:
            return True
    return False


@pytest.fixture(scope="module")
def started() -> Iterator[Sidecar]:
    process = Sidecar()
    process.enter()
    yield process
    process.close()


def _is_gone(pid: int) -> bool:
    """Whether a process ends within ten seconds; one that nobody waits for counts as ended."""
    stop = time.monotonic() + 10.0
    while time.monotonic() < stop:
        status = Path(f"/proc/{pid}/stat")
        if not status.exists() or ") Z " in status.read_text():
            return True
        time.sleep(0.02)
    return False


def test_a_call_runs_in_another_process(started):
    assert started.submit("a", math.hypot, 3.0, 4.0).result() == 5.0
    assert started.submit("a", os.getpid).result() != os.getpid()


def _described(arrays: list[np.ndarray]) -> list[object]:
    return [(each, each.dtype, each.flags.f_contiguous, each.flags.writeable) for each in arrays]


def test_arrays_arrive_as_they_were(started):
    rows = np.arange(60.0).reshape(3, 20)
    arrays = [
        rows, rows.T, rows[:, ::3], np.asfortranarray(rows), np.zeros((0, 4)), np.array(2.5),
        np.array(["a", None], object), np.array(["ab", "c"]), np.arange(300_000),
    ]  # fmt: skip
    found = started.submit("a", _described, arrays).result()
    for (array, *about), (wanted, *expected) in zip(found, _described(arrays), strict=True):
        np.testing.assert_array_equal(array, wanted)
        assert about == expected


def test_the_driver_makes_no_copy_of_an_array(started):
    large = np.ones(4_000_000)
    tracemalloc.start()
    assert started.submit("a", np.sum, large).result() == 4e6
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < large.nbytes / 4


def test_an_error_comes_back_as_it_was_raised(started):
    with pytest.raises(ConfigError) as caught:
        started.submit("a", fails).result()
    error = caught.value
    assert (error.message, error.field, error.value, error.fix) == (
        "it broke", "trainer.epochs", -1, "Give 1.",
    )  # fmt: skip
    assert "in fails" in str(error.__cause__)


def test_an_error_that_cannot_be_pickled_keeps_its_words(started):
    with pytest.raises(RuntimeError, match="UnpicklableError: not here"):
        started.submit("a", fails_strangely).result()


def test_a_result_that_cannot_be_sent_is_an_error(started):
    with pytest.raises(TypeError, match="pickle"):
        started.submit("a", a_lock).result(timeout=20.0)
    assert started.usable


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_result_that_cannot_be_read_ends_it_and_what_waits():
    ours = Sidecar()
    slow = ours.submit("slow", time.sleep, 60.0)
    with pytest.raises(RunError, match="ended"):
        ours.submit("a", Unreadable).result(timeout=20.0)
    with pytest.raises(RunError, match="ended"):
        slow.result(timeout=20.0)
    assert not ours.usable
    ours.close()


def test_one_that_does_not_end_is_killed(monkeypatch):
    monkeypatch.setattr(process_of_driver, "_SECONDS_TO_END", 0.2)
    ours = Sidecar()
    pid = ours.submit("a", os.getpid).result()
    os.kill(pid, signal.SIGSTOP)
    ours.close()
    assert _is_gone(pid)
    ours.close()


def test_a_lane_that_ended_leaves_no_thread(started):
    started.submit("last", _ends_its_lane, "last").result()
    assert "last" not in started.submit("a", _open_lanes).result()
    assert started.submit("last", math.sqrt, 4.0).result() == 2.0


def test_lanes_do_not_wait_for_each_other(started):
    slow = started.submit("slow", time.sleep, 30.0)
    assert started.submit("fast", math.sqrt, 9.0).result(timeout=20.0) == 3.0
    assert not slow.done()


def test_calls_of_a_lane_keep_their_order(started, tmp_path: Path):
    file = tmp_path / "list"
    calls = [started.submit("ordered", _append, file, n) for n in range(20)]
    for call in calls:
        call.result()
    assert file.read_text().split() == [str(n) for n in range(20)]


def _append(file: Path, number: int) -> None:
    with file.open("a") as text:
        text.write(f"{number}\n")


def test_the_environment_and_folder_follow_the_driver(started, tmp_path, monkeypatch):
    monkeypatch.setenv("SIDECAR_TEST", "seen")
    monkeypatch.chdir(tmp_path)
    started.enter()
    assert started.submit("a", os.getenv, "SIDECAR_TEST").result() == "seen"
    assert started.submit("a", os.getcwd).result() == str(tmp_path)
    monkeypatch.undo()
    started.enter()
    assert started.submit("a", os.getenv, "SIDECAR_TEST").result() is None


def test_the_environment_is_never_without_what_stays(started, monkeypatch):
    monkeypatch.setenv("SIDECAR_TOKEN", "kept")
    started.enter()
    looking = started.submit("looks", _lost_token, time.monotonic() + 0.5)
    for n in range(200):
        monkeypatch.setenv("SIDECAR_OTHER", str(n))
        started.enter()
    assert looking.result() is False


def test_a_module_path_with_other_objects_and_a_deleted_folder(tmp_path, monkeypatch):
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    monkeypatch.setattr(sys, "path", [*sys.path, tmp_path])
    ours = Sidecar()
    ours.enter()
    assert ours.submit("a", math.sqrt, 9.0).result(timeout=20.0) == 3.0
    ours.close()


@pytest.mark.parametrize("flags", [["-I"], ["-E"], ["-P", "-Werror::UserWarning"]])
def test_it_has_the_flags_of_its_driver(flags: list[str], repository: Path):
    code = (
        f"import sys; sys.path.insert(0, {str(repository)!r}); "
        "from qstore_ray.sidecar.process import sidecar; "
        'said = \'(tuple(__import__("sys").flags), __import__("sys").warnoptions)\'; '
        "assert sidecar().submit('a', eval, said).result() == eval(said), said"
    )
    subprocess.run([sys.executable, *flags, "-c", code], check=True, timeout=60.0)


def test_a_frozen_program_is_told_what_it_lacks(monkeypatch):
    monkeypatch.setattr(process_of_driver, "_shared", process_of_driver._Shared())
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(RunError, match="need a process of Python"):
        sidecar()


def test_one_that_was_killed_is_an_error_and_the_next_is_another():
    process = Sidecar()
    pid = process.submit("a", os.getpid).result()
    waiting = process.submit("a", time.sleep, 60.0)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(RunError, match="process for trackers, scores and figures ended"):
        waiting.result(timeout=20.0)
    assert not process.usable
    with pytest.raises(RunError, match="ended"):
        process.submit("a", os.getpid).result(timeout=20.0)
    process.close()


def test_it_is_shared_until_it_ends():
    first = sidecar()
    assert sidecar() is first
    os.kill(first.submit("a", os.getpid).result(), signal.SIGKILL)
    while first.usable:
        time.sleep(0.01)
    assert sidecar() is not first


def test_a_process_that_was_forked_off_has_its_own():
    ours = sidecar().submit("a", os.getpid).result()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, str(sidecar().submit("a", os.getpid).result()).encode())
        os._exit(0)
    theirs = int(os.read(reading, 20))
    os.waitpid(child, 0)
    os.close(reading)
    os.close(writing)
    assert theirs != ours
    assert _is_gone(theirs)
    assert sidecar().submit("a", os.getpid).result() == ours


@pytest.mark.parametrize(
    ("last", "sent", "status"),
    [
        ("time.sleep(60.0)", signal.SIGKILL, -signal.SIGKILL),
        ("time.sleep(60.0)", signal.SIGTERM, -signal.SIGTERM),
        ("time.sleep(60.0)", signal.SIGINT, -signal.SIGINT),
        ("os._exit(3)", None, 3),
        ("raise RuntimeError", None, 1),
        ("pass", None, 0),
    ],
)
@pytest.mark.usefixtures("interruptible")
def test_it_ends_with_its_driver(
    last: str, sent: signal.Signals | None, status: int, repository: Path
):
    code = (
        "import os, time; from qstore_ray.sidecar.process import sidecar; "
        "s = sidecar(); s.submit('slow', time.sleep, 60.0); "
        f"print(s.submit('a', os.getpid).result(), flush=True); {last}"
    )
    driver = subprocess.Popen(
        [sys.executable, "-c", code], cwd=repository, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True, start_new_session=True,
    )  # fmt: skip
    assert driver.stdout is not None
    pid = int(driver.stdout.readline())
    if sent is not None:
        os.killpg(driver.pid, sent)  # as a terminal does
    assert driver.wait(timeout=20.0) == status
    assert _is_gone(pid)
    driver.stdout.close()


def test_two_threads_share_one(repository: Path):
    code = (
        "import math, os, threading; from concurrent.futures import ThreadPoolExecutor; "
        "from qstore_ray.sidecar.process import sidecar; "
        "asked = list(ThreadPoolExecutor(8).map("
        "lambda n: (sidecar().submit(str(n % 3), os.getpid).result(), "
        "sidecar().submit(str(n % 3), math.sqrt, n * n).result()), range(64))); "
        "assert len({pid for pid, _ in asked}) == 1; "
        "assert [root for _, root in asked] == list(range(64))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=repository, check=True, timeout=60.0)


class Endless:
    """A result that no message can hold."""

    def __reduce__(self) -> tuple[object, ...]:
        raise MemoryError


def endless() -> Endless:
    return Endless()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_call_whose_answer_cannot_be_made_ends_it_and_is_not_waited_for():
    ours = Sidecar()
    with pytest.raises(RunError, match="exit status 1"):
        ours.submit("a", endless).result(timeout=20.0)
    ours.close()


def test_modules_that_are_missing_leave_the_collector_of_garbage_on():
    before = gc.get_freeze_count()
    try:
        with pytest.raises(ImportError):
            server.load(["json", "qstore_ray.of_no_name"])
        assert gc.isenabled()
        assert gc.get_freeze_count() > before
    finally:
        gc.unfreeze()


def test_a_process_that_was_forked_off_does_not_end_that_of_its_parent(started, monkeypatch):
    with monkeypatch.context() as forked:
        forked.setattr(started, "_owner", os.getpid() + 1)
        assert not started.usable
        started.close()
    assert started.submit("a", math.hypot, 3.0, 4.0).result() == 5.0


def test_a_machine_without_room_for_a_process_is_told_so(monkeypatch):
    def full() -> Sidecar:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(process_of_driver, "Sidecar", full)
    with pytest.raises(RunError, match="Resource temporarily unavailable") as caught:
        sidecar("of this test")
    assert "ulimit -u" in caught.value.fix
