"""What an OpenQASM program has declared and built so far, while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from qstore_ray.circuits.library.library import MAX_QUBITS
from qstore_ray.circuits.qasm.arithmetic import Qubits
from qstore_ray.circuits.qasm.gates import Applied
from qstore_ray.circuits.qasm.tokens import Cursor, Token
from qstore_ray.circuits.qasm.values import Values
from qstore_ray.circuits.qiskit.qubit_history import QubitHistory
from qstore_ray.circuits.wires import too_wide_error
from qstore_ray.errors import ResourceError

_MOST_WIRES = 10_000
"""How many qubits a program declares at most; how many of them it may use is less."""


@dataclass(frozen=True)
class GateDefinition:
    """A gate of the text: the names of its arguments, the place of its body, its own text."""

    angles: tuple[str, ...]
    qubits: tuple[str, ...]
    body: int
    cursor: Cursor
    text: str


class Argument(NamedTuple):
    """An argument of a `def`: a classical value of the type `kind`, or one or `size` qubits."""

    name: str
    kind: str
    size: int | None
    quantum: bool


@dataclass(frozen=True)
class Subroutine:
    """A `def`: its arguments, the type of what it returns ("" for nothing), where its body is."""

    arguments: tuple[Argument, ...]
    returns: str
    body: int


class Jump(Exception):  # noqa: N818 - control flow of the program, not an error
    """Control flow of `break`, `continue`, `return` and `end`, which stands at `token`."""

    def __init__(self, token: Token, value: Any = None) -> None:
        super().__init__(token.text)
        self.token, self.kind, self.value = token, token.text, value


class ProgramState:
    """A running program.

    Args:
        cursor: position in the text.
        block: runs the next block or statement; gates and subroutines need it.
    """

    def __init__(self, cursor: Cursor, block: Callable[[ProgramState], None]) -> None:
        self.cursor, self.block = cursor, block
        self.values = Values(cursor)
        self.gates: dict[str, GateDefinition] = {}
        self.subroutines: dict[str, Subroutine] = {}
        self.opaque: set[str] = set()
        self.ops: list[Applied] = []
        self.history = QubitHistory()
        self.n_qubits = self.steps = self.depth = 0

    def new_qubits(self, size: int, token: Token) -> tuple[int, ...]:
        """The numbers of further qubits.

        Raises:
            ResourceError: more qubits are declared than are read.
        """
        first, self.n_qubits = self.n_qubits, self.n_qubits + size
        if size < 1:
            self.cursor.refuse(f"a register of {size} qubits", token)
        if self.n_qubits > _MOST_WIRES:
            raise ResourceError(
                f"{self.cursor.where(token)}: {self.n_qubits} qubits are declared, {_MOST_WIRES} "
                "at most are read",
                field="circuit",
                value=self.n_qubits,
                fix="Declare only the qubits that gates act on.",
            )
        return tuple(range(first, self.n_qubits))

    def gate(self, name: str, qubits: Iterable[int], token: Token) -> None:
        """The gate at `token` acts on `qubits`."""
        self.history.gate(name, qubits, partial(self.cursor.where, token))
        if len(self.history.touched) > MAX_QUBITS:
            raise too_wide_error(len(self.history.touched), f"{self.cursor.where(token)}: ")

    def operand(self) -> Qubits:
        """The qubit or register that is next."""
        token = self.cursor.identifier()
        value = self.values.look_up(token.text)
        if isinstance(value, Qubits):
            return self.values.index(value)  # type: ignore[no-any-return]
        shown = "is not declared" if value is None else "is no qubit"
        raise self.cursor.error(f"{token.text} {shown}", token, value=token.text)

    def operands(self) -> list[Qubits]:
        """The qubits and registers up to the end of the statement."""
        operands = []
        while not self.cursor.sees(";"):
            operands.append(self.operand())
            if not self.cursor.sees(";"):
                self.cursor.expect(",")
        self.cursor.expect(";")
        return operands

    def measure(self, qubits: Qubits, token: Token | None = None) -> None:
        """`qubits` are measured by the statement at `token`."""
        self.history.measure(qubits.numbers, partial(self.cursor.where, token or self.cursor.token))

    def size(self) -> int:
        """The number in square brackets, behind the first of them."""
        size = self.values.whole("a size")
        self.cursor.expect("]")
        return size
