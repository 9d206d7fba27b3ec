"""Pages to look at a search with: MLflow's, Optuna's dashboard, and that of a Ray that runs.

The first two need a server, which is described here and run by `servers.py`; what may hold a
password reaches it by the environment, not on a command line that everybody may read. Ray's
dashboard is only looked for.
"""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from qstore_ray.cluster.address import RAY_STATE
from qstore_ray.config import read_toml
from qstore_ray.credentials import redact_text
from qstore_ray.errors import MissingDependencyError, UsageError, unknown_name_error
from qstore_ray.files import expanded, real_path
from qstore_ray.storage.address import is_address, storage_folder
from qstore_ray.track.config import TrackConfig, artifact_folder, default_uri, sqlite_file
from qstore_ray.train.run.origin import refresh_study
from qstore_ray.tune.dashboards.servers import HOST, Page, read_page
from qstore_ray.tune.study.address import with_login
from qstore_ray.tune.study.ownership import recorded_url, study_folders
from qstore_ray.tune.study.storage import JOURNAL

_STORAGE: Final = "QSTORE_UI_STORAGE"
_OPTUNA: Final = (
    "import os; from optuna_dashboard import run_server; "
    f"run_server(os.environ['{_STORAGE}'], host='{HOST}', port=int(os.environ['PORT']))"
)
_RAY_PORT: Final = 8265


@dataclass(frozen=True, kw_only=True)
class StudyStores:
    """Where a study keeps what: `optuna` is its journal or database, `track` its trackers."""

    optuna: str
    track: TrackConfig


def find_study(study: str, storage: Path) -> StudyStores:
    """The stores of a study, by its name under `storage` or by its folder.

    Raises:
        UsageError: no such study exists.
    """
    places = (study,) if is_address(study) else (expanded(study), storage / study)
    for folder in map(storage_folder, places):
        refresh_study(folder)
        made_of = folder / "config.toml"
        job = read_toml(made_of) if made_of.exists() else {}
        url = recorded_url(folder)
        if url or (folder / JOURNAL).exists():
            track = TrackConfig.from_dict(job.get("track", {}))
            return StudyStores(optuna=url or str(real_path(folder / JOURNAL)), track=track)
    raise unknown_study_error(study, storage)


def unknown_study_error(
    name: str, storage: Path, fix: str = "Run a search first, or give --storage."
) -> UsageError:
    """The error for a name or folder that is no study, by what it is instead.

    Args:
        fix: what to do if `storage` has no study at all.
    """
    if Path(name).suffix == ".toml":
        return UsageError(
            "this is a job file, not a study",
            field="study",
            value=name,
            fix="Run the search first: `qstore tune JOB.toml`; then give the study's name.",
        )
    if len(Path(name).parts) > 1:
        return UsageError(
            "there is no study in this folder",
            field="study",
            value=name,
            fix="Give the folder of a study such as runs/digits, or a name with --storage.",
        )
    names = study_folders(storage)
    if not names:
        return UsageError(f"there are no studies in {storage}", field="study", value=name, fix=fix)
    return unknown_name_error("study", name, names, field="study")


def mlflow_page(storage: Path, uri: str | None = None, port: int = 0) -> Page:
    """MLflow's page of a store; of a server, the server itself.

    Args:
        uri: of the store; None is `mlflow.db` in `storage`.
        port: 0 for any.

    Raises:
        MissingDependencyError: MLflow is not installed.
        UsageError: there is no store, or the port is taken.
    """
    uri = uri or default_uri(storage)
    artifacts = artifact_folder(uri, storage)
    if artifacts is None:
        return Page(name="mlflow", url=redact_text(uri))
    _check_installed("mlflow", "mlflow")
    file = sqlite_file(uri)
    if file is not None and not file.is_file():
        raise UsageError(
            "nothing was recorded in MLflow here",
            field="--storage",
            value=str(file),
            fix="Give the folder of run folders that has mlflow.db in it.",
        )
    chosen = _port(port, "--mlflow-port")
    serve = ["--host", HOST, "--port", str(chosen), "--workers", "1"]
    return Page(
        name="mlflow",
        url=f"http://{HOST}:{chosen}",
        command=(sys.executable, "-m", "mlflow", "server", *serve),
        environment={
            "MLFLOW_BACKEND_STORE_URI": uri,
            "MLFLOW_ARTIFACTS_DESTINATION": artifacts,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        },
    )


def optuna_page(store: str, port: int = 0) -> Page:
    """Optuna's dashboard of a journal file or of a database's URL.

    Raises:
        MissingDependencyError: optuna-dashboard is not installed.
        UsageError: the port is taken.
    """
    _check_installed("optuna_dashboard", "qstore-ray[ui]")
    chosen = _port(port, "--optuna-port")
    return Page(
        name="optuna",
        url=f"http://{HOST}:{chosen}",
        command=(sys.executable, "-c", _OPTUNA),
        environment={_STORAGE: _connectable(store), "PORT": str(chosen)},
    )


def _connectable(store: str) -> str:
    """A database's URL with its login, which the dashboard's own process has to have."""
    return with_login(store).render_as_string(hide_password=False) if "://" in store else store


def has_dashboard() -> bool:
    """Whether optuna-dashboard is installed."""
    return find_spec("optuna_dashboard") is not None


def ray_page() -> Page | None:
    """The dashboard of the Ray that commands of this machine would join, if one answers.

    It is looked for at RAY_API_SERVER_ADDRESS, and at port 8265 of the machine that RAY_ADDRESS or
    `ray start` names. Nothing is started.
    """
    for url in _ray_urls():
        if '"authentication_mode"' in read_page(f"{url}/api/authentication_mode"):
            return Page(name="ray", url=url)
    return None


def _ray_urls() -> list[str]:
    named = [os.environ.get("RAY_API_SERVER_ADDRESS", ""), os.environ.get("RAY_ADDRESS", "")]
    try:
        named.append(RAY_STATE.read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError):  # no `ray start` here; anybody may write into /tmp
        named.append("")
    urls = [address.rstrip("/") for address in named if address.startswith("http")]
    for address in (*named, HOST):
        try:
            host = urlsplit(address if "://" in address else f"//{address}").hostname
        except ValueError:  # brackets that do not close
            continue
        if host and not address.startswith("http"):
            urls.append(f"http://{host}:{_RAY_PORT}")
    return list(dict.fromkeys(urls))


def _port(port: int, option: str) -> int:
    """`port` if it is free, or any free one for 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as exc:
            raise UsageError(
                f"this port cannot be used: {exc.strerror or type(exc).__name__}",
                field=option,
                value=port,
                fix="Give another one, or leave it out for any that is free.",
            ) from exc
        chosen: int = probe.getsockname()[1]
        return chosen


def _check_installed(package: str, install: str) -> None:
    if find_spec(package) is None:
        raise MissingDependencyError(
            f"{package} is not installed", field="ui", fix=f"pip install '{install}'."
        )
