"""The engines: each gives what the reference gives, on every instruction set and layout."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.gates import GATES
from qstore_ray.circuits.library.library import ANSATZE, ENTANGLEMENTS, build_circuit
from qstore_ray.circuits.observable import Observable, PauliTerm, z_observables
from qstore_ray.circuits.template import Op, Template, const, param, row
from qstore_ray.errors import BackendError, MissingDependencyError, UnknownNameError
from qstore_ray.simulate import _kernels, reference
from qstore_ray.simulate.compile.compiler import compile_program
from qstore_ray.simulate.compile.tail import compile_cut
from qstore_ray.simulate.engines import arrays, native
from qstore_ray.simulate.engines.engines import (
    _warn_of_numpy,
    choose_engine,
    describe,
    engines,
    open_engine,
    state_bytes,
)
from qstore_ray.testing.strategies import cases, random_states
from tests.unit.simulate.test_tail import convolutional

NAMES = ("native", "numpy")
few = settings(max_examples=40)


def _all_paulis(n_qubits: int) -> tuple[Observable, ...]:
    """Every Pauli string: their values are the state's, up to the global phase."""
    masks = range(2**n_qubits)
    return tuple(Observable((PauliTerm(x, z),)) for x in masks for z in masks)


def _engines(template, observables, rows, params, amplitudes=None) -> list[np.ndarray]:
    program = compile_program(template, tuple(observables), params.ndim == 2)
    return [
        open_engine(name).forward(program, rows, params, amplitudes, keep=False)[0]
        for name in NAMES
    ]


def _gradients(template, observables, rows, params, cotangent, amplitudes=None):
    program = compile_program(template, tuple(observables), params.ndim == 2)
    found = []
    for name in NAMES:
        engine = open_engine(name)
        _, tape = engine.forward(program, rows, params, amplitudes, keep=True)
        found.append(engine.reverse(tape, cotangent, rows_gradient=True))
    return found


