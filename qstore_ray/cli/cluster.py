"""`qstore cluster`: a warm Ray on this machine, which trainings join by themselves."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qstore_ray.cli.output import AsJson, examples, facts, note, say, say_json

if TYPE_CHECKING:
    from qstore_ray.cluster.record import ClusterRecord

app = typer.Typer(
    help="Start a Ray on this machine that trainings, searches and predictions join, or end it.",
    epilog=examples("cluster up", "cluster status", "cluster down"),
)

_STALE = "the cluster of this machine had died; what it left has been removed."


@app.command(
    "up",
    epilog=examples("cluster up", "cluster up --nodes 2 --cpus 4", "cluster up --json"),
)
def up(
    nodes: Annotated[int, typer.Option(metavar="N", help="Nodes, with the head.")] = 1,
    cpus: Annotated[
        int | None,
        typer.Option(metavar="N", help="CPUs of all nodes; without it those of this machine."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start the cluster, unless it runs. It stays until `qstore cluster down`.

    It listens on 127.0.0.1 only, and only this user has its token. Every training, search and
    prediction with workers joins it, unless it has --local, cluster.address or RAY_ADDRESS.
    """
    from qstore_ray.cluster import start_cluster

    started = start_cluster(nodes, cpus)
    _say_stale(started.was_stale)
    if not started.new:
        note("The cluster runs already.")
    _show(started.record, as_json, {"started": started.new})


@app.command("status", epilog=examples("cluster status", "cluster status --json"))
def status(as_json: AsJson = False) -> None:
    """Show the cluster, if it runs."""
    from qstore_ray.cluster import find_cluster

    found = find_cluster()
    _say_stale(found.was_stale)
    _show(found.record, as_json, {})


@app.command("down", epilog=examples("cluster down", "cluster down --json"))
def down(as_json: AsJson = False) -> None:
    """End the cluster: no process of it stays, and no file. What runs on it fails."""
    from qstore_ray.cluster import stop_cluster

    record = stop_cluster()
    if as_json:
        say_json({"stopped": record is not None})
    else:
        note("No cluster runs." if record is None else "The cluster has ended.")


def _say_stale(was_stale: bool) -> None:
    if was_stale:
        note(f"note: {_STALE}")


def _show(record: ClusterRecord | None, as_json: bool, more: dict[str, Any]) -> None:
    if as_json:
        say_json(
            {"running": record is not None, **more, **({} if record is None else asdict(record))}
        )
    elif record is None:
        note("No cluster runs.")
    else:
        say(
            facts(
                (
                    ("address", record.address),
                    ("dashboard", record.dashboard),
                    ("nodes", record.nodes),
                    ("CPUs", record.cpus),
                    ("object store", f"{record.object_store_mb} MiB a node"),
                    ("process", record.pid),
                    ("Ray", record.ray),
                    ("Python", record.python),
                    ("qstore_ray", f"{record.qstore_ray} in {record.code}"),
                )
            )
        )
