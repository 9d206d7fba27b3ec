"""What goes wrong with the warm cluster: each is an error that names the file or the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from qstore_ray.cluster import find_cluster, processes, size, start, stop, supervisor
from qstore_ray.cluster.drivers import announce_end, joined_driver
from qstore_ray.cluster.processes import Process, cluster_folder
from qstore_ray.cluster.record import (
    LOG,
    ClusterRecord,
    make_folder,
    read_record,
    state_folder,
    write_record,
)
from qstore_ray.cluster.size import LEAST_MB, cluster_size
from qstore_ray.cluster.spare import SpareWorkers
from qstore_ray.errors import BackendError

NOBODY = 2**22 + 1
"""No process has this number."""

RECORD = ClusterRecord("running", "a", "b", 1, 1, 1, 80, "", "", "", "", "", "")


@pytest.fixture
def record(tmp_path: Path) -> ClusterRecord:
    return ClusterRecord(
        "starting", "", "", NOBODY, 1, 1, 80, str(tmp_path / "ray"), "", "", "", "", ""
    )


@pytest.fixture
def folder(tmp_path: Path, record: ClusterRecord) -> Path:
    found = tmp_path / "state"
    make_folder(found)
    write_record(found, record)
    return found


@pytest.mark.skipif(not Path("/bin/ps").exists(), reason="no ps: a system without /proc has one")
def test_without_proc_the_processes_are_those_of_ps(monkeypatch, tmp_path):
    """macOS has none. A long command line is whole, or the folder in it would not be found."""
    monkeypatch.setenv("COLUMNS", "80")
    listed = {each.pid: each for each in processes.processes()}
    monkeypatch.setattr(processes, "_PROC", tmp_path)
    found = {each.pid: each for each in processes.processes()}
    own = os.getpid()
    assert found[own].session == listed[own].session == os.getsid(0)
    assert found[own].command.split() == listed[own].command.split()


def test_a_folder_that_cannot_be_read_has_no_cluster(tmp_path):
    assert processes._readable(tmp_path / "gone") == []


def test_a_damaged_record_under_another_name_is_not_this_machines(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    other = state_folder().parent / "another-machine"
    other.mkdir(parents=True)
    (other / "cluster.json").write_text("{")
    assert cluster_folder() == state_folder()
    assert find_cluster() == (None, False)
    assert (other / "cluster.json").exists()


@pytest.mark.parametrize(
    "write", [make_folder, lambda folder: write_record(folder, RECORD)], ids=["token", "record"]
)
def test_a_folder_that_cannot_be_made_is_named(write, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BackendError) as caught:
        write(tmp_path / "file" / "cluster")
    assert str(tmp_path / "file") in str(caught.value.value)
    assert caught.value.fix


@pytest.mark.parametrize("said", ["", "first\nRuntimeError: no memory\n"])
def test_a_supervisor_that_ended_says_why_in_the_error(folder, said):
    (folder / LOG).write_text(said)
    ended = subprocess.Popen(["true"])
    ended.wait()
    why = "RuntimeError: no memory" if said else "it was not ready"
    with pytest.raises(BackendError, match=f"does not start: {why}"):
        start._ready(folder, ended)


def test_a_supervisor_that_takes_too_long_is_not_waited_for(folder, monkeypatch):
    monkeypatch.setattr(start, "_SECONDS", 0.1)
    (folder / LOG).write_text("still at work\n")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as slow:
        try:
            with pytest.raises(BackendError, match=r"it was not ready after 0\.1 s"):
                start._ready(folder, slow)
        finally:
            slow.kill()


def test_files_that_cannot_be_removed_are_named_and_the_record_stays(folder, record):
    Path(record.temp_dir).write_text("no folder")
    with pytest.raises(BackendError, match="cannot be removed: Not a directory") as caught:
        stop.sweep(folder)
    assert caught.value.value == record.temp_dir
    assert read_record(folder) == record, "what it names is found again"
    Path(record.temp_dir).unlink()
    stop.sweep(folder)
    assert not folder.exists()


def test_a_process_that_does_not_end_is_named(folder, record, monkeypatch):
    """One that waits for a disk survives SIGKILL until the disk answers."""
    monkeypatch.setattr(stop, "_KILL_SECONDS", 0.1)
    monkeypatch.setattr(stop, "members", lambda record: [Process(NOBODY, NOBODY, "raylet")])
    with pytest.raises(BackendError, match="does not end") as caught:
        stop.sweep(folder)
    assert caught.value.value == NOBODY
    assert read_record(folder) == record


def test_a_driver_that_has_just_left_is_not_waited_for(folder, record):
    drivers = folder / "drivers"
    drivers.mkdir()
    (drivers / "1-1").symlink_to(folder / "gone")
    announce_end(folder)
    assert read_record(folder) == record


def test_a_driver_of_a_cluster_that_was_stopped_just_now_goes_on(tmp_path):
    with joined_driver(tmp_path / "gone" / "cluster", lambda: pytest.fail("nothing ends")):
        pass
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize("nodes", [1, 2, 1000])
def test_without_shared_memory_a_node_has_its_share_of_the_usual_store(
    monkeypatch, tmp_path, nodes
):
    """macOS: Ray takes the temporary folder."""
    monkeypatch.setattr(size, "_SHARED", tmp_path / "none")
    store = cluster_size(nodes, nodes).object_store_mb
    assert store == max(LEAST_MB, size._MOST_MB // nodes)


def test_a_node_that_does_not_answer_is_asked_the_next_time():
    node = SpareWorkers(SimpleNamespace(node_ip_address="127.0.0.1", node_manager_port=9), 2)
    for _ in range(2):
        node.fill_up()
        assert node._asked_at == float("-inf")


class Spares:
    """Counts how often a node was filled up."""

    filled = 0
    then: Any = None

    def __init__(self, node: Any, cpus: int) -> None:
        self.node = node

    def fill_up(self) -> None:
        type(self).filled += 1
        type(self).then(self.node)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[SimpleNamespace]:
    """A cluster of one node, as the supervisor holds it; its node is what the test makes of it."""
    socket = tmp_path / "raylet"
    socket.touch()
    dead: list[Any] = []
    node = SimpleNamespace(dead_processes=lambda: dead, raylet_socket_name=str(socket), dead=dead)
    found = SimpleNamespace(
        address="127.0.0.1:1", webui_url="127.0.0.1:2", ended=0, node=node,
        list_all_nodes=lambda: [node],
    )  # fmt: skip
    found.shutdown = lambda: setattr(found, "ended", found.ended + 1)
    monkeypatch.setattr(supervisor, "_started", lambda size, record: found)
    monkeypatch.setattr(supervisor, "SpareWorkers", Spares)
    monkeypatch.setattr(supervisor, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(Spares, "filled", 0)
    before = signal.getsignal(signal.SIGTERM)
    yield found
    signal.signal(signal.SIGTERM, before)


def test_a_supervisor_ends_with_what_its_cluster_has_lost(
    held, folder, record, capsys, monkeypatch
):
    monkeypatch.setattr(Spares, "then", lambda node: node.dead.append(("raylet", None)))
    assert supervisor.main(folder, (1,)) == 1
    assert "the cluster has lost: raylet" in capsys.readouterr().err
    assert held.ended == Spares.filled == 1
    running = replace(
        record, state="running", pid=os.getpid(), address="127.0.0.1:1",
        dashboard="http://127.0.0.1:2",
    )  # fmt: skip
    assert read_record(folder) == running


def test_a_supervisor_ends_in_order_when_it_is_asked_to(held, folder, capsys, monkeypatch):
    monkeypatch.setattr(Spares, "then", lambda node: signal.raise_signal(signal.SIGTERM))
    assert supervisor.main(folder, (1,)) == 0
    assert (held.ended, capsys.readouterr().err) == (1, "")


def test_a_supervisor_without_a_record_starts_nothing(held, tmp_path):
    assert supervisor.main(tmp_path / "none", (1,)) == 1
    assert held.ended == 0
