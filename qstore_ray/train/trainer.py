"""`QuantumTrainer`: from a dataset to a trained model, in this process or on Ray.

    trainer = QuantumTrainer(ModelConfig(n_qubits=4), TrainerConfig(epochs=20, num_workers=2))
    result = trainer.fit(dataset)

Everything is checked before anything is written: the configuration against the data, the data
against the workers, the run's name against earlier runs. Then the run folder is opened, a follower
begins to feed the trackers and the display from its metrics, and the loop runs. `fit` runs in the
driver process; with `num_workers = 0` the loop runs there too and Ray is never started.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qstore_ray.backends import open_backend
from qstore_ray.baseline import Baseline
from qstore_ray.config import dump_toml, fingerprint
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import ConfigError
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.model import QuantumModel
from qstore_ray.resilience import available_cpus
from qstore_ray.track.base import Display, Record, RunInfo, Status, Tracker
from qstore_ray.track.config import TrackConfig
from qstore_ray.track.follow import Follower, open_trackers
from qstore_ray.track.jsonl import epoch_records, read_records
from qstore_ray.train.callbacks import Callback, described
from qstore_ray.train.checks import Checked, checked, no_dataset_error
from qstore_ray.train.config import ClusterConfig, TrainerConfig
from qstore_ray.train.finish import (
    Pictures,
    always,
    artifacts,
    close_metrics,
    interrupted_error,
    judged,
)
from qstore_ray.train.job import Assignment, TrainingRows, WorkerResult
from qstore_ray.train.loop import loop
from qstore_ray.train.loop.loop import batches_of
from qstore_ray.train.loop.reducer import LocalReducer
from qstore_ray.train.loop.reporter import LocalReporter
from qstore_ray.train.model.beginning import beginning, check_longer
from qstore_ray.train.model.modelfile import model_manifest, preparation_arrays
from qstore_ray.train.model.trained import TrainedModel
from qstore_ray.train.ray.interrupt import stop_on_signal
from qstore_ray.train.report.facts import Ending
from qstore_ray.train.run.checkpoint import latest_checkpoint
from qstore_ray.train.run.manifest import CheckpointManifest
from qstore_ray.train.run.run_folder import RunFolder, check_run, open_run_folder, read_run_record
from qstore_ray.train.run.same_run import epochs_of

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray


@dataclass(frozen=True)
class TrainResult:
    """What `fit` returns.

    Attributes:
        model: the trained model.
        metrics: the run in numbers: `train_…` of the last epoch, `val_…` and `test_…` of the model
            that is returned, `train_seconds` (all of `fit`), `samples_per_second` (of the loop).
            `test_…` are all that fit, see `learn.scoring`.
        missing: metrics that the rows do not define, with the reason.
        verdict: how the model stands to the baseline that `fit` was given; empty without one.
        history: one record an epoch.
        run_dir: the run folder. checkpoint: its last checkpoint.
    """

    model: TrainedModel
    metrics: Mapping[str, float]
    history: list[Record] = field(repr=False)
    run_dir: Path
    checkpoint: Path
    missing: Mapping[str, str] = field(default_factory=dict)
    verdict: str = ""

    def __repr__(self) -> str:
        scores = {
            k: v for k, v in self.metrics.items() if k.startswith(("test_", "val_", "train_"))
        }
        known = list(scores.items())[:8]
        numbers = ", ".join(f"{name}={value:.4g}" for name, value in known)
        epochs = f"{len(self.history)} epoch{'s' * (len(self.history) != 1)}"
        return f"TrainResult({str(self.run_dir)!r}, {epochs}, {numbers})"


class QuantumTrainer:
    """Trains the model that `model` describes as `trainer` says.

    Args:
        name: of the run; without it `<dataset>-<time>`.
        storage: the folder that holds run folders; on a cluster all nodes must see it.
        cluster: where Ray runs, for `num_workers` > 0.
        track: which trackers are fed.
        display: shows progress; None for silence.
        callbacks: besides those of `trainer.callbacks`; objects of your own classes too. A
            `Tracker` or a `Display` among them is used as such, in the driver process.
        threads: of a training in this process; without it as many as there are CPUs.
        part_of_search: the driver of a search describes the run to its trackers.
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
        threads: int | None = None,
        part_of_search: bool = False,
    ) -> None:
        self.model = model or ModelConfig()
        self.trainer = trainer or TrainerConfig()
        self.name = name
        self.storage = storage
        self.cluster = cluster or ClusterConfig()
        self.track = track or TrackConfig()
        self.display = display
        self.threads = threads
        self.part_of_search = part_of_search
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
        resume: bool = False,
        fresh: bool = False,
        changed: bool = False,
        config_toml: str | None = None,
        baseline: Baseline | None = None,
        sample_weight: Any = None,
        init_from: TrainedModel | str | Path | None = None,
        stop: threading.Event | None = None,
    ) -> TrainResult:
        """Train, validate every epoch, score on the test split, draw the figures.

        Args:
            resume: go on with the run of this name; a finished one with more `trainer.epochs`, as
                if it had been meant to be so long. fresh: delete it and start again.
            changed: a resumed run goes on with another configuration of the same model.
            config_toml: the whole configuration, to be kept in the run folder as it was read.
            baseline: of the same dataset; its scores are recorded, and the verdict on the model.
            sample_weight: how much each row of train counts in the loss (N,), in the order of
                `dataset.materialize("train")`; see `learn.weights`.
            init_from: begin from these parameters, instead of `trainer.init_from`.
            stop: when set, by another thread, the run stops at a checkpoint as by Ctrl-C.

        Raises:
            UsageError: nothing was written; also where it is given features and labels.
            DataError: too few rows, or data that do not fit the model; nothing was written.
            InterruptedRunError: stopped by Ctrl-C after writing a checkpoint.
            RunError: it failed; the checkpoints written so far are kept.
        """
        if others:  # as scikit-learn's fit(x, y)
            raise no_dataset_error(dataset)
        began = time.monotonic()
        found = checked(self.model, self.trainer, dataset, self.callbacks, sample_weight)
        name = self.name or f"{dataset.config.name}-{time.strftime('%Y%m%d-%H%M%S')}"
        path = check_run(
            self.storage, name, resume=resume, fresh=fresh, epochs=self._epochs(changed)
        )
        if resume and not changed:
            self._check_longer(path, found.rows)
        given = self.trainer.init_from if init_from is None else init_from
        begins = None if given is None else beginning(given, found.model)
        with self._session():
            folder = open_run_folder(
                self.storage,
                name,
                recipe=self._recipe(found.model, sample_weight) | (begins.recipe if begins else {}),
                about={"init_from": dict(begins.facts)} if begins else {},
                data_fingerprint=dataset.fingerprint,
                config_toml=config_toml or self._to_toml(dataset),
                resume=resume,
                fresh=fresh,
                changed=changed,
            )
            try:
                halt = stop or threading.Event()
                theta = begins.theta if begins else None
                return self._run(folder, dataset, found, baseline, began, resume, halt, theta)
            finally:
                folder.close()

    def _epochs(self, changed: bool) -> int | None:
        """To how many epochs a finished run may be made longer."""
        return None if changed else self.trainer.epochs

    def _check_longer(self, path: Path, rows: TrainingRows) -> None:
        epochs = epochs_of(read_run_record(path))
        if epochs is not None and epochs < self.trainer.epochs:
            steps = len(batches_of(self.trainer, rows.y).of_epoch(0))
            check_longer(self.trainer, epochs, steps, path)

    def _session(self) -> AbstractContextManager[None]:
        """Ray with room for the workers; nothing where there are none."""
        if not self.trainer.num_workers:
            return nullcontext()
        from qstore_ray.train.ray.session import ray_session  # Ray only where it is used

        return ray_session(self.cluster, self.trainer.num_workers)

    def _recipe(self, model: QuantumModel, sample_weight: Any) -> dict[str, Any]:
        """What decides the result: a resumed run must have it in common."""
        scales = model.loss.goal == "regression"
        recipe: dict[str, Any] = {
            "model": self.model.to_dict(),
            "trainer": self.trainer.recipe(regression=scales),
        }
        if sample_weight is not None:
            recipe["sample_weight"] = fingerprint(np.asarray(sample_weight, np.float64).tolist())
        given = self.callbacks[len(self.trainer.callbacks) :]
        deciding = [described(callback) for callback in given if callback.decides]
        return recipe | ({"callbacks": deciding} if deciding else {})

    def _to_toml(self, dataset: Dataset) -> str:
        parts = (("model", self.model), ("trainer", self.trainer), ("cluster", self.cluster))
        tables = [("dataset", dataset.config), *parts, ("track", self.track)]
        return dump_toml({name: config.to_dict() for name, config in tables})

    def _run(
        self,
        folder: RunFolder,
        dataset: Dataset,
        found: Checked,
        baseline: Baseline | None,
        began: float,
        resume: bool,
        stop: threading.Event,
        theta: FloatArray | None,
    ) -> TrainResult:
        follower = self._follower(folder, dataset, resume)
        follower.start()
        status: Status = "failed"
        metrics: dict[str, float] = dict(baseline.metrics if baseline else {})
        said: dict[str, Any] = {}
        pictures = Pictures(folder, dataset, wanted=self.track.figures)

        def count_seconds() -> None:
            metrics["train_seconds"] = round(time.monotonic() - began, 3)

        with always(
            lambda: close_metrics(folder, status),
            count_seconds,
            lambda: pictures.report(Ending(status, metrics, **said)),
            lambda: follower.stop(
                status,
                summary={**metrics, **_texts(said)},
                artifacts=artifacts(folder, pictures.files),
            ),
            lambda: folder.set_status(status, metrics=metrics, **said),
        ):
            try:
                outcome = self._train(folder, dataset, found, stop, theta)
            except KeyboardInterrupt as exc:
                status = "interrupted"
                raise interrupted_error(folder) from exc
            if outcome.status == "interrupted":
                status = "interrupted"
                raise interrupted_error(folder, outcome.reason)
            result = self._result(folder, dataset, metrics, outcome, found, baseline)
            said |= {"missing": dict(result.missing), "verdict": result.verdict}
            pictures.draw(result.model)
            status = "finished"
        return result

    def _follower(self, folder: RunFolder, dataset: Dataset, resume: bool) -> Follower:
        tables = {
            "dataset": dataset.config, "model": self.model, "trainer": self.trainer,
            "cluster": self.cluster,
        }  # fmt: skip
        info = RunInfo(
            name=folder.name,
            run_dir=folder.path,
            config={name: config.to_dict() for name, config in tables.items()},
            fingerprints=folder.record["fingerprints"],
            resumed=resume,
        )
        trackers = (*open_trackers(self.track), *self.trackers)
        return Follower(info, trackers, self.display, describes=not self.part_of_search)

    def _train(
        self,
        folder: RunFolder,
        dataset: Dataset,
        found: Checked,
        stop: threading.Event,
        theta: FloatArray | None,
    ) -> WorkerResult:
        manifest: CheckpointManifest = {
            "model": model_manifest(self.model, dataset, found.targets),
            "fingerprints": folder.record["fingerprints"],
        }
        job = Assignment(
            model=found.model,
            config=self.trainer,
            run_dir=folder.path,
            generation=folder.generation,
            manifest=manifest,
            arrays=preparation_arrays(dataset),
            threads=self._threads(),
            callbacks=tuple(self.callbacks),
            targets=found.targets,
            metrics=found.metrics,
            class_names=tuple(map(str, dataset.schema.class_names)),
            theta=theta,
        )
        rows = found.rows
        with stop_on_signal(stop):
            if self.trainer.num_workers == 0:
                return loop.run(job, rows, LocalReducer(), LocalReporter(stop))
            from qstore_ray.train.ray.workers import fit_on_ray  # Ray only where it is used

            return fit_on_ray(job, rows, self.cluster, stop)

    def _threads(self) -> int:
        if self.trainer.num_workers:
            return max(1, int(self.cluster.cpus_per_worker))
        return self.threads or available_cpus()

    def _result(
        self,
        folder: RunFolder,
        dataset: Dataset,
        metrics: dict[str, float],
        outcome: WorkerResult,
        found: Checked,
        baseline: Baseline | None,
    ) -> TrainResult:
        checkpoint, _ = latest_checkpoint(folder.checkpoints)
        assert checkpoint is not None, "the loop writes a checkpoint after the last epoch"
        trained = TrainedModel.load(
            checkpoint.path, open_backend(self.trainer.backend, self.trainer.backend_options)
        )
        history = epoch_records(read_records(folder.metrics))
        metrics |= {k: float(v) for k, v in history[-1].items() if k.startswith("train_")}
        # Not read from the last epoch: early stopping may have put back earlier parameters.
        # Val has the metrics that it had in training, and test all that there are.
        missing: dict[str, str] = {}
        said = ""
        # Of numbers in their own units too, since the loss is of scaled targets.
        always = ("rmse",) if found.model.loss.goal == "regression" else ()
        for split, names in (
            ("val", tuple(dict.fromkeys((*found.metrics, *always)))),
            ("test", None),
        ):
            if split not in dataset.plans:
                continue
            seen = trained.evaluation(dataset, split, names)
            metrics |= {f"{split}_{name}": value for name, value in seen.scores.values.items()}
            missing |= {f"{split}_{name}": why for name, why in seen.scores.missing.items()}
            if split == "test" and baseline is not None:
                said, numbers = judged(seen, baseline, dataset)
                metrics |= numbers
        metrics["epochs"] = len(history)
        metrics["samples_per_second"] = round(outcome.samples / outcome.seconds, 1)
        return TrainResult(trained, metrics, history, folder.path, checkpoint.path, missing, said)


def _texts(said: Mapping[str, Any]) -> dict[str, str]:
    """What trackers are told in words."""
    return {"verdict": said["verdict"]} if said.get("verdict") else {}
