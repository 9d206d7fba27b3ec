"""Parameter shift: exact gradients from evaluations at shifted angles, on any backend.

For a gate exp(−iθP/2) with P a Pauli string (Mitarai et al. 2018, arXiv:1803.00745; Schuld et al.
2019, arXiv:1811.11184),

    ∂⟨O⟩/∂θ = ½ (⟨O⟩(θ + π/2) − ⟨O⟩(θ − π/2));

controlled rotations have rules of four and six terms (`shift_rules.py`). A slot may feed several
gates, with scales, so each gate is shifted by itself: in the planned circuit every shifted angle is
a parameter of its own, and the chain rule adds scale · derivative to each slot of the angle. Gates
stay whole, so the noise of a gate follows it once. A plan for N rows and rules of S terms in all
has N·(1 + S) evaluations: the rows as they are, then the rows at each shift.

`RandomCoordinateShift` shifts one angle of the G, drawn with equal chances, and multiplies its
derivative by G. Its mean is the gradient, for 3N evaluations with any G (5N or 7N of a controlled
rotation); its steps are those of random coordinate descent (Ding et al. 2023, arXiv:2311.00088).
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
from qstore_ray.learn.gradients.shift_rules import shifted_gates
from qstore_ray.learn.unroll import gate_angles

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray


_COORDINATE = 0xC00D
"""Ends the words of a key that a coordinate is drawn from."""


@dataclass(frozen=True)
class ParameterShift:
    """∂⟨O⟩/∂θ = Σ c ⟨O⟩(θ + shift) for each angle of each gate."""

    name: str = "parameter_shift"

    def plan(self, template: Template, bindings: Bindings, *, rows_gradient: bool) -> GradientPlan:
        """N·(1 + S) evaluations for N rows and rules of S terms: 2 for most angles.

        Raises:
            CircuitError: the gradient of amplitudes is asked for; a state has no shift rule.
        """
        return _plan(self.name, template, bindings, rows_gradient, slice(None))


@dataclass(frozen=True)
class RandomCoordinateShift:
    """G times the derivative by one angle of the G, 0 for the others."""

    name: str = "random_coordinate_shift"
    draws: bool = True

    def plan(
        self, template: Template, bindings: Bindings, *, rows_gradient: bool, key: DrawKey | None
    ) -> GradientPlan:
        """3N evaluations for N rows, more if the angle that the key draws has a longer rule.

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
        count = len(shifted_gates(template, rows=rows_gradient).angles)
        gate = int(generator(key.and_also(_COORDINATE), 0).integers(max(count, 1)))
        return _plan(self.name, template, bindings, rows_gradient, slice(gate, gate + 1))

    def size_varies(self, template: Template, *, rows: bool) -> bool:
        """Whether some angles have longer rules than others; see `DrawsItsSize`."""
        return len({len(rule) for rule in shifted_gates(template, rows=rows).rules}) > 1


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
    circuit = shifted_gates(template, rows=rows_gradient)
    n, gates = len(bindings), len(circuit.angles)
    chosen = range(gates)[shifted]
    terms = [(gate, shift) for gate in chosen for shift in circuit.rules[gate]]
    of_gate = np.zeros((gates, len(terms)))  # the rules as a matrix
    steps = np.zeros((1 + len(terms), gates))
    for term, (gate, shift) in enumerate(terms):
        of_gate[gate, term] = shift.coefficient * (1 if len(chosen) == gates else gates)
        steps[1 + term, gate] = shift.by
    centre = gate_angles(circuit.angles, bindings)
    repeats = len(steps)
    amplitudes = bindings.amplitudes
    planned = Bindings(
        np.tile(bindings.rows, (repeats, 1)),
        (steps[:, None, :] + centre[None]).reshape(n * repeats, gates),
        None if amplitudes is None else np.tile(amplitudes, (repeats, 1)),
    )

    def combine(values: FloatArray) -> tuple[FloatArray, Pullback]:
        by_shift = values.reshape(repeats, n, values.shape[1])  # (1 + S, N, O)

        def pullback(cotangent: FloatArray) -> Gradients:
            found = np.einsum("tno,no->nt", by_shift[1:], cotangent) @ of_gate.T
            return _to_slots(template, circuit.angles, found, rows_gradient)

        return by_shift[0], pullback

    return GradientPlan(circuit.template, planned, combine)


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
