"""What a round costs, as ratios of interleaved measurements by processor time of this process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from federation import data
from qstore_ray import ModelConfig
from qstore_ray.federated.client import LocalClient
from qstore_ray.federated.config import FederationConfig
from qstore_ray.federated.hosts.member import RoundTask
from qstore_ray.federated.opening import Opening
from qstore_ray.federated.rows import ClientRows
from qstore_ray.federated.secure_sum.crypto import new_secret
from qstore_ray.federated.secure_sum.member import SumMember
from qstore_ray.federated.secure_sum.run import collected_sum
from qstore_ray.federated.server import first_state, run_round
from qstore_ray.federated.strategies import get_strategy
from qstore_ray.federated.strategies.base import LocalRule
from qstore_ray.learn.model import QuantumModel
from qstore_ray.train.config import ClusterConfig

CLIENTS, PAIRS = 64, 9


def interleaved(pairs: int, **works: Callable[[], object]) -> dict[str, Any]:
    """Processor seconds of each piece of work, taken in turns, and of the last by the first."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(pairs + 1):  # the first compiles
        for name, work in works.items():
            began = time.process_time()
            work()
            taken[name].append(time.process_time() - began)
    found: dict[str, Any] = {
        f"{name}_s": statistics.median(each[1:]) for name, each in taken.items()
    }
    first, last = (taken[name][1:] for name in (next(iter(works)), list(works)[-1]))
    ratios = sorted(b / a for a, b in zip(first, last, strict=True))
    return {**found, "ratio": statistics.median(ratios), "ratios": [ratios[0], ratios[-1]]}


def round_work(
    model: ModelConfig, rows: dict[str, ClientRows], **options: Any
) -> tuple[Callable[[], object], QuantumModel]:
    """One round of these clients in this process."""
    config = FederationConfig(rounds=100, strategy_options={"weights": "uniform"}, **options)
    opened = Opening(model, data.trainer(0), config, ClusterConfig()).open(rows)
    strategy = get_strategy(config.strategy, config.strategy_options)
    state = first_state(strategy, opened.model.initial(0))
    return lambda: run_round(state, opened.fleet, strategy, config), opened.model


def rounds() -> list[dict[str, Any]]:
    """64 clients beside one central epoch over the same rows."""
    dataset = data.load("digits", 0, None)
    found = []
    for alpha in (0.5, 100.0):
        clients = data.clients(dataset, CLIENTS, alpha, 0)
        work, built = round_work(data.model("digits"), clients)
        trainer = data.trainer(0)
        config = FederationConfig(rounds=100)
        whole = LocalClient(
            "all", built, trainer, config, ClientRows.of(dataset), trainer.open_backend()
        )
        task = RoundTask(0, built.initial(0), LocalRule())
        epoch = lambda whole=whole, task=task: whole.train(task, {})  # noqa: E731 - one pass
        about = {"case": "round", "alpha": alpha, "clients": CLIENTS, "goal": 2.0}
        found.append({**about, **interleaved(PAIRS, epoch=epoch, round=work)})
        print(found[-1], flush=True)
    return found


SUMS: dict[str, dict[str, Any]] = {
    "all": {},
    "few, a third may leave": {"secure_neighbours": "few"},
    "few, a tenth may leave": {"secure_neighbours": "few", "secure_threshold": 0.9},
}


MODELS: dict[str, tuple[dict[str, Any], int]] = {
    "a classical layer": ({"pre_layers": [300, 16]}, 1),
    "the circuit": ({"layers": 245}, 2),
}
"""Where about 10,000 parameters are, and local epochs: one, or as many as the job of digits has."""


def secure() -> list[dict[str, Any]]:
    """A round with a secure sum beside one without, of about 10,000 parameters."""
    dataset = data.load("digits", 0, None)
    clients = data.clients(dataset, CLIENTS, 100.0, 0)
    found = []
    for place, (options, epochs) in MODELS.items():
        model = ModelConfig.from_dict(data.model("digits").to_dict() | options)
        found += [
            {"case": "secure", "clients": CLIENTS, "goal": 1.1, "parameters_of": place,
             "local_epochs": epochs, **row}
            for row in _secure_sums(model, clients, epochs)
        ]  # fmt: skip
    return found


def _secure_sums(
    model: ModelConfig, clients: dict[str, ClientRows], epochs: int
) -> Iterator[dict[str, Any]]:
    """One row for each kind of sum."""
    plain, built = round_work(model, clients, local_epochs=epochs)
    for name, options in SUMS.items():
        hidden, _ = round_work(model, clients, local_epochs=epochs, secure_sum=True, **options)
        asked = FederationConfig(secure_sum=True, strategy="scaffold", **options)
        graph = asked.sum_rule(CLIENTS)(CLIENTS)
        about = {
            "parameters": built.n_parameters, "sum": name, "neighbours": graph.degree,
            "opens": graph.threshold,
        }  # fmt: skip
        sides = [_sides(asked, built.n_parameters + 1) for _ in range(PAIRS)]
        each = {name: statistics.median(side[name] for side in sides) for name in sides[0]}
        row = {**about, **interleaved(PAIRS, plain=plain, secure=hidden), **each}
        print(row, flush=True)
        yield row


def _sides(config: FederationConfig, length: int) -> dict[str, float]:
    """Processor seconds of one sum: of one of its clients on the mean, and of its server."""
    members: dict[int, SumMember] = {}
    vector, taken = np.ones(length), [0.0]

    def ask(message: str, arguments: Mapping[int, tuple[Any, ...]]) -> dict[int, Any]:
        began, answers = time.process_time(), {}
        for number, given in arguments.items():
            if message == "keys":
                members[number] = SumMember(*given)
            sent = {"keys": (), "masked": (vector, *given)}.get(message, given)
            answers[number] = getattr(members[number], message)(*sent)
        taken[0] += time.process_time() - began
        return answers

    began = time.process_time()
    collected_sum(
        ask, range(1, CLIENTS + 1), new_secret(), config.hidden_threshold(CLIENTS), length,
        rule=config.sum_rule(CLIENTS),
    )  # fmt: skip
    whole = time.process_time() - began
    return {"client_s": taken[0] / CLIENTS, "server_s": whole - taken[0]}
