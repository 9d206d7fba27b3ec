"""`FederatedTrainer`: all rounds of a federation, with clients in this process or in Ray actors.

    federation = FederationConfig(rounds=20)
    trainer = FederatedTrainer(ModelConfig(n_qubits=4), TrainerConfig(), federation)
    result = trainer.fit(divide(dataset, PartitionConfig(kind="dirichlet")))

Everything is checked before anything is written, also by the clients on their rows. Then the run
folder is opened and `rounds.py` takes the rounds. `fit` runs in the driver process, which is the
federation's server.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from qstore_ray.config import Config, dump_toml
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.federated.checks import check_parts, check_settings
from qstore_ray.federated.client import personal_mask
from qstore_ray.federated.config import FederationConfig
from qstore_ray.federated.ending import FederationEnding, epsilons_of, scores_of, statement_of
from qstore_ray.federated.fleet import RoundWatch, ShowsAnswers
from qstore_ray.federated.hosts.sites import ClientSite
from qstore_ray.federated.longer import check_longer_federation
from qstore_ray.federated.opening import (
    GivenClient,
    OpenedFederation,
    Opening,
    check_batch,
    check_resumed,
    check_tested,
    common_source,
    data_fingerprint,
    give_secret,
    given_clients,
    rows_of,
)
from qstore_ray.federated.privacy.clients import ClientPrivacy
from qstore_ray.federated.privacy.rows import warn_of_rows
from qstore_ray.federated.result import FederatedResult
from qstore_ray.federated.rounds import KEY_DIGEST, FederationRounds
from qstore_ray.federated.rows import ClientRows, shard_table
from qstore_ray.federated.server import FederationState, first_state
from qstore_ray.federated.strategies import get_strategy
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.privacy.noise import NoiseKey
from qstore_ray.track.base import Display
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.checks import as_config
from qstore_ray.train.config import ClusterConfig, TrainerConfig
from qstore_ray.train.finish import interrupted_error
from qstore_ray.train.model.trained import TrainedModel
from qstore_ray.train.privacy.key import forget_key, open_key
from qstore_ray.train.ray.interrupt import outlast_signal, stop_on_signal
from qstore_ray.train.run.checkpoint import latest_checkpoint
from qstore_ray.train.run.run_folder import Existing, RunFolder, check_run, open_run_folder
from qstore_ray.train.run.same_run import ClientEntry
from qstore_ray.train.run.writing import read_run_record

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, IntArray, Table


class _Asked(NamedTuple):
    """What `fit` was asked for, checked; `source` is the dataset that figures are drawn of."""

    given: dict[str, GivenClient]
    test: ClientRows | None
    source: Dataset | None
    existing: Existing
    join: Joining | None
    began: float
    stop: threading.Event


Joining: TypeAlias = Callable[[int], Mapping[str, ClientRows | Dataset | ClientSite]]
"""Called before each round with its number: the clients that join, by their ids."""


class FederatedTrainer:
    """Trains one model on rows that stay with their clients.

    Args:
        trainer: how each client trains: its `epochs` are not used, `federation.local_epochs` are.
        name: of the run; its folder is `<storage>/<name>`.
        cluster: where Ray runs, for `federation.num_workers` > 0; `cpus_per_worker` and
            `max_failures` are of the clients' actors.
        track: which trackers are fed, and whether there are figures and a report.
        tables: further tables of the run's config.toml, such as where its clients come from.
        display: shows the rounds; one that `ShowsAnswers` shows the clients of a round, too.

    Examples:
        federation = FederationConfig(rounds=10, strategy="scaffold")
        trainer = FederatedTrainer(ModelConfig(n_qubits=4), TrainerConfig(optimizer="sgd"),
                                   federation, name="hospitals")
    """

    def __init__(
        self,
        model: ModelConfig | None = None,
        trainer: TrainerConfig | None = None,
        federation: FederationConfig | None = None,
        *,
        name: str = "federation",
        storage: str | Path = "runs",
        cluster: ClusterConfig | None = None,
        track: TrackConfig | None = None,
        tables: Mapping[str, Config] | None = None,
        display: Display | None = None,
    ) -> None:
        self.model = as_config(model, ModelConfig, "model")
        self.trainer = as_config(trainer, TrainerConfig, "trainer")
        self.federation = as_config(federation, FederationConfig, "federation")
        self.cluster = as_config(cluster, ClusterConfig, "cluster")
        self.track = as_config(track, TrackConfig, "track")
        self.name, self.storage, self.tables = name, storage, dict(tables or {})
        self.display = display

    def fit(
        self,
        clients: Mapping[str, ClientRows | Dataset | ClientSite],
        *,
        test: ClientRows | Dataset | None = None,
        existing: Existing = "error",
        join: Joining | None = None,
    ) -> FederatedResult:
        """Train all rounds.

        Args:
            clients: their rows, by id (of a dataset its train split), or where they are.
            test: rows that the server's model is scored on at the end; of a dataset its test split.
            existing: as `QuantumTrainer.fit`; a finished run continues with more
                `federation.rounds`. A run that is resumed has the clients that it had, and more
                may join.
            join: clients that join between rounds.

        Raises:
            UsageError, DataError: what does not fit; nothing was written.
            InterruptedRunError: stopped by Ctrl-C; the round under way is given up.
            RunError: too many rounds in a row had too few sound updates, or all of them.
        """
        began = time.monotonic()
        given = given_clients(clients)
        tested = None if test is None else rows_of(test).checked("test")
        check_settings(self.trainer, self.federation)
        check_batch(self.trainer, given)
        check_run(self.storage, self.name, existing=existing, epochs=self.federation.rounds)
        shown = self.display if isinstance(self.display, ShowsAnswers) else None
        watch = RoundWatch(display=shown)
        opening = Opening(self.model, self.trainer, self.federation, self.cluster, watch)
        with self._session():
            opened = opening.open(given)
            try:
                check_parts(opened.model, self.federation.personal)
                if tested is not None:
                    check_tested(tested, opened.facts)
                source = test if isinstance(test, Dataset) else common_source(given)
                asked = _Asked(given, tested, source, existing, join, began, watch.stop)
                return self._run(opening, opened, asked)
            finally:
                opened.fleet.close()

    def _session(self) -> AbstractContextManager[None]:
        """Ray with room for the actors; does nothing without actors."""
        if not self.federation.num_workers:
            return nullcontext()
        from qstore_ray.train.ray.session import ray_session  # Ray only where it is used

        return ray_session(self.cluster, self.federation.num_workers, field="federation")

    def _run(self, opening: Opening, opened: OpenedFederation, asked: _Asked) -> FederatedResult:
        given = asked.given
        folder = self._folder(opened, given, asked.existing)
        with ExitStack() as until_taken:
            until_taken.callback(folder.give_up)
            ending = FederationEnding(
                folder, self.track, self._tables(given), asked.source,
                resumed=asked.existing == "resume", began=asked.began, display=self.display,
            )  # fmt: skip
            until_taken.pop_all()  # from here on `taken` closes the folder
        with ending.taken(), _interrupted(folder, asked.stop):
            rounds, state, key = self._prepared(folder, opened, given)

            def add(number: int) -> None:
                new = {} if asked.join is None else given_clients(asked.join(number), "join")
                new = {name: each for name, each in new.items() if name not in opened.facts}
                if new:
                    opening.add(opened, new)
                    given.update(new)
                    if key is not None:
                        give_secret(opened.fleet, new, key.secret)
                    _record_clients(folder, opened, number)

            with stop_on_signal(asked.stop):
                state, is_whole = rounds.run(state, asked.stop, add)
            if not is_whole:
                raise interrupted_error(folder, stop=asked.stop)
            result = self._result(folder, opened, given, rounds, state, asked.test)
            ending.finish(result)
            if key is not None:
                forget_key(folder.path)
            outlast_signal()
        return result

    def _folder(
        self, opened: OpenedFederation, given: Mapping[str, GivenClient], existing: Existing
    ) -> RunFolder:
        """The run folder, locked until it is closed."""
        digest, entries = data_fingerprint(given, opened.facts), _entries(opened, 0)
        path = check_run(self.storage, self.name, existing=existing, epochs=self.federation.rounds)
        if existing == "resume":
            record = read_run_record(path)
            known = check_resumed(record, opened.facts)
            entries = {**entries, **known}
            digest = record["fingerprints"]["data"]
            check_longer_federation(self.trainer, self.federation, path)
        recipe = self._recipe(opened)
        return open_run_folder(
            self.storage, self.name, recipe=recipe, data_fingerprint=digest,
            config_toml=dump_toml({k: v.to_dict() for k, v in self._tables(given).items()}),
            existing=existing, about={"clients": entries},
        )  # fmt: skip

    def _prepared(
        self, folder: RunFolder, opened: OpenedFederation, given: Mapping[str, GivenClient]
    ) -> tuple[FederationRounds, FederationState, NoiseKey | None]:
        """The rounds of this attempt, the state that it begins with, and the key of its noise."""
        saved, _ = latest_checkpoint(folder.checkpoints)
        arrays: Mapping[str, AnyArray] = {} if saved is None else saved.arrays
        key = self._key(folder, arrays)
        if self.trainer.privacy is not None:
            seen = {n: len(c.x) for n, c in given.items() if isinstance(c, ClientRows)}
            warn_of_rows(self.trainer.privacy, seen)
        private, spent = None, {}
        if key is not None:
            spent[KEY_DIGEST] = np.frombuffer(key.digest, np.uint8)
            give_secret(opened.fleet, given, key.secret)
            if self.federation.privacy is not None:
                private = ClientPrivacy(self.federation, key)
                private.warn(len(opened.facts))
                spent |= private.init()
        strategy = get_strategy(self.federation.strategy, self.federation.strategy_options)
        state = first_state(strategy, opened.model.initial(self.trainer.seed), spent)
        if saved is not None:
            state = FederationState.from_arrays(arrays, state)
            if key is not None:
                state = state.with_key(KEY_DIGEST, spent[KEY_DIGEST])
        table = _table(given)
        facts: Table = {
            "parameters": opened.model.n_parameters,
            "clients": len(opened.facts),
            "shards": {name: counts.tolist() for name, counts in table.items()},
            "class_names": [str(label) for label in opened.facts[min(opened.facts)].classes],
        }
        if promise := self.federation.sum_promise(self.federation.per_round(len(opened.facts))):
            facts["secure_sum"] = promise
        rounds = FederationRounds(
            folder, opened.fleet, self.federation, opened.described,
            kept=self.trainer.checkpoints_kept, private=private, key=key, facts=facts,
        )  # fmt: skip
        return rounds, state, key

    def _key(self, folder: RunFolder, arrays: Mapping[str, AnyArray]) -> NoiseKey | None:
        """What all noise of the server, and of clients whose rows it has, is drawn from."""
        asked = self.federation.privacy
        if asked is None and self.trainer.privacy is None:
            return None
        if asked is not None and asked.noise == "seeded":
            return NoiseKey.for_tests(self.federation.seed)
        return open_key(folder.path, arrays)

    def _result(
        self,
        folder: RunFolder,
        opened: OpenedFederation,
        given: Mapping[str, GivenClient],
        rounds: FederationRounds,
        state: FederationState,
        test: ClientRows | None,
    ) -> FederatedResult:
        saved, _ = latest_checkpoint(folder.checkpoints)
        assert saved is not None, "a checkpoint was written after the last round"
        model = TrainedModel.load(saved.path)
        mask = personal_mask(opened.model, self.federation.personal)
        personal = {}
        for client, memory in state.clients.items():
            if mask.any() and "personal" in memory:  # others keep theirs sealed
                personal[client] = state.theta.copy()
                personal[client][mask] = memory["personal"]
        metrics = {} if test is None else scores_of(self.trainer, opened, state, test)
        epsilons = {} if self.trainer.privacy is None else epsilons_of(opened, state)
        statement = statement_of(rounds, state, len(opened.facts))
        if statement is not None and statement.epsilon is not None:
            metrics["epsilon"] = statement.epsilon
        return FederatedResult(
            model, personal, rounds.history, _table(given), metrics, folder.path, statement,
            epsilons,
        )  # fmt: skip

    def _recipe(self, opened: OpenedFederation) -> Table:
        """What decides the result: a resumed run must have it in common."""
        some = opened.facts[min(opened.facts)]
        trainer = self.trainer.recipe(regression=not some.classes)
        del trainer["epochs"]  # the rounds count
        federation = {**self.federation.recipe(), "rounds": self.federation.rounds}
        return {"model": self.model.to_dict(), "trainer": trainer, "federation": federation}

    def _tables(self, given: Mapping[str, GivenClient]) -> dict[str, Config]:
        """What the run's config.toml has."""
        source = common_source(given)
        dataset: dict[str, Config] = {} if source is None else {"dataset": source.config}
        return {
            **dataset, **self.tables, "model": self.model, "trainer": self.trainer,
            "federation": self.federation, "cluster": self.cluster, "track": self.track,
        }  # fmt: skip


@contextmanager
def _interrupted(folder: RunFolder, stop: threading.Event) -> Iterator[None]:
    """A run that is stopped, wherever it stands, says how it continues."""
    try:
        yield
    except KeyboardInterrupt as exc:
        raise interrupted_error(folder, stop=stop) from exc


def _table(given: Mapping[str, GivenClient]) -> dict[str, IntArray]:
    """Rows of each class, of the clients whose rows the server has."""
    return shard_table({n: each for n, each in given.items() if isinstance(each, ClientRows)})


def _entries(opened: OpenedFederation, number: int) -> dict[str, ClientEntry]:
    return {name: {"digest": facts.digest, "round": number} for name, facts in opened.facts.items()}


def _record_clients(folder: RunFolder, opened: OpenedFederation, number: int) -> None:
    """Record who is in the run from now on, before they take part."""
    entries = {**_entries(opened, number), **folder.record["clients"]}
    folder.set_status("running", clients=entries)
