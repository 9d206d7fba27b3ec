"""A client of ours for Flower: its server and its strategies, our model and our steps.

    from qstore_ray.federated.flower.client import client_app, initial_arrays

    app = client_app(rows_of_this_node, ModelConfig(n_qubits=4), TrainerConfig(optimizer="sgd"))

and in the server's app `FedAvg().start(grid, initial_arrays(model, rows), num_rounds=20)`. Who
takes part and how models are added up is Flower's; a client trains as `federated.client` does, with
the same bits. The model travels as one array of float64, `theta` (P,). What a client remembers from
round to round is in its node's `context.state`.

Flower's pins do not join our lock, and its extra `simulation` pins another Ray than we do. So this
file, and what it imports of ours, needs an environment with flwr, numpy, pydantic, cryptography
and xxhash only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from qstore_ray.errors import ConfigError, MissingDependencyError, UsageError
from qstore_ray.federated.checks import check_federation
from qstore_ray.federated.client import LocalClient
from qstore_ray.federated.config import FederationConfig
from qstore_ray.federated.rows import ClientRows, check_regression
from qstore_ray.federated.strategies.base import LocalRule, RoundTask
from qstore_ray.learn import step as blocks
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.model import QuantumModel, build_model
from qstore_ray.train.config import TrainerConfig

try:
    from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
    from flwr.clientapp import ClientApp
except ImportError as exc:
    raise MissingDependencyError(
        "a client for Flower needs flwr, which is not installed",
        field="flwr",
        fix="Install flwr>=1.42 in an environment of its own; see docs/federated.md.",
    ) from exc

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

_MODEL: Final = "theta"
_MEMORY: Final = "qstore_ray"
_DEFAULT: Final = FederationConfig()

RowsOfNode = Callable[[Any], ClientRows]
"""The rows of a node, from its `Context`, such as by `context.node_config["partition-id"]`."""


def client_app(
    rows: RowsOfNode,
    model: ModelConfig,
    trainer: TrainerConfig,
    federation: FederationConfig = _DEFAULT,
    test: RowsOfNode | None = None,
) -> ClientApp:
    """A Flower client that trains our model on the rows of its node, and scores the server's.

    It answers `train` with the model after `federation.local_epochs`, `train-loss` and
    `num-examples`, and `evaluate` with `eval-loss`, `eval-accuracy` of classes, and `num-examples`.
    It follows `proximal-mu`, which Flower's FedProx sends.

    Args:
        rows: that a node trains on. test: that it evaluates on; without it those of `rows`.
        federation: of which `rounds`, `local_epochs`, `local_state` and `personal` are followed.

    Raises:
        ConfigError: a private training.
        QStoreError: in the client, as `FederatedTrainer.fit`; Flower's server gets the reason.
    """
    if trainer.privacy is not None:
        raise ConfigError(
            "the account of a client's rows is kept by our own server",
            field="trainer.privacy",
            fix="Leave it out, and wrap Flower's strategy in one of its own for privacy.",
        )
    app = ClientApp()

    def train(message: Message, context: Context) -> Message:
        own = rows(context)
        check_federation(trainer, federation, {str(context.node_id): own.facts()})
        built = _built(model, trainer, own)
        theta, config = _theta(message, built), message.content.config_records.get("config", {})
        rule = LocalRule(proximal=float(config.get("proximal-mu", 0.0)))
        task = RoundTask(int(config.get("server-round", 1)) - 1, theta, rule)
        client = LocalClient(
            str(context.node_id), built, trainer, federation, own, trainer.open_backend()
        )
        update, memory = client.train(task, _remembered(context))
        context.state[_MEMORY] = _record(memory)
        found = {"num-examples": update.n_rows, "train-loss": update.loss}
        content = {"arrays": _record({_MODEL: update.theta}), "metrics": MetricRecord(found)}
        return Message(content=RecordDict(content), reply_to=message)

    def evaluate(message: Message, context: Context) -> Message:
        own = (test or rows)(context)
        built = _built(model, trainer, own)
        theta = _theta(message, built)
        sums = blocks.evaluate(built, theta, own.x, own.y, trainer.open_backend()).sum(axis=0)
        loss, count, correct = map(float, sums)
        found = {"num-examples": round(count), "eval-loss": loss / count}
        if built.loss.classification:
            found["eval-accuracy"] = correct / count
        return Message(content=RecordDict({"metrics": MetricRecord(found)}), reply_to=message)

    app.train()(train)
    app.evaluate()(evaluate)
    return app


def initial_arrays(model: ModelConfig, rows: ClientRows, seed: int = 0) -> ArrayRecord:
    """The model that the server begins with.

    Args:
        rows: of any client, or one that looks like theirs: it gives the width and the classes.
    """
    return _record({_MODEL: _built(model, None, rows).initial(seed)})


def theta_of(arrays: ArrayRecord) -> FloatArray:
    """θ (P,) of a model of the server, such as `result.arrays` of a strategy."""
    found: FloatArray = arrays[_MODEL].numpy()
    return found


def _built(model: ModelConfig, trainer: TrainerConfig | None, rows: ClientRows) -> QuantumModel:
    built = build_model(
        model,
        n_features=rows.x.shape[1],
        n_classes=len(rows.classes) or None,
        task=rows.task,
        n_targets=rows.facts().n_targets,
    )
    if trainer is not None and built.loss.goal == "regression":
        check_regression(rows.facts(), trainer.target_scaling)
    return built


def _theta(message: Message, model: QuantumModel) -> FloatArray:
    """The server's model.

    Raises:
        UsageError: it is no model of this kind.
    """
    arrays = message.content.array_records.get("arrays", {})
    found = arrays[_MODEL].numpy() if _MODEL in arrays else np.zeros(0)
    if found.shape != (model.n_parameters,) or found.dtype != np.float64:
        raise UsageError(
            f"the server's model is not one of {model.n_parameters} numbers called {_MODEL!r}",
            field=_MODEL,
            value=[str(name) for name in arrays] or found.shape,
            fix="Begin with qstore_ray.federated.flower.client.initial_arrays(model, rows).",
        )
    return found


def _remembered(context: Context) -> dict[str, AnyArray]:
    record = context.state.array_records.get(_MEMORY, {})
    return {name: array.numpy() for name, array in record.items()}


def _record(arrays: dict[str, AnyArray]) -> ArrayRecord:
    return ArrayRecord({name: Array(np.asarray(value)) for name, value in arrays.items()})
