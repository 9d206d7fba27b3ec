"""The Fubini–Study metric: how far the circuit's state moves when its parameters do.

    |⟨ψ(θ)|ψ(θ + dθ)⟩|² = 1 − dθᵀ g dθ + …,   g_ij = Re[⟨∂_iψ|∂_jψ⟩ − ⟨∂_iψ|ψ⟩⟨ψ|∂_jψ⟩]

It is a quarter of the quantum Fisher information, and the real part of the quantum geometric
tensor (Provost & Vallée 1980; Stokes et al. 2020, arXiv:1909.02108). A derivative is exact: for a
rotation exp(−iφP/2) it is ½|ψ(φ + π)⟩, and a parameter's derivative is the sum over the gates it
feeds, times their scales. So a row costs one state, and one more for each of G gates.

Sums are taken by numpy alone, not by BLAS, whose order of addition depends on its threads: a metric
has the same bits on every worker. The decomposition in `natural_direction` is LAPACK's, whose bits
were found to be the same for 1, 2 and 4 threads up to 120 parameters, and not at 300.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.backends.base import (
    Backend,
    Bindings,
    StateBackend,
    can_prepare_states,
    takes_no_shots,
)
from qstore_ray.backends.keys import DrawKey
from qstore_ray.circuits.lower import lower
from qstore_ray.circuits.template import Angle, Template
from qstore_ray.errors import ConfigError
from qstore_ray.learn.overlap_circuits import measured_fidelities
from qstore_ray.learn.unroll import gate_angles, unroll

if TYPE_CHECKING:
    from qstore_ray.types import ComplexArray, FloatArray

_STATES_BYTES = 64 * 2**20
"""How much memory the states of one call may take; one row's states may take more."""
_ROWS = 16
"""Rows whose states are compared at a time."""


def metrics(backend: Backend, template: Template, bindings: Bindings) -> FloatArray:
    """g_ij = Re[⟨∂_iψ|∂_jψ⟩ − ⟨∂_iψ|ψ⟩⟨ψ|∂_jψ⟩] by the shared parameters: (N, P, P).

    Raises:
        ConfigError: the backend has no states.
    """
    source = _with_states(backend)
    unrolled, angles = unroll(template)
    centre = gate_angles(angles, bindings)
    n_states = 1 + len(angles)
    shifts = np.concatenate([np.zeros((1, len(angles))), np.pi * np.eye(len(angles))])
    found = np.empty((len(bindings), template.n_params, template.n_params))
    step = max(1, _STATES_BYTES // (16 * n_states * 2**template.n_qubits))
    for first in range(0, len(bindings), step):
        some = slice(first, first + step)
        params = centre[some, None] + shifts
        params = params.reshape(len(params) * n_states, len(angles))
        states = source.states(unrolled, _repeated(bindings, some, n_states, params))
        states = states.reshape(-1, n_states, 2**template.n_qubits)
        found[some] = _gram(states[:, 0], _derivatives(states[:, 1:], angles, template.n_params))
    return found


def fidelities(
    backend: Backend,
    template: Template,
    bindings: Bindings,
    others: Sequence[Bindings],
    key: DrawKey | None = None,
) -> FloatArray:
    """|⟨ψ_i|ψ'_i⟩|² of each row i with the same row of each of M others: (M, N).

    A backend without states runs U†(θ') U(θ) for each, in one evaluation; see `overlap.py`.

    Args:
        key: names the draws of a backend that has any.

    Raises:
        ConfigError: the backend has no states, and the circuits are not possible.
    """
    if not can_prepare_states(backend):
        return measured_fidelities(backend, template, bindings, others, key)
    found = np.empty((len(others), len(bindings)))
    for first in range(0, len(bindings), _ROWS):  # few states in memory
        rows = slice(first, first + _ROWS)
        here = backend.states(template, bindings.part(rows))
        for number, other in enumerate(others):
            there = backend.states(template, other.part(rows))
            overlaps = np.einsum("nd,nd->n", here.conj(), there)
            found[number, rows] = overlaps.real**2 + overlaps.imag**2
    return found


@lru_cache(maxsize=64)
def layers(template: Template) -> tuple[int, ...]:
    """The layer of each of P parameters: how many gates with a parameter must act before its own.

    Gates of one layer act on different qubits and commute, and so does what generates them. A
    parameter that feeds several gates belongs to the layer of the first; one that feeds none to
    layer 0.
    """
    depth = [0] * template.n_qubits
    found: dict[int, int] = {}
    for op in lower(template).ops:
        level = max(depth[qubit] for qubit in op.qubits)
        trained = [t.slot for angle in op.angles for t in angle.terms if t.kind == "param"]
        for slot in trained:
            found.setdefault(slot, level)
        level += bool(trained)
        for qubit in op.qubits:
            depth[qubit] = level
    return tuple(found.get(slot, 0) for slot in range(template.n_params))


def natural_direction(
    metric: FloatArray, gradient: FloatArray, regularization: float
) -> FloatArray:
    """(√(MM) + λI)⁻¹ g for a symmetric M (P, P); √(MM) is M itself where M is a metric.

    Args:
        metric: M, the metric or an estimate that need not be positive.
        gradient: g (P,).
        regularization: λ > 0.
    """
    values, vectors = np.linalg.eigh(metric)
    along = (vectors * gradient[:, None]).sum(axis=0) / (np.abs(values) + regularization)
    direction: FloatArray = (vectors * along).sum(axis=1)
    return direction


def _with_states(backend: Backend) -> StateBackend:
    if not can_prepare_states(backend):
        raise ConfigError(
            f"the backend {backend.name!r} gives no states"
            + ("" if takes_no_shots(backend) else " if it takes shots")
            + ", and so no metric",
            field="trainer.backend",
            value=backend.name,
            fix="Take backend = 'statevector' without shots, or another optimizer: 'qn_spsa' "
            "estimates the metric from circuits; 'spsa' needs none.",
        )
    return backend


def _repeated(bindings: Bindings, some: slice, times: int, params: FloatArray) -> Bindings:
    """Each of some rows `times` over, with these parameters."""
    amplitudes = bindings.amplitudes
    return Bindings(
        np.repeat(bindings.rows[some], times, axis=0),
        params,
        None if amplitudes is None else np.repeat(amplitudes[some], times, axis=0),
    )


def _derivatives(shifted: ComplexArray, angles: tuple[Angle, ...], n_params: int) -> ComplexArray:
    """|∂_iψ⟩ (N, P, 2^n) = Σ over the gates that parameter i feeds of scale · ½|ψ(φ + π)⟩."""
    found = np.zeros((len(shifted), n_params, shifted.shape[2]), dtype=complex)
    for gate, angle in enumerate(angles):
        for kind, slot, scale in angle.terms:
            if kind == "param":
                found[:, slot] += 0.5 * scale * shifted[:, gate]
    return found


def _gram(psi: ComplexArray, slopes: ComplexArray) -> FloatArray:
    """Re⟨a_i|a_j⟩ (N, P, P) of what is left of |∂_iψ⟩ (N, P, 2^n) across |ψ⟩ (N, 2^n)."""
    along = np.einsum("nd,npd->np", psi.conj(), slopes)
    across = slopes - along[..., None] * psi[:, None]
    parts = across.view(np.float64)  # real and imaginary parts side by side: Re⟨a|b⟩ = a · b
    gram: FloatArray = np.einsum("nid,njd->nij", parts, parts)
    return gram
