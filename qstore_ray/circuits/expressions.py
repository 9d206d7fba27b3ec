"""Formulas of features, such as 2(π − x₀)(π − x₁), as data: parsed, evaluated and differentiated.

A converted circuit may hold angles that are not `scale · slot + offset`. Angles that depend on
features alone are allowed: they are computed before the circuit runs, as further row angles. A
formula is kept as a nested tuple, ("mul", ("sub", 3.14, 0), …) with an `int` for a feature and a
`float` for a number, so it is hashable, picklable, and evaluated by numpy on whole columns.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from qstore_ray.errors import CircuitError

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray

Formula = Any  # int (feature) | float (number) | (name, Formula) | (name, Formula, Formula)


class _Unary(NamedTuple):
    value: Callable[[Any], Any]
    slope: Callable[[Any], Any]


_UNARY: dict[str, _Unary] = {
    "neg": _Unary(np.negative, lambda a: -np.ones_like(a)),
    "sin": _Unary(np.sin, np.cos),
    "cos": _Unary(np.cos, lambda a: -np.sin(a)),
    "tan": _Unary(np.tan, lambda a: 1 / np.cos(a) ** 2),
    "asin": _Unary(np.arcsin, lambda a: 1 / np.sqrt(1 - a * a)),
    "acos": _Unary(np.arccos, lambda a: -1 / np.sqrt(1 - a * a)),
    "atan": _Unary(np.arctan, lambda a: 1 / (1 + a * a)),
    "exp": _Unary(np.exp, np.exp),
    "log": _Unary(np.log, lambda a: 1 / a),
    "abs": _Unary(np.abs, np.sign),
    "sign": _Unary(np.sign, np.zeros_like),
    "conj": _Unary(np.positive, np.ones_like),  # features are real
}
_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "pow": np.power,
}
_OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "div",
    ast.Pow: "pow",
    ast.USub: "neg",
}


@dataclass(frozen=True)
class Formulas:
    """The features, then one angle a formula: (B, F) → (B, F + E)."""

    n_features: int
    formulas: tuple[Formula, ...]

    def __call__(self, x: FloatArray) -> FloatArray:
        """[x, f_1(x), f_2(x), …]."""
        columns = _columns(x)
        with np.errstate(all="ignore"):  # what is not finite is refused, by row, by the circuit
            return np.column_stack([x, *(evaluate(formula, columns) for formula in self.formulas)])

    def pullback(self, x: FloatArray, cotangent: FloatArray) -> FloatArray:
        """Through each formula by the chain rule, from its outside inwards."""
        columns = _columns(x)
        gradient = cotangent[:, : self.n_features].copy()
        with np.errstate(all="ignore"):  # the slope of a root at 0 is infinite, and is said so
            for k, formula in enumerate(self.formulas):
                _push(formula, columns, cotangent[:, self.n_features + k], gradient)
        return gradient


def parse(text: str, features: Mapping[str, int]) -> Formula:
    """The formula that `text` writes in Python's syntax, with `features` naming the columns.

    Raises:
        CircuitError: a function, name or construction that is no formula of real features.
    """
    try:
        return _formula(ast.parse(text.strip(), mode="eval").body, features, text)
    except SyntaxError as exc:
        raise _formula_error(text) from exc
    except (RecursionError, MemoryError) as exc:
        raise CircuitError(
            "an angle is a formula of too many features or operations",
            field="circuit",
            value=text,
            fix="Compute it by a preprocessing step, or split it into several rotations.",
        ) from exc


def from_json(value: Any, n_features: int) -> Formula:
    """The formula that JSON, of which `json.dumps` of a formula is an example, holds.

    Raises:
        CircuitError: it holds no formula of so many features.
    """
    match value:
        case bool():
            raise _formula_error(str(value))
        case float():
            return value
        case int() if 0 <= value < n_features:
            return value
        case [str() as name, a] if name in _UNARY:
            return (name, from_json(a, n_features))
        case [str() as name, a, b] if name in _BINARY:
            return (name, from_json(a, n_features), from_json(b, n_features))
    raise _formula_error(str(value))


def evaluate(formula: Formula, columns: list[FloatArray]) -> FloatArray:
    """The formula's value (B,) for features given as F columns (B,)."""
    if isinstance(formula, int):
        return columns[formula]
    if isinstance(formula, float):
        return np.full(columns[0].shape, formula)
    name, *operands = formula
    values = [evaluate(operand, columns) for operand in operands]
    function: Callable[..., FloatArray] = _BINARY.get(name) or _UNARY[name].value
    return function(*values)


def _push(
    formula: Formula, columns: list[FloatArray], cotangent: FloatArray, gradient: FloatArray
) -> None:
    """Add cotangent · ∂formula/∂x to `gradient` (B, F), from the outside of the formula inwards."""
    if isinstance(formula, int):
        gradient[:, formula] += cotangent
        return
    if isinstance(formula, float):
        return
    name, *operands = formula
    values = [evaluate(operand, columns) for operand in operands]
    for operand, slope in zip(operands, _slopes(name, operands, values), strict=True):
        _push(operand, columns, cotangent * slope, gradient)


def _slopes(name: str, operands: list[Formula], values: list[FloatArray]) -> list[Any]:
    if name in _UNARY:
        return [_UNARY[name].slope(values[0])]
    a, b = values
    match name:
        case "add":
            return [1.0, 1.0]
        case "sub":
            return [1.0, -1.0]
        case "mul":
            return [b, a]
        case "div":
            return [1 / b, -a / (b * b)]
    # The slope in the exponent needs log(a); where the exponent is a number it is not needed, and a
    # may well be negative.
    fixed = isinstance(operands[1], float)
    return [b * a ** (b - 1), 0.0 if fixed else a**b * np.log(a)]


def _columns(x: FloatArray) -> list[FloatArray]:
    # Contiguous, because numpy may compute sin of strided and of contiguous numbers differently in
    # the last bit, and a row must not depend on the batch it comes in.
    return [np.ascontiguousarray(x[:, j]) for j in range(x.shape[1])]


def _formula(node: ast.expr, features: Mapping[str, int], text: str) -> Formula:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name) if name in features:
            return features[name]
        case ast.UnaryOp(op=operator, operand=a) if type(operator) in _OPERATORS:
            return (_OPERATORS[type(operator)], _formula(a, features, text))
        case ast.BinOp(left=a, op=operator, right=b) if type(operator) in _OPERATORS:
            inner = (_formula(a, features, text), _formula(b, features, text))
            return (_OPERATORS[type(operator)], *inner)
        case ast.Call(func=ast.Name(id=name), args=[a], keywords=[]) if name in _UNARY:
            return (name, _formula(a, features, text))
    raise _formula_error(text)


def _formula_error(text: str) -> CircuitError:
    return CircuitError(
        "an angle is no formula of real features",
        field="circuit",
        value=text,
        fix=f"Use + - * / ** and {', '.join(name for name in _UNARY if name != 'neg')}.",
    )
