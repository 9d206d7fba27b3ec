"""The default backend: exact values and gradients on this machine, or values from shots.

`StatevectorBackend` compiles a template once (`simulate/compile/compiler.py`) and runs the program
on the fastest engine installed (`simulate/engines/engines.py`); the object's repr names it. A
circuit too wide for that becomes many programs (`simulate/cones/plan.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from qstore_ray.backends.base import Bindings, Estimates, Gradients, Pullback, Usage
from qstore_ray.backends.blocks import summed, vjp_by_block
from qstore_ray.backends.check_bindings import check_bindings
from qstore_ray.backends.counts import Counts, checked_shots_of_counts
from qstore_ray.backends.grouping import checked_shots, key_of_shots
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.light_cones import (
    checked_plan,
    cone_sweep,
    exact_cones_error,
    is_cut,
    refuse_wide,
)
from qstore_ray.backends.memory import (
    check_states,
    check_trajectories,
    check_width,
    checked_threads,
)
from qstore_ray.backends.noise.config import NoiseConfig, read_noise
from qstore_ray.backends.noise.parts import bytes_of_trajectory, joined, parts_of
from qstore_ray.backends.noise.trajectories import (
    RandomErrors,
    TrajectoryRun,
    checked_trajectories,
    compile_noisy,
    key_of_errors,
)
from qstore_ray.backends.sampling.circuit import compile_measured
from qstore_ray.backends.sampling.run import SampledRun
from qstore_ray.circuits.observable import Observable, z_observables
from qstore_ray.circuits.template import Template
from qstore_ray.errors import BackendError, unknown_name_error
from qstore_ray.simulate.compile.compiler import compile_program
from qstore_ray.simulate.compile.program import Program
from qstore_ray.simulate.compile.tail import BLOCK, CutProgram, compile_cut
from qstore_ray.simulate.engines.engines import (
    EngineName,
    Precision,
    choose_engine,
    open_engine,
)
from qstore_ray.simulate.states import prepare_states

if TYPE_CHECKING:
    from qstore_ray.simulate.compile.program import SlotGradients
    from qstore_ray.types import ComplexArray, FloatArray, ReadOnlyTable, Table

_PRECISIONS = ("complex128", "complex64")


class StatevectorBackend:
    """Exact simulation: of the 2^n amplitudes, or of the light cones of the observables.

    Args:
        engine: `native` (C kernels), `numpy`, or `auto`: the first that is installed.
        threads: threads that share the rows of one call, or from 18 qubits on the amplitudes of
            each row; the result does not depend on it.
        precision: of the amplitudes; `complex64` halves the memory, and sums are still taken in
            double precision.
        noise: Pauli noise of the gates and wrong readout, or a table of `NoiseConfig`. Values and
            gradients are then means over random trajectories, and need a key.
        trajectories: of each row; None is the noise's own number.
        shots: of every evaluation that does not ask for another number; None for exact values.
            With them it has values alone: no `vjp`, and no states for kernels.
        light_cones: compute every observable from its light cone, also where the whole state fits:
            faster if few layers act on many qubits. A circuit of more than 30 qubits always is.
            The values are the same to rounding, about 1e-15, not to the bit.

    Raises:
        MissingDependencyError: the engine is not installed.
        BackendError: the engine does not have that precision.
        ConfigError: a noise, or numbers of threads, shots or trajectories, that are none; or light
            cones with noise or shots.
    """

    name = "statevector"
    samples = True
    sums_blocks = True

    def __init__(
        self,
        engine: EngineName = "auto",
        threads: int = 1,
        precision: Precision = "complex128",
        noise: NoiseConfig | ReadOnlyTable | None = None,
        trajectories: int | None = None,
        shots: int | None = None,
        light_cones: bool = False,
    ) -> None:
        if precision not in _PRECISIONS:
            raise unknown_name_error("precision", precision, _PRECISIONS, field="precision")
        self.engine = cast("EngineName", choose_engine(engine))
        if precision == "complex64" and self.engine != "native":
            raise BackendError(
                f"the {self.engine} engine computes in complex128 only",
                field="precision",
                value=precision,
                fix="Take engine = 'native', or precision = 'complex128'.",
            )
        self.threads = checked_threads(threads)
        self.precision: Precision = precision
        self.noise = read_noise(noise)
        own = self.noise.trajectories if self.noise else 1
        self.trajectories = own if trajectories is None else checked_trajectories(trajectories)
        self.shots = None if shots is None else checked_shots(shots)
        self._noise_text = "" if self.noise is None else self.noise.text
        self.light_cones = light_cones
        if light_cones and self.draws:
            raise exact_cones_error("noise" if self.noise else "shots")
        self._run = open_engine(self.engine)
        self._last: _Compiled | None = None

    def __repr__(self) -> str:
        return (
            f"StatevectorBackend(engine={self.engine!r}, threads={self.threads}, "
            f"precision={self.precision!r}"
            + (f", noise={self.noise!r}, trajectories={self.trajectories}" if self.noise else "")
            + ("" if self.shots is None else f", shots={self.shots}")
            + (", light_cones=True" if self.light_cones else "")
            + ")"
        )

    def __reduce__(self) -> tuple[type[StatevectorBackend], tuple[Any, ...]]:
        return StatevectorBackend, (
            self.engine, self.threads, self.precision, self.noise, self.trajectories, self.shots,
            self.light_cones,
        )  # fmt: skip

    def description(self) -> Table:
        """Precision, noise, trajectories, shots, light cones; see `DescribedBackend`."""
        noise = None if self.noise is None else self.noise.to_dict()
        settings: Table = {"precision": self.precision, "noise": noise, "shots": self.shots}
        if self.light_cones:  # runs of earlier versions have no such setting
            settings["light_cones"] = True
        return {**settings, "trajectories": self.trajectories if self.noise else None}

    @property
    def draws(self) -> bool:
        """Whether its values are random: means over trajectories, or of shots."""
        return self.noise is not None or self.shots is not None

    def for_testing(self) -> StatevectorBackend:
        """The same with the noise's `test_trajectories`; itself without noise."""
        if self.noise is None:
            return self
        return StatevectorBackend(
            self.engine, self.threads, self.precision, self.noise, self.noise.test_trajectories,
            self.shots,
        )  # fmt: skip

    def check(
        self, template: Template, observables: Sequence[Observable], bindings: Bindings
    ) -> None:
        """Whether the arguments fit each other and this machine's memory; see `Backend.check`."""
        check_bindings(template, observables, bindings)
        if self._is_cut(template):
            per_row, limits = bindings.params.ndim == 2, (self.engine, self.threads, self.precision)
            checked_plan(template, tuple(observables), per_row, *limits)
            return
        self.check_width(template)
        if self.shots is None:
            errors = self._with_noise(template, observables)[2]
        else:
            errors = compile_measured(template, tuple(observables), self._noise_text).errors
        if errors is not None and self.noise is not None:
            most = max(self.trajectories, self.noise.test_trajectories)
            most = most if self.shots is None else min(most, self.shots)
            check_trajectories(1, most, bytes_of_trajectory(errors.signed, len(observables)))

    def check_width(self, template: Template) -> None:
        """Raise an error where the state of a circuit does not fit this machine's memory.

        Raises:
            ResourceError: it does not, and noise and shots need it.
        """
        if not self._is_cut(template):
            refuse_wide(template, "noise and shots need")
            check_width(self.engine, template.n_qubits, self.threads, self.precision)

    def evaluate(
        self,
        template: Template,
        observables: Sequence[Observable],
        bindings: Bindings,
        *,
        shots: int | None = None,
        key: DrawKey | None = None,
    ) -> Estimates:
        """⟨O_o⟩ (N, O), exact to rounding, means over trajectories, or from shots.

        See `Backend.evaluate`, and `sampling/run.py` for the law of values from shots.
        """
        shots = self.shots if shots is None else checked_shots(shots)
        if shots is not None:
            return self._sampled(template, tuple(observables), bindings, shots, key).estimates()
        self.check(template, observables, bindings)
        template, observables, errors = self._with_noise(template, observables)
        if errors is not None:
            each = bytes_of_trajectory(errors.signed, len(observables))
            parts = parts_of(bindings, key_of_errors(key), self.trajectories, each)
            return joined(
                [self._trajectories(errors, *part, keep=False).estimates() for part in parts]
            )
        values, _ = self._exact(template, tuple(observables), bindings, keep=False)
        return Estimates(values, usage=Usage(circuits=len(bindings)))

    def counts(
        self,
        template: Template,
        observables: Sequence[Observable],
        bindings: Bindings,
        *,
        shots: int | None = None,
        key: DrawKey | None = None,
    ) -> Counts:
        """How often each outcome was read, of the draws of `evaluate`; see `CountingBackend`."""
        shots = checked_shots_of_counts(self.shots if shots is None else shots)
        return self._sampled(template, tuple(observables), bindings, shots, key).counts()

    def vjp(
        self,
        template: Template,
        observables: Sequence[Observable],
        bindings: Bindings,
        *,
        rows_gradient: bool = False,
        key: DrawKey | None = None,
        block: int | None = None,
    ) -> tuple[Estimates, Pullback]:
        """Exact values and the adjoint pullback; see `DifferentiableBackend.vjp`.

        With `block`, the last gates of a circuit may become one observable of a few qubits for all
        rows (`simulate/compile/tail.py`): see `SummingBackend`.

        With noise they are the means over the trajectories that the key draws, and the gradient is
        the exact one of those means.

        Raises:
            BackendError: the backend takes shots.
        """
        if self.shots is not None:
            raise BackendError(
                "shots give values, and no exact gradient",
                field="shots",
                value=self.shots,
                fix="Take gradient = 'parameter_shift', or leave shots unset.",
            )
        self.check(template, observables, bindings)
        template, observables, errors = self._with_noise(template, observables)
        if errors is not None:
            each = bytes_of_trajectory(errors.signed, len(observables))
            check_trajectories(len(bindings), self.trajectories, each)
            run = self._trajectories(errors, bindings, key_of_errors(key), keep=True)
            back = partial(run.pullback, rows_gradient=rows_gradient)
            return run.estimates(), back if block is None else lambda g: summed(back(g), block)
        observables = tuple(observables)
        if block == BLOCK and self.engine == "native" and not self._is_cut(template):
            program = self._compiled(template, observables, bindings.params.ndim == 2)
            return vjp_by_block(program, bindings, rows_gradient, self.threads, self.precision)
        values, reverse = self._exact(template, observables, bindings, keep=True)

        def pullback(cotangent: FloatArray) -> Gradients:
            found = reverse(cotangent, rows_gradient=rows_gradient)
            split = template.n_rows
            if not rows_gradient:  # an angle with row and parameter has the derivative of both
                found.slots[:, :split] = 0.0
            own = Gradients(found.slots[:, :split], found.slots[:, split:], found.amplitudes)
            return own if block is None else summed(own, block)

        return Estimates(values, usage=Usage(circuits=len(bindings))), pullback

    def _compiled(
        self,
        template: Template,
        observables: tuple[Observable, ...],
        params_per_row: bool,
    ) -> Program | CutProgram:
        """The circuit's program; two of them where that is worth it and all rows share parameters.

        The last one is known by its very objects: to compare circuits gate by gate costs a small
        step a good part of its time.
        """
        last = self._last
        known = last and last.template is template and last.observables is observables
        if last and known and last.params_per_row == params_per_row:
            return last.program
        cut = None
        if self.precision == "complex128" and not params_per_row:
            cut = compile_cut(template, observables)
        program = cut or compile_program(template, observables, params_per_row)
        self._last = _Compiled(template, observables, params_per_row, program)
        return program

    def states(self, template: Template, bindings: Bindings) -> ComplexArray:
        """|ψ_i⟩ (N, 2^n) of every row, with its global phase; see `StateBackend.states`.

        They are complex128 for either precision of the computation.
        """
        check_bindings(template, z_observables(1), bindings)
        refuse_wide(template, "states need")
        check_width(self.engine, template.n_qubits, self.threads, self.precision)
        check_states(len(bindings), template.n_qubits)
        return prepare_states(
            self._run,
            template,
            bindings.rows,
            bindings.params,
            bindings.amplitudes,
            threads=self.threads,
            precision=self.precision,
        )

    def _sampled(
        self,
        template: Template,
        observables: tuple[Observable, ...],
        bindings: Bindings,
        shots: int,
        key: DrawKey | None,
    ) -> SampledRun:
        check_bindings(template, observables, bindings)
        refuse_wide(template, "values from shots need")
        check_width(self.engine, template.n_qubits, self.threads, self.precision)
        circuit = compile_measured(template, observables, self._noise_text)
        if circuit.errors is not None:
            each = bytes_of_trajectory(circuit.errors.signed, len(observables))
            check_trajectories(len(bindings), min(self.trajectories, shots), each)
        return SampledRun(
            self._run, circuit, bindings, shots, key_of_shots(key), trajectories=self.trajectories,
            threads=self.threads, precision=self.precision,
        )  # fmt: skip

    def _is_cut(self, template: Template) -> bool:
        """Whether exact values of a circuit come from light cones."""
        return not self.draws and is_cut(template, self.light_cones)

    def _exact(
        self,
        template: Template,
        observables: tuple[Observable, ...],
        bindings: Bindings,
        *,
        keep: bool,
    ) -> tuple[FloatArray, Callable[..., SlotGradients]]:
        """Values (N, O), and the reverse sweep: of the whole circuit, or of its light cones."""
        rows, params = bindings.rows, bindings.params
        if self._is_cut(template):
            limits = self.engine, self.threads, self.precision
            plan = checked_plan(template, observables, params.ndim == 2, *limits)
            return cone_sweep(self._run, plan, rows, params, keep, *limits[1:])
        values, tape = self._run.forward(
            compile_program(template, observables, params.ndim == 2),
            rows, params, bindings.amplitudes,
            keep=keep, threads=self.threads, precision=self.precision,
        )  # fmt: skip
        return values, partial(self._run.reverse, tape, threads=self.threads)

    def _with_noise(
        self, template: Template, observables: Sequence[Observable]
    ) -> tuple[Template, tuple[Observable, ...], RandomErrors | None]:
        """The circuit and observables as the noise changes them, and its random errors."""
        if self.noise is None:
            return template, tuple(observables), None
        noisy = compile_noisy(template, tuple(observables), self._noise_text)
        return noisy.template, noisy.observables, noisy.errors

    def _trajectories(
        self, errors: RandomErrors, bindings: Bindings, key: DrawKey, *, keep: bool
    ) -> TrajectoryRun:
        return TrajectoryRun(
            self._run, errors, bindings, key, trajectories=self.trajectories,
            threads=self.threads, precision=self.precision, keep=keep,
        )  # fmt: skip


class _Compiled(NamedTuple):
    """A program, and what it was compiled of."""

    template: Template
    observables: tuple[Observable, ...]
    params_per_row: bool
    program: Program | CutProgram
