"""Expressions of an OpenQASM program: what they are worth, before any circuit is built."""

from __future__ import annotations

import itertools
import math
import operator
import re
from typing import Any

import pytest
from qiskit.circuit import Parameter, ParameterExpression

from qstore_ray.circuits.qasm.arithmetic import LEVELS, Qubits, Unknown
from qstore_ray.circuits.qasm.tokens import Cursor
from qstore_ray.circuits.qasm.values import MOST_OPERATIONS, Values
from qstore_ray.errors import CircuitError


def _values(text: str, version: int = 3, **names: Any) -> Values:
    values = Values(Cursor(text, "mine"))
    values.version = version
    values.scopes[0].update(names)
    return values


def _value(text: str, version: int = 3, **names: Any) -> Any:
    values = _values(text, version, **names)
    found = values.expression()
    assert values.cursor.token.kind == "end", values.cursor.token
    return found


def _same(found: Any, expected: Any) -> bool:
    """Also of the same type: 1, 1.0 and True differ."""
    return type(found) is type(expected) and found == expected


def _refused(text: str, version: int = 3, **names: Any) -> str:
    with pytest.raises(CircuitError) as caught:
        _value(text, version, **names)
    return caught.value.message.removeprefix("mine, line 1, column ")


LITERALS = {
    "0": 0, "12": 12, "1_000": 1000, "007": 7, "0x1F": 31, "0X1_f": 31, "0b101": 5, "0B1_1": 3,
    "0o17": 15, "0O7": 7, "1.5": 1.5, "1.": 1.0, ".5": 0.5, "1e3": 1000.0, "1_0.5": 10.5,
    "2.5e-1": 0.25, '"110"': [0, 1, 1], "'1_00'": [0, 0, 1], '""': [], "{1, 2.5}": [1, 2.5],
    "{}": [], "{1,}": [1], "{{1, 2}, {3}}": [[1, 2], [3]], "true": True, "false": False,
    "pi": math.pi, "π": math.pi, "tau": math.tau, "τ": math.tau, "euler": math.e, "ℇ": math.e,
    "(3)": 3, "((2.0))": 2.0,
}  # fmt: skip


def test_a_literal_is_its_value():
    for text, expected in LITERALS.items():
        assert _same(_value(text), expected), text


COMPUTED = {
    "8 - 3 - 2": 3, "16 / 4 / 2": 2, "2 ** 3 ** 2": 512, "-2 ** 2": -4, "2 ** -1": 0.5,
    "(-2) ** 2": 4, "- -3": 3, "+4": 4, "-+-4": 4, "~5": -6, "~~5": 5, "!true": False, "!0": True,
    "!!2.5": True, "!0 + 1": 2, "-true": -1, "7 / 2": 3, "-7 / 2": -3, "7 / -2": -3,
    "-7 / -2": 3, "0 / 5": 0, "1 / 3": 0, "7.0 / 2": 3.5, "7 / 2.0": 3.5, "true / 2": 0.5,
    "2 / true": 2.0, "9007199254740993 / 1": 9007199254740993, "7 % 3": 1, "7.5 % 2": 1.5,
    "1 << 4": 16, "1 << 4096": 1 << 4096, "256 >> 3": 32, "2 ** 2048": 2**2048,
    "1 ** 4096": 1, "1 ** 4097": 1.0, "6 | 1": 7, "6 ^ 3": 5, "6 & 3": 2,
    "2 || 0": True, "0 || 0.0": False, "0.5 && 3": True, "1 && 0": False, "0 && 1": False,
    "0 || 1": True,
    "1 == 1.0": True, "1 != 2": True, "1 < 1": False, "1 <= 1": True, "2 > 1": True,
    "1 >= 2": False,
    "1 + 2 * 3": 7, "(1 + 2) * 3": 9, "0.1 + 0.2": 0.1 + 0.2,
    "int(2.7)": 2, "int(-2.7)": -2, "uint(3.9)": 3, "int[8](3.0)": 3, "bool(0.5)": True,
    "bool(0)": False, "bit(0)": False, "bit(2)": True, "float(1)": 1.0, "float[64](2)": 2.0,
    "angle(1)": 1.0, "angle[2 * 4](1)": 1.0, "float(true)": 1.0, "int(true)": 1,
    "pow(2, 3)": 8, "pow(2, -1)": 0.5, "mod(7, 4)": 3, "sizeof({1, 2, 3})": 3, "sizeof(q)": 2,
    "popcount(7)": 3, "popcount(8.0)": 1, "abs(-3)": 3, "abs(-0.5)": 0.5, "floor(2.7)": 2,
    "floor(-2.5)": -3, "ceiling(2.1)": 3, "sqrt(9)": 3.0, "({4, 5})[1]": 5,
}  # fmt: skip


