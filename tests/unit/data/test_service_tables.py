"""Tables in the dataset service: read as local files are, to the last bit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.service.client.client import DatasetServiceClient
from qstore_ray.data.service.records import DatasetRecord, table_of
from qstore_ray.data.service.server.blobs import Blobs
from qstore_ray.data.sources.base import ColumnsConfig
from qstore_ray.errors import DataError, QStoreError
from tests.dataset_service import running

WRITERS = {
    "csv": lambda frame, path: frame.to_csv(path, index=False),
    "parquet": lambda frame, path: frame.to_parquet(path, index=False),
    "jsonl": lambda frame, path: frame.to_json(path, orient="records", lines=True),
}


def _frame() -> pd.DataFrame:
    n = 40
    return pd.DataFrame(
        {
            "customer_id": np.arange(n),
            "größe in cm": np.linspace(0.0, 3.0, n),
            "town": ["Ulm", "Bonn", "Köln", "Ulm"] * 10,
            "smoker": [True, False] * 20,
            "age": [None if k % 7 == 3 else float(k) for k in range(n)],
            "species": ["setosa", "virginica", "setosa", "other"] * 10,
        }
    )


def _load(source: str, params: dict, cache: Path, **columns):
    config = DatasetConfig(
        name="rows",
        source=source,
        params=params,
        columns=columns or None,
        preprocessing=[{"name": "impute"}],
        **({"cache_dir": str(cache)} if source == "backend_api" else {}),
    )
    return DatasetLoader.load(config)


@pytest.mark.parametrize("form", WRITERS)
def test_a_table_of_the_service_is_the_table_of_the_file(tmp_path: Path, form: str):
    path = tmp_path / f"rows.{form}"
    WRITERS[form](_frame(), path)
    local = _load("local", {"path": str(path)}, tmp_path, label="species")
    with running(tmp_path / "service") as url:
        record = DatasetServiceClient(url).upload(path, "rows", label="species")
        remote = _load("backend_api", {"dataset_id": record.id, "base_url": url}, tmp_path / "c")
    for split in ("train", "val", "test"):
        ours, theirs = remote.materialize(split), local.materialize(split)
        np.testing.assert_array_equal(ours.x, theirs.x)
        np.testing.assert_array_equal(ours.y, theirs.y)
    assert remote.classes == local.classes
    assert remote.schema == local.schema
    assert "left out: customer_id (numbers the rows)" in remote.describe()


def test_the_job_chooses_among_the_columns(tmp_path: Path):
    path = tmp_path / "rows.csv"
    _frame().to_csv(path, index=False)
    with running(tmp_path / "service") as url:
        record = DatasetServiceClient(url).upload(path, "rows", label="species")
        params = {"dataset_id": record.id, "base_url": url}
        for chosen in ({"features": ["town", "age"]}, {"exclude": ["smoker"]}):
            ours = _load("backend_api", params, tmp_path / "c", encoding="ordinal", **chosen)
            theirs = _load(
                "local",
                {"path": str(path)},
                tmp_path,
                label="species",
                encoding="ordinal",
                **(
                    chosen | {"exclude": ["smoker", "customer_id"]}
                    if "exclude" in chosen
                    else chosen
                ),
            )
            assert ours.schema.feature_names == theirs.schema.feature_names
            np.testing.assert_array_equal(
                ours.materialize("train").x, theirs.materialize("train").x
            )
        with pytest.raises(QStoreError, match="nowhere"):
            _load("backend_api", params, tmp_path / "c", features=["nowhere"])


def test_columns_cross_with_the_upload(tmp_path: Path):
    path = tmp_path / "rows.parquet"
    _frame().to_parquet(path, index=False)
    asked = ColumnsConfig(label="species", exclude=("age",), categories=("customer_id",))
    with running(tmp_path / "service") as url:
        client = DatasetServiceClient(url)
        table = table_of(client.upload(path, "rows", columns=asked))
        assert table is not None
        assert ("age", "excluded") in table.left_out
        assert len(table.features[table.names.index("customer_id")].categories) == 40
        with pytest.raises(QStoreError, match="keeps no groups"):
            client.upload(path, "rows", columns=ColumnsConfig(label="species", group="town"))
        with pytest.raises(QStoreError, match="keeps no weights"):
            client.upload(path, "rows", columns=ColumnsConfig(label="species", weight="age"))


def test_missing_values_are_none_in_json(tmp_path: Path):
    path = tmp_path / "rows.csv"
    _frame().to_csv(path, index=False)
    with running(tmp_path / "service") as url:
        client = DatasetServiceClient(url)
        record = client.upload(path, "rows", label="species")
        place = record.feature_names.index("age")
        assert client.preview(record.id).x[3][place] is None
        assert client.statistics(record.id)["train"].features.max[place] == 39.0
        file = client.download(record.id, folder=tmp_path, format="json")
        assert json.loads(file.read_text())["x"][3][place] is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty|no rows|nothing"),
        ("a,b\n1,2\n", "label"),
        ("a,y\n" + "".join(f"t{k},{k % 2}\n" for k in range(200)), "categories|different"),
        ("a,y\n1,0\n2,\n3,1\n", "no label"),
        ("a,a,y\n1,2,0\n3,4,1\n", "twice|same name"),
    ],
)
def test_what_the_reader_refuses_the_service_refuses(tmp_path: Path, text: str, message: str):
    path = tmp_path / "rows.csv"
    path.write_text(text)
    with running(tmp_path / "service") as url:
        client = DatasetServiceClient(url)
        with pytest.raises(DataError, match=message) as caught:
            client.upload(path, "rows")
        assert str(tmp_path / "service") not in str(caught.value)
        assert not list(client.datasets())


def test_a_record_without_a_table_still_opens():
    record = DatasetRecord(id="0123456789abcdef", name="rows")
    before = {k: v for k, v in record.model_dump(mode="json").items() if k != "table"}
    assert table_of(DatasetRecord.model_validate(before)) is None
    with pytest.raises(DataError, match="what its columns mean"):
        table_of(record.model_copy(update={"table": {"features": 3}}))


def test_what_a_killed_server_left_of_a_table_goes(tmp_path: Path):
    (tmp_path / ".part-x").mkdir()
    (tmp_path / ".part-x" / "body.csv").write_text("a,y")
    Blobs(tmp_path)
    assert not list(tmp_path.iterdir())
