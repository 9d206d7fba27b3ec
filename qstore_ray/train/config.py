"""How a model is trained, and where, as configuration."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from qstore_ray.backends import (
    check_backend,
    deciding_options,
    open_backend,
    option_or_default,
)
from qstore_ray.backends.base import Backend
from qstore_ray.backends.grouping import checked_shots
from qstore_ray.backends.mitigation.backend import open_mitigated
from qstore_ray.backends.mitigation.config import MitigationConfig
from qstore_ray.backends.noise.config import NoiseConfig
from qstore_ray.config import Config
from qstore_ray.data.config import DatasetConfig
from qstore_ray.errors import ConfigError, under
from qstore_ray.learn.clipping import check_unclipped
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.distributed.config import AveragingConfig, CompressionConfig, check_apart
from qstore_ray.learn.gradients import make_gradient
from qstore_ray.learn.optimizers import SearchOptimizer, get_optimizer
from qstore_ray.learn.optimizers.base import ChecksRows
from qstore_ray.learn.privacy.config import PrivacyConfig
from qstore_ray.learn.schedules import get_schedule
from qstore_ray.learn.step import BLOCK
from qstore_ray.learn.weights import ClassWeight, check_class_weight
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.callbacks import Callback, as_callback, as_table
from qstore_ray.train.fallback import BackendFallback
from qstore_ray.train.worker_count import check_one_gateway, checked_workers
from qstore_ray.types import Table


class TrainerConfig(Config):
    """What the training does; the same values give the same parameters, bit for bit.

    Args:
        epochs: passes over the training rows.
        batch_size: B, rows of one step, over all workers together.
        learning_rate: η, multiplied by the schedule's factor.
        accumulate: batches whose gradients are added before a step is taken: a step then has
            `accumulate` · B rows, in the memory of B.
        batches: `standard` uses every row once an epoch, `balanced` every class equally often.
        optimizer: a name of `learn.optimizers.OPTIMIZERS`, such as adam, sgd, qng or spsa;
            `optimizer_options` are its own, such as `{"beta1": 0.9}`.
        schedule: a name of `learn.schedules.SCHEDULES`, such as cosine, one_cycle or plateau;
            `schedule_options` are its own.
        clip_norm, clip_value: limits of the gradient's norm, and of each of its numbers.
        monitor: the metric that a schedule of cadence `metric` follows; without it `val_loss`, or
            `train_loss` if the data have no validation split.
        metrics: what val is scored by each epoch, besides loss and accuracy, such as
            `["balanced_accuracy", "roc_auc"]`: names of `learn.scoring`. What a monitor or an
            objective follows need not be named.
        class_weight: how much the rows of a class count in the training loss: `balanced` gives
            every class the same total, `{"no": 1.0, "yes": 20.0}` has a weight for each label.
        target_scaling: `standard` trains a regression on targets of mean 0 and variance 1, as seen
            on train, and predicts in the units of the data; `none` leaves them as they are.
        callbacks: tables such as `{"name": "early_stopping", "patience": 5}`; see
            `train.callbacks`. Objects of those classes may be given too.
        gradient: auto (adjoint if the backend supports it, spsa on hardware), adjoint,
            parameter_shift, random_coordinate_shift or spsa; `gradient_options` are its own.
        backend: statevector, aer or ibm; `backend_options` are its own.
        noise: what the circuits suffer in training and validation; see `NoiseConfig`. Test rows are
            scored with it and without it.
        mitigation: what is done against noise and shots; see `MitigationConfig`. Test rows are
            scored with it too; training and validation only with `during = "always"`.
        fallback: backends that take over if this one fails, each after those before it; see
            `BackendFallback`. Without them a failure ends the run, which can be resumed.
        resume_backend: `last`: a resumed run continues on the backend that it had fallen back to;
            `first`: on `backend` again.
        init_from: begin from the parameters of a model: a run folder, a checkpoint or a `.qsm` file
            of the same circuit. Nothing else of it is taken, and the run has all of its epochs.
        num_workers: Ray Train workers; 0 trains in this process and never starts Ray. `(2, 4)`
            trains on 2 to 4, as many as the cluster has room for at the time. It does not
            change the result, unless `averaging` or `compression` is used.
        averaging: workers that take steps alone between means; see `AveragingConfig`.
        compression: gradients that are sent in part; see `CompressionConfig`.
        privacy: clipping, noise and an account of ε for every row; see `PrivacyConfig`.
        seed: of initial parameters and the order of rows.
        checkpoint_every_epochs: epochs between checkpoints (the last one is always written).
        checkpoint_every_seconds: also within an epoch, when this long has passed; 0 for never.
        checkpoints_kept: older ones are deleted; at least 2, so that a damaged one has another.

    Examples:
        trainer = TrainerConfig(epochs=5, optimizer="adam", optimizer_options={"beta1": 0.8})
        assert TrainerConfig.from_dict(trainer.to_dict()) == trainer
    """

    epochs: int = Field(default=30, ge=1)
    batch_size: int = Field(default=64, ge=1)
    learning_rate: float = Field(default=0.05, gt=0.0)
    accumulate: int = Field(default=1, ge=1)
    batches: Literal["standard", "balanced"] = "standard"
    optimizer: str = "adam"
    optimizer_options: Table = Field(default_factory=dict)
    schedule: str = "cosine"
    schedule_options: Table = Field(default_factory=dict)
    clip_norm: float | None = Field(default=None, gt=0.0)
    clip_value: float | None = Field(default=None, gt=0.0)
    monitor: str | None = None
    metrics: tuple[str, ...] = ()
    class_weight: ClassWeight = None
    target_scaling: Literal["standard", "none"] = "standard"
    callbacks: tuple[Table, ...] = ()
    gradient: str = "auto"
    gradient_options: Table = Field(default_factory=dict)
    backend: str = "statevector"
    backend_options: Table = Field(default_factory=dict)
    noise: NoiseConfig | None = None
    mitigation: MitigationConfig | None = None
    fallback: tuple[BackendFallback, ...] = ()
    resume_backend: Literal["last", "first"] = "last"
    init_from: str | None = None
    num_workers: int | tuple[int, int] = 0
    averaging: AveragingConfig | None = None
    compression: CompressionConfig | None = None
    privacy: PrivacyConfig | None = None
    seed: int = Field(default=0, ge=0)
    checkpoint_every_epochs: int = Field(default=1, ge=1)
    checkpoint_every_seconds: float = Field(default=30.0, ge=0.0)
    checkpoints_kept: int = Field(default=2, ge=2)

    @field_validator("num_workers", mode="before")
    @classmethod
    def _is_a_number_or_two(cls, value: Any) -> Any:
        return checked_workers(value)

    @field_validator("class_weight", mode="before")
    @classmethod
    def _weights(cls, value: Any) -> Any:
        return check_class_weight(value, field="")

    @field_validator("callbacks", mode="before")
    @classmethod
    def _known_callbacks(cls, callbacks: Any) -> Any:
        if not isinstance(callbacks, list | tuple):
            raise ConfigError(
                "callbacks is a list of tables", value=callbacks, fix='Write [{"name": "timer"}].'
            )
        return tuple(_table(callback, place) for place, callback in enumerate(callbacks))

    @model_validator(mode="after")
    def _known_names(self) -> Self:
        """Names and options are checked where they are written, not where they are used."""
        check_backend(self.backend, self.options_of_backend())
        if self.noise is not None and self.backend_options.get("noise") is not None:
            raise ConfigError(
                "the noise is given twice: noise, and the option noise of the backend",
                field="backend_options.noise",
                value=self.backend_options["noise"],
                fix="Leave one of them out.",
            )
        if self.backend == "ibm":
            check_one_gateway(self.max_workers, self.backend_options)
        if (shots := self.backend_options.get("shots")) is not None:
            with under("backend_options"):
                checked_shots(shots)
        if self.mitigation is not None:
            options = self.options_of_backend()
            taken = option_or_default(self.backend, options, "shots")
            self.mitigation.check_source(has_noise=self.has_noise, shots=taken)
        if self.gradient != "auto":
            make_gradient(self.gradient, self.gradient_options)
        optimizer = get_optimizer(self.optimizer, self.optimizer_options)
        if isinstance(optimizer, ChecksRows):
            optimizer.check_rows(self.batch_size * self.accumulate, BLOCK)
        searches = self.optimizer if isinstance(optimizer, SearchOptimizer) else None
        if searches:
            check_unclipped(searches, clip_norm=self.clip_norm, clip_value=self.clip_value)
        if self.privacy is not None:
            excluded = {
                "optimizer": searches,
                "batches": None if self.batches == "standard" else self.batches,
                "class_weight": self.class_weight,
            }
            self.privacy.check_beside(excluded)
        self._workers_differ(searches)
        get_schedule(self.schedule, self.schedule_options)
        for place in range(len(self.fallback)):
            with under(f"fallback.{place}"):
                self._with_fallback(place)
        return self

    def _workers_differ(self, searches: str | None = None) -> bool:
        """Whether workers have numbers of their own, so that their number decides the result."""
        excluded = {
            "privacy": self.privacy,
            "optimizer": searches,
            "fallback": self.fallback or None,
            "backend": "ibm" if self.backend == "ibm" else None,
        }
        n_blocks = -(-self.batch_size // BLOCK)
        given = (self.averaging, self.compression, excluded, self.num_workers, n_blocks)
        return check_apart(*given)

    def members(self) -> tuple[TrainerConfig, ...]:
        """The training on each backend of the chain alone: `backend`, then those of `fallback`."""
        first = self.model_copy(update={"fallback": ()})
        return (first, *(self._with_fallback(place) for place in range(len(self.fallback))))

    @property
    def later_backends(self) -> tuple[str, ...]:
        """Names of the backends that may take over."""
        return tuple(sorted({each.backend for each in self.fallback}))

    def _with_fallback(self, place: int) -> TrainerConfig:
        """The training on one backend of `fallback`; exact values need no mitigation."""
        given = self.fallback[place]
        is_exact = given.noise is None and not {"noise", "shots"} & given.backend_options.keys()
        replaced: Table = {
            "backend": given.backend,
            "backend_options": given.backend_options,
            "noise": given.noise,
            "mitigation": None if is_exact and given.backend != "ibm" else self.mitigation,
            "fallback": (),
        }
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self)(**{**values, **replaced})

    @property
    def min_workers(self) -> int:
        """The fewest workers that train."""
        return self.num_workers[0] if isinstance(self.num_workers, tuple) else self.num_workers

    @property
    def max_workers(self) -> int:
        """The most workers that train; 0 if this process does."""
        return self.num_workers[1] if isinstance(self.num_workers, tuple) else self.num_workers

    def options_of_backend(self) -> Table:
        """What the backend is opened with."""
        noise = {} if self.noise is None else {"noise": self.noise}
        return {**self.backend_options, **noise}

    def exact_options(self) -> Table:
        """What the backend is opened with for exact values: without noise and shots."""
        return {k: v for k, v in self.backend_options.items() if k not in ("noise", "shots")}

    @property
    def has_noise(self) -> bool:
        """Whether training has noise: `noise`, or the option `noise` of the backend."""
        return self.options_of_backend().get("noise") is not None

    def open_backend(self, threads: int = 1) -> Backend:
        """The backend of training and validation."""
        if self.mitigation is not None and self.mitigation.during == "always":
            return self.open_mitigated(threads)
        with under("trainer.backend_options"):
            return open_backend(self.backend, self.options_of_backend(), threads=threads)

    def open_mitigated(self, threads: int = 1) -> Backend:
        """The backend with its mitigation, which must be set."""
        assert self.mitigation is not None, "asked for only if it is set"
        options = self.options_of_backend()
        return open_mitigated(self.backend, options, self.mitigation, threads=threads)

    def recipe(self, *, regression: bool) -> Table:
        """The fields that decide the result: what a resumed run must have in common.

        Args:
            regression: whether there are targets to be scaled.
        """
        where = {
            "num_workers",
            "init_from",  # the parameters count, not where they lie
            "checkpoint_every_epochs",
            "checkpoint_every_seconds",
            "checkpoints_kept",
            "callbacks",
            "metrics",
            "fallback",  # the record of a run has those that it used
            "resume_backend",
        } | (set() if regression else {"target_scaling"})
        optional = ("noise", "mitigation", "averaging", "compression")
        where |= {name for name in optional if getattr(self, name) is None}
        where -= {"num_workers"} if self._workers_differ() else set()
        recipe = {name: value for name, value in self.to_dict().items() if name not in where}
        recipe["backend_options"] = deciding_options(self.backend, recipe["backend_options"])
        pairs = zip(self.callbacks, self.open_callbacks(), strict=True)
        return {**recipe, "callbacks": [table for table, callback in pairs if callback.decides]}

    def recipe_of_backend(self) -> Table:
        """The fields of `recipe` that are the backend's: those of a fallback may not change."""
        names = ("backend", "backend_options", "noise", "mitigation")
        recipe = self.recipe(regression=False)
        return {name: recipe[name] for name in names if name in recipe}

    def open_callbacks(self) -> list[Callback]:
        """The callbacks that the tables describe."""
        return [as_callback(table) for table in self.callbacks]


