"""`QuantumTrainer`: from a dataset to a trained model, in this process or on Ray.

    trainer = QuantumTrainer(ModelConfig(n_qubits=4), TrainerConfig(epochs=20, num_workers=2))
    result = trainer.fit(dataset)

Everything is checked before anything is written: the configuration against the data, the data
against the workers, the run's name against earlier runs. Then the run folder is opened, a follower
begins to feed the trackers and the display from its metrics, and the loop runs. `fit` runs in the
driver process; with `num_workers = 0` the loop runs there too and Ray is never started.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qstore_ray.backends import check_object, check_sendable, described_backend
from qstore_ray.backends.paid import closing_run
from qstore_ray.baseline import Baseline
from qstore_ray.config import dump_toml, fingerprint
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.environment import available_cpus
from qstore_ray.errors import ConfigError, InterruptedRunError
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.model import QuantumModel
from qstore_ray.telemetry.spans import current_traceparent, span
from qstore_ray.track.base import Display, RunInfo, Status, Tracker
from qstore_ray.track.beside import open_trackers_beside
from qstore_ray.track.config import TrackConfig
from qstore_ray.track.follow import Follower
from qstore_ray.train.beside import scores_of
from qstore_ray.train.callbacks import Callback, described
from qstore_ray.train.checks import Checked, as_config, checked, no_dataset_error
from qstore_ray.train.config import ClusterConfig, TrainerConfig
from qstore_ray.train.ending import scored_result
from qstore_ray.train.finish import (
    Pictures,
    artifacts,
    close_metrics,
    interrupted_error,
    last_metrics,
    take_all,
    texts_of,
)
from qstore_ray.train.hardware import check_hardware_budget, identity_of_run, place_at_start
from qstore_ray.train.job import Assignment
from qstore_ray.train.loop import loop
from qstore_ray.train.loop.reducer import LocalReducer
from qstore_ray.train.loop.reporter import LocalReporter
from qstore_ray.train.model.beginning import Beginning, beginning, check_longer_run
from qstore_ray.train.model.modelfile import model_manifest, preparation_arrays
from qstore_ray.train.model.trained import TrainedModel
from qstore_ray.train.ray.interrupt import outlast_signal, stop_on_signal
from qstore_ray.train.report.facts import Ending
from qstore_ray.train.request import RunRequest
from qstore_ray.train.result import TrainResult
from qstore_ray.train.run.manifest import CheckpointManifest
from qstore_ray.train.run.run_folder import (
    Existing,
    RunFolder,
    check_run,
    open_run_folder,
)
from qstore_ray.train.run.same_run import MadeOf, RunDescription

if TYPE_CHECKING:
    from qstore_ray.backends.base import Backend


class QuantumTrainer:
    """Trains the model that `model` describes as `trainer` says.

    Args:
        name: of the run; without it `<dataset>-<time>`.
        storage: the folder that holds run folders, which on a cluster all nodes must see, or an
            address: s3://bucket/prefix, gs://…, az://….
        cluster: where Ray runs, for `num_workers` > 0.
        track: which trackers are fed.
        display: shows progress; None for silence.
        callbacks: besides those of `trainer.callbacks`; objects of your own classes too. A
            `Tracker` or a `Display` among them is used as such, in the driver process.
        backend: where circuits run, in place of the one that `trainer.backend` names; with workers
            each gets a pickled copy.

    Raises:
        ConfigError: a callback or a backend of a wrong type.

    Examples:
        trainer = QuantumTrainer(ModelConfig(n_qubits=2), TrainerConfig(epochs=5), name="run-1")
    """

    def __init__(
        self,
        model: ModelConfig | None = None,
        trainer: TrainerConfig | None = None,
        *,
        name: str | None = None,
        storage: str | Path = "runs",
        cluster: ClusterConfig | None = None,
        track: TrackConfig | None = None,
        display: Display | None = None,
        callbacks: Sequence[Callback | Tracker | Display] = (),
        backend: Backend | None = None,
    ) -> None:
        self.model = as_config(model, ModelConfig, "model")
        self.trainer = as_config(trainer, TrainerConfig, "trainer")
        self.name = name
        self.storage = storage
        self.cluster = as_config(cluster, ClusterConfig, "cluster")
        self.track = as_config(track, TrackConfig, "track")
        self.display = display
        self.backend = None if backend is None else check_object(backend)
        self.callbacks = self.trainer.open_callbacks()
        self.trackers: list[Tracker] = []
        for each in callbacks:
            self._add(each)

    def _add(self, callback: Callback | Tracker | Display) -> None:
        if isinstance(callback, Callback):
            self.callbacks.append(callback)
        elif isinstance(callback, Tracker):
            self.trackers.append(callback)
        elif isinstance(callback, Display) and self.display is None:
            self.display = callback
        else:
            raise ConfigError(
                "not a callback, nor a tracker, nor the only display",
                field="callbacks",
                value=callback,
                fix="Derive its class from qstore_ray.Callback.",
            )

    def fit(
        self,
        dataset: Dataset,
        *others: object,
        existing: Existing = "error",
        baseline: Baseline | None = None,
        sample_weight: Any = None,
        init_from: TrainedModel | str | Path | None = None,
    ) -> TrainResult:
        """Train, validate every epoch, score on the test split, draw the figures.

        Args:
            existing: if there is a run of this name, "error" refuses; "resume" continues it, a
                finished one with more `trainer.epochs`, as if it had been meant to be so long;
                "replace" deletes it and starts again.
            baseline: of the same dataset; its scores are recorded, and the verdict on the model.
            sample_weight: how much each row of train counts in the loss (N,), in the order of
                `dataset.materialize("train")`; see `learn.weights`.
            init_from: begin from these parameters, instead of `trainer.init_from`.

        Raises:
            UsageError: nothing was written; also if it is given features and labels.
            DataError: too few rows, or data that do not fit the model; nothing was written.
            InterruptedRunError: stopped by Ctrl-C after writing a checkpoint.
            RunError: it failed; the checkpoints written so far are kept.
        """
        if others:  # as scikit-learn's fit(x, y)
            raise no_dataset_error(dataset)
        return self.run(dataset, RunRequest(existing, baseline, sample_weight, init_from))

    def run(self, dataset: Dataset, request: RunRequest) -> TrainResult:
        """`fit`, with what only jobs and searches ask for.

        Raises:
            QStoreError: see `fit`.
        """
        began = time.monotonic()
        found = checked(
            self.model, self.trainer, dataset, self.callbacks, request.sample_weight, self.backend
        )
        name = self.name or f"{dataset.config.name}-{time.strftime('%Y%m%d-%H%M%S')}"
        begins = self._check_run(name, dataset, found, request)
        stop = request.stop or threading.Event()
        with (
            span("qstore.fit", {"qstore.name": name, "qstore.workers": self.trainer.max_workers}),
            self._session(),
            self._opened(name, dataset, found, request, begins) as folder,
            self._closing(folder, request),
        ):
            job = self._assignment(folder, dataset, found, request, begins)
            pictures = Pictures(folder, dataset, wanted=self.track.figures)
            given = request.baseline
            begin = partial(pictures.prepare, found.model, given)
            follower = self._follower(folder, dataset, request, begin)
            follower.start()
            status: Status = "failed"
            metrics = dict(given.metrics if isinstance(given, Baseline) else {})
            words: dict[str, Any] = {}
            try:
                with stop_on_signal(stop):
                    if self.trainer.max_workers == 0:
                        outcome = loop.run(job, found.rows, LocalReducer(), LocalReporter(stop))
                    else:
                        from qstore_ray.train.ray.workers import fit_on_ray  # only if it is used

                        outcome = fit_on_ray(job, found.rows, self.cluster, stop)
                if outcome.status == "interrupted":
                    raise interrupted_error(folder, outcome.reason, outcome.limit, stop)
                result = scored_result(
                    job,
                    dataset,
                    found,
                    folder,
                    outcome,
                    given,
                    metrics,
                    pictures,
                    scores_of(self.track, given),
                )
                words = {"missing": dict(result.missing), "verdict": result.verdict}
                words |= {"fallbacks": list(result.fallbacks)} if result.fallbacks else {}
                status = "finished"
                outlast_signal()
            except KeyboardInterrupt as exc:
                status = "interrupted"
                raise interrupted_error(folder) from exc
            except InterruptedRunError:
                status = "interrupted"
                raise
            finally:
                raised = None if status == "finished" else sys.exception()
                metrics |= last_metrics(began, self.trainer, self.backend, job.identity)
                summary = {**metrics, **texts_of(words)}
                last_steps = (
                    lambda: close_metrics(folder, status, raised),
                    lambda: pictures.draw(Ending.of(status, metrics, words)),
                    lambda: follower.stop(
                        status, summary=summary, artifacts=artifacts(folder, pictures.files)
                    ),
                    lambda: folder.set_status(status, metrics=metrics, **words),
                )
                take_all(last_steps, raised)
        return result

    def _check_run(
        self, name: str, dataset: Dataset, found: Checked, request: RunRequest
    ) -> Beginning | None:
        """Refuse a run that may not begin; the parameters that it begins from, if given."""
        given = self.trainer.init_from if request.init_from is None else request.init_from
        begins = None if given is None else beginning(given, found.model)
        epochs = None if request.changed else self.trainer.epochs
        made = self._made_of(dataset, found, request, begins)
        path = check_run(self.storage, name, existing=request.existing, epochs=epochs, made=made)
        if request.existing == "resume" and not request.changed:
            check_longer_run(self.trainer, path, found.rows.y)
        return begins

    def _made_of(
        self, dataset: Dataset, found: Checked, request: RunRequest, begins: Beginning | None
    ) -> MadeOf:
        recipe = self._recipe(found.model, dataset, request.sample_weight)
        return MadeOf(
            None if request.changed else recipe | (begins.recipe if begins else {}),
            dataset.fingerprint,
            request.config_toml or self._to_toml(dataset),
        )

    @contextmanager
    def _opened(
        self,
        name: str,
        dataset: Dataset,
        found: Checked,
        request: RunRequest,
        begins: Beginning | None,
    ) -> Iterator[RunFolder]:
        """The run folder, locked for as long as the block runs."""
        identity = identity_of_run(self.storage, name, request.existing)
        payer = request.identity or identity
        place = place_at_start(self.trainer, self.storage, name, request.existing)
        if not request.part_of_search:  # a search ends most of its trials early
            with suppress(*place.tolerated(is_resumed=request.existing == "resume")):
                check_hardware_budget(
                    place.config, found, dataset, payer,
                    backend=None if place.member else self.backend, confusion=self.track.figures,
                )  # fmt: skip
        about: RunDescription = {"id": identity.run}
        if begins:
            about["init_from"] = begins.facts
        recipe = self._recipe(found.model, dataset, request.sample_weight)
        folder = open_run_folder(
            self.storage,
            name,
            recipe=recipe | (begins.recipe if begins else {}),
            about=about,
            data_fingerprint=dataset.fingerprint,
            config_toml=request.config_toml or self._to_toml(dataset),
            existing=request.existing,
            changed=request.changed,
        )
        try:
            yield folder
        finally:
            steps: list[Callable[[], object]] = [folder.close]
            if folder.record["status"] == "running":  # it failed before training began
                steps.insert(0, lambda: folder.set_status("failed"))
            take_all(steps, sys.exception())

    def _session(self) -> AbstractContextManager[None]:
        """Ray with room for the workers; does nothing without workers."""
        if not self.trainer.max_workers:
            return nullcontext()
        if self.backend is not None:
            check_sendable(self.backend)
        from qstore_ray.train.ray.session import check_store, ray_session  # Ray only where used

        check_store(self.cluster, self.storage)
        return ray_session(self.cluster, self.trainer.min_workers)

    def _closing(self, folder: RunFolder, request: RunRequest) -> AbstractContextManager[None]:
        """Closes what a paid backend has open for the run; for a search, its driver does."""
        if request.identity is not None:
            return nullcontext()
        later = self.trainer.later_backends
        return closing_run(self.trainer.backend, self.backend, folder.identity.run, also=later)

    def _recipe(self, model: QuantumModel, dataset: Dataset, sample_weight: Any) -> dict[str, Any]:
        """What decides the result: a resumed run must have it in common."""
        scales = model.loss.goal == "regression"
        recipe: dict[str, Any] = {
            "model": self.model.to_dict(),
            "trainer": self.trainer.recipe(regression=scales),
        }
        if dataset.streamed:  # which decides the order of the rows
            recipe["dataset"] = {"stream": True}
        if sample_weight is not None:
            recipe["sample_weight"] = fingerprint(np.asarray(sample_weight, np.float64).tolist())
        if self.backend is not None:
            recipe |= described_backend(self.backend)
        given = self.callbacks[len(self.trainer.callbacks) :]
        deciding = [described(callback) for callback in given if callback.decides]
        return recipe | ({"callbacks": deciding} if deciding else {})

    def _to_toml(self, dataset: Dataset) -> str:
        parts = (("model", self.model), ("trainer", self.trainer), ("cluster", self.cluster))
        tables = [("dataset", dataset.config), *parts, ("track", self.track)]
        return dump_toml({name: config.to_dict() for name, config in tables})

    def _follower(
        self, folder: RunFolder, dataset: Dataset, request: RunRequest, begin: Callable[[], None]
    ) -> Follower:
        tables = {
            "dataset": dataset.config, "model": self.model, "trainer": self.trainer,
            "cluster": self.cluster,
        }  # fmt: skip
        info = RunInfo(
            name=folder.name,
            run_dir=folder.path,
            config={name: config.to_dict() for name, config in tables.items()},
            fingerprints=folder.record["fingerprints"],
            resumed=request.existing == "resume",
        )
        trackers = (*open_trackers_beside(self.track), *self.trackers)
        own = not request.part_of_search
        return Follower(info, trackers, self.display, describes=own, at_first_step=begin)

    def _assignment(
        self,
        folder: RunFolder,
        dataset: Dataset,
        found: Checked,
        request: RunRequest,
        begins: Beginning | None,
    ) -> Assignment:
        manifest: CheckpointManifest = {
            "model": model_manifest(self.model, dataset, found.targets),
            "fingerprints": folder.record["fingerprints"],
        }
        threads = request.threads
        if self.trainer.max_workers:
            threads = max(1, int(self.cluster.cpus_per_worker))
        return Assignment(
            model=found.model,
            config=self.trainer,
            run_dir=folder.path,
            generation=folder.generation,
            manifest=manifest,
            arrays=preparation_arrays(dataset),
            threads=threads or available_cpus(),
            callbacks=tuple(self.callbacks),
            backend=self.backend,
            identity=request.identity or folder.identity,
            targets=found.targets,
            metrics=found.metrics,
            class_names=tuple(map(str, dataset.schema.class_names)),
            theta=begins.theta if begins else None,
            origin=folder.origin.address if folder.origin else None,
            lease=folder.origin.lease.token if folder.origin else "",
            traceparent=current_traceparent(),
        )
