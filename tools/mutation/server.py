"""A pytest plugin that collects once and then tests mutants, each in a fork of this process.

It runs in the copy. First it runs each test alone, in a fork, to learn which mutated functions
the test calls and how many CPU seconds it takes. A mutant is then tested by the tests that call
its function, the fastest first, until one fails or their time is spent.

`forks.py` limits each fork. A fork that a signal from outside ended says nothing of its mutant: it
is run again, and if that ends the same way, the mutant stays without a verdict.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import Phase, settings

from tools.mutation.forks import Ended, Fate, Forks, end_with_parent, limit_cpu

if TYPE_CHECKING:
    import pytest

PLAN = "MUTATION_PLAN"
"""The environment variable that names the file of what to do."""

_MEMORY = 4 << 30  # bytes that a mutant may allocate beyond what the server has
_MARGIN = 3.0  # a mutant may take this many times the CPU seconds of its tests
_SPARE = 2.0  # and these many seconds
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
    """What is known of each test: its file's digest, CPU seconds, the functions it calls.

    A test that failed is tried again, since the fault may have been anywhere.
    """
    record = Path(plan["tests"])
    known = {each["test"]: each for each in _lines(record)}
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
            known[ended.name] = {
                "test": ended.name,
                "digest": digests[_file(items[ended.name])],
                "cpu": round(ended.cpu, 3),
                **answer,
            }
            print(json.dumps(known[ended.name]), file=out, flush=True)
    found = {name: known[name] for name in items}
    if failed := sorted(name for name, test in found.items() if test["failed"]):
        print(f"{len(failed)} tests fail without a mutant and are left out:", *failed, sep="\n  ")
    if len(failed) == len(found):
        raise SystemExit("no test passes without a mutant; nothing can be said of the mutants")
    return found


def _watched(item: pytest.Item, seconds: float) -> dict[str, Any]:
    from mutmut.mutation.trampoline import set_mutant_under_test
    from mutmut.state import state

    limit_cpu(seconds)
    set_mutant_under_test("stats")
    failed = not _passes(item)
    called = state()._stats  # noqa: SLF001 - mutmut keeps what its switches saw there
    return {"failed": failed, "functions": sorted(called)}


def _judge(
    forks: Forks, items: dict[str, pytest.Item], plan: dict[str, Any], tests: dict[str, Any]
) -> None:
    """Test the mutants of the plan and write a line for each."""
    work = _work(plan, tests)
    with Path(plan["verdicts"]).open("a") as out:

        def write(mutant: dict[str, Any], **verdict: Any) -> None:
            line = {"name": mutant["name"], "digest": mutant["digest"], **verdict}
            print(json.dumps(line), file=out, flush=True)

        some = []
        for name, task in work.items():
            if not task.names:
                write(task.mutant, status="unreached", seen=[])
            elif task.mutant["seen"] != task.marks:  # else the same tests have told of it before
                some.append(name)
        some.sort(key=_shuffled)
        for _ in range(_TRIES):
            lost = []
            for ended in forks.run(_forked(map(work.__getitem__, some), items, plan, tests)):
                if verdict := _verdict(ended, tests, work[ended.name].marks):
                    write(work[ended.name].mutant, **verdict)
                else:
                    lost.append(ended.name)
            some = lost
    if some:
        print("ended from outside, so without a verdict:", *some, sep="\n  ")


@dataclass(frozen=True)
class Task:
    """A mutant, its tests in their order, and what a verdict by them depends on."""

    mutant: dict[str, Any]
    names: list[str]
    marks: list[str]


def _work(plan: dict[str, Any], tests: dict[str, Any]) -> dict[str, Task]:
    reach = _reach(tests, plan["test_seconds"])
    found = {}
    for mutant in plan["mutants"]:
        names = _chosen(mutant, reach, tests, plan["mutant_seconds"])
        marks = sorted(f"{name}@{tests[name]['digest']}" for name in names)
        found[mutant["name"]] = Task(mutant, names, marks)
    return found


def _forked(
    some: Iterable[Task],
    items: dict[str, pytest.Item],
    plan: dict[str, Any],
    tests: dict[str, Any],
) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    for task in some:
        if time.time() > plan["ends"]:
            return  # what was tested is a random part of the sample
        seconds = _MARGIN * sum(tests[name]["cpu"] for name in task.names) + _SPARE
        run = _mutated(task.mutant["key"], [items[name] for name in task.names], seconds)
        yield task.mutant["name"], run


def _shuffled(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


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

    Those of its own file come first. Then each other file's fastest, each one's second fastest, and
    so on: tests of one file are much alike, and hundreds of them would use up the time.
    """
    own = f"/test_{Path(mutant['path']).stem}"
    seen: Counter[str] = Counter()
    order = {}
    for place, name in enumerate(reach.get(mutant["function"], ())):
        file = name.partition("::")[0]
        order[name] = (own not in name, 0 if own in name else seen[file], place)
        seen[file] += 1
    names = sorted(order, key=order.__getitem__)
    spent = itertools.accumulate(tests[name]["cpu"] for name in names)
    return [name for name, total in zip(names, spent, strict=True) if total <= seconds] or names[:1]


def _verdict(ended: Ended, tests: dict[str, Any], marks: list[str]) -> dict[str, Any] | None:
    """What a fork says of its mutant, with what the verdict depends on; None if it says nothing."""
    if ended.answer is None:
        if ended.fate is Fate.LOST:
            return None
        status = "timeout" if ended.is_late else "killed"  # a crash is noticed, too
        return {"status": status, "seen": marks, "cpu": round(ended.cpu, 2)}
    killer = ended.answer["killer"]
    if killer is None:
        return {"status": "survived", "seen": marks}
    mark = f"{killer}@{tests[killer]['digest']}"
    return {"status": "killed", "killer": mark, "cpu": round(ended.cpu, 2)}


def _mutated(key: str, items: list[pytest.Item], seconds: float) -> Callable[[], dict[str, Any]]:
    def run() -> dict[str, Any]:
        from mutmut.mutation.trampoline import set_mutant_under_test

        limit_cpu(seconds)
        now = _pages() * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + _MEMORY, now + _MEMORY))
        set_mutant_under_test(key)
        return {"killer": next((item.nodeid for item in items if not _passes(item)), None)}

    return run


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


def _lines(path: Path) -> Iterable[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
