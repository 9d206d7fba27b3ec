"""A saved dataset in an object store is read piece by piece, with the bits of the saved one."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.data.read.row_groups import open_rows
from qstore_ray.errors import DataError, StorageError
from qstore_ray.learn.config import ModelConfig
from qstore_ray.storage.address import StorageAddress
from qstore_ray.storage.cloud import CloudObjects, open_objects
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.trainer import QuantumTrainer

N_ROWS, N_FEATURES = 24_000, 8
PCA = [{"name": "standard"}, {"name": "pca", "components": 2}]


def table(folder: Path, n_rows: int, n_features: int, blocks: int, **more: Any) -> Dataset:
    """Rows of a Parquet file of several row groups; the largest part is train."""
    folder.mkdir(exist_ok=True)
    generator = np.random.default_rng(0)
    writer: pq.ParquetWriter | None = None
    for _ in range(blocks):
        x = generator.normal(size=(n_rows // blocks, n_features))
        columns = {f"f{number}": column for number, column in enumerate(x.T)}
        part = pa.table({**columns, "label": (x[:, 0] > 0).astype(int)})
        writer = writer or pq.ParquetWriter(folder / "rows.parquet", part.schema)
        writer.write_table(part, row_group_size=len(part))
    assert writer is not None
    writer.close()
    config = {
        "name": "rows", "source": "local", "columns": {"label": "label"},
        "params": {"path": str(folder / "rows.parquet"), "rows_per_task": n_rows // blocks},
        "split": {"train": 0.9, "test": 0.1}, **more,
    }  # fmt: skip
    return DatasetLoader.load(DatasetConfig.from_dict(config))


@pytest.fixture
def rows(tmp_path: Path) -> Dataset:
    return table(tmp_path / "parts", N_ROWS, N_FEATURES, 8, stream=True, preprocessing=PCA)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes of each range that was read."""
    found: list[int] = []
    real = CloudObjects.read_range

    def counted(objects: CloudObjects, key: str, start: int, end: int) -> bytes:
        found.append(end - start)
        return real(objects, key, start, end)

    monkeypatch.setattr(CloudObjects, "read_range", counted)
    return found


def objects_of(place: str) -> CloudObjects:
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    found = open_objects(StorageAddress("s3", bucket, prefix))
    assert isinstance(found, CloudObjects)
    return found


def test_streamed_rows_have_the_same_bits_and_nothing_is_copied(
    rows: Dataset, bucket: str, stage: Path, read: list[int]
) -> None:
    place = f"{bucket}/rows"
    rows.save(place)
    size = objects_of(place).listing()["train.parquet"].size
    found = Dataset.load(place, stream=True)
    assert found.streamed
    assert found.fingerprint == rows.fingerprint
    known = sum(read)
    assert known < size / 4, "the numbers of the rows, their labels, and what the files hold"
    n_blocks = len(found.plans["train"].tasks)
    assert n_blocks == 8
    found.plans["train"].tasks[3]()
    assert sum(read) - known < 2 * size / n_blocks
    for split in ("train", "test"):
        parts = list(found.parts(split))
        whole = rows.materialize(split)
        assert np.array_equal(np.concatenate([part.x for part in parts]), whole.x)
        assert np.array_equal(np.concatenate([part.y for part in parts]), whole.y)
        assert np.array_equal(found.rows(split), rows.rows(split))
    assert not list(stage.rglob("*.parquet"))
    assert max(read) < size / 4


def test_a_training_that_streams_from_an_address_is_one_that_streams_from_a_folder(
    rows: Dataset, bucket: str, tmp_path: Path
) -> None:
    rows.save(f"{bucket}/rows")
    rows.save(tmp_path / "rows")

    def theta(place: str) -> bytes:
        data = pickle.loads(pickle.dumps(Dataset.load(place, stream=True)))  # as to a worker
        config = TrainerConfig(
            epochs=1, batch_size=6_000, seed=1, num_workers=0, backend_options={"threads": 1}
        )
        trainer = QuantumTrainer(
            ModelConfig(n_qubits=2, layers=1), config,
            name=f"run-{len(place)}", storage=tmp_path / "runs",
            track=TrackConfig(mlflow=False, figures=False),
        )  # fmt: skip
        return trainer.fit(data).model.theta.tobytes()

    assert theta(f"{bucket}/rows") == theta(str(tmp_path / "rows"))


def test_a_block_that_was_changed_is_refused(rows: Dataset, bucket: str, tmp_path: Path) -> None:
    place = f"{bucket}/rows"
    rows.save(place)
    other = DatasetLoader.from_arrays(np.ones((21_600, N_FEATURES)), np.arange(21_600) % 2)
    found = Dataset.load(place, stream=True)
    other.save(tmp_path / "other")
    objects_of(place).put("train.parquet", (tmp_path / "other" / "train.parquet").read_bytes())
    with pytest.raises(DataError):
        list(found.parts("train"))
    objects_of(place).put("train.parquet", b"PAR1 and nothing more")
    with pytest.raises(DataError, match="cannot be read"):
        Dataset.load(place, stream=True)
    objects_of(place).delete("train.parquet")
    with pytest.raises(DataError, match="no such object"):
        list(found.parts("train"))
    with pytest.raises(DataError, match="missing or not what was written"):
        Dataset.load(place, stream=False)


def test_a_service_that_is_away_is_named(
    rows: Dataset, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error of the store comes through Arrow as it is."""
    rows.save(f"{bucket}/rows")
    with open_rows(f"{bucket}/rows/train.parquet") as file:

        def away(*_: object) -> bytes:
            raise StorageError("away")

        monkeypatch.setattr(CloudObjects, "read_range", away)
        with pytest.raises(StorageError, match="away"):
            file.read_row_group(0)


_READER = """
import sys
from pathlib import Path
from qstore_ray.data.read.dataset import Dataset

def peak():  # in MB; of this program alone, unlike ru_maxrss, which begins with its parent's
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024

Dataset.load(sys.argv[2], stream=True)  # all imports, and the sizes that do not depend on the rows
before, rows = peak(), 0
dataset = Dataset.load(sys.argv[1], stream=sys.argv[3] == "stream")
for part in dataset.parts("train"):
    rows += len(part.y)
print(rows, peak() - before)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(bucket: str, tmp_path: Path) -> None:
    """90 MB in 32 blocks: less than 40 MB are held at a time, above what a small dataset takes."""
    table(tmp_path / "small", 6_000, 64, 1, stream=True).save(f"{bucket}/small")
    table(tmp_path / "large", 192_000, 64, 32, stream=True).save(f"{bucket}/large")
    assert objects_of(f"{bucket}/large").listing()["train.parquet"].size > 80e6

    def grown(how: str) -> float:
        command = [sys.executable, "-c", _READER, f"{bucket}/large", f"{bucket}/small", how]
        said = subprocess.run(command, env={**os.environ}, capture_output=True, check=True)
        rows, grown = said.stdout.split()
        assert int(rows) == 172_800
        return float(grown)

    assert grown("stream") < 40
    assert grown("hold") > 80
