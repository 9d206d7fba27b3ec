"""A pytest plugin that collects once and then tests mutants, each in a fork of this process.

It runs in the copy. First it runs each test alone, in a fork, to learn which mutated functions
the test calls and how many CPU seconds it takes. A mutant is then tested by the tests that call
its function, the fastest first, until one fails or their time is spent.

A fork is limited in CPU seconds and memory, since a mutant may loop or allocate without end. The
clock limits only those that wait forever.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import Phase, settings

if TYPE_CHECKING:
    import pytest

PLAN = "MUTATION_PLAN"
"""The environment variable that names the file of what to do."""

_MEMORY = 4 << 30  # bytes that a mutant may allocate beyond what the server has
_CLOCK = 600.0  # seconds after which a fork is ended whatever it does
_MARGIN = 3.0  # a mutant may take this many times the CPU seconds of its tests
_SPARE = 2.0  # and these many seconds


@dataclass(frozen=True)
class Fork:
    """One running fork: what it is for, where it writes, since when."""

    name: str
    folder: Path
    since: float


@dataclass(frozen=True)
class Ended:
    """What a fork left: its answer (None if it was ended), its CPU seconds, the signal."""

    name: str
    answer: dict[str, Any] | None
    cpu: float
    signal: int


def pytest_configure() -> None:
    """A failure is enough: no time for the smallest example."""
    usual = settings.get_profile("repeatable")
    phases = (Phase.explicit, Phase.generate)
    settings.register_profile("mutation", parent=usual, phases=phases)
    settings.load_profile("mutation")


def pytest_runtestloop(session: pytest.Session) -> bool:
    """In place of pytest's own loop, also in that tests which cannot be imported end it."""
    if session.testsfailed:
        raise session.Interrupted(f"{session.testsfailed} errors during collection")
    plan = json.loads(Path(os.environ[PLAN]).read_text())
    items = {item.nodeid: item for item in session.items}
    forks = Forks(Path(plan["scratch"]), plan["processes"])
    try:
        tests = _observe(forks, items, plan)
        _judge(forks, items, plan, tests)
    finally:
        forks.end()
    return True


def _observe(forks: Forks, items: dict[str, pytest.Item], plan: dict[str, Any]) -> dict[str, Any]:
    """What is known of each test: its file's digest, CPU seconds, the functions it calls."""
    record = Path(plan["tests"])
    known = {each["test"]: each for each in _lines(record)}
    digests = plan["digests"]
    new = [
        name
        for name, item in items.items()
        if known.get(name, {}).get("digest") != digests[_file(item)]
    ]

    def watched(name: str) -> Callable[[], dict[str, Any]]:
        return lambda: _watched(items[name], plan["test_seconds"])

    with record.open("a") as out:
        for ended in forks.run((name, watched(name)) for name in new):
            answer = ended.answer or {"failed": True, "functions": []}
            known[ended.name] = {
                "test": ended.name,
                "digest": digests[_file(items[ended.name])],
                "cpu": round(ended.cpu, 3),
                **answer,
            }
            print(json.dumps(known[ended.name]), file=out, flush=True)
    return {name: known[name] for name in items}


def _watched(item: pytest.Item, seconds: float) -> dict[str, Any]:
    from mutmut.mutation.trampoline import set_mutant_under_test
    from mutmut.state import state

    _limit_cpu(seconds)
    set_mutant_under_test("stats")
    failed = not _passes(item)
    called = state()._stats  # noqa: SLF001 - mutmut keeps what its switches saw there
    return {"failed": failed, "functions": sorted(called)}


def _judge(
    forks: Forks, items: dict[str, pytest.Item], plan: dict[str, Any], tests: dict[str, Any]
) -> None:
    """Test the mutants of the plan and write a line for each."""
    reach = _reach(tests, plan["test_seconds"])
    work: dict[str, tuple[dict[str, Any], list[str], list[str]]] = {}
    with Path(plan["verdicts"]).open("a") as out:

        def write(mutant: dict[str, Any], **verdict: Any) -> None:
            line = {"name": mutant["name"], "digest": mutant["digest"], **verdict}
            print(json.dumps(line), file=out, flush=True)

        for mutant in plan["mutants"]:
            names = _chosen(mutant, reach, tests, plan["mutant_seconds"])
            marks = sorted(f"{name}@{tests[name]['digest']}" for name in names)
            if not names:
                write(mutant, status="unreached", seen=[])
            elif mutant["seen"] != marks:  # else the same tests have passed with it before
                work[mutant["name"]] = (mutant, names, marks)

        def forked() -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
            for name, (mutant, names, _) in sorted(work.items(), key=_shuffled):
                if time.time() > plan["ends"]:
                    return  # what was tested is a random part of the sample
                seconds = _MARGIN * sum(tests[n]["cpu"] for n in names) + _SPARE
                yield name, _mutated(mutant["key"], [items[n] for n in names], seconds)

        for ended in forks.run(forked()):
            mutant, _, marks = work[ended.name]
            write(mutant, **_verdict(ended, tests, marks))


