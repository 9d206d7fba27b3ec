"""The engines that run a program, fastest first, and which of them this machine has.

    native   C kernels, compiled when the package was installed
    numpy    array operations, everywhere

All give the same values and gradients to rounding. An engine is a module with the functions of
`Engine`; it is imported when it is opened.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from qstore_ray.errors import MissingDependencyError, unknown_name_error
from qstore_ray.simulate.compile.program import Program, SlotGradients
from qstore_ray.simulate.compile.signed_program import (
    DrawnErrors,
    ErrorTable,
    SignedBinding,
    SignedProgram,
)

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, ComplexArray, FloatArray

_log = logging.getLogger(__name__)

EngineName = Literal["auto", "native", "numpy"]
Precision = Literal["complex128", "complex64"]

WIDE = 12
"""Qubits from which a vector register holds amplitudes of one row instead of several rows."""
SPLIT = 18
"""Qubits from which the native engine's threads share the amplitudes of one row, not the rows."""
TABLE_BYTES = 256 * 2**20
"""Tables of phases that all rows share are kept up to this size, the others made again."""

WITHOUT_KERNELS = (
    "the compiled kernels are missing: numpy takes 60 times as long at 4 qubits, 600 times at 12"
)
TO_GET_KERNELS = (
    "Install a C compiler, or one from PyPI (pip install ziglang; export CC='python -m ziglang "
    "cc'), and install the package again; `make setup` does both"
)
_MODULES = {"native": "native", "numpy": "arrays"}
_NEEDS = {"native": "qstore_ray.simulate._kernels", "numpy": "numpy"}


class Engine(Protocol):
    """What runs programs: a module with these names.

    Attributes:
        WIDTHS: numbers of qubits at which its speed is measured (`cost.py`).
    """

    WIDTHS: tuple[int, ...]

    def rows_at_once(self, n_qubits: int) -> int:
        """How many rows a thread works on at a time."""
        ...

    def forward(
        self,
        program: Program,
        rows: FloatArray,
        params: FloatArray,
        amplitudes: AnyArray | None,
        *,
        keep: bool,
        threads: int = 1,
        precision: Precision = "complex128",
    ) -> tuple[FloatArray, Any]:
        """Expectation values (N, O) of rows (N, A), params (P,) or (N, P), and a tape."""
        ...

    def reverse(
        self, tape: Any, cotangent: FloatArray, *, rows_gradient: bool, threads: int = 1
    ) -> SlotGradients:
        """Σ_o cotangent[i, o] ∂⟨O_o⟩/∂slot for each row i of the tape."""
        ...

    def states(
        self,
        program: Program,
        rows: FloatArray,
        params: FloatArray,
        amplitudes: AnyArray | None,
        *,
        threads: int = 1,
        precision: Precision = "complex128",
    ) -> ComplexArray:
        """Final states (N, 2^n) of a program of `compile_states`, arguments as for `forward`."""
        ...

    def draw_errors(
        self, table: ErrorTable, key: AnyArray, counter: int, n_rows: int
    ) -> DrawnErrors:
        """The errors that happen in N rows. Every engine draws the same.

        Args:
            key: (2,) 64-bit words: the key of a Philox generator.
            counter: blocks of `WORDS` numbers that lie before the first row's. A row takes a number
                for each site, in whole blocks.
        """
        ...

    def bind_signed(
        self, signed: SignedProgram, errors: DrawnErrors, rows: AnyArray, params: AnyArray
    ) -> SignedBinding:
        """The signs that errors give to N rows (N, A), and the program's slots with them."""
        ...

    def unbind_signed(
        self, signed: SignedProgram, signs: FloatArray, slots: FloatArray, *, rows_gradient: bool
    ) -> tuple[FloatArray, FloatArray]:
        """Gradients of the rows (N, A) and parameters (N, P) from those of the program's slots.

        Args:
            signs: of the binding.
            rows_gradient: without it those of the rows are zeros.
        """
        ...


def engines() -> dict[str, bool]:
    """Each engine, fastest first, and whether it is installed."""
    return {name: importlib.util.find_spec(needs) is not None for name, needs in _NEEDS.items()}


def choose_engine(name: str) -> str:
    """Check the engine's name; for `auto` choose the fastest installed engine.

    A warning is logged if `auto` finds no compiled kernels: tens of times slower is not silent.

    Raises:
        UnknownNameError: no engine has this name.
        MissingDependencyError: it is not installed.
    """
    there = engines()
    if name == "auto":
        chosen = next(engine for engine, is_there in there.items() if is_there)
        if chosen != next(iter(there)):
            _warn_of_numpy()
        return chosen
    if name not in there:
        raise unknown_name_error("engine", name, ("auto", *there), field="engine")
    if not there[name]:
        raise MissingDependencyError(
            f"the {name} engine is not installed",
            field="engine",
            value=name,
            fix=f"{TO_GET_KERNELS}; or use engine = 'auto'.",
        )
    return name


@functools.cache
def _warn_of_numpy() -> None:
    _log.warning(
        "%s (looked in %s). %s, or remove this copy of its source from the job or from PYTHONPATH.",
        WITHOUT_KERNELS, Path(__file__).parents[2], TO_GET_KERNELS,
    )  # fmt: skip


def open_engine(name: str) -> Engine:
    """Import the module of an installed engine."""
    return cast("Engine", importlib.import_module(f"qstore_ray.simulate.engines.{_MODULES[name]}"))


def state_bytes(name: str, n_qubits: int, threads: int, precision: Precision) -> int:
    """Bytes of the states of a sweep over n qubits, for any depth and number of rows.

    Two states (ψ and λ) and a real field for each row that is worked on at a time. Tables of phases
    that the rows share come on top, at most `TABLE_BYTES` of them.
    """
    amplitude = 16 if precision == "complex128" else 8
    together = name == "native" and n_qubits >= SPLIT
    rows = open_engine(name).rows_at_once(n_qubits) * (1 if together else threads)
    return int(2**n_qubits) * (2 * amplitude + 8) * rows


def describe(name: str) -> str:
    """The engine in a few words, with the instruction set of its kernels."""
    if name != "native":
        return name
    from qstore_ray.simulate import _kernels

    instructions, lanes = _kernels.current()
    return f"native ({instructions}, {lanes} numbers a vector)"
