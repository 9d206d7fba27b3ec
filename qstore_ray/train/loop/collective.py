"""The collective of xgboost, called in its C library.

xgboost's Python package imports SciPy, pandas and scikit-learn: a second and 150 MB in every
worker, for functions of the library that need none of them. They are called here as in
`xgboost.collective` and `xgboost.tracker`.
"""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from qstore_ray.errors import MissingDependencyError

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray

_KINDS: Final = {"float64": 2, "int16": 5, "int32": 6, "int64": 7}
_SUM: Final = 2
_SORTED_BY_TASK: Final = 1


class SumsTracker:
    """Joins workers; ranks follow the names of their tasks. Runs in threads of the library.

    Args:
        host: an address of this machine that all workers reach.

    Raises:
        ConnectionError: it cannot listen there.
    """

    def __init__(self, n_workers: int, host: str) -> None:
        self._handle = ctypes.c_void_p()
        settings = {
            "host": host, "n_workers": n_workers, "port": 0, "dmlc_communicator": "rabit",
            "sortby": _SORTED_BY_TASK, "timeout": 0,
        }  # fmt: skip
        _call("XGTrackerCreate", _json(settings), ctypes.byref(self._handle))
        _call("XGTrackerRun", self._handle, _json({}))

    def wait(self) -> None:
        """Wait for the workers to leave; it answers them only while somebody waits."""
        _call("XGTrackerWaitFor", self._handle, _json({"timeout": None}))
        _call("XGTrackerFree", self._handle)

    def address(self) -> dict[str, int | str]:
        """How workers reach it: arguments of `joined`."""
        found = ctypes.c_char_p()
        _call("XGTrackerWorkerArgs", self._handle, ctypes.byref(found))
        address: dict[str, int | str] = json.loads(found.value or b"{}")
        return address


@contextmanager
def joined(**address: int | str) -> Iterator[None]:
    """Joins this process to the others for the time of the block. Waits for all of them.

    Raises:
        ConnectionError: the tracker cannot be reached.
    """
    _call("XGCommunicatorInit", _json(address))
    try:
        yield
    finally:
        _call("XGCommunicatorFinalize")


def all_reduced(values: AnyArray) -> AnyArray:
    """Σ over the joined processes of an array of one shape and type; the same bits everywhere.

    Raises:
        ConnectionError: another process has left.
    """
    summed = np.array(values, order="C")
    pointer = summed.ctypes.data_as(ctypes.c_void_p)
    kind = _KINDS[summed.dtype.name]
    _call("XGCommunicatorAllreduce", pointer, ctypes.c_size_t(summed.size), kind, _SUM)
    return summed


@cache
def _library() -> ctypes.CDLL:
    found = find_spec("xgboost")
    packages = list(found.submodule_search_locations or ()) if found else []
    # As xgboost looks for it: conda has it in the folder of libraries of the environment.
    folders = [Path(place) / "lib" for place in (*packages, sys.base_prefix) if packages]
    files = [file for folder in folders for file in sorted(folder.glob("libxgboost.*"))]
    if not files:
        raise MissingDependencyError(
            "training on several workers needs xgboost, which adds up their gradients",
            fix="Run: pip install 'xgboost-cpu>=3,<4'",
        )
    try:
        library = ctypes.CDLL(str(files[0]))
    except OSError as exc:
        raise MissingDependencyError(
            f"the library of xgboost cannot be loaded: {exc}",
            fix="Install what it names (on macOS: brew install libomp), or xgboost again.",
        ) from exc
    library.XGBGetLastError.restype = ctypes.c_char_p
    library.XGBRegisterLogCallback(_LOG_CALLBACK)
    return library


def _discard(_message: bytes) -> None:
    """Takes what the library would print: that a process got its rank."""


_LOG_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_char_p)(_discard)


def _call(name: str, *arguments: Any) -> None:
    library = _library()
    if getattr(library, name)(*arguments):
        raise ConnectionError(library.XGBGetLastError().decode())


def _json(values: dict[str, Any]) -> bytes:
    return json.dumps(values).encode()
