"""What Hypothesis draws: templates over the whole gate set, observables, and values that fit them.

`cases()` draws all three together. Sizes stay small (at most 3 qubits, 3 rows), because a law that
fails, fails on a small circuit too, and the reference it is compared with is slow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from qstore_ray.backends.base import Bindings
from qstore_ray.circuits.gates import GATES
from qstore_ray.circuits.observable import Observable, PauliTerm
from qstore_ray.circuits.template import Angle, Initial, Op, Template, const, param, row

if TYPE_CHECKING:
    from qstore_ray.types import ComplexArray, FloatArray

MAX_QUBITS = 3
MAX_SLOTS = 3
MAX_ROWS = 3
MAX_OPS = 8

FEW = settings(
    max_examples=25,
    deadline=None,
    # The same law runs on every member, each in a class of its own.
    # A fixture gives one member to all examples of a law.
    suppress_health_check=[HealthCheck.differing_executors, HealthCheck.function_scoped_fixture],
)
"""Settings of the laws that Hypothesis draws circuits for."""

finite = st.floats(-6.5, 6.5, allow_subnormal=False)
scales = st.sampled_from([1.0, -1.0, 2.0, 0.5, -0.3])


class Case(NamedTuple):
    """A circuit, what is measured, and values for N rows."""

    template: Template
    observables: tuple[Observable, ...]
    bindings: Bindings


@st.composite
def angles(draw: st.DrawFn, n_rows: int, n_params: int) -> Angle:
    """An angle: a constant, a slot with scale and offset, or a sum of those."""
    kinds = ["const"] + ["row"] * (n_rows > 0) + ["param"] * (n_params > 0)
    kind = draw(st.sampled_from(kinds))
    if kind == "const":
        return const(draw(finite))
    slot, n_slots = (row, n_rows) if kind == "row" else (param, n_params)
    angle = slot(draw(st.integers(0, n_slots - 1)), draw(scales), draw(finite))
    # One in four is a sum, of the same slot or of others.
    return angle.plus(draw(angles(n_rows, n_params))) if draw(st.integers(0, 3)) == 3 else angle


@st.composite
def ops(draw: st.DrawFn, n_qubits: int, n_rows: int, n_params: int) -> Op:
    """A gate of the set on some of the qubits."""
    fitting = [name for name, spec in GATES.items() if spec.n_qubits <= n_qubits]
    gate = draw(st.sampled_from(fitting))
    qubits = draw(st.permutations(range(n_qubits)))[: GATES[gate].n_qubits]
    turned = tuple(draw(angles(n_rows, n_params)) for _ in range(GATES[gate].n_angles))
    return Op(gate, tuple(qubits), turned)


@st.composite
def templates(
    draw: st.DrawFn,
    initial: tuple[Initial, ...] = ("zeros", "amplitudes"),
    min_qubits: int = 1,
    max_qubits: int = MAX_QUBITS,
    max_ops: int = MAX_OPS,
) -> Template:
    """A circuit over the whole gate set."""
    n_qubits = draw(st.integers(min_qubits, max_qubits))
    n_rows = draw(st.integers(0, MAX_SLOTS))
    n_params = draw(st.integers(0, MAX_SLOTS))
    gates = draw(st.lists(ops(n_qubits, n_rows, n_params), max_size=max_ops))
    start = draw(st.sampled_from(initial))
    return Template(n_qubits, tuple(gates), n_rows, n_params, start)


@st.composite
def observables(draw: st.DrawFn, n_qubits: int) -> Observable:
    """A sum of up to three Pauli words."""
    mask = st.integers(0, 2**n_qubits - 1)
    term = st.builds(PauliTerm, mask, mask, st.sampled_from([1.0, -1.0, 0.5, 2.5]))
    return Observable(tuple(draw(st.lists(term, min_size=1, max_size=3))))


@st.composite
def bindings(
    draw: st.DrawFn, template: Template, min_rows: int = 1, max_rows: int = MAX_ROWS
) -> Bindings:
    """Values for the slots of a template; parameters for all rows, or for each."""
    n_rows = draw(st.integers(min_rows, max_rows))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    per_row = draw(st.booleans())
    params = rng.uniform(-4, 4, (n_rows, template.n_params) if per_row else template.n_params)
    amplitudes = None
    if template.initial == "amplitudes":
        amplitudes = random_states(rng, n_rows, template.n_qubits, real=draw(st.booleans()))
    return Bindings(rng.uniform(-4, 4, (n_rows, template.n_rows)), params, amplitudes)


@st.composite
def cases(
    draw: st.DrawFn,
    initial: tuple[Initial, ...] = ("zeros", "amplitudes"),
    max_qubits: int = MAX_QUBITS,
    max_ops: int = MAX_OPS,
    max_rows: int = MAX_ROWS,
) -> Case:
    """A circuit, one to three observables, and values for one to three rows."""
    template = draw(templates(initial, max_qubits=max_qubits, max_ops=max_ops))
    measured = draw(st.lists(observables(template.n_qubits), min_size=1, max_size=3))
    return Case(template, tuple(measured), draw(bindings(template, max_rows=max_rows)))


def random_states(
    rng: np.random.Generator, n_rows: int, n_qubits: int, *, real: bool = False
) -> FloatArray | ComplexArray:
    """Normalised states (N, 2^n), drawn from the sphere."""
    states = rng.normal(size=(n_rows, 2**n_qubits))
    if not real:
        states = states + 1j * rng.normal(size=states.shape)
    norms: FloatArray = np.linalg.norm(states, axis=1, keepdims=True)
    normalised: FloatArray | ComplexArray = states / norms
    return normalised
