"""What is done when a run ends: figures, the files trackers keep, the last line of the metrics."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from qstore_ray.backends.base import Backend
from qstore_ray.backends.failover import fallback_text
from qstore_ray.backends.paid import RunIdentity, usage_metrics
from qstore_ray.baseline import Baseline
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import (
    BudgetReachedError,
    InterruptedRunError,
    QStoreError,
    RunError,
    StorageError,
)
from qstore_ray.figures.run import run_curves, write_pictures
from qstore_ray.learn.model import QuantumModel
from qstore_ray.sidecar.process import sidecar
from qstore_ray.storage.stranded import note_what_is_kept
from qstore_ray.track.base import Status
from qstore_ray.track.jsonl import MetricsFile, read_records
from qstore_ray.track.logs.text import redact_message
from qstore_ray.train.beside import (
    AnyBaseline,
    PendingBaseline,
    VerdictOf,
    fitted,
    scores_beside,
    verdict_beside,
)
from qstore_ray.train.checks import Checked
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.model.evaluation import Evaluation, ScoresOf
from qstore_ray.train.model.scoring_backends import noisy_backends
from qstore_ray.train.model.trained import TrainedModel
from qstore_ray.train.ray.interrupt import ON_REQUEST, reason_of
from qstore_ray.train.report.facts import Ending, ModelFacts, RunFacts
from qstore_ray.train.report.gathering import gather
from qstore_ray.train.report.page import DrawnRun, circuit_of, draw
from qstore_ray.train.report.report import keep_page
from qstore_ray.train.run.run_folder import RunFolder
from qstore_ray.train.run.summary import shown_name
from qstore_ray.verdict import verdict

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, Table


def take_all(steps: Sequence[Callable[[], object]], raised: BaseException | None) -> None:
    """Take the last steps of a run in order, also those after a step that fails.

    Call it in a `finally`.

    Args:
        raised: the error that is on its way out of the `try`, if any. It stays the error that is
            raised, and what goes wrong in a step becomes its note. Without it the first error of a
            step is raised, with the later ones as notes.
    """
    if not steps:
        return
    first, *rest = steps
    try:
        first()
    except QStoreError as exc:
        if raised is None:
            raised = exc
            raise
        if str(exc) != str(raised):
            raised.add_note(f"And then: {exc}")
    finally:
        take_all(rest, raised)


class Pictures:
    """What a run leaves to look at: figures, and the report. Made in the driver process."""

    def __init__(self, folder: RunFolder, dataset: Dataset, *, wanted: bool) -> None:
        self._wanted = wanted
        self._folder = folder
        self._dataset = dataset
        self._confusion: AnyArray | None = None
        self._curves: Future[dict[str, bytes]] | None = None
        self.files: list[Path] = []

    def prepare(self, model: QuantumModel, baseline: AnyBaseline) -> None:
        """Let the sidecar fit the baseline and draw the circuit while the training runs."""
        if isinstance(baseline, PendingBaseline):
            baseline.start()
        if self._wanted:
            sidecar().submit("figures", circuit_of, ModelFacts.of(model))

    def trained(self) -> None:
        """Let the sidecar draw the curves of a run whose last epoch is done, while it is scored."""
        if self._wanted:
            name, records = shown_name(self._folder.path), read_records(self._folder.metrics)
            with suppress(RunError):  # drawn with the page, or said there
                self._curves = sidecar().submit("figures", run_curves, name, records)

    def count(self, model: TrainedModel) -> None:
        """Count the confusion matrix of a run that finished."""
        if self._wanted and model.tells_classes and "test" in self._dataset.plans:
            self._confusion = model.confusion(self._dataset, "test")

    def draw(self, ending: Ending) -> None:
        """Write `report.html`, however the run ended, and the figures of one that finished.

        Raises:
            RunError: a file cannot be written, or the sidecar ended.
        """
        if not self._wanted:
            return
        run_dir = self._folder.path
        facts = gather(run_dir, dataset=self._dataset, confusion=self._confusion, ending=ending)
        begun = self._curves
        curves = None if begun is None or begun.exception() is not None else begun.result()
        drawn = drawn_beside(facts, curves)
        steps: list[Callable[[], object]] = [lambda: self.files.append(keep_page(run_dir, drawn))]
        if ending.status == "finished":
            steps.insert(0, lambda: self.files.extend(write_pictures(run_dir, drawn.figures)))
        take_all(steps, None)


def drawn_beside(facts: RunFacts, curves: Mapping[str, bytes] | None = None) -> DrawnRun:
    """The figures and the page of a run, drawn in the sidecar."""
    return sidecar().submit("figures", draw, facts, curves).result()


class Scored(NamedTuple):
    """Scores of a model on val and test, those that are missing and why, and the verdict."""

    metrics: dict[str, float]
    missing: dict[str, str]
    verdict: str


def score(
    trained: TrainedModel,
    dataset: Dataset,
    found: Checked,
    baseline: AnyBaseline,
    scores: ScoresOf,
) -> Scored:
    """Score a trained model: val by the metrics of its training, test by all that there are.

    The last epoch's record does not have these numbers: early stopping may have restored earlier
    parameters.

    Args:
        scores: computes the metrics, here or in the sidecar.
    """
    result = Scored({}, {}, "")
    # Of numbers in their own units too, since the loss is of scaled targets.
    always = ("rmse",) if found.model.loss.goal == "regression" else ()
    parts = {"val": tuple(dict.fromkeys((*found.metrics, *always))), "test": None}
    for split, names in parts.items():
        if split not in dataset.plans:
            continue
        seen = trained.evaluation(dataset, split, names, scores)
        result.metrics.update({f"{split}_{n}": v for n, v in seen.scores.values.items()})
        result.missing.update({f"{split}_{n}": why for n, why in seen.scores.missing.items()})
        simple = fitted(baseline) if split == "test" else None
        if simple is not None:
            compare = verdict_beside if scores is scores_beside else verdict
            said, numbers = judged(seen, simple, dataset, compare)
            result.metrics.update(numbers)
            result = result._replace(verdict=said)
    return result


def noisy_scores(
    config: TrainerConfig, checkpoint: Path, dataset: Dataset, identity: RunIdentity
) -> dict[str, float]:
    """The scores on test with noise or shots, `noisy_test_…`, and mitigated, `mitigated_test_…`."""
    if "test" not in dataset.plans:
        return {}
    found: dict[str, float] = {}
    for kind, backend in noisy_backends(config, identity).items():
        seen = TrainedModel.load(checkpoint, backend).evaluation(dataset, "test", None)
        found |= {f"{kind}_test_{name}": value for name, value in seen.scores.values.items()}
    return found


def judged(
    seen: Evaluation, baseline: Baseline, dataset: Dataset, compare: VerdictOf
) -> tuple[str, dict[str, float]]:
    """The verdict on a model of the goal that the data are for; nothing for any other.

    Args:
        compare: `verdict`, here or in the sidecar.
    """
    if "r2" in seen.scores.missing:
        text = f"not compared with a simple one: R² is undefined, since {seen.scores.missing['r2']}"
        y = dataset.labels("train")
        if (y == y[0]).all():
            text += "; the targets of train are all the same too, so there is nothing to learn"
        return text, {}
    if not seen.scores.values.keys() & {"accuracy", "r2"}:  # compression
        return "", {}
    names = tuple(map(str, dataset.schema.class_names)) if dataset.classes else ()
    return compare(seen.y, seen.answers, baseline, names, seen.weight)


def last_metrics(
    began: float, trainer: TrainerConfig, backend: Backend | None, identity: RunIdentity
) -> dict[str, float]:
    """How long a run took since `began`, and what it used of paid hardware."""
    used = usage_metrics(trainer.backend, backend, identity, also=trainer.later_backends)
    return {"train_seconds": round(time.monotonic() - began, 3), **used}


def artifacts(folder: RunFolder, figures: list[Path]) -> list[Path]:
    """The files that trackers keep a copy of."""
    files = (folder.path / "config.toml", folder.metrics, *figures)
    return [path for path in files if path.exists()]


def close_metrics(folder: RunFolder, status: Status, error: BaseException | None = None) -> None:
    """Record how the run ended, and with which error, if the loop no longer could."""
    if isinstance(error, StorageError):
        note_what_is_kept(error, folder.path)
    records = read_records(folder.metrics)
    if records and records[-1].get("event") == "end":
        return
    with MetricsFile(folder.metrics) as metrics:
        said = error.message if isinstance(error, InterruptedRunError) else error
        reason = {} if error is None else {"reason": redact_message(str(said))}
        metrics.append({"event": "end", "status": status, **reason})


def texts_of(said: Table) -> dict[str, str]:
    """The texts that trackers receive, of what is said about a run."""
    texts = {"verdict": str(said["verdict"])} if said.get("verdict") else {}
    steps = "; ".join(fallback_text(step) for step in said.get("fallbacks", ()))
    return texts | ({"fallback": steps} if steps else {})


def interrupted_error(
    folder: RunFolder, reason: str = "", limit: str = "", stop: threading.Event | None = None
) -> QStoreError:
    """The error that says how to resume.

    Args:
        reason: why the run stopped itself.
        limit: the limit of a budget that was reached, see `WorkerResult`.
        stop: what had asked it to stop, which may have a reason.
    """
    if limit:
        return BudgetReachedError(
            reason,
            field=limit,
            value=str(folder.path),
            fix=f"Continue with existing='resume' (name {folder.name!r}) and a larger limit.",
        )
    return InterruptedRunError(
        reason or (ON_REQUEST if stop is None else reason_of(stop)),
        field="run",
        value=str(folder.path),
        fix=f"Continue with existing='resume' (name {folder.name!r}).",
    )