@few
@given(cases())
def test_passes_leave_the_state_that_the_gates_leave(case):
    template, _, b = case
    paulis = _all_paulis(template.n_qubits)
    expected = reference.expectations(template, paulis, b.rows, b.params, b.amplitudes)
    for found in _engines(template, paulis, b.rows, b.params, b.amplitudes):
        np.testing.assert_allclose(found, expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("first", ["cx", "cz", "swap", "rzz", "iswap", "ccx"])
@pytest.mark.parametrize("second", ["cx", "cz", "swap", "rzz", "crx"])
@pytest.mark.parametrize("initial", ["zeros", "amplitudes"])
def test_entanglers_next_to_each_other_keep_their_order(first, second, initial):
    ops = [Op("ry", (q,), (const(0.3 + q),)) for q in range(3)]
    for gate, qubits in ((first, (0, 1, 2)), (second, (1, 2)), (first, (2, 0, 1)), ("h", (1,))):
        angles = (param(0),) * GATES[gate].n_angles
        ops += [Op(gate, qubits[: GATES[gate].n_qubits], angles), Op("sx", (2,))]
    template = Template(3, tuple(ops), 0, 1, initial)
    rng = np.random.default_rng(0)
    amplitudes = random_states(rng, 2, 3) if initial == "amplitudes" else None
    arguments = (np.zeros((2, 0)), np.array([0.7]), amplitudes)
    expected = reference.expectations(template, _all_paulis(3), *arguments)
    for found in _engines(template, _all_paulis(3), *arguments):
        np.testing.assert_allclose(found, expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("ansatz", ANSATZE)
@pytest.mark.parametrize("entanglement", ENTANGLEMENTS)
def test_engines_agree_on_circuits_too_wide_for_the_reference(ansatz, entanglement):
    if ansatz == "strongly_entangling" and entanglement != "ring":
        return  # it has its own entanglement
    template = build_circuit(
        encoding="iqp", ansatz=ansatz, n_qubits=7, n_features=7, layers=2,
        entanglement=entanglement,
    ).template  # fmt: skip
    seen = [Observable.parse(text) for text in ("Z0", "X3 Y6", "Z1 Z5 + 0.3*X2")]
    rng = np.random.default_rng(3)
    rows, params = rng.normal(size=(10, template.n_rows)), rng.normal(size=template.n_params)
    *fast, slow = _engines(template, seen, rows, params)
    *ours, other = _gradients(template, seen, rows, params, rng.normal(size=(10, 3)))
    for values, gradients in zip(fast, ours, strict=True):
        np.testing.assert_allclose(values, slow, atol=1e-13, rtol=0)
        np.testing.assert_allclose(gradients.slots, other.slots, atol=1e-12, rtol=0)
    assert np.abs(other.slots).max() > 0.01


@pytest.mark.parametrize("n_rows", [0, 1, 8, 9])
@pytest.mark.parametrize("initial", ["zeros", "amplitudes"])
def test_circuits_without_slots_and_batches_without_rows(n_rows: int, initial):
    template = Template(2, (Op("h", (0,)), Op("cx", (0, 1))), initial=initial)
    rng = np.random.default_rng(0)
    amplitudes = random_states(rng, n_rows, 2) if initial == "amplitudes" else None
    arguments = (np.zeros((n_rows, 0)), np.zeros(0))
    expected = reference.expectations(template, _all_paulis(2), *arguments, amplitudes)
    for found in _engines(template, _all_paulis(2), *arguments, amplitudes):
        assert found.shape == (n_rows, 16)
        np.testing.assert_allclose(found, expected, atol=1e-13, rtol=0)
    *ours, other = _gradients(
        template, _all_paulis(2), *arguments, rng.normal(size=(n_rows, 16)), amplitudes
    )
    for found in ours:
        assert found.slots.shape == other.slots.shape == (n_rows, 0)
        if initial == "amplitudes":
            np.testing.assert_allclose(found.amplitudes, other.amplitudes, atol=1e-12, rtol=0)
        else:
            assert found.amplitudes is None
            assert other.amplitudes is None


def test_rows_in_several_chunks_are_rows_in_one(monkeypatch: pytest.MonkeyPatch):
    template = build_circuit(
        encoding="angle", ansatz="efficient_su2", n_qubits=3, n_features=3, layers=1
    ).template
    rng = np.random.default_rng(0)
    rows, params = rng.normal(size=(7, 3)), rng.normal(size=template.n_params)
    program = compile_program(template, z_observables(3))
    cotangent = rng.normal(size=(7, 3))
    values, tape = arrays.forward(program, rows, params, None)
    gradients = arrays.reverse(tape, cotangent, rows_gradient=True)
    monkeypatch.setattr(arrays, "CHUNK_BYTES", 2 * 8 * 16)
    chunked, tape = arrays.forward(program, rows, params, None)
    np.testing.assert_allclose(chunked, values, atol=1e-14, rtol=0)
    found = arrays.reverse(tape, cotangent, rows_gradient=True)
    np.testing.assert_allclose(found.slots, gradients.slots, atol=1e-14, rtol=0)


# --------------------------------------------------------------------------- the native kernels


INSTRUCTIONS = ("avx512", "avx2", "generic")


@pytest.fixture
def fresh() -> Iterator[None]:
    """Programs are loaded for the kernels in use: forget them before and after."""
    native.load.cache_clear()
    yield
    _kernels.use()
    native.load.cache_clear()


def _use(name: str) -> None:
    try:
        _kernels.use(name)
    except ValueError:
        pytest.skip(f"this processor has no {name}")


def _same_as_numpy(case, tolerance: float, precision: str = "complex128") -> None:
    template, seen, b = case
    program = compile_program(template, seen, b.params.ndim == 2)
    arguments = (program, b.rows, b.params, b.amplitudes)
    values, tape = native.forward(*arguments, keep=True, precision=precision)
    expected, slow = arrays.forward(*arguments)
    np.testing.assert_allclose(values, expected, atol=tolerance, rtol=0)
    cotangent = np.cos(np.arange(values.size)).reshape(values.shape)
    found = native.reverse(tape, cotangent, rows_gradient=True)
    right = arrays.reverse(slow, cotangent, rows_gradient=True)
    np.testing.assert_allclose(found.slots, right.slots, atol=10 * tolerance, rtol=0)
    if right.amplitudes is not None:
        np.testing.assert_allclose(found.amplitudes, right.amplitudes, atol=10 * tolerance, rtol=0)


@pytest.mark.parametrize("instructions", INSTRUCTIONS)
@pytest.mark.parametrize("wide", [99, 3], ids=["rows in a vector", "amplitudes in a vector"])
@pytest.mark.parametrize(("precision", "tolerance"), [("complex128", 1e-11), ("complex64", 2e-5)])
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases(max_qubits=6, max_ops=16, max_rows=11))
def test_every_kernel_gives_what_numpy_gives(
    instructions, wide, precision, tolerance, case, fresh, monkeypatch: pytest.MonkeyPatch
):
    _use(instructions)
    monkeypatch.setattr(native, "WIDE", wide)
    native.load.cache_clear()
    _same_as_numpy(case, tolerance, precision)


@pytest.mark.parametrize("angle", [0.0, np.pi / 2, np.pi, -np.pi, 3 * np.pi, 1e3, -1e6, 1e9])
def test_any_angle_is_as_good_as_a_small_one(angle: float):
    """Half turns are taken out of shared angles, and the vectorised sine has its own range."""
    ops = [Op("ry", (q,), (param(q),)) for q in range(3)] + [Op("rz", (0,), (param(0),))]
    ops += [Op("cx", (0, 1)), Op("ry", (1,), (param(1),)), Op("rx", (0,), (param(2),))]
    ops += [Op("rz", (1,), (param(0),)), Op("rzz", (1, 2), (param(1),)), Op("h", (1,))]
    template = Template(3, tuple(ops * 2), 0, 3)
    params = angle + np.array([0.0, 0.1, -0.2])
    seen = _all_paulis(3)
    expected = reference.expectations(template, seen, np.zeros((1, 0)), params)
    found, _ = native.forward(
        compile_program(template, seen), np.zeros((1, 0)), params, None, keep=False
    )
    np.testing.assert_allclose(found, expected, atol=1e-11 * max(1.0, abs(angle) * 1e-4), rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_a_huge_angle_in_one_row_leaves_the_bits_of_the_others(name: str):
    """Its sine takes another way; the rows beside it in a vector must not notice."""
    ops = (Op("h", (0,)), Op("rz", (0,), (row(0),)), Op("ry", (0,), (row(0, 0.3),)))
    program = compile_program(Template(1, ops, 1, 0), _all_paulis(1))
    rows = np.linspace(-3, 3, 8)[:, None]
    calm, _ = open_engine(name).forward(program, rows, np.zeros(0), None, keep=False)
    rows[7] = 1e6
    wild, _ = open_engine(name).forward(program, rows, np.zeros(0), None, keep=False)
    np.testing.assert_array_equal(calm[:7], wild[:7])
    assert (calm[7] != wild[7]).any()


def test_hundreds_of_layers_stay_normalised():
    """A turn leaves out its cosine: without care, 2^(turns/2) would overflow."""
    ops = [Op("ry", (q,), (param(0),)) if step % 2 else Op("cx", (q, (q + 1) % 4))
           for step in range(900) for q in range(4)]  # fmt: skip
    template = Template(4, tuple(ops), 0, 1)
    program = compile_program(template, z_observables(4))
    arguments = (program, np.zeros((3, 0)), np.array([1.4]), None)
    for precision, tolerance in (("complex128", 1e-10), ("complex64", 1e-3)):
        values, tape = native.forward(*arguments, keep=True, precision=precision)
        expected, slow = arrays.forward(*arguments)
        np.testing.assert_allclose(values, expected, atol=tolerance, rtol=0)
        cotangent = np.ones((3, 4))
        found = native.reverse(tape, cotangent, rows_gradient=False).slots
        right = arrays.reverse(slow, cotangent, rows_gradient=False).slots
        np.testing.assert_allclose(found, right, rtol=100 * tolerance)


def test_phases_that_are_not_kept_are_computed_again(monkeypatch: pytest.MonkeyPatch, fresh):
    template = build_circuit(
        encoding="angle", ansatz="strongly_entangling", n_qubits=4, n_features=4, layers=4
    ).template
    rng = np.random.default_rng(0)
    rows, params = rng.normal(size=(9, 4)), rng.normal(size=template.n_params)
    program = compile_program(template, z_observables(4))

    def run() -> list[np.ndarray]:
        native.load.cache_clear()
        values, tape = native.forward(program, rows, params, None, keep=True)
        return [values, native.reverse(tape, np.ones((9, 4)), rows_gradient=True).slots]

    kept = run()
    assert (native.load(program).passes[:, 10] >= 0).sum() > 1, "this circuit has tables"
    monkeypatch.setattr(native, "TABLE_BYTES", 0)
    for found, expected in zip(run(), kept, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-13, rtol=0)
    assert (native.load(program).passes[:, 10] < 0).all()


def test_a_tape_may_be_used_twice():
    template = build_circuit(
        encoding="angle", ansatz="hardware_efficient", n_qubits=3, n_features=3, layers=2
    ).template
    rng = np.random.default_rng(0)
    program = compile_program(template, z_observables(3))
    arguments = (program, rng.normal(size=(5, 3)), rng.normal(size=template.n_params), None)
    _, tape = native.forward(*arguments, keep=True)
    first, second = (native.reverse(tape, np.ones((5, 3)), rows_gradient=True) for _ in range(2))
    np.testing.assert_array_equal(first.slots, second.slots)


def test_memory_does_not_grow_with_depth():
    shallow, deep = (
        compile_program(
            build_circuit(
                encoding="angle", ansatz="hardware_efficient", n_qubits=13, n_features=13,
                layers=layers,
            ).template,
            z_observables(13),
        )
        for layers in (2, 40)
    )  # fmt: skip
    extra = native.load(deep).scratch_bytes - native.load(shallow).scratch_bytes
    assert extra < 400 * len(deep.x), "a few numbers a rotation, no states"
    states = state_bytes("native", 13, 1, "complex128")
    assert states < native.load(shallow).scratch_bytes < 1.2 * states


def test_a_wrong_call_is_an_error_and_not_a_crash():
    program = compile_program(Template(2, (Op("ry", (0,), (param(0),)),), 0, 1), z_observables(2))
    loaded = native.load(program)
    with pytest.raises(ValueError, match="too short"):
        _kernels.sweep(
            0, 0, 0, 1, 0, 4, loaded.n_order, 1, 1, 0, 16, loaded.header,
            np.empty(loaded.shared_bytes, np.uint8), np.zeros((4, 0)), np.zeros(1), None,
            np.empty(loaded.scratch_bytes, np.uint8), np.empty(7), None, None, None, None,
            None, None,
        )  # fmt: skip
    cut = compile_cut(convolutional(8), z_observables(8)[7:])
    assert cut is not None
    loaded = native.load(cut.head)
    with pytest.raises(ValueError, match="observables of the kept qubits"):
        _kernels.sweep(
            0, 0, 0, 1, 0, 4, loaded.n_order, 1, 1, 0, 16, loaded.header,
            np.empty(loaded.shared_bytes, np.uint8), np.zeros((4, 8)), np.zeros(99), None,
            np.empty(loaded.scratch_bytes, np.uint8), np.empty(32), None, None, None, None,
            None, None,
        )  # fmt: skip
    with pytest.raises(ValueError, match="no mmx"):
        _kernels.use("mmx")


# ------------------------------------------------------------------------------ choosing one


def test_the_fastest_engine_that_is_there_is_chosen(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    assert choose_engine("auto") == "native"
    assert describe("native").startswith("native (")
    assert describe("numpy") == "numpy"
    there = {"native": False, "numpy": True}
    monkeypatch.setattr("qstore_ray.simulate.engines.engines.engines", lambda: there)
    assert not caplog.records
    _warn_of_numpy.cache_clear()
    assert [choose_engine("auto") for _ in range(3)] == ["numpy"] * 3
    assert "kernels are missing" in caplog.text
    assert "600 times" in caplog.text
    assert "pip install ziglang" in caplog.text
    assert len(caplog.records) == 1  # a process says it once
    with pytest.raises(MissingDependencyError, match="native engine is not installed"):
        choose_engine("native")


def test_unknown_engines_and_precisions_are_refused():
    assert list(engines()) == list(NAMES)
    with pytest.raises(UnknownNameError):
        StatevectorBackend("cuda")
    with pytest.raises(UnknownNameError):
        StatevectorBackend(precision="float16")
    with pytest.raises(BackendError, match="complex128 only"):
        StatevectorBackend("numpy", precision="complex64")
