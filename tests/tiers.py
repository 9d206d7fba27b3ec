"""The fast tier: tests that run in one process, in milliseconds, and the guard that keeps it so.

Nobody assigns a test by hand. `make tiers` measures and writes `tiers.json`: all files with their
time, and the tests that are not fast, because they start a process or a server, sleep, or cost more
than half a second of CPU. Every other test of a file that takes half a second in all is fast,
unless it has the mark `ray` or `slow`. `make test-fast` runs the fast ones, laws on fewer examples
than `make test` gives them. There, the guard fails a test that does more. In other runs it does
not, because what a test finds running already depends on the tests before it.

What a fixture of a module or a session does is held against every test that asks for it, whichever
test happened to be first.
"""

from __future__ import annotations

import functools
import json
import resource
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

RECORD = Path(__file__).with_name("tiers.json")
ROOT = RECORD.parent.parent
ALL = "*"
"""Stands for all tests of a file."""
MOST_SECONDS = 0.5
"""CPU time of a fast test, with the fixtures that are its own, where it is recorded."""
MOST_OF_A_FILE = 0
"""Seconds of CPU time of all tests of a file, rounded, so that the fast ones take a minute."""
TOLERANCE = 4
"""The guard fails at so many times that: a machine that is full takes longer for the same work."""
EXAMPLES = 15
"""Of a law of Hypothesis, in `make test-fast` and where times are recorded."""
LONGEST_SLEEP = 0.5
PROCESSES = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"}
BEYOND = ("ray", "slow")
"""Tests with these marks are never fast, and are not recorded."""


@dataclass
class Deeds:
    """What was done between two moments.

    Attributes:
        kinds: "process", "server" or "sleep".
        seconds: CPU time of this process.
        all_seconds: with that of the children that ended.
        imports: whether modules were loaded; the first test to need them pays for all.
    """

    kinds: set[str] = field(default_factory=set)
    seconds: float = 0.0
    all_seconds: float = 0.0
    imports: bool = False

    def less(self, other: Deeds) -> None:
        """Take away the time of another that happened in between."""
        self.seconds -= other.seconds
        self.imports = self.imports and not other.imports

    def why_apart(self, most: float) -> str:
        """The reason why a test that did this is not fast, or nothing."""
        for kind in ("process", "server", "sleep"):
            if kind in self.kinds:
                return kind
        return f"{self.seconds:.1f} s" if self.seconds > most and not self.imports else ""


class Watch:
    """Listens to the interpreter's audit events; see `sys.addaudithook`."""

    def __init__(self) -> None:
        self._open: list[set[str]] = []
        self._slept = 0.0
        sys.addaudithook(self._heard)
        # These raise no event themselves (`time.sleep` does from Python 3.13 on). What is sent
        # through a pipe goes to another process, which an earlier test may have started: a sidecar.
        BaseProcess.start = _announced("os.posix_spawn", BaseProcess.start)
        Connection._send_bytes = _announced("os.posix_spawn", Connection._send_bytes)
        if sys.version_info < (3, 13):
            time.sleep = _announced("time.sleep", time.sleep)

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._open:
            return
        if event in PROCESSES:
            if not _imports():
                self._note("process")
        elif event == "socket.bind":
            self._note("server")
        elif event == "time.sleep" and threading.current_thread() is threading.main_thread():
            self._slept += arguments[0]
            if self._slept > LONGEST_SLEEP:
                self._note("sleep")

    def _note(self, kind: str) -> None:
        for kinds in self._open:
            kinds.add(kind)

    def begin(self) -> tuple[set[str], float, float, int]:
        """Listen; give what is returned to `end`."""
        if not self._open:
            self._slept = 0.0
        kinds: set[str] = set()
        self._open.append(kinds)
        return kinds, *_cpu_seconds(), len(sys.modules)

    def end(self, begun: tuple[set[str], float, float, int]) -> Deeds:
        """What was done since `begin`."""
        kinds, own, every, modules = begun
        self._open = [other for other in self._open if other is not kinds]
        own_now, every_now = _cpu_seconds()
        return Deeds(kinds, own_now - own, every_now - every, len(sys.modules) != modules)


def _imports() -> bool:
    """Whether a module is being loaded: what it starts, whoever loads it first would pay for."""
    frame = sys._getframe()
    while frame and frame.f_code.co_filename != "<frozen importlib._bootstrap>":
        frame = frame.f_back
    return frame is not None


