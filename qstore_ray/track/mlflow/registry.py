"""Trained models in MLflow's registry: named, numbered, and one of them the champion.

A registered model is a name, its versions are models of runs, and an alias points at one version.
Promotion moves the alias, and whoever asks for `champion` gets the other model from then on.

What is registered is a model file, logged with its run as an MLflow model (`mlflow_model.py`): the
source of a version is the folder of its MLmodel file. `download_model("models:/name@champion", …)`
brings the file back. Nothing in it is a pickle, and MLflow's own loaders are not involved.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qstore_ray.errors import ConfigError, RunError
from qstore_ray.storage.address import storage_folder
from qstore_ray.track.base import RUN_INFO_FILE, RunInfo
from qstore_ray.track.config import TrackConfig, default_uri
from qstore_ray.track.mlflow.model import Savable, log_model
from qstore_ray.track.mlflow.store import (
    RUN_ID_FILE,
    load_mlflow,
    open_client,
    original_of,
    translated,
)

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

_FILE: Final = "model.qsm"


@dataclass(frozen=True, kw_only=True)
class RegisteredModel:
    """A version of a registered model.

    Attributes:
        name: name of the registered model. version: from 1. run_id: MLflow's id of its run.
        source: URI of the artifact folder with the MLmodel file.
        aliases: aliases that point at this version.
    """

    name: str
    version: int
    run_id: str
    source: str
    aliases: tuple[str, ...] = ()


def register_model(
    run_dir: str | Path,
    name: str,
    alias: str | None = "champion",
    *,
    model: Savable | str | Path | None = None,
    config: TrackConfig | None = None,
) -> RegisteredModel:
    """Log a run's model, register it as the next version of `name`, and point `alias` at it.

    The same model of the same run is registered once: a second call moves the alias only.

    Args:
        run_dir: the folder of a run that MLflow has (otherwise call `sync_run` first).
        name: name of the registered model; created if missing.
        alias: set on the new version and taken off another; None sets nothing.
        model: a trained model, or its file; None is `model.qsm` in the run folder, which
            `qstore export` writes.
        config: where MLflow is, as the run had it.

    Raises:
        ConfigError: a name that MLflow does not take.
        UsageError: something else than a model file.
        RunError: no model file, no such run in the store, or no answer.

    Examples:
        from qstore_ray.errors import RunError
        try:
            register_model("runs/missing", "digits")
        except RunError as error:
            print(error)
    """
    run_dir = Path(run_dir)
    model = run_dir / _FILE if model is None else model
    _check(run_dir, model)
    run_id = (run_dir / RUN_ID_FILE).read_text(encoding="utf-8").strip()
    _check_name(name)
    described = (run_dir / RUN_INFO_FILE).exists()
    storage = RunInfo.load(run_dir)[0].storage if described else run_dir.parent
    uri = _uri(config, storage)
    _check_own(run_dir, storage, run_id, uri)
    logged = log_model(model, run_id=run_id, tracking_uri=uri)
    with translated(uri, "register the model"):
        client = open_client(uri)
        _ensure(client, name)
        version = _version_of(client, name, run_id, logged.source)
        if version is None:
            made = client.create_model_version(name, logged.source, run_id)
            version = int(made.version)
        if alias is not None:
            client.set_registered_model_alias(name, alias, str(version))
        return _record(client.get_model_version(name, str(version)))


def promote_model(
    name: str,
    version: int,
    alias: str = "champion",
    *,
    storage: str | Path = "runs",
    config: TrackConfig | None = None,
) -> RegisteredModel:
    """Point `alias` at an existing version, and remove it from the version that had it.

    Args:
        storage: the folder of run folders, for the default `mlflow.db`; unused with a URI.

    Raises:
        RunError: no such model or version, or no answer.
    """
    uri = _uri(config, storage_folder(storage))
    load_mlflow()
    with translated(uri, "promote the model"):
        client = open_client(uri)
        client.set_registered_model_alias(name, alias, str(version))
        return _record(client.get_model_version(name, str(version)))


def find_model(
    name: str,
    alias: str = "champion",
    *,
    storage: str | Path = "runs",
    config: TrackConfig | None = None,
) -> RegisteredModel:
    """The version that `alias` points at.

    Raises:
        RunError: no such model or alias, or no answer.
    """
    uri = _uri(config, storage_folder(storage))
    load_mlflow()
    with translated(uri, "find the model"):
        return _record(open_client(uri).get_model_version_by_alias(name, alias))


def _uri(config: TrackConfig | None, storage: Path) -> str:
    return (config.mlflow_uri if config else None) or default_uri(storage)


def _check(run_dir: Path, model: Savable | str | Path) -> None:
    if isinstance(model, str | Path) and not Path(model).is_file():
        raise RunError(
            "the model file to register does not exist",
            field="model",
            value=str(model),
            fix="Write it with TrainedModel.save, or give a model.",
        )
    if not (run_dir / RUN_ID_FILE).is_file():
        raise RunError(
            "MLflow does not have this run",
            field="run_dir",
            value=str(run_dir),
            fix="Copy it there with sync_run('RUN') first.",
        )


def _check_own(run_dir: Path, storage: Path, run_id: str, uri: str) -> None:
    """Refuse a copied run folder whose MLflow run is still the original's."""
    load_mlflow()
    with translated(uri, "log the model"):
        tags = open_client(uri).get_run(run_id).data.tags
    original = original_of(tags, run_dir.resolve(), storage.resolve(), uri)
    if original is not None:
        raise RunError(
            f"MLflow does not have this copy, only its original, {original}",
            field="run_dir",
            value=str(run_dir),
            fix="Copy it there with sync_run('RUN') first.",
        )


def _check_name(name: str) -> None:
    if not name.strip() or any(character in name for character in "/:'"):
        raise ConfigError(
            "the name of a registered model has no slash, colon or quote",
            field="name",
            value=name,
            fix="For example digits-classifier.",
        )


def _ensure(client: MlflowClient, name: str) -> None:
    """Create the registered model; another process may be faster."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as exc:
        if exc.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _version_of(client: MlflowClient, name: str, run_id: str, source: str) -> int | None:
    for version in client.search_model_versions(f"name = '{name}'"):
        if version.run_id == run_id and version.source == source:
            return int(version.version)
    return None


def _record(version: ModelVersion) -> RegisteredModel:
    return RegisteredModel(
        name=version.name,
        version=int(version.version),
        run_id=version.run_id or "",
        source=version.source or "",
        aliases=tuple(version.aliases),
    )
