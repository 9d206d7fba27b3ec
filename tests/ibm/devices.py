"""What the client's package knows about its fake backends.

Configuration and properties are read from its files, without an import of the package: the server
answers its first request long before the executor is loaded.
"""

from __future__ import annotations

import importlib
import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any


@cache
def _folder(name: str) -> Path:
    spec = find_spec("qiskit_ibm_runtime")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    root = Path(spec.submodule_search_locations[0]) / "fake_provider" / "backends"
    folder = root / name.removeprefix("fake_")
    if not folder.is_dir():
        known = ", ".join(sorted(f"fake_{path.parent.name}" for path in root.glob("*/conf_*.json")))
        raise ValueError(f"unknown backend {name!r}; the client's package has {known}")
    return folder


def configuration(name: str) -> dict[str, Any]:
    """The answer to GET /backends/{name}/configuration."""
    return {**_read(name, "conf"), "backend_name": name, "simulator": False}


def properties(name: str) -> dict[str, Any]:
    """The answer to GET /backends/{name}/properties."""
    return {**_read(name, "props"), "backend_name": name}


def _read(name: str, kind: str) -> dict[str, Any]:
    (path,) = _folder(name).glob(f"{kind}_*.json")
    return json.loads(path.read_text(encoding="utf-8"))


@cache
def fake_backend(name: str) -> Any:
    """The backend object of the client's package, which the executor runs on."""
    provider = importlib.import_module("qiskit_ibm_runtime.fake_provider")
    for member in vars(provider).values():
        if isinstance(member, type) and getattr(member, "backend_name", None) == name:
            return member()
    raise ValueError(f"qiskit_ibm_runtime.fake_provider has no class for {name!r}")
