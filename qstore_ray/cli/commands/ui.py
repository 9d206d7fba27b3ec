"""`qstore ui`: the pages of runs and studies, for as long as one looks at them."""

from __future__ import annotations

from typing import Annotated

import typer

from qstore_ray.cli.output import AsJson, Storage, examples, facts, note, say, say_json
from qstore_ray.storage.address import storage_folder

EXAMPLES = examples(
    "ui",
    "ui digits-tune",
    "ui digits-tune --storage /data/runs --mlflow-port 5000 --optuna-port 8080",
    "ui --mlflow-uri postgresql://host/mlflow --json",
)

_Port = typer.Option(
    min=0,
    max=65535,
    show_default=False,
    metavar="PORT",
    help="Port to serve it on; by default a free one.",
)


def ui(
    study: Annotated[
        str | None,
        typer.Argument(metavar="STUDY", help="A study's name, or its folder."),
    ] = None,
    storage: Storage = "runs",
    mlflow_uri: Annotated[
        str | None,
        typer.Option(
            metavar="URI",
            help="MLflow's database or server, where it is not the study's or mlflow.db in DIR.",
        ),
    ] = None,
    mlflow_port: Annotated[int, _Port] = 0,
    optuna_port: Annotated[int, _Port] = 0,
    as_json: AsJson = False,
) -> None:
    """Show runs and studies in the browser: MLflow, Optuna's dashboard, Ray's.

    MLflow shows all runs of the storage folder. With STUDY, Optuna's dashboard shows that study
    too. Both are served on this machine only, until Ctrl-C. If a Ray cluster with a dashboard
    is running, its link is printed too.
    """
    from qstore_ray.tune.dashboards.pages import (
        find_study,
        has_dashboard,
        mlflow_page,
        optuna_page,
        ray_page,
    )
    from qstore_ray.tune.dashboards.servers import serve

    folder = storage_folder(storage)
    pages = []
    if study is None:
        pages.append(mlflow_page(folder, mlflow_uri, mlflow_port))
        missing = "" if has_dashboard() else " (after pip install 'qstore-ray[ui]')"
        note(f"`qstore ui STUDY` shows a study in Optuna's dashboard, too{missing}.")
    else:
        stores = find_study(study, folder)
        pages.append(optuna_page(stores.optuna, optuna_port))
        if stores.track.mlflow or mlflow_uri:
            uri = mlflow_uri or stores.track.mlflow_uri
            pages.insert(0, mlflow_page(folder, uri, mlflow_port))
        else:
            note("This study is not recorded in MLflow (track.mlflow = false).")
    if (ray := ray_page()) is not None:
        pages.append(ray)

    def ready() -> None:
        links = {page.name: page.url for page in pages}
        if as_json:
            say_json(links)
        else:
            say(facts(links.items()))
            note("Ctrl-C ends them." if ray is None else "Ctrl-C ends them, except Ray's.")

    serve(pages, ready)
