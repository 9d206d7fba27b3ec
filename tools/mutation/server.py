"""A pytest plugin that collects once and then tests mutants, each in a fork of this process.

It runs in the copy. First it runs each test alone, in a fork, to learn which mutated functions
the test calls and how many CPU seconds it takes. A mutant is then tested by the tests that call
its function, the fastest first, until one fails or their time is spent.

Functions that are called while modules are imported, such as one that fills a table, have done so
before a mutant is switched on. A mutant of these that survives is tested again in a new process.

`forks.py` limits each fork. A fork that a signal from outside ended says nothing of its mutant: it
is run again, and if that ends the same way, the mutant stays without a verdict.
"""

from __future__ import annotations

import hashlib
import importlib
import itertools
import json
import math
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import Phase, settings

from tools.mutation.forks import Ended, Fate, Forks, end_with_parent, limit_cpu
from tools.mutation.lines import read_lines, write_whole

if TYPE_CHECKING:
    import pytest

PLAN = "MUTATION_PLAN"
"""The environment variable that names the file of what to do."""

_MEMORY = 4 << 30  # bytes that a mutant may allocate beyond what the server has
_MARGIN = 3.0  # a mutant may take this many times the CPU seconds of its tests
_SPARE = 2.0  # and these many seconds
_FRESH = ("-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:cov", "-o", "timeout=0", "-x", "-q")
_NO_TEST_RAN = {4, 5}  # exit codes: a wrong command line; no test was found
_TRIES = 2  # for a fork that something outside ended


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
    end_with_parent()
    at_import = frozenset(_called())  # while tests were collected; see `__main__.py`
    plan = json.loads(Path(os.environ[PLAN]).read_text())
    items = {item.nodeid: item for item in session.items}
    forks = Forks(Path(plan["scratch"]), plan["processes"])
    try:
        tests = _observe(forks, items, plan)
        _judge(forks, items, plan, tests, at_import)
    finally:
        forks.end()
    return True


def _observe(forks: Forks, items: dict[str, pytest.Item], plan: dict[str, Any]) -> dict[str, Any]:
    """What is known of each test: its file's digest, CPU seconds, the functions it calls.

    A test that failed is tried again, since the fault may have been anywhere. Libraries that a test
    imports are then imported here, so that no further fork has to.
    """
    imports = Path(plan["imports"])
    libraries = set(json.loads(imports.read_text()) if imports.exists() else ())
    _preload(libraries)
    record = Path(plan["tests"])
    known = {each["test"]: each for each in read_lines(record)}
    digests = plan["digests"]
    new = [
        name
        for name, item in items.items()
        if known.get(name, {}).get("digest") != digests[_file(item)] or known[name]["failed"]
    ]

    def watched(name: str) -> Callable[[], dict[str, Any]]:
        return lambda: _watched(items[name], plan["test_seconds"])

    with record.open("a") as out:
        for ended in forks.run((name, watched(name)) for name in new):
            answer = ended.answer or {"failed": not ended.is_late, "functions": []}
            imported = answer.pop("imports", ())
            _preload(set(imported) - libraries)
            libraries.update(imported)
            known[ended.name] = {
                "test": ended.name,
                "digest": digests[_file(items[ended.name])],
                "cpu": round(ended.cpu, 3),
                **answer,
            }
            print(json.dumps(known[ended.name]), file=out, flush=True)
    write_whole(imports, json.dumps(sorted(libraries)))
    found = {name: known[name] for name in items}
    if failed := sorted(name for name, test in found.items() if test["failed"]):
        print(f"{len(failed)} tests fail without a mutant and are left out:", *failed, sep="\n  ")
    if len(failed) == len(found):
        raise SystemExit("no test passes without a mutant; nothing can be said of the mutants")
    return found


def _watched(item: pytest.Item, seconds: float) -> dict[str, Any]:
    from mutmut.mutation.trampoline import set_mutant_under_test

    limit_cpu(seconds)
    before = set(sys.modules)
    _called().clear()
    set_mutant_under_test("stats")
    failed = not _passes(item)
    new = sorted(set(sys.modules) - before)
    return {"failed": failed, "functions": sorted(_called()), "imports": new}


def _called() -> set[str]:
    """The mutated functions that were called so far."""
    from mutmut.state import state

    found: set[str] = state()._stats  # noqa: SLF001 - mutmut keeps what its switches saw there
    return found


def _preload(libraries: Iterable[str]) -> None:
    """Import modules, but none of the package: those are imported with their mutant on."""
    for name in sorted(libraries):
        if name.partition(".")[0] not in {"qstore_ray", "tests"}:
            with suppress(ImportError):  # made by the library itself, not by an import
                importlib.import_module(name)


def _judge(
    forks: Forks,
    items: dict[str, pytest.Item],
    plan: dict[str, Any],
    tests: dict[str, Any],
    at_import: frozenset[str],
) -> None:
    """Test the mutants of the plan and write a line for each.

    A survivor has further tests: there are few, and most of those that this notices would be faults
    of the tests that were chosen for it, not of the tests that exist.
    """
    work = _work(plan, tests, at_import)
    with Path(plan["verdicts"]).open("a") as out:

        def write(task: Task, **verdict: Any) -> None:
            line = {"name": task.name, "digest": task.mutant["digest"], **verdict}
            print(json.dumps(line), file=out, flush=True)

        first, further = [], []
        for task in sorted(work, key=_shuffled):
            if not task.names:
                write(task, status="unreached", seen=[])
            elif task.mutant["seen"] != task.marks:  # else the same tests have told of it before
                first.append((task, task.names))
        for task, verdict in _tested(forks, first, items, tests, plan["ends"]):
            if verdict["status"] == "survived" and task.further:
                further.append((task, task.further))
            else:
                write(task, **verdict)
        for task, verdict in _tested(forks, further, items, tests, math.inf):
            write(task, **verdict)


