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
    nodes: Annotated[
        int | None, typer.Option(metavar="N", help="Nodes, with the head; without it 1.")
    ] = None,
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

    started = start_cluster(1 if nodes is None else nodes, cpus)
    _say_stale(started.was_stale)
    if not started.new:
        note(_already(started.record, nodes, cpus))
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


def _already(record: ClusterRecord, nodes: int | None, cpus: int | None) -> str:
    """What is said of a cluster that runs, which may have another size than what was typed."""
    size = f"{record.nodes} node{'s' * (record.nodes != 1)} and {record.cpus} CPUs"
    said = f"The cluster runs already, with {size}."
    if nodes in (None, record.nodes) and cpus in (None, record.cpus):
        return said
    typed = {"--nodes": nodes, "--cpus": cpus}
    options = [f"{name} {number}" for name, number in typed.items() if number is not None]
    up = " ".join(["qstore cluster up", *options])
    return f"{said} For another size: qstore cluster down, then {up}."


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