def _announced(event: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def announced(*arguments: Any) -> Any:
        sys.audit(event, *arguments)
        return function(*arguments)

    return announced


def _cpu_seconds() -> tuple[float, float]:
    """Of this process, and with its children that ended."""
    own = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    return own, own + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


def read(path: Path = RECORD) -> dict[str, dict[str, Any]]:
    """`apart`: file → test → why it is not fast. `seconds`: every measured file → its CPU time."""
    return json.loads(path.read_text(encoding="utf-8"))


def written(record: Mapping[str, Mapping[str, Any]]) -> str:
    """The text of the record: sorted, a test a line, so that two branches merge."""
    ordered = {
        "apart": {
            file: dict(sorted(tests.items())) for file, tests in sorted(record["apart"].items())
        },
        "seconds": dict(sorted(record["seconds"].items())),
    }
    return json.dumps(ordered, indent=1, ensure_ascii=False) + "\n"


def place(nodeid: str) -> tuple[str, str]:
    """File and test of an identifier; the cases of a test are one."""
    file, _, test = nodeid.partition("::")
    return file, test.partition("[")[0]


def merged(
    record: Mapping[str, Mapping[str, Any]],
    seen: Mapping[str, Mapping[str, str]],
    seconds: Mapping[str, float],
) -> dict[str, dict[str, Any]]:
    """The record, with the tests that ran now: file → test → reason, "" for a fast one."""
    apart = {file: dict(tests) for file, tests in record["apart"].items() if (ROOT / file).exists()}
    for file, tests in seen.items():
        kept = {test: why for test, why in apart.get(file, {}).items() if test not in {*tests, ALL}}
        found = {test: why for test, why in tests.items() if why}
        reasons = set(found.values())
        if not kept and len(found) == len(tests) > 1 and reasons <= {"process", "server"}:
            found = {ALL: min(reasons)}
        apart[file] = {**kept, **found}
    known = {file: took for file, took in record["seconds"].items() if (ROOT / file).exists()}
    known.update({file: round(took) for file, took in seconds.items()})
    return {
        "apart": {file: tests for file, tests in apart.items() if tests},
        "seconds": known,
    }


class Tiers:
    """Selects, watches and records; see the top of this file."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._fast_only: bool = config.getoption("fast")
        self._records: bool = config.getoption("record_tiers")
        self._record = read()
        self.watch = Watch()
        self._shared: dict[tuple[str, str], Deeds] = {}
        self._setups: list[Deeds] = []
        self._begun: Any = None
        self._seen: dict[str, dict[str, str]] = defaultdict(dict)
        self._seconds: dict[str, float] = defaultdict(float)

    def _is_fast(self, item: pytest.Item) -> bool:
        if any(item.get_closest_marker(mark) for mark in BEYOND):
            return False
        file, test = place(item.nodeid)
        apart = self._record["apart"].get(file, {})
        return self._has_fast_tests(file) and test not in apart

    def _has_fast_tests(self, file: str) -> bool:
        seconds = self._record["seconds"].get(file)
        is_quick = seconds is not None and seconds <= MOST_OF_A_FILE
        return is_quick and ALL not in self._record["apart"].get(file, {})

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """A file without a fast test need not be imported."""
        if not self._fast_only:
            return None
        name = collection_path.relative_to(ROOT).as_posix()
        return True if name.endswith(".py") and not self._has_fast_tests(name) else None

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """The longest files come first: no process is left with one of them at the end."""
        if self._fast_only:
            chosen = [item for item in items if self._is_fast(item)]
            self._config.hook.pytest_deselected(items=[i for i in items if i not in set(chosen)])
            items[:] = chosen
        items.sort(key=lambda item: -self._record["seconds"].get(place(item.nodeid)[0], 0))

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Iterator[None]:
        if fixturedef.scope == "function":
            return (yield)
        begun = self.watch.begin()
        try:
            return (yield)
        finally:
            deeds = self.watch.end(begun)
            self._shared[fixturedef.baseid, fixturedef.argname] = deeds
            self._setups.append(deeds)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Iterator[None]:
        self._setups.clear()
        self._begun = self.watch.begin()
        try:
            return (yield)
        except BaseException:  # there will be no call
            self.watch.end(self._begun)
            raise

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        try:
            result = yield
        finally:
            deeds = self.watch.end(self._begun)
        every = deeds.all_seconds
        for setup in self._setups:
            deeds.less(setup)
        if not any(item.get_closest_marker(mark) for mark in BEYOND):
            why = self._why_apart(item, deeds)
            item.user_properties.append(("tier", [why, every]))
            if why and self._fast_only:
                pytest.fail(
                    f"counts as fast, but: {why}. Make it cheaper, or run "
                    f"make tiers ARGS={place(item.nodeid)[0]}",
                    pytrace=False,
                )
        return result

    def _why_apart(self, item: pytest.Item, deeds: Deeds) -> str:
        most = MOST_SECONDS * (1 if self._records else TOLERANCE)
        found = self._fixtures_of(item)
        return next((why for each in (deeds, *found) if (why := each.why_apart(most))), "")

    def _fixtures_of(self, item: Any) -> Iterator[Deeds]:
        for name in item.fixturenames:
            for known in item._fixtureinfo.name2fixturedefs.get(name, ()):
                if (known.baseid, name) in self._shared:
                    yield self._shared[known.baseid, name]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call":
            return
        for why, seconds in [value for name, value in report.user_properties if name == "tier"]:
            file, test = place(report.nodeid)
            self._seconds[file] += seconds
            self._seen[file][test] = self._seen[file].get(test) or why

    def pytest_sessionfinish(self) -> None:
        if self._records and not hasattr(self._config, "workerinput"):
            record = merged(self._record, self._seen, self._seconds)
            RECORD.write_text(written(record), encoding="utf-8")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._fast_only:
            spent = sum(self._seconds.values())
            terminalreporter.write_line(f"{spent:.0f} s of CPU time in fast tests")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("tiers")
    group.addoption("--fast", action="store_true", help="run the fast tests only")
    group.addoption("--record-tiers", action="store_true", help="measure; write tests/tiers.json")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("fast") or config.getoption("record_tiers"):
        settings.register_profile("fast", settings.default, max_examples=EXAMPLES)
        settings.load_profile("fast")
    config.pluginmanager.register(Tiers(config), "tiers")
