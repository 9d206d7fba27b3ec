"""Model files as MLflow models: an `MLmodel` file that names the flavour, and the `.qsm` beside it.

    model/<sha256>/MLmodel      flavors: {qstore_ray: {data: model.qsm, sha256: …}}
                   model.qsm

MLflow's own loaders execute what they load (`mlflow.pyfunc` unpickles, and imports what the file
names), so they are not used: nothing is a `python_function`, and a model comes back as its file.
Its folder is named after its SHA-256, which the file must have; `TrainedModel.load` verifies the
rest:

    model = TrainedModel.load(download_model("models:/digits@champion", folder))

So a model that is logged twice is stored once. All calls carry the run's id; MLflow's active run is
left alone.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from qstore_ray.data.columns import TableSchema
from qstore_ray.data.inputs.signature import Signature
from qstore_ray.errors import RunError, UsageError
from qstore_ray.files import expanded
from qstore_ray.storage.address import storage_folder
from qstore_ray.track.config import TrackConfig, default_uri
from qstore_ray.track.mlflow.store import load_mlflow, open_client, translated

if TYPE_CHECKING:
    from mlflow.models import ModelSignature
    from mlflow.tracking import MlflowClient
    from mlflow.types.schema import Schema

FLAVOUR: Final = "qstore_ray"
_DATA, _ENTRY, _FOLDER = "model.qsm", "MLmodel", "model"
_MANIFEST: Final = "manifest.json"
_LARGEST_MANIFEST: Final = 2**26
_DIGEST: Final = re.compile("[0-9a-f]{64}")
_DAMAGED: Final = (zipfile.BadZipFile, KeyError, TypeError, ValueError, NotImplementedError)


class Savable(Protocol):
    """What has the bytes of a model file; a `TrainedModel` does."""

    def to_bytes(self) -> bytes:
        """The bytes of a `.qsm` file."""
        ...


@dataclass(frozen=True, kw_only=True)
class LoggedModel:
    """A model among the artifacts of a run.

    Attributes:
        uri: `runs:/…`, for `download_model`. source: URI of the folder with the MLmodel file.
        run_id: MLflow's id of its run. sha256: digest of the model file.
    """

    uri: str
    source: str
    run_id: str
    sha256: str


def log_model(model: Savable | str | Path, *, run_id: str, tracking_uri: str) -> LoggedModel:
    """Log a model, or the `.qsm` file at a path, as an MLflow model of a run.

    Raises:
        UsageError: the file cannot be read, or is no model file.
        RunError: no such run in the store, or no answer.
    """
    data = _bytes_of(model)
    digest = hashlib.sha256(data).hexdigest()
    path = f"{_FOLDER}/{digest}"
    load_mlflow()
    from mlflow.models import Model

    flavour = {"data": _DATA, "sha256": digest, "bytes": len(data)}
    entry = Model(
        artifact_path=path,
        run_id=run_id,
        flavors={FLAVOUR: flavour},
        signature=_signature(_described(data)),
    )
    with translated(tracking_uri, "log the model"), tempfile.TemporaryDirectory() as folder:
        client = open_client(tracking_uri)
        root = client.get_run(run_id).info.artifact_uri.rstrip("/")
        Path(folder, _DATA).write_bytes(data)
        entry.save(str(Path(folder, _ENTRY)))
        client.log_artifacts(run_id, folder, path)
    return LoggedModel(
        uri=f"runs:/{run_id}/{path}", source=f"{root}/{path}", run_id=run_id, sha256=digest
    )


def download_model(
    uri: str,
    folder: str | Path,
    *,
    storage: str | Path = "runs",
    config: TrackConfig | None = None,
) -> Path:
    """The `.qsm` file of a logged model, downloaded into `folder` and compared with its SHA-256.

    Args:
        uri: `runs:/<id>/model/…`, `models:/<name>/<version>` or `models:/<name>@<alias>`.
        storage: the folder of run folders, for the default `mlflow.db`; unused with a URI.

    Raises:
        UsageError: another kind of URI.
        RunError: unknown model, another flavour, a changed model file, or no answer.
    """
    store = (config.mlflow_uri if config else None) or default_uri(storage_folder(storage))
    load_mlflow()
    target = expanded(folder)
    target.mkdir(parents=True, exist_ok=True)
    with translated(store, "download the model"):
        client = open_client(store)
        run_id, path = _place(client, uri)
        digest = path.rpartition("/")[2]
        if not _DIGEST.fullmatch(digest):
            raise RunError(
                f"the model is not of the flavour {FLAVOUR}, whose folders are named by SHA-256",
                field="uri",
                value=uri,
                fix="Give a model that log_model or register_model of this package has logged.",
            )
        file = Path(client.download_artifacts(run_id, f"{path}/{_DATA}", str(target)))
    if hashlib.sha256(file.read_bytes()).hexdigest() != digest:
        raise RunError(
            "the model file has changed since it was logged: its SHA-256 differs",
            field="uri",
            value=uri,
            fix="Log the model again, and check who changed the artifact.",
        )
    return file


def _bytes_of(model: Savable | str | Path) -> bytes:
    if not isinstance(model, str | Path):
        return model.to_bytes()
    try:
        return expanded(model).read_bytes()
    except OSError as exc:
        raise UsageError(
            f"cannot read the model file: {exc.strerror or type(exc).__name__}",
            field="model",
            value=str(model),
            fix="TrainedModel.save writes one.",
        ) from exc


def _described(data: bytes) -> dict[str, Any]:
    """The `model` table of a model file's manifest."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if archive.getinfo(_MANIFEST).file_size > min(len(data), _LARGEST_MANIFEST):
                raise ValueError("its manifest is too large")
            described: dict[str, Any] = dict(json.loads(archive.read(_MANIFEST))["model"])
    except _DAMAGED as exc:
        raise UsageError(
            f"this is no model file: {exc}",
            field="model",
            fix="Give a .qsm file as TrainedModel.save writes it.",
        ) from exc
    return described


