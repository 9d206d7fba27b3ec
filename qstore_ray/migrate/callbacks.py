"""Callbacks and early stopping of Q-Store 4.1 as `trainer.callbacks` and `[track]`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Final

from qstore_ray.migrate.draft import JobDraft, known
from qstore_ray.migrate.old_table import OldTable, Unread, is_read
from qstore_ray.types import Table

_NAMES: Final = {
    "checkpoint": "ModelCheckpoint",
    "csv": "CSVLogger",
    "progress": "ProgressCallback",
    "lr_logger": "LearningRateLogger",
    "tensorboard": "TensorBoardCallback",
    "mlflow": "MLflowCallback",
    "wandb": "WandBCallback",
    "early_stopping": "EarlyStopping",
}
"""Names of the old factory → classes."""

_STOPS: Final = {
    "early_stopping_patience": "patience",
    "early_stopping_min_delta": "min_delta",
    "early_stopping_monitor": "monitor",
}


def take_callbacks(draft: JobDraft, table: OldTable) -> None:
    """Write `trainer.callbacks`, and what trackers are in `[track]`."""
    callbacks = _early_stopping(draft, table)
    given = table.values.get("callbacks")
    if isinstance(given, Unread):
        draft.note(
            table, "callbacks", "unknown", new="trainer.callbacks",
            text="they are made elsewhere in the program; write trainer.callbacks yourself",
        )  # fmt: skip
    elif given is not None:
        for each in given if isinstance(given, list | tuple) else [given]:
            new = _callback(draft, table, each)
            callbacks += [] if new is None else [new]
    if callbacks:
        draft.set("trainer.callbacks", callbacks)


def _early_stopping(draft: JobDraft, table: OldTable) -> list[Table]:
    key = "enable_early_stopping"
    given = [name for name in _STOPS if name in table.values]
    if not known(table, key, False):
        if isinstance(table.values.get(key), Unread):
            for name in (key, *given):
                draft.note(
                    table, name, "unknown", new="trainer.callbacks",
                    text="the program computes if early stopping is on; write trainer.callbacks",
                )  # fmt: skip
            return []
        if key in table.values:
            draft.drop(table, key, "early stopping is off without its callback")
        for name in given:
            draft.drop(table, name, "it had no effect: early stopping was off")
        return []
    new: Table = {"name": "early_stopping"}
    new |= {_STOPS[name]: known(table, name) for name in given if known(table, name) is not None}
    for name in (key, *given):
        draft.note(table, name, "renamed", new="trainer.callbacks", new_value=new)
    return [new]


def _callback(draft: JobDraft, table: OldTable, given: Any) -> Table | None:
    """One callback as a table; None for what is no callback here."""
    callback = _as_table(given)
    if callback is None:
        text = f"{given!r} cannot be read; write trainer.callbacks yourself"
        draft.note(table, "callbacks", "unknown", text=text, new="trainer.callbacks")
        return None
    values = callback.values
    match callback.kind:
        case "ModelCheckpoint":
            new = _picked(values, {"monitor": "monitor", "mode": "mode"})
            return _listed(
                draft, callback, {"name": "model_checkpoint", **new}, "in the run folder"
            )
        case "CSVLogger":
            name = values.get("filename")
            file = {"file": PurePath(name).name} if isinstance(name, str) else {}
            return _listed(draft, callback, {"name": "metrics_logger", **file}, "in the run folder")
        case "EarlyStopping":
            new = _picked(
                values,
                {
                    "patience": "patience",
                    "min_delta": "min_delta",
                    "mode": "mode",
                    "baseline": "baseline",
                    "restore_best_weights": "restore_best",
                    "monitor": "monitor",
                },
            )
            return _listed(draft, callback, {"name": "early_stopping", **new})
        case "LearningRateLogger":
            return _listed(draft, callback, {"name": "learning_rate_monitor"})
        case "TensorBoardCallback":
            draft.set("track.tensorboard", True)
            draft.note(callback, "log_dir", "renamed", new="track.tensorboard", new_value=True)
        case "MLflowCallback":
            take_mlflow(draft, callback)
        case "WandBCallback":
            _take_wandb(draft, callback)
        case "ProgressCallback":
            draft.drop(callback, "print_freq", "progress is always shown")
        case _:
            text = "write it as a class with the hooks of qstore_ray.Callback, and register it"
            draft.drop(callback, "()", text)
    return None


def take_mlflow(draft: JobDraft, table: OldTable) -> None:
    """Write `[track]` for MLflowCallback or MLflowConfig."""
    draft.set("track.mlflow", True)
    uri = known(table, "tracking_uri")
    if isinstance(uri, str) and "://" not in uri:
        draft.drop(
            table, "tracking_uri",
            "MLflow keeps runs in a database or on a server now; without track.mlflow_uri it is "
            "sqlite beside the runs",
            "track.mlflow_uri",
        )  # fmt: skip
    elif "tracking_uri" in table.values and table.values["tracking_uri"] is not None:
        draft.take(table, "tracking_uri", "track.mlflow_uri")
    for key, new in (
        ("experiment_name", "track.experiment"),
        ("log_system_metrics", "track.mlflow_system_metrics"),
        ("tags", "track.tags"),
    ):
        if table.values.get(key) is not None:
            draft.take(table, key, new)
    for key, text in (
        ("run_name", "the run has the name of the job"),
        ("run_name_prefix", "the run has the name of the job"),
        ("log_models", "the model is in the run folder; qstore_ray.register_model registers it"),
        ("auto_log_models", "the model is in the run folder; register_model registers it"),
        ("registry_uri", "the registry is that of track.mlflow_uri"),
        ("artifact_location", "artifacts are beside the database, or on the server"),
    ):
        if key in table.values:
            draft.drop(table, key, text)


def _take_wandb(draft: JobDraft, table: OldTable) -> None:
    draft.set("track.wandb", "online")
    draft.note(table, "()", "renamed", new="track.wandb", new_value="online")
    for key, new in (("project", "track.wandb_project"), ("entity", "track.wandb_entity")):
        if table.values.get(key) is not None:
            draft.take(table, key, new)


def _as_table(given: Any) -> OldTable | None:
    """A callback as Python makes it, or as the old factory names it."""
    if isinstance(given, OldTable):
        return given
    if isinstance(given, str) and given in _NAMES:
        return OldTable(_NAMES[given])
    if isinstance(given, Mapping):
        values = dict(given)
        name = values.pop("type", None) or values.pop("callback_type", None)
        if isinstance(name, str):
            return OldTable(_NAMES.get(name, name), values)
    return None


def _picked(values: Table, names: Mapping[str, str]) -> Table:
    return {
        new: values[old]
        for old, new in names.items()
        if old in values and values[old] is not None and is_read(values[old])
    }


def _listed(draft: JobDraft, callback: OldTable, new: Table, text: str = "") -> Table:
    draft.note(callback, "()", "renamed", new="trainer.callbacks", new_value=new, text=text)
    return new