def test_what_is_computed_is_computed():
    for text, expected in COMPUTED.items():
        assert _same(_value(text, q=Qubits((0, 1))), expected), text


REAL = {
    "sin": math.sin, "cos": math.cos, "tan": math.tan, "exp": math.exp, "log": math.log,
    "ln": math.log, "arcsin": math.asin, "asin": math.asin, "arccos": math.acos,
    "acos": math.acos, "arctan": math.atan, "atan": math.atan, "sqrt": math.sqrt, "abs": abs,
}  # fmt: skip


@pytest.mark.parametrize("name", REAL)
def test_a_function_is_that_of_a_number_and_of_an_input(name: str):
    w = Parameter("w")
    for number in (0.25, 0.75, 1):
        assert _same(_value(f"{name}({number})"), REAL[name](number))
        found = _value(f"{name}(w)", w=w).bind({w: number}).numeric()
        assert found == pytest.approx(REAL[name](number), rel=1e-12)


def test_operators_on_inputs_are_expressions_of_them():
    w, v = Parameter("w"), Parameter("v")
    for text in ("w + v", "w - v", "w * v", "w / v", "w ** 2", "2 ** w", "-w", "+w", "1 / w"):
        found = _value(text, w=w, v=v)
        assert isinstance(found, ParameterExpression)
        value = found.bind({p: {"w": 0.5, "v": 4.0}[p.name] for p in found.parameters}).numeric()
        assert value == pytest.approx(eval(text, {"w": 0.5, "v": 4.0})), text


def test_openqasm_2_divides_exactly_and_writes_powers_otherwise():
    assert _same(_value("1 / 2", 2), 0.5)
    assert _same(_value("2 ^ 3", 2), 8)
    assert _same(_value("2 ^ 3 ^ 2", 2), 512)
    assert _same(_value("-2 ^ 2 * 3", 2), -12)
    values = _values("2 ** 3", 2)
    assert values.expression() == 2
    assert values.cursor.token.text == "**"


_PLACES = {symbol: level for level, symbols in enumerate(LEVELS) for symbol in symbols}


def test_operators_bind_as_in_the_language():
    """`a ∘ b • c` is what brackets around the stronger say, those of one level from the left."""
    order = list(_PLACES)
    assert " ".join(order) == "|| && | ^ & == != < > <= >= << >> + - * / %"
    for (first, second), (a, b, c) in itertools.product(
        itertools.product(order, repeat=2), ((5, 3, 2), (1, 2, 4), (2, 2, 1))
    ):
        left = _PLACES[first] >= _PLACES[second]
        whole = f"({a} {first} {b}) {second} {c}" if left else f"{a} {first} ({b} {second} {c})"
        plain = f"{a} {first} {b} {second} {c}"
        try:
            expected = _value(whole)
        except CircuitError:  # a division by zero
            with pytest.raises(CircuitError):
                _value(plain)
            continue
        assert _same(_value(plain), expected), plain


@pytest.mark.parametrize("symbol", ["+", "-", "*", "%", "<<", ">>", "<", ">=", "==", "&", "|", "^"])
def test_an_operator_of_numbers_is_pythons(symbol: str):
    named = {"+": "add", "-": "sub", "*": "mul", "%": "mod", "<<": "lshift", ">>": "rshift",
             "<": "lt", ">=": "ge", "==": "eq", "&": "and_", "|": "or_", "^": "xor"}  # fmt: skip
    for a, b in itertools.product(range(1, 6), repeat=2):
        assert _same(_value(f"{a} {symbol} {b}"), getattr(operator, named[symbol])(a, b))


