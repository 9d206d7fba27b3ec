"""Predicting on Ray: the bits of this process, in any batches and on any number of actors."""

from __future__ import annotations

import numpy as np
import pytest

from qstore_ray.data.columns import Column, TableSchema
from qstore_ray.data.inputs.signature import Signature
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import DataError, UsageError
from qstore_ray.train.ray.predict import predict_rows
from tests.trained_models import N, made, rows

MODEL = made(observables="z+zz", steps=[{"name": "standard"}])


@pytest.mark.parametrize(("workers", "batch_size"), [(1, 1000), (2, 7)])
def test_raw_rows_in_their_order(ray_cluster, workers: int, batch_size: int):
    raw = rows(101, N, seed=2)
    found = predict_rows(MODEL, raw, num_workers=workers, batch_size=batch_size)
    expected = MODEL.predictions(raw)
    assert found["prediction"].tolist() == expected["prediction"].tolist()
    assert found["probability"].tobytes() == expected["probability"].tobytes()


def test_a_split_of_a_dataset_and_a_ray_dataset(ray_cluster):
    x = rows(60, N, seed=3)
    split = {"train": 0.5, "test": 0.5}
    data = DatasetLoader.from_arrays(x, [0, 1, 2] * 20, split=split)
    found = MODEL.predict_dataset(data, "test", num_workers=1, batch_size=11).to_pandas()
    order = np.argsort(found["row"].to_numpy())
    expected = MODEL.predictions(data.materialize("test").x, prepared=True)
    assert found["prediction"].to_numpy()[order].tolist() == expected["prediction"].tolist()
    assert np.stack(found["probability"])[order].tobytes() == expected["probability"].tobytes()
    assert {"y", "row"} <= set(found.columns)
    assert "x" not in found.columns

    import ray.data

    raw = ray.data.from_items([{"x": row, "id": i} for i, row in enumerate(x)])
    again = MODEL.predict_dataset(raw, num_workers=2, batch_size=16).to_pandas().sort_values("id")
    assert again["prediction"].tolist() == MODEL.predict(x).tolist()


def test_what_cannot_be_predicted_is_our_error(ray_cluster):
    import ray.data

    with pytest.raises(DataError, match="5 features, 3 are expected"):
        predict_rows(MODEL, rows(9, 5), num_workers=1)
    raw = rows(3000, N)
    raw[2057, 1] = np.nan
    with pytest.raises(DataError, match="column 1, first in row 2057"):
        predict_rows(MODEL, raw, num_workers=1)
    with pytest.raises(UsageError) as caught:
        predict_rows(MODEL, rows(9, N), num_workers=0)
    assert (caught.value.field, caught.value.value) == ("num_workers", 0)
    with pytest.raises(DataError) as refused:
        MODEL.predict_dataset(ray.data.from_items([{"z": 1}]))
    assert (refused.value.field, refused.value.value) == ("rows", ["z"])
    assert "map_batches" in refused.value.fix


def test_columns_are_found_by_their_names(ray_cluster):
    import ray.data

    named = made(signature=Signature(N, TableSchema(tuple(map(Column, "abc")))))
    x = rows(20, N, seed=5)
    columns = {"c": x[:, 2], "id": np.arange(20), "a": x[:, 0], "b": x[:, 1]}
    found = named.predict_dataset(
        ray.data.from_items([{n: v[i] for n, v in columns.items()} for i in range(20)]),
        batch_size=7,
    ).to_pandas()
    assert set(found.columns) == {"id", "prediction", "probability"}
    found = found.sort_values("id")
    assert found["prediction"].tolist() == named.predict(x).tolist()
    again = predict_rows(named, columns, num_workers=1)
    assert again["prediction"].tolist() == named.predict(x).tolist()
    with pytest.raises(DataError, match="1 of the model's 3 features are missing: b"):
        named.predict_dataset(ray.data.from_items([{"a": 1.0, "c": 1.0}]))
