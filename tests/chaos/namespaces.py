"""Several machines on one: Ray's nodes in network namespaces with addresses of their own.

A bridge joins the namespaces, each by a veth pair, so that a node can be cut off (its link goes
down, its processes live on), slowed down (`delays.py`), or killed with all of its processes. The
processes share the disk of this machine, as nodes do that see one storage. A start of Ray takes
seconds, so tests share a network and its nodes: `Network.nodes_ready`.
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
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.memory import MemoryLimit

_SECONDS_TO_END = 120.0
_STARTS = 3
"""Ray gives a node up that has not started within 30 s, which takes a busy machine longer."""
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
    """One namespace, and the node of Ray in it.

    Attributes:
        is_whole: no test has cut it off, killed it, or taken a process from it.
        environment: of its processes; the folder for copies is its own.
    """

    def __init__(self, network: Network, number: int) -> None:
        self.address = f"{network.prefix}.{number}"
        self.name = f"{network.name}n{number}"
        self._link = f"{network.name}v{number}"
        self._network = network
        self.environment = {
            **network.environment,
            "XDG_CACHE_HOME": str(network.folder / self.name),
        }
        self._ray: subprocess.Popen[bytes] | None = None
        self.log = network.folder / f"{self.name}.txt"
        self.is_whole = True
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
            env=self.environment, check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def begin(
        self,
        *command: str,
        log: Path | None = None,
        environment: Mapping[str, str] | None = None,
        limit: MemoryLimit | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a Python module in the namespace.

        Args:
            environment: more of it.
            limit: on the memory of all its processes together.
        """
        confined = limit.entry() if limit else []
        with (log or self.log).open("a") as output:
            return subprocess.Popen(
                ["ip", "netns", "exec", self.name, *confined, sys.executable, "-m", *command],
                env={**self.environment, **(environment or {})},
                stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip

    def start_ray(
        self,
        *options: str,
        environment: Mapping[str, str] | None = None,
        limit: MemoryLimit | None = None,
    ) -> None:
        """Start a node with `options` of `ray start`; return when the head knows it."""
        for _ in range(_STARTS):
            self._ray = self.begin(
                "ray.scripts.scripts", "start", "--block", "--disable-usage-stats",
                f"--node-ip-address={self.address}", "--object-store-memory=80000000", *options,
                environment=environment, limit=limit,
            )  # fmt: skip
            if self._is_known():
                return
            self._end_all()
        raise AssertionError(f"ray start has ended: {self.log.read_text()[-3000:]}")

    def _is_known(self) -> bool:
        """Whether the head takes this node for alive, before `ray start` gives up."""
        while not self._asked(alive=True):
            if self._ray is None or self._ray.poll() is not None:
                return False
        return True

    def wait_for_its_end(self) -> None:
        """Return when the head takes this node for dead."""
        deadline = time.monotonic() + _SECONDS_TO_END
        while not self._asked(alive=False):
            assert time.monotonic() < deadline, "the head does not notice"

    def _asked(self, *, alive: bool) -> bool:
        """Whether, within some seconds, the head says so of this node."""
        command = [sys.executable, "-c", _WAIT, self.address, str(alive), self._network.address]
        done = subprocess.run(
            ["ip", "netns", "exec", self._network.nodes[0].name, *command],
            env=self.environment, check=False, capture_output=True,
        )  # fmt: skip
        return done.returncode == 0

    def identity(self) -> str:
        """The id that Ray gave it."""
        found = self.run(sys.executable, "-c", _IDENTITY, self.address)
        return found.strip()

    def cut_off(self) -> None:
        """From now on no packet comes or goes; the processes live on."""
        self.is_whole = False
        _ip("link", "set", self._link, "down")

    def rejoin(self) -> None:
        """Packets come and go again."""
        _ip("link", "set", self._link, "up")
        self.is_whole = True

    @contextmanager
    def delayed(self, milliseconds: int) -> Iterator[None]:
        """For the time of the block, every packet that comes or goes is late."""
        own, other = f"{self._link}a", f"{self._link}b"
        _ip("link", "add", own, "type", "veth", "peer", "name", other)
        _ip("link", "set", self._link, "nomaster")
        _ip("link", "set", own, "master", self._network.name, "up")
        _ip("link", "set", other, "up")
        command = [sys.executable, "-m", "tests.chaos.delays", self._link, other, str(milliseconds)]
        late = subprocess.Popen(command, env=self.environment, start_new_session=True)
        try:
            yield
            assert late.poll() is None, "the packets were not delayed to the end"
        finally:
            late.kill()
            late.wait()
            _ip("link", "del", own)
            _ip("link", "set", self._link, "master", self._network.name)

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
        self.is_whole = False
        self._end_all()

    def _end_all(self) -> None:
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
        self.address = f"{self.prefix}.1:6379"
        here = {"RAY_ADDRESS": self.address}
        self.environment = {**os.environ, **environment, **_HEALTH, **token, **here}
        self.nodes: list[Node] = []
        self._made = 0
        _ip("link", "add", self.name, "type", "bridge")
        _ip("address", "add", f"{self.prefix}.254/24", "dev", self.name)
        _ip("link", "set", self.name, "up")

    def add(self) -> Node:
        """One more namespace."""
        self._made += 1
        node = Node(self, self._made)
        self.nodes.append(node)
        return node

    def start_head(self) -> Node:
        """The first node; it has no room for workers, and drivers run there."""
        head = self.add()
        head.start_ray(
            "--head", "--num-cpus=0", "--port=6379", "--include-dashboard=false",
            f"--temp-dir={self.folder}/r",
        )  # fmt: skip
        return head

    def start_node(self, **options: Any) -> Node:
        """One more node, with room for one worker; it is known to the head."""
        return self._started([self.add()], **options)[0]

    def nodes_ready(self, count: int) -> list[Node]:
        """So many whole nodes, and no other one: what earlier tests left of others is killed."""
        head, *others = self.nodes
        kept = [node for node in others if node.is_whole][:count]
        for node in others:
            if node not in kept:
                node.remove()
                node.wait_for_its_end()
        self.nodes = [head, *kept]
        self._started([self.add() for _ in range(count - len(kept))])
        return self.nodes[1:]

    def _started(self, nodes: list[Node], **options: Any) -> list[Node]:
        """These nodes, each with room for one worker, started at the same time."""

        def start(node: Node) -> None:
            node.start_ray(f"--address={self.address}", "--num-cpus=1", **options)

        with ThreadPoolExecutor(max(1, len(nodes))) as pool:
            list(pool.map(start, nodes))
        return nodes

    def close(self) -> None:
        """Kill all processes, delete everything."""
        for node in self.nodes:
            node.remove()
        subprocess.run(["ip", "link", "del", self.name], check=False)


_WAIT = """
import sys, time
from ray._raylet import GcsClient
address, wanted, head = sys.argv[1:]
client = GcsClient(address=head)
for _ in range(50):
    nodes = client.get_all_node_info(timeout=5).values()
    alive = any(info.node_manager_address == address and info.state == 0 for info in nodes)
    if str(alive) == wanted:
        sys.exit(0)
    time.sleep(0.1)
sys.exit(1)
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
