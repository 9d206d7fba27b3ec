"""The default backend: exact expectation values and exact gradients on this machine.

`StatevectorBackend` compiles a template once (`simulate/compiler.py`) and runs the program on the
compiled engine, or on the numpy engine where numba is missing. Both give exact values; `engine` in
the object's repr tells which one runs.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from qstore_ray.backends.base import (
    Bindings,
    Estimates,
    Gradients,
    Pullback,
    Usage,
    check_bindings,
)
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Template
from qstore_ray.errors import BackendError, MissingDependencyError, ResourceError, unknown_name
from qstore_ray.simulate.compiler import compile_program
from qstore_ray.simulate.program import Program, SlotGradients

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray

Engine = Literal["auto", "numba", "numpy"]

_TILES_A_THREAD = 5  # ψ, λ, a copy for each, and a vector of weights
_ROWS_A_TILE = 8


class StatevectorBackend:
    """Exact simulation of the 2^n amplitudes, in complex128.

    Args:
        engine: `numba` (compiled kernels), `numpy`, or `auto`: numba where it is installed.
        threads: threads that share the rows of one call; the result does not depend on it.

    Raises:
        MissingDependencyError: `numba` was asked for and is not installed.
    """

    name = "statevector"

    def __init__(self, engine: Engine = "auto", threads: int = 1) -> None:
        if engine not in ("auto", "numba", "numpy"):
            raise unknown_name("engine", engine, ("auto", "numba", "numpy"), field="engine")
        has_numba = importlib.util.find_spec("numba") is not None
        if engine == "numba" and not has_numba:
            raise MissingDependencyError(
                "the compiled engine needs numba",
                field="engine",
                value=engine,
                fix="pip install numba, or take engine = 'numpy'.",
            )
        if engine == "auto":
            engine = "numba" if has_numba else "numpy"
        self.engine = engine
        self.threads = threads

    def __repr__(self) -> str:
        return f"StatevectorBackend(engine={self.engine!r}, threads={self.threads})"

    def check(
        self, template: Template, observables: Sequence[Observable], bindings: Bindings
    ) -> None:
        """Whether the arguments fit each other and this machine's memory; see `Backend.check`."""
        check_bindings(template, observables, bindings)
        self._check_memory(template.n_qubits)

    def evaluate(
        self,
        template: Template,
        observables: Sequence[Observable],
        bindings: Bindings,
        *,
        shots: int | None = None,
        key: Sequence[int] | None = None,
    ) -> Estimates:
        """⟨O_o⟩ (N, O), exact to rounding; see `Backend.evaluate`."""
        if shots is not None:
            raise BackendError(
                "the statevector backend is exact, it does not sample",
                field="shots",
                value=shots,
                fix="Leave shots unset.",
            )
        program = self._program(template, observables, bindings)
        values, _ = self._forward(program, bindings, keep=False)
        return Estimates(values, usage=Usage(circuits=len(bindings)))

    def vjp(
        self,
        template: Template,
        observables: Sequence[Observable],
        bindings: Bindings,
        *,
        rows_gradient: bool = False,
    ) -> tuple[Estimates, Pullback]:
        """Exact values and the adjoint pullback; see `DifferentiableBackend.vjp`."""
        program = self._program(template, observables, bindings)
        values, tape = self._forward(program, bindings, keep=True)

        def pullback(cotangent: FloatArray) -> Gradients:
            found = self._reverse(tape, cotangent, rows_gradient)
            split = program.n_rows
            return Gradients(found.slots[:, :split], found.slots[:, split:], found.amplitudes)

        return Estimates(values, usage=Usage(circuits=len(bindings))), pullback

    def _program(
        self, template: Template, observables: Sequence[Observable], bindings: Bindings
    ) -> Program:
        self.check(template, observables, bindings)
        return compile_program(template, tuple(observables), bindings.params.ndim == 2)

    def _check_memory(self, n_qubits: int) -> None:
        rows = _ROWS_A_TILE if self.engine == "numba" else 1
        needed = 2**n_qubits * 16 * rows * _TILES_A_THREAD * self.threads
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if needed > memory:
            raise ResourceError(
                f"{n_qubits} qubits need {needed / 2**30:,.0f} GiB of memory, this machine has "
                f"{memory / 2**30:,.0f} GiB",
                field="n_qubits",
                value=n_qubits,
                fix="Take fewer qubits.",
            )

    def _forward(
        self, program: Program, bindings: Bindings, *, keep: bool
    ) -> tuple[FloatArray, Any]:
        b = bindings
        if self.engine == "numba":
            from qstore_ray.simulate import compiled  # numba takes half a second to import

            return compiled.forward(
                program, b.rows, b.params, b.amplitudes, keep=keep, threads=self.threads
            )
        from qstore_ray.simulate import arrays

        return arrays.forward(program, b.rows, b.params, b.amplitudes)

    def _reverse(self, tape: Any, cotangent: FloatArray, rows_gradient: bool) -> SlotGradients:
        if self.engine == "numba":
            from qstore_ray.simulate import compiled

            return compiled.reverse(
                tape, cotangent, rows_gradient=rows_gradient, threads=self.threads
            )
        from qstore_ray.simulate import arrays

        return arrays.reverse(tape, cotangent, rows_gradient=rows_gradient)
