"""One network of Ray's nodes for all tests here, and the parameters that are right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.driver import train
from tests.chaos.namespaces import Network, network
from tests.chaos.store import Store, reserve, served
from tests.chaos.training import Training
from tests.laws.conftest import folder

__all__ = ["folder"]  # a fixture


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The parameters, as bits, of a training in this process."""
    return train(tmp_path_factory.mktemp("alone"))


@pytest.fixture(scope="session")
def streamed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same of one that streams its rows."""
    return train(tmp_path_factory.mktemp("streamed"), stream=True)


class Networks:
    """The network that tests share, until one of them kills its head."""

    def __init__(self) -> None:
        self._block = ExitStack()
        self._found: Network | None = None

    def whole(self) -> Network:
        """A network whose head lives."""
        if self._found is None or not self._found.nodes[0].is_whole:
            self.close()
            repository = Path(__file__).resolve().parents[2]
            found = self._block.enter_context(network({"PYTHONPATH": str(repository)}))
            reserve(found)
            found.start_head()
            self._found = found
        return self._found

    def close(self) -> None:
        """Nothing is left of it."""
        self._block.close()


@pytest.fixture(scope="session")
def networks() -> Iterator[Networks]:
    """The one network at a time; a start of Ray takes seconds."""
    found = Networks()
    yield found
    found.close()


@pytest.fixture
def wires(networks: Networks) -> Network:
    """A network with a head; a test asks for the nodes that it needs."""
    return networks.whole()


@pytest.fixture
def begin(wires: Network, tmp_path: Path) -> Iterator[Callable[..., Training]]:
    """Begins trainings on the network, whose arguments are those of `tests.chaos.driver.train`."""
    begun: list[Training] = []

    def start(**options: Any) -> Training:
        begun.append(Training(wires, tmp_path, **options))
        return begun[-1]

    yield start
    for training in begun:
        training.kill()


@pytest.fixture
def store(wires: Network) -> Iterator[Store]:
    """An object store that all nodes reach, through a proxy whose plan a test may change."""
    with served(wires) as found:
        yield found
