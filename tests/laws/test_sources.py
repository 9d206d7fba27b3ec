"""Every source against the laws of a source: the rows do not depend on who reads them, or how."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from huggingface_hub import constants

from qstore_ray.config import Config
from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.prepare.prepare import Preparation
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.data.sources.base import SourceAdapter, SourceData
from tests.blocks import in_order
from tests.hub_stand_in import HubStandIn, parquet, png
from tests.keras_cache import WRITERS
from tests.local_files import OFFICIAL, PICTURES, TABLES, write_all
from tests.real_digits import digits

CHAIN = [{"name": "standard"}, {"name": "pca", "components": 2}, {"name": "minmax"}]


class ArrowParams(Config):
    layout: str
    rows_per_task: int = 65_536


@dataclass(frozen=True)
class ArrowTask:
    """Rows start … stop of a table whose content is a function of the row number alone."""

    layout: str
    start: int
    stop: int

    def __call__(self) -> pa.Table:
        row = np.arange(self.start, self.stop)
        x = np.stack([np.sin(row), np.cos(row), row % 7 / 7], axis=1)
        columns = {
            "list": pa.array(x.tolist()),
            "fixed": pa.FixedSizeListArray.from_arrays(x.ravel(), 3),
            "tensor": pa.FixedShapeTensorArray.from_numpy_ndarray(x),
        }
        y = pa.array([("even", "odd")[r % 2] for r in row])
        if self.layout == "tensor":
            y = y.dictionary_encode()
        return pa.table({"x": columns[self.layout], "y": y, "row": row})


class ArrowAdapter(SourceAdapter[ArrowParams]):
    Params = ArrowParams

    def read(self, params, config):
        step = params.rows_per_task
        main = tuple(ArrowTask(params.layout, s, min(s + step, 60)) for s in range(0, 60, step))
        return SourceData(tasks=main, official={"test": (ArrowTask(params.layout, 60, 75),)})


DatasetLoader.register("arrow-for-tests", ArrowAdapter)


class Member(NamedTuple):
    """A dataset; `load(folder, rows_per_task, **fields)` with any fields of its configuration."""

    name: str
    load: Callable[..., Dataset]
    official: tuple[str, ...] = ()


def _from_config(source: str, params: dict[str, Any], **fields: Any) -> Callable[..., Dataset]:
    def load(folder: Path, rows_per_task: int, **more: Any) -> Dataset:
        filled = {k: str(folder / v) if k.endswith("path") else v for k, v in params.items()}
        filled["rows_per_task"] = rows_per_task
        return DatasetLoader.load(
            DatasetConfig(name="law", source=source, params=filled, **{**fields, **more})
        )

    return load


def _from_keras(name: str) -> Callable[..., Dataset]:
    def load(folder: Path, rows_per_task: int, **more: Any) -> Dataset:
        hashes = json.loads((folder / "keras" / "hashes.json").read_text())[name]
        params = {"dataset": name, "sha256": hashes, "rows_per_task": rows_per_task}
        cache = str(folder / "keras")
        config = DatasetConfig(name="law", source="keras", params=params, cache_dir=cache, **more)
        return DatasetLoader.load(config)

    return load


def _from_hub(**params: Any) -> Callable[..., Dataset]:
    def load(folder: Path, rows_per_task: int, **more: Any) -> Dataset:
        filled = {"path": "me/digits", "rows_per_task": rows_per_task, **params}
        cache = str(folder / "hub")
        return DatasetLoader.load(
            DatasetConfig(name="law", source="huggingface", params=filled, cache_dir=cache, **more)
        )

    return load


def _from_arrays(**parts: Any) -> Callable[..., Dataset]:
    def load(folder: Path, rows_per_task: int, **more: Any) -> Dataset:
        return DatasetLoader.from_arrays(**parts, rows_per_task=rows_per_task, **more)

    return load


def _images(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 4, 3), dtype=np.uint8)


REGRESSION: dict[str, Any] = {"task": "regression"}
MEMBERS = [
    *(
        Member(name, _from_config("sklearn", {"dataset": name}, preprocessing=CHAIN))
        for name in ("digits", "iris", "wine", "breast_cancer", "make_blobs")
    ),
    *(
        Member(name, _from_config("sklearn", {"dataset": name}, **REGRESSION, preprocessing=CHAIN))
        for name in ("diabetes", "make_friedman1", "make_regression")
    ),
    Member(
        "function",
        _from_config(
            "function",
            {"call": "sklearn.datasets:load_iris", "arguments": {"return_X_y": True}},
            preprocessing=CHAIN,
        ),
    ),
    Member("moons", _from_config("sklearn", {"dataset": "make_moons", "noise": 0.1})),
    Member("circles", _from_config("sklearn", {"dataset": "make_circles", "factor": 0.5})),
    Member(
        "classification",
        _from_config("sklearn", {"dataset": "make_classification", "n_classes": 2}),
    ),
    Member(
        "selected columns",
        _from_config(
            "sklearn",
            {"dataset": "iris"},
            columns={"features": ["petal width (cm)", "sepal width (cm)"]},
        ),
    ),
    Member("plain split", _from_config("sklearn", {"dataset": "iris"}, stratify=False)),
    Member("npz", _from_config("local", {"path": "plain.npz"}, preprocessing=CHAIN)),
    Member("npz official", _from_config("local", {"path": "official.npz"}), ("val", "test")),
    Member("npy", _from_config("local", {"path": "x.npy", "y_path": "y.npy"})),
    *(
        Member(f"local {name}", _from_config("local", {"path": name}), OFFICIAL.get(name, ()))
        for name in (*TABLES, *PICTURES)
    ),
    *(Member(f"keras {name}", _from_keras(name), ("test",)) for name in WRITERS),
    Member("hub", _from_hub(split_mapping={"train": "train"})),
    Member("hub official", _from_hub(), ("test",)),
    Member(
        "images and text",
        _from_arrays(
            x=_images(50, 0),
            y=["cat", "dog"] * 25,
            test=(_images(8, 1), ["dog"] * 8),
            preprocessing=CHAIN,
        ),
        ("test",),
    ),
    Member("one-hot", _from_arrays(x=_images(30, 2), y=np.eye(3)[np.arange(30) % 3])),
    *(
        Member(f"arrow {layout}", _from_config("arrow-for-tests", {"layout": layout}), ("test",))
        for layout in ("list", "fixed", "tensor")
    ),
]

every_member = pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("arrays")
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(40, 5)), np.arange(40) % 4
    np.savez_compressed(path / "plain.npz", x=x, y=y)
    np.savez(path / "official.npz", x=x, y=y, x_val=x[:9], y_val=y[:9], x_test=x[:4], y_test=y[:4])
    np.save(path / "x.npy", np.asfortranarray(x))
    np.save(path / "y.npy", y.astype(">i4"))
    write_all(path)
    (path / "keras").mkdir()
    hashes = {name: write(path / "keras") for name, write in WRITERS.items()}
    (path / "keras" / "hashes.json").write_text(json.dumps(hashes))
    _fill_hub_cache(path)
    return path


def _fill_hub_cache(folder: Path) -> None:
    """Load once from a stand-in of the hub; afterwards the cache alone is read, offline."""
    x, y = digits()
    images = [png(image) for image in x]
    hub = HubStandIn()
    hub.add(
        "me/digits",
        {
            "data/train-00000-of-00002.parquet": parquet({"image": images[:35], "label": y[:35]}),
            "data/train-00001-of-00002.parquet": parquet(
                {"image": images[35:60], "label": y[35:60]}
            ),
            "data/test-00000-of-00001.parquet": parquet({"image": images[60:], "label": y[60:]}),
        },
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        _from_hub(endpoint=hub.url)(folder, 65_536)
    hub.close()


def _same(a: Dataset, b: Dataset) -> None:
    assert a.sizes == b.sizes
    for split in a.sizes:
        np.testing.assert_array_equal(a.materialize(split).x, b.materialize(split).x)
        np.testing.assert_array_equal(a.materialize(split).y, b.materialize(split).y)
        np.testing.assert_array_equal(a.rows(split), b.rows(split))


@every_member
def test_rows_are_finite_float64_with_a_label_each(member: Member, folder: Path):
    dataset = member.load(folder, 65_536)
    for split, n_rows in dataset.sizes.items():
        x, y = dataset.materialize(split)
        assert x.dtype == np.float64
        assert x.shape == (n_rows, dataset.schema.n_features)
        assert x.flags.c_contiguous
        assert np.isfinite(x).all()
        assert y.shape == (n_rows,)
        if dataset.classes:
            assert y.dtype == np.int64
            assert (
                tuple(np.bincount(y, minlength=len(dataset.classes)))
                == (dataset.class_counts[split])
            )
        else:
            assert y.dtype == np.float64


@every_member
def test_tasks_give_the_same_rows_in_any_order_and_through_pickle(member: Member, folder: Path):
    dataset = member.load(folder, 7)
    for split in dataset.sizes:
        tasks = pickle.loads(pickle.dumps(dataset.plan(split).tasks))
        shuffled = np.random.default_rng(1).permutation(len(tasks))
        through_tasks = in_order([tasks[i]() for i in shuffled])
        x, y = dataset.materialize(split)
        np.testing.assert_array_equal(through_tasks.x, x)
        np.testing.assert_array_equal(through_tasks.y, y)


@every_member
def test_rows_and_fingerprint_do_not_depend_on_the_number_of_tasks(member: Member, folder: Path):
    whole, pieces = member.load(folder, 65_536), member.load(folder, 11)
    assert len(pieces.plan("train").tasks) > len(whole.plan("train").tasks)
    assert whole.fingerprint == pieces.fingerprint
    _same(whole, pieces)


@every_member
def test_two_loads_are_equal(member: Member, folder: Path):
    one, other = member.load(folder, 65_536), member.load(folder, 65_536)
    assert one.fingerprint == other.fingerprint
    assert len(one.fingerprint) == 64
    _same(one, other)


@every_member
def test_each_row_is_in_exactly_one_split(member: Member, folder: Path):
    dataset = member.load(folder, 65_536)
    rows = np.concatenate([dataset.rows(split) for split in dataset.sizes])
    np.testing.assert_array_equal(np.sort(rows), np.arange(len(rows)))
    assert tuple(dataset.sizes) == ("train", "val", "test")


@every_member
def test_another_seed_cuts_elsewhere_and_leaves_official_splits_alone(member: Member, folder: Path):
    one, other = member.load(folder, 65_536), member.load(folder, 65_536, seed=1)
    nothing_to_cut = set(member.official) == {"val", "test"}
    assert (one.fingerprint == other.fingerprint) == nothing_to_cut
    for split in one.sizes:
        same = np.array_equal(one.rows(split), other.rows(split))
        assert same == (nothing_to_cut or split in member.official)


@every_member
def test_the_saved_preparation_prepares_to_the_last_bit(member: Member, folder: Path):
    dataset = member.load(folder, 65_536)
    spec = json.loads(json.dumps(dataset.preparation.spec()))
    loaded = Preparation.from_arrays(dataset.preparation.to_arrays(), spec)
    raw = np.random.default_rng(3).normal(size=(6, dataset.schema.n_raw_features))
    np.testing.assert_array_equal(loaded.transform(raw), dataset.preparation.transform(raw))


@every_member
def test_the_configuration_survives_toml_and_pickle(member: Member, folder: Path):
    dataset = member.load(folder, 65_536)
    (folder / "config.toml").write_text(dataset.config.to_toml(), encoding="utf-8")
    assert DatasetConfig.from_toml(folder / "config.toml") == dataset.config
    assert pickle.loads(pickle.dumps(dataset.config)) == dataset.config


def test_every_built_in_source_is_a_member():
    sources = {"function", "huggingface", "keras", "local", "numpy", "sklearn", "arrow-for-tests"}
    assert set(DatasetLoader.available()) >= sources
    from qstore_ray.data.sources.base import SOURCES

    # The one that needs a running service has its laws in tests/unit/data/test_service_source.py.
    assert set(SOURCES.built_in()) - {"backend_api"} <= sources