@dataclass(frozen=True)
class Task:
    """A mutant and its tests.

    Attributes:
        mutant: as in the plan.
        names: its tests, in their order.
        further: those that it has if it survives them.
        marks: all of these, with the digests of their files: what a verdict depends on.
        again: whether the function is called by imports.
    """

    mutant: dict[str, Any]
    names: list[str]
    further: list[str]
    marks: list[str]
    again: bool

    @property
    def name(self) -> str:
        """The name of the mutant."""
        return str(self.mutant["name"])


def _work(plan: dict[str, Any], tests: dict[str, Any], at_import: frozenset[str]) -> list[Task]:
    reach = _reach(tests, plan["test_seconds"])
    found = []
    for mutant in plan["mutants"]:
        names = _chosen(mutant, reach, tests, plan["mutant_seconds"])
        every = _chosen(mutant, reach, tests, plan["mutant_seconds"] + plan["survivor_seconds"])
        marks = sorted(f"{name}@{tests[name]['digest']}" for name in every)
        again = mutant["function"] in at_import
        found.append(Task(mutant, names, every[len(names) :], marks, again))
    return found


def _tested(
    forks: Forks,
    some: list[tuple[Task, list[str]]],
    items: dict[str, pytest.Item],
    tests: dict[str, Any],
    ends: float,
) -> Iterator[tuple[Task, dict[str, Any]]]:
    """The verdict of the named tests on each mutant, of as many as begin before `ends`."""

    def forked() -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
        for task, names in some:
            if time.time() > ends:
                return  # what was tested is a random part of the sample
            seconds = _MARGIN * sum(tests[name]["cpu"] for name in names) + _SPARE
            chosen = [items[name] for name in names]
            yield task.name, _mutated(task.mutant["key"], chosen, seconds, task.again)

    for _ in range(_TRIES):
        by_name = {task.name: (task, names) for task, names in some}
        lost = []
        for ended in forks.run(forked()):
            task, names = by_name[ended.name]
            if verdict := _verdict(ended, tests, task.marks):
                yield task, verdict
            else:
                lost.append((task, names))
        some = lost
    if some:
        print("ended from outside, so without a verdict:", *(task.name for task, _ in some))


def _shuffled(task: Task) -> bytes:
    return hashlib.sha256(task.name.encode()).digest()


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
    """As many tests as take `seconds` together, but one at least.

    Those of its own file come first. Then each other file has the same time: tests of one file are
    much alike, and neither hundreds of fast ones nor a few slow ones may use up the time.
    """
    own = f"/test_{Path(mutant['path']).stem}"
    spent: Counter[str] = Counter()
    order = {}
    for name in reach.get(mutant["function"], ()):
        file = name.partition("::")[0]
        spent[file] += tests[name]["cpu"]
        order[name] = (own not in name, spent[file], name)
    names = sorted(order, key=order.__getitem__)
    total = itertools.accumulate(tests[name]["cpu"] for name in names)
    return [name for name, cpu in zip(names, total, strict=True) if cpu <= seconds] or names[:1]


def _verdict(ended: Ended, tests: dict[str, Any], marks: list[str]) -> dict[str, Any] | None:
    """What a fork says of its mutant, with what the verdict depends on; None if it says nothing."""
    if ended.answer is None:
        if ended.fate is Fate.LOST:
            return None
        status = "timeout" if ended.is_late else "killed"  # a crash is noticed, too
        return {"status": status, "seen": marks, "cpu": round(ended.cpu, 2)}
    killer = ended.answer["killer"]
    if ended.answer.get("at_import"):
        return {"status": "killed", "seen": marks, "cpu": round(ended.cpu, 2)}
    if killer is None:
        return {"status": "survived", "seen": marks}
    mark = f"{killer}@{tests[killer]['digest']}"
    return {"status": "killed", "killer": mark, "cpu": round(ended.cpu, 2)}


def _mutated(
    key: str, items: list[pytest.Item], seconds: float, again: bool
) -> Callable[[], dict[str, Any]]:
    """Tests of one mutant; `again` in a new process if they pass."""

    def run() -> dict[str, Any]:
        from mutmut.mutation.trampoline import set_mutant_under_test

        limit_cpu(seconds)
        now = _pages() * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + _MEMORY, now + _MEMORY))
        set_mutant_under_test(key)
        killer = next((item.nodeid for item in items if not _passes(item)), None)
        names = [item.nodeid for item in items]
        return {"killer": killer, "at_import": killer is None and again and _fails_afresh(names)}

    return run


def _fails_afresh(names: list[str]) -> bool:
    """Whether a test fails, or cannot be imported, in a process that imports everything anew."""
    environment = {name: value for name, value in os.environ.items() if name != PLAN}
    command = [sys.executable, "-m", "pytest", *_FRESH, *names]
    # gate: QS103 because the fork that waits for it has its limits
    code = subprocess.run(command, env=environment, check=False).returncode
    if code in _NO_TEST_RAN:
        raise RuntimeError(f"pytest ended with {code} and tested nothing")
    return code != 0


def _passes(item: pytest.Item) -> bool:
    """Run one test with all its fixtures set up and taken down; one that ends pytest fails."""
    session = item.session
    session.testsfailed = 0
    try:
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
    except (KeyboardInterrupt, SystemExit):
        return False
    return not session.testsfailed


def _pages() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0])


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]
