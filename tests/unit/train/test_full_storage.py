"""Storage that becomes full: the error says so, the run is recorded, and nothing is lost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import QStoreError
from qstore_ray.learn.config import ModelConfig
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.run.writing import read_run_record
from qstore_ray.train.trainer import QuantumTrainer


@pytest.fixture
def small(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of so many kilobytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    size = f"size={request.param}k"
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("a small file system needs the right to mount one")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def _trainer(storage: Path, **track) -> QuantumTrainer:
    return QuantumTrainer(
        ModelConfig(n_qubits=2, layers=1),
        TrainerConfig(epochs=6, batch_size=20),
        name="run",
        storage=storage,
        track=TrackConfig(figures=False, **track),
    )


def _data():
    x = np.linspace(0.0, 1.0, 120).reshape(60, 2)
    return DatasetLoader.from_arrays(x=x, y=(x[:, 0] > 0.5).astype(int))


@pytest.mark.parametrize("small", [16, 24, 32, 40, 48], indirect=True)
def test_a_full_disk_is_named_and_the_run_resumes_once_there_is_room(small: Path):
    """Also if it is full from the start: the run is recorded as failed, never as running."""
    (small / "other").write_bytes(bytes(4096))
    with pytest.raises(QStoreError, match=r"(?i)space|full") as caught:
        _trainer(small, mlflow=False).fit(_data())
    assert "ree some space" in str(caught.value.fix)
    if (small / "run" / "run.json").exists():
        assert read_run_record(small / "run")["status"] == "failed"
    subprocess.run(["mount", "-o", "remount,size=4m", str(small)], check=True)
    existing = "resume" if (small / "run" / "run.json").exists() else "error"
    resumed = _trainer(small, mlflow=False).fit(_data(), existing=existing)
    whole = _trainer(small.parent, mlflow=False).fit(_data())
    assert resumed.model.theta.tobytes() == whole.model.theta.tobytes()


@pytest.mark.parametrize("small", [4096], indirect=True)
def test_storage_that_may_not_be_written_to_is_no_full_disk(small: Path):
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
    with pytest.raises(QStoreError) as caught:
        _trainer(small, mlflow=False).fit(_data())
    assert "space" not in str(caught.value)
    assert "read-only" in str(caught.value).lower()


AFTERWARDS = """
import sys, warnings
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from tests.unit.train.test_full_storage import _data, _trainer
from qstore_ray.errors import QStoreError
small, large = Path(sys.argv[1]), Path(sys.argv[2])
try:
    _trainer(small).fit(_data())
except QStoreError:
    pass
(small / "filler").unlink()
result = _trainer(large).fit(_data())
import mlflow
client = mlflow.MlflowClient(f"sqlite:///{large}/mlflow.db")
run = client.get_run((result.run_dir / "mlflow_run_id").read_text().strip())
assert run.info.status == "FINISHED", run.info.status
"""


@pytest.mark.parametrize("small", [300], indirect=True)
def test_a_later_run_of_the_same_process_is_tracked(small: Path, repository: Path):
    (small / "filler").write_bytes(bytes(60_000))
    large = small.parent / "large"
    large.mkdir()
    subprocess.run(
        [sys.executable, "-c", AFTERWARDS, str(small), str(large), str(repository)],
        check=True, cwd=small.parent, timeout=300,
    )  # fmt: skip
