"""Every row to one client, by the seed alone; skew as the distribution says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import ConfigError, DataError, QStoreError
from qstore_ray.federated.partitions import PartitionConfig, by_value, partition
from qstore_ray.federated.rows import divide, shard_table

Y = np.random.default_rng(0).integers(0, 10, 1000)


@settings(max_examples=40)
@given(st.sampled_from(["iid", "dirichlet", "quantity"]), st.integers(1, 20), st.integers(0, 1000))
def test_every_row_goes_to_exactly_one_client_and_the_seed_decides(kind, clients, seed):
    config = PartitionConfig(kind=kind, clients=clients, seed=seed, fewest_rows=1)
    parts = partition(config, Y)
    assert len(parts) == clients
    assert sorted(np.concatenate(parts).tolist()) == list(range(1000))
    assert min(map(len, parts)) >= 1
    again = partition(config, Y)
    assert [p.tolist() for p in parts] == [p.tolist() for p in again]
    if clients > 1:
        other = partition(config.model_copy(update={"seed": seed + 1}), Y)
        assert [p.tolist() for p in parts] != [p.tolist() for p in other]


@pytest.mark.parametrize(("alpha", "classes"), [(0.1, 4.1), (0.5, 7.9), (1.0, 9.3), (100.0, 10.0)])
def test_dirichlet_leaves_as_many_classes_as_it_should(alpha, classes):
    found = []
    for seed in range(20):
        config = PartitionConfig(kind="dirichlet", alpha=alpha, seed=seed, fewest_rows=1)
        found += [len(np.unique(Y[rows])) for rows in partition(config, Y)]
    assert np.mean(found) == pytest.approx(classes, abs=0.7)


def test_an_even_division_is_even_and_a_skewed_one_is_not():
    even = list(map(len, partition(PartitionConfig(clients=7), Y)))
    assert max(even) - min(even) <= 1
    skewed = PartitionConfig(kind="quantity", clients=7, alpha=0.5)
    sizes = list(map(len, partition(skewed, Y)))
    assert max(sizes) > 3 * min(sizes)
    assert min(sizes) >= 10


def test_draws_are_capped_and_the_error_says_what_was_reached():
    config = PartitionConfig(kind="dirichlet", alpha=0.01, clients=40, draws=5)
    with pytest.raises(DataError, match="in 5 draws some client always had fewer") as error:
        partition(config, Y)
    assert "Raise alpha" in error.value.fix


def test_too_few_rows_and_targets_that_are_no_classes_are_refused():
    with pytest.raises(DataError, match="too few for 200 clients"):
        partition(PartitionConfig(clients=200), Y)
    with pytest.raises(DataError, match="needs one class"):
        partition(PartitionConfig(kind="dirichlet"), Y.astype(float))
    with pytest.raises(ConfigError, match="no alpha"):
        PartitionConfig(kind="iid", alpha=0.1)


def test_by_value_is_a_client_for_each_value():
    found = by_value(["b/1", "a/2", "b/1"])
    assert {name: rows.tolist() for name, rows in found.items()} == {"a/2": [1], "b/1": [0, 2]}
    with pytest.raises(DataError, match="look the same"):
        by_value(np.array(["1", 1], dtype=object))


def test_a_dataset_is_divided_and_its_shards_are_counted():
    x = np.random.default_rng(0).normal(size=(300, 2))
    dataset = DatasetLoader.from_arrays(x, (x[:, 0] > 0).astype(int))
    clients = divide(dataset, PartitionConfig(clients=11))
    assert list(clients)[:2] == ["client-00", "client-01"]
    table = shard_table(clients)
    n_train = len(dataset.labels("train"))
    assert sum(counts.sum() for counts in table.values()) == n_train
    assert {len(counts) for counts in table.values()} == {2}


# ---------------------------------------------------------------------------- by a column's values


@pytest.fixture
def visits(tmp_path):
    """A table of three hospitals, of which one has few rows."""
    generator = np.random.default_rng(0)
    names = [f"h{i % 2}" for i in range(50)] + ["h2"] * 3
    lines = [
        f"{name},{a},{b},{'yes' if a > 0 else 'no'}\n"
        for name, (a, b) in zip(names, generator.normal(size=(53, 2)), strict=True)
    ]
    path = tmp_path / "visits.csv"
    path.write_text("hospital,width,length,label\n" + "".join(lines))
    return DatasetLoader.load(
        DatasetConfig(
            name="visits", source="local", params={"path": str(path)},
            columns={"label": "label", "features": ["width", "length"]},
            split={"train": 1.0}, preprocessing=[{"name": "standard"}],
        )
    )  # fmt: skip


def test_rows_are_divided_by_a_column_that_is_no_feature(visits):
    found = divide(visits, PartitionConfig(kind="by_value", column="hospital", fewest_rows=3))
    assert {name: len(rows.x) for name, rows in found.items()} == {"h0": 25, "h1": 25, "h2": 3}
    x, y = visits.materialize("train")
    place = {int(row): n for n, row in enumerate(visits.rows("train"))}
    first = [place[row] for row in range(0, 50, 2)]
    assert found["h0"].x.tobytes() == x[sorted(first)].tobytes()
    assert found["h0"].y.tolist() == y[sorted(first)].tolist()


@pytest.mark.parametrize("options", [{}, {"kind": "by_value", "column": "town"},
                                     {"kind": "quantity", "alpha": 2.0, "clients": 3}])  # fmt: skip
def test_a_partition_is_read_back_as_it_was_written(options):
    config = PartitionConfig(**options)
    assert PartitionConfig.from_dict(config.to_dict()) == config


def test_a_value_with_few_rows_a_missing_column_and_a_column_alone_are_refused(visits):
    with pytest.raises(DataError, match="h2 has 3 rows"):
        divide(visits, PartitionConfig(kind="by_value", column="hospital"))
    with pytest.raises(QStoreError):
        divide(visits, PartitionConfig(kind="by_value", column="town"))
    for wrong in ({"kind": "by_value"}, {"column": "hospital"},
                  {"kind": "by_value", "column": "hospital", "clients": 3}):  # fmt: skip
        with pytest.raises(ConfigError):
            PartitionConfig(**wrong)
