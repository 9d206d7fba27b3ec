"""A warm cluster that was started without the keys of an object store is named before a run."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from qstore_ray.cluster.record import ClusterRecord
from qstore_ray.cluster.variables import check_variables
from qstore_ray.errors import BackendError
from qstore_ray.storage.address import StorageAddress
from tests.unit.cluster.test_record import record, started

__all__ = ["record"]  # a fixture
KEYS = {"AWS_ACCESS_KEY_ID": "an-id", "AWS_SECRET_ACCESS_KEY": "hidden", "AWS_REGION": "eu-1"}


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="the system does not say")
def test_other_variables_than_the_clusters_are_named_without_their_values(
    record: ClusterRecord, monkeypatch: pytest.MonkeyPatch
):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    plain = dict(os.environ)
    words = [sys.executable, "-c", "import time; time.sleep(600)", "of-the-cluster"]
    process = started(words, env={**plain, **KEYS})
    running, address = replace(record, pid=process.pid), StorageAddress("s3", "bucket", "runs")
    try:
        for name, value in KEYS.items():
            with pytest.raises(BackendError, match=name) as caught:
                check_variables(running, address)
            monkeypatch.setenv(name, value)
        assert "hidden" not in str(caught.value)
        assert "stop_cluster()" in caught.value.fix
        check_variables(running, address)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "renewed")
        with pytest.raises(BackendError, match="other values of AWS_SECRET_ACCESS_KEY,"):
            check_variables(running, address)
        check_variables(running, StorageAddress("gs", "bucket"))
    finally:
        process.kill()
        process.wait()
    check_variables(replace(record, pid=2**22 + 1), address)  # nobody knows
