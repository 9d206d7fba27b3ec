"""Parameter shift: exact gradients from two evaluations a gate, on anything that can evaluate.

For a gate exp(−iθP/2) with P a Pauli string (Mitarai et al. 2018, arXiv:1803.00745; Schuld et al.
2019, arXiv:1811.11184),

    ∂⟨O⟩/∂θ = ½ (⟨O⟩(θ + π/2) − ⟨O⟩(θ − π/2)).

Lowering makes every gate with an angle one of these. A slot may feed several gates, with scales,
so each gate is shifted by itself: in the planned circuit every shifted gate has a parameter of
its own, and the chain rule adds scale · derivative to each slot of the gate's angle. A plan for N
rows and G shifted gates has N·(1 + 2G) evaluations: the rows as they are, then all +π/2, then all
−π/2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.backends.base import Bindings, Gradients, Pullback
from qstore_ray.circuits.template import Angle, Template
from qstore_ray.errors import CircuitError
from qstore_ray.learn.gradients.base import GradientPlan
from qstore_ray.learn.unroll import gate_angles, unroll

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray


@dataclass(frozen=True)
class ParameterShift:
    """∂⟨O⟩/∂θ = ½(⟨O⟩(θ + π/2) − ⟨O⟩(θ − π/2)) for each gate with an angle."""

    name: str = "parameter_shift"

    def plan(self, template: Template, bindings: Bindings, *, rows_gradient: bool) -> GradientPlan:
        """N·(1 + 2G) evaluations for N rows and G gates with an angle to differentiate.

        Raises:
            CircuitError: the gradient of amplitudes is asked for; a state has no shift rule.
        """
        if rows_gradient and template.initial == "amplitudes":
            raise CircuitError(
                "parameter shift cannot differentiate amplitudes",
                field="trainer.gradient",
                value=self.name,
                fix="Take gradient = 'adjoint' on the statevector backend.",
            )
        unrolled, angles = unroll(template, rows=rows_gradient)
        centre = gate_angles(angles, bindings)
        shifted = _shifts(centre)
        repeats = 1 + 2 * len(angles)
        amplitudes = bindings.amplitudes
        planned = Bindings(
            np.tile(bindings.rows, (repeats, 1)),
            shifted,
            None if amplitudes is None else np.tile(amplitudes, (repeats, 1)),
        )
        n = len(bindings)

        def combine(values: FloatArray) -> tuple[FloatArray, Pullback]:
            by_shift = values.reshape(repeats, n, values.shape[1])  # (1 + 2G, N, O)
            gates = len(angles)
            slopes = 0.5 * (by_shift[1 : 1 + gates] - by_shift[1 + gates :])  # (G, N, O)

            def pullback(cotangent: FloatArray) -> Gradients:
                by_gate = np.einsum("gno,no->ng", slopes, cotangent)
                return _to_slots(template, angles, by_gate, rows_gradient)

            return by_shift[0], pullback

        return GradientPlan(unrolled, planned, combine)


def _shifts(centre: FloatArray) -> FloatArray:
    """Parameters (N·(1 + 2G), G): as they are, then each gate +π/2, then each gate −π/2."""
    n, gates = centre.shape
    shift = np.concatenate(
        [np.zeros((1, gates)), np.eye(gates) * (np.pi / 2), -np.eye(gates) * (np.pi / 2)]
    )
    return (shift[:, None, :] + centre[None]).reshape(n * (1 + 2 * gates), gates)


def _to_slots(
    template: Template, angles: tuple[Angle, ...], by_gate: FloatArray, rows_gradient: bool
) -> Gradients:
    """Chain gate derivatives (N, G) to the slots that feed the gates."""
    rows = np.zeros((len(by_gate), template.n_rows))
    params = np.zeros((len(by_gate), template.n_params))
    for gate, angle in enumerate(angles):
        for kind, slot, scale in angle.terms:
            if kind == "param":
                params[:, slot] += scale * by_gate[:, gate]
            elif rows_gradient:
                rows[:, slot] += scale * by_gate[:, gate]
    return Gradients(rows, params)
