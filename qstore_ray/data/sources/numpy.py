"""NumPy files: one `.npz` with named arrays, or two `.npy` files.

Files are opened by `data/npyfile.py`, which never loads pickled objects and checks a header before
it takes memory for the array.

The read tasks know the path and a range of rows; they open the file where they run, so on a cluster
the path must lead to the same file on every node.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from qstore_ray.config import Config
from qstore_ray.data.npyfile import Place, count_rows, member_names, read_array
from qstore_ray.data.sources.base import ReadTask, SourceAdapter, SourceConfig, SourceData
from qstore_ray.errors import ConfigError, unknown_name

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray


class NumpyParams(Config):
    """Where the arrays are.

    Args:
        path: a `.npz` file, or the `.npy` file of the features.
        y_path: the `.npy` file of the labels, where `path` is a `.npy` file.
        x, y: names of the arrays in a `.npz` file.
        x_val, y_val, x_test, y_test: names of the official validation and test arrays; arrays
            that have just these names are used without being asked for.
        in_memory: the arrays were given to `DatasetLoader.from_arrays`.
        max_bytes: largest size of one array.
        rows_per_task: rows that one read task returns.
    """

    path: str | None = None
    y_path: str | None = None
    x: str = "x"
    y: str = "y"
    x_val: str | None = None
    y_val: str | None = None
    x_test: str | None = None
    y_test: str | None = None
    in_memory: bool = False
    max_bytes: int = Field(default=2**30, ge=1)
    rows_per_task: int = Field(default=65_536, ge=1)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.path is None) != self.in_memory:
            raise ConfigError(
                "give the path of a .npz or .npy file",
                field="path",
                value=self.path,
                fix="Arrays in memory go to DatasetLoader.from_arrays(x, y).",
            )
        if self.path is not None and not self.path.endswith((".npz", ".npy")):
            raise ConfigError("not a .npz or .npy file", field="path", value=self.path)
        if (self.path or "").endswith(".npy") != (self.y_path is not None):
            raise ConfigError(
                "the labels of a .npy file are in a second .npy file, those of a .npz file are not",
                field="y_path",
                value=self.y_path,
                fix='Set path = "x.npy" and y_path = "y.npy", or path = "data.npz" alone.',
            )
        for part in ("val", "test"):
            if (getattr(self, f"x_{part}") is None) != (getattr(self, f"y_{part}") is None):
                raise ConfigError(f"x_{part} and y_{part} go together", field=f"x_{part}")
        return self


class NumpySourceAdapter(SourceAdapter[NumpyParams]):
    """Arrays in `.npz` and `.npy` files."""

    Params: ClassVar[type[Config]] = NumpyParams

    def read(self, params: NumpyParams, config: SourceConfig) -> SourceData:
        """Read tasks for ranges of rows of the files' arrays; only headers are read here."""
        if params.path is None:
            raise ConfigError(
                "this dataset was made from arrays in memory, which cannot be loaded again",
                field="params.in_memory",
                fix="Call DatasetLoader.from_arrays(x, y), or save the arrays and give the path.",
            )
        places = _places(params)
        tasks: dict[Any, tuple[ReadTask, ...]] = {}
        first_row = 0
        for split, (x, y) in places.items():
            n_rows = count_rows(x, y, params.max_bytes)
            starts = range(0, max(n_rows, 1), params.rows_per_task)
            tasks[split] = tuple(
                FileTask(
                    x, y, s, min(s + params.rows_per_task, n_rows), first_row, params.max_bytes
                )
                for s in starts
            )
            first_row += n_rows
        return SourceData(
            tasks=tasks.pop("train"),
            official=tasks,
            provenance={"source": "numpy", "path": params.path},
        )


@dataclass(frozen=True)
class FileTask:
    """Reads rows `start` to `stop` of two arrays in files."""

    x: Place
    y: Place
    start: int
    stop: int
    first_row: int
    max_bytes: int

    def __call__(self) -> dict[str, AnyArray]:
        """The columns x, y, row of the rows.

        Raises:
            DataError: the file is gone, damaged or refused.
        """
        rows = slice(self.start, self.stop)
        x, y = (read_array(place, self.max_bytes)[rows] for place in (self.x, self.y))
        return {"x": x, "y": y, "row": np.arange(self.start, self.stop) + self.first_row}


def _places(params: NumpyParams) -> dict[Literal["train", "val", "test"], tuple[Place, Place]]:
    """Features and labels of every part that the file holds."""
    path = str(Path(params.path or "").expanduser().resolve())
    if params.y_path is not None:
        y_path = str(Path(params.y_path).expanduser().resolve())
        return {"train": (Place(path, None), Place(y_path, None))}
    names = member_names(path)
    places = {"train": (params.x, params.y)}
    for part in ("val", "test"):
        asked = getattr(params, f"x_{part}"), getattr(params, f"y_{part}")
        usual = f"x_{part}", f"y_{part}"
        if asked[0] is not None:
            places[part] = asked
        elif set(usual) <= set(names):
            places[part] = usual
    for pair in places.values():
        for name in pair:
            if name not in names:
                raise unknown_name("array", name, names, field="params")
    return {part: (Place(path, x), Place(path, y)) for part, (x, y) in places.items()}  # type: ignore[misc]
