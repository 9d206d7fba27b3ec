"""Operators and functions of the classical values of an OpenQASM program.

A value is a number, a truth value, a Qiskit expression of inputs, or `Unknown`. What cannot be
computed is a ValueError that says so in a sentence without its place, which the caller knows.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qiskit.circuit import ParameterExpression
from qiskit.exceptions import QiskitError

from qstore_ray.circuits.qasm.expansion import MOST_TERMS, is_too_large

CONSTANTS = {
    **dict.fromkeys(("pi", "π"), math.pi),
    **dict.fromkeys(("tau", "τ"), math.tau),
    **dict.fromkeys(("euler", "ℇ"), math.e),
    "true": True,
    "false": False,
}
LEVELS: tuple[tuple[str, ...], ...] = (
    ("||",), ("&&",), ("|",), ("^",), ("&",), ("==", "!="), ("<", ">", "<=", ">="), ("<<", ">>"),
    ("+", "-"), ("*", "/", "%"),
)  # fmt: skip
"""Binary operators, lowest precedence first; powers have a higher precedence than all of them."""
FUNCTIONS = {
    "sin": "sin", "cos": "cos", "tan": "tan", "exp": "exp", "log": "log", "ln": "log",
    "arcsin": "arcsin", "asin": "arcsin", "arccos": "arccos", "acos": "arccos",
    "arctan": "arctan", "atan": "arctan", "abs": "abs", "sqrt": "sqrt",
    "floor": "floor", "ceiling": "ceil", "popcount": "bit_count",
}  # fmt: skip
UNARY: dict[str, Callable[[Any], Any]] = {
    "-": operator.neg, "+": operator.pos, "~": operator.invert, "!": operator.not_,
}  # fmt: skip

_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "||": lambda a, b: bool(a) or bool(b),
    "&&": lambda a, b: bool(a) and bool(b),
    "|": operator.or_, "^": operator.xor, "&": operator.and_,
    "==": operator.eq, "!=": operator.ne,
    "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge,
    "<<": operator.lshift, ">>": operator.rshift,
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
    "%": operator.mod, "**": operator.pow,
}  # fmt: skip
_OF_NUMBERS: dict[str, Callable[[Any], Any]] = {
    "arcsin": math.asin, "arccos": math.acos, "arctan": math.atan, "abs": abs,
    "bit_count": lambda value: int(value).bit_count(),
}  # fmt: skip
_OF_INPUTS = ("+", "-", "*", "/", "**")
_MOST_BITS = 4096
_TYPES: dict[str, Callable[[Any], Any]] = {
    "float": float, "angle": float, "complex": float, "int": int, "uint": int, "bool": bool,
}  # fmt: skip
FAILURES = (ArithmeticError, ValueError, TypeError, AttributeError, RuntimeError, QiskitError)
"""What Python and Qiskit raise where something cannot be computed."""


@dataclass(frozen=True)
class Qubits:
    """Qubits by their numbers; `single` if they are one qubit and no register."""

    numbers: tuple[int, ...]
    single: bool = False


@dataclass(frozen=True)
class Unknown:
    """Bits that hold what a measurement gives, or a variable without a value.

    Args:
        size: how many bits; None for a single value.
        unwritten: whether nothing was measured into it: a register of OpenQASM 2 is then 0.
        kind: the type of a variable that has no value yet.
    """

    size: int | None = None
    unwritten: bool = False
    kind: str = ""


def kind_of(value: Any) -> str:
    """The type of the variable that holds `value`, as `converted` takes it; "" if it is unknown."""
    if isinstance(value, list):
        return kind_of(value[0]) if value else ""
    if isinstance(value, Unknown):
        return value.kind
    kinds = {bool: "bool", int: "int", float: "float"}
    return "float" if isinstance(value, ParameterExpression) else kinds.get(type(value), "")


def converted(kind: str, value: Any) -> Any:
    """`value` as a variable of the type `kind` holds it; what is of no number stays as it is.

    In OpenQASM 3, a variable keeps its type: `float x = 1; rx(x / 2) q;` is rx(0.5), and a
    whole number is cut off towards zero.

    Raises:
        ValueError: it cannot be of this type.
    """
    if isinstance(value, list):
        return [converted(kind, element) for element in value]
    if isinstance(value, ParameterExpression) and kind in ("int", "uint", "bool"):
        raise ValueError(f"an input becomes {kind}, which no circuit of gates can do")
    if not isinstance(value, int | float):
        return value
    if kind == "uint" and value < 0:
        raise ValueError(f"cannot make it uint: {value} is negative")
    try:
        return _TYPES[kind](value) if kind in _TYPES else value
    except FAILURES as exc:
        raise ValueError(f"cannot make it {kind}: {exc}") from exc


def binary(symbol: str, a: Any, b: Any, version: int) -> Any:
    """`a symbol b`, in the arithmetic of OpenQASM `version`.

    Raises:
        ValueError: it cannot be computed.
    """
    a, b = (0 if isinstance(v, Unknown) and v.unwritten else v for v in (a, b))
    if isinstance(a, Unknown) or isinstance(b, Unknown):
        return Unknown()
    if isinstance(a, Qubits | list) or isinstance(b, Qubits | list):
        raise _register_error(symbol)
    if symbol not in _OF_INPUTS:
        _check_known(symbol, a, b)
    texts = [str(v) if isinstance(v, ParameterExpression) else "" for v in (a, b)]
    if is_too_large(symbol, *texts):
        raise ValueError(
            f"{symbol} of products of sums that have more than {MOST_TERMS} terms multiplied out; "
            "split the angle into several rotations, or compute it by a preprocessing step"
        )
    try:
        if isinstance(a, int) and isinstance(b, int):
            return _of_whole_numbers(symbol, a, b, version)
        return _finite(symbol, _BINARY[symbol](a, b))
    except FAILURES as exc:
        raise _computing_error(symbol, exc) from exc


def unary(symbol: str, value: Any) -> Any:
    """`symbol value`.

    Raises:
        ValueError: it cannot be computed.
    """
    if isinstance(value, Unknown) and not (value.unwritten and symbol == "!"):
        return Unknown(value.size)
    value = 0 if isinstance(value, Unknown) else value
    if isinstance(value, Qubits | list):
        raise _register_error(symbol)
    if symbol in ("!", "~"):
        _check_known(symbol, value)
    try:
        return UNARY[symbol](value)
    except FAILURES as exc:
        raise _computing_error(symbol, exc) from exc


def function(name: str, value: Any) -> Any:
    """The function that OpenQASM calls `name`.

    Raises:
        ValueError: it cannot be computed.
    """
    method = FUNCTIONS[name]
    if method in ("floor", "ceil", "bit_count"):
        _check_known(name, value)
    try:
        if isinstance(value, ParameterExpression):
            return value**0.5 if method == "sqrt" else getattr(value, method)()
        known = _OF_NUMBERS.get(method)
        return known(value) if known else getattr(math, method)(value)
    except FAILURES as exc:
        raise _computing_error(name, exc) from exc


def _of_whole_numbers(symbol: str, a: int, b: int, version: int) -> Any:
    if symbol in ("/", "%") and version == 3 and type(a) is int and type(b) is int:
        if not b:
            raise ZeroDivisionError("division by zero")
        quotient = abs(a) // abs(b)  # int(a / b) is rounded beyond 2^53
        if (a < 0) != (b < 0):
            quotient = -quotient  # towards zero, as in C; the remainder has the sign of a
        return quotient if symbol == "/" else a - b * quotient
    if symbol == "<<" and b > _MOST_BITS:
        raise ValueError("the shift is too large")
    if symbol == "**" and a.bit_length() * abs(b) > _MOST_BITS:
        return _finite(symbol, float(a) ** b)
    return _finite(symbol, _BINARY[symbol](a, b))


def _register_error(symbol: str) -> ValueError:
    return ValueError(f"{symbol} of a register or an array")


def _computing_error(name: str, exc: Exception) -> ValueError:
    # The last argument alone: OverflowError has an error number as its first.
    reason = (type(exc).__name__, *exc.args)[-1]
    return ValueError(f"cannot compute {name}: {reason}")


def _finite(symbol: str, value: Any) -> Any:
    if isinstance(value, complex):
        raise ValueError(f"{symbol} gives a complex number")  # noqa: TRY004 - no wrong argument
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{symbol} gives {value}")
    return value


def _check_known(symbol: str, *values: Any) -> None:
    if any(isinstance(value, ParameterExpression) for value in values):
        raise ValueError(
            f"{symbol} of an input; of inputs there are {', '.join(_OF_INPUTS)}, sqrt, exp, log, "
            "abs, sin, cos, tan and their inverses"
        )
