"""DP-SGD inside a client: how much each row of it reveals, over all rounds it was asked in.

A client that is asked trains, whether or not its update counts afterwards. So the account is of
the rounds that it was asked in, and the noise of a round is drawn from a key of that round: the
same round taken again has the same noise, and no noise is used on two models.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from qstore_ray.errors import ConfigError, RunError
from qstore_ray.federated.config import FederationConfig
from qstore_ray.federated.secure_sum.crypto import derived_key
from qstore_ray.federated.strategies.base import RoundTask
from qstore_ray.learn.privacy.config import PrivacyConfig
from qstore_ray.learn.privacy.noise import NoiseKey
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.job import TrainingRows
from qstore_ray.train.loop.reducer import LocalReducer
from qstore_ray.train.privacy.steps import PrivacyPlan, PrivateTraining

_PURPOSE: Final = "noise of rows"
_log = logging.getLogger(__name__)


def warn_of_rows(asked: PrivacyConfig, n_rows: Mapping[str, int]) -> None:
    """Log what makes the claims of clients worth little: a large δ.

    Args:
        n_rows: of the clients whose rows the server has.
    """
    weak = sorted(name for name, count in n_rows.items() if asked.delta >= 1.0 / count)
    if not weak:
        return
    most = max(n_rows.values())
    _log.warning(
        "trainer.privacy.delta = %g is not below 1 / rows of %d clients, such as %s with %d rows: "
        "publishing one whole row at random would satisfy such a claim; take less than %.1g",
        asked.delta, len(weak), weak[0], n_rows[weak[0]], 0.1 / most,
    )  # fmt: skip


class RowPrivacy:
    """The private part of a client's training.

    Attributes:
        secret: what keys of rounds are derived from; of a seeded training the seed is.

    Raises:
        ConfigError: a batch larger than the rows of the client, or an ε that is too small.
    """

    def __init__(
        self,
        name: str,
        trainer: TrainerConfig,
        federation: FederationConfig,
        rows: TrainingRows,
    ) -> None:
        asked = trainer.privacy
        assert asked is not None, "made for a private training alone"
        self._name, self.secret = name, b""
        self._seed = trainer.seed if asked.noise == "seeded" else None
        epochs = federation.rounds * federation.local_epochs
        self._plan = PrivacyPlan.of(trainer.model_copy(update={"epochs": epochs}), rows.n_rows)
        steps = self._plan.steps_per_epoch if asked.sampling == "poisson" else 1
        self._releases = federation.local_epochs * steps
        if not self._allows(1):
            raise ConfigError(
                f"the first round spends more than this ε with σ = "
                f"{self._plan.noise_multiplier:.4g}",
                field="trainer.privacy.epsilon",
                value=asked.epsilon,
                fix="Take a larger epsilon or noise_multiplier, or leave noise_multiplier out.",
            )

    def of_round(self, task: RoundTask) -> PrivateTraining:
        """The private part of one round.

        Raises:
            RunError: the round would spend more than ε.
        """
        if not self._allows(task.asked + 1):
            raise RunError(
                f"another round would spend more than its ε = {self._plan.asked.epsilon:g}",
                field="trainer.privacy.epsilon",
                value=self._plan.asked.epsilon,
                fix="End the federation, or ask this client less often (federation.fraction).",
            )
        about = f"{_PURPOSE} {self._name} {task.round}"
        if self._seed is not None:
            key = NoiseKey(derived_key(NoiseKey.for_tests(self._seed).secret, about))
        else:
            assert self.secret, "given before the first round"
            key = NoiseKey(derived_key(self.secret, f"{about} {task.run}"))
        return PrivateTraining(self._plan, key, LocalReducer())

    def epsilon(self, asked: int) -> float | None:
        """ε after so many rounds; None if none may be claimed."""
        return None if self._plan.why_not else self._spent(asked)

    def _allows(self, asked: int) -> bool:
        limit = self._plan.asked.epsilon
        return limit is None or self._spent(asked) <= limit

    def _spent(self, asked: int) -> float:
        accountant, releases = self._plan.accountant, asked * self._releases
        return accountant.epsilon(accountant.init(), self._plan.asked.delta, releases)
