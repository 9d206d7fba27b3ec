"""Gather what a run folder and its dataset say, for the report.

What cannot be read is a problem in the report; the rest is shown.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from qstore_ray.config import read_toml
from qstore_ray.errors import QStoreError
from qstore_ray.files import parsed_json
from qstore_ray.track.jsonl import read_records
from qstore_ray.track.logs.text import redact
from qstore_ray.train.model.modelfile import described_model
from qstore_ray.train.privacy.claim import read_statement
from qstore_ray.train.report.facts import Ending, ModelFacts, RunFacts
from qstore_ray.train.run.checkpoint import latest_checkpoint
from qstore_ray.train.run.manifest import ModelDescription, model_description
from qstore_ray.train.run.summary import checkpoints, summarize

if TYPE_CHECKING:
    from qstore_ray.data.read.dataset import Dataset
    from qstore_ray.learn.model import QuantumModel
    from qstore_ray.learn.privacy.statement import PrivacyStatement
    from qstore_ray.track.base import Record
    from qstore_ray.train.callbacks.model_checkpoint import KeptModel
    from qstore_ray.types import AnyArray, Table


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
        found = parsed_json(path.read_bytes())
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
