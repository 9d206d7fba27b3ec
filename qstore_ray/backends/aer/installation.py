"""Which build of Aer is installed: exactly one may be, because both install the same files."""

from __future__ import annotations

import importlib.metadata

from qstore_ray.errors import MissingDependencyError

BUILDS = ("qiskit-aer", "qiskit-aer-gpu")


def check_installation() -> str:
    """The name of the build that is installed.

    Raises:
        MissingDependencyError: no build is installed, or both are.
    """
    installed = [build for build in BUILDS if _is_installed(build)]
    if not installed:
        raise MissingDependencyError(
            "Qiskit Aer is not installed",
            field="backend",
            value="aer",
            fix="pip install 'qstore-ray[cpu]'",
        )
    if len(installed) > 1:
        raise MissingDependencyError(
            "qiskit-aer and qiskit-aer-gpu are both installed and overwrite each other's files",
            field="backend",
            value="aer",
            fix="pip uninstall -y qiskit-aer qiskit-aer-gpu, then install one: "
            "pip install 'qstore-ray[cpu]' or 'qstore-ray[gpu]'.",
        )
    return installed[0]


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
