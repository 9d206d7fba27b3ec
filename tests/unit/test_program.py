"""Compiled programs: which gates become which passes, and that the passes are the circuit."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from qstore_ray.circuits.gates import GATES
from qstore_ray.circuits.library import ANSATZE, ENTANGLEMENTS, build_circuit
from qstore_ray.circuits.observable import Observable, PauliTerm, z_observables
from qstore_ray.circuits.template import Op, Template, const, param, row
from qstore_ray.simulate import arrays, compiled, reference
from qstore_ray.simulate.compiler import compile_program
from qstore_ray.simulate.program import DIAG, PERM, RUN, ZROT, Program
from tests.strategies import cases, random_states

Z = z_observables(1)
few = settings(max_examples=40)


def _program(n_qubits: int, *ops: Op, n_rows: int = 0, n_params: int = 0) -> Program:
    return compile_program(Template(n_qubits, ops, n_rows, n_params), Z)


def _kinds(program: Program) -> list[int]:
    return [int(kind) for kind in program.code[:, 0]]


def _ring(gate: str, n_qubits: int) -> list[Op]:
    return [Op(gate, (q, (q + 1) % n_qubits)) for q in range(n_qubits)]


def _chain(gate: str, n_qubits: int) -> list[Op]:
    return [Op(gate, (q, q + 1)) for q in range(n_qubits - 1)]


# ------------------------------------------------------------------------- what becomes of gates


def test_a_chain_of_cx_is_one_permutation():
    assert _kinds(_program(5, *_chain("cx", 5))) == [PERM]


def test_cx_and_swap_share_one_permutation():
    assert _kinds(_program(3, Op("cx", (0, 1)), Op("swap", (1, 2)), Op("cx", (2, 0)))) == [PERM]


def test_a_ring_of_cz_is_one_vector_of_phases():
    program = _program(4, *_ring("cz", 4))
    assert _kinds(program) == [DIAG]
    assert program.phases.shape == (1, 2, 16)


def test_constant_rzz_joins_the_phases_of_cz():
    assert _kinds(_program(2, Op("cz", (0, 1)), Op("rzz", (0, 1), (const(0.4),)))) == [DIAG]


def test_rzz_of_a_parameter_is_a_pass_of_its_own():
    ops = [Op("rzz", (0, 2), (param(0),)), Op("rzz", (0, 1), (param(0),))]
    program = _program(3, *ops, n_params=1)
    assert _kinds(program) == [ZROT, ZROT]
    np.testing.assert_array_equal(program.code[:, 1], [0b101, 0b011])


def test_permutations_and_phases_do_not_mix():
    ops = (Op("cx", (0, 1)), Op("cz", (0, 1)), Op("cx", (0, 1)))
    assert _kinds(_program(2, *ops)) == [PERM, DIAG, PERM]


def test_neighbours_on_a_qubit_are_one_run():
    ops = [Op("ry", (0,), (param(0),)), Op("h", (0,)), Op("t", (0,)), Op("rz", (0,), (param(0),))]
    program = _program(1, *ops, n_params=1)
    assert _kinds(program) == [RUN]
    assert len(program.elements) == 3, "RY, the product of H and T, RZ"
    assert len(program.matrices) == 1
    assert len(program.gates) == 2


def test_a_gate_on_another_qubit_does_not_end_a_run():
    ops = [Op("ry", (q,), (param(q),)) for q in (0, 1, 0, 1, 0)]
    assert _kinds(_program(2, *ops, n_params=2)) == [RUN, RUN]


def test_a_run_moves_in_front_of_what_does_not_touch_its_qubit():
    ops = (Op("cx", (0, 1)), Op("h", (2,)), Op("cx", (1, 0)), Op("cx", (1, 2)))
    program = _program(3, *ops)
    assert _kinds(program) == [RUN, PERM]
    assert program.n_leading == 1


def test_a_run_stays_behind_what_touches_its_qubit():
    program = _program(2, Op("cx", (0, 1)), Op("h", (1,)), Op("cx", (0, 1)))
    assert _kinds(program) == [PERM, RUN, PERM]
    assert program.n_leading == 0


def test_the_runs_at_the_start_are_counted():
    ops = [Op("ry", (q,), (param(q),)) for q in range(4)]
    program = _program(4, *ops, *_chain("cx", 4), *ops, n_params=4)
    assert _kinds(program) == [RUN] * 4 + [PERM] + [RUN] * 4
    assert program.n_leading == 4
    assert sorted(program.code[:4, 1]) == [0, 1, 2, 3]


def test_on_amplitudes_no_run_is_leading():
    template = Template(2, (Op("h", (0,)), Op("h", (1,))), initial="amplitudes")
    assert compile_program(template, Z).n_leading == 0


def test_a_layer_of_an_ansatz_is_a_pass_a_qubit_and_one_for_the_entanglers():
    circuit = build_circuit(
        encoding="angle", ansatz="hardware_efficient", n_qubits=6, n_features=6, layers=3
    )
    program = compile_program(circuit.template, Z)
    assert _kinds(program).count(RUN) == 4 * 6
    assert _kinds(program).count(DIAG) == 3
    assert len(program.code) == 27
    assert program.n_leading == 6


def test_a_circuit_without_gates_has_no_passes():
    program = _program(3)
    assert program.code.shape == (0, 4)
    assert (program.n_leading, program.n_slots, program.dim) == (0, 0, 8)


def test_what_varies_by_row_is_marked():
    template = Template(2, (Op("rx", (0,), (row(0),)), Op("rx", (1,), (param(0, 2.0, 0.5),))), 1, 1)
    shared, per_row = compile_program(template, Z), compile_program(template, Z, True)
    assert sorted(shared.gates.tolist()) == [[0, 1], [1, 0]]
    assert sorted(shared.run_has_row) == [0, 1]
    assert sorted(per_row.gates.tolist()) == [[1, 0], [1, 1]]
    assert sorted(per_row.run_has_row) == [1, 1]
    assert sorted(shared.affine.tolist()) == [[1.0, 0.0], [2.0, 0.5]]


def test_the_reverse_sweep_stops_at_the_first_gradient_that_is_asked_for():
    layer = [Op("cx", (0, 1)), Op("cx", (1, 0))]
    encoding = [Op("rx", (q,), (row(q),)) for q in range(2)]
    trained = [Op("ry", (q,), (param(0),)) for q in range(2)]
    program = _program(2, *encoding, *layer, *trained, n_rows=2, n_params=1)
    assert _kinds(program) == [RUN, RUN, PERM, RUN, RUN]
    assert program.last_pass_to_undo(rows_gradient=False) == 3
    assert program.last_pass_to_undo(rows_gradient=True) == 0
    assert _program(2, *layer).last_pass_to_undo(rows_gradient=True) == 1


def test_equal_circuits_are_compiled_once():
    first, second = (Template(2, (Op("rx", (0,), (param(0),)),), 0, 1) for _ in range(2))
    assert compile_program(first, Z) is compile_program(second, Z)


def test_a_program_holds_the_observables():
    program = compile_program(
        Template(2, ()), (Observable.parse("2*X0 Y1 - Z1"), Observable.parse("I"))
    )
    np.testing.assert_array_equal(
        program.terms, [[0b11, 0b10, 1, 0], [0, 0b10, 0, 0], [0, 0, 0, 1]]
    )
    np.testing.assert_array_equal(program.coefficients, [2.0, -1.0, 1.0])


# ---------------------------------------------------------------------- the passes are the circuit


def _all_paulis(n_qubits: int) -> tuple[Observable, ...]:
    """Every Pauli string: their values are the state's, up to the global phase."""
    masks = range(2**n_qubits)
    return tuple(Observable((PauliTerm(x, z),)) for x in masks for z in masks)


