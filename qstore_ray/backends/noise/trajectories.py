"""Noisy values and gradients on the exact engine: random Pauli errors, drawn for each row.

A trajectory of a row is a circuit in which each site had one of its errors, or none. Its values and
gradients are exact (`simulate/compile/signs.py`), and their mean over trajectories is that of the
noise: the value of the density matrix. The draws depend on the key and on the row's number in the
batch alone, so they are the same for any number of workers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from numbers import Integral
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from qstore_ray.backends.base import Bindings, Estimates, Gradients, Usage
from qstore_ray.backends.keys import DrawKey, philox_key
from qstore_ray.backends.noise.config import NoiseConfig
from qstore_ray.backends.noise.device.compiled import CompiledCircuit
from qstore_ray.backends.noise.placed import place_noise
from qstore_ray.backends.noise.placement import errors_at
from qstore_ray.backends.noise.readout import read_wrongly
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Template
from qstore_ray.errors import BackendError, ConfigError
from qstore_ray.simulate.compile.products import product_of_rows
from qstore_ray.simulate.compile.signed_program import (
    WORDS,
    DrawnErrors,
    ErrorTable,
    SignedProgram,
    Site,
)
from qstore_ray.simulate.compile.signs import compile_signed
from qstore_ray.simulate.engines.engines import Engine, Precision

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray


class NoisyCircuit(NamedTuple):
    """A circuit under noise, as the engine runs it.

    Attributes:
        template, observables: with the angles and the readout that the noise makes of them; exact
            if `errors` is None.
        errors: the random errors; None if none can be seen.
        twirled: names of the channels that were replaced by their Pauli twirl.
        compiled: how the circuit was compiled for a device; None without one.
    """

    template: Template
    observables: tuple[Observable, ...]
    errors: RandomErrors | None
    twirled: tuple[str, ...]
    compiled: CompiledCircuit | None


@dataclass(frozen=True, eq=False)
class RandomErrors:
    """The sites whose errors can be seen, with their distributions.

    Attributes:
        signed: the program.
        table: the sites and their errors.
    """

    signed: SignedProgram
    table: ErrorTable

    def draw(self, engine: Engine, key: DrawKey, n_rows: int, trajectories: int) -> DrawnErrors:
        """Errors that happen in N · T rows."""
        different = (key.n_rows or n_rows) * trajectories
        blocks = -(-len(self.table.any_error) // WORDS)
        drawn = engine.draw_errors(
            self.table, philox_key(key.words), key.first_row * trajectories * blocks, different
        )
        copies = n_rows * trajectories // different if different else 1
        if copies <= 1:
            return drawn
        rows = (drawn.rows + different * np.arange(copies)[:, None]).ravel()
        return DrawnErrors(rows, np.tile(drawn.outcomes, copies))


@lru_cache(maxsize=64)
def compile_noisy(
    template: Template, observables: tuple[Observable, ...], noise_text: str
) -> NoisyCircuit:
    """The circuit under noise.

    Args:
        noise_text: a `NoiseConfig` as JSON, by which the circuit is kept.

    Raises:
        ConfigError, BackendError: noise that does not fit the circuit or the engine.
    """
    noise = NoiseConfig.model_validate_json(noise_text)
    placed = place_noise(template, observables, noise)
    found = errors_at(placed.sites, twirl=noise.twirl)
    read = tuple(read_wrongly(observable, placed.readout) for observable in placed.observables)
    errors = None
    if found.sites:
        signed = compile_signed(placed.template, read, found.sites)
        errors = visible_errors(signed, found.sites, found.probabilities)
    return NoisyCircuit(placed.template, read, errors, found.twirled, placed.compiled)


def visible_errors(
    signed: SignedProgram, sites: tuple[Site, ...], probabilities: tuple[FloatArray, ...]
) -> RandomErrors | None:
    """The random errors without those that change nothing."""
    any_error: list[float] = []
    outcomes, upper = [], []
    for start, site, weights in zip(signed.outcome_starts, sites, probabilities, strict=True):
        places = start + np.arange(1, 4 ** len(site.qubits))
        seen = signed.flips[places].any(axis=1) & (weights[1:] > 0.0)
        if not seen.any():
            continue
        cumulative = np.cumsum(weights[1:][seen])
        outcomes.append(places[seen])
        upper.append(len(any_error) + cumulative)
        any_error.append(cumulative[-1])
    if not any_error:
        return None
    table = ErrorTable(np.array(any_error), np.concatenate(outcomes), np.concatenate(upper))
    return RandomErrors(signed, table)


class TrajectoryRun:
    """One evaluation of N rows, T trajectories each."""

    def __init__(
        self,
        engine: Engine,
        errors: RandomErrors,
        bindings: Bindings,
        key: DrawKey,
        *,
        trajectories: int,
        threads: int,
        precision: Precision,
        keep: bool,
    ) -> None:
        n, self._t = len(bindings), trajectories
        self._engine, self._signed, self._threads = engine, errors.signed, threads
        bound = engine.bind_signed(
            errors.signed, errors.draw(engine, key, n, trajectories),
            self._repeated(bindings.rows), self._repeated_if_by_row(bindings.params),
        )  # fmt: skip
        self._signs = bound.signs
        self._term_signs = bound.signs[:, len(errors.signed.offsets) :]
        amplitudes = None
        if bindings.amplitudes is not None:
            amplitudes = self._repeated(bindings.amplitudes)
        values, self._tape = engine.forward(
            self._signed.program, bound.rows, bound.params, amplitudes, keep=keep, threads=threads,
            precision=precision,
        )  # fmt: skip
        self._values = product_of_rows(values * self._term_signs, self._signed.weights).reshape(
            n, trajectories, -1
        )

    def estimates(self) -> Estimates:
        """Means over the trajectories (N, O), and their variances if there are several."""
        n, t, _ = self._values.shape
        if t == 1:
            return Estimates(self._values[:, 0], None, Usage(circuits=n))
        variances = self._values.var(axis=1, ddof=1) / t
        return Estimates(self._values.mean(axis=1), variances, Usage(circuits=n * t))

    def pullback(self, cotangent: FloatArray, *, rows_gradient: bool) -> Gradients:
        """Gradients of the means, from a cotangent (N, O)."""
        t = self._t
        each = cotangent if t == 1 else self._repeated(cotangent) / t
        found = self._engine.reverse(
            self._tape, product_of_rows(each, self._signed.weights.T) * self._term_signs,
            rows_gradient=rows_gradient, threads=self._threads,
        )  # fmt: skip
        by_rows, by_params = self._engine.unbind_signed(
            self._signed, self._signs, found.slots, rows_gradient=rows_gradient
        )
        amplitudes = None if found.amplitudes is None else self._summed(found.amplitudes)
        return Gradients(self._summed(by_rows), self._summed(by_params), amplitudes)

    def _repeated(self, array: AnyArray) -> AnyArray:
        return array if self._t == 1 else np.repeat(array, self._t, axis=0)

    def _repeated_if_by_row(self, params: AnyArray) -> AnyArray:
        return self._repeated(params) if params.ndim == 2 else params

    def _summed(self, array: Any) -> Any:
        if self._t == 1:
            return array
        return array.reshape(len(array) // self._t, self._t, array.shape[1]).sum(axis=1)


def checked_trajectories(trajectories: int) -> int:
    """The number of trajectories.

    Raises:
        ConfigError: it is no whole number from 1.
    """
    if isinstance(trajectories, bool) or not isinstance(trajectories, Integral) or trajectories < 1:
        raise ConfigError(
            "the number of trajectories is a whole number from 1",
            field="trajectories",
            value=trajectories,
            fix="Take for example 16, or leave it unset for that of the noise.",
        )
    return int(trajectories)


def key_of_errors(key: DrawKey | None) -> DrawKey:
    """The key of the draws.

    Raises:
        BackendError: the key is None.
    """
    if key is None:
        raise BackendError(
            "random errors are drawn by a key",
            field="key",
            value=None,
            fix="Give key=DrawKey((run, epoch, step)), a new one for each evaluation.",
        )
    return key
