"""Forks in which mutants run: what ended each, and that none outlives its limits or its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tools.mutation import copy
from tools.mutation.forks import Ended, Fate, Forks, limit_cpu, sleeping_seconds
from tools.mutation.server import _chosen, _verdict, _work

Answer = dict[str, Any]


def _segfault() -> Answer:
    os.kill(os.getpid(), signal.SIGSEGV)
    return {}


def _exit() -> Answer:
    os._exit(0)


def _full_disk() -> Answer:
    raise OSError(28, "No space left on device")


def _out_of_memory() -> Answer:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def _wait() -> Answer:
    signal.pause()
    return {}


def _wait_for_a_process() -> Answer:
    limit_cpu(0.0)
    subprocess.run([sys.executable, "-c", "while True: pass"], check=False)  # ends at the limit
    return {"code": 0}


def _loop() -> Answer:
    limit_cpu(0.0)
    while True:
        pass


FATES = {
    _segfault: Fate.CRASHED,
    _exit: Fate.CRASHED,
    _full_disk: Fate.LOST,
    _out_of_memory: Fate.LOST,
    _wait: Fate.ASLEEP,
    _loop: Fate.LATE,
}


@pytest.mark.parametrize("function", FATES, ids=lambda function: function.__name__)
def test_a_fork_without_an_answer_tells_what_ended_it(function, tmp_path: Path):
    (ended,) = Forks(tmp_path, 2, most_sleep=0.2).run([("mine", function)])
    assert (ended.name, ended.answer, ended.fate) == ("mine", None, FATES[function])
    assert ended.is_late == (function in (_wait, _loop))
    assert list(tmp_path.iterdir()) == []


def test_a_fork_that_waits_for_a_process_which_computes_does_not_sleep(tmp_path: Path):
    (ended,) = Forks(tmp_path, 2, most_sleep=0.2).run([("mine", _wait_for_a_process)])
    assert ended.answer == {"code": 0}


def test_every_fork_answers_whatever_becomes_of_the_others(tmp_path: Path):
    forks = Forks(tmp_path, 3)
    work = [(str(k), lambda k=k: {"square": k * k} if k % 3 else _segfault()) for k in range(9)]
    found = {ended.name: ended.answer for ended in forks.run(work)}
    assert found == {str(k): {"square": k * k} if k % 3 else None for k in range(9)}
    assert [ended.answer for ended in forks.run(work[1:2])] == [{"square": 1}], "once more"


def test_a_process_that_is_kept_waiting_for_a_processor_does_not_sleep():
    start = time.monotonic()
    command = [sys.executable, "-c", "while True: pass"]
    with subprocess.Popen(command, start_new_session=True) as busy:
        while time.monotonic() < start + 0.5:
            pass
        seconds = time.monotonic() - start
        asleep = sleeping_seconds(busy.pid, seconds)
        busy.kill()
    assert asleep < seconds / 2


PARENT = """
import os, signal, sys
from pathlib import Path
from tools.mutation.forks import Forks

def wait():
    os.write(int(sys.argv[2]), b"x")
    signal.pause()

