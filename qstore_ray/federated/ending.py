"""What follows the last round: scores, what may be claimed, figures, the report, trackers.

However a run ends, its status is recorded and its report is written, as for any training.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import InterruptedRunError
from qstore_ray.federated.hosts.host import CLAIM
from qstore_ray.federated.opening import OpenedFederation, all_answers
from qstore_ray.figures.run import write_pictures
from qstore_ray.learn import step as blocks
from qstore_ray.learn.privacy.statement import PrivacyStatement
from qstore_ray.track.base import Display, RunInfo, Status
from qstore_ray.track.beside import open_trackers_beside
from qstore_ray.track.follow import Follower
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.finish import artifacts, close_metrics, drawn_beside, take_all
from qstore_ray.train.privacy.claim import write_statement
from qstore_ray.train.report.facts import Ending
from qstore_ray.train.report.gathering import gather
from qstore_ray.train.report.report import keep_page
from qstore_ray.train.run.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from qstore_ray.config import Config
    from qstore_ray.federated.result import FederatedResult
    from qstore_ray.federated.rounds import FederationRounds
    from qstore_ray.federated.rows import ClientRows
    from qstore_ray.federated.server import FederationState
    from qstore_ray.track.config import TrackConfig
    from qstore_ray.types import AnyArray


class FederationEnding:
    """Takes the last steps of a run. Used in the server's process.

    Args:
        dataset: of the rows, if they are of one; its test split, if any, is drawn.
        began: when `fit` was called (time.monotonic).
        display: shows the rounds.
    """

    def __init__(
        self,
        folder: RunFolder,
        track: TrackConfig,
        tables: Mapping[str, Config],
        dataset: Dataset | None,
        *,
        resumed: bool,
        began: float,
        display: Display | None = None,
    ) -> None:
        self._folder, self._track, self._dataset = folder, track, dataset
        self._began = began
        self._metrics: dict[str, float] = {}
        self._confusion: AnyArray | None = None
        self._files: list[Path] = []
        info = RunInfo(
            name=folder.name,
            run_dir=folder.path,
            config={name: config.to_dict() for name, config in tables.items()},
            fingerprints=folder.record["fingerprints"],
            resumed=resumed,
        )
        self._follows = False
        self._follower = Follower(info, open_trackers_beside(track), display)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Record how the block ended, and leave what a run leaves.

        Raises:
            QStoreError: a last step failed, and the block did not.
        """
        status: Status = "failed"
        try:
            self._follower.start()
            self._follows = True
            yield
            status = "finished"
        except InterruptedRunError:
            status = "interrupted"
            raise
        finally:
            raised = None if status == "finished" else sys.exception()
            self._metrics["train_seconds"] = round(time.monotonic() - self._began, 3)
            steps: tuple[Callable[[], object], ...] = (
                lambda: close_metrics(self._folder, status, raised),
                lambda: self._draw(status),
                lambda: self._stop_following(status),
                lambda: self._folder.set_status(status, metrics=self._metrics),
                self._folder.close,
            )
            take_all(steps, raised)

    def finish(self, result: FederatedResult) -> None:
        """Take what a run that has all of its rounds leaves besides.

        Raises:
            RunError: the folder cannot be written to.
        """
        self._metrics |= {**result.metrics, "rounds": float(len(result.history))}
        if result.privacy is not None:
            write_statement(self._folder.path, result.privacy)
        dataset = self._dataset
        has_test = dataset is not None and "test" in dataset.plans
        if self._track.figures and has_test and result.model.tells_classes:
            assert dataset is not None
            self._confusion = result.model.confusion(dataset, "test")

    def _stop_following(self, status: Status) -> None:
        if self._follows:
            files = artifacts(self._folder, self._files)
            self._follower.stop(status, summary=self._metrics, artifacts=files)

    def _draw(self, status: Status) -> None:
        """Write `report.html`, and the figures of a run that finished."""
        if not self._track.figures:
            return
        run_dir = self._folder.path
        facts = gather(
            run_dir, dataset=self._dataset, confusion=self._confusion,
            ending=Ending(status, self._metrics),
        )  # fmt: skip
        drawn = drawn_beside(facts)
        if status == "finished":
            self._files += write_pictures(run_dir, drawn.figures)
        self._files.append(keep_page(run_dir, drawn))


def scores_of(
    trainer: TrainerConfig, opened: OpenedFederation, state: FederationState, rows: ClientRows
) -> dict[str, float]:
    """Loss and accuracy of the server's model on test rows."""
    model = opened.model
    found = blocks.evaluate(model, state.theta, rows.x, rows.y, trainer.open_backend())
    loss, count, correct = found.sum(axis=0)
    scores = {"test_loss": float(loss / count)}
    if model.loss.classification:
        scores["test_accuracy"] = float(correct / count)
    return scores


def epsilons_of(opened: OpenedFederation, state: FederationState) -> dict[str, float | None]:
    """ε of the rows of each client, which each computes from how often it was asked."""
    found: dict[str, Any] = {}
    for client in opened.fleet.ids:
        found |= all_answers(opened.fleet, CLAIM, [client], state.asked.get(client, 0))
    return found


def statement_of(
    rounds: FederationRounds, state: FederationState, n_clients: int
) -> PrivacyStatement | None:
    """What may be claimed of clients; None without `federation.privacy`."""
    if rounds.private is None:
        return None
    return rounds.private.statement(state.privacy, n_clients)
