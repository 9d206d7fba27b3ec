"""A job: everything that one command runs, as one configuration.

    name = "digits"          [dataset]  what data, split and prepared how
    storage = "runs"         [model]    circuit, observables, head
                             [trainer]  optimisation, workers, seed
                             [cluster]  where Ray runs
                             [track]    MLflow
                             [tune]     what a search varies, and how

`run_job` loads the data, trains, fits the classical baseline beside, and returns both scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import model_validator

from qstore_ray.errors import ConfigError, ResourceError, UsageError
from qstore_ray.track.base import Display
from qstore_ray.train.config import TrainingJob
from qstore_ray.tune.config import TuneConfig

if TYPE_CHECKING:
    from qstore_ray.backends.failover import FallbackStep
    from qstore_ray.data.read.dataset import Dataset
    from qstore_ray.learn.privacy.statement import PrivacyStatement
    from qstore_ray.train.beside import PendingBaseline
    from qstore_ray.train.run.run_folder import Existing
    from qstore_ray.tune.driver.display import SearchDisplay
    from qstore_ray.tune.study.result import StudyResult


class JobConfig(TrainingJob):
    """One job, as a TOML file holds it.

    Args:
        name: of the run; its folder is `<storage>/<name>`.
        storage: the folder of run folders, which on a cluster all nodes must see, or an address:
            s3://bucket/prefix, gs://…, az://….
        baseline: also fit a linear classical model on the same features and splits.
        dataset: which rows, their split and their preparation.
        model: the circuit, its observables, and the layers before and after it.
        trainer: how the model is trained.
        cluster: where Ray runs, if `trainer.num_workers` > 0.
        track: which trackers copy the run.
        tune: for `qstore tune`; `qstore train` ignores it.

    Examples:
        iris = {"name": "iris", "params": {"dataset": "iris"}}
        job = JobConfig(name="first", dataset=iris, model={"n_qubits": 4}, trainer={"epochs": 5})
        assert JobConfig.from_dict(job.model_dump()) == job
    """

    tune: TuneConfig | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_of_one_owner(cls, values: Any) -> Any:
        """Refuse the job of a federation, whose rows have several owners."""
        for name in ("federation", "partition") if isinstance(values, dict) else ():
            if name in values:
                raise ConfigError(
                    "this is the job of a federation, which divides its rows among clients",
                    field=name,
                    fix="Load it as a FederatedJob, or leave out the tables federation and "
                    "partition to train one model on all rows.",
                )
        return values


@dataclass(frozen=True)
class JobResult:
    """What a job leaves: its folder, the numbers, a sentence that compares with the baseline.

    `missing` has the metrics that the test rows do not define, with the reason; `fallbacks` the
    steps from one backend to another; `privacy` what may be claimed of a private run.
    """

    run_dir: Path
    metrics: dict[str, float]
    verdict: str
    missing: Mapping[str, str]
    fallbacks: Sequence[FallbackStep] = ()
    privacy: PrivacyStatement | None = None

    def __repr__(self) -> str:
        return f"JobResult({str(self.run_dir)!r}, {len(self.metrics)} metrics, {self.verdict!r})"


def run_job(
    config: JobConfig,
    *,
    existing: Existing = "error",
    display: Display | None = None,
    loaded: Callable[[Dataset], None] | None = None,
) -> JobResult:
    """Load, train, fit the baseline beside, score. Runs in the driver process.

    Args:
        config: the job.
        existing: if there is a run of this name, "error" refuses, "resume" continues it,
            "replace" deletes it and starts again.
        display: shows the run.
        loaded: called with the data as soon as they are loaded.

    Raises:
        ConfigError: the classical baseline does not fit into memory.
        UsageError: it is given something else than a job.
        QStoreError: see `DatasetLoader.load` and `QuantumTrainer.fit`.
    """
    # What takes long to import is imported when a job runs, not when one is described.
    from qstore_ray.data.loader import DatasetLoader
    from qstore_ray.train.beside import begin_beside
    from qstore_ray.train.request import RunRequest
    from qstore_ray.train.run.run_folder import check_run
    from qstore_ray.train.run.same_run import MadeOf
    from qstore_ray.train.trainer import QuantumTrainer

    _check_job(config, "run_job")
    trained = config.trainer.recipe(regression=True)
    recipe = {"model": config.model.to_dict(), "trainer": trained}
    check_run(
        config.storage,
        config.name,
        existing=existing,
        epochs=config.trainer.epochs,
        made=MadeOf(recipe, None, config.to_toml()),
    )
    begin_beside(config)
    dataset = DatasetLoader.load(config.dataset)
    if loaded is not None:
        loaded(dataset)
    baseline = _baseline(config, dataset) if "test" in dataset.plans else None
    trainer = QuantumTrainer(
        config.model,
        config.trainer,
        name=config.name,
        storage=config.storage,
        cluster=config.cluster,
        track=config.track,
        display=display,
    )
    request = RunRequest(existing=existing, config_toml=config.to_toml(), baseline=baseline)
    result = trainer.run(dataset, request)
    return JobResult(
        result.run_dir, dict(result.metrics), result.verdict, result.missing, result.fallbacks,
        result.privacy,
    )  # fmt: skip


def _baseline(config: JobConfig, dataset: Dataset) -> PendingBaseline:
    """What the model is compared with on the test rows; it is fitted beside the training."""
    from qstore_ray.baseline import constant_task, linear_task
    from qstore_ray.train.beside import PendingBaseline

    if not config.baseline:
        return PendingBaseline(constant_task(dataset))
    # Judged on equal terms: what shows rare classes more often does so for both.
    weight = config.trainer.class_weight
    if weight is None and config.trainer.batches == "balanced":
        weight = "balanced"
    try:
        return PendingBaseline(linear_task(dataset, class_weight=weight))
    except ResourceError as exc:
        raise ConfigError(
            f"the linear baseline cannot be fitted: {exc.message}",
            field="baseline",
            value=True,
            fix="Set baseline = false: the majority class or the mean is the baseline then.",
        ) from exc


def run_search(
    config: JobConfig,
    *,
    existing: Existing = "error",
    display: SearchDisplay | None = None,
) -> StudyResult:
    """Search what `config.tune` says; the study. Runs in the driver process.

    Raises:
        ConfigError: the job has no `[tune]` table.
        QStoreError: see `Tuner.fit`.
    """
    _check_job(config, "run_search")
    if config.tune is None:
        raise ConfigError(
            "the job has no [tune] table, so there is nothing to search",
            field="tune",
            fix='Write [tune.space] with for example "model.layers" = '
            '{ type = "int", low = 1, high = 8 }.',
        )
    from qstore_ray.tune.tuner import Tuner

    return Tuner(config, config.tune, display=display).fit(existing=existing)


def _check_job(config: object, name: str) -> None:
    """Refuse what is no job, such as the path of one."""
    if isinstance(config, JobConfig):
        return
    path = isinstance(config, str | Path)
    read = f"JobConfig.load({str(config)!r})" if path else 'JobConfig.load("job.toml")'
    raise UsageError(
        f"{name} takes a job, a JobConfig",
        field="config",
        value=config if path else type(config).__name__,
        fix=f"Write {name}({read}).",
    )