def _signature(described: dict[str, Any]) -> ModelSignature:
    """Inputs: columns, or rows (N, F) without names. Outputs: labels or values (N,)."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Schema, TensorSpec

    width, targets = int(described["preparation"]["n_features"]), int(described["n_targets"])
    kind: np.dtype[Any] = np.dtype(np.float64)
    if described["task"] in {None, "classification"} and described["classes"]:
        kind = np.array(described["classes"]).dtype
    if kind.kind == "U":
        kind = np.dtype(str)  # of any length
    shape = (-1,) if targets == 1 else (-1, targets)
    kept = described.get("input")
    taken = None if kept is None else Signature.from_dict(kept)
    inputs = _columns(taken.table) if taken is not None and taken.table is not None else None
    return ModelSignature(
        inputs=inputs or Schema([TensorSpec(np.dtype(np.float64), (-1, width), "rows")]),
        outputs=Schema([TensorSpec(kind, shape, "prediction")]),
    )


def _columns(table: TableSchema) -> Schema:
    """The features as MLflow describes columns."""
    from mlflow.types.schema import ColSpec, DataType, Schema

    kinds = {
        "number": DataType.double,
        "boolean": DataType.boolean,
        "category": DataType.string,
    }
    return Schema([ColSpec(kinds[column.kind], column.name) for column in table.features])


def _place(client: MlflowClient, uri: str) -> tuple[str, str]:
    """The run's id and the path below its artifacts."""
    scheme, _, rest = uri.partition(":/")
    rest = rest.lstrip("/")
    if scheme == "runs" and "/" in rest:
        run_id, _, path = rest.partition("/")
        return run_id, path.rstrip("/")
    name, at, alias = rest.rpartition("@")
    by_number, slash, number = rest.rpartition("/")
    if scheme == "models" and at and name:
        version = client.get_model_version_by_alias(name, alias)
    elif scheme == "models" and slash and number.isdigit():
        version = client.get_model_version(by_number, number)
    else:
        raise UsageError(
            "not the URI of a model",
            field="uri",
            value=uri,
            fix="Write models:/digits@champion, models:/digits/1 or runs:/<run id>/model/….",
        )
    root = client.get_run(version.run_id or "").info.artifact_uri.rstrip("/")
    source = version.source or ""
    if not source.startswith(f"{root}/"):
        raise RunError(
            "the model's files are not among the artifacts of its run",
            field="uri",
            value=source,
            fix="Register it with qstore_ray.track.mlflow.registry.register_model.",
        )
    return str(version.run_id), source.removeprefix(f"{root}/")
