"""The process that has the nodes of the cluster: it starts them, and ends them on SIGTERM.

It leads a session of its own, so that no terminal ends it, and is started by `start.py` with the
settings of Ray and the token in its environment. It ends itself if a node of it has died, or if a
program that cleans the temporary folder has removed what is needed to join it: a cluster that is
broken is not joined.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ray._private import ray_constants
from ray._private.accelerators import get_accelerator_manager_for_resource
from ray.cluster_utils import Cluster

from qstore_ray.cluster.drivers import announce_end
from qstore_ray.cluster.record import ClusterRecord, read_record, write_record
from qstore_ray.cluster.size import ClusterSize
from qstore_ray.cluster.spare import SpareWorkers

if TYPE_CHECKING:
    from ray._private.node import Node

_POLL_SECONDS = 1.0
_NEEDED = (ray_constants.PROCESS_TYPE_GCS_SERVER, ray_constants.PROCESS_TYPE_RAYLET)


def main(folder: Path, cpus: tuple[int, ...]) -> int:
    """Start the cluster of the record in `folder`, and hold it until SIGTERM; the exit code."""
    record = read_record(folder)
    if record is None:
        return 1
    stop = threading.Event()
    _stop_on_sigterm(stop)
    cluster = _started(ClusterSize(cpus, record.object_store_mb), record)
    try:
        _stop_on_sigterm(stop)  # a node has put Ray's own handler there
        write_record(
            folder,
            replace(
                record,
                state="running",
                pid=os.getpid(),
                address=cluster.address,
                dashboard=f"http://{cluster.webui_url}",
            ),
        )
        nodes = cluster.list_all_nodes()  # type: ignore[no-untyped-call]
        spares = [SpareWorkers(*each) for each in zip(nodes, cpus, strict=True)]
        while not stop.wait(_POLL_SECONDS):
            for node in spares:
                node.fill_up()
            if lost := _lost(cluster.list_all_nodes()):  # type: ignore[no-untyped-call]
                sys.stderr.write(f"ended, because the cluster has lost: {', '.join(lost)}\n")
                announce_end(folder)
                return 1
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]
    return 0


def _stop_on_sigterm(stop: threading.Event) -> None:
    signal.signal(signal.SIGTERM, lambda *_: stop.set())


def _started(size: ClusterSize, record: ClusterRecord) -> Cluster:
    store = size.object_store_mb * 2**20
    head, *others = size.cpus
    counting = get_accelerator_manager_for_resource("GPU")
    gpus = counting.get_current_node_num_accelerators() if counting else 0
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": head,
            "num_gpus": gpus,
            "include_dashboard": True,
            "dashboard_port": _dashboard_port(),
            "dashboard_agent_listen_port": 0,  # with its usual one taken, no job is accepted
            "no_monitor": True,  # there is nothing to scale
            "object_store_memory": store,
            "temp_dir": f"{record.temp_dir}/ray",
        },
    )
    for cpus in others:
        cluster.add_node(num_cpus=cpus, object_store_memory=store)
    return cluster


def _dashboard_port() -> int:
    """Ray's usual port, or any free one if it is taken, by another user's Ray for example."""
    with socket.socket() as usual:
        usual.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            usual.bind(("127.0.0.1", ray_constants.DEFAULT_DASHBOARD_PORT))
        except OSError:
            usual.bind(("127.0.0.1", 0))
        port: int = usual.getsockname()[1]
    return port


def _lost(nodes: Iterable[Node]) -> list[str]:
    """The processes that no node can be without, and that have ended, and sockets that are gone."""
    return [
        lost
        for node in nodes
        for lost in (
            *(name for name, _ in node.dead_processes() if name in _NEEDED),  # type: ignore[no-untyped-call]
            *(path for path in (node.raylet_socket_name,) if not Path(path).exists()),
        )
    ]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), tuple(map(int, sys.argv[2].split(",")))))
