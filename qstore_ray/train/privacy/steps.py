"""Private steps of a training: how much noise, from which key, and when the run must end.

The plan follows from the configuration and the number of rows, so all workers and the driver have
the same. Worker 0 opens the key and sends it to the others; the noise of a step is drawn by worker
0 and sent too, since other processors may round a logarithm differently.

A release is one noisy sum that the accountant counts: with Poisson sampling each step, with
shuffled batches each epoch, in which every row is in one batch.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from qstore_ray.data.batches.batches import Batches
from qstore_ray.errors import ConfigError, under
from qstore_ray.learn.privacy.accountant import PrivacyAccountant
from qstore_ray.learn.privacy.calibration import noise_for
from qstore_ray.learn.privacy.config import PrivacyConfig
from qstore_ray.learn.privacy.noise import NoiseKey
from qstore_ray.learn.privacy.sampling import PoissonBatches
from qstore_ray.learn.privacy.statement import (
    ACCOUNTANT,
    ALWAYS_OUTSIDE,
    NEIGHBOURS,
    SAMPLING,
    PrivacyStatement,
)
from qstore_ray.learn.step import Sums
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.job import AnyRows, Assignment, StreamedRows
from qstore_ray.train.privacy.key import DIGEST, forget_key, open_key
from qstore_ray.train.run.state import TrainState

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray, IntArray

_log = logging.getLogger(__name__)
_KEY = DIGEST.partition(".")[2]
_STEPS_AHEAD, _NUMBERS_AHEAD = 16, 8192  # drawn at a time: a small step costs calls, not numbers


class Broadcaster(Protocol):
    """The part of a `Reducer` that is needed here."""

    rank: int
    world_size: int

    def broadcast(self, values: FloatArray) -> FloatArray:
        """Worker 0's array, on every worker."""
        ...


