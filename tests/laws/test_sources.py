"""Every source against the laws of a source: the rows do not depend on who reads them, or how."""

from __future__ import annotations

import functools
import json
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
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.data.sources.base import SourceAdapter, SourceData
from qstore_ray.testing import SourceLaws
from qstore_ray.testing.sources import Load
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


class TestEverySource(SourceLaws):
    @pytest.fixture(params=MEMBERS, ids=lambda member: member.name)
    def member(self, request: pytest.FixtureRequest) -> Member:
        return request.param

    @pytest.fixture
    def load(self, member: Member, folder: Path) -> Load:
        return functools.partial(member.load, folder)

    @pytest.fixture
    def official(self, member: Member) -> tuple[str, ...]:
        return member.official

    def test_tasks_have_as_many_rows_as_it_was_told(self, load):
        whole, pieces = load(65_536), load(11)
        assert len(pieces.plan("train").tasks) > len(whole.plan("train").tasks)


def test_every_built_in_source_is_a_member():
    sources = {"function", "huggingface", "keras", "local", "numpy", "sklearn", "arrow-for-tests"}
    assert set(DatasetLoader.available()) >= sources
    from qstore_ray.data.sources.base import SOURCES

    # The one that needs a running service has its laws in tests/unit/data/test_service_source.py.
    assert set(SOURCES.built_in()) - {"backend_api"} <= sources
