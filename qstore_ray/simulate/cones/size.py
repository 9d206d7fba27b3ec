"""The size of a circuit, and the cost of running it by its light cones."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from qstore_ray.simulate.compile.program import Program
from qstore_ray.simulate.cones.sweep import plan_bytes
from qstore_ray.simulate.cost import Calibration, Cost, cost

if TYPE_CHECKING:
    from qstore_ray.simulate.cones.plan import ConePlan


class CompiledSize(NamedTuple):
    """Of a compiled circuit, or of all its parts together.

    Attributes:
        layers: of the deepest part.
        cones: how many parts have each width, the widest first; empty for a whole circuit.
    """

    rotations: int
    layers: int
    cones: tuple[tuple[int, int], ...] = ()


def compiled_size(circuit: Program | ConePlan) -> CompiledSize:
    """The size of a program, or of a plan."""
    if isinstance(circuit, Program):
        return CompiledSize(len(circuit.x), len(circuit.layers))
    programs = [part.program for part in circuit.parts]
    widths = Counter(part.width for part in circuit.parts)
    return CompiledSize(
        sum(len(program.x) for program in programs),
        max(len(program.layers) for program in programs),
        tuple(sorted(widths.items(), reverse=True)),
    )


def circuit_cost(
    circuit: Program | ConePlan,
    n_rows: int,
    *,
    gradient: bool = True,
    rows_gradient: bool = False,
    calibration: Calibration,
) -> Cost:
    """The cost of values, or of values with gradients, for N rows; see `cost`."""
    if isinstance(circuit, Program):
        return cost(
            circuit, n_rows, gradient=gradient, rows_gradient=rows_gradient,
            calibration=calibration,
        )  # fmt: skip
    parts = [
        cost(
            part.program, n_rows, gradient=gradient, rows_gradient=rows_gradient,
            calibration=calibration,
        )
        for part in circuit.parts
    ]  # fmt: skip
    kept = plan_bytes(circuit, n_rows, calibration.precision, gradient=gradient)
    return Cost(
        sum(part.flops for part in parts),
        sum(part.bytes for part in parts),
        sum(part.seconds for part in parts),
        max(part.memory for part in parts) + kept,
    )
