"""Several machines on one: Ray's nodes in network namespaces with addresses of their own.

A bridge joins the namespaces, each by a veth pair, so that a node can be cut off (its link goes
down, its processes live on), slowed down, or killed with all of its processes. The processes share
the disk of this machine, as nodes do that see one storage.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_SECONDS_TO_START = 180.0
_HEALTH = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
}
"""Ray takes a minute to notice a node that is cut off, by default."""


def why_not(*command: str) -> str:
    """Why there can be no namespaces here, or no `command` in one, or ""."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need the command ip (iproute2)"
    probe = f"qp{secrets.token_hex(3)}"
    made = subprocess.run(["ip", "netns", "add", probe], check=False, capture_output=True)
    if made.returncode == 0 and command:
        run = ["ip", "netns", "exec", probe, *command]
        made = subprocess.run(run, check=False, capture_output=True)
    subprocess.run(["ip", "netns", "del", probe], check=False, capture_output=True)
    return made.stderr.decode()[:80].strip() if made.returncode else ""


needs_namespaces = pytest.mark.skipif(bool(why_not()), reason=why_not() or "there are namespaces")


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"


class Node:
    """One namespace, and the node of Ray in it."""

    def __init__(self, network: Network, number: int) -> None:
        self.address = f"{network.prefix}.{number}"
        self.name = f"{network.name}n{number}"
        self._link = f"{network.name}v{number}"
        self._environment = network.environment
        self.log = network.folder / f"{self.name}.txt"
        _ip("netns", "add", self.name)
        _ip("link", "add", self._link, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        _ip("link", "set", self._link, "master", network.name, "up")
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "address", "add", f"{self.address}/24", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")

    def run(self, *command: str) -> str:
        """The output of a command in the namespace."""
        done = subprocess.run(
            ["ip", "netns", "exec", self.name, *command],
            env=self._environment, check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def begin(self, *command: str, log: Path | None = None) -> subprocess.Popen[bytes]:
        """Start a Python module in the namespace."""
        with (log or self.log).open("a") as output:
            return subprocess.Popen(
                ["ip", "netns", "exec", self.name, sys.executable, "-m", *command],
                env=self._environment, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip

    def start_ray(self, *options: str) -> None:
        """Start a node of Ray here, with `options` of `ray start`."""
        self.begin(
            "ray.scripts.scripts", "start", "--block", "--disable-usage-stats",
            f"--node-ip-address={self.address}", "--object-store-memory=80000000", *options,
        )  # fmt: skip

    def identity(self) -> str:
        """The id that Ray gave it."""
        found = self.run(sys.executable, "-c", _IDENTITY, self.address)
        return found.strip()

    def cut_off(self) -> None:
        """From now on no packet comes or goes; the processes live on."""
        _ip("link", "set", self._link, "down")

    def rejoin(self) -> None:
        """Packets come and go again."""
        _ip("link", "set", self._link, "up")

    def delay(self, milliseconds: int) -> None:
        """From now on every packet that leaves is late."""
        self.run("tc", "qdisc", "add", "dev", "eth0", "root", "netem", "delay", f"{milliseconds}ms")

    def processes(self) -> list[int]:
        """The ids of its processes."""
        done = subprocess.run(
            ["ip", "netns", "pids", self.name], check=False, capture_output=True, text=True
        )
        return [int(pid) for pid in done.stdout.split()]

    def workers(self) -> list[int]:
        """The ids of its processes that are Ray Train workers."""
        return [pid for pid in self.processes() if "RayTrainWorker" in _title(pid)]

    def kill(self) -> None:
        """Kill all of its processes."""
        for _ in range(5):
            for pid in self.processes():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)

    def remove(self) -> None:
        """Kill what is there and delete the namespace."""
        self.kill()
        subprocess.run(["ip", "netns", "del", self.name], check=False)


class Network:
    """A bridge with namespaces.

    Args:
        folder: for logs and Ray's session; its path is short.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        number = secrets.randbelow(60_000)
        self.name = f"q{number:x}"
        self.prefix = f"10.{100 + number // 256 % 100}.{number % 256}"
        self.folder = folder
        token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        self.environment = {**os.environ, **environment, **_HEALTH, **token}
        self.nodes: list[Node] = []
        _ip("link", "add", self.name, "type", "bridge")
        _ip("address", "add", f"{self.prefix}.254/24", "dev", self.name)
        _ip("link", "set", self.name, "up")

    def add(self) -> Node:
        """One more namespace."""
        node = Node(self, len(self.nodes) + 1)
        self.nodes.append(node)
        return node

    def start_head(self) -> Node:
        """The first node; it has no room for workers, and drivers run there."""
        head = self.add()
        head.start_ray(
            "--head", "--num-cpus=0", "--port=6379", "--include-dashboard=false",
            f"--temp-dir={self.folder}/r",
        )  # fmt: skip
        self.environment["RAY_ADDRESS"] = f"{head.address}:6379"
        self._wait(1)
        return head

    def start_node(self) -> Node:
        """One more node, with room for one worker; it is known to the head."""
        before = self._alive()
        node = self.add()
        node.start_ray(f"--address={self.environment['RAY_ADDRESS']}", "--num-cpus=1")
        self._wait(before + 1)
        return node

    def _alive(self) -> int:
        """How many nodes the head knows."""
        head = self.nodes[0]
        done = subprocess.run(
            ["ip", "netns", "exec", head.name, sys.executable, "-c", _COUNT],
            env=self.environment, check=False, capture_output=True, text=True,
        )  # fmt: skip
        return int(done.stdout or 0)

    def _wait(self, count: int) -> None:
        deadline = time.monotonic() + _SECONDS_TO_START
        while self._alive() < count:
            logs = "".join(node.log.read_text() for node in self.nodes if node.log.exists())
            assert time.monotonic() < deadline, logs[-3000:]
            time.sleep(0.2)

    def close(self) -> None:
        """Kill all processes, delete everything."""
        for node in self.nodes:
            node.remove()
        subprocess.run(["ip", "link", "del", self.name], check=False)


_COUNT = """
import os
from ray._raylet import GcsClient
nodes = GcsClient(address=os.environ["RAY_ADDRESS"]).get_all_node_info(timeout=5)
print(sum(info.state == 0 for info in nodes.values()))
"""


_IDENTITY = """
import os, sys
from ray._raylet import GcsClient
nodes = GcsClient(address=os.environ["RAY_ADDRESS"]).get_all_node_info(timeout=5)
(found,) = [key for key, info in nodes.items() if info.node_manager_address == sys.argv[1]]
print(found.hex())
"""


def _title(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    return ""


@contextmanager
def network(environment: Mapping[str, str]) -> Iterator[Network]:
    """A network for the time of the block; nothing is left of it."""
    with tempfile.TemporaryDirectory(prefix="qn") as folder:
        made = Network(Path(folder), environment)
        try:
            yield made
        finally:
            made.close()
