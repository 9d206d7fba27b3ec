"""Data that comes with scikit-learn: five real sets in its wheel, and its generators.

Nothing is downloaded. `digits` and `iris` are read from the files in scikit-learn's wheel without
importing it, which takes a second. `digits` are 1,797 scanned 8×8 digits (UCI, Alpaydin and Kaynak
1998); `iris`, `wine`, `breast_cancer` are classification tables, `diabetes` a regression table. The
`make_…` names generate points from `random_state`, which is apart from the seed of the split, so
that another split does not mean other data.
"""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from qstore_ray.config import Config
from qstore_ray.data.sources.base import SourceAdapter, SourceConfig, SourceData, array_tasks
from qstore_ray.errors import ConfigError, MissingDependencyError, unknown_name_error

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, Table

_BUNDLED = ("breast_cancer", "diabetes", "digits", "iris", "wine")
_GENERATED: dict[str, frozenset[str]] = {
    "make_blobs": frozenset({"n_samples", "n_features", "centers", "cluster_std"}),
    "make_circles": frozenset({"n_samples", "noise", "factor"}),
    "make_classification": frozenset(
        {"n_samples", "n_features", "n_informative", "n_redundant", "n_classes"}
        | {"n_clusters_per_class", "class_sep", "flip_y"}
    ),
    "make_friedman1": frozenset({"n_samples", "n_features", "noise"}),
    "make_moons": frozenset({"n_samples", "noise"}),
    "make_regression": frozenset({"n_samples", "n_features", "n_informative", "noise"}),
}
_FILES = {"digits": "digits.csv.gz", "iris": "iris.csv"}
_IRIS_FEATURES = tuple(
    f"{part} {side} (cm)" for part in ("sepal", "petal") for side in ("length", "width")
)
_REGRESSION = frozenset({"diabetes", "make_friedman1", "make_regression"})


class SklearnParams(Config):
    """Which set, and for the `make_…` names the generator's own arguments.

    Args:
        dataset: `digits`, `iris`, `wine`, `breast_cancer`, `diabetes`, or a `make_…` name.
        random_state: seed of a generator.
        rows_per_task: rows that one read task returns.

    The other fields are scikit-learn's arguments of the generator of that name; unset, they have
    scikit-learn's defaults.
    """

    dataset: str = Field(examples=["digits"])
    random_state: int | None = Field(default=None, ge=0, lt=2**32)
    n_samples: int | None = Field(default=None, ge=1, le=10_000_000)
    n_features: int | None = Field(default=None, ge=1, le=100_000)
    n_informative: int | None = Field(default=None, ge=1)
    n_redundant: int | None = Field(default=None, ge=0)
    n_classes: int | None = Field(default=None, ge=2)
    n_clusters_per_class: int | None = Field(default=None, ge=1)
    class_sep: float | None = None
    flip_y: float | None = Field(default=None, ge=0.0, le=1.0)
    centers: int | None = Field(default=None, ge=1)
    cluster_std: float | None = Field(default=None, gt=0.0)
    noise: float | None = Field(default=None, ge=0.0)
    factor: float | None = Field(default=None, ge=0.0, lt=1.0)
    rows_per_task: int = Field(default=65_536, ge=1)

    @field_validator("dataset")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in _BUNDLED and name not in _GENERATED:
            raise unknown_name_error("dataset", name, (*_BUNDLED, *_GENERATED))
        return name

    @model_validator(mode="after")
    def _fits(self) -> Self:
        takes = _GENERATED.get(self.dataset, frozenset())
        allowed = takes | {"random_state"} if takes else takes
        for name, value in self._given().items():
            if name not in allowed:
                known = ", ".join(sorted(allowed)) or "nothing but rows_per_task"
                raise ConfigError(
                    f"{self.dataset} does not take this",
                    field=name,
                    value=value,
                    fix=f"It takes: {known}.",
                )
        return self

    def _given(self) -> Table:
        return self.model_dump(exclude={"dataset", "rows_per_task"}, exclude_none=True)

    def arguments(self) -> Table:
        """The arguments of the generator; `random_state` is 0 unless it is given."""
        return {"random_state": 0, **self._given()}


class SklearnSourceAdapter(SourceAdapter[SklearnParams]):
    """scikit-learn's bundled sets and generators."""

    Params: ClassVar[type[Config]] = SklearnParams

    def read(self, params: SklearnParams, config: SourceConfig) -> SourceData:
        """Rows of the set that `params.dataset` names, carried by the read tasks."""
        name = params.dataset
        if name in _GENERATED:
            x, y = _generate(getattr(_sklearn_datasets(), name), params)
            described = {}
        else:
            bunch = _bundled(name)
            x, y, described = bunch["data"], bunch["target"], _described(bunch)
        return SourceData(
            tasks=array_tasks(x, y, rows_per_task=params.rows_per_task),
            task="regression" if name in _REGRESSION else "classification",
            provenance={
                "source": "sklearn",
                "dataset": name,
                "package": f"scikit-learn {version('scikit-learn')}",
            },
            **described,
        )


def _bundled(name: str) -> Any:
    """The set as scikit-learn's own `load_…` returns it, for `digits` and `iris` without it."""
    file = _file(name)
    if file is None:
        return getattr(_sklearn_datasets(), f"load_{name}")()
    if name == "digits":
        rows = np.loadtxt(file, delimiter=",")
        x, y = rows[:, :-1], rows[:, -1].astype(int)
        pixels = [f"pixel_{row}_{column}" for row in range(8) for column in range(8)]
        parts = {"data": x, "target": y, "feature_names": pixels}
        return {**parts, "target_names": np.arange(10), "images": x.reshape(-1, 8, 8)}
    with file.open(encoding="utf-8") as text:
        labels = np.array(text.readline().strip().split(",")[2:])
        rows = np.loadtxt(text, delimiter=",")
    x, y = rows[:, :-1], rows[:, -1].astype(int)
    return {"data": x, "target": y, "feature_names": _IRIS_FEATURES, "target_names": labels}


def _file(name: str) -> Path | None:
    """The file of a set that is read here, where scikit-learn is installed as files."""
    found = find_spec("sklearn")
    for folder in (found.submodule_search_locations or ()) if found and name in _FILES else ():
        file = Path(folder) / "datasets" / "data" / _FILES[name]
        if file.is_file():
            return file
    return None


def _sklearn_datasets() -> Any:
    try:
        from sklearn import datasets
    except ImportError as exc:
        raise MissingDependencyError(
            "the source 'sklearn' needs scikit-learn", fix="Run: pip install scikit-learn"
        ) from exc
    return datasets


def _described(bunch: Any) -> dict[str, Any]:
    names, images = bunch.get("target_names"), bunch.get("images")
    return {
        "feature_names": tuple(str(feature) for feature in bunch["feature_names"]),
        "class_names": None if names is None else tuple(str(label) for label in names),
        "image_shape": None if images is None else tuple(images.shape[1:]),
    }


def _generate(generator: Any, params: SklearnParams) -> tuple[AnyArray, AnyArray]:
    try:
        x, y = generator(**params.arguments())
    except ValueError as exc:
        raise ConfigError(f"{params.dataset} refuses: {exc}", field="params") from exc
    return x, y
