"""What running a program costs: operations and bytes counted, seconds predicted.

Operations are counted from the layers, so they do not depend on the machine. How long one takes
does: it grows with the width of the circuit, as states leave the caches. `calibrate` measures that
once, in about a second, on a circuit of every width, and keeps the result on disk; a prediction
interpolates between the widths.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import statistics
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.circuits.observable import z_observables
from qstore_ray.circuits.template import Op, Template, param, row
from qstore_ray.files import expanded, write_durably
from qstore_ray.simulate.compile.compiler import compile_program
from qstore_ray.simulate.compile.program import PHASES, Program
from qstore_ray.simulate.engines.engines import (
    TABLE_BYTES,
    Precision,
    choose_engine,
    describe,
    open_engine,
    state_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_SINCOS = 50
_ROWS = 32


class Cost(NamedTuple):
    """Of one evaluation of N rows: floating-point operations, bytes moved, seconds, memory.

    `bytes` are what the passes read and write of the states; `memory` is the most that is held.
    """

    flops: float
    bytes: float
    seconds: float
    memory: int


@dataclass(frozen=True)
class Calibration:
    """How fast an engine is on this machine, one thread.

    Attributes:
        qubits: the widths that were measured.
        forward, gradient: seconds for an operation at each width, of values alone and of values
            with all gradients.
        calls: seconds that a call takes besides, of values and of values with gradients.
    """

    engine: str
    precision: Precision
    qubits: tuple[int, ...]
    forward: tuple[float, ...]
    gradient: tuple[float, ...]
    calls: tuple[float, float]

    def seconds(self, flops: float, n_qubits: int, gradient: bool) -> float:
        """Predicted seconds of one call."""
        rates = self.gradient if gradient else self.forward
        rate = float(np.interp(n_qubits, self.qubits, np.log(rates)))
        return self.calls[gradient] + flops * math.exp(rate)


def cost(
    program: Program,
    n_rows: int,
    *,
    gradient: bool = True,
    rows_gradient: bool = False,
    calibration: Calibration | None = None,
) -> Cost:
    """The cost of values, or of values with the gradients of all parameters, for N rows.

    Args:
        rows_gradient: with the gradients of the row angles too.
        calibration: of the engine that will run; without it that of the fastest one here.
    """
    speed = calibration or calibrate()
    flops, moved = _per_row(program, gradient, rows_gradient)
    seconds = speed.seconds(flops * n_rows, program.n_qubits, gradient)
    memory = state_bytes(speed.engine, program.n_qubits, 1, speed.precision)
    memory += min(TABLE_BYTES, 16 * program.dim * int((program.layers[:, 0] == PHASES).sum()))
    return Cost(flops * n_rows, moved * n_rows, seconds, memory)


def _per_row(program: Program, gradient: bool, rows_gradient: bool = False) -> tuple[float, float]:
    """Operations and bytes of one row."""
    n, dim = program.n_qubits, program.dim
    diagonal = int((program.terms[:, 0] == 0).any())
    strings = int((program.terms[:, 0] != 0).sum())
    flops = 0.0 if program.from_amplitudes else 12.0
    flops += diagonal * (3 + n) + 8 * strings
    moved = 32.0 * (1 + diagonal + strings)
    stop = program.layers_to_undo(rows_gradient)
    if gradient:
        flops += diagonal * (n + 4) + 8 * strings + (28 if stop < 0 else 0)
        moved += 64.0 * (1 + diagonal + strings)
    widths = program.layer_qubits()
    for layer, (kind, first, last) in enumerate(program.layers):
        share = 0.5 ** (n - int(widths[layer]))
        by_row = program.by_row[first:last]
        back = gradient and layer >= stop
        if kind == PHASES:
            angles = n + _SINCOS if by_row.any() else 0
            flops += share * (6 + angles + (15 + n + angles if back else 0))
            moved += share * (32 + (64 if back else 0))
        else:
            general = int(by_row.sum())
            shared = last - first - general
            turns = 4 * shared + 6 * general + (12 * shared + 16 * general if back else 0)
            flops += share * turns
            moved += share * (32 + (64 if back else 0)) * -(-(last - first) // 6)
    return flops * dim, moved * dim


def calibrate(engine: str = "auto", precision: Precision = "complex128") -> Calibration:
    """How fast `engine` is here: measured once for each processor and build, then read from disk.

    Takes about a second the first time, on an otherwise idle processor.
    """
    return _calibrate(choose_engine(engine), precision)


@lru_cache(maxsize=8)
def _calibrate(engine: str, precision: Precision) -> Calibration:
    path = _path(engine, precision)
    kept = _kept(path)
    if kept:
        return kept
    found = measure(engine, precision)
    # A home that cannot be written to: it is measured again in the next process.
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, json.dumps(asdict(found)).encode())
    return found


def _kept(path: Path) -> Calibration | None:
    """The measurement of an earlier process; None if the file is missing or unreadable."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        lists = {name: tuple(values[name]) for name in ("qubits", "forward", "gradient", "calls")}
        return Calibration(**{**values, **lists})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _path(engine: str, precision: Precision) -> Path:
    """One file for each machine, engine, and content of the kernels."""
    digest = hashlib.sha256(f"{platform.node()} {platform.processor()} {os.cpu_count()}".encode())
    digest.update(f"{describe(engine)} {precision}".encode())
    for source in sorted(Path(__file__).parent.glob("_kernels*.so")):
        digest.update(str(source.stat().st_mtime_ns).encode())
    root = os.environ.get("XDG_CACHE_HOME")
    home = expanded("~")
    if not home.is_absolute():  # a user without a home, as in many containers
        home = Path(tempfile.gettempdir())
    base = Path(root) if root else home / ".cache"
    return base / "qstore_ray" / "calibration" / f"{digest.hexdigest()[:16]}.json"


