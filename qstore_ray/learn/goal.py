"""What a model is trained for: its loss, the number of its outputs, and what is measured.

The task of the data and the configuration must agree. What the loss `auto` takes:

    two classes                   binary_cross_entropy       one score
    C classes, C > 2              cross_entropy              C scores
    L labels, each 0 or 1         multilabel_cross_entropy   L scores
    T numbers a row               mse                        T numbers

The loss `compression` looks at no targets. It trains a quantum autoencoder (Romero, Olson &
Aspuru-Guzik, Quantum Sci. Technol. 2, 045001 (2017)): the circuit shall move all that the rows hold
onto some of the qubits and leave the others, the trash qubits, in |0⟩; what is measured is the
probability that they are all 0. Its gradient vanishes with their number, so `compression_local`
measures the mean of the single probabilities instead (Cerezo et al., Nat. Commun. 12, 1791 (2021)),
which is 1 exactly where the first is 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from qstore_ray.circuits.library.coupling import joined_pairs
from qstore_ray.circuits.library.library import kept_qubits
from qstore_ray.circuits.observable import (
    Observable,
    named_observables,
    zeros_mean,
    zeros_projector,
)
from qstore_ray.errors import CircuitError, ConfigError
from qstore_ray.learn.losses import TWO_CLASSES, get_loss, n_outputs

if TYPE_CHECKING:
    from qstore_ray.circuits.template import Template
    from qstore_ray.learn.config import ModelConfig
    from qstore_ray.types import Task

_MOST_TRASH = 10
"""Trash qubits of one projector: it is a sum of 2^t Pauli strings."""


class Goal(NamedTuple):
    """The loss by name, and K, the outputs it needs."""

    loss: str
    n_outputs: int


def goal_of(config: ModelConfig, task: Task, n_targets: int) -> Goal:
    """The loss for `task`, and its number of outputs.

    Args:
        n_targets: the number of classes, of labels, or of the numbers of a row.

    Raises:
        ConfigError: a loss that does not fit the task, or the number of classes.
    """
    if config.loss == "auto":
        return _automatic(task, n_targets)
    goal = get_loss(config.loss).goal
    if goal not in {task, "compression"}:
        raise ConfigError(
            f"this loss does not fit {task}",
            field="model.loss",
            value=config.loss,
            fix="Take loss = 'auto'.",
        )
    if config.loss in TWO_CLASSES and n_targets != 2:
        raise ConfigError(
            f"{config.loss} needs 2 classes, the data have {n_targets}",
            field="model.loss",
            value=config.loss,
            fix="Take cross_entropy.",
        )
    return Goal(config.loss, n_outputs(config.loss, n_targets))


def _automatic(task: Task, n_targets: int) -> Goal:
    if task == "regression":
        name = "mse"
    elif task == "multilabel":
        name = "multilabel_cross_entropy"
    else:
        name = "binary_cross_entropy" if n_targets == 2 else "cross_entropy"
    return Goal(name, n_outputs(name, n_targets))


def observables_of(config: ModelConfig, template: Template) -> tuple[Observable, ...]:
    """What is measured: the presets or Pauli sums of the configuration, or the trash qubits.

    Raises:
        ConfigError: no observables, or settings that compression has no place for.
        CircuitError: text that is no sum of Pauli strings.
    """
    n_qubits = template.n_qubits
    compresses = config.loss != "auto" and get_loss(config.loss).goal == "compression"
    if compresses or config.trash_qubits:
        return (_trash(config, n_qubits, compresses),)
    if isinstance(config.observables, str):
        kept = tuple(range(n_qubits))
        if config.circuit == "library":
            kept = kept_qubits(config.ansatz, n_qubits, config.layers)
        found = named_observables(config.observables, kept, joined_pairs(template))
    else:
        found = tuple(Observable.parse(text) for text in config.observables)
    if not found:
        raise ConfigError(
            "at least one observable is needed",
            field="observables",
            value=config.observables,
            fix='Write "z"; a pair takes two qubits, and neighbours a gate on both.',
        )
    for observable in found:
        if observable.n_qubits > n_qubits:
            raise CircuitError(
                f"an observable acts on qubit {observable.n_qubits - 1}, the circuit has "
                f"{n_qubits} qubits",
                field="observables",
                value=observable.label,
                fix=f"Use qubits 0 to {n_qubits - 1}.",
            )
    return found


def _trash(config: ModelConfig, n_qubits: int, compresses: bool) -> Observable:
    trash = config.trash_qubits
    if not compresses:
        raise ConfigError(
            "trash qubits belong to the loss compression",
            field="trash_qubits",
            value=trash,
            fix="Set loss = 'compression', or leave trash_qubits out.",
        )
    taken = len(set(trash))
    if not 1 <= taken < n_qubits or taken < len(trash) or max(trash) >= n_qubits:
        raise ConfigError(
            f"compression needs different trash qubits, some but not all of the {n_qubits}",
            field="trash_qubits",
            value=trash,
            fix=f"To keep one qubit, write {list(range(1, n_qubits))}.",
        )
    if config.head != "none" or config.post_layers:
        raise ConfigError(
            "the output of compression is a probability, no layer comes after it",
            field="head" if config.head != "none" else "post_layers",
            value=config.head if config.head != "none" else config.post_layers,
            fix="Set head = 'none', and no post_layers.",
        )
    if config.observables != "z":
        raise ConfigError(
            "compression measures the trash qubits and nothing else",
            field="observables",
            value=config.observables,
            fix="Leave observables out.",
        )
    if config.loss == "compression_local":
        return zeros_mean(trash)
    if taken > _MOST_TRASH:
        raise ConfigError(
            f"compression takes at most {_MOST_TRASH} trash qubits",
            field="trash_qubits",
            value=trash,
            fix="Take loss = 'compression_local'.",
        )
    return zeros_projector(trash)
