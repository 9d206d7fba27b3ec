"""A circuit in two programs: the values and gradients of the whole one, inputs included."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from qstore_ray.backends.base import Bindings
from qstore_ray.backends.blocks import summed
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.observable import Observable, z_observables
from qstore_ray.circuits.template import Op, Template, param, row
from qstore_ray.simulate import _kernels
from qstore_ray.simulate.compile import tail
from qstore_ray.simulate.engines import native
from qstore_ray.testing.strategies import random_states

BLOCK = tail.BLOCK
GATES = ("ry", "rz", "rx", "h", "s", "cx", "cz", "crx", "crz", "rzz", "swap", "y")


@pytest.fixture(scope="class")
def always_cut() -> Iterator[None]:
    """Any cut is worth it, of any circuit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tail, "WORTH", np.inf)
        patch.setattr(tail, "NARROWEST", 5)
        tail.compile_cut.cache_clear()
        yield
    tail.compile_cut.cache_clear()


@st.composite
def ending_on_few(draw: st.DrawFn) -> tuple[Template, tuple[Observable, ...]]:
    """Gates with inputs on all of 5 or 6 qubits, then shared ones on three of them."""
    n = draw(st.integers(5, 6))
    few = draw(st.permutations(range(n)))[:3]
    ops = [Op("ry", (q,), (row(q),)) for q in range(n)]
    ops += draw(st.lists(_gates(range(n), rows=n), max_size=12))
    ops += draw(st.lists(_gates(few, rows=0), min_size=1, max_size=8))
    seen = [Observable.parse(f"{a}{few[0]} {b}{few[1]}") for a, b in ("ZZ", "XY")]
    initial = draw(st.sampled_from(["zeros", "amplitudes"]))
    return Template(n, tuple(ops), n, 4, initial), (*seen, z_observables(n)[few[2]])


@st.composite
def _gates(draw: st.DrawFn, qubits, rows: int) -> Op:
    gate = draw(st.sampled_from(GATES))
    two = gate in ("cx", "cz", "crx", "crz", "rzz", "swap")
    on = tuple(draw(st.permutations(list(qubits)))[: 2 if two else 1])
    if gate not in ("ry", "rz", "rx", "crx", "crz", "rzz"):
        return Op(gate, on)
    if rows and draw(st.booleans()):
        return Op(gate, on, (row(draw(st.integers(0, rows - 1))),))
    return Op(gate, on, (param(draw(st.integers(0, 3)), draw(st.sampled_from([1.0, -2.0]))),))


def both(template: Template, observables: tuple[Observable, ...], n_rows: int, seed: int) -> None:
    """The cut circuit and the whole one agree."""
    rng = np.random.default_rng(seed)
    start = random_states(rng, n_rows, template.n_qubits)
    b = Bindings(
        rng.uniform(-4, 4, (n_rows, template.n_rows)),
        rng.uniform(-4, 4, template.n_params),
        start if template.initial == "amplitudes" else None,
    )
    cotangent = rng.normal(size=(n_rows, len(observables)))
    backend = StatevectorBackend("native")
    whole, pull = backend.vjp(template, observables, b, rows_gradient=True)
    expected = summed(pull(cotangent), BLOCK)
    cut, pull = backend.vjp(template, observables, b, rows_gradient=True, block=BLOCK)
    found = pull(cotangent)
    np.testing.assert_allclose(cut.values, whole.values, atol=1e-12, rtol=0)
    for ours, theirs in zip(found, expected, strict=True):
        if theirs is not None:
            np.testing.assert_allclose(ours, theirs, atol=1e-12, rtol=0)


@pytest.mark.usefixtures("always_cut")
class TestAnyCircuit:
    @settings(max_examples=60, deadline=None)
    @given(ending_on_few(), st.integers(1, 35), st.integers(0, 2**32 - 1))
    def test_a_cut_circuit_gives_what_the_whole_one_gives(self, case, n_rows, seed):
        assume(tail.compile_cut(*case) is not None)
        both(*case, n_rows, seed)


