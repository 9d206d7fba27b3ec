"""What is checked before a search writes anything, and the Ray that it runs on."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import ray

from qstore_ray.backends import BACKENDS
from qstore_ray.backends.paid import can_belong_to_run
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.environment import available_cpus
from qstore_ray.errors import ConfigError, under
from qstore_ray.learn.model import QuantumModel
from qstore_ray.storage.address import address_of
from qstore_ray.train.checks import model_for
from qstore_ray.train.config import TrainerConfig, TrainingJob
from qstore_ray.train.loop.validation import check_defined
from qstore_ray.train.ray.session import check_store, ray_session, uses_own_ray
from qstore_ray.tune.config import TuneConfig
from qstore_ray.tune.driver.capacity import Room, check_dashboard, needs_dashboard, room
from qstore_ray.tune.metrics import (
    check_objective_metrics,
    metrics_to_record,
    trial_metric_names,
)
from qstore_ray.tune.schedulers import Scheduler, get_scheduler
from qstore_ray.tune.trial.parts import check_parts, part_job, parts_of

_FREE_OPTIONS = ("shots", "sampler")
"""Options of a paid backend that are of a request, not of the gateway."""


def checked_search(base: TrainingJob, config: TuneConfig, dataset: Dataset) -> Scheduler:
    """Check that the parts of a search fit each other; its scheduler.

    Raises:
        ConfigError, CircuitError: they do not.
        DataError: rows that cannot be cut into the folds.
    """
    if dataset.streamed:
        raise ConfigError(
            "the trials of a search hold the rows in memory, and they are streamed",
            field="dataset.stream",
            value=True,
            fix="Set dataset.stream = false, and search on a part of the rows (dataset.select).",
        )
    config.space.check(base)
    check_parts(config, base)
    if "trainer.num_workers" in config.space.parameters:
        raise ConfigError(
            "the number of workers does not change what is trained",
            field="tune.space.trainer.num_workers",
            fix="Leave it out; tune.workers_per_trial is for all trials.",
        )
    with under("tune"):
        scheduler = get_scheduler(config.scheduler, config.scheduler_options)
        scheduler.check(config.space, len(config.objectives), base.trainer.epochs, config.parts)
    _check_paid(base, config)
    first = part_job(base, parts_of(config, base)[0], config.folds)
    judged = dataset if first.dataset == base.dataset else DatasetLoader.load(first.dataset)
    if config.refit and "val" not in judged.plans:
        raise ConfigError(
            "the data have no validation rows that a refit could add to train",
            field="tune.refit",
            value=True,
            fix="Set dataset.split.val or tune.folds, or refit = false.",
        )
    names = trial_metric_names(
        model_for(base.model, judged),
        base.trainer,
        judged.sizes.get("val", 0),
        tuple(map(str, judged.schema.class_names)),
    )
    check_objective_metrics(config.objectives, names)
    if metrics_to_record(config.objectives):
        _check_defined(config, model_for(base.model, judged), judged)
    return scheduler


def _check_paid(base: TrainingJob, config: TuneConfig) -> None:
    """Check that all trials on paid hardware use one gateway, which has the budget of the study.

    Raises:
        ConfigError: the space has the backend, or an option that belongs to the gateway.
    """
    for field, parameter in config.space.parameters.items():
        first, _, option = field.removeprefix("trainer.").partition(".")
        choices = getattr(parameter, "choices", [getattr(parameter, "value", None)])
        named = {base.trainer.backend, *(choices if first == "backend" else ())} & set(BACKENDS)
        if not any(can_belong_to_run(BACKENDS[name]) for name in named):
            continue
        if first == "backend" or (first == "backend_options" and option not in _FREE_OPTIONS):
            raise ConfigError(
                "the trials of a search on paid hardware use one gateway, with one budget",
                field=f"tune.space.{field}",
                value=choices if first == "backend" else None,
                fix="Leave it out, and run a search for each value under a name of its own.",
            )


def _check_defined(config: TuneConfig, model: QuantumModel, judged: Dataset) -> None:
    """Check that the rows of val define the metrics that trials are judged by.

    Raises:
        ConfigError: they do not, for example if a class has no row.
    """
    names, y = tuple(map(str, judged.schema.class_names)), judged.materialize("val").y
    for place, objective in enumerate(config.objectives):
        if metrics_to_record([objective]):
            with under(f"tune.objectives.{place}"):
                check_defined(model, names, objective.metric, y, field="metric")


@contextmanager
def search_session(base: TrainingJob, config: TuneConfig, scheduler: Scheduler) -> Iterator[Room]:
    """An initialised Ray with room for a trial at least, and how many it has room for.

    Raises:
        ConfigError, ResourceError: no trial would ever start, or fewer than requested; or the
            scheduler hands checkpoints over, the study is in an object store, and the cluster has
            several machines.
        BackendError: the cluster cannot be reached.
    """
    cluster = base.cluster
    trainer = TrainerConfig(num_workers=config.workers_per_trial)
    wanted = needs_dashboard(config, trainer)
    own = uses_own_ray(cluster)
    check_store(cluster, base.storage)
    if own and not (config.gpus_per_trial or config.resources):
        cpus = {"CPU": float(available_cpus())}  # what it will have; it takes seconds to start
        room(config, cluster, trainer, cpus, [cpus])
    with ray_session(cluster, 0, dashboard=wanted):
        check_dashboard(config, trainer, own or _has_dashboard())
        alive = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
        if scheduler.pauses:
            machines = {str(node["NodeManagerHostname"]) for node in alive}
            check_one_machine(config.scheduler, base.storage, machines)
        nodes = [node["Resources"] for node in alive]
        total = ray.cluster_resources()  # type: ignore[no-untyped-call]
        yield room(config, cluster, trainer, total, nodes)


def check_one_machine(scheduler: str, storage: str | Path, machines: Collection[str]) -> None:
    """Refuse a scheduler that hands checkpoints over, if trials could not find them.

    Ray Tune keeps them in a folder of the driver. A study in a folder has it there, where all nodes
    see it; of a study in an object store it is on the driver's machine alone.

    Args:
        machines: the host names of the cluster's nodes; several nodes of one machine share it.

    Raises:
        ConfigError: the study is in an object store, and the cluster has several machines.
    """
    if address_of(storage) is None or len(machines) <= 1:
        return
    raise ConfigError(
        f"{scheduler} hands checkpoints over in a folder of the driver's machine, the study is in "
        f"an object store, and the cluster has {len(machines)} machines",
        field="tune.scheduler",
        value=scheduler,
        fix='Write tune.scheduler = "asha" or "median", or take a storage folder that all nodes '
        "see, or a cluster of one machine.",
    )


def _has_dashboard() -> bool:
    node = ray._private.worker.global_worker.node  # noqa: SLF001 - no public way to ask
    return bool(node and node.webui_url)
