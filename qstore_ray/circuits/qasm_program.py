"""Running an OpenQASM 2 or 3 program to the circuit that it builds.

A program is run as it is read, for everything that it computes from constants is known before the
circuit runs: loops are unrolled, subroutines and gates are called, `const` and `if (true)` decided.
What is left is a list of gates, as a Qiskit circuit. What would need a measurement in the middle
of the circuit is refused by its line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from qiskit import QuantumCircuit
from qiskit.circuit import ParameterExpression
from qiskit.exceptions import QiskitError

from qstore_ray.circuits.qasm_gates import (
    MS_DEFAULT,
    Applied,
    Modifier,
    check_call,
    dialect_text,
    modified,
    nearest,
    phase,
    standard_gate,
    standard_gates,
)
from qstore_ray.circuits.qasm_source import KNOWN_INCLUDES
from qstore_ray.circuits.qasm_tokens import Cursor, Token
from qstore_ray.circuits.qasm_values import Qubits, Unknown, Values
from qstore_ray.circuits.qubit_history import QubitHistory
from qstore_ray.errors import CircuitError, ResourceError

MOST_QUBITS = 30
_MOST_STEPS, _DEEPEST, _MOST_INPUTS = 1_000_000, 60, 100_000
_TYPES = frozenset({"float", "int", "uint", "angle", "bool", "bit", "complex", "duration", "array"})
_MODIFIERS = frozenset({"ctrl", "negctrl", "inv", "pow"})
_CLASSICAL = "Write the circuit without classical control: gates and parameters only."
_REFUSED = {
    **dict.fromkeys(("switch", "while"), _CLASSICAL),
    **dict.fromkeys(("cal", "defcal", "defcalgrammar", "extern"), "Describe it as gates."),
    "stretch": "Remove what is about timing; circuits here are gates only.",
}
_HARMLESS_PRAGMAS = ("braket result", "braket verbatim")


@dataclass(frozen=True)
class _Definition:
    """A gate or subroutine: the names of its arguments, and the place of its body."""

    angles: tuple[str, ...]
    qubits: tuple[str, ...]
    body: int
    cursor: Cursor


@dataclass(frozen=True)
class _Subroutine:
    arguments: tuple[tuple[str, int | None, bool], ...]  # name, size, is it qubits
    body: int


class _Jump(Exception):
    """`break`, `continue`, `return` and `end`, on their way to where they lead."""

    def __init__(self, kind: str, value: Any = None) -> None:
        super().__init__(kind)
        self.kind, self.value = kind, value


def run_program(text: str, name: str) -> QuantumCircuit:
    """The circuit that a text in OpenQASM 2 or 3 builds, without its measurements.

    Raises:
        CircuitError: no OpenQASM, or what no circuit of gates can do, with file, line and column.
        ResourceError: more qubits than a state vector can hold.
    """
    return _Program(Cursor(text, name)).circuit()


class _Program:
    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self.values = Values(cursor)
        self.gates: dict[str, _Definition] = {}
        self.subroutines: dict[str, _Subroutine] = {}
        self.opaque: set[str] = set()
        self.ops: list[Applied] = []
        self.history = QubitHistory()
        self.n_qubits = self.steps = self.depth = 0

    def circuit(self) -> QuantumCircuit:
        self._find_version()
        self._number_physical_qubits()
        try:
            while self.cursor.token.kind != "end":
                self.statement()
        except _Jump as jump:
            if jump.kind != "end":
                raise self.cursor.error(f"{jump.kind} stands outside of what it leaves") from jump
        if not self.n_qubits:
            self.cursor.refuse("the circuit has no qubits", fix="Declare them: qubit[2] q;")
        circuit = QuantumCircuit(self.n_qubits)
        for gate, qubits in self.ops:
            if qubits:
                circuit.append(gate, qubits, copy=False)
        return circuit

    def _find_version(self) -> None:
        words = [token.text for token in self.cursor.tokens]
        if "OPENQASM" in words:
            at = words.index("OPENQASM") + 1
            if words[at].partition(".")[0] not in ("2", "3"):
                self.cursor.refuse(
                    "there are OpenQASM 2 and 3",
                    self.cursor.tokens[at],
                    value=words[at],
                    fix='Write "OPENQASM 3.0;".',
                )
            self.values.version = int(words[at].partition(".")[0])
            return
        if not any(word in ("qreg", "qubit") or word.startswith("$") for word in words):
            self.cursor.refuse(
                "this is no OpenQASM: it declares no qubits and no version",
                fix='Let the file begin with "OPENQASM 3.0;".',
            )
        self.values.version = 2 if "qreg" in words and "qubit" not in words else 3

    def _version(self, token: Token) -> None:
        number = self.cursor.take()
        if number.text.partition(".")[0] != str(self.values.version):
            self.cursor.refuse(
                f"OpenQASM {number.text} in a text of OpenQASM {self.values.version}", number
            )
        self.cursor.expect(";")

    def _number_physical_qubits(self) -> None:
        named = [t for t in self.cursor.tokens if t.kind == "name" and t.text.startswith("$")]
        if named:
            last = max(named, key=lambda token: int(token.text[1:10]))
            self._new_qubits(int(last.text[1:10]) + 1, last)
            for number in range(self.n_qubits):
                self.values.scopes[0][f"${number}"] = Qubits((number,), single=True)

    def _new_qubits(self, size: int, token: Token) -> tuple[int, ...]:
        first, self.n_qubits = self.n_qubits, self.n_qubits + size
        if size < 1:
            self.cursor.refuse(f"a register of {size} qubits", token)
        if self.n_qubits > MOST_QUBITS:
            raise ResourceError(
                f"{self.cursor.where(token)}: {self.n_qubits} qubits, and a state vector of more "
                f"than {MOST_QUBITS} fits no machine",
                field="circuit",
                value=self.n_qubits,
                fix="Use fewer qubits.",
            )
        return tuple(range(first, self.n_qubits))

    # ------------------------------------------------------------------------------- statements

    def statement(self) -> None:
        """Run the statement that is next."""
        token = self.cursor.token
        self.steps += 1
        if self.steps > _MOST_STEPS:
            self.cursor.refuse(f"the program runs more than {_MOST_STEPS:,} statements", token)
        if token.kind == "pragma":
            self._pragma(self.cursor.take())
        elif token.text == "@":
            line = self.cursor.text.count("\n", 0, token.place)
            while self.cursor.text.count("\n", 0, self.cursor.token.place) == line:
                self.cursor.take()
        elif token.text == "{":
            self._block()
        elif token.text == ";":
            self.cursor.take()
        elif token.kind != "name":
            self.cursor.refuse(f"no statement begins with {token.text!r}", token)
        else:
            self._named_statement(token)

    def _named_statement(self, token: Token) -> None:
        word = token.text
        if word in _REFUSED:
            self.cursor.refuse(f"{word} is not supported", token, value=word, fix=_REFUSED[word])
        if word in _TYPES and self.cursor.tokens[self.cursor.at + 1].text != "(":
            self._classical()
        elif (keyword := _KEYWORDS.get(word)) is not None:
            self.cursor.take()
            keyword(self, token)
        elif word in self.subroutines:
            self.cursor.take()
            self._call(token)
        elif word not in _MODIFIERS and self._assigns():
            self._assignment(self.cursor.take())
        else:
            self._gate_call()

    def _assigns(self) -> bool:
        at = self.cursor.at
        name = self.cursor.token.text
        if isinstance(self.values.look_up(name), Qubits):
            return False
        if not any(name in scope for scope in self.values.scopes):
            return False
        following = self.cursor.tokens[at + 1].text
        return following == "[" or following.endswith("=")

    def _block(self) -> None:
        """Run what stands in braces, or the single statement that stands there instead."""
        self.depth += 1
        if self.depth > _DEEPEST:
            self.cursor.refuse("blocks or calls are too deep in one another")
        self.values.scopes.append({})
        try:
            if not self.cursor.accept("{"):
                self.statement()
            else:
                while not self.cursor.accept("}"):
                    self.statement()
        finally:
            self.values.scopes.pop()
            self.depth -= 1

    def _pragma(self, token: Token) -> None:
        words = token.text.replace("#", " ").split()[1:]
        if not " ".join(words).startswith(_HARMLESS_PRAGMAS):
            self.cursor.refuse(
                f"the pragma {' '.join(words[:2])} may change the state and is not supported",
                token,
                value=token.text,
                fix="Remove the line, if the circuit is right without it.",
            )

    def _include(self, token: Token) -> None:
        file = self.cursor.take()
        name = file.text[1:-1]
        self.cursor.expect(";")
        if file.kind != "string" or name.rpartition("/")[2] not in KNOWN_INCLUDES:
            self.cursor.refuse(
                f"a text cannot include {file.text}; only a file includes what lies beside it",
                token,
                value=name,
                fix="Give the path of the file instead of its text, or put the definitions here.",
            )

    def _quantum(self, token: Token) -> None:
        size = None
        if token.text == "qubit" and self.cursor.accept("["):
            size = self._size()
        name = self.cursor.identifier()
        if token.text == "qreg" and self.cursor.accept("["):
            size = self._size()
        self.cursor.expect(";")
        numbers = self._new_qubits(1 if size is None else size, name)
        self.values.declare(name, Qubits(numbers, single=size is None))

    def _creg(self, token: Token) -> None:
        name = self.cursor.identifier()
        size = self._size() if self.cursor.accept("[") else None
        self._bits(name, size)

    def _size(self) -> int:
        size = self.values.whole("a size")
        self.cursor.expect("]")
        return size

    def _bits(self, name: Token, size: int | None) -> None:
        value: Any = Unknown(size)
        if self.cursor.accept("="):
            value = self._measured_or_value()
        self.cursor.expect(";")
        self.values.declare(name, value)

    def _measured_or_value(self) -> Any:
        if self.cursor.accept("measure"):
            qubits = self._operand()
            self._measure(qubits)
            return Unknown(None if qubits.single else len(qubits.numbers))
        if self.cursor.token.text in self.subroutines:
            return self._call(self.cursor.take(), inside=True)
        return self.values.expression()

    def _classical(self, constant: bool = False) -> None:
        kind = self.cursor.take()
        size = None
        if kind.text == "array":
            self.cursor.expect("[")
            self.cursor.skip_to("]")
            self.cursor.expect("]")
        elif self.cursor.accept("["):
            if kind.text == "bit":
                size = self._size()
            else:
                self.cursor.skip_to("]")
                self.cursor.expect("]")
        name = self.cursor.identifier()
        if kind.text == "bit":
            self._bits(name, size)
            return
        value: Any = Unknown()
        if self.cursor.accept("="):
            value = self._measured_or_value()
        elif constant:
            self.cursor.refuse(f"the constant {name.text} has no value", name)
        if kind.text in ("float", "angle") and type(value) is int:
            value = float(value)
        self.cursor.expect(";")
        self.values.declare(name, value)

    def _const(self, token: Token) -> None:
        self._classical(constant=True)

    def _input(self, token: Token) -> None:
        kind = self.cursor.take()
        if kind.text == "array":
            self._input_array()
            return
        if kind.text not in ("float", "angle"):
            self.cursor.refuse(
                f"an input of type {kind.text} is no angle",
                kind,
                value=kind.text,
                fix="Declare features and parameters as input float.",
            )
        if self.cursor.accept("["):
            self._size()
        name = self.cursor.identifier()
        self.cursor.expect(";")
        self.values.declare(name, self.values.new_input(name, name.text))

    def _input_array(self) -> None:
        self.cursor.expect("[")
        kind = self.cursor.take()
        if self.cursor.accept("["):
            self._size()
        sizes = []
        while self.cursor.accept(","):
            sizes.append(self.values.whole("a size"))
        self.cursor.expect("]")
        name = self.cursor.identifier()
        self.cursor.expect(";")
        if kind.text not in ("float", "angle") or len(sizes) != 1:
            self.cursor.refuse(
                "an input array holds float or angle in one dimension",
                kind,
                value=name.text,
                fix=f"Declare input array[float, 4] {name.text};",
            )
        if not 1 <= sizes[0] <= _MOST_INPUTS:
            self.cursor.refuse(f"an array of {sizes[0]} elements", name)
        elements = [self.values.new_input(name, f"{name.text}[{k}]") for k in range(sizes[0])]
        self.values.declare(name, elements)

    def _output(self, token: Token) -> None:
        self._classical()

    def _let(self, token: Token) -> None:
        name = self.cursor.identifier()
        self.cursor.expect("=")
        qubits = self._operand()
        numbers = list(qubits.numbers)
        while self.cursor.accept("++"):
            numbers += self._operand().numbers
        self.cursor.expect(";")
        self.values.declare(name, Qubits(tuple(numbers), qubits.single and len(numbers) == 1))

    def _assignment(self, token: Token) -> None:
        target, place = self.values.look_up(token.text), None
        if isinstance(target, list) and self.cursor.accept("["):
            place = self.values.whole("an index")
            self.cursor.expect("]")
            if not -len(target) <= place < len(target):
                self.cursor.refuse(f"index {place} is outside 0 to {len(target) - 1}", token)
        else:
            self.values.index(target)
        symbol = self.cursor.take()
        if not symbol.text.endswith("="):
            self.cursor.refuse(f"'=' is missing before {symbol.text!r}", symbol)
        value = self._measured_or_value()
        self.cursor.expect(";")
        if symbol.text != "=":
            old = target if place is None else target[place]
            value = self.values.computed(symbol._replace(text=symbol.text[:-1]), old, value)
        if place is not None:
            target[place] = value
        elif not isinstance(
            target, Unknown
        ):  # bits stay unknown, whatever is put into some of them
            scope = next(scope for scope in reversed(self.values.scopes) if token.text in scope)
            scope[token.text] = value

    # ------------------------------------------------------------------------- control of the flow

    def _if(self, token: Token) -> None:
        self.cursor.expect("(")
        holds = self.values.truth("if")
        self.cursor.expect(")")
        for runs in (holds, not holds):
            if runs:
                self._block()
            else:
                self.cursor.skip_statement()
            if not self.cursor.accept("else"):
                return
        self.cursor.refuse("two else follow one if", token)

    def _for(self, token: Token) -> None:
        kind = self.cursor.take()
        if self.cursor.accept("["):
            self._size()
        name = kind if self.cursor.sees("in") else self.cursor.identifier()
        self.cursor.expect("in")
        if self.cursor.accept("["):
            elements: list[Any] = list(self.values.span(None))
            self.cursor.expect("]")
        elif self.cursor.sees("{"):
            elements = list(self.values.span(None))
        else:
            elements = self._elements(token)
        start = self.cursor.at
        self.cursor.skip_statement()
        end = self.cursor.at
        for element in elements:
            self.cursor.at = start
            self.values.scopes.append({name.text: element})
            try:
                self._block()
            except _Jump as jump:
                if jump.kind == "break":
                    break
                if jump.kind != "continue":
                    raise
            finally:
                self.values.scopes.pop()
        self.cursor.at = end

    def _elements(self, token: Token) -> list[Any]:
        value = self.values.expression()
        if isinstance(value, Qubits):
            return [Qubits((number,), single=True) for number in value.numbers]
        if not isinstance(value, list):
            self.cursor.refuse("a loop needs a range, a set or an array", token)
        return value

    def _jump(self, token: Token) -> None:
        value = None
        if token.text == "return" and not self.cursor.sees(";"):
            value = self._measured_or_value()
        raise _Jump(token.text, value)

    def _box(self, token: Token) -> None:
        if self.cursor.accept("["):
            self.cursor.skip_to("]")
            self.cursor.expect("]")
        self._block()

    # ------------------------------------------------------------------------------- definitions

    def _gate(self, token: Token) -> None:
        name = self.cursor.identifier()
        angles = self._names(")") if self.cursor.accept("(") else ()
        qubits = self._names("{")
        if len({*angles, *qubits}) < len(angles) + len(qubits):
            self.cursor.refuse(f"two arguments of gate {name.text} have one name", name)
        self.gates[name.text] = _Definition(angles, qubits, self.cursor.at, self.cursor)
        self.cursor.skip_to("}")
        self.cursor.expect("}")

    def _names(self, end: str) -> tuple[str, ...]:
        names = []
        while not self.cursor.accept(end):
            names.append(self.cursor.identifier().text)
            if not self.cursor.sees(end):
                self.cursor.expect(",")
        return tuple(names)

    def _opaque(self, token: Token) -> None:
        self.opaque.add(self.cursor.identifier().text)
        self.cursor.skip_to(";")
        self.cursor.expect(";")

    def _def(self, token: Token) -> None:
        name = self.cursor.identifier()
        self.cursor.expect("(")
        arguments = []
        while not self.cursor.accept(")"):
            arguments.append(self._argument())
            if not self.cursor.sees(")"):
                self.cursor.expect(",")
        self.cursor.skip_to("{")
        self.cursor.expect("{")
        self.subroutines[name.text] = _Subroutine(tuple(arguments), self.cursor.at)
        self.cursor.skip_to("}")
        self.cursor.expect("}")

    def _argument(self) -> tuple[str, int | None, bool]:
        words, size = [], None
        while not self.cursor.sees(",", ")"):
            if self.cursor.accept("["):
                if words[-1:] in (["qubit"], ["qreg"]) or words[:1] == ["qreg"]:
                    size = self._size()
                else:
                    self.cursor.skip_to("]")
                    self.cursor.expect("]")
            else:
                words.append(self.cursor.identifier().text)
        if len(words) < 2:
            self.cursor.refuse("an argument needs a type and a name")
        return words[-1], size, words[0] in ("qubit", "qreg")

    def _call(self, token: Token, inside: bool = False) -> Any:
        routine = self.subroutines[token.text]
        given: dict[str, Any] = {}
        self.cursor.expect("(")
        for name, size, quantum in routine.arguments:
            if given:
                self.cursor.expect(",")
            value = self._operand() if quantum else self.values.expression()
            if quantum and len(value.numbers) != (size or 1):
                self.cursor.refuse(f"{name} of {token.text} is {size or 1} qubits", token)
            given[name] = value
        self.cursor.expect(")")
        if not inside:
            self.cursor.expect(";")
        back, scopes = self.cursor.at, self.values.scopes
        self.values.scopes = [scopes[0], given]
        try:
            self.cursor.at = routine.body - 1
            self._block()
            return Unknown()
        except _Jump as jump:
            if jump.kind != "return":
                raise
            return jump.value
        finally:
            self.cursor.at, self.values.scopes = back, scopes

    # ------------------------------------------------------------------------------------- qubits

    def _operand(self) -> Qubits:
        token = self.cursor.identifier()
        value = self.values.look_up(token.text)
        if isinstance(value, Qubits):
            return self.values.index(value)  # type: ignore[no-any-return]
        shown = "is not declared" if value is None else "is no qubit"
        raise self.cursor.error(f"{token.text} {shown}", token, value=token.text)

    def _operands(self) -> list[Qubits]:
        operands = []
        while not self.cursor.sees(";"):
            operands.append(self._operand())
            if not self.cursor.sees(";"):
                self.cursor.expect(",")
        self.cursor.expect(";")
        return operands

    def _barrier(self, token: Token) -> None:
        self._operands()

    def _nop(self, token: Token) -> None:
        self._operands()

    def _delay(self, token: Token) -> None:
        if self.cursor.sees("[", "("):
            close = "]" if self.cursor.take().text == "[" else ")"
            self.cursor.skip_to(close)
            self.cursor.expect(close)
        self._operands()

    def _reset(self, token: Token) -> None:
        for operand in self._operands() or [Qubits(tuple(range(self.n_qubits)))]:
            self.history.reset(operand.numbers, f"{self.cursor.where(token)}: ")

    def _measure_statement(self, token: Token) -> None:
        qubits = self._operand()
        if self.cursor.accept("->"):
            bits = self.cursor.identifier()
            value = self.values.index(self.values.look_up(bits.text))
            if not isinstance(value, Unknown):
                self.cursor.refuse(f"{bits.text} is no bit", bits, value=bits.text)
        self.cursor.expect(";")
        self._measure(qubits, token)

    def _measure(self, qubits: Qubits, token: Token | None = None) -> None:
        where = self.cursor.where(token or self.cursor.token).partition(", ")[2]
        self.history.measure(qubits.numbers, f" in {where}")

    # -------------------------------------------------------------------------------------- gates

    def _gate_call(self) -> None:
        modifiers = []
        while self.cursor.token.text in _MODIFIERS:
            modifiers.append(self._modifier())
        token = self.cursor.identifier()
        angles = self._angles() if self.cursor.accept("(") else []
        if self.cursor.accept("["):  # the duration of a gate
            self.cursor.skip_to("]")
            self.cursor.expect("]")
        operands = self._operands()
        for qubits in self._broadcast(operands, token):
            if len(set(qubits)) < len(qubits):
                self.cursor.refuse(f"{token.text} acts on one qubit twice", token)
            where = f"{self.cursor.where(token)}: " if self.history.measured else ""
            self.history.gate(token.text, qubits, where)
            found = self._applied(token, angles, qubits, modifiers)
            self.ops.extend(found)
            self.steps += len(found)

    def _angles(self) -> list[Any]:
        angles = []
        while not self.cursor.accept(")"):
            angles.append(self.values.angle())
            if not self.cursor.sees(")"):
                self.cursor.expect(",")
        return angles

    def _modifier(self) -> Modifier:
        kind = self.cursor.take()
        value: Any = 1
        if self.cursor.accept("("):
            value = self.values.angle() if kind.text == "pow" else self.values.whole("a number")
            self.cursor.expect(")")
        if isinstance(value, ParameterExpression):
            self.cursor.refuse("the exponent of pow is no constant", kind)
        if kind.text in ("ctrl", "negctrl") and not 1 <= value <= MOST_QUBITS:
            self.cursor.refuse(f"a gate with {value} controls", kind)
        self.cursor.expect("@")
        return Modifier(kind.text, value)

    def _broadcast(self, operands: list[Qubits], token: Token) -> list[tuple[int, ...]]:
        sizes = {len(operand.numbers) for operand in operands if not operand.single}
        if len(sizes) > 1:
            self.cursor.refuse(f"{token.text} on registers of different sizes", token)
        if not sizes:
            return [tuple(operand.numbers[0] for operand in operands)]
        return [
            tuple(operand.numbers[0 if operand.single else k] for operand in operands)
            for k in range(sizes.pop())
        ]

    def _applied(
        self, token: Token, angles: list[Any], qubits: tuple[int, ...], modifiers: list[Modifier]
    ) -> list[Applied]:
        n_controls = sum(int(m.value) for m in modifiers if m.kind in ("ctrl", "negctrl"))
        if n_controls and len(qubits) < n_controls:
            self.cursor.refuse(f"{token.text} lacks the qubits of its controls", token)
        own = qubits[n_controls:]
        try:
            ops = self._plain(token, angles, own)
            for modifier in reversed(modifiers):
                controls: tuple[int, ...] = ()
                if modifier.kind in ("ctrl", "negctrl"):
                    n_controls -= int(modifier.value)
                    controls = qubits[n_controls : n_controls + int(modifier.value)]
                ops = modified(ops, modifier, controls)
        except (ValueError, TypeError, ArithmeticError, QiskitError) as exc:
            reason = str(exc).strip("'\" ") or type(exc).__name__
            raise self.cursor.error(f"{token.text}: {reason}", token, value=token.text) from exc
        return ops

    def _plain(self, token: Token, angles: list[Any], qubits: tuple[int, ...]) -> list[Applied]:
        name = token.text
        if name in self.gates:
            return self._expanded(self.gates[name], token, angles, qubits)
        if name == "gphase":
            check_call(len(angles), 0, 1, 0)
            return [phase(angles[0])]
        if name in self.opaque and name not in ("id", "u0"):
            self.cursor.refuse(
                f"the gate {name} is opaque, so nobody knows what it does",
                token,
                value=name,
                fix=f"Define it: gate {name} … {{ … }}.",
            )
        if (gate := standard_gate(name, angles, len(qubits))) is not None:
            return [Applied(gate, qubits)]
        if (definition := _dialect().get(name)) is not None:
            if name == "ms" and len(angles) == 2:
                angles = [*angles, MS_DEFAULT]
            return self._expanded(definition, token, angles, qubits)
        near = nearest(name, [*self.gates, *self.subroutines, *standard_gates(), *_dialect()])
        raise self.cursor.error(
            f"no gate {name} is known",
            token,
            value=name,
            fix=f"{near}Or define it in the text: gate {name} … {{ … }}.",
        )

    def _expanded(
        self, gate: _Definition, token: Token, angles: list[Any], qubits: tuple[int, ...]
    ) -> list[Applied]:
        check_call(len(angles), len(qubits), len(gate.angles), len(gate.qubits))
        scope = dict(zip(gate.angles, angles, strict=True))
        scope |= {
            name: Qubits((qubit,), single=True)
            for name, qubit in zip(gate.qubits, qubits, strict=True)
        }
        inner = _Program(gate.cursor)
        inner.depth, inner.steps, inner.history = self.depth + 1, self.steps, self.history
        if gate.cursor is self.cursor:
            inner.gates, inner.opaque = self.gates, self.opaque
            inner.values.scopes = [self.values.scopes[0]]
        inner.values.version = self.values.version if gate.cursor is self.cursor else 3
        inner.values.scopes = [*inner.values.scopes, scope]
        back, gate.cursor.at = gate.cursor.at, gate.body - 1
        try:
            inner._block()
        finally:
            gate.cursor.at = back
        self.steps = inner.steps
        return inner.ops


@lru_cache(maxsize=1)
def _dialect() -> dict[str, _Definition]:
    program = _Program(Cursor(dialect_text(), "the gates of dialects"))
    while program.cursor.token.kind != "end":
        program.statement()
    return program.gates


_KEYWORDS: dict[str, Callable[[_Program, Token], None]] = {
    "OPENQASM": _Program._version,
    "include": _Program._include,
    "qubit": _Program._quantum,
    "qreg": _Program._quantum,
    "creg": _Program._creg,
    "const": _Program._const,
    "input": _Program._input,
    "output": _Program._output,
    "let": _Program._let,
    "if": _Program._if,
    "for": _Program._for,
    "break": _Program._jump,
    "continue": _Program._jump,
    "return": _Program._jump,
    "end": _Program._jump,
    "box": _Program._box,
    "gate": _Program._gate,
    "opaque": _Program._opaque,
    "def": _Program._def,
    "barrier": _Program._barrier,
    "nop": _Program._nop,
    "delay": _Program._delay,
    "reset": _Program._reset,
    "measure": _Program._measure_statement,
}
