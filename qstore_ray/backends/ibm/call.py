"""What a worker sends to the gateway: rows of one circuit, whose run and turn they are.

A call is data: it is pickled to the gateway's process, which compiles the circuit for the device.
Its answer is the outcomes: of each measured basis, packed bits (N, S, bytes). IBM's Estimator
answers with values and variances (N, O, 2) of the O observables that a basis has a part of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.backends.base import Bindings, Estimates, Usage
from qstore_ray.backends.counts import Counts, OutcomeCounts
from qstore_ray.backends.device_circuit import AS_IT_IS, DeviceCircuit
from qstore_ray.backends.grouping import MeasuredBasis, group_observables
from qstore_ray.backends.ibm.keys import circuit_fingerprint, options_text, request_key
from qstore_ray.backends.ibm.requests import CircuitRequest
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.paid import RunIdentity
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Template
from qstore_ray.errors import BackendError

if TYPE_CHECKING:
    from qstore_ray.backends.ibm.service.estimator import EstimatorPlan
    from qstore_ray.types import AnyArray, FloatArray, ReadOnlyTable

_BYTES_OF_GATE, _BYTES_OF_VALUE = 40, 12
_BYTES_OF_PUB, _BYTES_OF_TWIRLED_GATE, _BYTES_OF_TURNS = 80_000, 200, 400
"""Of the Estimator on 156 qubits: a PUB, a gate in it, and how a row is measured in it."""


@dataclass(frozen=True)
class HardwareCall:
    """Rows of one circuit to be run on hardware.

    Args:
        request: what the gateway queues; its times are set on arrival.
        template, observables, bindings: the circuit, what is measured, its N rows.
        compiled: how the circuit is compiled.
        step: names the step of all workers that it belongs to.
        is_estimated: by IBM's Estimator, not by its Sampler.
    """

    request: CircuitRequest
    template: Template
    observables: tuple[Observable, ...]
    bindings: Bindings
    compiled: DeviceCircuit = AS_IT_IS
    step: str = ""
    is_estimated: bool = False

    def rows(self, first: int, count: int) -> Bindings:
        """Some of the rows."""
        b, part = self.bindings, slice(first, first + count)
        params = b.params if b.params.ndim == 1 else b.params[part]
        return replace(b, rows=b.rows[part], params=params)

    @property
    def circuit(self) -> str:
        """A fingerprint of what is compiled."""
        return _fingerprint(self.template, self.observables, self.compiled)

    def first_row(self) -> HardwareCall:
        """The call without its other rows."""
        return replace(self, bindings=self.rows(0, 1))


def hardware_call(
    template: Template,
    observables: Sequence[Observable],
    bindings: Bindings,
    shots: int,
    key: DrawKey,
    *,
    device: str,
    identity: RunIdentity,
    options: ReadOnlyTable,
    plan: EstimatorPlan | None = None,
    compiled: DeviceCircuit = AS_IT_IS,
) -> HardwareCall:
    """The call of one evaluation; equal ones have an equal key, also in another process.

    Args:
        key: of the draws; its words name the evaluation, so the same words with the same numbers
            are the same measurement, and are run and paid once.
        identity: whose it is.
        options: of the Sampler, or of the Estimator.
        plan: what the Estimator makes of the shots; None for the Sampler.
        compiled: how the circuit is compiled.
    """
    if plan is not None:
        options = {"estimator": options, "shots": shots, "circuits": plan.circuits}
    text = options_text(options)
    n_circuits = len(group_observables(tuple(observables)).bases)
    run, trial, part, weight = identity
    step = ":".join([part, *map(str, key.words)])
    parts = key.parts or 1
    name = request_key(
        run=run, trial=trial, step=key.words, group=step if parts > 1 else "",
        part=int(key.first_row), shots=shots,
        options=text, circuit=_fingerprint(template, observables, compiled), bindings=bindings,
    )  # fmt: skip
    n_values = template.n_rows + template.n_params
    request = CircuitRequest(
        key=name,
        backend=device,
        trial=trial,
        shots=shots,
        options=text,
        rows=len(bindings),
        circuits_per_row=n_circuits,
        circuit_bytes=_BYTES_OF_GATE * n_circuits * len(template.ops) * (1 + 2 * compiled.folds),
        row_bytes=_BYTES_OF_VALUE * n_circuits * n_values,
        weight=weight,
        group="" if key.parts is None else step,
        part=key.part,
        parts=parts,
        deadline=0.0 if parts > 1 else float("inf"),
        rides=compiled.layout_of is not None,
    )
    call = HardwareCall(request, template, tuple(observables), bindings, compiled, step)
    return call if plan is None else _estimated(call, plan)


def _estimated(call: HardwareCall, plan: EstimatorPlan) -> HardwareCall:
    """The call as IBM's Estimator runs it: more circuits of fewer shots, and a calibration."""
    asked = call.request
    copies = asked.circuits_per_row * plan.factors
    gates = plan.largest * len(call.template.ops)
    values = _BYTES_OF_VALUE * (call.template.n_rows + call.template.n_params)
    request = replace(
        asked,
        shots=plan.shots,
        circuits_per_row=asked.circuits_per_row * plan.circuits,
        calibration=plan.calibration,
        circuit_bytes=copies * int(_BYTES_OF_PUB + _BYTES_OF_TWIRLED_GATE * gates),
        row_bytes=copies * (values + _BYTES_OF_TURNS),
    )
    return replace(call, request=request, is_estimated=True)


