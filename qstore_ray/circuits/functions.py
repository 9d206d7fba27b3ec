"""Call the user's function that builds a circuit, and name it in every error that it causes."""

from __future__ import annotations

import importlib
import inspect
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from qstore_ray.errors import ConfigError, QStoreError

_LIBRARIES = (
    *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")),
    str(Path(__file__).parents[1]),
)


def called(function: Callable[[], object], name: str) -> Any:
    """What the function returns, called without arguments.

    Raises:
        ConfigError: it needs arguments, or it raised an error or ended the process.
    """
    required = _required(function)
    if required:
        raise ConfigError(
            f"the function needs arguments: {', '.join(required)}",
            field="circuit",
            value=name,
            fix="Give them default values; it is called without arguments.",
        )
    try:
        return function()
    except QStoreError:
        raise
    except (Exception, SystemExit) as exc:  # code of the user's own
        raise _failed_error(f"the function {name} raised {_said(exc)}", name, exc) from exc


def imported(spec: str) -> Callable[[], object]:
    """The function that `module:function` names.

    Raises:
        ConfigError: it is no such name, or the module cannot be imported or has no such function.
    """
    module, colon, name = spec.partition(":")
    if not (module and colon and name):
        raise ConfigError(
            "a circuit is a .qasm file or module:function",
            field="circuit",
            value=spec,
            fix="For example circuits/mine.qasm, or my_circuits:build.",
        )
    try:
        function = getattr(importlib.import_module(module), name, None)
    except (Exception, SystemExit) as exc:  # code of the user's own
        if isinstance(exc, ModuleNotFoundError) and f"{module}.".startswith(f"{exc.name}."):
            raise ConfigError(
                f"cannot import {module}: {exc}",
                field="circuit",
                value=spec,
                fix="Give a module that Python finds (its folder on PYTHONPATH).",
            ) from exc
        raise _failed_error(f"cannot import {module}: {_said(exc)}", spec, exc) from exc
    if not callable(function):
        raise ConfigError(f"{module} has no function {name}", field="circuit", value=spec)
    return cast("Callable[[], object]", function)


def _required(function: Callable[[], object]) -> list[str]:
    """The arguments without a default; none for those that do not say what they take."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in parameters if p.default is p.empty and p.kind not in kinds]


def _said(exc: BaseException) -> str:
    return f"{type(exc).__name__}: {exc}".removesuffix(": ")


def _failed_error(message: str, value: str, exc: BaseException) -> ConfigError:
    frames = traceback.extract_tb(exc.__traceback__)
    # What the user wrote, not the library that raised, nor one that replaces sys.exit.
    own = [f for f in frames if not f.filename.startswith(("<frozen", *_LIBRARIES))]
    last = (own or frames)[-1]
    file, line = last.filename, last.lineno
    if isinstance(exc, SyntaxError) and exc.filename:  # what cannot be read has no frame
        file, line = exc.filename, exc.lineno
    return ConfigError(
        message,
        field="circuit",
        value=value,
        fix=f"Correct it: the error was raised in {file}, line {line}.",
    )