def test_what_cannot_be_computed_is_refused_at_its_place():
    cannot = "cannot compute"
    w = Parameter("w")
    assert _refused("1 + 1 / 0") == f"7: {cannot} /: division by zero"
    for text, message in {  # and what Python says, which differs from version to version
        "1.0 / 0": f"5: {cannot} /: ", "5 % 0": f"3: {cannot} %: ", "log(0)": f"1: {cannot} log: ",
        "2 ** 5000": f"3: {cannot} **: ", "2 ** 2049": f"3: {cannot} **: ",
        "0.5 | 1": f"5: {cannot} |: ", "~0.5": f"1: {cannot} ~: ",
        "int(1e400)": "1: cannot make it int: ",
    }.items():  # fmt: skip
        assert re.fullmatch(f"{re.escape(message)}[A-Za-z].+", _refused(text)), text
    assert _refused("1 << 4097") == f"3: {cannot} <<: the shift is too large"
    assert _refused("1e308 * 10") == f"7: {cannot} *: * gives inf"
    assert _refused("-1e308 * 10") == f"8: {cannot} *: * gives -inf"
    assert _refused("(-1) ** 0.5") == f"6: {cannot} **: ** gives a complex number"
    assert _refused("2 * q", q=Qubits((0,))) == "3: * of a register or an array"
    assert _refused("{1} + 2") == "5: + of a register or an array"
    assert _refused("-q", q=Qubits((0,))) == "1: - of a register or an array"
    assert _refused("!{1}") == "1: ! of a register or an array"
    known = "of an input; of inputs there are +, -, *, /, **, sqrt, exp, log, abs, sin, cos, tan"
    for text in ("w % 2", "2 % w", "w == 1", "1 && w", "w << 1"):
        assert _refused(text, w=w) == f"3: {text.split()[1]} {known} and their inverses"
    for text in ("~w", "!w"):
        assert _refused(text, w=w) == f"1: {text[0]} {known} and their inverses"
    for name in ("floor", "ceiling", "popcount"):
        assert _refused(f"{name}(w)", w=w) == f"1: {name} {known} and their inverses"


def test_what_is_no_expression_is_refused_at_its_place():
    assert _refused("1 + )") == "5: a value is missing before ')'"
    assert _refused("(1 + 2") == "7: ')' is missing before the end of the text"
    assert _refused("{1 2}") == "4: ',' is missing before '2'"
    assert _refused('"12"') == "1: a value is missing before '\"12\"'"
    assert _refused("'(' + 1") == "1: a value is missing before \"'('\""
    assert _refused("int[8 3)") == "9: the text ends in the middle of a statement"
    assert _refused("int[8] 3") == "8: '(' is missing before '3'"
    assert _refused("int(3") == "6: ')' is missing before the end of the text"
    assert _refused("pow(2)") == "1: pow takes two values"
    assert _refused("mod(1, 2, 3)") == "1: mod takes two values"
    assert _refused("cos(1, 2)") == "1: cos takes one value"
    assert _refused("cos(1; 2)") == "6: ')' is missing before ';'"
    assert _refused("1 + measure q") == "5: a measurement stands inside an expression"
    assert _refused("1" * 5000) == "1: a number is too long"
    with pytest.raises(CircuitError, match="column 2: times are not supported") as caught:
        _value(" 10ns + 1")
    assert caught.value.fix == "Remove what is about timing; circuits here are gates only."
    assert _refused("bool(q)", q=Qubits((0,))) == "1: a register or an array cannot be made bool"


def test_a_word_is_a_function_or_a_type_only_in_front_of_a_bracket():
    for name in ("pow", "mod", "sizeof", "sin", "int", "uint", "angle", "complex"):
        assert _value(f"{name} + 1", **{name: 2}) == 3
    assert _refused("sin + 1") == "1: sin is not declared"


