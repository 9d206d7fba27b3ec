"""Where a model comes from: the run, the data, and what it scored, as far as that is known.

It travels with a model file and is what a model card is written from. Nothing in it changes a
prediction. A fact that is not known is left out; none is guessed.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from qstore_ray.backends.failover import on_last_backend
from qstore_ray.config import read_toml
from qstore_ray.errors import ConfigError, RunError
from qstore_ray.files import parsed_json
from qstore_ray.track.logs.text import redact
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.run.manifest import DataOriginDict, StoredManifest
from qstore_ray.train.run.same_run import RunDescription
from qstore_ray.train.run.writing import read_run_record
from qstore_ray.types import Table

if TYPE_CHECKING:
    from qstore_ray.data.read.dataset import Dataset

_CHECKPOINTS = "checkpoints"


def _finite(values: Any) -> Any:
    """A loss that is infinite is written as null: JSON has no infinity."""
    if not isinstance(values, dict):
        return values
    return {
        k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()
    }


class DataOrigin(BaseModel):
    """The data of a training.

    Attributes:
        name: as configured. task: classification or regression.
        provenance: where the rows come from, in words.
        sizes: rows of every split.
        class_names: in the order of the classes. class_counts: of each class, by split.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str
    task: str
    provenance: dict[str, str]
    sizes: dict[str, Annotated[int, Field(ge=0)]]
    class_names: list[str] = []
    class_counts: dict[str, list[int]] = {}


class Origin(BaseModel):
    """What is known of how a model came to be.

    Attributes:
        run: its name. step, epoch: when the parameters were taken.
        fingerprints: of configuration and data. versions: of the packages it was trained with.
        metrics: the finished run in numbers; empty where these parameters are not its last.
        verdict: how these stand to a baseline's.
        trainer: the training's configuration.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    run: str = ""
    started: str = ""
    step: int = 0
    epoch: int = 0
    fingerprints: dict[str, str] = {}
    versions: dict[str, str] = {}
    metrics: Annotated[dict[str, float | int | None], BeforeValidator(_finite)] = {}
    verdict: str = ""
    trainer: Table = {}
    data: DataOrigin | None = None


def data_origin(dataset: Dataset) -> DataOriginDict:
    """What a checkpoint says about the data, JSON-ready."""
    origin = DataOrigin(
        name=dataset.config.name,
        task=dataset.config.task,
        provenance=dict(redact(dataset.provenance)),
        sizes=dataset.sizes,
        class_names=list(dataset.schema.class_names),
        class_counts={split: list(counts) for split, counts in dataset.class_counts.items()},
    )
    return cast("DataOriginDict", origin.model_dump())


def origin_of(manifest: StoredManifest, checkpoint: Path) -> Origin:
    """What a checkpoint's manifest and the run around it say."""
    data = manifest["model"].get("data") if "model" in manifest else None
    known = Origin(
        step=int(manifest["step"]),
        epoch=int(manifest.get("epoch", 0)),
        fingerprints=dict(manifest.get("fingerprints", {})),
        data=None if data is None else DataOrigin.model_validate(data),
    )
    return with_run(known, checkpoint)


def with_run(origin: Origin, checkpoint: Path) -> Origin:
    """`origin` with what the run of the checkpoint says by now.

    The run's metrics are those of its last parameters, so they are left out for any others and
    while it runs.
    """
    record = _record(checkpoint)
    if record is None:
        return origin
    newest = max((folder.name for folder in checkpoint.parent.glob("step-*")), default="")
    last = record.get("status") == "finished" and newest == checkpoint.name
    values = {
        **origin.model_dump(exclude={"data"}),
        "run": str(record.get("name", "")),
        "started": str(record.get("started", "")),
        "versions": dict(record.get("versions", {})),
        "metrics": dict(record.get("metrics", {})) if last else {},
        "verdict": str(record.get("verdict", "")) if last else "",
        "trainer": redact(_trainer(checkpoint)),
    }
    return Origin(**values, data=origin.data)


def _record(checkpoint: Path) -> RunDescription | None:
    """The record of the run that the checkpoint is of; None for a checkpoint on its own."""
    if checkpoint.parent.name != _CHECKPOINTS:
        return None
    try:
        return read_run_record(checkpoint.parent.parent)
    except RunError:
        return None  # damaged or lost, which is no reason to lose the model too


def _trainer(checkpoint: Path) -> Table:
    """The complete `trainer` table of the run, with the backend that it had fallen back to; empty
    if its configuration has none.
    """
    run_dir = checkpoint.parent.parent
    try:
        given = read_toml(run_dir / "config.toml").get("trainer", {})
        trainer = TrainerConfig.from_dict(given).to_dict()
    except ConfigError:
        return {}
    try:
        manifest = parsed_json((checkpoint / "manifest.json").read_bytes())
    except (OSError, ValueError):  # deleted since the model was loaded, as later ones were written
        return trainer
    return on_last_backend(trainer, manifest.get("fallbacks", ()))
