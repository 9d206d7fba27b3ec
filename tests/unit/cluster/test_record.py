"""The record of the warm cluster: who may read it, what is joined, what a dead one leaves."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from qstore_ray.cluster import find_cluster, start_cluster, stop_cluster
from qstore_ray.cluster.find import check_software, client_environment
from qstore_ray.cluster.processes import SUPERVISOR, is_supervised, members, processes
from qstore_ray.cluster.record import (
    TOKEN,
    ClusterRecord,
    boot_id,
    make_folder,
    read_record,
    read_token,
    software,
    state_folder,
    write_record,
)
from qstore_ray.errors import BackendError
from qstore_ray.wording import on_command_line, worded


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    state_folder().parent.mkdir(parents=True)
    return state_folder()


@pytest.fixture
def record(tmp_path: Path) -> ClusterRecord:
    (tmp_path / "ray").mkdir()
    return ClusterRecord(
        state="running",
        address="127.0.0.1:1",
        dashboard="",
        pid=2**22 + 1,  # no process has it
        nodes=1,
        cpus=1,
        object_store_mb=80,
        temp_dir=str(tmp_path / "ray"),
        **asdict(software()),
        boot=boot_id(),
    )


def started(words: list[str], **how: Any) -> subprocess.Popen[bytes]:
    """A process that is listed by its own words: a moment earlier it has those of this one."""
    process = subprocess.Popen(words, **how)
    deadline = time.monotonic() + 60.0
    while not any(p.pid == process.pid and words[-1] in p.command for p in processes()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


@pytest.fixture
def supervisor(record: ClusterRecord, folder: Path):
    """A process that is named as the supervisor is, and does nothing."""
    words = [sys.executable, "-c", "import time; time.sleep(600)", SUPERVISOR]
    process = started([*words, f"{record.temp_dir}/ray"], start_new_session=True)
    make_folder(folder)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_only_this_user_may_read_the_token(folder: Path):
    token = make_folder(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / TOKEN).stat().st_mode & 0o777 == 0o600
    assert client_environment()["RAY_AUTH_TOKEN"] == token
    assert make_folder(folder) != token


def test_the_record_reads_back_and_has_no_token(folder: Path, record: ClusterRecord):
    token = make_folder(folder)
    write_record(folder, record)
    assert read_record(folder) == record
    holding = [file.name for file in folder.iterdir() if token in file.read_text()]
    assert holding == [TOKEN]


def test_a_cluster_that_runs_is_found(folder: Path, record: ClusterRecord, supervisor):
    running = replace(record, pid=supervisor.pid)
    write_record(folder, running)
    assert find_cluster() == (running, False)
    assert {each.pid for each in members(running)} == {supervisor.pid}


def renamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on this machine has the name that another network gave it."""
    monkeypatch.setattr("socket.gethostname", lambda: "laptop-at-home")


def test_a_cluster_is_found_when_the_machine_has_another_name(
    folder: Path, record: ClusterRecord, supervisor, monkeypatch
):
    running = replace(record, pid=supervisor.pid)
    write_record(folder, running)
    token = read_token(folder)
    renamed(monkeypatch)
    assert state_folder() != folder
    assert find_cluster() == (running, False)
    assert client_environment()["RAY_AUTH_TOKEN"] == token
    assert start_cluster() == (running, False, False)
    assert stop_cluster() == running
    assert not folder.parent.exists()
    assert stop_cluster() is None


def test_what_a_dead_cluster_left_under_another_name_is_removed(
    folder: Path, record: ClusterRecord, monkeypatch
):
    make_folder(folder)
    write_record(folder, record)
    renamed(monkeypatch)
    assert find_cluster() == (None, True)
    assert not folder.exists()


def test_the_cluster_of_another_machine_with_this_home_is_left_alone(
    folder: Path, record: ClusterRecord, monkeypatch
):
    make_folder(folder)
    write_record(folder, replace(record, boot="of another machine"))
    renamed(monkeypatch)
    assert find_cluster() == (None, False)
    assert stop_cluster() is None
    assert read_record(folder) is not None