def _engines(template, observables, rows, params, amplitudes=None) -> list[np.ndarray]:
    program = compile_program(template, tuple(observables), params.ndim == 2)
    return [
        compiled.forward(program, rows, params, amplitudes, keep=False)[0],
        arrays.forward(program, rows, params, amplitudes)[0],
    ]


def _gradients(template, observables, rows, params, cotangent, amplitudes=None):
    program = compile_program(template, tuple(observables), params.ndim == 2)
    _, fast = compiled.forward(program, rows, params, amplitudes, keep=True)
    _, slow = arrays.forward(program, rows, params, amplitudes)
    return (
        compiled.reverse(fast, cotangent, rows_gradient=True),
        arrays.reverse(slow, cotangent, rows_gradient=True),
    )


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
def test_both_engines_agree_on_circuits_too_wide_for_the_reference(ansatz, entanglement):
    if ansatz == "strongly_entangling" and entanglement != "ring":
        return  # it has its own entanglement
    template = build_circuit(
        encoding="iqp", ansatz=ansatz, n_qubits=7, n_features=7, layers=2,
        entanglement=entanglement,
    ).template  # fmt: skip
    seen = [Observable.parse(text) for text in ("Z0", "X3 Y6", "Z1 Z5 + 0.3*X2")]
    rng = np.random.default_rng(3)
    rows, params = rng.normal(size=(10, template.n_rows)), rng.normal(size=template.n_params)
    fast, slow = _engines(template, seen, rows, params)
    np.testing.assert_allclose(fast, slow, atol=1e-13, rtol=0)
    one, other = _gradients(template, seen, rows, params, rng.normal(size=(10, 3)))
    np.testing.assert_allclose(one.slots, other.slots, atol=1e-12, rtol=0)
    assert np.abs(one.slots).max() > 0.01


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
    one, other = _gradients(
        template, _all_paulis(2), *arguments, rng.normal(size=(n_rows, 16)), amplitudes
    )
    assert one.slots.shape == other.slots.shape == (n_rows, 0)
    if initial == "amplitudes":
        np.testing.assert_allclose(one.amplitudes, other.amplitudes, atol=1e-12, rtol=0)
    else:
        assert one.amplitudes is None
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


def test_machine_code_is_kept_apart_for_every_content_of_the_kernels() -> None:
    """numba would go on using code of kernels that have changed in another file."""
    from qstore_ray.simulate import simd, sweep

    folder = Path(simd.__file__).parent
    digest = hashlib.sha256()
    for name in ("simd.py", "runs.py", "kernels.py", "sweep.py"):
        digest.update((folder / name).read_bytes())
    assert digest.hexdigest()[:16] in sweep.forward.stats.cache_path
    jitted = {path.name for path in folder.glob("*.py") if "@jit" in path.read_text()}
    assert jitted == {"runs.py", "kernels.py", "sweep.py"}


def test_kernels_compiled_ahead_are_those_that_are_used() -> None:
    """Compiling ahead is for nothing if a circuit then asks for kernels of other types."""
    from qstore_ray.backends.base import Bindings
    from qstore_ray.backends.statevector import StatevectorBackend
    from qstore_ray.simulate import sweep
    from qstore_ray.simulate.compiled import compile_kernels

    compile_kernels()
    template = Template(2, (Op("ry", (0,), (row(0),)), Op("rzz", (0, 1), (param(0),))), 1, 1)
    bindings = Bindings(np.ones((3, 1)), np.ones(1))
    _, pullback = StatevectorBackend("numba").vjp(template, Z, bindings, rows_gradient=True)
    pullback(np.ones((3, len(Z))))
    assert len(sweep.forward.signatures) == len(sweep.reverse.signatures) == 1
