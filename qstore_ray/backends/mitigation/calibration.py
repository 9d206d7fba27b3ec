"""Confusion matrices of a circuit's qubits: known from the noise, or measured by two circuits.

All qubits in 0 and all in 1 give P(1|0) and P(0|1) of every qubit at once. Errors of the X gates
that prepare 1 count as errors of the readout, as on a device.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from qstore_ray.backends.base import Bindings, Estimates
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.mitigation.config import MitigationConfig
from qstore_ray.backends.mitigation.placed_circuit import (
    PlacedCircuit,
    circuit_for_device,
    preparation,
)
from qstore_ray.backends.mitigation.runner import CircuitRun, DirectRunner
from qstore_ray.circuits.observable import z_observables
from qstore_ray.errors import ConfigError

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray

T = TypeVar("T")
_KEY = DrawKey((0x43414C,))
"""The draws of calibrations are the same in every process: all workers invert the same matrices."""
_LEAST_SHOTS = 100.0
"""Shots S · (slope of the readout)² from which a slope is at least 14 of its standard errors: their
squares are at most 1/(2 S). With fewer, the matrices may be singular by chance.
"""
_ROUNDING = 1e-12
"""The spread of exact values is at most this."""
_PREPARED = 64
"""Rows of a calibration without shots: the more, the smaller the variance of trajectories."""


class MeasuredReadout(NamedTuple):
    """Confusion matrices P(read i | prepared j) (n, 2, 2).

    Attributes:
        errors: standard errors (2n,) of P(1|0) and P(0|1) of each qubit in turn; None if they are
            known.
    """

    confusions: FloatArray
    errors: FloatArray | None = None


class ReadoutCalibration:
    """The confusion matrices of circuits, each measured once."""

    def __init__(self, runner: DirectRunner, config: MitigationConfig) -> None:
        self._runner, self._config = runner, config
        self._known: dict[PlacedCircuit, MeasuredReadout] = {}

    @property
    def measures(self) -> bool:
        """Whether the matrices are measured, not known."""
        return self._config.calibration == "circuits"

    def expected(self, circuit: PlacedCircuit) -> FloatArray:
        """What the noise says of the matrices (n, 2, 2); right readout if it is not known."""
        return _of_noise(circuit.origin or circuit)

    def check(self, circuit: PlacedCircuit, *, sampled: bool) -> None:
        """Raise if the shots are too few for matrices that can be inverted; measures nothing.

        Args:
            sampled: whether shots are taken.

        Raises:
            ConfigError: fewer shots than the readout that the noise says needs.
        """
        if not (self.measures and sampled):
            return
        expected = self.expected(circuit)
        slopes = np.abs(1.0 - expected[:, 0, 1] - expected[:, 1, 0])
        qubit, shots = int(slopes.argmin()), self._config.calibration_shots
        least = math.ceil(_LEAST_SHOTS / slopes[qubit] ** 2)
        if shots < least:
            raise ConfigError(
                f"{shots} shots say too little of the readout of qubit {qubit}: confusion matrices "
                "of so few may be singular by chance",
                field="mitigation.calibration_shots",
                value=shots,
                fix=f"Take at least {least:,}, or leave it unset for 10,000.",
            )

    def readout(
        self, circuit: PlacedCircuit, *, sampled: bool, shots: int | None = None
    ) -> MeasuredReadout:
        """The matrices of the circuit's qubits.

        Args:
            sampled: measure with shots, if there is something to measure.
            shots: of the rows of the circuit; needed on a device.
        """
        if circuit.on_device is not None:  # the circuit that is run decides the qubits
            return self._of_device(circuit_for_device(circuit.template), shots)
        circuit = circuit.origin or circuit
        if circuit not in self._known:
            is_known = not self.measures
            self._known[circuit] = (
                MeasuredReadout(_of_noise(circuit))
                if is_known
                else self._measured(circuit, sampled)
            )
        return self._known[circuit]

    def keeping(self, work: Callable[[], T]) -> Callable[[], T]:
        """`work`, but what it measured before counts as not measured; see `together`."""
        known = dict(self._known)

        def again() -> T:
            self._known = dict(known)
            return work()

        return again

    def _of_device(self, circuit: PlacedCircuit, shots: int | None) -> MeasuredReadout:
        """Measured on the circuit's own qubits, with the shots of its rows: they share a job."""
        if circuit not in self._known:
            assert shots is not None, "a device takes shots"
            rows = -(-self._config.calibration_shots // shots)
            zeros, ones = (
                self._prepared(circuit, ones, rows, shots).values.mean(axis=0)
                for ones in (False, True)
            )
            wrong = (1.0 - zeros) / 2.0, (1.0 + ones) / 2.0
            errors = np.sqrt([p * (1.0 - p) / (rows * shots) for p in wrong]).T.ravel()
            self._known[circuit] = MeasuredReadout(
                _matrices(*wrong), errors if errors.max() > _ROUNDING else None
            )
        return self._known[circuit]

    def _prepared(
        self, circuit: PlacedCircuit, ones: bool, rows: int, shots: int | None
    ) -> Estimates:
        """⟨Z⟩ of all qubits (rows, n), prepared in 0 or in 1."""
        prepared = preparation(circuit, ones=ones)
        nothing = Bindings(np.zeros((rows, 0)), np.zeros(0))
        seen, key = z_observables(circuit.template.n_qubits), _KEY.and_also(int(ones))
        return self._runner.run(CircuitRun(prepared, seen, nothing, shots, key))

    def _measured(self, circuit: PlacedCircuit, sampled: bool) -> MeasuredReadout:
        shots = self._config.calibration_shots if sampled else None
        n_rows = 1 if sampled else _PREPARED
        wrong, errors = [], []
        for ones in (False, True):
            found = self._prepared(circuit, ones, n_rows, shots)
            mean = found.values.mean(axis=0)
            wrong.append((1.0 + mean if ones else 1.0 - mean) / 2.0)
            errors.append(np.sqrt(_variance(found, wrong[-1], shots)))
        both = np.stack(errors, axis=1).ravel()
        return MeasuredReadout(_matrices(*wrong), both if both.max() > _ROUNDING else None)


def _variance(found: Estimates, wrong: FloatArray, shots: int | None) -> FloatArray:
    """Of the mean probabilities (n,): from the spread of the rows, or from the shots of one."""
    n_rows = len(found.values)
    variance: FloatArray = wrong * (1.0 - wrong) / (shots or 1)
    if n_rows > 1:
        variance = found.values.var(axis=0, ddof=1) / n_rows / 4.0
    elif found.variances is not None:
        variance = found.variances[0] / 4.0
    return variance


def _of_noise(circuit: PlacedCircuit) -> FloatArray:
    n = circuit.template.n_qubits
    return np.array([circuit.readout.confusion(qubit) for qubit in range(n)])


def _matrices(one_for_zero: FloatArray, zero_for_one: FloatArray) -> FloatArray:
    columns = ([1.0 - one_for_zero, one_for_zero], [zero_for_one, 1.0 - zero_for_one])
    found: FloatArray = np.array(columns).transpose(2, 1, 0)
    return found
