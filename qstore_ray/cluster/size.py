"""How large a cluster on this machine is: CPUs over its nodes, and shared memory for each."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from qstore_ray.environment import available_cpus
from qstore_ray.errors import ConfigError, ResourceError

_SHARED = Path("/dev/shm")  # noqa: S108 - the folder itself is measured
_SHARE_OF_FREE = 0.5
LEAST_MB, _MOST_MB = 80, 1024


@dataclass(frozen=True, slots=True)
class ClusterSize:
    """The CPUs of each node, the head first, and the object store of each, in MiB."""

    cpus: tuple[int, ...]
    object_store_mb: int


def cluster_size(nodes: int = 1, cpus: int | None = None) -> ClusterSize:
    """The size of a cluster.

    Args:
        nodes: all nodes, with the head.
        cpus: of all nodes together; None is those of this process, and at least one for each node.

    Raises:
        ConfigError: no node, or fewer CPUs than nodes.
        ResourceError: too little shared memory is free.
    """
    if nodes < 1:
        raise ConfigError("must be 1 or more", field="nodes", value=nodes, fix="Give 1.")
    whole = max(available_cpus(), nodes) if cpus is None else cpus
    if whole < nodes:
        raise ConfigError(
            f"each of {nodes} nodes needs a CPU",
            field="cpus",
            value=cpus,
            fix=f"Give {nodes} or more, or fewer nodes.",
        )
    share, rest = divmod(whole, nodes)
    return ClusterSize(tuple(share + (node < rest) for node in range(nodes)), _store(nodes))


def _store(nodes: int) -> int:
    """MiB of a node's object store; they are taken only as they are filled."""
    if not _SHARED.is_dir():  # not on Linux: Ray takes the temporary folder
        return max(LEAST_MB, _MOST_MB // nodes)
    free = shutil.disk_usage(_SHARED).free // 2**20
    each = min(int(free * _SHARE_OF_FREE), _MOST_MB) // nodes
    if each < LEAST_MB:
        raise ResourceError(
            f"each node needs {LEAST_MB} MiB of shared memory, and at most half of the free "
            f"{free} MiB is taken",
            field="nodes",
            value=nodes,
            fix=f"Free some of {os.fspath(_SHARED)}, give the container more of it, or take fewer "
            "nodes.",
        )
    return each
