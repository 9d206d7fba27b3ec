"""What refuses a federation before it begins, and what excludes an update from a round."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from qstore_ray.errors import ConfigError, DataError, UsageError
from qstore_ray.federated.config import FederationConfig
from qstore_ray.federated.secure_sum.run import check_threshold
from qstore_ray.federated.strategies import get_strategy
from qstore_ray.federated.strategies.base import ClientUpdate
from qstore_ray.learn.optimizers import SearchOptimizer, get_optimizer
from qstore_ray.train.config import TrainerConfig

if TYPE_CHECKING:
    from qstore_ray.federated.rows import ClientFacts
    from qstore_ray.learn.model import QuantumModel
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
_LONGEST_ID: Final = 200
_LARGEST: Final = 1e150
"""Of a change of θ, a control variate or a loss: the square of a larger one is no finite number."""
_MOST_ROWS: Final = 2**53


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
        return f"it calls itself {str(update.client)[:_LONGEST_ID]!r}"
    if update.round != task.round:
        return f"it answers another round than {task.round}"
    return (
        _vector_fault("model", update.theta, task.theta)
        or (_vector_fault("control variate", update.control, task.theta)
            if task.control is not None else "")
        or _report_fault(update)
        or _change_fault(update, task, largest_change)
    )  # fmt: skip


def _vector_fault(name: str, vector: Any, like: FloatArray) -> str:
    if not isinstance(vector, np.ndarray):
        return f"its {name} is {type(vector).__name__} instead of an array"
    if vector.shape != like.shape:
        return f"its {name} has the shape {vector.shape} instead of {like.shape}"
    if vector.dtype != np.float64 or not np.isfinite(vector).all():
        return f"its {name} has values that are no finite numbers"
    return ""


def _report_fault(update: ClientUpdate) -> str:
    if not isinstance(update.n_rows, int) or not 0 < update.n_rows <= _MOST_ROWS:
        return "the number of rows that it reports is none"
    if not isinstance(update.loss, float) or not abs(update.loss) <= _LARGEST:  # also if NaN
        return "the loss that it reports is none"
    return ""


def _change_fault(update: ClientUpdate, task: AskedTask, largest_change: float | None) -> str:
    limit = _LARGEST if largest_change is None else largest_change
    if (change := _norm(update.theta - task.theta)) > limit:
        return f"it moves θ by {change:.3g}, more than {limit:g}"
    control = update.control if task.control is not None else None
    if control is not None and _norm(control) > _LARGEST:
        return f"its control variate has values above {_LARGEST:g}"
    return ""


def _norm(vector: FloatArray) -> float:
    """‖v‖, also where its square is larger than any number."""
    scale = float(np.abs(vector).max(initial=0.0))
    return scale * float(np.linalg.norm(vector / scale)) if scale > 0.0 else 0.0


def memory_fault(memory: Any) -> str:
    """Why what a client wants to remember cannot be kept; "" if it can."""
    if not isinstance(memory, Mapping):
        return f"it remembers {type(memory).__name__} instead of named arrays"
    for name, value in memory.items():
        is_array = isinstance(value, np.ndarray) and value.dtype.kind in "fiub"
        if not isinstance(name, str) or not is_array:
            return "it remembers something else than named arrays of numbers"
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
    try:
        strategy.check(count)
    except ConfigError as exc:
        exc.field = f"federation.{exc.field}"
        raise
    if federation.secure_sum:
        _check_hidden(federation, count, len(clients))
    if federation.fewest_updates > count:
        raise ConfigError(
            f"a round asks {count} of {len(clients)} clients, fewer than it needs",
            field="federation.fewest_updates",
            value=federation.fewest_updates,
            fix=f"Take at most {count}, or a larger fraction.",
        )


def _check_hidden(federation: FederationConfig, count: int, n_clients: int) -> None:
    """Refuse a secure sum of one client, which would be its update."""
    if count == 1:
        raise ConfigError(
            f"a secure sum of one client is its update, and a round asks 1 of {n_clients}",
            field="federation.fraction" if n_clients > 1 else "federation.secure_sum",
            value=federation.fraction if n_clients > 1 else True,
            fix="Ask two clients or more in a round, or leave out secure_sum.",
        )
    check_threshold(federation.hidden_threshold(count), count)


def check_id(name: str, *, taken: bool) -> None:
    """Refuse an id of a client that no line of a log and no file could hold.

    Raises:
        UsageError: it is empty, too long, has unprintable characters, or is that of another client.
    """
    if taken:
        raise UsageError(
            "two clients have the same id", field="clients", value=name,
            fix="Ids are texts; give each client another one.",
        )  # fmt: skip
    if not name.strip() or not name.isprintable() or len(name) > _LONGEST_ID:
        raise UsageError(
            f"the id of a client has 1 to {_LONGEST_ID} printable characters",
            field="clients",
            value=name[:_LONGEST_ID],
            fix="For example hospital-north.",
        )


def check_parts(model: QuantumModel, personal: tuple[str, ...]) -> None:
    """Refuse personal parts that this model does not have, or that are all of it.

    Raises:
        ConfigError: the first of them.
    """
    sizes = {name: size for name, size in model.sizes.items() if size}
    for place, part in enumerate(personal):
        if part not in sizes:
            raise ConfigError(
                "this model has no parameters of this part",
                field=f"federation.personal.{place}",
                value=part,
                fix=f"Its parts are {', '.join(sizes)}.",
            )
    if sizes.keys() <= set(personal):
        raise ConfigError(
            "if all of θ is personal, nothing is learnt together",
            field="federation.personal",
            value=list(personal),
            fix=f"The parts of this model are {', '.join(sizes)}; leave one out.",
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
    first = min(clients)
    for name in sorted(clients):
        check_alike(clients[name], first, clients[first], field=f"clients.{name}")


def check_alike(found: ClientFacts, first_name: str, first: ClientFacts, *, field: str) -> None:
    """Refuse rows that one model cannot take together with those of the first client.

    Raises:
        DataError: none, or others on width, classes, task or targets.
    """
    if not found.has_rows:
        raise DataError("there are no rows", field=field, fix="Leave it out.")
    for what, own, others in (
        ("features", found.n_features, first.n_features),
        ("classes", found.classes, first.classes),
        ("task", found.task or first.task, first.task or found.task),
        ("targets", found.targets, first.targets),
    ):
        if own != others:
            raise DataError(
                f"owners of rows disagree on their {what}: client {first_name} has {others}",
                field=field,
                value=own,
                fix="Prepare all rows in the same way, with the same labels.",
            )
