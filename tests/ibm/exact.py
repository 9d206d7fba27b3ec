"""Draws shots from the exact probabilities of a circuit, for all parameter values at once.

The state has a row for each set of values. A job of hundreds of sets takes milliseconds; Aer needs
a millisecond for each set. Letters: R rows, m measured qubits, S shots.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

MOST_AMPLITUDES = 1 << 22
MOST_QUBITS = 16
PASSED_OVER = {"barrier", "delay", "id"}


class InexactError(Exception):
    """The circuit has something that this simulation does not cover; Aer does."""


def draw(
    circuit: Any, values: np.ndarray | None, shape: tuple[int, ...], shots: int, seed: int | None
) -> dict[str, np.ndarray]:
    """Booleans (*shape, shots, bits) by name of the classical register; raises InexactError."""
    rows = math.prod(shape)
    names = list(circuit.parameters)
    if names:
        assert values is not None
        table = np.broadcast_to(values, (*shape, len(names))).reshape(rows, len(names))
    else:
        table = np.zeros((rows, 0))
    program = _Program(circuit, names)
    rng = np.random.default_rng(seed)
    bits = {
        register.name: np.zeros((rows, shots, register.size), dtype=bool)
        for register in circuit.cregs
    }
    step = max(MOST_AMPLITUDES >> program.width, 1)
    for start in range(0, rows, step):
        part = table[start : start + step]
        outcomes = _outcomes(program.probabilities(part), shots, rng)
        for place, clbit in enumerate(program.clbits):
            value = (outcomes >> (len(program.clbits) - 1 - place)) & 1
            for register, index in circuit.find_bit(clbit).registers:
                bits[register.name][start : start + step, :, index] = value
    return {name: array.reshape(*shape, shots, -1) for name, array in bits.items()}


def _outcomes(probabilities: np.ndarray, shots: int, rng: np.random.Generator) -> np.ndarray:
    """Outcomes (R, S) of the distributions (R, 2^m)."""
    rows = np.arange(len(probabilities))[:, None]
    steps = np.cumsum(probabilities, axis=1)
    steps = steps / steps[:, -1:] + rows
    drawn = rng.random((len(probabilities), shots)) + rows
    flat = np.searchsorted(steps.ravel(), drawn.ravel(), side="right").reshape(drawn.shape)
    return np.minimum(flat - rows * probabilities.shape[1], probabilities.shape[1] - 1)


class _Program:
    """The circuit's gates on its active qubits, with angles as functions of the values."""

    def __init__(self, circuit: Any, names: list[Any]) -> None:
        used = {
            circuit.find_bit(qubit).index
            for item in circuit.data
            if item.operation.name not in PASSED_OVER
            for qubit in item.qubits
        }
        self.width = len(used)
        if self.width > MOST_QUBITS:
            raise InexactError(f"{self.width} qubits")
        place = {index: axis for axis, index in enumerate(sorted(used), start=1)}
        self.gates: list[tuple[str, tuple[int, ...], Any]] = []
        self.measured: list[int] = []
        self.clbits: list[Any] = []
        for item in circuit.data:
            if item.operation.name in PASSED_OVER:
                continue
            axes = tuple(place[circuit.find_bit(qubit).index] for qubit in item.qubits)
            if set(axes) & set(self.measured):
                raise InexactError("a gate after a measurement")
            if item.operation.name == "measure":
                self.measured += axes
                self.clbits += item.clbits
            else:
                self.gates.append(_gate(item.operation, axes, names))
        if len(set(self.clbits)) < len(self.clbits):
            raise InexactError("a classical bit is written twice")

    def probabilities(self, table: np.ndarray) -> np.ndarray:
        """Probabilities (R, 2^m) of the measured qubits, the first one most significant."""
        state = np.zeros((len(table), *(2,) * self.width), dtype=complex)
        state[(slice(None), *(0,) * self.width)] = 1
        for kind, axes, content in self.gates:
            if kind == "matrix":
                state = _apply(content, axes, state)
            else:
                coefficients, constant = content
                state = _rotate(kind, axes, table @ coefficients + constant, state)
        weights = np.abs(state) ** 2
        order = [0, *self.measured]
        rest = [axis for axis in range(1, self.width + 1) if axis not in self.measured]
        return (
            weights.transpose(order + rest).reshape(len(table), 1 << len(self.measured), -1).sum(2)
        )


def _gate(operation: Any, axes: tuple[int, ...], names: list[Any]) -> tuple[str, Any, Any]:
    free = [angle for angle in operation.params if getattr(angle, "parameters", None)]
    if not free:
        if not hasattr(operation, "to_matrix"):
            raise InexactError(operation.name)
        return "matrix", axes, np.asarray(operation.to_matrix())
    if operation.name not in {"rz", "rx", "rzz"}:
        raise InexactError(f"{operation.name} with a parameter")
    (angle,) = free
    slopes = [angle.gradient(name) if name in angle.parameters else 0.0 for name in names]
    if not all(isinstance(slope, int | float) for slope in slopes):
        raise InexactError(f"{angle} is not affine")
    constant = angle.bind(dict.fromkeys(angle.parameters, 0.0)).numeric()
    return operation.name, axes, (np.array(slopes, dtype=float), float(constant))


def _apply(matrix: np.ndarray, axes: tuple[int, ...], state: np.ndarray) -> np.ndarray:
    count = len(axes)
    high_first = axes[::-1]  # Qiskit's first qubit is the least significant
    tensor = matrix.reshape((2,) * (2 * count))
    applied = np.tensordot(tensor, state, axes=(range(count, 2 * count), high_first))
    return np.moveaxis(applied, range(count), high_first)


def _rotate(kind: str, axes: tuple[int, ...], angles: np.ndarray, state: np.ndarray) -> np.ndarray:
    """Rotate each row by its own angle."""
    half = angles.reshape(-1, *(1,) * (state.ndim - 1)) / 2
    if kind == "rx":
        return np.cos(half) * state - 1j * np.sin(half) * np.flip(state, axes)
    signs = np.ones((1,) * state.ndim)
    for axis in axes:
        shape = [1] * state.ndim
        shape[axis] = 2
        signs = signs * np.array([1.0, -1.0]).reshape(shape)
    return np.exp(-1j * half * signs) * state