class PrivacyPlan(NamedTuple):
    """What a private training does, and spends, with this many rows.

    Attributes:
        asked: the configuration. n_rows: N. batch_size: B, expected rows of a step.
        noise_multiplier: σ. sample_rate: q. steps_per_epoch: of an epoch.
        releases: noisy sums that the accountant counts, if the run takes all of its epochs.
    """

    asked: PrivacyConfig
    n_rows: int
    batch_size: int
    noise_multiplier: float
    sample_rate: float
    steps_per_epoch: int
    releases: int

    @classmethod
    def of(cls, config: TrainerConfig, n_rows: int) -> PrivacyPlan:
        """The plan of a training with `privacy`; without a σ it is the least that ε allows.

        Raises:
            ConfigError: a batch larger than the data, or an ε that is too small.
        """
        asked = config.privacy
        assert asked is not None, "asked for only if the training is private"
        size = config.batch_size * config.accumulate
        if size > n_rows:
            raise ConfigError(
                f"a private step of {size} rows is larger than the {n_rows} rows of train",
                field="trainer.batch_size",
                value=config.batch_size,
                fix=f"Take at most {n_rows} rows a step; a small part of the rows costs less ε.",
            )
        steps = -(-n_rows // size)
        poisson = asked.sampling == "poisson"
        rate, releases = (size / n_rows, config.epochs * steps) if poisson else (1.0, config.epochs)
        sigma = asked.noise_multiplier
        if sigma is None:
            assert asked.epsilon is not None, "the configuration has one of both"
            with under("trainer.privacy"):
                sigma = noise_for(asked.epsilon, asked.delta, sample_rate=rate, steps=releases)
        return cls(asked, n_rows, size, sigma, rate, steps, releases)

    @property
    def clip(self) -> float | None:
        """C, the largest norm of one row's gradient; None without clipping."""
        return None if isinstance(self.asked.clip, str) else self.asked.clip

    @property
    def accountant(self) -> PrivacyAccountant:
        """Counts the releases."""
        return PrivacyAccountant(
            sample_rate=self.sample_rate, noise_multiplier=self.noise_multiplier
        )

    @property
    def why_not(self) -> str:
        """Why no ε may be claimed; "" if one may."""
        if self.noise_multiplier == 0.0:
            return "there is no noise (noise_multiplier = 0)"
        if self.asked.noise == "seeded":
            return 'the noise follows from the seed of the run (noise = "seeded", for tests)'
        return ""

    def releases_left(self, spent: Mapping[str, FloatArray]) -> int | None:
        """How many more releases keep the run within ε; None without a limit."""
        if self.asked.epsilon is None:
            return None
        most = max(self.releases, 1)
        return self.accountant.steps_left(spent, self.asked.epsilon, self.asked.delta, most)


def check_privacy(config: TrainerConfig, rows: AnyRows, *, copies: bool) -> None:
    """Refuse a private training that would not be private. Runs in the driver process.

    Args:
        copies: whether the dataset trains on several copies of a row.

    Raises:
        ConfigError: what does not fit.
    """
    asked = config.privacy
    if asked is None:
        return
    if isinstance(rows, StreamedRows) and asked.sampling == "poisson":
        raise ConfigError(
            "Poisson sampling draws each step from all rows, and the rows are streamed",
            field="trainer.privacy.sampling",
            value="poisson",
            fix='Set dataset.stream = false, or sampling = "shuffle", which needs more noise.',
        )
    weight = rows.train.weight if isinstance(rows, StreamedRows) else rows.weight
    if weight is not None:
        raise ConfigError(
            "weights of rows are divided by their mean over all rows, so that one row changes the "
            "gradient of every other",
            field="trainer.privacy",
            fix="Leave out the weights (columns.weight, class_weight, sample_weight), or privacy.",
        )
    if copies:
        raise ConfigError(
            "with copies of rows one row of the data is in several rows of train, which the "
            "account would count as one",
            field="dataset.augmentation",
            fix="Leave out the augmentation, or trainer.privacy.",
        )
    plan = PrivacyPlan.of(config, rows.n_rows)
    if plan.releases_left(plan.accountant.init()) == 0:
        unit = "step" if asked.sampling == "poisson" else "epoch"
        raise ConfigError(
            f"the first {unit} spends more than this ε with σ = {plan.noise_multiplier:g}",
            field="trainer.privacy.epsilon",
            value=asked.epsilon,
            fix="Take a larger epsilon or noise_multiplier, or leave noise_multiplier out.",
        )
    if asked.delta >= 1.0 / rows.n_rows:
        _log.warning(
            "trainer.privacy.delta = %g is not below 1/%d: publishing one whole row at random "
            "would satisfy such a claim; take less than %.1g",
            asked.delta, rows.n_rows, 0.1 / rows.n_rows,
        )  # fmt: skip
    if plan.why_not:
        _log.warning("no ε is claimed of this run, since %s", plan.why_not)


class PrivateTraining:
    """The private part of a loop. Used in every worker, by all in the same order.

    Attributes:
        last_step: the step after which the run must end; None without a limit.
    """

    def __init__(self, plan: PrivacyPlan, key: NoiseKey, reducer: Broadcaster) -> None:
        self.plan = plan
        self.key = key
        self.last_step: int | None = None
        self._reducer = reducer
        self._accountant = plan.accountant
        self._drawn, self._drawn_from = np.zeros((0, 0)), 0

    @property
    def clip(self) -> float | None:
        """C; None without clipping."""
        return self.plan.clip

    def init(self) -> dict[str, AnyArray]:
        """Nothing spent; `TrainState.privacy` before the first step."""
        return {**self._accountant.init(), _KEY: self._digest()}

    def resume(self, state: TrainState) -> TrainState:
        """A restored state with this key; finds out how far the run may go."""
        privacy = {**state.privacy, _KEY: self._digest()}
        left = self.plan.releases_left(privacy)
        if left is None:
            self.last_step = None
        elif self._counts_epochs:
            begun = state.epoch + (state.step_in_epoch > 0)
            self.last_step = (begun + left) * self.plan.steps_per_epoch
        else:
            self.last_step = state.step + left
        return replace(state, privacy=privacy)

    def batches(self) -> Batches | None:
        """The batches that the account assumes; None for those of any training."""
        if self._counts_epochs:
            return None
        plan = self.plan
        return PoissonBatches(n_rows=plan.n_rows, batch_size=plan.batch_size, key=self.key)

    def within(self, epoch: int, batches: list[IntArray]) -> list[IntArray]:
        """The batches of an epoch that are within the limit."""
        if self.last_step is None:
            return batches
        return batches[: max(0, self.last_step - epoch * self.plan.steps_per_epoch)]

    def is_spent(self, state: TrainState) -> bool:
        """Whether the next step would spend more than ε."""
        return self.last_step is not None and state.step >= self.last_step

    def release(self, sums: Sums, step: int) -> FloatArray:
        """The noisy mean gradient (P,): (Σ clipped + σ·C·z) / expected rows.

        Args:
            sums: over the rows of a batch, each clipped to C.
        """
        plan = self.plan
        rows = sums.n_rows if self._counts_epochs else plan.batch_size
        if plan.clip is None or plan.noise_multiplier == 0.0:
            return sums.gradient / rows
        noise = np.zeros(len(sums.gradient))
        if self._reducer.rank == 0:
            noise = self._noise(step, len(noise))
        if self._reducer.world_size > 1:
            noise = self._reducer.broadcast(noise)
        return (sums.gradient + plan.noise_multiplier * plan.clip * noise) / rows

    def _noise(self, step: int, size: int) -> FloatArray:
        """The normal numbers of a step (P,), of which those of the next few are drawn with it."""
        at = step - self._drawn_from
        if not 0 <= at < len(self._drawn) or self._drawn.shape[1] != size:
            ahead = max(1, min(_STEPS_AHEAD, _NUMBERS_AHEAD // max(size, 1)))
            self._drawn_from, at = step, 0
            self._drawn = self.key.normals(range(step, step + ahead), size)
        found: FloatArray = self._drawn[at]
        return found

    def update(self, state: TrainState) -> dict[str, AnyArray]:
        """`TrainState.privacy` after the step that follows `state`."""
        counts = not self._counts_epochs or state.step_in_epoch == 0
        spent = self._accountant.update(state.privacy, int(counts))
        return {**state.privacy, **spent}

    def metrics(self, state: TrainState) -> dict[str, float]:
        """ε spent so far, for the record of an epoch; nothing if none may be claimed."""
        if self.plan.why_not:
            return {}
        return {"epsilon": self._accountant.epsilon(state.privacy, self.plan.asked.delta)}

    def finished(self, state: TrainState) -> TrainState:
        """The last state of a run: no step after it needs the noise of this key again."""
        return replace(state, privacy={**state.privacy, _KEY: np.zeros_like(self._digest())})

    def reason(self, state: TrainState, epochs: int) -> str:
        """Why the run ended before its last epoch; "" if it did not."""
        if state.step >= epochs * self.plan.steps_per_epoch or not self.is_spent(state):
            return ""
        asked = self.plan.asked
        return (
            f"the next step would spend more than ε = {asked.epsilon:g} at δ = {asked.delta:g}, "
            f"after {state.step} of {epochs * self.plan.steps_per_epoch} steps"
        )

    @property
    def _counts_epochs(self) -> bool:
        return self.plan.asked.sampling == "shuffle"

    def _digest(self) -> AnyArray:
        return np.frombuffer(self.key.digest, np.uint8)


def open_private(
    job: Assignment, rows: AnyRows, reducer: Broadcaster, arrays: Mapping[str, AnyArray]
) -> PrivateTraining | None:
    """The private part of a training; None if it has none.

    Args:
        arrays: of the checkpoint that the run continues from; empty at its start.

    Raises:
        CheckpointError: the key of the run's noise is gone (worker 0).
    """
    asked = job.config.privacy
    if asked is None:
        return None
    if asked.noise == "seeded":
        key = NoiseKey.for_tests(job.config.seed)
    else:
        secret = open_key(job.run_dir, arrays).secret if reducer.rank == 0 else bytes(32)
        sent = reducer.broadcast(np.frombuffer(secret, np.uint8).astype(np.float64))
        key = NoiseKey(sent.astype(np.uint8).tobytes())
    return PrivateTraining(PrivacyPlan.of(job.config, rows.n_rows), key, reducer)


def forget_noise(job: Assignment) -> None:
    """Delete the key of a run that is finished."""
    if job.config.privacy is not None:
        forget_key(job.run_dir)


def privacy_statement(
    config: TrainerConfig, n_rows: int, arrays: Mapping[str, AnyArray]
) -> PrivacyStatement:
    """What may be claimed of a run, from its configuration and its last checkpoint."""
    plan = PrivacyPlan.of(config, n_rows)
    asked = plan.asked
    spent = {name: arrays[f"privacy.{name}"] for name in plan.accountant.init()}
    ends = int(arrays["step"]) < config.epochs * plan.steps_per_epoch
    outside = list(ALWAYS_OUTSIDE)
    if config.init_from is not None:
        outside.append("the parameters that the run began from (init_from)")
    return PrivacyStatement(
        epsilon=None if plan.why_not else plan.accountant.epsilon(spent, asked.delta),
        delta=asked.delta,
        limit=asked.epsilon,
        why=plan.why_not,
        noise_multiplier=plan.noise_multiplier,
        clip=plan.clip,
        sample_rate=plan.sample_rate,
        rows=n_rows,
        releases=int(spent["steps"][0]),
        neighbours=NEIGHBOURS[asked.sampling],
        sampling=SAMPLING[asked.sampling],
        accountant=ACCOUNTANT,
        ended_early=ends and plan.releases_left(spent) == 0,
        outside=outside,
    )
