"""Values from shots of our own states: one evaluation of N rows.

Each basis gets S shots a row: one multinomial draw from the exact probabilities. Without random
errors a value has the mean ⟨O⟩ and the variance Σ_b Var_b(O)/S over the bases, which is estimated
without bias from the same shots; one shot gives no variance.

With random errors the shots of a row are split over T trajectories, as evenly as they can be, at
most one trajectory a shot. A value is the mean over the trajectories of the means of their shots;
its mean is that of the noise for every T. The T means are independent, so the variance is estimated
without bias by their spread, Σ (m_t − m)²/(T (T − 1)): it has both the shots and the errors in it.
One trajectory gives no variance. On a device every shot has errors of its own: T = S.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.backends.base import Bindings, Estimates, Usage
from qstore_ray.backends.counts import Counts, OutcomeCounts
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.sampling.circuit import MeasuredCircuit, Measurement
from qstore_ray.backends.sampling.draws import ShotStream, distinct_outcomes
from qstore_ray.backends.sampling.probabilities import PreparedStates, flipped, read
from qstore_ray.circuits.template import Template
from qstore_ray.simulate.compile.compiler import compile_states
from qstore_ray.simulate.compile.signed_program import DrawnErrors
from qstore_ray.simulate.engines.engines import Engine, Precision
from qstore_ray.simulate.states import prepare_states

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, ComplexArray, FloatArray, IntArray

_BYTES = 16 * 2**20
"""States and shots that are held at a time, unless one row has more."""


class SampledRun:
    """One evaluation of N rows, each with T trajectories: N · T experiments, row by row.

    Args:
        engine: prepares the states, on `threads` threads, in `precision`.
        circuit: from `compile_measured`.
        bindings: N rows.
        shots: S, of each row and basis.
        key: of the draws. Copies of a row have the same errors, and shots of their own.
        trajectories: the most of each row, if there are random errors.
    """

    def __init__(
        self,
        engine: Engine,
        circuit: MeasuredCircuit,
        bindings: Bindings,
        shots: int,
        key: DrawKey,
        *,
        trajectories: int,
        threads: int,
        precision: Precision,
    ) -> None:
        self._engine, self._circuit, self._bindings = engine, circuit, bindings
        self._threads, self._precision = threads, precision
        n, t = len(bindings), min(trajectories, shots) if circuit.errors else 1
        self._shots, self._trajectories = shots, t
        split = np.full(t, shots // t)
        split[: shots % t] += 1
        different = key.n_rows or n
        self._streams = [
            ShotStream(key, number, split, different) for number in range(len(circuit.measurements))
        ]
        self._errors = None if circuit.errors is None else circuit.errors.draw(engine, key, n, t)

    def estimates(self) -> Estimates:
        """Values (N, O), their variances if they are known, and what was used."""
        n, t = len(self._bindings), self._trajectories
        width = len(self._circuit.constants)
        means, variances = np.zeros((n * t, width)), np.zeros((n * t, width))
        for part in self._parts():
            for stream, measurement, found in self._read(part):
                of_basis = measurement.tally.moments(stream, part.start, found)
                means[part] += of_basis.means
                spread = np.maximum(of_basis.squares - of_basis.means**2, 0.0)
                variances[part] += spread / max(self._shots - 1, 1)
        values = means.reshape(n, t, width).mean(axis=1) + self._circuit.constants
        runs = n * t * len(self._circuit.measurements)
        usage = Usage(circuits=runs, shots=runs // t * self._shots)
        if self._errors is not None:
            return Estimates(values, _spread(means.reshape(n, t, width)), usage)
        return Estimates(values, variances if self._shots > 1 else None, usage)

    def counts(self) -> Counts:
        """How often each outcome was read, of the draws of `estimates`."""
        measurements, t = self._circuit.measurements, self._trajectories
        seen: list[list[tuple[IntArray, IntArray]]] = [[] for _ in measurements]
        for part in self._parts():
            for stream, _, found in self._read(part):
                seen[stream.basis] += distinct_outcomes(stream, part.start, found)
        outcomes = tuple(
            tuple(
                _pooled(of_basis[first : first + t], len(measurement.basis.qubits))
                for first in range(0, len(of_basis), t)
            )
            for of_basis, measurement in zip(seen, measurements, strict=True)
        )
        bases = tuple(measurement.basis for measurement in measurements)
        are_independent = self._errors is None or t == self._shots
        return Counts(
            bases, outcomes, self._circuit.constants, len(self._bindings), self._shots,
            t, are_independent,
        )  # fmt: skip

    def _parts(self) -> Iterator[slice]:
        """The experiments, as many at a time as memory is meant for."""
        n = len(self._bindings) * self._trajectories
        shots = self._shots // self._trajectories + 1
        step = max(1, _BYTES // (48 * 2**self._circuit.template.n_qubits + 16 * shots))
        for first in range(0, n, step):
            yield slice(first, min(first + step, n))

    def _read(self, part: slice) -> Iterator[tuple[ShotStream, Measurement, FloatArray]]:
        """Of each basis: probabilities (E, 2^m) of what is read in some experiments."""
        prepared, signs = self._prepared(np.arange(part.start, part.stop))
        for stream, measurement in zip(self._streams, self._circuit.measurements, strict=True):
            found = prepared.probabilities(measurement.basis)
            if signs is not None:
                found = flipped(found, measurement.flips(signs))
            yield stream, measurement, read(found, measurement.confusions)

    def _prepared(self, experiments: IntArray) -> tuple[PreparedStates, FloatArray | None]:
        """Their states, and the signs that errors give to the letters of the bases."""
        b, errors, template = self._bindings, self._circuit.errors, self._circuit.template
        of = experiments // self._trajectories
        rows = b.rows[of]
        params = b.params if b.params.ndim == 1 else b.params[of]
        amplitudes = None if b.amplitudes is None else b.amplitudes[of]
        signs = None
        if errors is None or self._errors is None:
            program = compile_states(template, params.ndim == 2)
        else:
            program = errors.signed.program
            bound = self._engine.bind_signed(
                errors.signed, self._errors_of(experiments), rows, params
            )
            rows, params = bound.rows, bound.params
            signs = bound.signs[:, len(errors.signed.offsets) :]
        states = self._engine.states(
            program, rows, params, amplitudes, threads=self._threads, precision=self._precision
        )
        return PreparedStates(states, template, self._turned), signs

    def _errors_of(self, experiments: IntArray) -> DrawnErrors:
        """The errors that happen in these experiments, numbered from the first of them."""
        assert self._errors is not None
        rows, outcomes = self._errors
        ends = [experiments[0], experiments[-1] + 1]
        first, last = np.searchsorted(rows, ends)
        return DrawnErrors(rows[first:last] - experiments[0], outcomes[first:last])

    def _turned(self, gates: Template, states: ComplexArray) -> ComplexArray:
        nothing: AnyArray = np.zeros((len(states), 0))
        return prepare_states(
            self._engine, gates, nothing, np.zeros(0), states,
            threads=self._threads, precision=self._precision,
        )  # fmt: skip


def _pooled(parts: list[tuple[IntArray, IntArray]], n_bits: int) -> OutcomeCounts:
    """The outcomes of all trajectories of a row, together."""
    outcomes, places = np.unique(np.concatenate([seen for seen, _ in parts]), return_inverse=True)
    times = np.concatenate([times for _, times in parts])
    counts = np.bincount(places, times).astype(np.float64)
    return OutcomeCounts(outcomes[:, None] >> np.arange(n_bits) & 1, counts)


def _spread(means: FloatArray) -> FloatArray | None:
    """Variances (N, O) of the means over trajectories (N, T, O); None for one."""
    t = means.shape[1]
    found: FloatArray | None = means.var(axis=1, ddof=1) / t if t > 1 else None
    return found
