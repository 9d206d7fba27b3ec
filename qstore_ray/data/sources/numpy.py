"""Arrays in memory: the source of a dataset that `DatasetLoader.from_arrays` made.

It exists so that the configuration of such a dataset can be saved like any other. The
arrays themselves are not in it, so it cannot be loaded again. Files are the source `local`.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import field_validator

from qstore_ray.config import Config
from qstore_ray.data.sources.base import (
    TABLE_COLUMNS,
    SourceAdapter,
    SourceConfig,
    SourceData,
)
from qstore_ray.errors import ConfigError


class NumpyParams(Config):
    """What is known of arrays that were in memory.

    Args:
        in_memory: the arrays were given to `DatasetLoader.from_arrays`.
        path: refused; files are the source `local`.
        missing: of tables, the texts and numbers that stand for a missing value, in place of the
            usual ones.
    """

    in_memory: Literal[True] = True
    missing: tuple[str | int | float, ...] | None = None
    path: None = None

    @field_validator("path", mode="before")
    @classmethod
    def _no_file(cls, path: object) -> None:
        if path is not None:
            raise ConfigError(
                "this source is arrays in memory",
                value=path,
                fix='Set source = "local" for files.',
            )


class NumpySourceAdapter(SourceAdapter[NumpyParams]):
    """Arrays in memory."""

    Params: ClassVar[type[Config]] = NumpyParams
    accepts: ClassVar[frozenset[str]] = TABLE_COLUMNS - {"columns.label"}

    def read(self, params: NumpyParams, config: SourceConfig) -> SourceData:
        """Always an error: the arrays are gone with the process that had them.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            "this dataset was made from arrays in memory, which cannot be loaded again",
            field="params.in_memory",
            fix='Call DatasetLoader.from_arrays(x, y), or save them and set source = "local".',
        )
