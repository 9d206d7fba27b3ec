"""What every peer's process shares: how it reads a case, and how it answers.

Each peer runs in an environment of its own, so it can share no classes with the rest: a case comes
as a JSON file (the circuit) beside an .npz file (the arrays), and the process is told what to do
by lines on its standard input, each answered by one line of JSON:

    load CASE.json   →  {"ok": true, "first_s": 1.2, "loss": 0.7, "gradient": "….npy"}
    time 5           →  {"ok": true, "ms": [3.1, 3.0, 3.0, 3.1, 3.0]}
    gradients 400    →  {"ok": true, "gradients": "….npy"}      those of the next steps (400, P)
    a failure        →  {"ok": false, "status": "unsupported", "reason": "…"}

This file imports numpy only.

One training step: z (B, O) are the expectation values of B rows, out = z·w + c is a linear readout,
the loss is the mean of (out − y)², and its gradient with respect to the P circuit parameters is
asked for. Qubit 0 is the least significant bit of a state's index; gates are OpenQASM's.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np

Step = Callable[[], tuple[float, np.ndarray]]
"""Runs one whole training step: the loss and the gradient (P,)."""


class Unsupported(Exception):  # noqa: N818 - it says what it is
    """The library has no way to run this case."""


class Angle(NamedTuple):
    """`scale · slot + offset`; kind is const, row or param."""

    kind: str
    slot: int
    scale: float
    offset: float

    def value(self, row: Any, params: Any) -> Any:
        """The angle for one row (A,), or with whole columns for all rows."""
        if self.kind == "const":
            return self.offset
        slots = row if self.kind == "row" else params
        return self.scale * slots[self.slot] + self.offset


class Op(NamedTuple):
    """One gate on qubits, with its angles."""

    gate: str
    qubits: tuple[int, ...]
    angles: tuple[Angle, ...]


class Noise(NamedTuple):
    """What happens after every gate, to each of its qubits, and at the end.

    `p`: X, Y or Z with probability p/4 each (the depolarizing number of Aer). `readout`: a qubit is
    read wrongly with this probability, so ⟨Z⟩ is multiplied by 1 − 2 · readout.
    """

    p: float
    readout: float


@dataclass(frozen=True)
class Case:
    """One circuit with its data: n qubits, B rows of A angles, P parameters, O observables."""

    name: str
    family: str
    n_qubits: int
    layers: int
    ops: tuple[Op, ...]
    observables: tuple[tuple[int, ...], ...]  # the qubits of each product of Z
    rows: np.ndarray  # (B, A)
    params: np.ndarray  # (P,)
    amplitudes: np.ndarray | None  # (B, 2^n), where the circuit starts from them
    w: np.ndarray  # (O,)
    c: float
    y: np.ndarray  # (B,)
    noise: Noise | None = None

    @property
    def batch(self) -> int:
        """B."""
        return len(self.y)

    def loss(self, z: np.ndarray) -> tuple[float, np.ndarray]:
        """The loss of values (B, O), and its derivative (B,) with respect to the outputs."""
        residual = z @ self.w + self.c - self.y
        return float(residual @ residual) / len(residual), residual * (2 / len(residual))


def read(path: str | Path) -> Case:
    """The case of a JSON file and the .npz file beside it."""
    path = Path(path)
    spec = json.loads(path.read_text())
    with np.load(path.with_suffix(".npz")) as file:
        arrays = {key: file[key] for key in file.files}
    ops = tuple(
        Op(gate, tuple(qubits), tuple(Angle(*angle) for angle in angles))
        for gate, qubits, angles in spec["ops"]
    )
    return Case(
        name=path.stem,
        family=spec["family"],
        n_qubits=spec["n_qubits"],
        layers=spec["layers"],
        ops=ops,
        observables=tuple(tuple(qubits) for qubits in spec["observables"]),
        rows=arrays["rows"],
        params=arrays["params"],
        amplitudes=arrays["amplitudes"] if spec["initial"] == "amplitudes" else None,
        w=arrays["w"],
        c=float(arrays["c"]),
        y=arrays["y"],
        noise=Noise(**spec["noise"]) if "noise" in spec else None,
    )


def serve(build: Callable[[Case], Step]) -> None:
    """Answer commands until the input ends; `build` prepares a case and returns its step."""
    # Libraries print what they like: the answers keep the real output, the rest goes to the log.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _say(answers, {"ok": True, "ready": True})
    step: Step | None = None
    case_path = Path()
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        try:
            if command == "load":
                step = None
                gc.collect()
                step, answer = _load(build, argument)
                case_path = Path(argument)
            elif command == "time" and step is not None:
                answer = {"ok": True, "ms": _times(step, int(argument))}
            elif command == "gradients" and step is not None:
                answer = {"ok": True, "gradients": _gradients(step, int(argument), case_path)}
            else:
                answer = {"ok": False, "status": "error", "reason": f"cannot {line.strip()!r} now"}
        except Unsupported as exc:
            answer = {"ok": False, "status": "unsupported", "reason": str(exc)}
        except MemoryError:
            answer = {"ok": False, "status": "memory", "reason": "it ran out of memory"}
        # gate: QS104 because an error of the library is its result here
        except Exception as exc:
            traceback.print_exc()
            first = (str(exc).strip() or "no message").splitlines()[0][:200]
            answer = {"ok": False, "status": "error", "reason": f"{type(exc).__name__}: {first}"}
        _say(answers, answer)


def _load(build: Callable[[Case], Step], path: str) -> tuple[Step, dict[str, Any]]:
    case = read(path)
    began = time.perf_counter()
    step = build(case)
    loss, gradient = step()
    first = time.perf_counter() - began
    target = Path(path).with_suffix(f".{os.getpid()}.npy")
    np.save(target, np.asarray(gradient, dtype=np.float64))
    answer = {"ok": True, "first_s": first, "loss": float(loss), "gradient": str(target)}
    return step, answer


def _gradients(step: Step, count: int, case_path: Path) -> str:
    target = case_path.with_suffix(f".{os.getpid()}.all.npy")
    np.save(target, np.array([step()[1] for _ in range(count)], dtype=np.float64))
    return str(target)


def _times(step: Step, count: int) -> list[float]:
    times = []
    for _ in range(count):
        began = time.perf_counter()
        step()
        times.append(1e3 * (time.perf_counter() - began))
    return times


def _say(answers: TextIO, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()