def measure(engine: str, precision: Precision = "complex128") -> Calibration:
    """Time the engine on one circuit of every width: RY(x), then three layers of RY, RZ and CX."""
    forward, gradient = [], []
    calls = _time_of(engine, precision, 1, 1)
    widths = open_engine(engine).WIDTHS
    for n in widths:
        rows = max(1, min(_ROWS, 2**16 >> n))
        flops = [_per_row(_circuit(n), wanted)[0] * rows for wanted in (False, True)]
        times = _time_of(engine, precision, n, rows)
        forward.append(max(times[0] - calls[0], 0.1 * times[0]) / flops[0])
        gradient.append(max(times[1] - calls[1], 0.1 * times[1]) / flops[1])
    return Calibration(engine, precision, widths, tuple(forward), tuple(gradient), calls)


def _time_of(engine: str, precision: Precision, n: int, rows: int) -> tuple[float, float]:
    """Seconds of values alone, and of values with gradients."""
    run, program = open_engine(engine), _circuit(n)
    rng = np.random.default_rng(0)
    x, theta = rng.normal(size=(rows, n)), rng.normal(size=program.n_params)
    cotangent = np.ones((rows, program.n_observables))

    def values() -> None:
        run.forward(program, x, theta, None, keep=False, precision=precision)

    def gradients() -> None:
        _, tape = run.forward(program, x, theta, None, keep=True, precision=precision)
        run.reverse(tape, cotangent, rows_gradient=False)

    return _median(values), _median(gradients)


def _median(call: Callable[[], None]) -> float:
    call()
    times: list[float] = []
    while len(times) < 5 or (len(times) < 15 and sum(times) < 0.03):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


@lru_cache(maxsize=16)
def _circuit(n: int) -> Program:
    ops = [Op("ry", (q,), (row(q),)) for q in range(n)]
    for layer in range(3):
        for q in range(n):
            slot = 2 * (n * layer + q)
            ops += [Op("ry", (q,), (param(slot),)), Op("rz", (q,), (param(slot + 1),))]
        ops += [Op("cx", (q, q + 1)) for q in range(n - 1)]
    return compile_program(Template(n, tuple(ops), n, 6 * n), z_observables(n))
