"""Cheaper and better variants of a job: what each takes, and which are worth a look.

Variants change one or two of the layers, the observables, the encoding and the shots; all else is
the job's own. Each is predicted as `predict.py` predicts the job; where steps are timed, two small
ones are, as a variant with shots may take minutes for a whole step. A variant is on the frontier if
no other one has a predicted accuracy as high at no more two-qubit gates, depth, shots and seconds.
Outside of the table no accuracy is predicted, and no variant is on the frontier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from qstore_ray.advise.fault_tolerant import (
    QUBITS,
    FaultTolerantCost,
    check_qubit,
    fault_tolerant_cost,
)
from qstore_ray.advise.predict import DescribedData, JobPrediction, described_data, predict_for
from qstore_ray.errors import CircuitError, ConfigError, ResourceError
from qstore_ray.estimate import job_model

if TYPE_CHECKING:
    from qstore_ray.circuits.template import Template
    from qstore_ray.job import JobConfig
    from qstore_ray.types import ReadOnlyTable

LIMITS = ("seconds", "two_qubit_gates", "depth", "shots")
"""What a budget may limit."""

_OBSERVABLES = ("z", "z+zz")
_ENCODINGS = ("angle", "iqp")


@dataclass(frozen=True)
class JobVariant:
    """A variant of a job.

    Attributes:
        changes: fields of the job file and their values; empty for the job itself.
        two_qubit_gates, depth: of its circuit.
        prediction: of the whole job; its `shots` are of all epochs, with the test rows.
        on_frontier: whether no other variant is better in all.
        fault_tolerant: one execution of the circuit on a fault-tolerant computer, if asked for.
    """

    changes: ReadOnlyTable
    two_qubit_gates: int
    depth: int
    prediction: JobPrediction
    on_frontier: bool = False
    fault_tolerant: FaultTolerantCost | None = None

    @property
    def costs(self) -> tuple[float, ...]:
        """The numbers that a budget may limit, in the order of `LIMITS`."""
        found = self.prediction
        return (found.seconds, self.two_qubit_gates, self.depth, found.shots)

    @property
    def accuracy(self) -> float | None:
        """The predicted score; None outside of the table."""
        return None if self.prediction.accuracy is None else self.prediction.accuracy.score


def frontier(
    config: JobConfig,
    limits: Mapping[str, float] | None = None,
    *,
    error_budget: float | None = None,
    qubit: str = QUBITS[0],
) -> tuple[JobVariant, ...]:
    """The variants of a job within the limits, the best predicted first; nothing is trained.

    Args:
        limits: the most of what is named in `LIMITS`.
        error_budget, qubit: of a fault-tolerant computer; see `fault_tolerant_cost`. Without a
            budget none is estimated.

    Raises:
        ConfigError: an unknown limit, or one that no variant keeps; or see `fault_tolerant_cost`.
        QStoreError: what training the job would refuse.

    Examples:
        iris = DatasetConfig(name="iris", params={"dataset": "iris"})
        job = JobConfig(name="iris", dataset=iris, model=ModelConfig(n_qubits=4))
        assert all(each.two_qubit_gates <= 8 for each in frontier(job, {"two_qubit_gates": 8}))
    """
    limits = limits or {}
    _check_limits(limits)
    price = _price(error_budget, qubit)
    data = described_data(config)
    found = [_variant(config, {}, data, price)]
    for changes in _changes(config):
        try:
            found.append(_variant(_changed(config, changes), changes, data, price))
        except (CircuitError, ResourceError):
            continue  # an encoding that cannot take these features, or too large a circuit
    within = [each for each in found if _keeps(each, limits)]
    if not within:
        least = {name: min(each.costs[i] for each in found) for i, name in enumerate(LIMITS)}
        raise ConfigError(
            "no variant keeps the limits",
            field="limits",
            value=dict(limits),
            fix=f"The least of all are {least}.",
        )
    marked = [replace(v, on_frontier=_is_best(v, within)) for v in within]
    return tuple(sorted(marked, key=lambda v: (-(v.accuracy or 0.0), v.costs)))


def circuit_depth(template: Template) -> int:
    """Layers of gates, if each gate begins as soon as its qubits are free."""
    free = [0] * template.n_qubits
    for op in template.ops:
        after = 1 + max(free[q] for q in op.qubits)
        for q in op.qubits:
            free[q] = after
    return max(free)


def _check_limits(limits: Mapping[str, float]) -> None:
    for name, value in limits.items():
        if name not in LIMITS:
            raise ConfigError("no such limit", field=name, value=value, fix=f"Take {LIMITS}.")
        if not value >= 0.0:
            raise ConfigError("a limit is 0 or more", field=name, value=value, fix="Leave it out.")


def _price(
    error_budget: float | None, qubit: str
) -> Callable[[Template], FaultTolerantCost | None]:
    """The fault-tolerant cost of a circuit; None without a budget."""
    check_qubit(qubit)
    if error_budget is None:
        return lambda _: None
    return lambda circuit: fault_tolerant_cost(circuit, error_budget=error_budget, qubit=qubit)


def _variant(
    config: JobConfig,
    changes: ReadOnlyTable,
    data: DescribedData,
    price: Callable[[Template], FaultTolerantCost | None],
) -> JobVariant:
    template = job_model(config, data.dataset).circuit.template
    pairs = sum(len(op.qubits) > 1 for op in template.ops)
    return JobVariant(
        changes,
        pairs,
        circuit_depth(template),
        predict_for(config, data, sample=True),
        fault_tolerant=price(template),
    )


def _changes(config: JobConfig) -> Iterator[dict[str, Any]]:
    """Changed fields of the variants: each alone, and fewer layers with each of the others."""
    if config.model.circuit != "library":
        return
    layers = config.model.layers
    depths = [n for n in sorted({1, layers // 2, layers, 2 * layers}) if n >= 1]
    others: list[dict[str, Any]] = [{}]
    others += [{"model.observables": o} for o in _OBSERVABLES if o != config.model.observables]
    if not config.model.reuploading:
        others += [{"model.encoding": e} for e in _ENCODINGS if e != config.model.encoding]
    shots = config.trainer.backend_options.get("shots")
    if isinstance(shots, int):
        others += [{"trainer.backend_options.shots": max(1, shots // 4)}]
    for depth in depths:
        for other in others:
            changes = ({"model.layers": depth} if depth != layers else {}) | other
            if changes:
                yield changes


def _changed(config: JobConfig, changes: ReadOnlyTable) -> JobConfig:
    values = config.to_dict()
    for field, value in changes.items():
        *path, last = field.split(".")
        table = values
        for name in path:
            table = table[name]
        table[last] = value
    return type(config).from_dict(values)


def _keeps(variant: JobVariant, limits: Mapping[str, float]) -> bool:
    return all(variant.costs[LIMITS.index(name)] <= most for name, most in limits.items())


def _is_best(variant: JobVariant, others: list[JobVariant]) -> bool:
    """Whether no other variant is as good in everything, and better in something."""
    if variant.accuracy is None:
        return False
    own = (-variant.accuracy, *variant.costs)
    for other in others:
        if other.accuracy is None:
            continue
        theirs = (-other.accuracy, *other.costs)
        if theirs != own and all(a <= b for a, b in zip(theirs, own, strict=True)):
            return False
    return True
