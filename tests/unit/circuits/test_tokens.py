"""OpenQASM text as tokens: what a token is, where it stands, and how a cursor moves over them."""

from __future__ import annotations

import pytest

from qstore_ray.circuits.qasm.tokens import BEGIN, END, Cursor
from qstore_ray.errors import CircuitError

KINDS = {
    "int": ["0", "12", "1_000", "0x1F", "0X1f", "0b101", "0B1_1", "0o17", "0O7"],
    "float": ["1.5", "1.", ".5", "1e3", "1E-3", "2.5e+10", "1_0.5", "1_0e1"],
    "duration": ["100ns", "1.5us", ".5ms", "2s", "3dt", "1e3ns", "7µs", "7μs"],
    "name": ["q", "_x_0_", "θ", "$0", "$12", "rx", "π"],
    "string": ['"a b"', "'a b'", '""', '"//"'],
    "pragma": ["#pragma braket x", "# pragma x", "pragma x y"],
    "op": [
        *("->", "**", "**=", "++", "&&", "||", "<<", "<<=", ">>", ">>=", "+=", "-=", "*=", "/="),
        *("%=", "&=", "|=", "^=", "~=", "<=", ">=", "==", "!=", "[", "]", "(", ")", "{", "}"),
        *("<", ">", "=", "!", "~", "&", "|", "^", "+", "-", "*", "/", "%", ",", ";", ":", ".", "@"),
    ],
}


def _cursor(text: str) -> Cursor:
    return Cursor(text, "mine.qasm")


def _texts(cursor: Cursor) -> list[str]:
    return [token.text for token in cursor.tokens[:-1]]


@pytest.mark.parametrize("kind", KINDS)
def test_every_token_alone_is_of_its_kind(kind: str):
    for text in KINDS[kind]:
        token, end = _cursor(f" {text}").tokens
        assert (token.kind, token.text, token.place) == (kind, text, 1)
        assert (end.kind, end.text, end.place) == ("end", "", len(text) + 1)


def test_space_and_comments_are_left_out():
    cursor = _cursor("h//x\n q/* y\n; */[0]\t;// z")
    assert _texts(cursor) == ["h", "q", "[", "0", "]", ";"]
    assert [token.place for token in cursor.tokens] == [0, 6, 16, 17, 18, 20, 25]
    assert _texts(_cursor("a/b a/ /b")) == ["a", "/", "b", "a", "/", "/", "b"]


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("h q;\n  §", "line 2, column 3", "no OpenQASM has the character '§'"),
        ("h 'q;", "line 1, column 3", "a quote is not closed"),
        ('h "q', "line 1, column 3", "a quote is not closed"),
        ("# x", "line 1, column 1", "# is no OpenQASM here; a comment begins with //"),
        ("h q; /* x", "line 1, column 6", "a comment is not closed"),
    ],
)
def test_what_no_token_begins_with_is_refused(text: str, place: str, message: str):
    with pytest.raises(CircuitError) as caught:
        _cursor(text)
    assert caught.value.message == f"mine.qasm, {place}: {message}"
    assert (caught.value.field, caught.value.value, caught.value.fix) == ("circuit", None, "")


def test_a_cursor_takes_one_token_after_the_other():
    cursor = _cursor('rx ( "rx" )')
    assert cursor.token == cursor.tokens[0]
    assert cursor.sees("h", "rx")
    assert not cursor.sees("h", "r")
    assert not cursor.accept("(")
    assert cursor.at == 0
    assert cursor.accept("rx")
    assert cursor.expect("(") == cursor.tokens[1]
    assert cursor.at == 2
    cursor.tokens[2] = cursor.tokens[2]._replace(text="rx")  # a text is never a word
    assert not cursor.sees("rx")
    assert not cursor.accept("rx")
    assert cursor.take().kind == "string"
    assert cursor.expect(")").text == ")"
    assert cursor.token.kind == "end"
    assert cursor.accept("") or cursor.at == 4


def _message(move, text: str) -> str:
    cursor = _cursor(text)
    with pytest.raises(CircuitError) as caught:
        move(cursor)
    return caught.value.message.removeprefix("mine.qasm, ")


