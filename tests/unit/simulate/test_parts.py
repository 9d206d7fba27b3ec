"""Parts that meet late: the same values and gradients as the state of all qubits from the start."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings

from qstore_ray.backends.base import Bindings
from qstore_ray.circuits.observable import z_observables
from qstore_ray.circuits.template import Op, Template, param, row
from qstore_ray.simulate import _kernels
from qstore_ray.simulate.compile import parts
from qstore_ray.simulate.compile.compiler import compile_program
from qstore_ray.simulate.engines import arrays, native
from qstore_ray.testing.strategies import Case, cases


@pytest.fixture(scope="class")
def always_cut() -> Iterator[None]:
    """Any saving is worth a cut, of any circuit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "WORTH", 0.999)
        patch.setattr(parts, "NARROWEST", 2)
        patch.setattr(parts, "SMALLEST", 1)
        compile_program.cache_clear()
        yield
    compile_program.cache_clear()


def brickwork(n_qubits: int, layers: int) -> Template:
    """RY(row), then layers of RY, RZ and RZZ on the even, then on the odd pairs."""
    ops = [Op("ry", (q,), (row(q),)) for q in range(n_qubits)]
    slot = 0
    for layer in range(layers):
        for q in range(n_qubits):
            ops += [Op("ry", (q,), (param(slot),)), Op("rz", (q,), (param(slot + 1),))]
            slot += 2
        for q in range(layer % 2, n_qubits - 1, 2):
            ops.append(Op("rzz", (q, q + 1), (param(slot),)))
            slot += 1
    return Template(n_qubits, tuple(ops), n_qubits, slot)


def agree(case: Case) -> None:
    """The kernels give what whole states in numpy give."""
    template, observables, b = case
    program = compile_program(template, tuple(observables), b.params.ndim == 2)
    cotangent = np.random.default_rng(0).normal(size=(len(b), len(observables)))
    found = []
    for engine in (native, arrays):
        values, tape = engine.forward(program, b.rows, b.params, b.amplitudes, keep=True)
        slots, start = engine.reverse(tape, cotangent, rows_gradient=True)
        found.append([values, slots] if start is None else [values, slots, start])
    for ours, expected in zip(*found, strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-12, rtol=0)


@pytest.mark.usefixtures("always_cut")
class TestAnyCircuit:
    @settings(max_examples=60, deadline=None)
    @given(case=cases(max_qubits=5, max_ops=14))
    def test_parts_give_what_whole_states_give(self, case):
        agree(case)


@pytest.mark.parametrize("instructions", ["avx512", "avx2", "generic"])
@pytest.mark.parametrize("n_qubits", [8, 12])
@pytest.mark.parametrize("stored", [True, False])
def test_wide_circuits_are_cut(n_qubits, instructions, stored, monkeypatch):
    try:
        _kernels.use(instructions)
    except ValueError:
        pytest.skip(f"this processor has no {instructions}")
    native.load.cache_clear()
    monkeypatch.setattr(native, "KEPT_BYTES", 2**30 if stored else 0)
    template = brickwork(n_qubits, 3)
    rng = np.random.default_rng(1)
    b = Bindings(rng.normal(size=(3, n_qubits)), rng.normal(size=template.n_params))
    program = compile_program(template, z_observables(n_qubits))
    assert len(program.parts) > 1
    try:
        agree(Case(template, z_observables(n_qubits), b))
    finally:
        _kernels.use()
        native.load.cache_clear()


def test_a_part_is_a_range_of_qubits_and_comes_after_its_own():
    program = compile_program(brickwork(12, 3), z_observables(12))
    for number, (first, n_qubits, layer, *own) in enumerate(program.parts):
        inside = ((1 << n_qubits) - 1) << first
        later = program.parts[number + 1, 2] if number + 1 < len(program.parts) else None
        for _, begin, end in program.layers[layer:later]:
            assert not ((program.x[begin:end] | program.z[begin:end]) & ~inside).any()
        assert all(part < number for part in own)
        if own[0] >= 0:
            assert [int(program.parts[part, 1]) for part in own] == [
                int(program.parts[own[1], 0]) - first,
                first + n_qubits - int(program.parts[own[1], 0]),
            ]
    assert tuple(program.parts[-1, :2]) == (0, 12)


def test_the_rows_bits_do_not_depend_on_the_rows_beside_it():
    template = brickwork(8, 3)
    program = compile_program(template, z_observables(8))
    assert len(program.parts) > 1
    rng = np.random.default_rng(2)
    rows, params = rng.normal(size=(19, 8)), rng.normal(size=template.n_params)
    whole, _ = native.forward(program, rows, params, None, keep=False)
    for number in (0, 7, 18):
        alone, _ = native.forward(program, rows[number : number + 1], params, None, keep=False)
        np.testing.assert_array_equal(alone[0], whole[number])
