"""Whether the installed packages fit each other and this package."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from collections.abc import Iterator

from packaging.requirements import InvalidRequirement, Requirement

from qstore_ray.doctor.diagnosis import Diagnosis

OURS = "qstore-ray"
_AER = ("qiskit-aer", "qiskit-aer-gpu")
_XGBOOST = ("xgboost", "xgboost-cpu")


def examine_packages() -> Iterator[Diagnosis]:
    """Python, our requirements, and packages that overwrite each other's files."""
    yield Diagnosis("python", "ok", f"{platform.python_version()} at {sys.executable}")
    yield _requirements()
    yield _aer()
    both = [name for name in _XGBOOST if installed(name)]
    if len(both) == 2 and sys.platform != "darwin":
        yield Diagnosis(
            "xgboost",
            "fault",
            "xgboost and xgboost-cpu are both installed and overwrite each other's files",
            "pip uninstall -y xgboost xgboost-cpu; pip install 'xgboost-cpu>=3,<4'",
        )


def installed(package: str) -> str | None:
    """The version of a package; None if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def unmet(package: str) -> list[str]:
    """The requirements of a package that the installed ones do not meet, with what there is."""
    found = []
    for line in importlib.metadata.requires(package) or []:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:  # of a package that was built by other tools
            continue
        marker = requirement.marker
        if marker is not None and not marker.evaluate({"extra": ""}):
            continue
        version = installed(requirement.name)
        if version is None:
            found.append(f"{requirement.name} is not installed")
        elif not requirement.specifier.contains(version, prereleases=True):
            found.append(f"{requirement.name} {version} is not {requirement.specifier}")
    return found


def _requirements() -> Diagnosis:
    if installed(OURS) is None:
        return Diagnosis(OURS, "note", "runs from its source, without a record of its requirements")
    wrong = unmet(OURS)
    if wrong:
        return Diagnosis(OURS, "fault", "; ".join(wrong), f"pip install --upgrade {OURS}")
    return Diagnosis(OURS, "ok", f"{installed(OURS)}, all its requirements are met")


def _aer() -> Diagnosis:
    builds = [name for name in _AER if installed(name)]
    if not builds:
        return Diagnosis(
            "aer", "ok", 'not installed; only backend = "aer" needs it',
            f"pip install '{OURS}[cpu]', or [gpu]",
        )  # fmt: skip
    if len(builds) == 2:
        return Diagnosis(
            "aer",
            "fault",
            "qiskit-aer and qiskit-aer-gpu are both installed and overwrite each other's files",
            f"pip uninstall -y {' '.join(_AER)}; pip install '{OURS}[cpu]', or [gpu]",
        )
    return Diagnosis("aer", "ok", f"{builds[0]} {installed(builds[0])}")
