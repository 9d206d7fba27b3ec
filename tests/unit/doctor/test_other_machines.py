"""What `qstore doctor` says of packages and disks that this machine does not have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from qstore_ray.doctor import packages
from qstore_ray.doctor.diagnosis import Diagnosis
from qstore_ray.doctor.machine import examine_machine
from qstore_ray.doctor.packages import OURS, examine_packages, unmet
from qstore_ray.doctor.storage import examine_storage
from qstore_ray.track.config import TrackConfig

GIB = 2**30


class Usage(NamedTuple):
    """Bytes of a disk."""

    total: int
    used: int
    free: int


def _named(findings: list[Diagnosis], name: str) -> Diagnosis:
    (found,) = [each for each in findings if each.name == name]
    return found


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Installs a package without a file: its metadata come before those of this environment."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def installed(name: str, *needs: str) -> None:
        folder = tmp_path / f"{name.replace('-', '_')}-1.0.dist-info"
        folder.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0"]
        lines += [f"Requires-Dist: {each}" for each in needs]
        (folder / "METADATA").write_text("\n".join(lines) + "\n")

    return installed


def test_a_requirement_that_no_tool_of_today_reads_is_no_fault(install):
    install("odd", "numpy (>1.0", "no-such-package")
    assert unmet("odd") == ["no-such-package is not installed"]


def test_a_requirement_that_is_not_met_is_a_fault_with_the_command(install):
    install(OURS, "numpy<1", "no-such-package")
    found = _named(list(examine_packages()), OURS)
    assert found.state == "fault"
    assert "no-such-package is not installed" in found.found
    assert found.advice == f"pip install --upgrade {OURS}"


def test_both_builds_of_aer_are_a_fault(install):
    install("qiskit-aer")
    install("qiskit-aer-gpu")
    found = _named(list(examine_packages()), "aer")
    assert (found.state, "overwrite" in found.found) == ("fault", True)
    assert found.advice.startswith("pip uninstall -y qiskit-aer qiskit-aer-gpu")


def test_without_aer_and_a_record_of_our_own_nothing_is_wrong(monkeypatch):
    monkeypatch.setattr(packages, "installed", lambda package: None)
    found = list(examine_packages())
    assert _named(found, OURS).state == "note"
    aer = _named(found, "aer")
    assert (aer.state, f"{OURS}[cpu]" in aer.advice) == ("ok", True)


@pytest.mark.parametrize(("free", "state"), [(0.01, "note"), (40.0, "ok")])
def test_a_disk_that_is_nearly_full(monkeypatch, tmp_path, free, state):
    usage = Usage(50 * GIB, 0, int(free * GIB))
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage)
    track = TrackConfig(mlflow=False)
    (storage,) = [each for each in examine_storage(tmp_path, track) if each.name == "storage"]
    found = [*examine_machine(tmp_path, tmp_path), storage]
    for name in ("temporary folder", "shared memory", "storage"):
        diagnosis = _named(found, name)
        assert (diagnosis.state, bool(diagnosis.advice)) == (state, state == "note"), diagnosis


def test_a_system_without_shared_memory_is_not_asked_for_it(tmp_path):
    found = list(examine_machine(tmp_path, tmp_path / "none"))
    assert "shared memory" not in {each.name for each in found}
