"""Qiskit in threads that end: its first import is in a thread that does not."""

from __future__ import annotations

import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from qstore_ray.circuits import first_import

SCRIPT = """
import threading
import numpy as np
from qstore_ray import QuantumClassifier

x = np.random.default_rng(1).normal(size=(24, 2))
y = (x[:, 0] > 0).astype(int)
for _ in range(3):
    classifier = QuantumClassifier(backend="aer", epochs=1, n_qubits=2)
    thread = threading.Thread(target=classifier.fit, args=(x, y))
    thread.start()
    thread.join()
(importer,) = [each for each in threading.enumerate() if each.name == "import-qiskit"]
print("imported by a thread that lives:", importer.is_alive())
"""


def test_qiskit_is_first_imported_by_a_thread_that_does_not_end():
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "imported by a thread that lives: True"


AT_ONCE = """
import os, threading
from qstore_ray.backends.ibm.service.account import IbmAccount, sign_in
from qstore_ray.backends.ibm.service.options import check_sampler_options
from qstore_ray.errors import MissingDependencyError, ServiceError

os.environ |= {"IAM_URL": "http://127.0.0.1:1", "QISKIT_IBM_TOKEN": "nobody"}
halves = []

def sign():
    try:
        sign_in(IbmAccount())
    except ServiceError:
        pass

def check():
    check_sampler_options({"dynamical_decoupling": {"enable": True}}, 64)

def first(work):
    try:
        work()
    except BaseException as exc:
        halves.append(exc.__cause__ or exc)

threads = [threading.Thread(target=first, args=(work,)) for work in (sign, check) * 2]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("halves:", halves)
"""


def test_threads_that_need_it_at_the_same_time_get_it_whole():
    """Two runs on different devices in one process, for example; they import in another order."""
    command = [sys.executable, "-W", "ignore", "-c", AT_ONCE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "halves: []"


def _imported(names: tuple[str, ...], daemon: bool = True) -> None:
    """Call it in a thread that may hang, and wait for a while only."""
    caller = threading.Thread(target=first_import.import_qiskit, args=names, daemon=daemon)
    caller.start()
    caller.join(20)
    assert not caller.is_alive()


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool, bool]]:
    """What is imported here: the name, whether by the thread for it, whether it is a daemon."""
    found: list[tuple[str, bool, bool]] = []

    def noted(name: str) -> None:
        thread = threading.current_thread()
        found.append((name, thread.name == "import-qiskit", thread.daemon))
        if name == "absent":
            raise ImportError(name)

    monkeypatch.setattr(first_import, "_whole", set())
    monkeypatch.setattr(first_import.importlib, "import_module", noted)
    return found


def test_a_package_is_imported_once_and_an_absent_one_every_time(seen):
    first_import.import_qiskit("json", "absent")
    assert [name for name, *_ in seen] == ["qiskit", "json", "absent"]
    assert first_import._whole == {"qiskit", "json"}
    first_import.import_qiskit("json")
    first_import.import_qiskit()
    assert len(seen) == 3
    first_import.import_qiskit("absent")
    assert [name for name, *_ in seen[3:]] == ["qiskit", "absent"]


def test_a_thread_imports_itself_only_where_qiskit_is_there(seen, monkeypatch):
    _imported(("json",))
    assert seen == [("qiskit", False, True), ("json", False, True)]
    seen.clear()
    first_import._whole.clear()
    monkeypatch.setattr(first_import, "sys", SimpleNamespace(modules={}))
    first_import.import_qiskit("json")  # in the main thread
    assert seen == [("qiskit", False, False), ("json", False, False)]
    seen.clear()
    first_import._whole.clear()
    _imported(("json", "absent"), daemon=False)
    assert seen == [(name, True, True) for name in ("qiskit", "json", "absent")]
    assert any(each.name == "import-qiskit" and each.is_alive() for each in threading.enumerate())
    assert first_import._whole == {"qiskit", "json"}


def test_a_failure_in_the_thread_that_lives_leaves_nobody_waiting(seen, monkeypatch):
    def broken(name: str) -> None:
        raise RuntimeError(name)

    monkeypatch.setattr(first_import, "sys", SimpleNamespace(modules={}))
    monkeypatch.setattr(first_import.importlib, "import_module", broken)
    monkeypatch.setattr(threading, "excepthook", lambda arguments: None)
    _imported(())
    assert first_import._whole == set()
