"""Qiskit in threads that end: its first import is in a thread that does not."""

from __future__ import annotations

import subprocess
import sys

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
