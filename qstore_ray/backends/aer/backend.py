"""The Aer backend: values exact or from shots, with noise written into the circuits.

Exact values run one parameterised circuit for all N rows in one call of Aer. Shots run one circuit
a row and basis, because Aer takes one seed a call and row k of a call starts from seed s + 2113·k:
with more shots than that, rows would repeat each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from qstore_ray.backends.aer.installation import check_installation
from qstore_ray.backends.aer.options import AerOptions, Device, Precision, checked_options
from qstore_ray.backends.aer.truncation import TruncationWatch
from qstore_ray.backends.base import Bindings, Estimates, Usage
from qstore_ray.backends.check_bindings import check_bindings
from qstore_ray.backends.counts import Counts, OutcomeCounts, checked_shots_of_counts
from qstore_ray.backends.grouping import (
    MeasuredBasis,
    bits_of,
    checked_shots,
    group_observables,
    key_of_shots,
)
from qstore_ray.backends.keys import DrawKey, library_seed
from qstore_ray.backends.noise.config import NoiseConfig
from qstore_ray.circuits.first_import import import_qiskit
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Template
from qstore_ray.errors import BackendError, CircuitError

if TYPE_CHECKING:
    from qstore_ray.backends.aer.circuits import BoundCircuits
    from qstore_ray.types import FloatArray, ReadOnlyTable, Table

_FEWEST_SHARED = 18
"""Qubits of a state (twice as many for a density matrix) that is worth several threads: with two
threads 1,024 shots of 8 qubits took four times the CPU time of one."""


class AerBackend:
    """⟨O⟩ from Qiskit Aer, exact or from shots, with or without noise.

    Args:
        method: Aer's simulation method; `automatic` is `density_matrix` if gates have noise, else
            `statevector`.
        threads: the most threads Aer may use; by default OMP_NUM_THREADS (which Ray sets to the
            CPUs of a worker), else every CPU.
        noise: channels after gates, wrong readout and over-rotation, or a table of `NoiseConfig`.
            Channels are exact; with `twirl` they are their Pauli twirls. Exact values need the
            method `density_matrix`; the others draw random errors in each shot.
        device: `cpu`; `gpu`, an error without one; or `auto`: a GPU if one runs circuits. The
            process that evaluates decides, when it evaluates first.
        precision: of the amplitudes.
        max_bond_dimension: of `matrix_product_state`; without it there is no limit.
        truncation_threshold: weight that each truncation of `matrix_product_state` may discard;
            1e-16 by default.
        shots: of every evaluation that does not ask for another number; None for exact values.

    Raises:
        MissingDependencyError: Aer is not installed, or both of its builds are.
        UnknownNameError: an unknown method, device or precision.
        ConfigError: an option out of range, or options that do not fit each other.

    Examples:
        from qstore_ray.circuits.observable import z_observables
        backend = AerBackend(noise={"readout": 0.1})
        empty = Bindings(np.zeros((1, 0)), np.zeros(0))
        found = backend.evaluate(Template(1, ()), z_observables(1), empty)
        assert np.isclose(found.values[0, 0], 0.8)
    """

    name = "aer"
    samples = True

    def __init__(
        self,
        method: str = "automatic",
        threads: int | None = None,
        noise: NoiseConfig | ReadOnlyTable | None = None,
        device: Device = "cpu",
        precision: Precision = "complex128",
        max_bond_dimension: int | None = None,
        truncation_threshold: float | None = None,
        shots: int | None = None,
    ) -> None:
        self.options = checked_options(
            method, threads, noise, device, precision, max_bond_dimension, truncation_threshold,
            shots,
        )  # fmt: skip
        check_installation()
        import_qiskit()
        self._noise_text = self.noise.text if self.noise else ""
        self._simulator: Any = None
        self._truncation = TruncationWatch(self.options)

    @property
    def method(self) -> str:
        """The simulation method that runs; never `automatic`."""
        return self.options.method

    @property
    def threads(self) -> int:
        """The most threads Aer uses."""
        return self.options.threads

    @property
    def noise(self) -> NoiseConfig | None:
        """The noise of every evaluation."""
        return self.options.noise

    @property
    def draws(self) -> bool:
        """Whether its values are random: an evaluation then needs a key."""
        return self.options.shots is not None

    def for_testing(self) -> AerBackend:
        """The backend that scores validation and test rows: itself, with as many shots."""
        return self

    def description(self) -> Table:
        """The options but `threads` and `device`; see `DescribedBackend`."""
        noise = None if self.noise is None else self.noise.to_dict()
        found = {**self._arguments(), "noise": noise}
        return {name: value for name, value in found.items() if name not in ("threads", "device")}

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self._arguments().items())
        return f"AerBackend({shown})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _opened, (self._arguments(),)  # another process asks for its own GPU

    def check(
        self, template: Template, observables: Sequence[Observable], bindings: Bindings
    ) -> None:
        """Whether the arguments fit each other and the method; see `Backend.check`."""
        if self.options.shots is None:
            self._check_exact()
        self._check_circuit(template, observables, bindings)

    def _check_exact(self) -> None:
        if self.options.has_channels and self.method != "density_matrix":
            raise BackendError(
                f"Aer's method {self.method} draws random errors, so it has no exact values",
                field="method",
                value=self.method,
                fix="Take method = 'density_matrix', or ask for shots.",
            )

    def _check_circuit(
        self, template: Template, observables: Sequence[Observable], bindings: Bindings
    ) -> None:
        check_bindings(template, observables, bindings)
        if template.initial == "amplitudes" and self.method == "matrix_product_state":
            raise CircuitError(
                "Aer's method matrix_product_state cannot start from amplitudes",
                field="method",
                value=self.method,
                fix="Use the method statevector.",
            )
        if self._noise_text:
            from qstore_ray.backends.aer.noisy import noisy_parts

            noisy_parts(template, self._noise_text)

    def evaluate(
        self,
        template: Template,
        observables: Sequence[Observable],
        bindings: Bindings,
        *,
        shots: int | None = None,
        key: DrawKey | None = None,
    ) -> Estimates:
        """⟨O_o⟩ for every row and observable: values (N, O).

        Without shots they are exact, and `key` has no effect. With shots, strings that commute
        qubit by qubit share a measured basis, each basis gets `shots` measurements a row, and the
        variances (N, O) of the estimates come with them; one shot gives no variance.

        Raises:
            CircuitError: bindings that do not fit the template.
            ConfigError: a number of shots that is none, or noise of qubits the circuit lacks.
            BackendError: shots without a key, exact values of a method that draws errors, a GPU
                that is missing, or a circuit that Aer cannot run.
        """
        shots = self.options.shots if shots is None else checked_shots(shots)
        self._check_circuit(template, observables, bindings)
        if shots is None:
            return self._exact(template, tuple(observables), bindings)
        return self._sampled(template, tuple(observables), bindings, shots, key).estimates()

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
        shots = checked_shots_of_counts(self.options.shots if shots is None else shots)
        self._check_circuit(template, observables, bindings)
        return self._sampled(template, tuple(observables), bindings, shots, key)

    def _exact(
        self, template: Template, observables: tuple[Observable, ...], bindings: Bindings
    ) -> Estimates:
        from qstore_ray.backends.aer.circuits import bound, exact_circuit, row_of

        self._check_exact()
        n_rows = len(bindings)
        if n_rows == 0:
            return Estimates(np.zeros((0, len(observables))))
        prepared = exact_circuit(template, observables, self._noise_text, self.method)
        circuits = bound(prepared, bindings, self.method)
        found = self._run(circuits, max_parallel_threads=self._threads_for(template, n_rows))
        self._truncation.look_at(template, row_of(circuits, 0))
        values = np.array(
            [[row[str(o)] for o in range(len(observables))] for row in found], dtype=float
        )
        if len(values) == 1:
            # All rows run the same circuit, so one run serves all of them.
            values = np.repeat(values, n_rows, axis=0)
        if len(values) != n_rows:
            raise BackendError(f"Aer returned {len(values)} results for {n_rows} rows")
        return Estimates(values, usage=Usage(circuits=n_rows))

    def _sampled(
        self,
        template: Template,
        observables: tuple[Observable, ...],
        bindings: Bindings,
        shots: int,
        key: DrawKey | None,
    ) -> Counts:
        from qstore_ray.backends.aer.circuits import bound, measured_circuits, row_of

        key = key_of_shots(key)
        n_rows = len(bindings)
        threads = self._threads_for(template, 1)
        measured = measured_circuits(template, observables, self._noise_text, self.method)
        outcomes: list[tuple[OutcomeCounts, ...]] = []
        for number, (basis, prepared) in enumerate(measured.circuits):
            circuits = bound(prepared, bindings, self.method)
            rows = []
            for row in range(n_rows):
                copy, place = divmod(row, key.n_rows or n_rows)
                seed = library_seed(key, key.first_row + place, number, *([copy] if copy else []))
                (found,) = self._run(
                    row_of(circuits, row),
                    shots=shots,
                    seed_simulator=seed,
                    noise_model=measured.readout,
                    max_parallel_threads=threads,
                )
                rows.append(_outcomes(basis, found["counts"]))
            outcomes.append(tuple(rows))
            if number == 0 and n_rows:
                self._truncation.look_at(template, row_of(circuits, 0))
        bases = tuple(basis for basis, _ in measured.circuits)
        constants = group_observables(observables).constants
        return Counts(bases, tuple(outcomes), constants, n_rows, shots)

    def _run(self, bound_circuits: BoundCircuits, **run_options: Any) -> list[dict[str, Any]]:
        """The data of each circuit and binding. The names of `run_options` are Aer's: no typos."""
        from qiskit.exceptions import QiskitError

        from qstore_ray.backends.aer.simulator import open_simulator

        if self._simulator is None:
            self._simulator = open_simulator(self.options)
        circuits, binds = bound_circuits
        try:
            result = self._simulator.run(circuits, parameter_binds=binds, **run_options).result()
            if not result.success:
                raise BackendError(f"Aer could not run the circuit: {result.status}")
            return [result.data(i) for i in range(len(result.results))]
        except (QiskitError, RuntimeError) as exc:
            raise BackendError(f"Aer could not run the circuit: {exc}") from exc

    def _threads_for(self, template: Template, n_circuits: int) -> int:
        """At most one a circuit if a state is so small that threads would wait for each other."""
        twice = 2 if self.method == "density_matrix" else 1
        is_shared = twice * template.n_qubits >= _FEWEST_SHARED
        return self.threads if is_shared else min(self.threads, n_circuits)

    def _arguments(self) -> dict[str, Any]:
        names = AerOptions.__dataclass_fields__
        return {name: getattr(self.options, name) for name in names}


def _opened(arguments: dict[str, Any]) -> AerBackend:
    return AerBackend(**arguments)


def _outcomes(basis: MeasuredBasis, counts: Mapping[str, int]) -> OutcomeCounts:
    bits = bits_of([int(outcome, 16) for outcome in counts], len(basis.qubits))
    seen: FloatArray = np.fromiter(counts.values(), float, len(counts))
    return OutcomeCounts(bits, seen)
