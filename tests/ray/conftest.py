"""One small Ray cluster for this folder, started in this process's name and gone afterwards.

A start takes about ten seconds of processor time, so all tests share it; those that kill a cluster,
or look at what one leaves behind, start their own in another process.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
OBJECT_STORE_BYTES = 200 * 1024**2
LONGEST_SECONDS = 400


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies in this folder: `-m "not ray"` runs everything else."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.ray)
            # Workers start and start again, perhaps beside two other processes full of tests.
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(LONGEST_SECONDS))


@pytest.fixture(scope="package")
def ray_cluster() -> Iterator[None]:
    """A local cluster of 2 CPUs without a dashboard, and of 2 GPUs that nobody looks for.

    "local" never joins a cluster that happens to run on this machine. The session folder has a
    short path of its own, because Ray puts Unix sockets in it (at most 107 characters).
    """
    import ray

    folder = tempfile.mkdtemp(prefix="ray-")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)  # Ray would refuse more than it names
        ray.init(
            "local",
            num_cpus=2,
            num_gpus=2,
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            log_to_driver=False,
            _temp_dir=folder,
        )
    try:
        yield
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
