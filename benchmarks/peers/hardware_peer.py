"""What the peers that train on hardware share: the task, and how they say how far they are.

    python hardware_qiskit_ml.py TASK.json METHOD STEPS

Each line of the output is an event; the process goes on when it reads a line, so what the service
has counted by then belongs to what was done by then:

    {"event": "ready"}            signed in, compiled
    {"event": "trained"}          STEPS training steps are done
    {"event": "scored", "accuracy": 0.98}

The client library finds the service by its own environment variables.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from protocol import Case, read


class Task(NamedTuple):
    """One training; the rows and targets (±1) of `case` are the batch of every step."""

    case: Case
    test_rows: np.ndarray
    test_y: np.ndarray
    device: str
    shots: int
    learning_rate: float
    perturbation: float
    method: str
    steps: int


def task() -> Task:
    """The task of the command line."""
    path, method, steps = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    more: dict[str, Any] = json.loads(path.read_text())["hardware"]
    with np.load(path.with_suffix(".npz")) as file:
        rows, y = file["test_rows"], file["test_y"]
    return Task(read(path), rows, y, **more, method=method, steps=steps)


_answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # libraries print what they like


def reached(event: str, **more: Any) -> None:
    """Say so, and wait until it was seen."""
    _answers.write(json.dumps({"event": event, **more}) + "\n")
    _answers.flush()
    sys.stdin.readline()
