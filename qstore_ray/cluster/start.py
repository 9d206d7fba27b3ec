"""Starting the cluster: a supervisor in a session of its own, which outlives this process."""

from __future__ import annotations

import os
import site
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

from qstore_ray.cluster.find import LOOPBACK, WORKER_SETTINGS, check_software, find_locked
from qstore_ray.cluster.processes import SUPERVISOR, cluster_folder, wait_until
from qstore_ray.cluster.record import (
    LOG,
    ClusterRecord,
    boot_id,
    folder_locked,
    make_folder,
    package_root,
    read_record,
    software,
    state_folder,
    write_record,
)
from qstore_ray.cluster.size import ClusterSize, cluster_size
from qstore_ray.cluster.stop import sweep
from qstore_ray.errors import BackendError

_SECONDS = 120.0
_LONGEST_FOLDER = 32
"""Ray's sockets lie below it, and the path of a socket may have 107 characters."""

SETTINGS = {
    **WORKER_SETTINGS,
    **LOOPBACK,
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    # The first training finds workers; `spare.py` starts those for the next one.
    "RAY_enable_worker_prestart": "1",
}
"""Settings of Ray in all processes of the cluster, beside the token and the folder."""


class Started(NamedTuple):
    """A cluster that runs, whether it was started now, and whether a dead one was removed."""

    record: ClusterRecord
    new: bool
    was_stale: bool


def start_cluster(nodes: int = 1, cpus: int | None = None) -> Started:
    """Start a Ray cluster on this machine, unless it runs; trainings join it by themselves.

    It listens on the loopback address only, answers only to its token, and stays until
    `stop_cluster` is called or the machine is shut down.

    Args:
        nodes: all nodes, with the head.
        cpus: of all nodes together; None is those of this process, and at least one for each node.

    Raises:
        ConfigError: no node, or fewer CPUs than nodes.
        ResourceError: too little shared memory is free.
        BackendError: it does not start, or one of other versions runs.
    """
    size = cluster_size(nodes, cpus)
    with folder_locked(state_folder()):
        folder = cluster_folder()
        record, was_stale = find_locked(folder)
        if record is not None:
            check_software(record)
            return Started(record, new=False, was_stale=was_stale)
        folder = state_folder()
        folder.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as unless_started:
            unless_started.callback(sweep, folder)
            record = _start(folder, size)
            unless_started.pop_all()
        return Started(record, new=True, was_stale=was_stale)


def _start(folder: Path, size: ClusterSize) -> ClusterRecord:
    token = make_folder(folder)
    record = ClusterRecord(
        state="starting",
        address="",
        dashboard="",
        pid=0,
        nodes=len(size.cpus),
        cpus=sum(size.cpus),
        object_store_mb=size.object_store_mb,
        temp_dir=_temporary_folder(),
        **asdict(software()),
        boot=boot_id(),
    )
    write_record(folder, record)
    # The folder of Ray, too, by which the process is found if this one ends right here.
    words = [str(folder), ",".join(map(str, size.cpus)), f"{record.temp_dir}/ray"]
    command = [sys.executable, "-m", SUPERVISOR, *words]
    with (folder / LOG).open("wb") as log:
        supervisor = subprocess.Popen(  # noqa: S603 - this program
            command,
            env=_environment(token, record.temp_dir),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    write_record(folder, replace(record, pid=supervisor.pid))
    return _ready(folder, supervisor)


def _environment(token: str, temp_dir: str) -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "__RAY"))
    }
    paths = [os.path.abspath(path) for path in kept.get("PYTHONPATH", "").split(os.pathsep) if path]  # noqa: PTH100
    root = str(package_root())
    if root not in {*site.getsitepackages(), site.getusersitepackages()}:
        paths.insert(0, root)  # a checkout that is not installed
    # The folder holds Ray's own note of the newest address, too: that of another Ray stays.
    own = {"RAY_AUTH_TOKEN": token, "RAY_TMPDIR": temp_dir}
    python = {"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))} if paths else {}
    return {**kept, **SETTINGS, **own, **python}


def _temporary_folder() -> str:
    usual = tempfile.gettempdir()
    return tempfile.mkdtemp(prefix="qr-", dir=usual if len(usual) <= _LONGEST_FOLDER else "/tmp")  # noqa: S108


def _ready(folder: Path, supervisor: subprocess.Popen[bytes]) -> ClusterRecord:
    found: list[ClusterRecord] = []

    def is_over() -> bool:
        record = read_record(folder)
        if record is not None and record.state == "running":
            found.append(record)
        return bool(found) or supervisor.poll() is not None

    over = wait_until(is_over, _SECONDS)
    if found:
        return found[-1]
    said = (folder / LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    why = said[-1] if over and said else f"it was not ready after {_SECONDS:g} s"
    raise BackendError(
        f"the cluster does not start: {why}",
        field="cluster",
        fix="Check the temporary folder and the free memory.",
    )
