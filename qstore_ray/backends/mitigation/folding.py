"""Folding: G G† G instead of a gate, so that its noise acts three times and it does the same.

A scale λ is reached with whole and partial folds. Its share of a partial fold counts by the errors
of the gates, not by their number, and the scale that was reached is what is extrapolated with.
Coherent errors such as over-rotation are undone by G† and do not grow: twirl them first.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np

from qstore_ray.backends.mitigation.placed_circuit import NoisyGate, PlacedCircuit, undone
from qstore_ray.errors import ConfigError


class FoldedCircuit(NamedTuple):
    """A circuit with more noise, and how much more."""

    circuit: PlacedCircuit
    scale: float


@lru_cache(maxsize=64)
def fold(
    circuit: PlacedCircuit, scale: float, folding: Literal["global", "local"]
) -> FoldedCircuit:
    """The circuit with `scale` ≥ 1 times its noise, as closely as folding its gates allows."""
    if scale == 1.0 or not circuit.gates:
        return FoldedCircuit(circuit, 1.0)
    whole, part = divmod((scale - 1.0) / 2.0, 1.0)
    if circuit.on_device is not None:
        if part:
            raise _no_odd_scale_error(scale)
        how = replace(circuit.on_device, folds=int(whole), folding=folding)
        return FoldedCircuit(replace(circuit, on_device=how), scale)
    make = _folded_globally if folding == "global" else _folded_locally
    gates, reached = make(circuit, int(whole), part)
    return FoldedCircuit(circuit.rewritten(gates), reached)


def _no_odd_scale_error(scale: float) -> ConfigError:
    return ConfigError(
        "a circuit that the backend compiles is folded as a whole afterwards: its noise scales by "
        "odd numbers",
        field="mitigation.zne.scales",
        value=scale,
        fix="Take odd scales, for example [1, 3] or [1, 3, 5].",
    )


def _folded_globally(
    circuit: PlacedCircuit, whole: int, part: float
) -> tuple[list[NoisyGate], float]:
    """U (U†U)^k L†L for the last gates L of U."""
    share = np.cumsum(circuit.errors[::-1]) / circuit.errors.sum()
    number = int(np.argmin(np.abs(np.array([0.0, *share]) - part)))
    gates = list(circuit.gates)
    last = gates[len(gates) - number :]
    folded = gates + (_backwards(gates) + gates) * whole + _backwards(last) + last
    return folded, 1.0 + 2.0 * (whole + (share[number - 1] if number else 0.0))


def _folded_locally(
    circuit: PlacedCircuit, whole: int, part: float
) -> tuple[list[NoisyGate], float]:
    """G (G†G)^k for each gate with errors, once more for gates spread evenly over the circuit."""
    gates: list[NoisyGate] = []
    due = added = 0.0
    for gate, error in zip(circuit.gates, circuit.errors, strict=True):
        times = whole if error else 0
        due += part * error
        if error and due - added >= error / 2.0:
            times += 1
            added += error
        gates += [gate, *([*undone(gate), gate] * times)]
    return gates, 1.0 + 2.0 * (whole + added / float(circuit.errors.sum()))


def _backwards(gates: list[NoisyGate]) -> list[NoisyGate]:
    return [each for gate in reversed(gates) for each in undone(gate)]
