"""Formulas of features against Python's own arithmetic and against differences."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qstore_ray.circuits.expressions import Formulas, evaluate, from_json, parse
from qstore_ray.errors import CircuitError

FEATURES = {"a": 0, "b": 1, "c": 2}
COLUMNS = [np.array([0.3, 0.7]), np.array([1.3, 0.2]), np.array([-0.4, 0.9])]
KNOWN = "Use + - * / ** and sin, cos, tan, asin, acos, atan, exp, log, abs, sign, conj."
NAMES = {
    "sin": math.sin, "cos": math.cos, "tan": math.tan, "exp": math.exp, "log": math.log,
    "asin": math.asin, "acos": math.acos, "atan": math.atan, "abs": abs,
    "sign": lambda v: math.copysign(1.0, v), "conj": lambda v: v,
}  # fmt: skip
TEXTS = [
    *(f"{name}({inner})" for name in NAMES for inner in ("a", "a*a - 0.05")),
    *("a + b", "a - b", "a * b", "a / b", "a ** b", "a ** 3", "2 ** a", "-a", "a - (b - c)"),
    *("-(a + b) * c", "a / b / c", "3", "2.5", "a", "(c)", "c ** 2", "c ** -1", "(c + 2) ** 0.5"),
    *(" a + 1 ", "sin(a) * exp(b) - c / (1 + a ** 2)"),
]


def _value(text: str, row: int) -> float:
    names = {name: COLUMNS[k][row] for name, k in FEATURES.items()}
    return eval(text.strip(), {**NAMES, **names})


@pytest.mark.parametrize("text", TEXTS)
def test_a_formula_is_what_python_computes(text: str):
    found = evaluate(parse(text, FEATURES), COLUMNS)
    assert found.shape == (2,)
    np.testing.assert_allclose(found, [_value(text, row) for row in (0, 1)], rtol=1e-14)


@pytest.mark.parametrize("text", TEXTS)
def test_a_formula_is_differentiated_by_every_feature(text: str):
    formulas = Formulas(3, (parse("a * c", FEATURES), parse(text, FEATURES)))
    x, step = np.stack(COLUMNS, axis=1), 1e-6
    cotangent = np.array([[0.1, 0.2, 0.3, 0.5, 1.1], [-0.1, 0.4, 0.7, -0.6, 2.0]])
    found = formulas.pullback(x, cotangent)
    assert formulas(x).shape == cotangent.shape
    np.testing.assert_array_equal(formulas(x)[:, :3], x)
    for column, direction in enumerate(np.eye(3)):
        there, back = formulas(x + step * direction), formulas(x - step * direction)
        slope = (cotangent * (there - back)).sum(axis=1) / (2 * step)
        np.testing.assert_allclose(found[:, column], slope, rtol=1e-5, atol=1e-7)


def test_a_slope_is_known_where_a_logarithm_is_not():
    """A power with a number as exponent has a slope also where its base is negative, or 0."""
    formulas = Formulas(1, (("pow", 0, 3.0), ("abs", 0), ("sign", 0)))
    x = np.array([[-2.0], [0.0], [2.0]])
    slopes = [formulas.pullback(x, np.eye(4)[[k] * 3])[:, 0] for k in range(4)]
    np.testing.assert_array_equal(slopes, [[1, 1, 1], [12, 0, 12], [-1, 0, 1], [0, 0, 0]])
    nothing = Formulas(2, ())
    np.testing.assert_array_equal(nothing(x.T[:, :2]), x.T[:, :2])
    np.testing.assert_array_equal(nothing.pullback(x.T[:, :2], x.T[:, 1:]), x.T[:, 1:])


def test_a_pullback_leaves_its_cotangent_alone():
    cotangent = np.ones((2, 4))
    Formulas(3, (("mul", 0, 1),)).pullback(np.stack(COLUMNS, axis=1), cotangent)
    assert (cotangent == 1).all()


def test_what_is_no_formula_says_which_text():
    for text in (
        *("d", "a.real", "f(a)", "sin(a, b)", "sin(a, x=b)", "a if b else c", "'a'"),
        *(
            "a // b",
            "a @ b",
            "~a",
            "+a",
            "a < b",
            "[a]",
            "1j",
            "None",
            "a +",
            ")",
            "sin",
            "neg(a,b)",
        ),
    ):
        with pytest.raises(CircuitError) as caught:
            parse(text, FEATURES)
        error = caught.value
        assert error.message == "an angle is no formula of real features", text
        assert (error.field, error.value, error.fix) == ("circuit", text, KNOWN)
    for text in ("+".join(["a"] * 5000), "(" * 300 + "a" + ")" * 300 + "+" + "-" * 5000 + "a"):
        with pytest.raises(CircuitError) as caught:
            parse(text, FEATURES)
        error = caught.value
        if "too many" in error.message:
            assert error.message == "an angle is a formula of too many features or operations"
            assert (error.field, error.value) == ("circuit", text)
            assert error.fix.startswith("Compute it by a preprocessing step, or split it into")


formulas = st.recursive(
    st.integers(0, 2) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.tuples(st.sampled_from([*NAMES, "neg"]), inner)
        | st.tuples(st.sampled_from(["add", "sub", "mul", "div", "pow"]), inner, inner)
    ),
    max_leaves=8,
)


@settings(max_examples=50)
@given(formulas)
def test_json_keeps_a_formula(formula):
    assert from_json(json.loads(json.dumps(formula)), 3) == formula


@pytest.mark.parametrize(
    "value",
    [True, False, None, -1, 3, "sin", [], ["sin"], ["sin", 0, 1], ["add", 0], ["add", 0, 1, 2],
     ["mine", 0], ["mine", 0, 1], ["sin", 3], ["add", 0, 3], ["add", 3, 0], ["add", True, 0], {}],
    ids=str,
)  # fmt: skip
def test_json_that_is_no_formula_is_refused(value):
    with pytest.raises(CircuitError, match="no formula of real features") as caught:
        from_json(value, 3)
    assert isinstance(caught.value.value, str)
    if not isinstance(value, list):
        assert caught.value.value == str(value)
    assert from_json(0, 1) == 0
    assert from_json(2, 3) == 2