def test_a_move_that_cannot_be_made_names_the_token():
    assert (
        _message(lambda c: c.expect(")"), "\n ]") == "line 2, column 2: ')' is missing before ']'"
    )
    end = "the end of the text"
    assert _message(lambda c: c.expect(")"), "") == f"line 1, column 1: ')' is missing before {end}"
    assert _message(Cursor.identifier, " 3") == "line 1, column 2: a name is missing before '3'"
    late = "line 1, column 3: the text ends in the middle of a statement"
    assert _message(Cursor.identifier, "  ") == late
    assert _message(Cursor.take, "  ") == late
    lost = "line 1, column 2: a bracket is missing before"
    assert _message(Cursor.skip_group, " x") == f"{lost} 'x'"
    assert _message(Cursor.skip_group, " ") == f"{lost} {end}"
    assert _message(lambda c: c.skip_to(";"), "a (;") == "line 1, column 5: " + late[18:]
    assert _cursor(" name").identifier().text == "name"


def _after(move, text: str) -> str:
    cursor = _cursor(text)
    move(cursor)
    return cursor.token.text


@pytest.mark.parametrize("opened", ["(x ; x)", "[x ; x]", "{x ; x}", "([{;}];)", "()[]{}"])
def test_brackets_are_skipped_as_one(opened: str):
    cursor = _cursor(f"a {opened} ; b")
    cursor.skip_to(";", "b")
    assert (cursor.token.text, cursor.tokens[cursor.at + 1].text) == (";", "b")
    assert cursor.at == len(cursor.tokens) - 3
    if opened != "()[]{}":
        cursor = _cursor(f"{opened} b")
        cursor.skip_group()
        assert cursor.token.text == "b"


def test_the_first_of_several_ends_is_enough():
    assert _after(lambda c: c.skip_to(":", ","), "a (,) , b :") == ","
    assert _after(lambda c: c.skip_to(":", ","), "a : b ,") == ":"
    assert _after(lambda c: c.skip_to("a"), "a") == "a"
    cursor = _cursor("x ';' ;")
    cursor.skip_to(";")
    assert cursor.at == 2


STATEMENTS = [
    "h q[0];",
    "rx(f({1, 2})) q;",
    "{ h q; { x q; } }",
    "if (a) h q;",
    "if (a) { h q; }",
    "if (a) h q; else x q;",
    "if (a) { h q; } else { x q; }",
    "if (a) if (b) h q; else x q;",
    "if (a) h q; else if (b) x q; else { y q; }",
    "for int i in [0:2] h q;",
    "for int i in [0:2] { h q; }",
    "for int i in {0, 2} h q;",
    "for i in q { h i; }",
    "for int i in a h q[i];",
    "for int i in [0:1] for int j in {1} if (i == j) { x q; } else y q;",
    "gate g(a) b { rx(a) b; }",
    "def f(qubit a) -> int { return 3; }",
    "box[100ns] { h q; }",
    "int[8] i = (1 + 2);",
    "switch (i) { case 0 { h q; } };",
    ";",
]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_statement_is_skipped_to_its_end(statement: str):
    cursor = _cursor(f"{statement} next;")
    cursor.skip_statement()
    assert cursor.token.text == "next"


def test_a_place_is_a_line_and_a_column_of_the_users_file():
    """What is included stands between line breaks and markers that are not the file's."""
    two = f"\n{BEGIN}two.inc\n\n d\n{END}two.inc\n"
    one = f"\n{BEGIN}one.inc\nc{two}e\n{END}one.inc\n"
    text = f"a\n  b{one}f\n{END}no\ng"
    cursor = _cursor(text)
    assert [cursor.where(token) for token in cursor.tokens] == [
        "mine.qasm, line 1, column 1",
        "mine.qasm, line 2, column 3",
        "one.inc, line 1, column 1",
        "two.inc, line 2, column 2",
        "one.inc, line 1, column 1",
        "mine.qasm, line 2, column 1",
        "mine.qasm, line 4, column 1",
        "mine.qasm, line 4, column 2",
    ]


def test_an_error_names_the_next_token_or_another():
    cursor = _cursor("a\n b")
    first = cursor.take()
    found = cursor.error("no", value=3, fix="Yes.")
    assert (found.message, found.field) == ("mine.qasm, line 2, column 2: no", "circuit")
    assert (found.value, found.fix) == (3, "Yes.")
    assert cursor.error("no", first).message == "mine.qasm, line 1, column 1: no"
    with pytest.raises(CircuitError) as caught:
        cursor.refuse("no", first, value=4, fix="Yes.")
    assert caught.value.message == "mine.qasm, line 1, column 1: no"
    assert (caught.value.value, caught.value.fix) == (4, "Yes.")