def _table(callback: Any, place: int) -> Table:
    try:
        return as_table(callback)
    except ConfigError as exc:
        field = f"{place}.{exc.field}" if exc.field else str(place)
        raise type(exc)(exc.message, field=field, value=exc.value, fix=exc.fix) from exc


class ClusterConfig(Config):
    """Where Ray runs and what a worker takes.

    Args:
        address: of a running cluster; without it an initialised Ray is joined, then `RAY_ADDRESS`,
            then the warm cluster of this machine (`start_cluster`), and only then a Ray of our own
            is started on this machine, and stopped afterwards. "local" is a Ray of our own.
        cpus_per_worker: CPUs that Ray reserves; a worker uses as many threads (at least one).
        gpus_per_worker: GPUs that Ray reserves and shows to a worker: a share of one, or whole
            ones. Only Aer uses them, by `backend_options = {device = "gpu"}`.
        max_failures: how often workers may die, hang or fail before the run fails.
        max_memory_failures: how often Ray may end workers because the memory of their machine is
            nearly full. It tends to happen again, so this is counted apart.
        max_preemptions: how often workers may make place because their machine is about to be
            taken away, or because they got SIGTERM; None for any number.
        restart_pause: seconds before the second restart, doubled before each later one up to
            `longest_restart_pause`. The first restart is at once.
        resize_every: seconds between looks for room for more workers, if `trainer.num_workers` is
            a pair; also the shortest time that a group of workers trains before it is enlarged.
        object_store_mb: shared memory of a Ray of our own, MiB.
        start_timeout: seconds to wait for the cluster to have room for all workers.
        worker_timeout: seconds without progress after which a worker counts as hung: its stack is
            written to the run folder, and it is ended and counted as a failure; 0 for never. A
            step and a callback must take less.

    Examples:
        cluster = ClusterConfig(address="auto", cpus_per_worker=2)
        trainer = QuantumTrainer(trainer=TrainerConfig(num_workers=4), cluster=cluster)
    """

    address: str | None = None
    cpus_per_worker: float = Field(default=1.0, gt=0.0)
    gpus_per_worker: float = Field(default=0.0, ge=0.0)
    max_failures: int = Field(default=3, ge=0)
    max_memory_failures: int = Field(default=1, ge=0)
    max_preemptions: int | None = Field(default=None, ge=0)
    restart_pause: float = Field(default=1.0, ge=0.0)
    longest_restart_pause: float = Field(default=60.0, ge=0.0)
    resize_every: float = Field(default=30.0, gt=0.0)
    object_store_mb: int = Field(default=256, ge=80)
    start_timeout: float = Field(default=60.0, gt=0.0)
    worker_timeout: float = Field(default=600.0, ge=0.0)

    @field_validator("gpus_per_worker")
    @classmethod
    def _is_a_share_or_whole(cls, gpus: float) -> float:
        if gpus > 1.0 and gpus % 1.0:
            fix = f"Take {int(gpus)} or {int(gpus) + 1}."
            raise ConfigError("Ray gives a share of one GPU, or whole ones", value=gpus, fix=fix)
        return gpus

    @model_validator(mode="after")
    def _pauses_fit(self) -> Self:
        if self.restart_pause > self.longest_restart_pause:
            raise ConfigError(
                "the first pause is longer than the longest",
                field="restart_pause",
                value=self.restart_pause,
                fix=f"Set it to {self.longest_restart_pause:g} or less, or raise "
                "longest_restart_pause.",
            )
        return self

    @property
    def worker_resources(self) -> dict[str, float]:
        """What Ray reserves for a worker, by the resource's name."""
        gpus = {"GPU": self.gpus_per_worker} if self.gpus_per_worker else {}
        return {"CPU": self.cpus_per_worker, **gpus}


class TrainingJob(Config):
    """Everything that one training is made from.

    Args:
        name: of the run; its folder is `<storage>/<name>`.
        storage: the folder of run folders, which on a cluster all nodes must see, or an address:
            s3://bucket/prefix, gs://…, az://….
        baseline: also fit a linear classical model on the same features and splits; without it
            the model is compared with the majority class, or the mean.
    """

    name: str = Field(examples=["digits"])
    storage: str = "runs"
    baseline: bool = True
    dataset: DatasetConfig
    model: ModelConfig = ModelConfig()
    trainer: TrainerConfig = TrainerConfig()
    cluster: ClusterConfig = ClusterConfig()
    track: TrackConfig = TrackConfig()
