"""The laws of light cones: they change nothing but the work."""

from __future__ import annotations

import itertools
import re
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.backends.base import Bindings
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.library.library import build_circuit
from qstore_ray.circuits.observable import Observable, PauliTerm, named_observables, z_observables
from qstore_ray.circuits.template import Op, Template
from qstore_ray.errors import BackendError, ConfigError, ResourceError
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.gradients import get_gradient
from qstore_ray.learn.model import build_model
from qstore_ray.learn.step import value_and_grad
from qstore_ray.simulate import reference
from qstore_ray.simulate.compile.frame import pauli_rotations
from qstore_ray.simulate.compile.rotations import AngleSum, Rotation, Term, commute
from qstore_ray.simulate.cones import groups, plan
from qstore_ray.simulate.cones.cone import light_cones
from qstore_ray.simulate.cones.growth import growth_beyond
from qstore_ray.simulate.cones.sweep import ConeEngine
from qstore_ray.simulate.engines.engines import open_engine
from qstore_ray.testing.strategies import FEW, observables, templates

WHOLE = StatevectorBackend()
CUT = StatevectorBackend(light_cones=True)


@st.composite
def circuits(draw: st.DrawFn) -> tuple[Template, tuple[Observable, ...], Bindings]:
    """A circuit of up to 12 qubits, and few observables of few qubits beside any."""
    template = draw(templates(("zeros",), min_qubits=2, max_qubits=12, max_ops=40))
    n = template.n_qubits
    narrow = st.builds(lambda q, letter: Observable((_PAULIS[letter](1 << q),)),
                       st.integers(0, n - 1), st.sampled_from("XYZ"))  # fmt: skip
    measured = draw(st.lists(narrow | observables(n), min_size=1, max_size=6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_rows, per_row = draw(st.integers(1, 3)), draw(st.booleans())
    params = rng.uniform(-4, 4, (n_rows, template.n_params) if per_row else template.n_params)
    bindings = Bindings(rng.uniform(-4, 4, (n_rows, template.n_rows)), params)
    return template, tuple(measured), bindings


_PAULIS = {
    "X": lambda bit: PauliTerm(bit, 0),
    "Y": lambda bit: PauliTerm(bit, bit),
    "Z": lambda bit: PauliTerm(0, bit),
}


@FEW
@given(circuits(), st.sampled_from([0, groups.CALL]))
def test_cones_equal_the_whole_state(case, call):
    template, measured, bindings = case
    cotangent = np.random.default_rng(1).normal(size=(len(bindings), len(measured)))
    estimates, pullback = WHOLE.vjp(template, measured, bindings, rows_gradient=True)
    expected = pullback(cotangent)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(groups, "CALL", call)  # without it nearly every observable has its own part
        cut = plan.plan_cones.__wrapped__(template, measured, bindings.params.ndim == 2)
    engine = ConeEngine(open_engine(WHOLE.engine))
    values, tape = engine.forward(cut, bindings.rows, bindings.params, keep=True)
    slots = engine.reverse(tape, cotangent, rows_gradient=True).slots
    np.testing.assert_allclose(values, estimates.values, atol=1e-12, rtol=0)
    np.testing.assert_allclose(slots[:, : template.n_rows], expected.rows, atol=1e-12, rtol=0)
    np.testing.assert_allclose(slots[:, template.n_rows :], expected.params, atol=1e-12, rtol=0)


@FEW
@given(circuits(), st.randoms(use_true_random=False))
def test_the_order_of_observables_does_not_matter_to_the_bit(case, random):
    template, measured, bindings = case
    measured = tuple(dict.fromkeys(measured))
    order = random.sample(range(len(measured)), len(measured))
    moved = tuple(measured[o] for o in order)
    cotangent = np.random.default_rng(2).normal(size=(len(bindings), len(measured)))
    first, back = CUT.vjp(template, measured, bindings, rows_gradient=True)
    second, back_moved = CUT.vjp(template, moved, bindings, rows_gradient=True)
    np.testing.assert_array_equal(first.values[:, order], second.values)
    found, found_moved = back(cotangent), back_moved(cotangent[:, order])
    np.testing.assert_array_equal(found.params, found_moved.params)
    np.testing.assert_array_equal(found.rows, found_moved.rows)


@FEW
@given(circuits())
def test_groups_hold_each_observable_once_and_cost_no_more_than_one_each(case):
    template, measured, _ = case
    rotations, terms = pauli_rotations(template, measured)
    cones = light_cones(rotations, terms, len(measured))
    found = groups.grouped(cones)
    assert sorted(o for group in found for o in group.members) == list(range(len(measured)))
    assert sum(group.cost for group in found) <= sum(map(groups.cost_of, cones))
    for group in found:
        own = [cones[o] for o in group.members]
        assert group.cone.qubits == _union(cone.qubits for cone in own)
        assert group.cone.rotations == _union(cone.rotations for cone in own)


def _union(sets: itertools.chain[int] | object) -> int:
    found = 0
    for each in sets:  # type: ignore[attr-defined]
        found |= each
    return found


WIDE = {
    "line, cz": (64, "hardware_efficient", "pairwise", 2, "z+zz_neighbours"),
    "line, cx": (64, "real_amplitudes", "pairwise", 2, "z+zz_neighbours"),
    "line, general": (127, "efficient_su2", "pairwise", 1, "x+y+zz_neighbours"),
    "heavy hex, cz": (127, "hardware_efficient", "heavy_hex", 2, "z"),
}


def _wide(name: str, n_batch: int = 2) -> tuple[Template, tuple[Observable, ...], Bindings]:
    n, ansatz, entanglement, layers, measured = WIDE[name]
    circuit = build_circuit(
        encoding="angle", ansatz=ansatz, n_qubits=n, n_features=n, layers=layers,
        entanglement=entanglement,
    )  # fmt: skip
    template = circuit.template
    joined = {op.qubits for op in template.ops if len(op.qubits) == 2}
    rng = np.random.default_rng(3)
    bindings = Bindings(
        rng.uniform(-3, 3, (n_batch, template.n_rows)), rng.uniform(-3, 3, template.n_params)
    )
    return template, named_observables(measured, n, joined), bindings


def _behind(template: Template, observable: Observable) -> tuple[Template, Observable]:
    """The gates in front of an observable, gate by gate from the end, on qubits of their own."""
    cone = {q for q in range(template.n_qubits) if _mask(observable) >> q & 1}
    kept: list[Op] = []
    for op in reversed(template.ops):
        if cone.intersection(op.qubits):
            cone.update(op.qubits)
            kept.append(op)
    place = {q: k for k, q in enumerate(sorted(cone))}
    ops = tuple(op._replace(qubits=tuple(place[q] for q in op.qubits)) for op in reversed(kept))
    (term,) = observable.terms
    small = PauliTerm(_moved(term.x, place), _moved(term.z, place), term.coefficient)
    return Template(len(cone), ops, template.n_rows, template.n_params), Observable((small,))


def _mask(observable: Observable) -> int:
    return observable.terms[0].x | observable.terms[0].z


def _moved(mask: int, place: dict[int, int]) -> int:
    return sum(1 << k for q, k in place.items() if mask >> q & 1)


@pytest.mark.parametrize("name", WIDE)
def test_a_wide_circuit_has_the_values_and_slopes_of_the_reference(name):
    template, measured, bindings = _wide(name)
    estimates, pullback = WHOLE.vjp(template, measured, bindings, rows_gradient=True)
    rng = np.random.default_rng(4)
    for number in rng.choice(len(measured), 4, replace=False):
        small, observable = _behind(template, measured[number])
        expected = reference.expectations(small, (observable,), bindings.rows, bindings.params)
        np.testing.assert_allclose(estimates.values[:, number], expected[:, 0], atol=1e-12)
    # A direction in all slots: the derivative of the sum of all values along it.
    gradients = pullback(np.ones_like(estimates.values))
    along_rows, along = rng.normal(size=bindings.rows.shape), rng.normal(size=template.n_params)
    step = 1e-5
    sums = [
        WHOLE.evaluate(
            template,
            measured,
            Bindings(bindings.rows + h * along_rows, bindings.params + h * along),
        ).values.sum()
        for h in (step, -step)
    ]
    slope = (gradients.rows * along_rows).sum() + (gradients.params @ along).sum()
    assert (sums[0] - sums[1]) / (2 * step) == pytest.approx(slope, abs=1e-5)


@pytest.mark.parametrize("name", WIDE)
def test_rows_and_threads_change_no_bit(name):
    template, measured, bindings = _wide(name, n_batch=11)
    cotangent = np.random.default_rng(5).normal(size=(11, len(measured)))
    estimates, pullback = WHOLE.vjp(template, measured, bindings, rows_gradient=True)
    whole = pullback(cotangent)
    threaded = StatevectorBackend(threads=2)
    found, back = threaded.vjp(template, measured, bindings, rows_gradient=True)
    np.testing.assert_array_equal(found.values, estimates.values)
    np.testing.assert_array_equal(back(cotangent).params, whole.params)
    for rows in (slice(0, 1), slice(3, 10)):
        some, back = WHOLE.vjp(template, measured, bindings.part(rows), rows_gradient=True)
        np.testing.assert_array_equal(some.values, estimates.values[rows])
        own = back(cotangent[rows])
        np.testing.assert_array_equal(own.params, whole.params[rows])
        np.testing.assert_array_equal(own.rows, whole.rows[rows])


@pytest.mark.parametrize("shares", [(32, 8), (16, 16, 8)])
def test_blocks_of_rows_have_the_same_sums_on_any_number_of_workers(shares):
    config = ModelConfig(n_qubits=40, layers=1, entanglement="pairwise", observables="z")
    model = build_model(config, n_features=40, n_classes=2)
    theta, method = model.initial(0), get_gradient("adjoint", WHOLE)
    rng = np.random.default_rng(7)
    x, y = rng.uniform(-1, 1, (40, 40)), rng.integers(0, 2, 40)
    whole = value_and_grad(model, theta, x, y, WHOLE, method)
    edges = np.cumsum([0, *shares])
    parts = [
        value_and_grad(model, theta, x[a:b], y[a:b], WHOLE, method)
        for a, b in itertools.pairwise(edges)
    ]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_states_that_are_not_kept_are_computed_again_to_the_same_bits(monkeypatch):
    template, measured, bindings = _wide("line, cx")
    cotangent = np.ones((2, len(measured)))
    kept = WHOLE.vjp(template, measured, bindings)[1](cotangent)
    monkeypatch.setattr("qstore_ray.simulate.cones.sweep.KEPT_BYTES", 10_000)
    again = WHOLE.vjp(template, measured, bindings)[1](cotangent)
    np.testing.assert_array_equal(again.params, kept.params)


def test_hundreds_of_turned_qubits_have_their_cosines():
    n = 300
    circuit = build_circuit(
        encoding="angle", ansatz="basic", n_qubits=n, n_features=n, layers=1, entanglement=()
    )
    x = np.random.default_rng(6).uniform(-3, 3, (2, n))
    found = WHOLE.evaluate(circuit.template, z_observables(n), Bindings(x, np.zeros(n))).values
    np.testing.assert_allclose(found, np.cos(x), atol=1e-14)


def test_a_chain_of_cx_is_only_renamed():
    n = 127
    ops = (Op("h", (0,)), *(Op("cx", (q, q + 1)) for q in range(n - 1)))
    ghz, rows = Template(n, ops), Bindings(np.zeros((1, 0)), np.zeros(0))
    ends = Observable.parse(f"Z0 Z{n - 1}")
    every_x = Observable((PauliTerm(2**n - 1, 0),))
    found = WHOLE.evaluate(ghz, (ends, every_x, Observable.parse("Z5")), rows).values
    np.testing.assert_allclose(found, [[1.0, 1.0, 0.0]], atol=1e-15)


def test_equal_parts_share_their_programs():
    template, measured, _ = _wide("line, cz")
    cut = plan.plan_cones(template, measured)
    assert len(cut.parts) > 15
    assert len(cut.programs) < 10


_strings = st.tuples(st.integers(0, 31), st.integers(0, 31))


@given(
    st.lists(_strings, max_size=12), st.lists(st.tuples(_strings, st.integers(0, 2)), max_size=5)
)
def test_a_cone_is_what_a_chain_of_anticommuting_strings_reaches(strings, seen):
    angle = AngleSum(0.0, ())
    rotations = [Rotation(x, z, angle) for x, z in strings]
    terms = [Term(x, z, 0, observable, 1.0) for (x, z), observable in seen]
    for observable, cone in enumerate(light_cones(rotations, terms, 3)):
        reached = [(t.x, t.z) for t in terms if t.observable == observable]
        expected = 0
        for g in reversed(range(len(rotations))):
            x, z, _ = rotations[g]
            if not all(commute(x, z, *other) for other in reached):
                reached.append((x, z))
                expected |= 1 << g
        flipped = 0
        for x, _ in reached:
            flipped |= x
        assert cone == (expected, flipped)


def test_hundreds_of_dense_cones_are_refused_at_once():
    """All pairs of 40 qubits behind commuting gates: each cone has a thousand strings."""
    config = ModelConfig(
        n_qubits=40,
        layers=2,
        encoding="iqp",
        entanglement="pairwise",
        observables="z+zz_neighbours",
    )
    model = build_model(config, n_features=40, n_classes=2, task="classification")
    began = time.process_time()
    with pytest.raises(ResourceError, match="and so do 819 other observables"):
        CUT.evaluate(
            model.circuit.template, model.observables,
            Bindings(np.zeros((1, model.circuit.template.n_rows)),
                     np.zeros(model.circuit.template.n_params)),
        )  # fmt: skip
    assert time.process_time() - began < 10.0  # 50 s when each pair of strings was compared


def test_a_cone_that_is_too_wide_is_refused_with_its_size_and_its_layer():
    circuit = build_circuit(
        encoding="angle", ansatz="real_amplitudes", n_qubits=127, n_features=127, layers=3,
        entanglement="heavy_hex",
    )  # fmt: skip
    rows = Bindings(np.zeros((1, 127)), np.zeros(circuit.template.n_params))
    measured = named_observables("zz", (26, 85))
    with pytest.raises(ResourceError, match=r"light cone of Z26 Z85 has \d\d qubits") as caught:
        WHOLE.check(circuit.template, measured, rows)
    assert caught.value.value > 30
    assert re.search(r"layer \d+ of 1\d, counted by depth", caught.value.message)
    assert "matrix_product_state" in str(caught.value.fix)
    (worst,) = measured
    assert growth_beyond(circuit.template, worst, 127) is None


REFUSED = {
    "shots": lambda t, o, b: WHOLE.evaluate(t, o, b, shots=10),
    "shots of every evaluation": lambda t, o, b: StatevectorBackend(shots=10).check(t, o, b),
    "noise": lambda t, o, b: StatevectorBackend(noise={"readout": 0.1}).check(t, o, b),
    "states": lambda t, _, b: WHOLE.states(t, b),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_needs_the_whole_state_is_refused_with_the_way_out(what):
    template, measured, bindings = _wide("line, cz")
    with pytest.raises(BackendError, match=r"the whole state, .* 30 qubits") as caught:
        REFUSED[what](template, measured, bindings)
    assert "matrix_product_state" in str(caught.value.fix)


@pytest.mark.parametrize("options", [{"shots": 10}, {"noise": {"readout": 0.1}}])
def test_light_cones_are_exact_only(options):
    with pytest.raises(ConfigError, match="light cones give exact values"):
        StatevectorBackend(light_cones=True, **options)
