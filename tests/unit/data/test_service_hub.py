"""A table that the service imports from the hub keeps what its columns mean."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qstore_ray.data.columns import Column, TableSchema
from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.service.client.client import DatasetServiceClient
from qstore_ray.data.service.records import HubImport, table_of
from qstore_ray.data.sources.base import SourceData, array_tasks
from qstore_ray.errors import ServiceError
from tests.dataset_service import running

TOWNS = Column("town", "category", ("Bonn", "Köln", "Ulm"))
SMOKER, AGE = Column("smoker", "boolean"), Column("age")
X = np.column_stack([np.arange(24) % 3, np.arange(24) % 2, np.linspace(20.0, 60.0, 24)])
Y = np.array(["no", "yes"] * 12)


def _read(*_: object) -> SourceData:
    return SourceData(
        tasks=array_tasks(X, Y, rows_per_task=5),
        feature_names=("town", "smoker", "age"),
        table=TableSchema((TOWNS, SMOKER, AGE), label="y", label_kind="text"),
    )


@pytest.mark.parametrize("chosen", [None, ("age", "town")])
def test_categories_are_categories_whichever_columns_are_chosen(tmp_path: Path, chosen):
    with running(tmp_path / "service", read_hub=_read) as url:
        client = DatasetServiceClient(url)
        asked = HubImport(dataset_name="a/b", name="hub", feature_columns=chosen)
        record = client.get(client.wait(client.import_hub(asked), pause=0.01).dataset_id)
        dataset = DatasetLoader.load(
            DatasetConfig(
                name="hub",
                source="backend_api",
                params={"dataset_id": record.id, "base_url": url},
                cache_dir=str(tmp_path / "cache"),
            )
        )
    table = table_of(record)
    assert table is not None
    assert table.features == ((TOWNS, SMOKER, AGE) if chosen is None else (AGE, TOWNS))
    assert table.left_out == (() if chosen is None else (("smoker", "not asked for"),))
    one_hot = dataset.materialize("train").x
    assert one_hot.shape[1] == (5 if chosen is None else 4)
    towns = one_hot[:, :3] if chosen is None else one_hot[:, 1:]
    np.testing.assert_array_equal(np.sort(towns, axis=1), [[0.0, 0.0, 1.0]] * len(towns))


def test_the_bound_is_on_all_rows_together(tmp_path: Path):
    needed = X.nbytes + Y.nbytes
    for most, fits in ((needed, True), (needed - 1, False)):
        folder = tmp_path / str(most)
        with running(folder, read_hub=_read, max_array_bytes=most) as url:
            client = DatasetServiceClient(url)
            job = client.import_hub(HubImport(dataset_name="a/b", name="hub"))
            if fits:
                assert client.wait(job, pause=0.01).result == {"num_samples": 24}
            else:
                with pytest.raises(ServiceError, match="unpack to more than"):
                    client.wait(job, pause=0.01)
