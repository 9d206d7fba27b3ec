"""IBM's client-side Estimator: what its options cost, what it is sent, what it answers.

    check_estimator_options     refuses what it would not take, or what cannot be paid for exactly
    plan_of                     options and shots as circuits, shots of each, and a calibration
    estimator_pubs              observables with rows of values, of at most 1,000 points each
    run_estimator               submits them
    values_of                   values and variances of a result

A PUB has the strings of one measured basis, so that it takes one circuit a row: how the client
groups strings does not matter, and executions are counted exactly. Observables are (O, 1) and
values (N,): a shape that pairs each with each, also if O = N. The client prepares a PUB in a time
that grows with the square of its points, hence the limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from qstore_ray.backends.ibm.keys import options_text
from qstore_ray.backends.ibm.service.estimator_options import finalized_options
from qstore_ray.backends.ibm.service.isa import IsaCircuit, Pub
from qstore_ray.circuits.first_import import import_qiskit
from qstore_ray.errors import RefusedError

if TYPE_CHECKING:
    from qstore_ray.backends.base import Bindings
    from qstore_ray.types import AnyArray, FloatArray, ReadOnlyTable

MOST_POINTS: Final = 1000
"""Rows of a PUB."""
ROLE: Final = "estimator_v2"
"""By which the client knows how to decode a result."""


class EstimatorPlan(NamedTuple):
    """What the options make of a number of shots.

    Attributes:
        randomizations: circuits that stand for one; 1 without twirling.
        shots: of each of them.
        factors: how many noise factors a circuit is run with; 1 without extrapolation.
        largest: of these factors; gates are repeated so often.
        calibration: executions of the calibration of the readout, once in a job.
    """

    randomizations: int
    shots: int
    factors: int
    largest: float
    calibration: int

    @property
    def circuits(self) -> int:
        """Circuits that stand for one."""
        return self.randomizations * self.factors


def plan_of(options: ReadOnlyTable, shots: int) -> EstimatorPlan:
    """What the options make of so many shots, as the client computes it; opens no connection.

    Raises:
        ConfigError, MissingDependencyError: see `finalized_options`.
    """
    return _plan(options_text(options), shots)


@lru_cache(maxsize=64)
def _plan(text: str, shots: int) -> EstimatorPlan:
    import_qiskit("qiskit_ibm_runtime")
    from qiskit_ibm_runtime.executor.calculate_twirling_shots import calculate_twirling_shots
    from qiskit_ibm_runtime.executor_estimator.trex import resolve_trex_num_randomizations
    from qiskit_ibm_runtime.executor_estimator.utils import resolve_noise_factors

    options = finalized_options(text)
    twirling, resilience = options.twirling, options.resilience
    randomizations, each = 1, shots
    if twirling.enable_gates or twirling.enable_measure:
        randomizations, each = calculate_twirling_shots(
            shots, twirling.num_randomizations, twirling.shots_per_randomization
        )
    calibration = 0
    if resilience.measure_mitigation:
        learning = resilience.measure_noise_learning
        calibration = each * resolve_trex_num_randomizations(learning, randomizations)
    factors: Sequence[float] = (1.0,)
    if resilience.zne_mitigation:
        factors = resolve_noise_factors(resilience.zne)[0].tolist()
    return EstimatorPlan(randomizations, each, len(factors), max(factors), calibration)


def estimator_pubs(circuit: IsaCircuit, bindings: Bindings) -> Iterator[Pub]:
    """The PUBs of one basis: of each observable, its strings in this basis, for N rows.

    Args:
        circuit: without measurements.
    """
    observables = _strings(circuit)
    values = circuit.values(bindings)
    for part in np.array_split(values, -(-len(values) // MOST_POINTS)):
        yield Pub(circuit.circuit, part, observables)


def _strings(circuit: IsaCircuit) -> list[list[Any]]:
    """Of each observable that has strings in the basis, their sum on the device's qubits (O, 1)."""
    from qiskit.quantum_info import SparsePauliOp

    basis = circuit.basis
    labels = []
    for mask in basis.masks:
        qubits = [qubit for qubit in basis.qubits if mask >> qubit & 1]
        letters = ["IXZY"[(basis.x >> q & 1) + 2 * (basis.z >> q & 1)] for q in qubits]
        labels.append(("".join(letters), [circuit.ends[qubit] for qubit in qubits]))
    found = []
    for column in basis.weights.T[basis.observables]:
        terms = [(*label, weight) for label, weight in zip(labels, column, strict=True) if weight]
        found.append([SparsePauliOp.from_sparse_list(terms, circuit.circuit.num_qubits)])
    return found


def run_estimator(
    place: Any,
    backend: Any,
    pubs: Sequence[Pub],
    options: ReadOnlyTable,
    tags: Sequence[str],
    seconds: int | None = None,
) -> Any:
    """Submit one job; the client's job.

    It is what the client's `Estimator.run` does, in its two steps: an error of the first one is
    about the circuits, and nothing was sent; after one of the second the service may have the job.

    Args:
        place: the client's backend, batch or session.
        backend: the client's.
        options: the Estimator's in `estimator`, and its `shots`.
        seconds: on the QPU, after which the service ends the job; None for the plan's own.

    Raises:
        RefusedError: the client cannot prepare the circuits.
    """
    from qiskit.exceptions import QiskitError
    from qiskit_ibm_runtime import Executor
    from qiskit_ibm_runtime.executor_estimator.prepare import prepare
    from qiskit_ibm_runtime.options_models.estimator import EstimatorOptions

    table: Any = options["estimator"]
    made: Any = EstimatorOptions(**table)
    made.default_shots = options["shots"]
    made.environment.job_tags = list(tags)
    if seconds is not None:
        made.max_execution_time = seconds
    wanted: Any = [(pub.circuit, pub.observables, pub.values) for pub in pubs]
    try:
        program, given = prepare(wanted, made, backend=backend)
    except (QiskitError, ValueError, TypeError, KeyError) as exc:
        raise RefusedError(f"IBM's Estimator cannot prepare the circuits: {exc}") from None
    program._semantic_role = ROLE  # noqa: SLF001 - as the client does; see tests/ibm/test_contract
    return Executor(mode=place, options=given).run(program)


def values_of(
    result: Sequence[Any], names: Sequence[str], rows: Sequence[int]
) -> dict[str, FloatArray]:
    """Values and variances (N, O, 2) by name, of a result of the PUBs of several bases.

    How many points a PUB had does not matter: another version may have sent it.

    Args:
        rows: N of each name.

    Raises:
        RefusedError: some of the PUBs are missing.
    """
    pubs = iter(result)
    found: dict[str, FloatArray] = {}
    for name, n_rows in zip(names, rows, strict=True):
        parts: list[AnyArray] = []
        while (missing := n_rows - sum(map(len, parts))) > 0:
            pub = next(pubs, None)
            if pub is None:
                raise RefusedError(f"the result of a job lacks {missing} rows of {n_rows}")
            parts.append(_values(pub))
        if missing:
            raise RefusedError(f"the result of a job has {-missing} rows more than {n_rows}")
        found[name] = np.concatenate(parts)
    if next(pubs, None) is not None:
        raise RefusedError("the result of a job has more parts than were asked for")
    return found


def _values(pub: Any) -> AnyArray:
    return np.stack((pub.data.evs.T, np.square(pub.data.stds.T)), axis=-1)
