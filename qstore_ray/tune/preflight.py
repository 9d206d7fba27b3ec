"""How many trials can run at a time, worked out before any of them starts.

Ray waits, without a word and without end, for room that a cluster does not have; and trials that
hold CPUs while the workers they started wait for CPUs wait for each other for ever. Both are plain
arithmetic, which is done here, on numbers that the caller has asked the cluster for.

A trial that trains in its own process takes its CPUs, GPUs and further resources in one piece, on
one node; each of its trainings beyond the first that run at the same time takes as much again. A
trial with Ray Train workers takes next to nothing itself: every worker is a piece of its own, and
Ray Train reserves the pieces, outside of what Tune knows of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qstore_ray.errors import ConfigError, ResourceError
from qstore_ray.train.config import ClusterConfig, TrainerConfig
from qstore_ray.tune.config import TuneConfig

TRIAL_CPUS = 0.01
"""Of a trial that only starts workers and waits for them."""

_UNIT = 10_000  # Ray counts resources in ten-thousandths
Bundle = dict[str, float]


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
        available: resources of the whole cluster by name, for the messages.
        nodes: resources of each node by name.

    Raises:
        ConfigError: an amount that Ray cannot hand out.
        ResourceError: not even one trial fits, or fewer than were asked for.
    """
    _check_amounts(config)
    bundles = trial_bundles(config, trainer)
    pieces = _pieces(config, cluster, trainer, bundles)
    need = _total(pieces)
    found = _fits(pieces, nodes, config.concurrency or config.trials)
    if not found:
        raise _no_room(config, cluster, trainer, pieces, available, nodes)
    if config.concurrency is not None and found < config.concurrency:
        raise ResourceError(
            f"a trial takes {_text(need)}, so that {found} fit at a time into "
            f"{_text(available, need)}",
            field="concurrency",
            value=config.concurrency,
            fix=f"Write concurrency = {found}, or leave it out.",
        )
    why = f"a trial takes {_text(need)}, and there are {_text(available, need)}"
    if config.concurrency is not None:
        why = f"concurrency is {config.concurrency}"
    elif found == config.trials:
        why = f"there are {config.trials} trials"
    return Room(found, bundles, why)


def trial_bundles(config: TuneConfig, trainer: TrainerConfig) -> list[Bundle]:
    """What Tune reserves for one trial."""
    if trainer.num_workers:
        return [{"CPU": TRIAL_CPUS, **config.resources}]
    bundle = {"CPU": config.cpus_per_trial, "GPU": config.gpus_per_trial, **config.resources}
    bundle = {name: amount for name, amount in bundle.items() if amount}
    at_once = min(config.parts_at_once, config.parts)
    return [dict(bundle) for _ in range(at_once)]


def check_dashboard(config: TuneConfig, trainer: TrainerConfig, dashboard: bool) -> None:
    """Refuse to end trials with workers early on a Ray that would not free what they took.

    Ray Train frees the workers' places through the dashboard. Without one they stay taken, and the
    trials after them never start. A Ray of our own is started with a dashboard where
    `needs_dashboard` says so.

    Raises:
        ResourceError: there is none, and one is needed.
    """
    if needs_dashboard(config, trainer) and not dashboard:
        raise ResourceError(
            f"{config.scheduler} ends trials early, and without a dashboard Ray does not free the "
            f"places of their {trainer.num_workers} workers",
            field="scheduler",
            value=config.scheduler,
            fix="Start the cluster with its dashboard (pip install 'ray[default]'), or write "
            'scheduler = "none" or trainer.num_workers = 0.',
        )


def needs_dashboard(config: TuneConfig, trainer: TrainerConfig) -> bool:
    """Whether trials with workers may be ended early."""
    return trainer.num_workers > 0 and config.scheduler != "none"


def _check_amounts(config: TuneConfig) -> None:
    amounts = {
        "cpus_per_trial": config.cpus_per_trial,
        "gpus_per_trial": config.gpus_per_trial,
        **{f"resources.{name}": amount for name, amount in config.resources.items()},
    }
    for field, amount in amounts.items():
        if 0 < amount < 1 / _UNIT:
            raise ConfigError(
                "Ray counts in ten-thousandths", field=field, value=amount, fix="Take 0.0001."
            )
    if config.gpus_per_trial > 1 and config.gpus_per_trial % 1:
        raise ConfigError(
            "of more than one GPU, Ray hands out whole ones",
            field="gpus_per_trial",
            value=config.gpus_per_trial,
            fix=f"Take {int(config.gpus_per_trial)} or {int(config.gpus_per_trial) + 1}.",
        )