def test_powers_have_a_depth_that_comes_back():
    assert _value("1" + "**1" * 59) == 1
    assert _refused("1" + "**1" * 60) == "179: too many powers in one another"
    assert _value("1**1+" * 99 + "1") == 100


def test_brackets_have_a_depth_that_comes_back():
    assert _value("(" * 59 + "1" + ")" * 59) == 1
    assert _refused("(" * 60 + "1" + ")" * 60) == (
        "61: an expression has too many brackets in one another"
    )
    assert _value("{" + "(1)," * 99 + "}") == [1] * 99
    values = _values("(1 + )) (1)")
    with pytest.raises(CircuitError):
        values.expression()
    values.cursor.at = 5
    assert [values.expression() for values.cursor.at in [5] * 99] == [1] * 99


# ----------------------------------------------------------------------------- ranges and places


ARRAY = [10, 11, 12, 13]


def _expected(start: int | None, step: int, end: int | None) -> list[int]:
    """`start:step:end` of OpenQASM: both ends are in it, negative places count from the end."""
    first = 0 if start is None else start % 4
    last = 3 if end is None else end % 4
    found, place = [], first
    while place <= last if step > 0 else place >= last:
        found.append(ARRAY[place])
        place += step
    return found


def test_a_range_includes_its_ends():
    for start, step, end in itertools.product(
        (None, *range(-4, 4)), (1, 2, 3, -1, -2), (None, *range(-4, 4))
    ):
        a, b = ("" if place is None else str(place) for place in (start, end))
        expected = _expected(start, step, end)
        assert _value(f"a[{a}:{step}:{b}]", a=ARRAY) == expected
        numbers = _value(f"q[{a}:{step}:{b}]", q=Qubits((10, 11, 12, 13)))
        assert numbers == Qubits(tuple(expected), single=False)
        if step == 1:
            assert _value(f"a[{a}:{b}]", a=ARRAY) == expected


def test_a_place_in_an_array_a_register_and_bits():
    nested = [[1, 2], [3, 4], [5, 6]]
    for text, expected in {
        "a[0]": 10, "a[-1]": 13, "a[3]": 13, "a[-4]": 10, "a[1.0]": 11, "a[{3, 0}]": [13, 10],
        "a[{1}]": [11], "a[{-1, 1,}]": [13, 11], "a[1:2][1]": 12, "b[1]": [3, 4], "b[1, 0]": 3,
        "b[2][-1]": 6, "b[0:1][1][0]": 3, "a[a[0] - 9]": 11, "(a)[2]": 12, "a[2 - 1]": 11,
    }.items():  # fmt: skip
        assert _same(_value(text, a=ARRAY, b=nested), expected), text
    register, bits = Qubits((4, 5, 6)), Unknown(3, unwritten=True)
    assert _value("q[1]", q=register) == Qubits((5,), single=True)
    assert _value("q[1:1]", q=register) == Qubits((5,), single=False)
    assert _value("q[{2, 0}]", q=register) == Qubits((6, 4), single=False)
    assert _value("q[1:2][0]", q=register) == Qubits((5,), single=True)
    assert _value("c[1]", c=bits) == Unknown(None, unwritten=True)
    assert _value("c[0:1]", c=bits) == Unknown(2, unwritten=True)
    assert _value("c[0]", c=Unknown(3)) == Unknown(None)


