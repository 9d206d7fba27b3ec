"""`FederatedTrainer`: all rounds of a federation, in this process.

    federation = FederationConfig(rounds=20)
    trainer = FederatedTrainer(ModelConfig(n_qubits=4), TrainerConfig(), federation)
    result = trainer.fit(divide(dataset, PartitionConfig(kind="dirichlet")))

The run folder has a checkpoint after each round: the server's model, its strategy, and what each
client remembers, in one file. So a run that is killed at any moment resumes with the same bits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qstore_ray.config import dump_toml
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import RunError, UsageError
from qstore_ray.federated.checks import check_federation
from qstore_ray.federated.client import LocalClient, personal_mask
from qstore_ray.federated.config import FederationConfig
from qstore_ray.federated.rows import ClientRows, check_regression, shard_table
from qstore_ray.federated.server import (
    Client,
    FederationState,
    RoundRecord,
    first_state,
    run_round,
)
from qstore_ray.federated.strategies import get_strategy
from qstore_ray.learn import step as blocks
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.model import QuantumModel, build_model
from qstore_ray.track.jsonl import MetricsFile
from qstore_ray.train.checks import as_config
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.run.checkpoint import latest_checkpoint, prune_checkpoints, write_checkpoint
from qstore_ray.train.run.run_folder import Existing, RunFolder, open_run_folder

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray, IntArray, Table


@dataclass(frozen=True)
class FederatedResult:
    """What `fit` returns.

    Attributes:
        model: the function that was trained. theta: the server's parameters (P,).
        personal: the parameters (P,) of each client that has some of its own, by its id.
        history: one record a round of this attempt. shards: rows of each class, by client.
        metrics: `test_loss` and `test_accuracy`, if test rows were given.
        run_dir: the run folder.
    """

    model: QuantumModel
    theta: FloatArray
    personal: Mapping[str, FloatArray]
    history: list[RoundRecord] = field(repr=False)
    shards: Mapping[str, IntArray] = field(repr=False)
    metrics: Mapping[str, float]
    run_dir: Path


class FederatedTrainer:
    """Trains one model on rows that stay with their clients.

    Args:
        trainer: how each client trains: its `epochs` are not used, `federation.local_epochs` are.
        name: of the run; its folder is `<storage>/<name>`.

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
    ) -> None:
        self.model = as_config(model, ModelConfig, "model")
        self.trainer = as_config(trainer, TrainerConfig, "trainer")
        self.federation = as_config(federation, FederationConfig, "federation")
        self.name, self.storage = name, storage

    def fit(
        self,
        clients: Mapping[str, ClientRows | Dataset],
        *,
        test: ClientRows | Dataset | None = None,
        existing: Existing = "error",
    ) -> FederatedResult:
        """Train all rounds.

        Args:
            clients: their rows, by id; of a dataset its train split.
            test: rows that the server's model is scored on at the end; of a dataset its test split.
            existing: as `QuantumTrainer.fit`.

        Raises:
            UsageError, DataError: what does not fit; nothing was written.
            RunError: too many rounds in a row had too few sound updates.
        """
        rows = _rows_by_id(clients)
        check_federation(self.trainer, self.federation, rows)
        some = rows[min(rows)]
        model = build_model(
            self.model,
            n_features=some.x.shape[1],
            n_classes=len(some.classes) or None,
            task=some.task,
            n_targets=some.n_targets,
        )
        if model.loss.goal == "regression":
            check_regression(some, self.trainer.target_scaling)
        recipe = self._recipe(rows)
        folder = open_run_folder(
            self.storage, self.name, recipe=recipe, data_fingerprint=_fingerprint(rows),
            config_toml=dump_toml(recipe), existing=existing,
        )  # fmt: skip
        status = "failed"
        try:
            history, state = self._train(folder, model, rows)
            metrics = {} if test is None else self._scores(model, state.theta, _rows_of(test))
            status = "finished"
        except KeyboardInterrupt:
            status = "interrupted"
            raise
        finally:
            folder.set_status(status)
            folder.close()
        mask = personal_mask(model, self.federation.personal)
        personal = {}
        for client, memory in state.clients.items():
            if mask.any():
                personal[client] = state.theta.copy()
                personal[client][mask] = memory["personal"]
        return FederatedResult(
            model, state.theta, personal, history, shard_table(rows), metrics, folder.path
        )

    def _train(
        self, folder: RunFolder, model: QuantumModel, rows: Mapping[str, ClientRows]
    ) -> tuple[list[RoundRecord], FederationState]:
        backend = self.trainer.open_backend()
        clients: dict[str, Client] = {
            name: LocalClient(name, model, self.trainer, self.federation, own, backend)
            for name, own in rows.items()
        }
        strategy = get_strategy(self.federation.strategy, self.federation.strategy_options)
        state = first_state(strategy, model.initial(self.trainer.seed))
        saved, _ = latest_checkpoint(folder.checkpoints)
        if saved is not None:
            state = FederationState.from_arrays(saved.arrays, state, list(rows))
        history = []
        with MetricsFile(folder.metrics) as metrics:
            metrics.trim(state.round)
            metrics.append(
                {"event": "start", "generation": folder.generation,
                 "epochs": self.federation.rounds, "parameters": model.n_parameters,
                 "resumed_from_epoch": state.round, "resumed_from_step": state.round}
            )  # fmt: skip
            while state.round < self.federation.rounds:
                state, record = run_round(state, clients, strategy, self.federation)
                history.append(record)
                _write_record(metrics, record)
                self._commit(folder, state, list(rows))
                self._check_progress(state, record)
            metrics.append({"event": "end", "status": "finished"})
        return history, state

    def _commit(self, folder: RunFolder, state: FederationState, ids: list[str]) -> None:
        """Write the state after a round; what it replaces is deleted afterwards."""
        manifest = {"fingerprints": folder.record["fingerprints"], "epoch": state.round}
        write_checkpoint(
            folder.checkpoints, state.round, state.to_arrays(ids),
            {**manifest, "generation": folder.generation},  # type: ignore[typeddict-item]  # of two parts
        )  # fmt: skip
        prune_checkpoints(folder.checkpoints, self.trainer.checkpoints_kept)

    def _check_progress(self, state: FederationState, record: RoundRecord) -> None:
        if state.failed >= self.federation.failed_rounds:
            reasons = "; ".join(f"{name}: {why}" for name, why in record.excluded.items())
            raise RunError(
                f"{state.failed} rounds in a row had too few sound updates ({reasons})",
                field="federation.fewest_updates",
                value=self.federation.fewest_updates,
                fix="Continue with existing='resume' when the clients answer again.",
            )

    def _scores(self, model: QuantumModel, theta: FloatArray, rows: ClientRows) -> dict[str, float]:
        backend = self.trainer.open_backend()
        found = blocks.evaluate(model, theta, rows.x, rows.y, backend)
        loss, count, correct = found.sum(axis=0)
        scores = {"test_loss": float(loss / count)}
        if model.loss.classification:
            scores["test_accuracy"] = float(correct / count)
        return scores

    def _recipe(self, rows: Mapping[str, ClientRows]) -> Table:
        trainer = self.trainer.recipe(regression=not rows[min(rows)].classes)
        del trainer["epochs"]  # the rounds count
        return {
            "model": self.model.to_dict(),
            "trainer": trainer,
            "federation": self.federation.to_dict(),
        }


