"""The dashboard's port, the usual one or another; and what ends the cluster by itself."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

from ray._private import ray_constants

from qstore_ray.cluster.supervisor import _dashboard_port, _lost


def test_another_port_is_taken_if_the_usual_one_is_not_free():
    usual = ray_constants.DEFAULT_DASHBOARD_PORT
    with socket.socket() as taken:
        with suppress(OSError):  # somebody has it already
            taken.bind(("127.0.0.1", usual))
            taken.listen()
        port = _dashboard_port()
    assert port not in {0, usual}


def test_a_cluster_that_cannot_be_joined_any_more_is_lost(tmp_path: Path):
    """A needed process has ended, or the temporary folder was cleaned."""
    dead, path = [("log_monitor", None)], tmp_path / "raylet"
    path.touch()
    node = SimpleNamespace(dead_processes=lambda: dead, raylet_socket_name=str(path))
    assert _lost([node]) == []
    dead.append(("raylet", None))
    assert _lost([node]) == ["raylet"]
    path.unlink()
    assert _lost([node]) == ["raylet", str(path)]