def test_a_place_that_is_not_there_is_refused():
    names = {"a": ARRAY, "n": 3, "t": 0.5, "c": Unknown(), "q": Qubits((0, 1))}
    for text, message in {
        "a[4]": "2: index 4 is outside 0 to 3", "a[-5]": "2: index -5 is outside 0 to 3",
        "a[2:5]": "2: index 4 is outside 0 to 3", "q[{0, 2}]": "2: index 2 is outside 0 to 1",
        "n[64]": "2: index 64 is outside 0 to 63",
        "n[0, 1]": "4: ']' is missing before ','",
        "t[0]": "2: square brackets behind what is no register or array",
        "c[0]": "2: square brackets behind what is no register or array",
        "a[0][64]": "5: index 64 is outside 0 to 63",
        "a[0, 64]": "6: index 64 is outside 0 to 63",
        "a[0.5]": "3: an index is no whole number", "a[{0.5}]": "4: an element is no whole number",
        "a[{0 1}]": "6: ',' is missing before '1'", "a[0:0.5]": "5: an index is no whole number",
        "a[0": "4: ']' is missing before the end of the text",
        "a[::::]": "3: a range is start:end or start:step:end",
        "a[0:0:2]": "3: a range is endless or too long",
        "a[0:100004]": "3: a range is endless or too long",
        "a[0:-1:-100005]": "3: a range is endless or too long",
    }.items():  # fmt: skip
        assert _refused(text, **names) == message, text


def _span(text: str, size: int | None) -> list[int]:
    return _values(f"{text}]").span(size)


def test_a_range_without_a_size_has_both_ends_and_counts_from_nothing():
    assert _span("-2:2", None) == [-2, -1, 0, 1, 2]
    assert _span("3:-2:-1", None) == [3, 1, -1]
    assert _span("2:1", None) == []
    assert _span("{5, -7}", None) == [5, -7]
    assert len(_span("0:99999", None)) == 100_000
    assert len(_span("0:2:199999", None)) == 100_000
    for text in (":3", "3:", "1:1:"):
        with pytest.raises(CircuitError, match="column 1: a range needs a start and an end here"):
            _span(text, None)
    for text in ("0:100000", "0:2:200000", "0:0:1", "100000:-1:0"):
        with pytest.raises(CircuitError, match="column 1: a range is endless or too long"):
            _span(text, None)
    for text in ("1", "0:1:2:3"):
        with pytest.raises(CircuitError, match="column 1: a range is start:end or start:step:end"):
            _span(text, None)


# ------------------------------------------------------------------------ angles, sizes, conditions


def _angle(text: str, **names: Any) -> Any:
    return _values(text, **names).angle()


def test_an_angle_is_a_real_number_or_an_expression():
    assert _same(_angle("2"), 2.0)
    assert _same(_angle("true"), 1.0)
    assert _same(_angle("-0.5"), -0.5)
    assert isinstance(_angle("2 * w", w=Parameter("w")), ParameterExpression)
    for text, message in {
        "1e400": "an angle is inf", "c": "an angle is the result of a measurement",
        "q": "an angle is no number", "{1}": "an angle is no number",
        "10 ** 400": "an angle is too large a number",
    }.items():  # fmt: skip
        with pytest.raises(CircuitError) as caught:
            _angle(text, c=Unknown(), q=Qubits((0,)))
        assert caught.value.message == f"mine, line 1, column 1: {message}"


def test_an_angle_takes_a_limited_number_of_operations_each():
    w = Parameter("w")
    longest = "+".join(["w"] * (MOST_OPERATIONS + 1))
    values = _values(f"{longest} {longest}", w=w)
    assert isinstance(values.angle(), ParameterExpression)
    assert isinstance(values.angle(), ParameterExpression)
    for more in ("+w", "+sin(w)"):
        text = longest + more
        at = text.index("sin") if "sin" in text else text.rindex("+")
        with pytest.raises(CircuitError) as caught:
            _angle(text, w=w)
        where = f"mine, line 1, column {at + 1}"
        assert caught.value.message == f"{where}: an angle is computed in more than 250 operations"
        assert caught.value.fix.startswith("Compute it by a preprocessing step, or split it into")


def test_a_whole_number_may_be_written_as_a_real_one():
    for text, expected in {"3": 3, "3.0": 3, "-2.0": -2, "6 / 2": 3}.items():
        assert _same(_values(text).whole("a size"), expected)
    for text in ("3.5", "c", "w"):
        with pytest.raises(CircuitError, match="column 2: a size is no whole number"):
            _values(f" {text}", c=Unknown(), w=Parameter("w")).whole("a size")