def convolutional(n_qubits: int) -> Template:
    """RY(row), then pairs that entangle and drop one of their qubits, until one is left."""
    ops = [Op("ry", (q,), (row(q),)) for q in range(n_qubits)]
    active, slot = list(range(n_qubits)), 0
    while len(active) > 1:
        for a, b in [*zip(active[::2], active[1::2], strict=False),
                     *zip(active[1::2], active[2::2], strict=False)]:  # fmt: skip
            ops += [Op("ry", (a,), (param(slot),)), Op("cx", (a, b))]
            ops += [Op("rz", (b,), (param(slot + 1),)), Op("ry", (b,), (param(slot + 2),))]
        for a, b in zip(active[::2], active[1::2], strict=False):
            ops.append(Op("crx", (a, b), (param(slot + 3),)))
        active = active[1::2] + ([active[-1]] if len(active) % 2 else [])
        slot += 4
    return Template(n_qubits, tuple(ops), n_qubits, slot)


@pytest.mark.parametrize("instructions", ["avx512", "avx2", "generic"])
@pytest.mark.parametrize("n_qubits", [8, 10, 12])
@pytest.mark.parametrize("stored", [True, False])
def test_convolutional_circuits_are_cut(n_qubits, instructions, stored, monkeypatch):
    try:
        _kernels.use(instructions)
    except ValueError:
        pytest.skip(f"this processor has no {instructions}")
    native.load.cache_clear()
    monkeypatch.setattr(native, "KEPT_BYTES", 2**30 if stored else 0)
    template, seen = convolutional(n_qubits), (z_observables(n_qubits)[n_qubits - 1],)
    assert tail.compile_cut(template, seen) is not None
    try:
        both(template, seen, 3 if n_qubits == 12 else 19, 1)
    finally:
        _kernels.use()
        native.load.cache_clear()


def test_blocks_do_not_depend_on_the_rows_beside_them_nor_on_threads():
    template, seen = convolutional(8), (z_observables(8)[7],)
    rng = np.random.default_rng(2)
    rows, params = rng.normal(size=(67, 8)), rng.normal(size=template.n_params)
    cotangent = rng.normal(size=(67, 1))

    def run(part: slice, threads: int) -> tuple[np.ndarray, np.ndarray]:
        backend = StatevectorBackend("native", threads=threads)
        b = Bindings(rows[part], params)
        estimates, pull = backend.vjp(template, seen, b, block=BLOCK)
        return estimates.values, pull(cotangent[part]).params

    values, gradients = run(slice(None), 1)
    assert gradients.shape == (5, template.n_params)
    for threads in (2, 3):
        for found, expected in zip(run(slice(None), threads), (values, gradients), strict=True):
            np.testing.assert_array_equal(found, expected)
    some = slice(2 * BLOCK, 4 * BLOCK)
    for found, expected in zip(run(some, 1), (values[some], gradients[2:4]), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_circuits_that_end_on_all_qubits_stay_whole():
    template = convolutional(8)
    assert tail.compile_cut(template, z_observables(8)) is None
    assert tail.compile_cut(convolutional(4), (z_observables(4)[3],)) is None


def layered(n_qubits: int, tail_gates: int) -> Template:
    """A layer on all qubits, then gates on the last two."""
    ops = [Op("ry", (q,), (row(q),)) for q in range(n_qubits)]
    for q in range(n_qubits):
        ops += [Op("rx", (q,), (param(2 * q),)), Op("rz", (q,), (param(2 * q + 1),))]
    ops += [Op("cx", (q, q + 1)) for q in range(n_qubits - 1)]
    a, b, slot = n_qubits - 2, n_qubits - 1, 2 * n_qubits
    for _ in range(tail_gates):
        ops += [Op("ry", (a,), (param(slot),)), Op("rz", (b,), (param(slot + 1),)),
                Op("cx", (a, b)), Op("rx", (a,), (param(slot + 2),)), Op("cx", (b, a))]  # fmt: skip
        slot += 3
    return Template(n_qubits, tuple(ops), n_qubits, slot)


def test_a_short_tail_is_not_worth_its_density_matrices():
    seen = (z_observables(9)[8],)
    assert tail.compile_cut(layered(9, 1), seen) is None
    cut = tail.compile_cut(layered(9, 4), seen)
    assert cut is not None
    assert len(cut.head.kept) == 2