def _rows_of(given: Any, split: str = "test") -> ClientRows:
    if isinstance(given, ClientRows):
        return given
    if isinstance(given, Dataset):
        return ClientRows.of(given, split)
    raise UsageError(
        "the rows of a client are a Dataset or ClientRows",
        field="clients",
        value=type(given).__name__,
        fix="Make them by DatasetLoader.load(config), or by divide(dataset, partition).",
    )


def _rows_by_id(clients: Any) -> dict[str, ClientRows]:
    if not isinstance(clients, Mapping):
        raise UsageError(
            "clients are a table from their ids to their rows",
            field="clients",
            value=type(clients).__name__,
            fix='Write {"north": dataset_a, "south": dataset_b}.',
        )
    return {str(name): _rows_of(clients[name], "train") for name in sorted(clients)}


def _fingerprint(rows: Mapping[str, ClientRows]) -> str:
    digest = hashlib.sha256()
    for name, own in sorted(rows.items()):
        digest.update(repr((name, own.x.shape, own.y.shape, own.classes)).encode())
        digest.update(np.ascontiguousarray(own.x).tobytes())
        digest.update(np.ascontiguousarray(own.y).tobytes())
    return digest.hexdigest()


def _write_record(metrics: MetricsFile, record: RoundRecord) -> None:
    for client, why in record.excluded.items():
        metrics.append(
            {"event": "warning", "message": f"round {record.round}: {client} is excluded: {why}"}
        )
    loss = {"train_loss": record.loss} if record.used else {}
    done = record.round + 1
    metrics.append(
        {"event": "epoch", "epoch": record.round, "step": done, **loss, "change": record.change,
         "clients": len(record.used)}
    )  # fmt: skip
