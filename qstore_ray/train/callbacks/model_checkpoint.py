"""Models kept besides the run's own checkpoints: the best ones, every n-th, the last."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypedDict

from pydantic import Field, PrivateAttr, model_validator

from qstore_ray.config import Config
from qstore_ray.errors import UsageError
from qstore_ray.files import write_durably
from qstore_ray.learn.diagnostics.stopping import Mode, larger_is_better, monitored
from qstore_ray.learn.scoring import of_train
from qstore_ray.train.callbacks.base import Callback
from qstore_ray.train.callbacks.run import Run

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qstore_ray.learn.model import QuantumModel
    from qstore_ray.track.base import Record

_INDEX = "index.json"


class KeptModel(TypedDict):
    """An entry of `models/index.json`: a folder, and the value of `monitor` that it is kept by."""

    model: str
    epoch: int
    step: int
    monitor: str
    value: float
    why: list[str]


class ModelCheckpoint(Config, Callback):
    """Keeps models in `<run_dir>/models/`; `TrainedModel.load` reads each. Runs in worker 0.

        models/index.json            epoch, step, the monitored value and the reasons of each
        models/step-00000120/        parameters and preparation, no optimizer state

    The run's own checkpoints exist to resume from, and old ones are deleted. These stay.

    Args:
        best: how many of the best epochs to keep; 0 for none.
        monitor: the metric that says what is best.
        mode: whether smaller or larger is better.
        every: also keep every n-th epoch; 0 for none.
        last: also keep the last one.

    Examples:
        keep = ModelCheckpoint(best=2, monitor="val_accuracy")
        trainer = TrainerConfig(callbacks=[keep])
    """

    best: int = Field(default=1, ge=0)
    monitor: str = "val_loss"
    mode: Mode = "auto"
    every: int = Field(default=0, ge=0)
    last: bool = False

    @model_validator(mode="after")
    def _direction_is_known(self) -> Self:
        larger_is_better(self.monitor, self.mode)
        return self

    _kept: list[KeptModel] = PrivateAttr(default_factory=list)

    def logged_metrics(self, model: QuantumModel) -> Iterable[str]:
        """It logs nothing."""
        return ()

    def without_validation(self) -> tuple[Callback | None, tuple[str, ...]]:
        """Keeps the last model: which one is best cannot be said without val."""
        if not self.monitor.startswith("val_"):
            return self, ()
        changes = {"best": 0, "last": True, "monitor": of_train(self.monitor)}
        note = f"callback model_checkpoint keeps the last model: the best was by {self.monitor}"
        return ModelCheckpoint(**{**self.to_dict(), **changes}), (note,)

    def on_train_begin(self, run: Run) -> None:
        """Read which models an earlier attempt kept; those of steps not yet done again go."""
        index = _folder(run) / _INDEX
        kept = json.loads(index.read_bytes()) if index.exists() else []
        self._kept = [entry for entry in kept if entry["step"] <= run.state.step]
        self._delete_all_but(run, self._kept)

    def on_epoch_end(self, run: Run, record: Record) -> None:
        """Keep the model if it is among the best, or its turn has come."""
        value = monitored({**record, **run.logged}, self.monitor)
        values = [self._worth(found["value"]) for found in self._kept if "best" in found["why"]]
        why = []
        if self.best and (len(values) < self.best or self._worth(value) > min(values)):
            why.append("best")
        if self.every and run.state.epoch % self.every == 0:
            why.append("every")
        if self.last:
            why.append("last")
        if why:
            path = run.write_model(_folder(run))
            self._add(run, {"model": path.name, "epoch": run.state.epoch, "step": run.state.step,
                            "monitor": self.monitor, "value": value, "why": why})  # fmt: skip

    def _worth(self, value: float) -> float:
        """The value with its sign changed where smaller is better."""
        return value if larger_is_better(self.monitor, self.mode) else -value

    def _add(self, run: Run, entry: KeptModel) -> None:
        """Enter a model, and take its reasons from those that it replaces."""
        kept = [*self._kept, entry]
        candidates = [found for found in kept if "best" in found["why"]]
        candidates.sort(key=lambda found: -self._worth(found["value"]))
        for found in candidates[self.best :]:
            found["why"].remove("best")
        for found in self._kept:
            if "last" in found["why"]:
                found["why"].remove("last")
        self._kept = [found for found in kept if found["why"]]
        write_durably(_folder(run) / _INDEX, json.dumps(self._kept, indent=1).encode())
        self._delete_all_but(run, self._kept)

    def _delete_all_but(self, run: Run, kept: list[KeptModel]) -> None:
        names = {entry["model"] for entry in kept}
        for path in _folder(run).glob("step-*"):
            if path.name not in names:
                shutil.rmtree(path)


def _folder(run: Run) -> Path:
    if run.run_dir is None:
        raise UsageError(
            "this run has no folder to keep models in",
            field="callbacks.model_checkpoint",
            fix="Train with QuantumTrainer, or leave ModelCheckpoint out.",
        )
    return run.run_dir / "models"
