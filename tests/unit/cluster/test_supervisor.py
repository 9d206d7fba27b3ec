"""The ports of the warm cluster's dashboard: the usual one, or another if that is taken."""

from __future__ import annotations

import socket
from contextlib import suppress

from ray._private import ray_constants

from qstore_ray.cluster.supervisor import _dashboard_port


def test_another_port_is_taken_if_the_usual_one_is_not_free():
    usual = ray_constants.DEFAULT_DASHBOARD_PORT
    with socket.socket() as taken:
        with suppress(OSError):  # somebody has it already
            taken.bind(("127.0.0.1", usual))
            taken.listen()
        port = _dashboard_port()
    assert port not in {0, usual}
