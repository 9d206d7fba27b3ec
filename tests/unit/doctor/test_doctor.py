"""What `qstore doctor` finds, on a machine that is as it should be and on others."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from qstore_ray.cli.app import main
from qstore_ray.cluster import start_cluster
from qstore_ray.cluster.record import ClusterRecord, software, state_folder, write_record
from qstore_ray.doctor import examine
from qstore_ray.doctor.cluster import examine_cluster, looked_up
from qstore_ray.doctor.diagnosis import Diagnosis
from qstore_ray.doctor.machine import examine_machine, memory_limit, quota
from qstore_ray.doctor.packages import examine_packages, unmet
from qstore_ray.doctor.storage import examine_storage
from qstore_ray.errors import BackendError
from qstore_ray.track.config import TrackConfig

CLUSTER = ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in CLUSTER:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def _named(findings: list[Diagnosis], name: str) -> Diagnosis:
    (found,) = [each for each in findings if each.name == name]
    return found


def test_a_machine_that_trains_has_no_fault_and_no_file_is_left(tmp_path: Path):
    folder = tmp_path / "runs"
    findings = list(examine(folder))
    assert [each for each in findings if each.state == "fault"] == []
    assert not folder.exists()
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == []


def test_each_fault_says_what_to_type(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "file"
    file.write_text("")
    found = list(examine(file / "runs", TrackConfig(mlflow_uri="http://127.0.0.1:9"), "x:1"))
    faults = {each.name: each for each in found if each.state == "fault"}
    assert set(faults) == {"storage", "mlflow", "cluster"}
    assert all(each.advice for each in faults.values())


def test_the_command_names_the_faults_of_a_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    job = tmp_path / "job.toml"
    job.write_text(
        f'name = "a"\nstorage = "{tmp_path}/runs"\n[dataset]\nname = "iris"\n'
        '[dataset.params]\ndataset = "iris"\n[model]\nn_qubits = 4\n[trainer]\nepochs = 1\n'
    )
    assert main(["doctor", str(job)]) == 0
    assert str(tmp_path / "runs") in "".join(capsys.readouterr().out.split())
    assert main(["doctor", str(job), "--set", "storage=/proc/none", "--json"]) == 4
    found = json.loads(capsys.readouterr().out)
    states = {each["name"]: each["state"] for each in found["findings"]}
    assert states["storage"] == "fault"
    assert states["mlflow"] == "ok"
    assert main(["doctor", "--set", "storage=/proc/none"]) == 2


def test_an_address_in_place_of_a_folder_is_a_fault():
    (found,) = examine_storage("ftp://somewhere/runs", TrackConfig())
    assert (found.name, found.state) == ("storage", "fault")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "150000 100000"}, 1.5),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({}, None),
    ],
)
def test_the_processors_of_a_container(tmp_path: Path, files: dict[str, str], expected):
    _write(tmp_path, files)
    assert quota(tmp_path) == expected
    processors = _named(list(examine_machine(tmp_path)), "processors")
    limited = expected is not None and expected < len(os.sched_getaffinity(0))
    assert processors.state == ("note" if limited else "ok")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"memory.max": "536870912", "memory.current": "1000"}, 2**29),
        ({"memory.max": "max"}, None),
        ({"memory/memory.limit_in_bytes": "1073741824"}, 2**30),
        ({"memory/memory.limit_in_bytes": str(2**63 - 4096)}, None),
    ],
)
def test_the_memory_of_a_container(tmp_path: Path, files: dict[str, str], expected):
    _write(tmp_path, files)
    assert memory_limit(tmp_path) == expected
    memory = _named(list(examine_machine(tmp_path)), "memory")
    assert memory.state == ("note" if expected == 2**29 else "ok")


@pytest.mark.parametrize(("text", "state"), [("1", "ok"), ("512", "note"), ("two", "note")])
def test_numbers_of_threads(monkeypatch: pytest.MonkeyPatch, text: str, state: str):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    found = _named(list(examine_machine()), "threads")
    assert found.state == state
    assert f"OMP_NUM_THREADS={text}" in found.found


def test_a_long_temporary_folder_is_a_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    folder = tmp_path / ("long" * 20)
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    assert _named(list(examine_machine()), "temporary folder").state == "fault"


def test_a_cluster_that_answers_and_its_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        cluster, token = examine_cluster(None)
        assert (cluster.state, token.state) == ("ok", "note")
        file = tmp_path / "token"
        file.write_text("secret")
        file.chmod(0o644)
        monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(file))
        assert [each.state for each in examine_cluster(address)] == ["ok", "note"]
        file.chmod(0o600)
        assert [each.state for each in examine_cluster(address)] == ["ok", "ok"]
        monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
        assert [each.state for each in examine_cluster(address)] == ["ok", "note"]
    cluster, _ = examine_cluster(None)
    assert cluster.state == "fault"
    assert f"RAY_ADDRESS={address}" in cluster.found


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        (None, "neither RAY_AUTH_TOKEN nor"),
        ([], "cannot read"),
    ],
    ids=["empty", "blank", "missing", "folder"],
)
def test_a_token_that_is_none_is_said(monkeypatch, tmp_path: Path, found: object, said: str):
    file = tmp_path / "token"
    if isinstance(found, str):
        file.write_text(found)
    elif found is not None:
        file.mkdir()
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(file))
    token = list(examine_cluster("auto"))[-1]
    assert said in token.found
    assert token.state == ("note" if found is None else "fault")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "  ")
    assert "blanks" in list(examine_cluster("auto"))[-1].found


def test_the_address_that_a_cluster_which_has_ended_left_behind(monkeypatch, tmp_path: Path):
    state = tmp_path / "ray_current_cluster"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        state.write_text(f"{address}\n")
        assert looked_up("auto", "RAY_ADDRESS", state).state == "ok"
    stale = looked_up("auto", "RAY_ADDRESS", state)
    assert (stale.state, f"RAY_ADDRESS=auto leads to {address}" in stale.found) == ("fault", True)
    for text in ("", "http://x", "half:"):
        state.write_text(text)
        assert looked_up("auto", "RAY_ADDRESS", state).state == "ok"
    assert looked_up("auto", "RAY_ADDRESS", tmp_path / "absent").state == "ok"


def test_the_warm_cluster_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (none,) = examine_cluster(None)
    assert none.found.startswith("none is named")
    record = ClusterRecord(
        state="running", address="127.0.0.1:1", dashboard="", pid=0, nodes=2, cpus=3,
        object_store_mb=80, temp_dir=str(tmp_path / "ray"), **asdict(software()), boot="",
    )  # fmt: skip
    state_folder().mkdir(parents=True)
    write_record(state_folder(), record)
    (dead,) = examine_cluster(None)
    assert (dead.state, "has died" in dead.found) == ("note", True)
    assert "stop_cluster()" in dead.advice
    monkeypatch.setattr("qstore_ray.doctor.cluster.is_supervised", lambda record: True)
    (warm,) = examine_cluster(None)
    assert (warm.state, "127.0.0.1:1: 2 nodes, 3 CPUs" in warm.found) == ("ok", True)
    write_record(state_folder(), replace(record, ray="1.2.3"))
    (other,) = examine_cluster(None)
    assert (other.state, "Ray 1.2.3" in other.found) == ("fault", True)
    (own,) = examine_cluster("local")
    assert "a Ray of its own" in own.found


def test_a_home_folder_in_which_no_warm_cluster_can_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (found,) = examine_cluster(None)
    assert found.state == "ok"
    assert [*tmp_path.iterdir()] == []
    (tmp_path / "file").write_text("")
    for place in ("/proc/none", str(tmp_path / "file" / "state")):  # neither may root write
        monkeypatch.setenv("XDG_STATE_HOME", place)
        with pytest.raises(BackendError, match="cannot be written"):
            start_cluster()
        (found,) = examine_cluster(None)
        assert (found.state, "nothing can be written" in found.found) == ("note", True)
        assert "export XDG_STATE_HOME=" in found.advice
        (own,) = examine_cluster("local")
        assert own.state == "ok"


def test_the_token_is_never_shown(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "planted-token")
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert "planted-token" not in str(list(examine()))


def test_packages_that_do_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert unmet("qstore-ray") == []
    for name, needs in (
        ("odd", ["numpy<1", "no-such-package>=1", "pytest; extra == 'x'"]),
        ("xgboost", []),
    ):
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        lines = [
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0",
            *(f"Requires-Dist: {n}" for n in needs),
        ]
        (folder / "METADATA").write_text("\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    below, missing = unmet("odd")
    assert below.startswith("numpy ")
    assert missing == "no-such-package is not installed"
    assert _named(list(examine_packages()), "xgboost").state == "fault"


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def test_it_leaves_no_file_and_keeps_the_telemetry_of_mlflow_off(
    repository: Path, tmp_path: Path
) -> None:
    """MLflow decides as it is imported, and gives an installation an id in the home folder. In a
    test and in CI it would be off anyway, so this process has none of their variables.
    """
    home, store = tmp_path / "home", tmp_path / "mlflow.db"
    home.mkdir()
    store.write_text("no database")
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": str(repository)}
    program = (
        "import sys\n"
        "from qstore_ray.doctor.storage import examine_storage\n"
        "from qstore_ray.track.config import TrackConfig\n"
        f"found = [*examine_storage('runs', TrackConfig(mlflow_uri='sqlite:///{store}'))]\n"
        "assert 'mlflow.tracking' in sys.modules\n"
        "print(found[-1].state)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=tmp_path, check=True,
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stdout == "fault\n"
    assert {*tmp_path.rglob("*")} == {home, store}
