"""The metrics of a trial: those of its training's epochs, and what the trial itself adds.

An objective is a metric by name, and a wrong name should be found before the first trial starts,
not after it has trained. So the names are known beforehand: `trial_metric_names` lists them from
the model and the job, and `check_objective_metrics` refuses any other.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from types import MappingProxyType

from qstore_ray.backends.base import Usage
from qstore_ray.circuits.template import Template
from qstore_ray.errors import unknown_name_error
from qstore_ray.learn.model import QuantumModel
from qstore_ray.learn.scoring import table_direction
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.loop.validation import VAL, epoch_metric_names
from qstore_ray.tune.objective import Objective

TRIAL_METRICS = MappingProxyType(
    {
        "circuit_evaluations": "circuits that the training has run; with its exact gradient, one",
        "shots": "measurements that the training has taken; 0 for an exact simulator",
        "two_qubit_gates": "two-qubit gates of one evaluation of the circuit, a Toffoli being 6",
        "parameters": "P, all numbers that are trained, in the circuit and around it",
        "train_seconds": "wall time of the training",
    }
)
"""What a trial has beside the metrics of its epochs, and what each is."""

COSTS = frozenset({"circuit_evaluations", "shots", "train_seconds"})
"""Metrics of which a trial of several trainings has the sum: all of them were paid for."""

_CX_OF_CCX = 6  # Nielsen and Chuang, Figure 4.9; fewer are impossible (Shende and Markov, 2009)


def two_qubit_gates(template: Template) -> int:
    """How many two-qubit gates one evaluation of the circuit takes, as the circuit is written.

    Every gate on two qubits counts one, also swap and iswap; a Toffoli (ccx) counts as the 6 CX of
    its usual decomposition. The preparation of initial amplitudes is not counted, nor what a
    backend adds (routing, noise mitigation) or its compiler takes away.
    """
    counted = {2: 1, 3: _CX_OF_CCX}
    return sum(counted.get(len(op.qubits), 0) for op in template.ops)


def trial_metrics(model: QuantumModel, usage: Usage, seconds: float) -> dict[str, float]:
    """The values of `TRIAL_METRICS` for one training of `model`.

    Args:
        usage: what the training asked of its backend, over all attempts.
        seconds: its wall time.
    """
    return {
        "circuit_evaluations": usage.circuits,
        "shots": usage.shots,
        "two_qubit_gates": two_qubit_gates(model.circuit.template),
        "parameters": model.n_parameters,
        "train_seconds": seconds,
    }


def trial_metric_names(
    model: QuantumModel, config: TrainerConfig, n_validation: int, class_names: Sequence[str] = ()
) -> tuple[str, ...]:
    """The metrics that every trial will have, from the model and how it is trained.

    Those of `learn.scoring` are among them: a trial records what the objectives name.

    Args:
        n_validation: rows of val; 0 without val.
        class_names: of the data.
    """
    epochs = epoch_metric_names(model, config, n_validation, tuple(class_names))
    logged = (each.logged_metrics(model) or () for each in config.open_callbacks())
    return tuple(dict.fromkeys([*epochs, *itertools.chain(*logged), *TRIAL_METRICS]))


def metrics_to_record(objectives: Sequence[Objective]) -> tuple[str, ...]:
    """The metrics of `learn.scoring` that trials have to record because they are judged by them."""
    named = (objective.metric for objective in objectives)
    return tuple(name.removeprefix(VAL) for name in named if is_optional(name))


def is_optional(name: str) -> bool:
    """Whether a metric is of val, and exists only if requested and defined by the rows."""
    return name.startswith(VAL) and table_direction(name) is not None and name != "val_accuracy"


def check_objective_metrics(objectives: Sequence[Objective], known: Collection[str]) -> None:
    """Check that a trial will have every metric that it is judged by.

    Args:
        known: see `trial_metric_names`.

    Raises:
        UnknownNameError: it will not; the error has the nearest name, and the list.
    """
    for place, objective in enumerate(objectives):
        name = objective.metric
        if name in known:
            continue
        error = unknown_name_error("metric", name, known, field=f"tune.objectives.{place}.metric")
        if name.startswith("test_"):
            error.fix = (
                "The test rows judge the result of a search, so they cannot choose it: take a "
                f"metric of val. Known: {', '.join(sorted(known))}."
            )
        elif name.startswith("val_") and not any(other.startswith("val_") for other in known):
            missing = "There are no validation rows: set dataset.split.val or tune.folds."
            error.fix = f"{missing} {error.fix}"
        raise error
