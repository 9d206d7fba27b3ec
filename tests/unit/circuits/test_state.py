"""What an OpenQASM program declares and builds: its qubits, operands, and control flow."""

from __future__ import annotations

import pytest

from qstore_ray.circuits.library.library import MAX_QUBITS
from qstore_ray.circuits.qasm.arithmetic import Qubits
from qstore_ray.circuits.qasm.state import Jump, ProgramState
from qstore_ray.circuits.qasm.tokens import Cursor
from qstore_ray.errors import CircuitError, ResourceError


def _no_block(state: ProgramState) -> None:
    raise AssertionError("no block is run here")


def _state(text: str) -> ProgramState:
    return ProgramState(Cursor(text, "mine"), _no_block)


def test_qubits_are_numbered_in_the_order_of_their_declaration():
    state = _state("q r")
    first, second = state.cursor.tokens[:2]
    assert state.new_qubits(2, first) == (0, 1)
    assert state.new_qubits(1, second) == (2,)
    assert state.new_qubits(9_997, second) == tuple(range(3, 10_000))
    assert state.n_qubits == 10_000
    with pytest.raises(ResourceError) as caught:
        state.new_qubits(1, second)
    message = "mine, line 1, column 3: 10001 qubits are declared, 10000 at most are read"
    assert (caught.value.message, caught.value.value) == (message, 10_001)
    assert caught.value.field == "circuit"
    assert caught.value.fix == "Declare only the qubits that gates act on."
    for size in (0, -1):
        with pytest.raises(CircuitError, match=f"column 3: a register of {size} qubits"):
            _state("q r").new_qubits(size, second)


def test_a_gate_touches_its_qubits_up_to_the_widest_circuit():
    state = _state("h  cx")
    first, second = state.cursor.tokens[:2]
    state.gate("h", range(MAX_QUBITS), first)
    state.gate("cx", (0, 5), second)
    assert state.history.touched == set(range(MAX_QUBITS))
    with pytest.raises(ResourceError) as caught:
        state.gate("cx", (0, MAX_QUBITS), second)
    assert caught.value.message.startswith("mine, line 1, column 4: more than 1,000 qubits have")
    assert caught.value.value == MAX_QUBITS + 1


def test_a_gate_behind_a_measurement_is_refused_with_both_places():
    state = _state("measure q;\n h q;\n  x q;")
    measure, gate, last = (state.cursor.tokens[k] for k in (0, 3, 6))
    state.measure(Qubits((1, 2)), measure)
    state.gate("h", (0,), gate)
    with pytest.raises(CircuitError) as caught:
        state.gate("x", (0, 2), last)
    assert caught.value.message.startswith(
        "mine, line 3, column 3: x acts on qubit 2 after its measurement in line 1, column 1: mid-"
    )
    state.cursor.at = 3
    state.measure(Qubits((0,)))
    with pytest.raises(CircuitError, match="qubit 0 after its measurement in line 2, column 2"):
        state.gate("x", (0,), last)


def test_operands_are_qubits_registers_and_parts_of_them():
    state = _state("q, q[1] ,r[0:1], q[-1]; r")
    state.values.scopes[0].update(q=Qubits((0, 1)), r=Qubits((4, 5, 6)), n=3)
    assert state.operands() == [
        Qubits((0, 1)),
        Qubits((1,), single=True),
        Qubits((4, 5)),
        Qubits((1,), single=True),
    ]
    assert state.operand() == Qubits((4, 5, 6))
    for text, message, value in (
        ("\n n;", "line 2, column 2: n is no qubit", "n"),
        (" no;", "line 1, column 2: no is not declared", "no"),
        ("q r;", "line 1, column 3: ',' is missing before 'r'", None),
        ("3;", "line 1, column 1: a name is missing before '3'", None),
    ):
        state.cursor = state.values.cursor = Cursor(text, "mine")
        with pytest.raises(CircuitError) as caught:
            state.operands()
        assert (caught.value.message, caught.value.value) == (f"mine, {message}", value)
    state.cursor = state.values.cursor = Cursor(";", "mine")
    assert state.operands() == []
    assert state.cursor.token.kind == "end"


def test_a_size_is_a_whole_number_in_brackets():
    state = _state("2 + 1] x")
    assert state.size() == 3
    assert state.cursor.token.text == "x"
    with pytest.raises(CircuitError, match="column 1: a size is no whole number"):
        _state("0.5]").size()
    with pytest.raises(CircuitError, match="column 3: ']' is missing before 'x'"):
        _state("2 x").size()


def test_a_program_begins_with_nothing():
    state = _state("x")
    counts = (state.n_qubits, state.steps, state.depth)
    assert counts == (0, 0, 0)
    assert (state.gates, state.subroutines, state.opaque, state.ops) == ({}, {}, set(), [])
    assert state.values.cursor is state.cursor
    assert state.block is _no_block
    jump = Jump(state.cursor.token, 3)
    assert (jump.kind, jump.value, jump.token, str(jump)) == ("x", 3, state.cursor.token, "x")
