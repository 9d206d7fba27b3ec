"""Values and gradients of a `ConePlan`: an engine runs its parts, their results are put together.

`ConeEngine` has `forward` and `reverse` like an engine, for plans instead of programs. Each part is
a call of its own, with the parameters that all rows share; so a row's values and gradients do not
depend on the other rows, and not on the threads among which the parts are divided.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from qstore_ray.simulate.compile.program import SlotGradients
from qstore_ray.simulate.cones.plan import ConePart, ConePlan
from qstore_ray.simulate.engines.engines import Engine, Precision
from qstore_ray.simulate.engines.threads import side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable

    from qstore_ray.types import AnyArray, FloatArray

KEPT_BYTES = 512 * 2**20
"""Final states of the parts are kept for the reverse sweep up to this many bytes in all."""
_FEWEST = 4
"""Parts for each thread, at least, if threads are to share the parts and not a part's rows."""


@dataclass(slots=True)
class ConeTape:
    """What `reverse` needs of a forward sweep over N rows: the tape of each part."""

    plan: ConePlan
    n: int
    tapes: list[Any]


@dataclass(frozen=True)
class ConeEngine:
    """Runs plans on an engine of `engines.py`."""

    engine: Engine

    def forward(
        self,
        plan: ConePlan,
        rows: FloatArray,
        params: FloatArray,
        amplitudes: AnyArray | None = None,
        *,
        keep: bool,
        threads: int = 1,
        precision: Precision = "complex128",
    ) -> tuple[FloatArray, ConeTape]:
        """Expectation values (N, O) of rows (N, A) and params (P,) or (N, P), and the tape.

        Args:
            amplitudes: None; a circuit that starts from amplitudes is not cut.
            keep: whether a reverse sweep will follow.
        """
        values = np.empty((len(rows), plan.n_observables))
        tapes: list[Any] = [None] * len(plan.parts)
        held = _held(plan, len(rows), precision) if keep else [False] * len(plan.parts)

        def run(number: int, own_threads: int) -> None:
            part = plan.parts[number]
            found, tape = self.engine.forward(
                part.program, np.take(rows, part.rows, axis=1), np.take(params, part.params, -1),
                None, keep=held[number], threads=own_threads, precision=precision,
            )  # fmt: skip
            values[:, part.observables] = found
            if keep:
                tapes[number] = tape

        _over_parts(run, plan, threads)
        return values, ConeTape(plan, len(rows), tapes)

    def reverse(
        self, tape: ConeTape, cotangent: FloatArray, *, rows_gradient: bool, threads: int = 1
    ) -> SlotGradients:
        """Σ_o cotangent[i, o] ∂⟨O_o⟩/∂slot for each row i of the tape, added up over the parts."""
        plan = tape.plan
        found: list[FloatArray] = [np.empty(0)] * len(plan.parts)

        def run(number: int, own_threads: int) -> None:
            own = np.take(cotangent, plan.parts[number].observables, axis=1)
            found[number] = self.engine.reverse(
                tape.tapes[number], own, rows_gradient=rows_gradient, threads=own_threads
            ).slots

        _over_parts(run, plan, threads)
        slots = np.zeros((tape.n, plan.n_rows + plan.n_params))
        for part, own in zip(plan.parts, found, strict=True):
            slots[:, part.slots] += own
        return SlotGradients(slots, None)


def plan_bytes(plan: ConePlan, n_rows: int, precision: Precision, *, gradient: bool) -> int:
    """Bytes of the states that stay in memory between the sweeps over N rows."""
    if not gradient:
        return 0
    sizes = [_bytes(part, n_rows, precision) for part in plan.parts]
    held = _held(plan, n_rows, precision)
    return sum(size for size, is_held in zip(sizes, held, strict=True) if is_held)


def _held(plan: ConePlan, n_rows: int, precision: Precision) -> list[bool]:
    """Which parts keep their states: the narrow ones first, which are cheap to keep."""
    held, left = [], KEPT_BYTES
    for part in reversed(plan.parts):
        left -= _bytes(part, n_rows, precision)
        held.append(left >= 0)
    return held[::-1]


def _bytes(part: ConePart, n_rows: int, precision: Precision) -> int:
    return n_rows * part.program.dim * (16 if precision == "complex128" else 8)


def _over_parts(run: Callable[[int, int], None], plan: ConePlan, threads: int) -> None:
    """Call `run(part, threads)` for every part: parts side by side if there are enough of them."""
    count = len(plan.parts)
    if threads == 1 or count < _FEWEST * threads:
        for number in range(count):
            run(number, threads)
        return
    side_by_side(
        lambda number: run(number, 1), [range(first, count, threads) for first in range(threads)]
    )
