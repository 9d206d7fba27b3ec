"""A federation as a job file: one dataset, divided among clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from qstore_ray.config import Config
from qstore_ray.data.config import DatasetConfig
from qstore_ray.federated.config import FederationConfig
from qstore_ray.federated.partitions import PartitionConfig
from qstore_ray.learn.config import ModelConfig
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.config import ClusterConfig, TrainerConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from qstore_ray.data.read.dataset import Dataset
    from qstore_ray.federated.result import FederatedResult
    from qstore_ray.track.base import Display
    from qstore_ray.train.run.run_folder import Existing


class FederatedJob(Config):
    """Everything that `qstore federate` runs.

    Args:
        name: of the run; its folder is `<storage>/<name>`.
        partition: how the rows of train are divided among clients.
        trainer: how each client trains; `federation.local_epochs` count, not `epochs`.

    Examples:
        digits = {"name": "digits", "params": {"dataset": "digits"}}
        job = FederatedJob(name="digits", dataset=digits, partition={"clients": 20})
        assert FederatedJob.from_dict(job.to_dict()) == job
    """

    name: str = Field(examples=["digits-federated"])
    storage: str = "runs"
    dataset: DatasetConfig
    partition: PartitionConfig = PartitionConfig()
    model: ModelConfig = ModelConfig()
    trainer: TrainerConfig = TrainerConfig()
    federation: FederationConfig = FederationConfig()
    cluster: ClusterConfig = ClusterConfig()
    track: TrackConfig = TrackConfig()


def run_federated_job(
    job: FederatedJob,
    *,
    existing: Existing = "error",
    display: Display | None = None,
    loaded: Callable[[Dataset], None] | None = None,
) -> FederatedResult:
    """Load, divide, train all rounds, score on test if the data have it.

    Args:
        display: shows the rounds.
        loaded: called with the dataset before it is divided.

    Raises:
        QStoreError: see `DatasetLoader.load`, `divide` and `FederatedTrainer.fit`.
    """
    from qstore_ray.data.loader import DatasetLoader
    from qstore_ray.federated.rows import ClientRows, divide
    from qstore_ray.federated.trainer import FederatedTrainer
    from qstore_ray.track.logs.logging import announce

    if "epochs" in job.trainer.model_fields_set:
        announce("note", "trainer.epochs is not used: federation.rounds and local_epochs are")
    dataset = DatasetLoader.load(job.dataset)
    if loaded is not None:
        loaded(dataset)
    test = ClientRows.of(dataset, "test") if "test" in dataset.plans else None
    trainer = FederatedTrainer(
        job.model, job.trainer, job.federation, name=job.name, storage=job.storage,
        cluster=job.cluster, track=job.track, tables={"partition": job.partition},
        display=display,
    )  # fmt: skip
    return trainer.fit(divide(dataset, job.partition), test=test, existing=existing)
