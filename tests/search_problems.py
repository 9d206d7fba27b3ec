"""Problems that search optimizers are tested on: functions of known minimum, and real circuits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.backends.base import Bindings
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Template
from qstore_ray.learn.fubini_study import fidelities, layers, metrics
from qstore_ray.learn.optimizers import Slope

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray


@dataclass
class Analytic:
    """f over a batch of rows whose losses are f(θ) + ν_r·θ, with noise ν that adds up to 0.

    Its "circuit" is a Gaussian packet displaced by θ: fidelity exp(−‖θ − θ'‖²), metric I.
    `asked` records what was asked for, in order.
    """

    function: Callable[[FloatArray], float]
    gradient: Callable[[FloatArray], FloatArray]
    key: tuple[int, int] = (0, 0)
    n_circuit: int = 2
    n_rows: int = 64
    noise: float = 0.0
    asked: list[tuple[str, object]] = field(default_factory=list)

    @property
    def metric_blocks(self) -> tuple[int, ...]:
        return tuple(number // 2 for number in range(self.n_circuit))

    def values(self, thetas: FloatArray) -> FloatArray:
        self.asked.append(("values", len(thetas)))
        return np.array([self.function(theta) for theta in thetas])

    def slope(self, theta: FloatArray, n_rows: int | None = None) -> Slope:
        self.asked.append(("slope", n_rows))
        noise = np.zeros((self.n_rows, len(theta)))
        if self.noise:
            rng = np.random.default_rng([*self.key, 7])
            noise = self.noise * rng.normal(size=noise.shape)
        some = (noise - noise.mean(axis=0))[:n_rows]
        variance = some.var(axis=0, ddof=1) if len(some) > 1 else np.full(len(theta), np.nan)
        return Slope(self.gradient(theta) + some.mean(axis=0), variance)

    def metric(self, theta: FloatArray) -> FloatArray:
        self.asked.append(("metric", None))
        return np.eye(self.n_circuit)

    def fidelities(self, theta: FloatArray, others: FloatArray) -> FloatArray:
        self.asked.append(("fidelities", len(others)))
        return np.exp(-((others - theta)[:, : self.n_circuit] ** 2).sum(axis=1))

    def values_and_fidelities(
        self, thetas: FloatArray, theta: FloatArray, others: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        return self.values(thetas), self.fidelities(theta, others)


@dataclass
class Energy:
    """⟨O⟩ + Σ(c − 1)² of a circuit without features: θ is the circuit's P, then classical c."""

    template: Template
    observable: Observable
    key: tuple[int, int] = (0, 0)
    n_rows: int = 1
    backend: StatevectorBackend = field(default_factory=lambda: StatevectorBackend(engine="numpy"))

    @property
    def n_circuit(self) -> int:
        return self.template.n_params

    @property
    def metric_blocks(self) -> tuple[int, ...]:
        return layers(self.template)

    def values(self, thetas: FloatArray) -> FloatArray:
        n = self.n_circuit
        bound = Bindings(np.zeros((len(thetas), 0)), thetas[:, :n])
        energies = self.backend.evaluate(self.template, [self.observable], bound).values[:, 0]
        return energies + ((thetas[:, n:] - 1.0) ** 2).sum(axis=1)

    def slope(self, theta: FloatArray, n_rows: int | None = None) -> Slope:
        n = self.n_circuit
        _, pullback = self.backend.vjp(self.template, [self.observable], _bound(theta[:n]))
        circuit = pullback(np.ones((1, 1))).params[0]
        gradient = np.concatenate([circuit, 2.0 * (theta[n:] - 1.0)])
        return Slope(gradient, np.full(len(theta), np.nan))

    def metric(self, theta: FloatArray) -> FloatArray:
        return metrics(self.backend, self.template, _bound(theta[: self.n_circuit]))[0]

    def fidelities(self, theta: FloatArray, others: FloatArray) -> FloatArray:
        n = self.n_circuit
        points = Bindings(np.zeros((len(others), 0)), others[:, :n])
        here = replace(points, params=np.tile(theta[:n], (len(others), 1)))
        return fidelities(self.backend, self.template, here, [points])[0]

    def values_and_fidelities(
        self, thetas: FloatArray, theta: FloatArray, others: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        return self.values(thetas), self.fidelities(theta, others)


def _bound(params: FloatArray) -> Bindings:
    return Bindings(np.zeros((1, 0)), params)
