"""How many trials can run at a time, worked out before any of them starts.

Ray blocks silently when a cluster lacks the requested resources, and trials that hold CPUs while
the workers they started wait for CPUs deadlock. Both can be computed beforehand, here, from the
resources that the caller read from the cluster.

A trial that trains in its own process takes its CPUs, GPUs and further resources in one piece, on
one node; each of its trainings beyond the first that run at the same time takes as much again. A
trial with Ray Train workers takes no CPU itself, it only waits for them: every worker is a piece of
its own, and Ray Train reserves the pieces, outside of what Tune knows of.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qstore_ray.errors import ConfigError, ResourceError
from qstore_ray.train.config import ClusterConfig, TrainerConfig
from qstore_ray.tune.config import TuneConfig
from qstore_ray.tune.driver.demand import UNIT, Bundle, Demand, trial_bundles


@dataclass(frozen=True)
class Room:
    """How many trials fit.

    Args:
        concurrency: trials at a time.
        bundles: what Tune reserves for one trial, a list for a `PlacementGroupFactory`; the trial
            itself runs in the first.
        why: what the concurrency follows from, as a sentence without its full stop.
    """

    concurrency: int
    bundles: list[Bundle]
    why: str


def room(
    config: TuneConfig,
    cluster: ClusterConfig,
    trainer: TrainerConfig,
    available: Mapping[str, float],
    nodes: Sequence[Mapping[str, float]],
) -> Room:
    """How many trials fit on these nodes at a time, and no more than there are trials.

    Args:
        config: of the search.
        cluster: what a worker takes.
        trainer: how many workers a training has.
        available: what is free in the whole cluster, by name of the resource.
        nodes: what each node has.

    Raises:
        ConfigError: an amount that Ray cannot hand out.
        ResourceError: not even one trial fits, or fewer than requested.
    """
    _check_amounts(config)
    demand = Demand.of(config, cluster, trainer)
    there = f"there are {_text(available, demand.total)}"
    found = demand.trials_on(nodes, available)
    if not found:
        raise _no_room_error(demand, available, nodes)
    if config.concurrency is not None and found < config.concurrency:
        raise ResourceError(
            f"a trial takes {_text(demand.total)}, {there}: {found} fit at a time",
            field="tune.concurrency",
            value=config.concurrency,
            fix=f"Write tune.concurrency = {found}, or leave it out.",
        )
    bundles = trial_bundles(config, trainer)
    if config.concurrency is not None:
        return Room(config.concurrency, bundles, f"concurrency is {config.concurrency}")
    if config.trials <= found:
        there = "there is 1 trial" if config.trials == 1 else f"there are {config.trials} trials"
        return Room(config.trials, bundles, there)
    return Room(found, bundles, f"a trial takes {_text(demand.total)}, {there}")


def check_dashboard(config: TuneConfig, trainer: TrainerConfig, dashboard: bool) -> None:
    """Refuse to end trials with workers early on a Ray that would not free what they took.

    Ray Train frees the workers' places through the dashboard. Without one they stay taken, and the
    trials after them never start. A Ray of our own is started with a dashboard where
    `needs_dashboard` says so.

    Raises:
        ResourceError: a dashboard is needed, and none runs.
    """
    if needs_dashboard(config, trainer) and not dashboard:
        raise ResourceError(
            f"{config.scheduler} ends trials early, and without a dashboard Ray does not free the "
            f"places of their {trainer.max_workers} workers",
            field="tune.scheduler",
            value=config.scheduler,
            fix="Start the cluster with its dashboard (pip install 'ray[default]'), or write "
            'tune.scheduler = "none" or tune.workers_per_trial = 0.',
        )


def needs_dashboard(config: TuneConfig, trainer: TrainerConfig) -> bool:
    """Whether trials with workers may be ended early."""
    return trainer.max_workers > 0 and config.scheduler != "none"


def _check_amounts(config: TuneConfig) -> None:
    amounts = {
        "tune.cpus_per_trial": config.cpus_per_trial,
        "tune.gpus_per_trial": config.gpus_per_trial,
        **{f"tune.resources.{name}": amount for name, amount in config.resources.items()},
    }
    for field, amount in amounts.items():
        if 0 < amount < 1 / UNIT:
            raise ConfigError(
                "Ray counts in ten-thousandths", field=field, value=amount, fix="Take 0.0001."
            )
    if config.gpus_per_trial > 1 and config.gpus_per_trial % 1:
        raise ConfigError(
            "of more than one GPU, Ray hands out whole ones",
            field="tune.gpus_per_trial",
            value=config.gpus_per_trial,
            fix=f"Take {int(config.gpus_per_trial)} or {int(config.gpus_per_trial) + 1}.",
        )


def _largest(name: str, nodes: Sequence[Mapping[str, float]]) -> float:
    """The most of a resource that a node has."""
    return max((node.get(name, 0.0) for node in nodes), default=0.0)


def _no_room_error(
    demand: Demand, available: Mapping[str, float], nodes: Sequence[Mapping[str, float]]
) -> ResourceError:
    """The first of the resources of which there is not enough, and what would be."""
    if demand.workers:
        largest = _largest("CPU", nodes)
        cpus = demand.worker["CPU"]
        if cpus > largest:
            return ResourceError(
                f"a worker takes {cpus:g} CPUs, and no node has more than {largest:g}",
                field="cluster.cpus_per_worker",
                value=cpus,
                fix=f"Take {_below(largest)} or less.",
            )
        gpus, most = demand.worker.get("GPU", 0.0), _largest("GPU", nodes)
        if gpus > most:
            return ResourceError(
                f"a worker takes {gpus:g} GPUs, and no node has more than {most:g}",
                field="cluster.gpus_per_worker",
                value=gpus,
                fix=f"Take {most:g} or less." if most else "Leave it out.",
            )
    for name, amount in demand.piece.items():
        largest = _largest(name, nodes)
        if amount > largest:
            field = _field(name)
            return ResourceError(
                f"a trial takes {amount:g} {name}, and no node has more than {largest:g}",
                field=field,
                value=amount,
                fix=f"Take {largest:g} or less." if largest else _absent(name, field),
            )
    there = f"there are {_text(available, demand.total)} on {len(nodes)} nodes"
    if demand.workers:
        return ResourceError(
            f"a trial with {demand.workers} workers of {demand.worker['CPU']:g} CPUs takes "
            f"{_text(demand.total)}, {there}",
            field="tune.workers_per_trial",
            value=demand.workers,
            fix=f"Take fewer workers, or cluster.cpus_per_worker = {_share(demand, nodes)}.",
        )
    if demand.at_once > 1:
        return ResourceError(
            f"a trial of {demand.at_once} trainings at once takes {_text(demand.total)}, {there}",
            field="tune.parts_at_once",
            value=demand.at_once,
            fix="Take fewer at once, or less for each.",
        )
    return ResourceError(
        f"a trial takes {_text(demand.total)}, {there}",
        field="tune.cpus_per_trial",
        value=demand.piece["CPU"],
        fix="Take less, or wait until others have ended.",
    )


def _share(demand: Demand, nodes: Sequence[Mapping[str, float]]) -> str:
    """The CPUs of a worker with which one trial fits: those of some node in equal parts."""
    there = [node.get("CPU", 0.0) for node in nodes]
    parts = [cpus / k for cpus in there for k in range(1, demand.workers + 1) if cpus > 0]
    fitting = [part for part in parts if sum(cpus // part for cpus in there) >= demand.workers]
    return _below(max(fitting, default=0.0))


def _below(amount: float) -> str:
    """As text, down to hundredths."""
    return f"{max(math.floor(100 * amount) / 100, 0.01):g}"


def _field(name: str) -> str:
    known = {"CPU": "cpus_per_trial", "GPU": "gpus_per_trial"}
    return f"tune.{known.get(name, f'resources.{name}')}"


def _absent(name: str, field: str) -> str:
    if name == "GPU":
        return "Write tune.gpus_per_trial = 0."
    return f"Leave out {field}, or start a node with --resources='{{\"{name}\": 1}}'."


def _text(resources: Mapping[str, float], names: Mapping[str, float] | None = None) -> str:
    wanted = resources if names is None else names
    return ", ".join(f"{resources.get(name, 0.0):g} {name}" for name in wanted)