def _pieces(
    config: TuneConfig, cluster: ClusterConfig, trainer: TrainerConfig, bundles: list[Bundle]
) -> list[Bundle]:
    """What has to find a place for one trial to run, each piece on a single node."""
    if not trainer.num_workers:
        return bundles
    at_once = min(config.parts_at_once, config.parts)
    worker = {"CPU": cluster.cpus_per_worker}
    return [dict(worker) for _ in range(trainer.num_workers * at_once)] + bundles


def _fits(pieces: Sequence[Bundle], nodes: Sequence[Mapping[str, float]], most: int) -> int:
    """Trials of these pieces, each into the first node that has room, up to `most` of them."""
    free = [{name: _units(amount) for name, amount in node.items()} for node in nodes]
    wanted = [{name: _units(amount) for name, amount in piece.items()} for piece in pieces]
    for trial in range(most):
        if not all(_place(piece, free) for piece in wanted):
            return trial
    return most


def _place(piece: Mapping[str, int], free: list[dict[str, int]]) -> bool:
    for node in free:
        if all(node.get(name, 0) >= amount for name, amount in piece.items()):
            for name, amount in piece.items():
                node[name] -= amount
            return True
    return False


def _units(amount: float) -> int:
    return round(amount * _UNIT)


def _no_room(
    config: TuneConfig,
    cluster: ClusterConfig,
    trainer: TrainerConfig,
    pieces: Sequence[Bundle],
    available: Mapping[str, float],
    nodes: Sequence[Mapping[str, float]],
) -> ResourceError:
    need = _total(pieces)
    fields = {"CPU": "cpus_per_trial", "GPU": "gpus_per_trial"}
    if trainer.num_workers:
        fields["CPU"] = "trainer.num_workers"
    for name in need:
        field = fields.get(name, f"resources.{name}")
        largest = max((node.get(name, 0.0) for node in nodes), default=0.0)
        piece = max(bundle.get(name, 0.0) for bundle in pieces)
        if _units(piece) > _units(largest):
            if trainer.num_workers and name == "CPU":
                field = "cluster.cpus_per_worker"
            return ResourceError(
                f"{field} is {piece:g}, and no node has more than {largest:g} {name}",
                field=field,
                value=piece,
                fix=f"Take {largest:g} or less." if largest else _absent(name, field),
            )
    name = next((n for n in need if _units(need[n]) > _units(available.get(n, 0.0))), "CPU")
    field = fields.get(name, f"resources.{name}")
    if trainer.num_workers and name == "CPU":
        at_once = min(config.parts_at_once, config.parts)
        most = _fits([{"CPU": cluster.cpus_per_worker}], nodes, trainer.num_workers * at_once)
        if most * cluster.cpus_per_worker + TRIAL_CPUS > available.get("CPU", 0.0):
            most -= 1
        return ResourceError(
            f"a trial has {trainer.num_workers * at_once} workers of {cluster.cpus_per_worker:g} "
            f"CPUs and needs {need['CPU']:g} CPUs, there are {_text(available, need)}",
            field=field,
            value=trainer.num_workers,
            fix=f"Take at most {most // at_once} workers, or a smaller cluster.cpus_per_worker"
            + (" or parts_at_once." if at_once > 1 else "."),
        )
    return ResourceError(
        f"a trial takes {_text(need)} in {len(pieces)} pieces, there are {_text(available, need)}",
        field="parts_at_once" if len(pieces) > 1 else field,
        value=len(pieces) if len(pieces) > 1 else need[name],
        fix="Take fewer parts_at_once." if len(pieces) > 1 else "Take less, or a larger node.",
    )


def _absent(name: str, field: str) -> str:
    if name == "GPU":
        return "Write gpus_per_trial = 0."
    return f"Leave out {field}, or start a node with --resources='{{\"{name}\": 1}}'."


def _total(pieces: Sequence[Bundle]) -> Bundle:
    names = dict.fromkeys(name for piece in pieces for name in piece)
    return {name: sum(piece.get(name, 0.0) for piece in pieces) for name in names}


def _text(resources: Mapping[str, float], names: Mapping[str, float] | None = None) -> str:
    wanted = resources if names is None else names
    return ", ".join(f"{resources.get(name, 0.0):g} {name}" for name in wanted)