def _shuffled(work: tuple[str, Any]) -> bytes:
    return hashlib.sha256(work[0].encode()).digest()


def _reach(tests: dict[str, Any], seconds: float) -> dict[str, list[str]]:
    """The tests that call each function, the fastest first."""
    found: dict[str, list[str]] = {}
    for name in sorted(tests, key=lambda name: (tests[name]["cpu"], name)):
        if not tests[name]["failed"] and tests[name]["cpu"] <= seconds:
            for function in tests[name]["functions"]:
                found.setdefault(function, []).append(name)
    return found


def _chosen(
    mutant: dict[str, Any], reach: dict[str, list[str]], tests: dict[str, Any], seconds: float
) -> list[str]:
    """As many tests as take `seconds` together, but one at least: those of its own file first."""
    own = f"/test_{Path(mutant['path']).stem}"
    names = sorted(reach.get(mutant["function"], ()), key=lambda name: own not in name)
    spent = itertools.accumulate(tests[name]["cpu"] for name in names)
    return [name for name, total in zip(names, spent, strict=True) if total <= seconds] or names[:1]


def _verdict(ended: Ended, tests: dict[str, Any], marks: list[str]) -> dict[str, Any]:
    """What a fork says of its mutant, with what the verdict depends on."""
    if ended.answer is None:
        late = ended.signal in {signal.SIGXCPU, signal.SIGKILL}
        return {"status": "timeout" if late else "killed", "cpu": round(ended.cpu, 2)}
    killer = ended.answer["killer"]
    if killer is None:
        return {"status": "survived", "seen": marks}
    mark = f"{killer}@{tests[killer]['digest']}"
    return {"status": "killed", "killer": mark, "cpu": round(ended.cpu, 2)}


def _mutated(key: str, items: list[pytest.Item], seconds: float) -> Callable[[], dict[str, Any]]:
    def run() -> dict[str, Any]:
        from mutmut.mutation.trampoline import set_mutant_under_test

        _limit_cpu(seconds)
        now = _pages() * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + _MEMORY, now + _MEMORY))
        set_mutant_under_test(key)
        return {"killer": next((item.nodeid for item in items if not _passes(item)), None)}

    return run


def _passes(item: pytest.Item) -> bool:
    """Run one test with all its fixtures set up and taken down."""
    session = item.session
    session.testsfailed = 0
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
    return not session.testsfailed


def _limit_cpu(seconds: float) -> None:
    limit = math.ceil(seconds + time.process_time())
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 2))


def _pages() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0])


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


def _lines(path: Path) -> Iterable[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class Forks:
    """Runs functions in forks of this process, a few at a time."""

    def __init__(self, folder: Path, processes: int) -> None:
        self._folder = folder
        self._processes = processes
        self._running: dict[int, Fork] = {}

    def run(self, work: Iterable[tuple[str, Callable[[], dict[str, Any]]]]) -> Iterator[Ended]:
        """Yield what each of the named functions returned, in the order in which they end."""
        for number, (name, function) in enumerate(work):
            while len(self._running) >= self._processes:
                yield self._wait()
            self._start(name, function, self._folder / str(number))
        while self._running:
            yield self._wait()

    def _start(self, name: str, function: Callable[[], dict[str, Any]], folder: Path) -> None:
        folder.mkdir(parents=True)
        pid = os.fork()
        if pid == 0:
            try:
                os.setsid()
                os.environ["PYTEST_DEBUG_TEMPROOT"] = os.environ["TMPDIR"] = str(folder)
                tempfile.tempdir = None
                null = os.open(os.devnull, os.O_RDWR)
                os.dup2(null, 1)
                os.dup2(null, 2)
                answer = json.dumps(function())
                (folder / "answer").write_text(answer)
            finally:
                os._exit(0)
        self._running[pid] = Fork(name, folder, time.monotonic())

    def _wait(self) -> Ended:
        while True:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if pid in self._running:
                break
            if pid:
                continue
            for each, fork in self._running.items():
                if time.monotonic() - fork.since > _CLOCK:
                    os.kill(each, signal.SIGKILL)
            time.sleep(0.01)
        fork = self._running.pop(pid)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)  # what the test started and left
        answer = fork.folder / "answer"
        found = json.loads(answer.read_text()) if answer.exists() else None
        shutil.rmtree(fork.folder, ignore_errors=True)
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        return Ended(fork.name, found, usage.ru_utime + usage.ru_stime, number)

    def end(self) -> None:
        """End what still runs, after an interruption."""
        for pid in self._running:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        sys.stdout.flush()
