"""Classical values of an OpenQASM program: expressions, evaluated as they are read.

A value is a number, a truth value, a list (an array or a range), a Qiskit expression of the
program's inputs, a register of qubits, or `Unknown`: what a measurement would give. Numbers follow
the language: in OpenQASM 3 a whole number divided by another is a whole number, `**` is the power;
in OpenQASM 2 `1/2` is a half and `^` is the power.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from qiskit.circuit import Parameter, ParameterExpression
from qiskit.exceptions import QiskitError

from qstore_ray.circuits.qasm.arithmetic import (
    CONSTANTS,
    FUNCTIONS,
    LEVELS,
    UNARY,
    Qubits,
    Unknown,
    binary,
    converted,
    function,
    unary,
)
from qstore_ray.circuits.qasm.tokens import Cursor, Token

_CASTS = ("float", "int", "uint", "angle", "bool", "bit", "complex")
_DEEPEST = 60
TIMING = "Remove what is about timing; circuits here are gates only."
MOST_OPERATIONS = 250
"""How many operations on inputs one angle may take: Qiskit's expressions are nested that deep."""
_LONGEST_RANGE = 100_000
_WORD = 64
_EXPORTED = re.compile(r"_(\w+?)_(\d+)_")


class Values:
    """The names that a program has declared, and the expressions of them.

    Args:
        cursor: where the program is read.
    """

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self.version = 3
        self.scopes: list[dict[str, Any]] = [{}]
        self.inputs: dict[str, Parameter] = {}
        self.routines: dict[str, Callable[[Token], Any]] = {}
        """The subroutines by name: each runs the call at its token and gives what it returns."""
        self._depth = 0
        self._symbolic = 0  # operations on inputs in this angle

    def look_up(self, name: str) -> Any:
        """The value of a name; None if the name is undefined."""
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        return CONSTANTS.get(name)

    def declare(self, token: Token, value: Any) -> None:
        """Give a name its value in the innermost scope.

        Raises:
            CircuitError: the scope has the name already.
        """
        if token.text in self.scopes[-1]:
            self.cursor.refuse(f"{token.text} is declared twice", token)
        self.scopes[-1][token.text] = value

    def new_input(self, token: Token, name: str) -> Parameter:
        """A parameter of the circuit; `_x_3_`, as Qiskit writes it, is `x[3]` again."""
        if match := _EXPORTED.fullmatch(name):
            name = f"{match[1]}[{match[2]}]"
        if name in self.inputs:
            self.cursor.refuse(f"{name} is declared twice", token)
        try:
            self.inputs[name] = Parameter(name)
        except QiskitError as exc:
            raise self.cursor.error(f"{name} cannot be a parameter's name: {exc}", token) from exc
        return self.inputs[name]

    def expression(self) -> Any:
        """The value of the expression that is next."""
        self._depth += 1
        if self._depth > _DEEPEST:
            self.cursor.refuse("an expression has too many brackets in one another")
        try:
            return self._binary(0)
        finally:
            self._depth -= 1

    def angle(self) -> Any:
        """A number or an expression of inputs: what a gate takes."""
        token = self.cursor.token
        if self.cursor.sees("["):
            self.cursor.refuse(
                "a list of numbers instead of one angle: this text is an export of a batch",
                token,
                fix="Export the circuit for one row, or with its features as parameters.",
            )
        self._symbolic = 0
        value = self.expression()
        if isinstance(value, ParameterExpression):
            return value
        if not isinstance(value, int | float):
            shown = "the result of a measurement" if isinstance(value, Unknown) else "no number"
            if isinstance(value, Unknown) and value.kind:
                shown = f"a variable of type {value.kind} without a value"
            self.cursor.refuse(f"an angle is {shown}", token)
        try:
            number = float(value)
        except OverflowError as exc:
            raise self.cursor.error("an angle is too large a number", token) from exc
        if not math.isfinite(number):
            self.cursor.refuse(f"an angle is {number}", token)
        return number

    def whole(self, what: str) -> int:
        """A whole number, for a size or an index."""
        token, value = self.cursor.token, self.expression()
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int):
            self.cursor.refuse(f"{what} is no whole number", token)
        return value

    def truth(self, of: str) -> bool:
        """A condition, of an `if` for example, that is known before the circuit runs."""
        return bool(self._known(of))

    def case(self, of: str) -> int:
        """A whole number that is known before the circuit runs, of a `switch` for example."""
        token, value = self.cursor.token, self._known(of)
        if not isinstance(value, int):
            self.cursor.refuse(f"{of} of what is no whole number", token)
        return int(value)

    def write_bits(self, name: str) -> None:
        """What a measurement gives is put into the bits called `name`, or into some of them."""
        for scope in reversed(self.scopes):
            if name in scope:
                if isinstance(scope[name], Unknown):
                    scope[name] = Unknown(scope[name].size)
                return

    def _known(self, of: str) -> Any:
        token, value = self.cursor.token, self.expression()
        if isinstance(value, Unknown) and value.unwritten:
            return 0
        if isinstance(value, Unknown | ParameterExpression | Qubits | list):
            self.cursor.refuse(
                f"{of} depends on a measurement or an input",
                token,
                value=of,
                fix="Write the circuit without classical control: gates and parameters only.",
            )
        return value

    def span(self, size: int | None) -> list[int]:
        """What stands in square brackets: numbers, a range `a:step:b`, or a set `{a, b}`."""
        if self.cursor.accept("{"):
            found = []
            while not self.cursor.accept("}"):
                found.append(self.whole("an element"))
                if not self.cursor.sees("}"):
                    self.cursor.expect(",")
            return found
        token, parts = self.cursor.token, list[int | None]()
        while True:
            parts.append(None if self.cursor.sees(":", "]") else self.whole("an index"))
            if not self.cursor.accept(":"):
                break
        if len(parts) == 1 or len(parts) > 3:
            self.cursor.refuse("a range is start:end or start:step:end", token)
        start, step, end = parts[0], parts[1] if len(parts) == 3 else 1, parts[-1]
        if size is None and (start is None or end is None):
            self.cursor.refuse("a range needs a start and an end here", token)
        low = 0 if start is None else start
        high = (size or 0) - 1 if end is None else end
        if size is not None:
            low, high = (low + size if low < 0 else low), (high + size if high < 0 else high)
        if not step or abs(high - low) // abs(step) >= _LONGEST_RANGE:
            self.cursor.refuse("a range is endless or too long", token)
        return list(range(low, high + (1 if step > 0 else -1), step))

    def index(self, value: Any) -> Any:
        """`value` with the square brackets behind it, if there are any."""
        inside = False  # behind a comma: a[1, 2] is a[1][2]
        while inside or self.cursor.sees("["):
            token = self.cursor.token if inside else self.cursor.take()
            if of_number := type(value) is int:  # its bits, the lowest first
                value = [value >> k & 1 for k in range(_WORD)]
            sequence = value.numbers if isinstance(value, Qubits) else value
            size = sequence.size if isinstance(sequence, Unknown) else _length(sequence)
            if size is None:
                self.cursor.refuse("square brackets behind what is no register or array", token)
            places, single = self._places(size)
            several = single and isinstance(value, list) and not of_number
            inside = several and self.cursor.accept(",")
            if not inside:
                self.cursor.expect("]")
            wrong = [k for k in places if not -size <= k < size]
            if wrong:
                self.cursor.refuse(f"index {wrong[0]} is outside 0 to {size - 1}", token)
            if isinstance(value, Qubits):
                value = Qubits(tuple(value.numbers[k] for k in places), single)
            elif isinstance(value, Unknown):
                value = Unknown(None if single else len(places), value.unwritten)
            else:
                value = value[places[0]] if single else [value[k] for k in places]
        return value

    def _places(self, size: int) -> tuple[list[int], bool]:
        start = self.cursor.at
        if not self.cursor.sees("{", ":"):
            number = self.whole("an index")
            if not self.cursor.sees(":"):
                return [number], True
            self.cursor.at = start
        return self.span(size), False

    def _binary(self, level: int) -> Any:
        """A value and the operators behind it of this level or a higher one, from left to right."""
        value = self._prefix()
        while (found := self._level()) >= level:
            token = self.cursor.take()
            value = self.computed(token, value, self._binary(found + 1))
        return value

    def _level(self) -> int:
        """The precedence of the operator that is next; -1 if another token is."""
        if self.version == 2 and self.cursor.sees("^"):
            return -1
        return next((k for k, signs in enumerate(LEVELS) if self.cursor.sees(*signs)), -1)

    def _prefix(self) -> Any:
        signs = []
        while self.cursor.sees(*UNARY):
            signs.append(self.cursor.take())
        value = self._power()
        for token in reversed(signs):
            value = self._placed(token, unary, token.text, value)
        return value

    def _power(self) -> Any:
        base = self._primary()
        if not self.cursor.sees("**" if self.version == 3 else "^"):
            return base
        token = self.cursor.take()
        self._depth += 1
        if self._depth > _DEEPEST:
            self.cursor.refuse("too many powers in one another", token)
        exponent = self._prefix()
        self._depth -= 1
        return self.computed(token._replace(text="**"), base, exponent)

    def computed(self, token: Token, a: Any, b: Any) -> Any:
        """What the operator at `token` makes of two values."""
        value = self._placed(token, binary, token.text, a, b, self.version)
        self._count_symbolic(value, token)
        return value

    def converted(self, token: Token, kind: str, value: Any) -> Any:
        """What the variable at `token`, of the type `kind`, holds once it is given `value`."""
        return self._placed(token, converted, kind, value)

    def _placed(self, token: Token, compute: Callable[..., Any], *values: Any) -> Any:
        try:
            return compute(*values)
        except ValueError as exc:
            raise self.cursor.error(str(exc), token) from exc

    def _count_symbolic(self, value: Any, token: Token) -> None:
        if isinstance(value, ParameterExpression):
            self._symbolic += 1
            if self._symbolic > MOST_OPERATIONS:
                self.cursor.refuse(
                    f"an angle is computed in more than {MOST_OPERATIONS} operations",
                    token,
                    fix="Compute it by a preprocessing step, or split it into several rotations.",
                )

    def _primary(self) -> Any:
        token = self.cursor.take()
        if token.kind == "int":
            return self._integer(token)
        if token.kind == "float":
            return float(token.text.replace("_", ""))
        if token.text == "(" and token.kind == "op":
            value = self.expression()
            self.cursor.expect(")")
            return self.index(value)
        if token.text == "{" and token.kind == "op":
            return self._array()
        if token.kind == "string" and set(token.text[1:-1]) <= set("01_"):
            return [int(bit) for bit in reversed(token.text[1:-1].replace("_", ""))]
        if token.kind == "name":
            return self.index(self._named(token))
        if token.kind == "duration":
            self.cursor.refuse("times are not supported", token, fix=TIMING)
        raise self.cursor.error(f"a value is missing before {token.text!r}", token)

    def _integer(self, token: Token) -> int:
        digits = token.text.replace("_", "")
        try:
            return int(digits) if digits.isdecimal() else int(digits, 0)
        except ValueError as exc:  # thousands of digits
            raise self.cursor.error("a number is too long", token) from exc

    def _array(self) -> list[Any]:
        values = []
        while not self.cursor.accept("}"):
            values.append(self.expression())
            if not self.cursor.sees("}"):
                self.cursor.expect(",")
        return values

    def _named(self, token: Token) -> Any:
        name = token.text
        if name in _CASTS and self.cursor.sees("(", "["):
            return self._cast(token)
        if name in (*FUNCTIONS, "pow", "mod", "sizeof") and self.cursor.sees("("):
            return self._called(token)
        if (routine := self.routines.get(name)) is not None and self.cursor.sees("("):
            return self._returned(routine, token)
        if name == "measure":
            self.cursor.refuse("a measurement stands inside an expression", token)
        value = self.look_up(name)
        if value is None and self.version == 2 and len(self.scopes) == 1:
            # OpenQASM 2 has no parameters; what writes them all the same just names them.
            value = self.scopes[0][name] = self.new_input(token, name)
        if value is None:
            self.cursor.refuse(
                f"{name} is not declared",
                token,
                value=name,
                fix=f"Declare it, for example as a parameter: input float {name};",
            )
        return value

    def _returned(self, routine: Callable[[Token], Any], token: Token) -> Any:
        """What a subroutine returns; its body has angles of its own."""
        symbolic, self._symbolic = self._symbolic, 0
        try:
            return routine(token)
        finally:
            self._symbolic += symbolic

    def _cast(self, token: Token) -> Any:
        if self.cursor.accept("["):
            self.cursor.skip_to("]")
            self.cursor.expect("]")
        self.cursor.expect("(")
        value = self.expression()
        self.cursor.expect(")")
        if isinstance(value, Unknown):
            return value
        if not isinstance(value, int | float | ParameterExpression):
            self.cursor.refuse(
                f"a register or an array cannot be made {token.text}",
                token,
                fix="Write the number itself.",
            )
        return self.converted(token, "bool" if token.text == "bit" else token.text, value)

    def _called(self, token: Token) -> Any:
        self.cursor.expect("(")
        arguments = [self.expression()]
        while self.cursor.accept(","):
            arguments.append(self.expression())
        self.cursor.expect(")")
        if any(isinstance(value, Unknown) for value in arguments):
            return Unknown()
        if token.text in ("pow", "mod"):
            if len(arguments) != 2:
                self.cursor.refuse(f"{token.text} takes two values", token)
            symbol = "**" if token.text == "pow" else "%"
            return self.computed(token._replace(text=symbol), *arguments)
        if token.text == "sizeof":
            first = arguments[0]
            if not isinstance(first, Qubits | list):
                self.cursor.refuse("sizeof takes a register or an array", token)
            return len(first.numbers if isinstance(first, Qubits) else first)
        if len(arguments) != 1:
            self.cursor.refuse(f"{token.text} takes one value", token)
        value = self._placed(token, function, token.text, arguments[0])
        self._count_symbolic(value, token)
        return value


def _length(value: Any) -> int | None:
    return len(value) if isinstance(value, list | tuple) else None
