"""Parameter shift: exact gradients from two evaluations a gate, on anything that can evaluate.

For a gate exp(−iθP/2) with P a Pauli string (Mitarai et al. 2018, arXiv:1803.00745; Schuld et al.
2019, arXiv:1811.11184),

    ∂⟨O⟩/∂θ = ½ (⟨O⟩(θ + π/2) − ⟨O⟩(θ − π/2)).

Lowering makes every gate with an angle one of these. A slot may feed several gates, with scales,
so each gate is shifted by itself: in the planned circuit every shifted gate has a parameter of
its own, and the chain rule adds scale · derivative to each slot of the gate's angle. A plan for N
rows and G shifted gates has N·(1 + 2G) evaluations: the rows as they are, then all +π/2, then all
−π/2.

`RandomCoordinateShift` shifts one gate of the G, drawn with equal chances, and multiplies its
derivative by G. Its mean is the gradient, for 3N evaluations with any G; its steps are those of
random coordinate descent (Ding et al. 2023, arXiv:2311.00088).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.backends.base import Bindings, Gradients, Pullback
from qstore_ray.backends.keys import DrawKey, generator
from qstore_ray.circuits.template import Angle, Template
from qstore_ray.errors import BackendError, CircuitError
from qstore_ray.learn.gradients.base import GradientPlan
from qstore_ray.learn.unroll import gate_angles, unroll

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray, IntArray


_COORDINATE = 0xC00D
"""Ends the words of a key that a coordinate is drawn from."""


@dataclass(frozen=True)
class ParameterShift:
    """∂⟨O⟩/∂θ = ½(⟨O⟩(θ + π/2) − ⟨O⟩(θ − π/2)) for each gate with an angle."""

    name: str = "parameter_shift"

    def plan(self, template: Template, bindings: Bindings, *, rows_gradient: bool) -> GradientPlan:
        """N·(1 + 2G) evaluations for N rows and G gates with an angle to differentiate.

        Raises:
            CircuitError: the gradient of amplitudes is asked for; a state has no shift rule.
        """
        return _plan(self.name, template, bindings, rows_gradient, slice(None))


@dataclass(frozen=True)
class RandomCoordinateShift:
    """G · ½(⟨O⟩(θ + π/2) − ⟨O⟩(θ − π/2)) for one gate of the G with an angle, 0 for the others."""

    name: str = "random_coordinate_shift"
    draws: bool = True

    def plan(
        self, template: Template, bindings: Bindings, *, rows_gradient: bool, key: DrawKey | None
    ) -> GradientPlan:
        """3N evaluations for N rows, of the gate that the key draws.

        Raises:
            BackendError: the key is None.
            CircuitError: the gradient of amplitudes is asked for; a state has no shift rule.
        """
        if key is None:
            raise BackendError(
                "the gate that is shifted is drawn by a key",
                field="key",
                value=None,
                fix="Give key=DrawKey((run, epoch, step)), a new one for each step; or take "
                "gradient = 'parameter_shift'.",
            )
        _, angles = unroll(template, rows=rows_gradient)
        gate = int(generator(key.and_also(_COORDINATE), 0).integers(max(len(angles), 1)))
        return _plan(self.name, template, bindings, rows_gradient, slice(gate, gate + 1))


def _plan(
    name: str, template: Template, bindings: Bindings, rows_gradient: bool, shifted: slice
) -> GradientPlan:
    """The plan that shifts some of the gates, which stand for all of them."""
    if rows_gradient and template.initial == "amplitudes":
        raise CircuitError(
            "parameter shift cannot differentiate amplitudes",
            field="trainer.gradient",
            value=name,
            fix="Take gradient = 'adjoint' on the statevector backend.",
        )
    unrolled, angles = unroll(template, rows=rows_gradient)
    n, gates = len(bindings), len(angles)
    chosen = np.arange(gates)[shifted]
    repeats = 1 + 2 * len(chosen)
    amplitudes = bindings.amplitudes
    planned = Bindings(
        np.tile(bindings.rows, (repeats, 1)),
        _shifts(gate_angles(angles, bindings), chosen),
        None if amplitudes is None else np.tile(amplitudes, (repeats, 1)),
    )

    def combine(values: FloatArray) -> tuple[FloatArray, Pullback]:
        by_shift = values.reshape(repeats, n, values.shape[1])  # (1 + 2C, N, O)
        there, back = by_shift[1 : 1 + len(chosen)], by_shift[1 + len(chosen) :]
        slopes = 0.5 * (there - back)  # (C, N, O)

        def pullback(cotangent: FloatArray) -> Gradients:
            by_gate = np.zeros((n, gates))
            found = np.einsum("gno,no->ng", slopes, cotangent)
            by_gate[:, chosen] = found if len(chosen) == gates else found * gates
            return _to_slots(template, angles, by_gate, rows_gradient)

        return by_shift[0], pullback

    return GradientPlan(unrolled, planned, combine)


def _shifts(centre: FloatArray, chosen: IntArray) -> FloatArray:
    """Parameters (N·(1 + 2C), G): as they are, then each chosen gate +π/2, then each −π/2."""
    n, gates = centre.shape
    steps = np.eye(gates)[chosen] * (np.pi / 2)
    shift = np.concatenate([np.zeros((1, gates)), steps, -steps])
    return (shift[:, None, :] + centre[None]).reshape(n * len(shift), gates)


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
