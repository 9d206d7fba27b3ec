"""Clients on the nodes that have their rows; one of the nodes is lost, and comes back."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.federation import ROUNDS, federate, plant, site
from tests.chaos.namespaces import Network, Node, needs_namespaces

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900), needs_namespaces]

_LONGEST = 300.0
HELD = (1, 2, 3, 4)
"""The rounds before which a test may do something to the nodes."""


def _actors(node: Node) -> list[int]:
    """The processes on a node that hold clients."""
    titles = {pid: Path(f"/proc/{pid}/cmdline") for pid in node.processes()}
    return [pid for pid, path in titles.items() if path.exists() and "ClientActor" in _text(path)]


def _text(path: Path) -> str:
    return path.read_text(errors="replace")


class _Server:
    """The driver of a federation, on the head."""

    def __init__(self, wires: Network, folder: Path, nodes: dict[str, str]) -> None:
        self.folder, self.said = folder, folder / "said.txt"
        self.process = wires.nodes[0].begin(
            "tests.chaos.federation", str(folder), json.dumps(nodes), log=self.said
        )

    def held(self, number: int) -> None:
        """Return when it waits before this round."""
        deadline = time.monotonic() + _LONGEST
        while not (self.folder / f"held-{number}").exists():
            assert self.process.poll() is None, _text(self.said)[-5000:]
            assert time.monotonic() < deadline, _text(self.said)[-5000:]
            time.sleep(0.05)

    def go(self, number: int) -> None:
        """Let this round continue."""
        (self.folder / f"go-{number}").touch()

    def result(self) -> dict:
        """Its outcome."""
        assert self.process.wait(_LONGEST) == 0, _text(self.said)[-5000:]
        return json.loads(_text(self.folder / "result.json"))


@pytest.fixture
def homes(tmp_path: Path) -> dict[str, Path]:
    """A home for each client's node, with its rows alone."""
    found = {name: tmp_path / name for name in ("north", "south")}
    for seed, home in enumerate(found.values()):
        plant(home, seed)
    return found


@pytest.fixture
def server(wires: Network, homes: dict[str, Path], tmp_path: Path) -> Iterator[_Server]:
    wires.nodes_ready(0)
    started = {
        name: wires.start_node(environment={"HOME": str(home)}) for name, home in homes.items()
    }
    for number in HELD:
        (tmp_path / f"hold-{number}").touch()
    nodes = {name: node.address for name, node in started.items()}
    found = _Server(wires, tmp_path, nodes)
    yield found
    if found.process.poll() is None:
        found.process.kill()
        found.process.wait()
    for node in wires.nodes[1:]:
        node.is_whole = False  # their home is that of one client


def test_each_client_is_where_its_rows_are_and_a_lost_node_s_client_comes_back(
    wires: Network, server: _Server, homes: dict[str, Path], tmp_path: Path
) -> None:
    server.held(1)
    head, north, south = wires.nodes
    assert [len(_actors(node)) for node in (head, north, south)] == [0, 1, 1]
    assert all((home / "site.key").exists() for home in homes.values())
    server.go(1)

    server.held(2)
    south.kill()
    server.go(2)

    server.held(3)  # the round before found its actor dead
    assert [len(_actors(node)) for node in (north, south)] == [1, 0]
    south.wait_for_its_end()
    server.go(3)

    server.held(4)  # there was no node to start it on
    south.start_ray(
        f"--address={wires.address}", "--num-cpus=1", environment={"HOME": str(homes["south"])}
    )
    server.go(4)

    result = server.result()
    assert [used for used, _ in result["rounds"]] == [
        ["north", "south"], ["north", "south"], ["north"], ["north"], ["north", "south"],
        ["north", "south"],
    ]  # fmt: skip
    first, second = (excluded["south"] for _, excluded in result["rounds"][2:4])
    assert "its process ended" in first
    assert f"no node of the cluster is its place, {south.address}" in second
    assert len(result["rounds"]) == ROUNDS


def test_clients_on_nodes_of_their_own_have_the_bits_of_one_process(
    wires: Network, server: _Server, homes: dict[str, Path], tmp_path: Path
) -> None:
    here = {
        name: site(str(home / "rows.npz"), str(home / "site.key")) for name, home in homes.items()
    }
    for number in HELD:
        server.go(number)
    found = server.result()
    assert found["theta"] == federate(here, tmp_path / "here", 0).theta.tobytes().hex()
