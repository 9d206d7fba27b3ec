"""Small repositories in memory, with the faults that a test plants."""

from __future__ import annotations

from pathlib import Path

from tools.gates.source import Module, Repository


def repository(root: Path = Path("/nowhere"), **files: str) -> Repository:
    """Files by path, with `__` for `/`; `.py` is added. Those of qstore_ray are the package."""
    modules = []
    for name, text in files.items():
        path = name.replace("__", "/") + ".py"
        dotted = path.removesuffix(".py").removesuffix("/init").replace("/", ".")
        modules.append(Module(dotted, path.replace("/init.py", "/__init__.py"), text))
    inside = [module for module in modules if module.path.startswith("qstore_ray/")]
    others = [module for module in modules if module not in inside]
    return Repository(root, tuple(inside), tuple(others))
