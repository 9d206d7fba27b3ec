"""Our client for Flower answers with the bits of our own client.

Flower is in no lock of ours, so its records are stood in for by dictionaries here;
`tests/laws/test_flower.py` runs the same client under Flower's own server.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import qstore_ray.federated.flower as room
from qstore_ray.errors import ConfigError, DataError, UsageError
from qstore_ray.federated.client import LocalClient
from qstore_ray.federated.config import FederationConfig
from qstore_ray.federated.hosts.member import RoundTask
from qstore_ray.federated.rows import ClientRows
from qstore_ray.federated.strategies.base import LocalRule
from qstore_ray.learn import step as blocks
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.model import build_model
from qstore_ray.train.config import TrainerConfig

ADAPTER = "qstore_ray.federated.flower.client"
MODEL = ModelConfig(n_qubits=2, layers=1)
TRAINER = TrainerConfig(optimizer="adam", batch_size=8, learning_rate=0.1, schedule="constant")
FEDERATION = FederationConfig(local_epochs=2, local_state="kept")


class Array:
    """An array on its way; Flower sends bytes, so nothing is shared with the sender."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = np.array(array)

    def numpy(self) -> np.ndarray:
        return self._array.copy()


class ArrayRecord(dict):
    """Arrays by name."""


class MetricRecord(dict):
    """Numbers by name."""


class RecordDict(dict):
    """Records by name, and views of those of one kind."""

    @property
    def array_records(self) -> dict[str, Any]:
        return {name: each for name, each in self.items() if isinstance(each, ArrayRecord)}

    @property
    def config_records(self) -> dict[str, Any]:
        return {name: each for name, each in self.items() if type(each) is dict}


class ClientApp:
    """Keeps the functions that it is given."""

    def __init__(self) -> None:
        self.called: dict[str, Any] = {}

    def train(self) -> Any:
        return lambda function: self.called.setdefault("train", function)

    def evaluate(self) -> Any:
        return lambda function: self.called.setdefault("evaluate", function)


@pytest.fixture(scope="module")
def flower() -> Iterator[ModuleType]:
    """The adapter, imported with the records above in place of Flower's."""
    names = {
        "Array": Array, "ArrayRecord": ArrayRecord, "Context": SimpleNamespace,
        "Message": lambda content, reply_to: SimpleNamespace(content=content, reply_to=reply_to),
        "MetricRecord": MetricRecord, "RecordDict": RecordDict,
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "flwr", ModuleType("flwr"))
        patch.setitem(sys.modules, "flwr.app", SimpleNamespace(**names))
        patch.setitem(sys.modules, "flwr.clientapp", SimpleNamespace(ClientApp=ClientApp))
        patch.delitem(sys.modules, ADAPTER, raising=False)
        yield importlib.import_module(ADAPTER)
    sys.modules.pop(ADAPTER, None)
    vars(room).pop("client", None)


def _rows(seed: int = 0, n: int = 20) -> ClientRows:
    x = np.random.default_rng(seed).normal(size=(n, 2))
    return ClientRows(x, (x[:, 0] + 0.3 * x[:, 1] > 0).astype(int), ("no", "yes"))


def _numbers() -> ClientRows:
    x = np.random.default_rng(3).normal(size=(20, 2))
    return ClientRows(x, x[:, 0], ())


def _context() -> SimpleNamespace:
    return SimpleNamespace(node_id=7, state=RecordDict(), node_config={"partition-id": 0})


def _asked(arrays: Any, **config: float) -> SimpleNamespace:
    return SimpleNamespace(content=RecordDict({"arrays": arrays, "config": dict(config)}))


def _built(rows: ClientRows) -> Any:
    return build_model(
        MODEL, n_features=2, n_classes=len(rows.classes) or None, task=rows.task,
        n_targets=rows.facts().n_targets,
    )  # fmt: skip


def _app(flower: ModuleType, rows: ClientRows, trainer: TrainerConfig = TRAINER, **more) -> Any:
    return flower.client_app(lambda context: rows, MODEL, trainer, FEDERATION, **more).called


