"""What keeps the fast tests fast: the guard fails a test that does more, and the record is true."""

from __future__ import annotations

import ast
import importlib
import json
import multiprocessing
import os
import socket
import subprocess
import sys
import time

import pytest

from tests.architecture.session import session
from tests.architecture.source import ROOT
from tests.tiers import ALL, Deeds, merged, read

SLEEPS = "import time\ndef test_sleeps():\n    for _ in range(6): time.sleep(0.1)"
SHARED = """
import socket
@pytest.fixture(scope='module')
def server():
    with socket.create_server(('127.0.0.1', 0)) as open: yield open
def test_first(server): pass
def test_second(server): pass
def test_without(): pass
"""
BUSY = """
import time
def test_busy():
    end = time.process_time() + 0.7
    while time.process_time() < end: pass
"""
FINE = "import time\ndef test_fine(): time.sleep(0.01)"
STARTS = """
import subprocess
@pytest.mark.parametrize('x', [0, 1])
def test_starts(x):
    if x: subprocess.run(['true'])
"""
LAW = """
from hypothesis import given, strategies
seen = set()
@given(strategies.integers())
def test_law(x): seen.add(x)
def test_examples():
    assert 5 < len(seen) < 20
"""
MARKED = "import subprocess\n@pytest.mark.slow\ndef test_marked(): subprocess.run(['true'])"
TESTS = {
    "sleeps": SLEEPS,
    "shared": SHARED,
    "busy": BUSY,
    "fine": FINE,
    "starts": STARTS,
    "law": LAW,
    "marked": MARKED,
}


def test_the_guard_fails_what_is_not_fast_until_it_is_recorded(tmp_path, repository):
    code, output = session(tmp_path, repository, TESTS, "--fast")
    assert code == 1
    failed = {line.split(" ")[1] for line in output.splitlines() if line.startswith("FAILED")}
    assert {name.partition("::")[2] for name in failed} == {
        "test_sleeps", "test_first", "test_second", "test_busy", "test_starts[1]",
    }  # fmt: skip
    assert "make tiers ARGS=tests/test_sleeps.py" in output

    code, output = session(tmp_path, repository, TESTS, "--record-tiers")
    assert code == 0, output
    record = json.loads((tmp_path / "tests" / "tiers.json").read_text())
    busy = record["apart"]["tests/test_busy.py"].pop("test_busy")
    assert float(busy.removesuffix(" s")) >= 0.7
    assert record["apart"] == {
        "tests/test_busy.py": {},
        "tests/test_shared.py": {"test_first": "server", "test_second": "server"},
        "tests/test_sleeps.py": {"test_sleeps": "sleep"},
        "tests/test_starts.py": {"test_starts": "process"},
    }
    assert set(record["seconds"]) == {f"tests/test_{name}.py" for name in TESTS}

    code, output = session(tmp_path, repository, {}, "--fast")
    assert code == 0, output
    assert "4 passed, 6 deselected" in output


def _starts_a_process() -> None:
    process = multiprocessing.get_context("spawn").Process(target=int)
    process.start()
    process.join()


def _talks() -> None:
    """As to a process that an earlier test started."""
    ours, theirs = multiprocessing.Pipe()
    with ours, theirs:
        ours.send(0)
        assert theirs.recv() == 0


def _serves() -> None:
    socket.create_server(("127.0.0.1", 0)).close()


@pytest.mark.parametrize(
    ("work", "kinds"),
    [
        (lambda: subprocess.run(["true"], check=True), {"process"}),
        (lambda: os.waitpid(os.posix_spawn(sys.executable, ["python", "-V"], {}), 0), {"process"}),
        (_starts_a_process, {"process"}),
        (_talks, {"process"}),
        (_serves, {"server"}),
        (lambda: time.sleep(0.1), set()),
    ],
    ids=["subprocess", "spawn", "multiprocessing", "pipe", "server", "short sleep"],
)
def test_what_is_done_is_heard(work, kinds, pytestconfig):
    watch = pytestconfig.pluginmanager.get_plugin("tiers").watch
    begun = watch.begin()
    work()
    assert watch.end(begun).kinds == kinds


def test_a_process_that_a_module_starts_when_it_is_loaded_counts_for_no_test(
    tmp_path, monkeypatch, pytestconfig
):
    (tmp_path / "starts_one.py").write_text("import subprocess\nsubprocess.run(['true'])\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    watch = pytestconfig.pluginmanager.get_plugin("tiers").watch
    begun = watch.begin()
    importlib.import_module("starts_one")
    assert watch.end(begun).kinds == set()


def test_the_first_test_to_load_a_module_does_not_pay_for_it():
    assert Deeds(seconds=3.0, imports=True).why_apart(0.5) == ""
    assert Deeds(seconds=3.0).why_apart(0.5) == "3.0 s"
    assert Deeds(kinds={"server"}, imports=True).why_apart(0.5) == "server"


def test_only_what_ran_is_recorded_again():
    this, gone = "tests/architecture/test_tiers.py", "tests/test_gone.py"
    before = {
        "apart": {this: {"test_a": "sleep", "test_b": "1.0 s"}, gone: {"test_c": "process"}},
        "seconds": {this: 9, gone: 3},
    }
    now = merged(before, {this: {"test_b": "", "test_d": "2.0 s"}}, {this: 4.4})
    assert now == {"apart": {this: {"test_a": "sleep", "test_d": "2.0 s"}}, "seconds": {this: 4}}
    # A file all of whose tests need a server is one line.
    now = merged(before, {this: {"test_a": "server", "test_b": "process"}}, {})
    assert now["apart"] == {this: {ALL: "process"}}


def test_the_record_names_tests_that_exist():
    unknown = [
        f"{file}::{test}"
        for file, tests in read()["apart"].items()
        for test in tests
        if test != ALL and not _is_in(file, test)
    ]
    assert unknown == [], "run `make tiers` with the file's name in ARGS"


def _is_in(file: str, test: str) -> bool:
    """Whether the file has the test; one of a class may be inherited."""
    name, _, method = test.partition("::")
    for node in ast.parse((ROOT / file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            own = {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
            return bool(node.bases) or method in own
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return True  # such as the test of a state machine of Hypothesis
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            return True
    return False


@pytest.mark.parametrize(
    ("test", "there"),
    [
        ("tests/architecture/test_tiers.py::test_the_record_names_tests_that_exist", True),
        ("tests/architecture/test_tiers.py::test_that_was_renamed", False),
        ("tests/laws/test_samplers.py::TestEverySampler::test_that_may_be_inherited", True),
        ("tests/laws/test_samplers.py::TestNoSampler::test_it", False),
    ],
)
def test_a_renamed_test_is_seen(test: str, there: bool):
    file, _, name = test.partition("::")
    assert _is_in(file, name) == there
