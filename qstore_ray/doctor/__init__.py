"""Whether this machine can train: packages, processors, memory, disks, Ray, MLflow.

Every check returns a `Diagnosis` with what to type; none of them starts Ray or leaves a file.

    diagnosis.py  what was found
    packages.py   versions that do not fit, packages that overwrite each other
    machine.py    processors and limits of a container, memory, shared memory, threads
    storage.py    the folder of the runs, MLflow's store
    cluster.py    the address and the token of a Ray cluster, the folder of a warm one
    gpu.py        circuits on the GPU beside the same on the CPU
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from qstore_ray.doctor.cluster import examine_cluster
from qstore_ray.doctor.diagnosis import Diagnosis
from qstore_ray.doctor.machine import examine_machine
from qstore_ray.doctor.packages import examine_packages
from qstore_ray.doctor.storage import examine_storage
from qstore_ray.track.config import TrackConfig

__all__ = ["Diagnosis", "examine"]


def examine(
    storage: str | Path = "runs", track: TrackConfig | None = None, address: str | None = None
) -> Iterator[Diagnosis]:
    """What a training needs of this machine, and whether it is there.

    Args:
        storage: the folder of the runs. track: their trackers.
        address: of a running Ray cluster; None is `RAY_ADDRESS`, or else a Ray of our own.

    Examples:
        assert {each.state for each in examine()} <= {"ok", "note", "fault"}
    """
    yield from examine_packages()
    yield from examine_machine()
    yield from examine_cluster(address)
    yield from examine_storage(storage, track or TrackConfig())