list(Forks(Path(sys.argv[1]), 1).run([("mine", wait)]))
"""


def test_a_fork_ends_with_the_process_that_started_it(tmp_path: Path):
    """Its end of the pipe is closed then; a fork that lives on would keep it open."""
    reading, writing = os.pipe()
    command = [sys.executable, "-c", PARENT, str(tmp_path), str(writing)]
    environment = {**os.environ, "PYTHONPATH": str(copy.ROOT)}
    parent = subprocess.Popen(command, pass_fds=[writing], env=environment)
    os.close(writing)
    assert os.read(reading, 1) == b"x"
    parent.kill()
    assert os.read(reading, 1) == b""
    parent.wait()
    os.close(reading)


# ------------------------------------------------------------------------- verdicts and their tests

TESTS = {
    "tests/laws/test_step.py::test_slow[a@b::c]": {"cpu": 0.9, "digest": "s"},
    **{f"tests/unit/test_many.py::test_{k}": {"cpu": 0.01, "digest": "m"} for k in range(300)},
    "tests/unit/test_few.py::test_it": {"cpu": 0.5, "digest": "f"},
}
MUTANT = {"function": "f", "path": "qstore_ray/learn/step.py"}


def test_each_file_of_tests_has_its_share_of_the_time():
    names = sorted(TESTS, key=lambda name: TESTS[name]["cpu"])
    found = _chosen(MUTANT, {"f": names}, TESTS, 2.0)
    assert found[0].startswith("tests/laws/test_step.py"), "tests of its own file come first"
    assert found.index("tests/unit/test_few.py::test_it") in (50, 51), "0.5 s of many, then 0.5 s"
    assert len(found) in (61, 62), "0.9 s, 0.5 s and 0.6 s"
    assert sum(TESTS[name]["cpu"] for name in found) <= 2.0
    assert _chosen(MUTANT, {"f": names}, TESTS, 0.1) == found[:1], "one at least"
    assert _chosen(MUTANT, {}, TESTS, 2.0) == []


def test_a_survivor_has_further_tests_and_a_verdict_depends_on_all_of_them():
    tests = {name: {"failed": False, "functions": ["f"], **test} for name, test in TESTS.items()}
    limits = {"test_seconds": 1.0, "mutant_seconds": 1.2, "survivor_seconds": 1.0}
    plan = {"mutants": [{**MUTANT, "name": "mine"}], **limits}
    (task,) = _work(plan, tests, frozenset({"f"}))
    every = sorted(tests, key=lambda name: (tests[name]["cpu"], name))
    assert task.names == _chosen(MUTANT, {"f": every}, TESTS, 1.2)
    assert task.names + task.further == _chosen(MUTANT, {"f": every}, TESTS, 2.2)
    assert "tests/unit/test_few.py::test_it" in task.further
    assert len(task.marks) == len(task.names) + len(task.further)
    assert task.again


def test_a_verdict_depends_on_the_tests_that_it_is_by():
    slow = next(iter(TESTS))

    def verdict(answer: Answer | None, fate: Fate) -> Answer | None:
        return _verdict(Ended("mine", answer, 1.0, fate), TESTS, ["a@1"])

    by = {"status": "killed", "killer": f"{slow}@s", "cpu": 1.0}
    assert verdict({"killer": slow}, Fate.ANSWERED) == by
    assert verdict({"killer": None}, Fate.ANSWERED) == {"status": "survived", "seen": ["a@1"]}
    for fate, status in (
        (Fate.LATE, "timeout"),
        (Fate.ASLEEP, "timeout"),
        (Fate.CRASHED, "killed"),
    ):
        assert verdict(None, fate) == {"status": status, "seen": ["a@1"], "cpu": 1.0}
    at_import = verdict({"killer": None, "at_import": True}, Fate.ANSWERED)
    assert at_import == {"status": "killed", "seen": ["a@1"], "cpu": 1.0}
    assert verdict(None, Fate.LOST) is None, "what ends it from outside says nothing of the mutant"


def test_what_tests_share_is_part_of_their_digest(tmp_path: Path):
    (tmp_path / "tests" / "unit").mkdir(parents=True)
    helper, test = tmp_path / "tests" / "helper.py", tmp_path / "tests" / "unit" / "test_a.py"
    helper.write_text("LIMIT = 1\n")
    test.write_text("def test_it(): pass\n")
    before = copy.helpers_digest(tmp_path, ["f"])
    test.write_text("def test_that(): pass\n")
    assert copy.helpers_digest(tmp_path, ["f"]) == before
    assert copy.helpers_digest(tmp_path, ["f", "g"]) != before
    helper.write_text("LIMIT = 2\n")
    assert copy.helpers_digest(tmp_path, ["f"]) != before