def test_a_condition_is_known_or_refused():
    for text, expected in {"1 < 2": True, "0": False, "0.5": True, "c": False}.items():
        assert _values(text, c=Unknown(2, unwritten=True)).truth("if") is expected
    assert _values("2").case("switch") == 2
    assert _same(_values("true").case("switch"), 1)
    assert _values("c", c=Unknown(unwritten=True)).case("switch") == 0
    with pytest.raises(CircuitError, match="column 2: switch of what is no whole number"):
        _values(" 2.0").case("switch")
    for value in (Unknown(), Parameter("w"), Qubits((0,)), [1]):
        for ask in (Values.truth, Values.case):
            with pytest.raises(CircuitError) as caught:
                ask(_values(" v", v=value), "while")
            message = "mine, line 1, column 2: while depends on a measurement or an input"
            assert (caught.value.message, caught.value.value) == (message, "while")
            assert caught.value.fix.startswith("Write the circuit without classical control")


def test_what_is_measured_stays_unknown_in_every_expression():
    names = {"c": Unknown(2), "b": Unknown(), "zero": Unknown(2, unwritten=True)}
    for text in ("b + 1", "1 < b", "sin(b)", "pow(b, 2)", "c & 1", "1 + (b * 0)", "sizeof(b)"):
        assert _value(text, **names) == Unknown(), text
    for text in ("-c", "~c", "!c", "int(c)", "float[32](c)"):
        assert _value(text, **names) == Unknown(2), text
    assert _value("zero == 0", **names) is True
    assert _value("3 + zero", **names) == 3
    assert _value("!zero", **names) is True
    assert _value("-zero", **names) == Unknown(2)


# -------------------------------------------------------------------------------------------- names


def test_names_are_looked_up_from_the_innermost_scope():
    values = _values("a b a", a=1, pi=4)
    first, second, again = values.cursor.tokens[:3]
    assert (values.look_up("a"), values.look_up("pi"), values.look_up("no")) == (1, 4, None)
    values.scopes.append({"a": 2})
    assert values.look_up("a") == 2
    values.declare(second, 3)
    assert values.scopes == [{"a": 1, "pi": 4}, {"a": 2, "b": 3}]
    with pytest.raises(CircuitError, match="column 5: a is declared twice"):
        values.declare(again, 5)
    values.scopes.pop()
    with pytest.raises(CircuitError, match="column 1: a is declared twice"):
        values.declare(first, 5)


def test_an_input_is_named_as_the_user_named_it():
    values = _values("_x_3_ x")
    token, other = values.cursor.tokens[:2]
    assert values.new_input(token, "_x_3_").name == "x[3]"
    assert values.new_input(other, "x").name == "x"
    assert values.new_input(other, "_x_3").name == "_x_3"
    assert values.new_input(other, "_a_b_10_").name == "a_b[10]"
    assert list(values.inputs) == ["x[3]", "x", "_x_3", "a_b[10]"]
    with pytest.raises(CircuitError, match=r"column 7: x\[3\] is declared twice"):
        values.new_input(other, "x[3]")


def test_only_openqasm_2_makes_an_undeclared_name_an_input():
    values = _values("a * 2", 2)
    assert [p.name for p in values.expression().parameters] == ["a"]
    assert list(values.scopes[0]) == ["a"]
    values = _values("a", 2)
    values.scopes.append({})
    with pytest.raises(CircuitError, match="column 1: a is not declared"):
        values.expression()
    with pytest.raises(CircuitError) as caught:
        _value("a")
    assert caught.value.value == "a"
    assert caught.value.fix == "Declare it, for example as a parameter: input float a;"


def test_bits_are_written_where_they_are_declared():
    values = _values("", c=Unknown(2, unwritten=True), n=3)
    values.scopes.append({"d": Unknown(unwritten=True)})
    values.write_bits("c")
    values.write_bits("d")
    values.write_bits("n")
    values.write_bits("no")
    assert values.scopes == [{"c": Unknown(2), "n": 3}, {"d": Unknown()}]
    values.scopes.append({"c": 4})
    values.write_bits("c")
    assert values.scopes[0]["c"] == Unknown(2)
    assert values.scopes[2] == {"c": 4}
