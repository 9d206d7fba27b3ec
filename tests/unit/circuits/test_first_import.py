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
