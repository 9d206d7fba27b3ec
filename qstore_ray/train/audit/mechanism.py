"""A training with canaries, step by step as the loop takes it, and what its gradients reveal.

Sampling, clipping, noise and optimizer are those of the training; the auditor sees every noisy
gradient. That is the strongest position that the account allows for, so a sound training stands up
to it, and each of these faults does not: no noise, too little of it, no clipping, and batches that
are not drawn as the account says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, cast

import numpy as np

from qstore_ray.learn.privacy.audit import (
    Guesses,
    area,
    area_error,
    ceiling,
    epsilon_bound,
    expected_area,
    guesses,
    spread_chance,
)
from qstore_ray.learn.privacy.noise import NoiseKey
from qstore_ray.learn.schedules import Horizon
from qstore_ray.train.audit.canaries import CanaryObjective
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.job import TrainingRows
from qstore_ray.train.loop.objective import TrainingObjective
from qstore_ray.train.loop.reducer import LocalReducer
from qstore_ray.train.loop.source import HeldBatches
from qstore_ray.train.loop.stepper import Stepper
from qstore_ray.train.privacy.steps import PrivacyPlan, PrivateTraining

if TYPE_CHECKING:
    from qstore_ray.learn.model import QuantumModel
    from qstore_ray.types import FloatArray, IntArray

_ERRORS: Final = 4.0
"""Standard errors that an area may be away from its expectation: one sound audit in 16,000."""
_RARE: Final = 1e-6


class MechanismAudit(NamedTuple):
    """What the canaries show.

    Attributes:
        bound: the ε that the guesses refute, at 95 % confidence. limit: the largest they could.
        found: the guesses. canaries: how many there were.
        area: of the ROC curve over the canaries. expected: that of a sound training. error: its
            standard error.
        participation, sizes: how probable it is under the claimed sampling that rows join as
            unevenly, and batches vary as much, as they did; None for batches of fixed size.
        claimed: ε of the account for these steps.
    """

    bound: float
    limit: float
    found: Guesses
    canaries: int
    area: float
    expected: float
    error: float
    participation: float | None
    sizes: float | None
    claimed: float

    @property
    def faults(self) -> list[str]:
        """What refutes the claim, as sentences; empty if nothing does."""
        found = []
        if self.bound > self.claimed:
            found.append(
                f"{self.found.right} of {self.found.made} guesses were right, which needs ε of at "
                f"least {self.bound:.3g}; the account says {self.claimed:.3g}"
            )
        away = (self.area - self.expected) / self.error
        if abs(away) > _ERRORS:
            word = "less" if away > 0 else "more"
            found.append(
                f"canaries are found with an area of {self.area:.3f} under the curve, where "
                f"{self.expected:.3f} is expected: {word} noise or clipping than the account says"
            )
        for name, chance in (("rows join steps", self.participation), ("batches", self.sizes)):
            if chance is not None and chance < _RARE:
                found.append(f"{name} as no Poisson sampling makes them (p = {chance:.1g})")
        return found


def audit_mechanism(
    model: QuantumModel,
    config: TrainerConfig,
    rows: TrainingRows,
    *,
    steps: int,
    canaries: int = 500,
    guess: int | None = None,
) -> MechanismAudit:
    """Train with canaries, again and again until there were enough of them, and guess.

    Every training has the plan, and takes `steps` steps, of the one that is audited; at most three
    quarters of its rows become canaries. Coins, keys and parameters are new each time.

    Args:
        config: with privacy. canaries: in all trainings together.
        guess: how many guesses; by default a fifth of the canaries.

    Raises:
        ConfigError: more guesses than canaries.
    """
    plan = PrivacyPlan.of(config, rows.n_rows)
    each = min(canaries, max(1, 3 * rows.n_rows // 4))
    runs = [_run(model, config, rows, plan, steps, each) for _ in range(-(-canaries // each))]
    scores, included = (np.concatenate([run[i] for run in runs]) for i in (0, 1))
    made = guess if guess is not None else max(2, len(scores) // 5)
    found, delta = guesses(scores, included, made), plan.asked.delta
    poisson = plan.asked.sampling == "poisson"
    releases = steps if poisson else -(-steps // plan.steps_per_epoch)
    expected = expected_area(
        sample_rate=plan.sample_rate,
        noise_multiplier=plan.noise_multiplier,
        steps=steps,
        always=None if poisson else releases,
    )
    n_in = int(included.sum())
    chances = [_sampling(run[2], plan) for run in runs] if poisson else []
    accountant = plan.accountant
    return MechanismAudit(
        bound=epsilon_bound(found, delta, len(scores)),
        limit=ceiling(found.made, delta, len(scores)),
        found=found,
        canaries=len(scores),
        area=area(scores, included),
        expected=expected,
        error=area_error(expected, n_in, len(included) - n_in),
        participation=min((a for a, _ in chances), default=None),
        sizes=min((b for _, b in chances), default=None),
        claimed=accountant.epsilon(accountant.init(), delta, releases),
    )


def _run(
    model: QuantumModel,
    config: TrainerConfig,
    rows: TrainingRows,
    plan: PrivacyPlan,
    steps: int,
    canaries: int,
) -> tuple[FloatArray, FloatArray, list[IntArray]]:
    """Scores of the canaries (m,), whether each is in (m,), and the rows of each step."""
    # gate: QS101 because an audit whose coins can be foreseen proves nothing
    generator = np.random.default_rng()
    places = np.sort(generator.choice(plan.n_rows, canaries, replace=False))
    included = _both(generator, canaries)
    inner = TrainingObjective(
        model, config.open_backend(), config.gradient, LocalReducer(), config.gradient_options
    )
    objective = CanaryObjective(inner, places, included)
    private = PrivateTraining(plan, NoiseKey.drawn(), LocalReducer())
    stepper = Stepper(config, cast("TrainingObjective", objective), private)
    source = HeldBatches(config, rows, private)
    theta = np.concatenate([model.initial(config.seed), np.zeros(canaries)])
    horizon = Horizon(config.epochs * plan.steps_per_epoch, plan.steps_per_epoch)
    state = stepper.begin(theta, horizon)
    scores, taken = np.zeros(canaries), 0
    for epoch in range(-(-steps // plan.steps_per_epoch)):
        for batch in source.steps(epoch, 0):
            if taken == steps:
                break
            state, done = stepper.step(state, batch)
            share = plan.batch_size if plan.asked.sampling == "poisson" else batch.count
            scores += done.gradient[-canaries:] * share
            taken += 1
    return scores, included, objective.joined


def _both(generator: np.random.Generator, count: int) -> FloatArray:
    """Fair coins (count,), thrown again if all fell on one side and nothing could be compared."""
    while True:
        coins: FloatArray = generator.integers(0, 2, count).astype(np.float64)
        if count < 2 or 0 < coins.sum() < count:
            return coins


def _sampling(joined: list[IntArray], plan: PrivacyPlan) -> tuple[float, float]:
    """Two-sided p-values: of the spread of how often rows joined, and of the sizes of batches."""
    n_rows, q, steps = plan.n_rows, plan.sample_rate, len(joined)
    if q == 1.0:
        return 1.0, 1.0
    counts = np.bincount(np.concatenate(joined), minlength=n_rows)
    by_row = ((counts - steps * q) ** 2).sum() / (steps * q * (1.0 - q))
    sizes = np.array([len(rows) for rows in joined])
    by_step = ((sizes - n_rows * q) ** 2).sum() / (n_rows * q * (1.0 - q))
    return spread_chance(by_row, n_rows), spread_chance(by_step, steps)
