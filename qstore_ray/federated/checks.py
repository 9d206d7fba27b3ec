"""What refuses a federation before it begins, and what excludes an update from a round."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from qstore_ray.errors import ConfigError, DataError
from qstore_ray.federated.config import FederationConfig
from qstore_ray.federated.secure_sum.run import check_threshold
from qstore_ray.federated.strategies import get_strategy
from qstore_ray.federated.strategies.base import ClientUpdate
from qstore_ray.learn.optimizers import SearchOptimizer, get_optimizer
from qstore_ray.train.config import TrainerConfig

if TYPE_CHECKING:
    from qstore_ray.federated.rows import ClientFacts
    from qstore_ray.types import FloatArray

_NOT_LOCAL: Final = {
    "class_weight": "each client would weigh classes by its own rows",
    "callbacks": "no callback runs in a client",
    "fallback": "clients have one backend",
    "init_from": "a federation begins from new parameters",
    "monitor": "a client follows its own training loss",
    "metrics": "a client scores nothing",
    "mitigation": "a client trains without it",
}
"""Fields of a trainer that a client does not follow, and why."""


class AskedTask(Protocol):
    """The part of a task that an update is compared with."""

    @property
    def round(self) -> int:
        """Its number."""
        ...

    @property
    def theta(self) -> FloatArray:
        """The server's model (P,)."""
        ...

    @property
    def control(self) -> FloatArray | None:
        """The server's control variate (P,), or None."""
        ...


def fault_of(
    update: ClientUpdate, client: str, task: AskedTask, largest_change: float | None
) -> str:
    """Why an update is excluded; "" for a sound one.

    A sign flip or a small shift looks sound: that is what robust strategies are for.
    """
    if update.client != client:
        return f"it calls itself {update.client!r}"
    if update.round != task.round:
        return f"it answers round {update.round} in round {task.round}"
    vectors = {"model": update.theta}
    if task.control is not None:
        if update.control is None:
            return "it sent no control variate"
        vectors["control variate"] = update.control
    for name, vector in vectors.items():
        if not isinstance(vector, np.ndarray) or vector.shape != task.theta.shape:
            return f"its {name} has the shape {np.shape(vector)} instead of {task.theta.shape}"
        if vector.dtype != np.float64 or not np.isfinite(vector).all():
            return f"its {name} has values that are no finite numbers"
    if not (isinstance(update.n_rows, int) and update.n_rows > 0 and np.isfinite(update.loss)):
        return f"it reports {update.n_rows!r} rows and a loss of {update.loss!r}"
    change = float(np.linalg.norm(update.theta - task.theta))
    if largest_change is not None and change > largest_change:
        return f"it moves θ by {change:.3g}, more than {largest_change:g}"
    return ""


def check_federation(
    trainer: TrainerConfig, federation: FederationConfig, clients: Mapping[str, ClientFacts]
) -> None:
    """Refuse what cannot be trained together, before anything is written.

    Raises:
        ConfigError: a setting that clients cannot follow, or a rule with too few clients.
        DataError: no clients, an empty one, or clients that disagree on width or classes.
    """
    check_settings(trainer, federation)
    _check_facts(clients)
    strategy = get_strategy(federation.strategy, federation.strategy_options)
    count = federation.per_round(len(clients))
    strategy.check(count)
    if federation.secure_sum:
        check_threshold(federation.hidden_threshold(count), count)
    if federation.fewest_updates > count:
        raise ConfigError(
            f"a round asks {count} of {len(clients)} clients, fewer than it needs",
            field="federation.fewest_updates",
            value=federation.fewest_updates,
            fix=f"Take at most {count}, or a larger fraction.",
        )


def check_settings(trainer: TrainerConfig, federation: FederationConfig) -> None:
    """Refuse settings that clients cannot follow.

    Raises:
        ConfigError: the first of them.
    """
    defaults = TrainerConfig()
    for field, why in _NOT_LOCAL.items():
        value = getattr(trainer, field)
        if value != getattr(defaults, field):
            raise ConfigError(
                f"not possible in a federation: {why}",
                field=f"trainer.{field}",
                value=value,
                fix="Leave it out.",
            )
    if trainer.max_workers:
        raise ConfigError(
            "each client trains in one process",
            field="trainer.num_workers",
            value=trainer.num_workers,
            fix="Leave it out; federation.num_workers says how many actors hold the clients.",
        )
    optimizer = get_optimizer(trainer.optimizer, trainer.optimizer_options)
    if isinstance(optimizer, SearchOptimizer):
        raise ConfigError(
            "clients follow gradients, and this optimizer asks for more",
            field="trainer.optimizer",
            value=trainer.optimizer,
            fix="Take sgd or adam.",
        )
    rule = get_strategy(federation.strategy, federation.strategy_options).local()
    if rule.control:
        _check_plain_sgd(trainer, federation, optimizer)


def _check_plain_sgd(trainer: TrainerConfig, federation: FederationConfig, optimizer: Any) -> None:
    plain = trainer.optimizer == "sgd" and not (optimizer.momentum or optimizer.weight_decay)
    clips = trainer.clip_norm is not None or trainer.clip_value is not None
    if not plain or clips:
        raise ConfigError(
            "SCAFFOLD takes the mean gradient of a client from how far it moved, which holds for "
            "plain SGD alone",
            field="trainer.optimizer",
            value=trainer.optimizer,
            fix='Set optimizer = "sgd" without momentum, weight decay and clipping, or another '
            "strategy.",
        )
    if federation.personal:
        raise ConfigError(
            "control variates are of the whole model, and a part of it stays with the clients",
            field="federation.personal",
            value=list(federation.personal),
            fix="Leave it out, or take fedavg or fedprox.",
        )


def _check_facts(clients: Mapping[str, ClientFacts]) -> None:
    if not clients:
        raise DataError(
            "a federation has one client or more", field="clients", fix="Give a table of them."
        )
    first_name = min(clients)
    first = clients[first_name]
    for name in sorted(clients):
        found = clients[name]
        if not found.has_rows:
            raise DataError(
                "a client has no rows to train on", field=f"clients.{name}",
                fix="Leave it out.",
            )  # fmt: skip
        for what, own, others in (
            ("features", found.n_features, first.n_features),
            ("classes", found.classes, first.classes),
            ("task", found.task or first.task, first.task or found.task),
            ("targets", found.targets, first.targets),
        ):
            if own != others:
                raise DataError(
                    f"clients disagree on their {what}: {first_name} has {others}",
                    field=f"clients.{name}",
                    value=own,
                    fix="Prepare all clients in the same way, with the same labels.",
                )