@pytest.mark.parametrize("mu", [0.0, 0.5])
def test_a_client_trains_with_the_bits_of_ours_and_remembers_what_ours_does(flower, mu):
    rows, context = _rows(), _context()
    train = _app(flower, rows)["train"]
    ours = LocalClient("7", _built(rows), TRAINER, FEDERATION, rows, TRAINER.open_backend())
    arrays, memory = flower.initial_arrays(MODEL, rows), {}
    theta = flower.theta_of(arrays)
    for number in (1, 2):  # the second round begins with the moments of the first
        asked = _asked(arrays, **{"server-round": number, "proximal-mu": mu})
        reply = train(asked, context)
        task = RoundTask(number - 1, theta, LocalRule(proximal=mu))
        update, memory = ours.train(task, memory)
        arrays = reply.content["arrays"]
        theta = flower.theta_of(arrays)
        assert theta.tobytes() == update.theta.tobytes()
        assert reply.content["metrics"] == {"num-examples": 20, "train-loss": update.loss}
        assert reply.reply_to is asked
        kept = context.state.array_records["qstore_ray"]
        assert {name: each.numpy().tobytes() for name, each in kept.items()} == {
            name: np.asarray(each).tobytes() for name, each in memory.items()
        }
    assert memory


def test_the_rows_of_a_node_are_asked_for_with_its_context(flower):
    context, asked = _context(), []

    def rows(of: Any) -> ClientRows:
        asked.append(of)
        return _rows()

    app = flower.client_app(rows, MODEL, TRAINER).called
    app["evaluate"](_asked(flower.initial_arrays(MODEL, _rows())), context)
    assert asked == [context]


def test_a_client_scores_the_servers_model_on_rows_of_its_own(flower):
    rows, others = _rows(), _rows(seed=5, n=12)
    arrays = flower.initial_arrays(MODEL, rows, seed=3)
    found = _app(flower, rows, test=lambda context: others)["evaluate"](_asked(arrays), _context())
    sums = blocks.evaluate(
        _built(rows), flower.theta_of(arrays), others.x, others.y, TRAINER.open_backend()
    ).sum(axis=0)
    assert found.content["metrics"] == {
        "num-examples": 12, "eval-loss": sums[0] / 12, "eval-accuracy": sums[2] / 12
    }  # fmt: skip
    own = _app(flower, others)["evaluate"](_asked(arrays), _context())
    assert own.content["metrics"] == found.content["metrics"]


def test_numbers_have_a_loss_and_no_accuracy(flower):
    rows = _numbers()
    trainer = TRAINER.model_copy(update={"target_scaling": "none"})
    arrays = flower.initial_arrays(MODEL, rows)
    found = _app(flower, rows, trainer)["evaluate"](_asked(arrays), _context())
    assert found.content["metrics"].keys() == {"num-examples", "eval-loss"}


def test_targets_that_each_client_would_scale_by_itself_are_refused(flower):
    rows = _numbers()
    trainer = TRAINER.model_copy(update={"target_scaling": "standard"})
    app = _app(flower, rows, trainer)
    with pytest.raises(DataError, match="its own rows") as caught:
        app["train"](_asked(flower.initial_arrays(MODEL, rows)), _context())
    assert 'target_scaling = "none"' in caught.value.fix


def test_the_seed_decides_the_first_model(flower):
    first, again, other = (
        flower.theta_of(flower.initial_arrays(MODEL, _rows(), seed)) for seed in (1, 1, 2)
    )
    assert first.tobytes() == again.tobytes() != other.tobytes()
    assert first.shape == (_built(_rows()).n_parameters,)


@pytest.mark.parametrize("message", ["train", "evaluate"])
@pytest.mark.parametrize(
    "arrays",
    [
        None,
        ArrayRecord(),
        ArrayRecord(theta=Array(np.zeros(1))),
        ArrayRecord(weights=Array(np.zeros(4))),
        "float32",
    ],
    ids=["no arrays", "none", "too short", "another name", "float32"],
)
def test_a_model_that_is_not_ours_is_refused(flower, message, arrays):
    rows = _rows()
    if arrays == "float32":
        theta = flower.theta_of(flower.initial_arrays(MODEL, rows))
        arrays = ArrayRecord(theta=Array(theta.astype(np.float32)))
    asked = _asked(arrays) if arrays is not None else SimpleNamespace(content=RecordDict())
    with pytest.raises(UsageError, match=f"{_built(rows).n_parameters} numbers") as caught:
        _app(flower, rows)[message](asked, _context())
    assert "initial_arrays(model, rows)" in caught.value.fix


def test_private_rows_need_our_server(flower):
    trainer = TrainerConfig(
        optimizer="sgd", batch_size=8, privacy={"clip": 1.0, "noise_multiplier": 1.0}
    )
    with pytest.raises(ConfigError, match="our own server") as caught:
        flower.client_app(lambda context: _rows(), MODEL, trainer)
    assert caught.value.field == "trainer.privacy"
