"""From the clients that a user gives to a fleet that is ready for the first round.

Each client loads its rows and reports what it may of them; all are checked against each other; then
each gets the model. What does not fit is an error here, before anything is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from qstore_ray.config import fingerprint
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import ConfigError, RunExistsError, UsageError, WorkerError
from qstore_ray.federated.checks import check_alike, check_federation, check_id
from qstore_ray.federated.config import FederationConfig
from qstore_ray.federated.fleet import Answer, ClientFault, Fleet, LocalFleet, RoundWatch
from qstore_ray.federated.hosts.host import DESCRIBE, OPEN, TAKE_SECRET, ClientHost, ClientSetup
from qstore_ray.federated.hosts.sites import ClientSite
from qstore_ray.federated.result import DescribedModel, described
from qstore_ray.federated.rows import ClientFacts, ClientRows, check_regression
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.model import QuantumModel, build_model
from qstore_ray.train.config import ClusterConfig, TrainerConfig

if TYPE_CHECKING:
    from qstore_ray.train.run.same_run import ClientEntry, RunDescription

GivenClient: TypeAlias = ClientRows | ClientSite


class OpenedFederation(NamedTuple):
    """Clients that are ready to train.

    Attributes:
        facts: what each reported. model: the function that is trained. described: for checkpoints.
    """

    fleet: Fleet
    facts: dict[str, ClientFacts]
    model: QuantumModel
    described: DescribedModel


def rows_of(given: Any, split: str = "test") -> ClientRows:
    """Rows of a client, or of a split of a dataset.

    Raises:
        UsageError: something else.
    """
    if isinstance(given, ClientRows):
        return given
    if isinstance(given, Dataset):
        return ClientRows.of(given, split)
    raise UsageError(
        "the rows of a client are a Dataset, ClientRows or a ClientSite",
        field="clients",
        value=type(given).__name__,
        fix="Make them by DatasetLoader.load(config), or by divide(dataset, partition).",
    )


def given_clients(clients: Any, field: str = "clients") -> dict[str, GivenClient]:
    """The clients by their ids, sorted.

    Raises:
        UsageError: no table, or something else than rows and sites. DataError: rows that are none.
    """
    if not isinstance(clients, Mapping):
        raise UsageError(
            "clients are a table from their ids to their rows",
            field=field,
            value=type(clients).__name__,
            fix='Write {"north": dataset_a, "south": dataset_b}.',
        )
    found: dict[str, GivenClient] = {}
    for key, given in sorted(clients.items(), key=lambda item: str(item[0])):
        name = str(key)
        check_id(name, taken=name in found)
        is_site = isinstance(given, ClientSite)
        found[name] = given if is_site else rows_of(given, "train").checked(f"clients.{name}")
    return found


def check_batch(trainer: TrainerConfig, clients: Mapping[str, GivenClient]) -> None:
    """Refuse a `batch_size` that was asked for and that the rows of all clients do not fill.

    Where some rows are elsewhere, their number is not known here, and nothing is refused.

    Raises:
        ConfigError: it is larger than all rows together.
    """
    rows = [len(each.x) for each in clients.values() if isinstance(each, ClientRows)]
    known = len(rows) == len(clients) and "batch_size" in trainer.model_fields_set
    if known and trainer.batch_size > sum(rows) > 0:
        raise ConfigError(
            f"all clients together have {sum(rows)} rows",
            field="trainer.batch_size",
            value=trainer.batch_size,
            fix=f"Take at most {max(rows)}, which is one step over all rows of any client.",
        )


def check_tested(rows: ClientRows, clients: Mapping[str, ClientFacts]) -> None:
    """Refuse rows that the server's model cannot be scored on.

    Raises:
        DataError: none, or of another width, with other classes or targets than the clients'.
    """
    first = min(clients)
    check_alike(rows.facts(), first, clients[first], field="test")


class Opening:
    """Makes clients ready. In the server's process, inside a `ray_session` if there are actors.

    Args:
        model, trainer, federation, cluster: of the `FederatedTrainer`.
        watch: stops a round.
    """

    def __init__(
        self,
        model: ModelConfig,
        trainer: TrainerConfig,
        federation: FederationConfig,
        cluster: ClusterConfig,
        watch: RoundWatch | None = None,
    ) -> None:
        self._model, self._trainer, self._federation = model, trainer, federation
        self._cluster, self._watch = cluster, watch or RoundWatch()
        self._backend = None if federation.num_workers else trainer.open_backend()

    def open(self, clients: Mapping[str, GivenClient]) -> OpenedFederation:
        """All clients of the first round.

        Raises:
            QStoreError: what a client cannot load, or what does not fit.
        """
        fleet = self._fleet(clients)
        with ExitStack() as until_opened:
            until_opened.callback(fleet.close)
            facts: dict[str, ClientFacts] = all_answers(fleet, DESCRIBE, clients)
            check_federation(self._trainer, self._federation, facts)
            some = facts[min(facts)]
            model = build_model(
                self._model,
                n_features=some.n_features,
                n_classes=len(some.classes) or None,
                task=some.task,
                n_targets=some.n_targets,
            )
            if model.loss.goal == "regression":
                check_regression(some, self._trainer.target_scaling)
            self._setup(fleet, model, clients)
            known = described(self._model, clients, facts, fleet)
            until_opened.pop_all()  # from here on the caller closes it
        return OpenedFederation(fleet, facts, model, known)

    def add(self, opened: OpenedFederation, clients: Mapping[str, GivenClient]) -> None:
        """Clients that join between two rounds; their facts join those of the others.

        Args:
            clients: with ids that no client of the federation has.

        Raises:
            QStoreError: as `open`.
        """
        hosts = clients if self._federation.num_workers else self._hosts(clients)
        opened.fleet.add(hosts)
        facts = all_answers(opened.fleet, DESCRIBE, clients)
        check_federation(self._trainer, self._federation, {**opened.facts, **facts})
        self._setup(opened.fleet, opened.model, clients)
        opened.facts.update(facts)

    def _fleet(self, clients: Mapping[str, GivenClient]) -> Fleet:
        if not self._federation.num_workers:
            _check_no_place(clients)
            return LocalFleet(self._hosts(clients), watch=self._watch)
        from qstore_ray.federated.ray.fleet import RayFleet  # Ray only where it is used

        return RayFleet(clients, self._federation.num_workers, self._cluster, self._watch)

    def _hosts(self, clients: Mapping[str, GivenClient]) -> dict[str, ClientHost]:
        stop = self._watch.stop
        return {n: ClientHost(n, given, self._backend, stop) for n, given in clients.items()}

    def _setup(self, fleet: Fleet, model: QuantumModel, clients: Mapping[str, GivenClient]) -> None:
        setup = ClientSetup(model, self._trainer, self._federation)
        all_answers(fleet, OPEN, clients, setup)


def give_secret(fleet: Fleet, clients: Mapping[str, GivenClient], secret: bytes) -> None:
    """Give clients whose rows the server has what their noise is drawn from.

    Raises:
        QStoreError: a client does not answer.
    """
    own = [name for name, given in clients.items() if isinstance(given, ClientRows)]
    if own:
        all_answers(fleet, TAKE_SECRET, own, secret)


def all_answers(
    fleet: Fleet, message: str, clients: Iterable[str], *arguments: Any
) -> dict[str, Answer]:
    """The answers of clients that all have to answer.

    Raises:
        WorkerError: the process of a client died, or did not answer.
        QStoreError: what the first client raised that did not, with its id in the field.
    """
    found = fleet.ask(message, dict.fromkeys(clients, arguments))
    for name, answer in found.items():
        if not isinstance(answer, ClientFault):
            continue
        error = answer.error
        if error is None:
            raise WorkerError(
                answer.reason, field=f"clients.{name}", fix="Look at the node that it is on."
            )
        error.add_note(f"client {name}")
        if not error.field.startswith(("trainer.", "federation.", "model.", "clients.")):
            error.field = f"clients.{name}.{error.field}".rstrip(".")
        raise error
    return found


def check_resumed(
    record: RunDescription, facts: Mapping[str, ClientFacts]
) -> dict[str, ClientEntry]:
    """The clients of a run that is resumed, and those that join it now.

    Raises:
        RunExistsError: a client is missing, or has other rows than it had.
    """
    known = record.get("clients", {})
    for name, entry in sorted(known.items()):
        found = facts.get(name)
        if found is None or found.digest != entry["digest"]:
            what = "is missing" if found is None else "has other rows"
            raise RunExistsError(
                f"the run was started with a client that {what}",
                field=f"clients.{name}",
                value=sorted(facts) if found is None else None,
                fix="Resume it with the clients that it had, all with their rows, and others if "
                "they join, or use existing='replace'.",
            )
    return known


def _check_no_place(clients: Mapping[str, GivenClient]) -> None:
    for name, given in clients.items():
        if isinstance(given, ClientSite) and given.place != ("", ""):
            kind, place = given.place
            raise ConfigError(
                "a client that names its place lives in an actor there",
                field=f"clients.{name}.{kind}",
                value=place,
                fix="Set federation.num_workers to 1 or more, or leave the place out.",
            )


def common_source(clients: Mapping[str, GivenClient]) -> Dataset | None:
    """The dataset that was divided among the clients; None if there is no such one."""
    sources = {
        id(source): source
        for given in clients.values()
        for source in [given.source if isinstance(given, ClientRows) else None]
    }
    return next(iter(sources.values())) if len(sources) == 1 else None


def data_fingerprint(clients: Mapping[str, GivenClient], facts: Mapping[str, ClientFacts]) -> str:
    """Of the dataset that was divided, or of what all clients reported of their rows."""
    source = common_source(clients)
    if source is not None:
        return source.fingerprint
    return fingerprint({name: each.digest for name, each in facts.items()})
