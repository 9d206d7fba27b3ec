"""What a process that computes kernel matrices shares with the others: its commands.

    rows X.npy             →  {"ok": true}                                      rows (N, 8)
    gram METHOD 8 K.npy    →  {"ok": true, "seconds": 0.4}    the matrix of the first 8 rows
    a failure              →  {"ok": false, "status": "error", "reason": "…"}

This file imports numpy only. The feature map, the same everywhere: twice H, P(2x_i), and
P(2(π−x_i)(π−x_j)) between CX for all i < j (Qiskit's ZZ feature map with full entanglement).
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable

import numpy as np

REPS = 2

Gram = Callable[[np.ndarray], np.ndarray]
"""The kernel matrix (N, N) of rows (N, F)."""


def serve(methods: dict[str, Gram]) -> None:
    """Answer commands until the input ends. What the libraries print goes to the log."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    rows = np.zeros((0, 0))
    print(json.dumps({"ok": True, "ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        command, *arguments = line.split()
        try:
            answer: dict[str, object] = {"ok": True}
            if command == "rows":
                rows = np.load(arguments[0])
            else:
                method, size, target = arguments
                began = time.process_time()
                found = methods[method](rows[: int(size)])
                answer["seconds"] = time.process_time() - began
                np.save(target, np.asarray(found, np.float64))
        # gate: QS104 because an error of the library is its result here
        except Exception as exc:
            traceback.print_exc()
            reason = (str(exc).strip() or type(exc).__name__).splitlines()[0][:200]
            answer = {"ok": False, "status": "error", "reason": reason}
        print(json.dumps(answer), file=answers, flush=True)
