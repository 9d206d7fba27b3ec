"""A warm Ray cluster on this machine: started once, joined by every training until it is stopped.

    record.py      the record and the token, in a folder of the user's state
    address.py     the address of any cluster, as a user gives it
    processes.py   the processes of this machine, and which of them are the cluster's
    variables.py   whether its workers reach an object store as this process does
    size.py        nodes, CPUs and shared memory
    supervisor.py  the process that starts the nodes and ends them
    drivers.py     the drivers that have joined, which leave before the cluster ends
    spare.py       workers that have been started already, for the next training
    start.py       `start_cluster`; begin here
    find.py        `find_cluster`: whether one runs that this process can join
    stop.py        `stop_cluster`, and what is removed after it

It listens on the loopback address only and answers only to its token, which is in no argument list,
output or log. Training, search and prediction join it by themselves (`train/ray/session.py`).
"""

from __future__ import annotations

from qstore_ray.cluster.find import find_cluster
from qstore_ray.cluster.record import ClusterRecord
from qstore_ray.cluster.start import start_cluster
from qstore_ray.cluster.stop import stop_cluster

__all__ = ["ClusterRecord", "find_cluster", "start_cluster", "stop_cluster"]
