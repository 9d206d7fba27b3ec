"""The size of the warm cluster: CPUs over its nodes, and a share of the free shared memory."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.cluster import size
from qstore_ray.cluster.size import LEAST_MB, cluster_size
from qstore_ray.environment import available_cpus
from qstore_ray.errors import ConfigError, ResourceError


@given(nodes=st.integers(1, 4), more=st.integers(0, 9))
def test_all_cpus_are_shared_evenly(nodes: int, more: int):
    cpus = cluster_size(nodes, nodes + more).cpus
    assert len(cpus) == nodes
    assert sum(cpus) == nodes + more
    assert max(cpus) - min(cpus) <= 1
    assert cpus[0] == max(cpus)


def test_without_a_number_the_cpus_are_those_of_this_process_and_one_a_node():
    assert sum(cluster_size().cpus) == available_cpus()
    assert min(cluster_size(available_cpus() + 1).cpus) == 1


@pytest.mark.parametrize(("nodes", "cpus", "field"), [(0, None, "nodes"), (2, 1, "cpus")])
def test_a_cluster_of_nothing_is_an_error(nodes: int, cpus: int | None, field: str):
    with pytest.raises(ConfigError) as caught:
        cluster_size(nodes, cpus)
    assert caught.value.field == field


@pytest.mark.parametrize("free", [64, 400, 10**6])
@pytest.mark.parametrize("nodes", [1, 2])
def test_the_object_stores_leave_half_of_the_shared_memory(monkeypatch, tmp_path, free, nodes):
    monkeypatch.setattr(size, "_SHARED", tmp_path)
    usage = SimpleNamespace(free=free * 2**20)
    monkeypatch.setattr(size.shutil, "disk_usage", lambda folder: usage)
    if free / 2 < LEAST_MB * nodes:
        with pytest.raises(ResourceError, match=f"free {free} MiB"):
            cluster_size(nodes, nodes)
    else:
        store = cluster_size(nodes, nodes).object_store_mb
        assert LEAST_MB <= store <= free / 2 / nodes
