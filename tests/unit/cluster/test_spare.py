"""Workers that have been started already: as many as a node has CPUs, once no job runs there."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from ray import JobID
from ray.core.generated.common_pb2 import DRIVER, SPILL_WORKER, WORKER, CoreWorkerStats

from qstore_ray.cluster.spare import missing_spares

FREE = CoreWorkerStats(worker_type=WORKER, job_id=JobID.nil().binary())
BUSY = CoreWorkerStats(worker_type=WORKER, job_id=JobID.from_int(7).binary())
OTHERS = [
    CoreWorkerStats(worker_type=DRIVER, job_id=JobID.from_int(7).binary()),
    CoreWorkerStats(worker_type=SPILL_WORKER, job_id=JobID.nil().binary()),
]


@given(cpus=st.integers(1, 8), free=st.integers(0, 9), others=st.booleans())
def test_a_node_without_a_job_gets_as_many_workers_as_cpus(cpus: int, free: int, others: bool):
    missing = missing_spares([FREE] * free + OTHERS * others, cpus)
    assert missing >= 0
    assert max(free, cpus) == free + missing


@given(cpus=st.integers(1, 8), free=st.integers(0, 9))
def test_a_node_with_workers_of_a_job_gets_none(cpus: int, free: int):
    assert missing_spares([FREE] * free + [BUSY], cpus) == 0
