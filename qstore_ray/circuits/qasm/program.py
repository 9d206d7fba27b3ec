"""Run an OpenQASM 2 or 3 program and return the circuit that it builds.

A program is executed while it is parsed, because everything that it computes from constants is
known before the circuit runs: loops are unrolled, subroutines and gates are called, `const` and
`if (true)` are evaluated. The result is a list of gates, as a Qiskit circuit. A statement that
needs a measurement in the middle of the circuit is an error with its line.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from qiskit import QuantumCircuit

from qstore_ray.circuits.qasm.arithmetic import Qubits, Unknown
from qstore_ray.circuits.qasm.calls import MODIFIERS, call_subroutine, define_gate, run_gate_call
from qstore_ray.circuits.qasm.control import jump, run_for, run_if, run_switch, run_while
from qstore_ray.circuits.qasm.declarations import (
    DECLARATIONS,
    TYPES,
    declare_classical,
    run_assignment,
)
from qstore_ray.circuits.qasm.source import KNOWN_INCLUDES
from qstore_ray.circuits.qasm.state import Argument, Jump, ProgramState, Subroutine
from qstore_ray.circuits.qasm.tokens import Cursor, Token
from qstore_ray.circuits.qasm.values import TIMING

MOST_STEPS = 1_000_000
"""How many statements a program runs at most, those of its loops and gates again every time."""
_DEEPEST = 60
_REFUSED = {
    **dict.fromkeys(("cal", "defcal", "defcalgrammar", "extern"), "Describe it as gates."),
    "stretch": TIMING,
}
_HARMLESS_PRAGMAS = ("braket result", "braket verbatim")


def run_program(text: str, name: str) -> QuantumCircuit:
    """The circuit that a text in OpenQASM 2 or 3 builds, its measurements at the end.

    Raises:
        CircuitError: no OpenQASM, or what no circuit of gates can do, with file, line and column.
        ResourceError: too many qubits are declared.
    """
    state = ProgramState(Cursor(text, name), _block)
    _find_version(state)
    _number_physical_qubits(state)
    try:
        while state.cursor.token.kind != "end":
            _statement(state)
    except Jump as jump:
        if jump.kind != "end":
            message = f"{jump.kind} stands outside of what it leaves"
            raise state.cursor.error(message, jump.token) from jump
    if not state.n_qubits:
        state.cursor.refuse("the circuit has no qubits", fix="Declare them: qubit[2] q;")
    circuit = QuantumCircuit(state.n_qubits, len(state.history.measured))
    for gate, qubits in state.ops:
        if qubits:  # else a global phase
            circuit.append(gate, qubits, copy=False)
    for bit, qubit in enumerate(sorted(state.history.measured)):
        circuit.measure(qubit, bit)
    return circuit


def _find_version(state: ProgramState) -> None:
    words = [token.text for token in state.cursor.tokens]
    if "OPENQASM" in words:
        at = words.index("OPENQASM") + 1
        if words[at].partition(".")[0] not in ("2", "3"):
            state.cursor.refuse(
                "there are OpenQASM 2 and 3",
                state.cursor.tokens[at],
                value=words[at],
                fix='Write "OPENQASM 3.0;".',
            )
        state.values.version = int(words[at].partition(".")[0])
        return
    if not any(word in ("qreg", "qubit") or word.startswith("$") for word in words):
        what = "the text defines gates but" if "gate" in words else "this is no OpenQASM: it"
        state.cursor.refuse(
            f"{what} declares no qubits and no version",
            fix='Let the file begin with "OPENQASM 3.0;".',
        )
    state.values.version = 2 if "qreg" in words and "qubit" not in words else 3


def _version(state: ProgramState, _: Token) -> None:
    number = state.cursor.take()
    if number.text.partition(".")[0] != str(state.values.version):
        state.cursor.refuse(
            f"OpenQASM {number.text} in a text of OpenQASM {state.values.version}", number
        )
    state.cursor.expect(";")


def _number_physical_qubits(state: ProgramState) -> None:
    named = [t for t in state.cursor.tokens if t.kind == "name" and t.text.startswith("$")]
    if named:
        last = max(named, key=lambda token: int(token.text[1:10]))
        state.new_qubits(int(last.text[1:10]) + 1, last)
        for number in range(state.n_qubits):
            state.values.scopes[0][f"${number}"] = Qubits((number,), single=True)


def _statement(state: ProgramState) -> None:
    """Run the statement that is next."""
    token = state.cursor.token
    _count_step(state)
    if token.kind == "pragma":
        _pragma(state, state.cursor.take())
    elif token.text == "@":
        line = state.cursor.text.count("\n", 0, token.place)
        while state.cursor.text.count("\n", 0, state.cursor.token.place) == line:
            state.cursor.take()
    elif token.text == "{":
        _block(state)
    elif token.text == ";":
        state.cursor.take()
    elif token.kind != "name":
        state.cursor.refuse(f"no statement begins with {token.text!r}", token)
    else:
        _named_statement(state, token)


def _named_statement(state: ProgramState, token: Token) -> None:
    word = token.text
    if word in _REFUSED:
        state.cursor.refuse(f"{word} is not supported", token, value=word, fix=_REFUSED[word])
    if word in TYPES and state.cursor.tokens[state.cursor.at + 1].text != "(":
        declare_classical(state)
    elif (keyword := _KEYWORDS.get(word)) is not None:
        state.cursor.take()
        keyword(state, token)
    elif word in state.subroutines:
        state.cursor.take()
        call_subroutine(state, token)
    elif word not in MODIFIERS and _assigns(state):
        run_assignment(state, state.cursor.take())
    else:
        run_gate_call(state)


def _assigns(state: ProgramState) -> bool:
    at = state.cursor.at
    name = state.cursor.token.text
    if isinstance(state.values.look_up(name), Qubits):
        return False
    if not any(name in scope for scope in state.values.scopes):
        return False
    following = state.cursor.tokens[at + 1].text
    return following == "[" or following.endswith("=")


def _count_step(state: ProgramState) -> None:
    state.steps += 1
    if state.steps > MOST_STEPS:
        state.cursor.refuse(f"the program runs more than {MOST_STEPS:,} statements")


def _block(state: ProgramState) -> None:
    """Run what stands in braces, or the single statement that stands there instead."""
    state.depth += 1
    _count_step(state)
    if state.depth > _DEEPEST:
        state.cursor.refuse("blocks or calls are too deep in one another")
    state.values.scopes.append({})
    try:
        if not state.cursor.accept("{"):
            _statement(state)
        else:
            while not state.cursor.accept("}"):
                _statement(state)
    finally:
        state.values.scopes.pop()
        state.depth -= 1


def _pragma(state: ProgramState, token: Token) -> None:
    words = token.text.replace("#", " ").split()[1:]
    if not " ".join(words).startswith(_HARMLESS_PRAGMAS):
        state.cursor.refuse(
            f"the pragma {' '.join(words[:2])} may change the state and is not supported",
            token,
            value=token.text,
            fix="Remove the line, if the circuit is right without it.",
        )


def _include(state: ProgramState, token: Token) -> None:
    file = state.cursor.take()
    name = file.text.strip("\"'")
    state.cursor.expect(";")
    if file.kind != "string" or name.rpartition("/")[2] not in KNOWN_INCLUDES:
        state.cursor.refuse(
            f"a text cannot include {file.text}; only a file includes what lies beside it",
            token,
            value=name,
            fix="Give the path of the file instead of its text, or put the definitions here.",
        )


def _box(state: ProgramState, _: Token) -> None:
    if state.cursor.accept("["):
        state.cursor.skip_to("]")
        state.cursor.expect("]")
    _block(state)


def _opaque(state: ProgramState, _: Token) -> None:
    state.opaque.add(state.cursor.identifier().text)
    state.cursor.skip_to(";")
    state.cursor.expect(";")


def _def(state: ProgramState, _: Token) -> None:
    name = state.cursor.identifier()
    state.cursor.expect("(")
    arguments: list[Argument] = []
    while not state.cursor.accept(")"):
        arguments.append(_argument(state))
        if not state.cursor.sees(")"):
            state.cursor.expect(",")
    returns = state.cursor.token.text if state.cursor.accept("->") else ""
    state.cursor.skip_to("{")
    state.cursor.expect("{")
    state.subroutines[name.text] = Subroutine(tuple(arguments), returns, state.cursor.at)
    state.values.routines[name.text] = partial(call_subroutine, state, inside=True)
    state.cursor.skip_to("}")
    state.cursor.expect("}")


def _argument(state: ProgramState) -> Argument:
    words: list[str] = []
    size = None
    while not state.cursor.sees(",", ")"):
        if state.cursor.accept("["):
            if words[-1:] in (["qubit"], ["qreg"]) or words[:1] == ["qreg"]:
                size = state.size()
            else:
                state.cursor.skip_to("]")
                state.cursor.expect("]")
        else:
            words.append(state.cursor.identifier().text)
    if len(words) < 2:
        state.cursor.refuse("an argument needs a type and a name")
    return Argument(words[-1], words[0], size, words[0] in ("qubit", "qreg"))


def _barrier(state: ProgramState, _: Token) -> None:
    state.operands()


def _delay(state: ProgramState, _: Token) -> None:
    if state.cursor.sees("[", "("):
        close = "]" if state.cursor.take().text == "[" else ")"
        state.cursor.skip_to(close)
        state.cursor.expect(close)
    state.operands()


def _reset(state: ProgramState, token: Token) -> None:
    for operand in state.operands() or [Qubits(tuple(range(state.n_qubits)))]:
        state.history.reset(operand.numbers, partial(state.cursor.where, token))


def _measure_statement(state: ProgramState, token: Token) -> None:
    qubits = state.operand()
    if state.cursor.accept("->"):
        bits = state.cursor.identifier()
        value = state.values.index(state.values.look_up(bits.text))
        if not isinstance(value, Unknown):
            state.cursor.refuse(f"{bits.text} is no bit", bits, value=bits.text)
        state.values.write_bits(bits.text)
    state.cursor.expect(";")
    state.measure(qubits, token)


def _gate(state: ProgramState, _: Token) -> None:
    define_gate(state)


_KEYWORDS: dict[str, Callable[[ProgramState, Token], None]] = {
    **DECLARATIONS,
    "OPENQASM": _version,
    "include": _include,
    "if": run_if,
    "for": run_for,
    "while": run_while,
    "switch": run_switch,
    "break": jump,
    "continue": jump,
    "return": jump,
    "end": jump,
    "box": _box,
    "gate": _gate,
    "opaque": _opaque,
    "def": _def,
    "barrier": _barrier,
    "nop": _barrier,
    "delay": _delay,
    "reset": _reset,
    "measure": _measure_statement,
}
