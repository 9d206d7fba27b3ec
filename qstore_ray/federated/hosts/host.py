"""A client where its rows are: it loads them, reports what it may, and trains.

The same object lives in the server's process or in an actor, and answers the same messages.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from qstore_ray.backends.base import Backend
from qstore_ray.errors import CheckpointError, QStoreError, RunError
from qstore_ray.federated.client import LocalClient
from qstore_ray.federated.config import FederationConfig
from qstore_ray.federated.fleet import ClientFault
from qstore_ray.federated.hosts.member import RoundMember
from qstore_ray.federated.hosts.sites import ClientSite, site_key
from qstore_ray.federated.rows import ClientFacts, ClientRows, preparation_digest
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.model import QuantumModel
from qstore_ray.train.config import TrainerConfig

if TYPE_CHECKING:
    from qstore_ray.data.read.dataset import Dataset
    from qstore_ray.train.run.manifest import ModelDescription
    from qstore_ray.types import AnyArray

DESCRIBE: Final = "describe"
OPEN: Final = "open"
TELL_MODEL: Final = "tell_model"
CLAIM: Final = "claim"
TAKE_SECRET: Final = "take_secret"  # noqa: S105 - the name of a message


class ClientSetup(NamedTuple):
    """What every client of a federation is given before the first round."""

    model: QuantumModel
    trainer: TrainerConfig
    federation: FederationConfig


class ClientHost:
    """One client.

    Args:
        name: its id.
        given: its rows, or where they are.
        backend: where its circuits run; several clients of a process may share one.
        stop: when set, its training ends before the next step.
    """

    def __init__(
        self,
        name: str,
        given: ClientRows | ClientSite,
        backend: Backend | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self._name, self._given, self._backend, self._stop = name, given, backend, stop
        self._dataset: Dataset | None = None
        self._rows: ClientRows | None = None
        self._secret: bytes | None = None
        self._client: LocalClient | None = None
        self._member: RoundMember | None = None

    def ask(self, message: str, arguments: tuple[Any, ...]) -> Any:
        """See `HostedClient`: a message of a round, or one of the methods below.

        Raises:
            RunError: the client was not opened before.
            QStoreError: any that the client raises.
        """
        before: dict[str, Callable[..., Any]] = {
            DESCRIBE: self.describe,
            OPEN: self.open,
            TELL_MODEL: self.tell_model,
        }
        if message in before:
            return before[message](*arguments)
        if self._client is None or self._member is None:
            raise RunError("a client is opened before it is asked", field=f"clients.{self._name}")
        if message == CLAIM:
            return self._client.epsilon(*arguments)
        if message == TAKE_SECRET:
            return self._client.take_secret(*arguments)
        return self._member.ask(message, arguments)

    def fault(self, error: QStoreError) -> ClientFault:
        """See `HostedClient`. A client that keeps its rows reports no value of them."""
        if isinstance(self._given, ClientRows) or type(error) is CheckpointError:  # of its key
            return ClientFault(f"{type(error).__name__}: {error}", error)
        said = f"field {error.field!r}" if error.field else "without a field"
        return ClientFault(
            f"{type(error).__name__}, {said}; the details stay with the client",
            type(error)(
                "this client cannot train; the details stay where its rows are",
                field=error.field,
                fix="Load its dataset on its node to see the whole error.",
            ),
        )

    def describe(self) -> ClientFacts:
        """What it reports of its rows.

        Raises:
            QStoreError: they cannot be loaded.
        """
        rows = self._loaded()
        facts = rows.facts(self._secret)
        if self._dataset is not None:
            facts = facts._replace(preparation=preparation_digest(self._dataset))
        return facts

    def open(self, setup: ClientSetup) -> None:
        """Make it ready to train.

        Raises:
            QStoreError: its rows do not fit the model or the trainer.
        """
        rows = self._loaded()
        backend = self._backend or setup.trainer.open_backend()
        self._client = LocalClient(
            self._name, setup.model, setup.trainer, setup.federation, rows, backend, self._stop
        )
        if self._secret is not None:
            self._client.take_secret(self._secret)
        self._member = RoundMember(self._name, self._client, self._secret)

    def tell_model(self, config: ModelConfig) -> tuple[ModelDescription, dict[str, AnyArray]]:
        """How raw rows become features, if all clients prepare theirs alike."""
        from qstore_ray.train.model.modelfile import model_manifest, preparation_arrays

        self._loaded()
        assert self._dataset is not None, "asked of sites alone"
        about = model_manifest(config, self._dataset)
        about.pop("data")  # counts of its rows
        return about, dict(preparation_arrays(self._dataset))

    def _loaded(self) -> ClientRows:
        if self._rows is not None:
            return self._rows
        if isinstance(self._given, ClientRows):
            self._rows = self._given
        else:
            from qstore_ray.data.loader import DatasetLoader

            self._secret = site_key(self._name, self._given.key_file)
            self._dataset = DatasetLoader.load(self._given.dataset)
            self._rows = ClientRows.of(self._dataset).without_source()
        return self._rows