@pytest.mark.parametrize("pid", [2**22 + 1, os.getpid()], ids=["no process", "another process"])
def test_a_record_of_a_dead_cluster_is_removed_once(folder: Path, record, pid: int):
    """Also if another process has got the number since."""
    make_folder(folder)
    write_record(folder, replace(record, pid=pid))
    assert find_cluster() == (None, True)
    assert not folder.exists()
    assert not Path(record.temp_dir).exists()
    assert find_cluster() == (None, False)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}'])
def test_a_damaged_record_is_removed(folder: Path, text: str):
    make_folder(folder)
    (folder / "cluster.json").write_text(text)
    assert find_cluster() == (None, True)
    assert not folder.exists()


def test_stopping_ends_the_session_and_removes_every_file(
    folder: Path, record: ClusterRecord, supervisor
):
    write_record(folder, replace(record, pid=supervisor.pid))
    (folder / "log.txt").write_text("said")
    stopped = stop_cluster()
    assert stopped is not None
    assert supervisor.wait(10) != 0
    assert not folder.parent.exists()
    assert not Path(record.temp_dir).exists()
    assert stop_cluster() is None


def test_a_process_of_rays_folder_is_ended_though_the_supervisor_is_dead(
    folder: Path, record: ClusterRecord
):
    make_folder(folder)
    write_record(folder, replace(record, boot="before the restart"))
    words = [sys.executable, "-c", "import time; time.sleep(600)", f"{record.temp_dir}/ray"]
    left = started(words)
    stop_cluster()
    assert left.wait(10) != 0


def test_after_a_restart_no_process_is_taken_for_the_clusters_by_its_number(
    record: ClusterRecord, supervisor
):
    """Nor one of a session whose leader is another program, or another user's supervisor."""
    elsewhere = replace(record, temp_dir="/tmp/qr-elsewhere")
    assert members(replace(record, pid=supervisor.pid))
    assert is_supervised(replace(record, pid=supervisor.pid))
    for pid in (supervisor.pid, os.getsid(0)):
        assert not members(replace(elsewhere, pid=pid))
        assert not is_supervised(replace(elsewhere, pid=pid))


def test_a_process_is_the_clusters_by_its_session_in_the_same_start_of_the_machine_alone(
    record: ClusterRecord,
):
    """The leader of the session has ended, as when the supervisor was killed."""
    words = ["sh", "-c", "sleep 600 & echo $!"]
    leader = subprocess.Popen(words, start_new_session=True, stdout=subprocess.PIPE)
    assert leader.stdout is not None
    left = int(leader.stdout.readline())
    leader.wait()
    try:
        assert [each.pid for each in members(replace(record, pid=leader.pid))] == [left]
        before = replace(record, pid=leader.pid, boot=f"{record.boot}0")
        assert members(before) == []
    finally:
        os.kill(left, 9)
        leader.stdout.close()


def test_a_container_that_is_started_again_is_another_start(monkeypatch, tmp_path: Path):
    kernel, first = tmp_path / "boot_id", tmp_path / "stat"
    monkeypatch.setattr("qstore_ray.cluster.record._BOOT", kernel)
    monkeypatch.setattr("qstore_ray.cluster.record._FIRST", first)
    assert boot_id() == "", "the system does not say"
    kernel.write_text("5bdd\n")
    assert boot_id() == "5bdd", "the processes of others are hidden"
    first.write_text(f"1 (a ) b) S {' '.join(map(str, range(4, 53)))}\n")
    assert boot_id() == "5bdd 22", "the field of the time of its start"


def test_all_processes_are_listed_with_their_sessions():
    here = next(each for each in processes() if each.pid == os.getpid())
    assert here.session == os.getsid(0)
    assert "python" in here.command or "pytest" in here.command


@pytest.mark.parametrize("name", ["ray", "python", "qstore_ray", "code"])
def test_a_cluster_of_other_software_is_an_error_that_names_both(record: ClusterRecord, name: str):
    check_software(record)
    with pytest.raises(BackendError, match=r"1\.2\.3") as caught:
        check_software(replace(record, **{name: "1.2.3"}))
    assert getattr(software(), name) in str(caught.value)
    assert "stop_cluster()" in caught.value.fix
    with on_command_line():
        assert "`qstore cluster down`" in worded(caught.value.fix)
        assert "stop_cluster" not in worded(caught.value.fix)


def test_a_token_that_is_gone_is_an_error(folder: Path):
    with pytest.raises(BackendError, match="token of the cluster cannot be read"):
        client_environment()
