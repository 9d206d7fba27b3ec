"""The rounds of a run: from the state of its last checkpoint to its end.

After each round its record is written, then a checkpoint: the server's model, its strategy, and
what each client remembers, in one file. So a run that is killed at any moment resumes with the same
bits. Runs in the server's process.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from qstore_ray.errors import RunError
from qstore_ray.federated.config import FederationConfig
from qstore_ray.federated.fleet import Fleet
from qstore_ray.federated.journal import RoundJournal
from qstore_ray.federated.privacy.clients import ClientPrivacy
from qstore_ray.federated.result import DescribedModel
from qstore_ray.federated.server import FederationState, RoundRecord, run_round
from qstore_ray.federated.strategies import get_strategy
from qstore_ray.learn.privacy.noise import NoiseKey
from qstore_ray.track.jsonl import MetricsFile
from qstore_ray.train.privacy.key import DIGEST
from qstore_ray.train.run.checkpoint import prune_checkpoints, write_checkpoint
from qstore_ray.train.run.run_folder import RunFolder

if TYPE_CHECKING:
    from qstore_ray.types import Table

KEY_DIGEST: Final = DIGEST.partition(".")[2]
_MOST_NAMED: Final = 5
"""Clients in a line of the log."""


class FederationRounds:
    """Takes the rounds of one attempt.

    Args:
        kept: how many checkpoints stay.
        key: of the noise, of a private federation or training; None for any other.
        facts: for the record of the start of the attempt.
    """

    def __init__(
        self,
        folder: RunFolder,
        fleet: Fleet,
        config: FederationConfig,
        described: DescribedModel,
        *,
        kept: int,
        private: ClientPrivacy | None = None,
        key: NoiseKey | None = None,
        facts: Table | None = None,
    ) -> None:
        self._folder, self._fleet, self._config = folder, fleet, config
        self._described, self._kept, self._facts = described, kept, facts or {}
        self.private, self._key = private, key
        self._strategy = get_strategy(config.strategy, config.strategy_options)
        self.history: list[RoundRecord] = []
        self._began = time.monotonic()

    def run(
        self,
        state: FederationState,
        stop: threading.Event,
        join: Callable[[int], None] | None = None,
    ) -> tuple[FederationState, bool]:
        """The last state, and whether it is that of the whole run.

        Args:
            stop: when set, the run ends before the next round.
            join: called before each round with its number; may add clients to the fleet.

        Raises:
            RunError: too many rounds in a row had too few sound updates, or all of them.
            KeyboardInterrupt: `stop` was set in a round, which is given up.
        """
        folder = self._folder
        self._began = time.monotonic()
        with MetricsFile(folder.metrics) as metrics:
            metrics.trim(state.round)
            prune_checkpoints(folder.checkpoints, self._kept)  # if it was killed at that
            metrics.append(
                {"event": "start", "generation": folder.generation,
                 "epochs": self._config.rounds, "resumed_from_epoch": state.round,
                 "resumed_from_step": state.round, **self._facts}
            )  # fmt: skip
            if self._described.warning:
                metrics.append({"event": "warning", "message": self._described.warning})
            journal = RoundJournal(folder.path, state.round)
            try:
                while not (self._is_over(state) or stop.is_set()):
                    if join is not None:
                        join(state.round)
                    state = self._round(state, metrics, journal)
            finally:
                journal.close()
            is_whole = self._is_over(state)
            if is_whole and state.round < self._config.rounds:
                said = "the next round would spend more than ε"
                metrics.append({"event": "note", "message": f"{said}, after {state.round} rounds"})
            if is_whole:
                self._check_changed(state)
                metrics.append({"event": "end", "status": "finished", "seconds": self._seconds()})
        return state, is_whole

    def _is_over(self, state: FederationState) -> bool:
        spent = self.private is not None and self.private.is_spent(state.privacy)
        return spent or state.round >= self._config.rounds

    def _round(
        self, state: FederationState, metrics: MetricsFile, journal: RoundJournal
    ) -> FederationState:
        state, record = run_round(
            state, self._fleet, self._strategy, self._config,
            journal=journal, private=self.private, run=self._folder.identity.run,
        )  # fmt: skip
        self.history.append(record)
        epsilon = {}
        if self.private is not None and not self.private.why_not:
            epsilon["epsilon"] = self.private.epsilon(state.privacy)
        _write_record(metrics, record, {**epsilon, "seconds": self._seconds()})
        self._commit(state)
        if state.failed >= self._config.failed_rounds:
            reasons = "; ".join(f"{name}: {why}" for name, why in record.excluded.items())
            raise self._few_updates_error(f"{state.failed} rounds in a row", f" ({reasons})")
        return state

    def _check_changed(self, state: FederationState) -> None:
        """Raise `RunError` if no round has changed the model."""
        if state.failed and state.failed == state.round:
            raise self._few_updates_error("all rounds", "; rounds.jsonl has the reasons")

    def _few_updates_error(self, which: str, why: str) -> RunError:
        return RunError(
            f"{which} had too few sound updates{why}",
            field="federation.fewest_updates",
            value=self._config.fewest_updates,
            fix="Continue with existing='resume' when the clients answer again; where all rounds "
            "are over, with more federation.rounds.",
        )

    def _seconds(self) -> float:
        """Since this attempt began."""
        return round(time.monotonic() - self._began, 3)

    def _commit(self, state: FederationState) -> None:
        """Write the state after a round, also to an object store; what it replaces is deleted
        afterwards.
        """
        if self._key is not None and self._is_over(state):  # no later round needs its noise again
            none = np.zeros(len(self._key.digest), np.uint8)
            state = replace(state, privacy={**state.privacy, KEY_DIGEST: none})
        folder = self._folder
        write_checkpoint(
            folder.checkpoints,
            state.round,
            {**state.to_arrays(), **self._described.arrays},
            {
                "model": self._described.about,
                "fingerprints": folder.record["fingerprints"],
                "epoch": state.round,
                "generation": folder.generation,
            },
        )
        prune_checkpoints(folder.checkpoints, self._kept)
        folder.upload()


def excluded_text(record: RoundRecord) -> str:
    """Who was excluded from a round and why, in a line; rounds are counted from 1 in it."""
    shown = [f"{client}: {why}" for client, why in list(record.excluded.items())[:_MOST_NAMED]]
    left = len(record.excluded) - len(shown)
    more = [f"and {left} more, see rounds.jsonl"] if left else []
    return f"round {record.round + 1} had no sound update of {'; '.join([*shown, *more])}"


def _write_record(metrics: MetricsFile, record: RoundRecord, more: Mapping[str, Any]) -> None:
    done = record.round + 1
    if record.excluded:
        metrics.append(
            {"event": "warning", "message": excluded_text(record), "excluded": len(record.excluded)}
        )
    metrics.append(
        {"event": "round", "step": done, "round": record.round, "asked": list(record.asked),
         "used": list(record.used), "excluded": dict(record.excluded),
         "losses": dict(record.losses), "sent": record.sent, "received": record.received,
         "seconds": round(record.seconds, 4)}
    )  # fmt: skip
    loss = {"train_loss": record.loss} if np.isfinite(record.loss) else {}
    metrics.append(
        {"event": "epoch", "epoch": record.round, "step": done, **loss, "change": record.change,
         "clients": len(record.used), **more}
    )  # fmt: skip
