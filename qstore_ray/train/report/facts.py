"""What a run folder and its dataset say, gathered for the report.

What cannot be read is a problem in the report; the rest is shown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from qstore_ray.circuits.template import Template
from qstore_ray.config import read_toml
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import QStoreError
from qstore_ray.learn.model import QuantumModel
from qstore_ray.learn.privacy.statement import PrivacyStatement
from qstore_ray.track.base import Record, Status
from qstore_ray.track.jsonl import read_records
from qstore_ray.track.logs.text import redact
from qstore_ray.train.callbacks.model_checkpoint import KeptModel
from qstore_ray.train.model.modelfile import described_model
from qstore_ray.train.privacy.claim import read_statement
from qstore_ray.train.run.checkpoint import latest_checkpoint
from qstore_ray.train.run.manifest import ModelDescription, model_description
from qstore_ray.train.run.summary import CheckpointSummary, RunSummary, checkpoints, summarize

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, Table


class Ending(NamedTuple):
    """How a run ends, its results by name, those that are missing and why, and the verdict."""

    status: Status
    metrics: Mapping[str, float]
    missing: Mapping[str, str] = {}
    verdict: str = ""

    @classmethod
    def of(cls, status: Status, metrics: Mapping[str, float], said: Table) -> Ending:
        """An ending with what is said of a run; nothing if it did not finish."""
        return cls(status, metrics, said.get("missing", {}), said.get("verdict", ""))


class ModelFacts(NamedTuple):
    """What the page shows of a model: plain values, which any process can read."""

    template: Template
    circuit: str
    wires: Sequence[int]
    n_parameters: int
    sizes: Mapping[str, int]
    observables: Sequence[str]
    loss: str

    @classmethod
    def of(cls, model: QuantumModel) -> ModelFacts:
        """The facts of a model."""
        circuit = model.circuit
        labels = [each.label for each in model.observables]
        return cls(
            circuit.template, circuit.name, circuit.wires, model.n_parameters, dict(model.sizes),
            labels, model.loss_name,
        )  # fmt: skip


@dataclass(frozen=True)
class RunFacts:
    """What a run folder and its dataset say, as the page shows it.

    Attributes:
        summary: status and numbers.
        records: of metrics.jsonl. config: of config.toml, secrets hidden.
        checkpoints: to resume from. models: kept ones, as `models/index.json` has them.
        about: the model entry of the newest checkpoint's manifest. model: what it describes.
        sizes: rows by split. provenance: of the data, in words. classes: their names.
        confusion: counts (K, K) on the test split.
        privacy: what is claimed of a private run; None for any other.
        problems: what could not be read.
    """

    summary: RunSummary
    records: Sequence[Record]
    config: Table
    checkpoints: Sequence[CheckpointSummary]
    models: Sequence[KeptModel]
    about: ModelDescription | None
    model: ModelFacts | None
    sizes: Mapping[str, int] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)
    classes: Sequence[str] = ()
    confusion: AnyArray | None = None
    privacy: PrivacyStatement | None = None
    problems: Sequence[str] = ()


def gather(
    run_dir: Path,
    *,
    dataset: Dataset | None = None,
    confusion: AnyArray | None = None,
    ending: Ending | None = None,
) -> RunFacts:
    """Everything that the report shows; the arguments are those of `write_report`.

    Args:
        ending: of a run that is about to end. It is in run.json last of all, since a run that
            counts as finished is not taken up again.
    """
    summary = summarize(run_dir)
    if ending is not None:
        metrics = {**summary.metrics, **ending.metrics}
        seconds = metrics.get("train_seconds", summary.seconds)
        summary = replace(
            summary,
            status=ending.status,
            metrics=metrics,
            seconds=seconds,
            missing=ending.missing,
            verdict=ending.verdict,
        )
    problems = [summary.problem] if summary.problem else []
    about, model = _model(run_dir, problems)
    labels = [str(label) for label in (about["classes"] if about else ())]
    return RunFacts(
        summary=summary,
        records=_records(run_dir),
        config=_config(run_dir, problems),
        checkpoints=checkpoints(run_dir),
        models=_models(run_dir, problems),
        about=about,
        model=None if model is None else ModelFacts.of(model),
        sizes=dataset.sizes if dataset else {},
        provenance=dict(dataset.provenance) if dataset else {},
        classes=dataset.schema.class_names if dataset else labels,
        confusion=confusion,
        privacy=_privacy(run_dir, problems),
        problems=problems,
    )


def _privacy(run_dir: Path, problems: list[str]) -> PrivacyStatement | None:
    try:
        return read_statement(run_dir)
    except QStoreError as exc:
        problems.append(f"{exc.message}.")
        return None


def _records(run_dir: Path) -> list[Record]:
    """The metrics if they are complete; otherwise the summary has reported it."""
    try:
        return read_records(run_dir / "metrics.jsonl")
    except QStoreError:
        return []


def _config(run_dir: Path, problems: list[str]) -> Table:
    try:
        found: Table = redact(read_toml(run_dir / "config.toml"))
    except QStoreError as exc:
        problems.append(f"config.toml: {exc.message}.")
        return {}
    return found


def _models(run_dir: Path, problems: list[str]) -> list[KeptModel]:
    path = run_dir / "models" / "index.json"
    if not path.exists():
        return []
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as exc:
        problems.append(f"models/index.json: {exc}.")
        return []
    entries = found if isinstance(found, list) else []
    return [cast("KeptModel", entry) for entry in entries if isinstance(entry, dict)]


def _model(
    run_dir: Path, problems: list[str]
) -> tuple[ModelDescription | None, QuantumModel | None]:
    """What the newest checkpoint says about its model, and the model."""
    try:
        checkpoint, passed_over = latest_checkpoint(run_dir / "checkpoints")
        problems += [f"{problem.value}: {problem.message}." for problem in passed_over]
        if checkpoint is None or not checkpoint.manifest.get("model"):
            return None, None
        about = model_description(checkpoint.manifest["model"])
        model = described_model(about)
    except QStoreError as exc:
        problems.append(f"The model cannot be shown: {exc.message}.")
        return None, None
    return about, model