def _fingerprint(
    template: Template, observables: Sequence[Observable], compiled: DeviceCircuit
) -> str:
    """Of a circuit and how it is compiled; a plain one has the fingerprint of its gates."""
    found = circuit_fingerprint(template, observables)
    if compiled.folds:
        found += f":{compiled.folds}:{compiled.folding}"
    if compiled.layout_of is not None:
        found += f":{circuit_fingerprint(compiled.layout_of, ())}"
    return found


def as_one_job(calls: Iterable[HardwareCall]) -> list[HardwareCall]:
    """Calls that were made at the same time, each once, as one group: they go into one job.

    All workers make the same number of calls in the same order. Calls for a calibration come last
    and ride along: they are the same for all workers, and one of them pays.
    """
    found = {call.request.key: call for call in calls}.values()
    shares = [call for call in found if not call.request.rides]
    riders = [call for call in found if call.request.rides]
    counts = Counter(call.request.settings for call in shares)
    numbers = {settings: iter(range(count)) for settings, count in counts.items()}
    names = {settings: f"{shares[0].step}/{n}" for n, settings in enumerate(counts)}

    def member(call: HardwareCall) -> HardwareCall:
        request, settings = call.request, call.request.settings
        if (count := counts[settings]) == 1:
            return call
        part, parts = request.part * count + next(numbers[settings]), request.parts * count
        grouped = replace(request, group=names[settings], part=part, parts=parts, deadline=0.0)
        return replace(call, request=grouped)

    return [*map(member, shares), *riders]


def blank_outcomes(call: HardwareCall) -> list[AnyArray]:
    """Outcomes, or values, before any was measured: random ones, the same for equal calls.

    With equal ones an optimizer could take another way than with those of a device. Of a
    calibration they are what its X gates prepare. One shot in place of all: a row's outcomes are
    counted, and that takes time.
    """
    bases, n_rows = group_observables(call.observables).bases, call.request.rows
    rng = np.random.default_rng(int.from_bytes(call.request.key.encode()))
    if call.is_estimated:
        return [rng.uniform(0.0, 0.5, (n_rows, len(each.observables), 2)) for each in bases]
    ones = {op.qubits[0] for op in call.template.ops}
    found = []
    for basis in bases:
        bits = rng.integers(0, 2, (n_rows, len(basis.qubits)), np.uint8)
        if call.request.rides:
            bits[:] = [qubit in ones for qubit in basis.qubits]
        packed = np.packbits(bits, axis=1, bitorder="little")[:, ::-1]
        found.append(packed[:, None, :])
    return found


def counts_of_call(call: HardwareCall, outcomes: Sequence[AnyArray]) -> Counts:
    """The counts of a call from its outcomes: of each basis, packed bits (N, S, bytes)."""
    grouping = group_observables(call.observables)
    found = tuple(
        tuple(_counted(basis, row) for row in array)
        for basis, array in zip(grouping.bases, outcomes, strict=True)
    )
    return Counts(grouping.bases, found, grouping.constants, len(call.bindings), call.request.shots)


def estimates_of_call(call: HardwareCall, answers: Sequence[FloatArray]) -> Estimates:
    """Values (N, O) and variances from the Estimator's answers (N, O, 2) of each basis.

    Parts of an observable in several bases add up, and so do their variances. A fit that cannot say
    how far its value may be off counts as one shot: its variance is at most (Σ|coefficient|)². One
    shot alone has no variances.

    Raises:
        BackendError: some values are no numbers.
    """
    grouping, request = group_observables(call.observables), call.request
    found = np.zeros((len(call.bindings), len(call.observables), 2))
    found[..., 0] = grouping.constants
    for basis, answer in zip(grouping.bases, answers, strict=True):
        most = np.square(np.abs(basis.weights[:, basis.observables]).sum(axis=0))
        known = np.where(np.isfinite(answer[..., 1]), answer[..., 1], most)
        found[:, basis.observables] += np.stack((answer[..., 0], known), axis=-1)
    values, variances = found[..., 0], found[..., 1]
    if not np.isfinite(values).all():
        raise BackendError(
            f"IBM's Estimator gave no number for {np.sum(~np.isfinite(values))} of {values.size} "
            "values: no extrapolator fits them",
            field="estimator.resilience.zne.extrapolator",
            fix='Take ["exponential", "linear", "fallback"]: the last one always has a value.',
        )
    usage = Usage(request.rows * request.circuits_per_row, request.executions)
    is_known = request.row_executions > len(grouping.bases)
    return Estimates(values, variances if is_known else None, usage)


def _counted(basis: MeasuredBasis, packed: AnyArray) -> OutcomeCounts:
    """The different outcomes of S shots (S, bytes); the last byte has the lowest bits."""
    seen, counts = np.unique(packed, axis=0, return_counts=True)
    bits = np.unpackbits(seen[:, ::-1], axis=1, bitorder="little")
    return OutcomeCounts(bits[:, : len(basis.qubits)], counts.astype(float))
