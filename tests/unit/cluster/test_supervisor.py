"""The ports of the warm cluster."""

from __future__ import annotations

import socket

from qstore_ray.cluster.supervisor import _free_port


def test_the_wanted_port_is_taken_if_it_is_free_and_another_if_it_is_not():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        other = _free_port(taken)
        assert other != taken
        assert _free_port(other) == other
