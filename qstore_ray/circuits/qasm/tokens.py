"""OpenQASM text as tokens, and where in which file a token stands.

A program is read token by token, without a syntax tree: a `Cursor` is a place in the list, so a
loop, a gate or a subroutine is run again by putting the cursor back. Texts whose includes were
written into them (`qasm_source.py`) keep marker comments, from which an error finds the file and
the line that the user wrote.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple, NoReturn

from qstore_ray.errors import CircuitError

BEGIN, END = "// qstore_ray: begin ", "// qstore_ray: end "
"""Marker lines around the text of an included file."""

_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*|/\*.*?\*/)
    |(?P<pragma>\#\s*pragma\b[^\n]*|\bpragma\s[^\n]*)
    |(?P<duration>(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?(?:dt|ns|us|µs|μs|ms|s)\b)
    |(?P<float>(?:\d[\d_]*\.[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?|\d[\d_]*[eE][+-]?\d+)
    |(?P<int>0[xX][\da-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|\d[\d_]*)
    |(?P<name>[^\W\d]\w*|\$\d+)
    |(?P<string>"[^"\n]*"|'[^'\n]*')
    |(?P<op>->|\*\*=?|\+\+|&&|\|\||<<=?|>>=?|[-+*/%&|^~<>=!]=|[][(){}<>=!~&|^+\-*/%,;:.@])
    |(?P<unknown>.)""",
    re.VERBOSE | re.DOTALL,
)

_UNKNOWN = {
    **dict.fromkeys("\"'", "a quote is not closed"),
    "#": "# is no OpenQASM here; a comment begins with //",
}


class Token(NamedTuple):
    """A word of the text; `place` counts characters from its beginning."""

    kind: str
    text: str
    place: int


class Cursor:
    """A place among the tokens of a text, and the errors that name it.

    Args:
        text: OpenQASM source.
        name: the file, for errors.

    Raises:
        CircuitError: a character that no token begins with, or an open comment or quote.
    """

    def __init__(self, text: str, name: str) -> None:
        self.text, self.name, self.at = text, name, 0
        self.tokens: list[Token] = []
        for match in _TOKEN.finditer(text):
            kind = match.lastgroup or "unknown"
            if kind == "space":
                continue
            token = Token(kind, match[0], match.start())
            if kind == "unknown":
                what = _UNKNOWN.get(match[0], f"no OpenQASM has the character {match[0]!r}")
                raise self.error(what, token)
            if text.startswith("/*", match.start()):
                raise self.error("a comment is not closed", token)
            self.tokens.append(token)
        self.tokens.append(Token("end", "", len(text)))

    @property
    def token(self) -> Token:
        """The token that is next."""
        return self.tokens[self.at]

    def sees(self, *texts: str) -> bool:
        """Whether the next token is one of these."""
        token = self.tokens[self.at]
        return token.text in texts and token.kind != "string"

    def take(self) -> Token:
        """Return the next token and advance past it."""
        token = self.tokens[self.at]
        if token.kind == "end":
            raise self.error("the text ends in the middle of a statement", token)
        self.at += 1
        return token

    def accept(self, text: str) -> bool:
        """Advance if the next token is `text`; return whether it was."""
        token = self.tokens[self.at]
        if token.text != text or token.kind == "string":
            return False
        self.at += 1
        return True

    def expect(self, text: str) -> Token:
        """The next token, which has to be `text`."""
        token = self.tokens[self.at]
        if not self.accept(text):
            raise self.error(f"{text!r} is missing before {_shown(token)}", token)
        return token

    def identifier(self) -> Token:
        """The next token, which has to be a name."""
        token = self.take()
        if token.kind != "name":
            raise self.error(f"a name is missing before {_shown(token)}", token)
        return token

    def skip_to(self, *ends: str) -> None:
        """Go to the next of `ends` outside of brackets that open from here on."""
        depth = 0
        while not (depth == 0 and self.sees(*ends)):
            text = self.take().text
            depth += (text in ("(", "[", "{")) - (text in (")", "]", "}"))

    def skip_group(self) -> None:
        """Go behind the bracket that opens here and everything in it."""
        closing = {"(": ")", "[": "]", "{": "}"}.get(self.token.text)
        if closing is None:
            raise self.error(f"a bracket is missing before {_shown(self.token)}")
        self.take()
        self.skip_to(closing)
        self.expect(closing)

    def skip_statement(self) -> None:
        """Go behind the statement or block that begins here, without running it."""
        if self.sees("{"):
            self.skip_group()
        elif self.accept("if"):
            self.skip_group()
            self.skip_statement()
            if self.accept("else"):
                self.skip_statement()
        elif self.accept("for"):
            self.skip_to("in")
            self.expect("in")
            if self.sees("[", "{"):
                self.skip_group()
            else:
                self.take()
            self.skip_statement()
        elif self.sees("gate", "def", "box"):
            self.skip_to("{")
            self.skip_group()
        else:
            self.skip_to(";")
            self.expect(";")

    def where(self, token: Token) -> str:
        """File, line and column of a token, as `mine.qasm, line 3, column 5`."""
        names, numbers = [self.name], [1]  # of the files around the token, the innermost last
        before = self.text[: token.place]
        *lines, last = before.split("\n")
        for line in lines:
            if line.startswith(BEGIN):
                numbers[-1] -= 1  # the marker's own line break is not the file's
                names.append(line.removeprefix(BEGIN))
                numbers.append(1)
            elif line.startswith(END) and len(names) > 1:
                names.pop()
                numbers.pop()
            else:
                numbers[-1] += 1
        return f"{names[-1]}, line {numbers[-1]}, column {len(last) + 1}"

    def error(
        self, message: str, token: Token | None = None, *, value: Any = None, fix: str = ""
    ) -> CircuitError:
        """The error that names `token`, or the next one, with its file, line and column."""
        where = self.where(token or self.token)
        return CircuitError(f"{where}: {message}", field="circuit", value=value, fix=fix)

    def refuse(
        self, message: str, token: Token | None = None, *, value: Any = None, fix: str = ""
    ) -> NoReturn:
        """Raise `error`."""
        raise self.error(message, token, value=value, fix=fix)


def _shown(token: Token) -> str:
    return "the end of the text" if token.kind == "end" else repr(token.text)
