"""An S3 server for the nodes of a network, behind a proxy with faults."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tests.chaos.namespaces import Network
from tests.faulty_proxy import FaultyProxy, faulty_proxy
from tests.object_store import KEYS, make_bucket, s3_server


class Store(NamedTuple):
    """The address of an empty bucket, and the proxy in front of its server."""

    address: str
    proxy: FaultyProxy


def reserve(wires: Network) -> None:
    """Put the address of a store into the environment of nodes that start from now on."""
    with socket.socket() as probe:
        probe.bind((f"{wires.prefix}.254", 0))
        host, port = probe.getsockname()
    address = {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ALLOW_HTTP": "true"}
    wires.environment |= KEYS | address


@contextmanager
def served(wires: Network) -> Iterator[Store]:
    """The store at that address, for the time of the block; its proxy has no fault at first."""
    host, port = wires.environment["AWS_ENDPOINT_URL"].removeprefix("http://").split(":")
    with s3_server() as server, faulty_proxy(server, lambda *_: "", (host, int(port))) as proxy:
        bucket = f"runs-{secrets.token_hex(6)}"
        make_bucket(server, bucket)
        yield Store(f"s3://{bucket}", proxy)
