"""Differential privacy of clients: what the models of all rounds reveal about any one of them.

In a round each client changes θ by at most norm C, and the server releases

    θ_t + (Σ clipped changes + σ·C·z) / (expected number of clients)

With Poisson sampling each client joins each round by a coin of its own, so the accountant of
subsampled Gaussians applies with q = `fraction`, and data sets of which one has a client more are
neighbours (McMahan et al. 2018, arXiv:1710.06963). With `shuffle` a fixed number of clients is
asked; a client is in a round at most once, no amplification is claimed, and neighbours differ in a
client that changes nothing. Every client weighs the same.

The server adds the noise, so it is trusted with the sum; with a secure sum with no more than that.
A client that clips nothing is not bound by C where the server cannot see its change.

The key of the noise lies in the run folder while the run is under way. A decision on who is in a
round has noise of its own, also if the round is tried again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from qstore_ray.errors import ConfigError, under
from qstore_ray.federated.config import FederationConfig
from qstore_ray.federated.secure_sum.crypto import derived_key
from qstore_ray.federated.strategies.base import ClientUpdate
from qstore_ray.learn.privacy.accountant import PrivacyAccountant
from qstore_ray.learn.privacy.calibration import noise_for
from qstore_ray.learn.privacy.noise import NoiseKey
from qstore_ray.learn.privacy.statement import ACCOUNTANT, PrivacyStatement

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

_log = logging.getLogger(__name__)
_TRIES: Final = 2**16
_NEIGHBOURS: Final = {
    "poisson": "federations of which one has one client more (add or remove)",
    "shuffle": "federations that differ in one client, which in one of them changes nothing",
}
_SAMPLING: Final = {
    "poisson": "Poisson: each client joins each round by a coin of its own",
    "shuffle": "a fixed number of clients a round; no amplification is claimed",
}
_OUTSIDE: Final = (
    "preprocessing that was fitted on rows of clients",
    "the choice of hyperparameters by federations of the same clients",
    "parts of θ that stay with the clients (personal)",
    "who was asked, who answered and who was excluded, which the record of each round has",
    "clients that change more than their clipping allows, where a secure sum hides it",
    "checkpoints: while a run is under way the key of its noise lies beside them",
)


class ClientPrivacy:
    """The account and the noise of one federation. Used in the server's process.

    Args:
        config: with `privacy`. key: of the noise, and of the clients that join.

    Raises:
        ConfigError: an ε that is too small.
    """

    def __init__(self, config: FederationConfig, key: NoiseKey) -> None:
        asked = config.privacy
        assert asked is not None, "made for a private federation alone"
        assert not isinstance(asked.clip, str), "refused by the configuration"
        self._asked, self._config, self._key, self.clip = asked, config, key, asked.clip
        self._rate = config.fraction if self.draws_clients else 1.0
        sigma = asked.noise_multiplier
        if sigma is None:
            assert asked.epsilon is not None, "the configuration has one of both"
            with under("federation.privacy"):
                sigma = noise_for(
                    asked.epsilon, asked.delta, sample_rate=self._rate, steps=config.rounds
                )
        self._sigma = sigma
        self._accountant = PrivacyAccountant(sample_rate=self._rate, noise_multiplier=sigma)
        if self.is_spent(self.init()):
            raise ConfigError(
                f"the first round spends more than this ε with σ = {sigma:.4g}",
                field="federation.privacy.epsilon",
                value=asked.epsilon,
                fix="Take a larger epsilon or noise_multiplier, or leave noise_multiplier out.",
            )

    @property
    def draws_clients(self) -> bool:
        """Whether each client joins a round by a coin of its own."""
        return self._asked.sampling == "poisson"

    @property
    def why_not(self) -> str:
        """Why no ε may be claimed; "" if one may."""
        if self._sigma == 0.0:
            return "there is no noise (noise_multiplier = 0)"
        if self._asked.noise == "seeded":
            return 'the noise follows from the seed of the run (noise = "seeded", for tests)'
        return ""

    def warn(self, n_clients: int) -> None:
        """Log what makes the claim worth little: a large δ, or no claim at all."""
        if self._asked.delta >= 1.0 / n_clients:
            _log.warning(
                "federation.privacy.delta = %g is not below 1/%d: publishing all of one client at "
                "random would satisfy such a claim; take less than %.1g",
                self._asked.delta, n_clients, 0.1 / n_clients,
            )  # fmt: skip
        if self.why_not:
            _log.warning("no ε is claimed of this run, since %s", self.why_not)

    def init(self) -> dict[str, AnyArray]:
        """Nothing spent; in `FederationState.privacy` before the first round."""
        return dict(self._accountant.init())

    def chosen(self, ids: Sequence[str], round_number: int) -> tuple[str, ...]:
        """The clients that join a round by their coins, sorted."""
        known = sorted(ids)
        return tuple(known[i] for i in self._key.joined(round_number, len(known), self._rate))

    def release(
        self,
        updates: Sequence[ClientUpdate],
        theta: FloatArray,
        n_clients: int,
        place: tuple[int, int],
    ) -> ClientUpdate:
        """The noisy mean of the changes, as the update of one client that stands for all.

        Args:
            updates: clipped by their clients; what the server can see of them is clipped again.
            n_clients: N. place: the round, and which decision on it this is.
        """
        expected = self._rate * n_clients
        if not self.draws_clients:
            expected = float(self._config.per_round(n_clients))
        total = np.zeros_like(theta)
        for update in updates:
            change = update.theta - theta
            norm = float(np.linalg.norm(change))
            total += change if norm <= self.clip else change * (self.clip / norm)
        key = NoiseKey(derived_key(self._key.secret, "noise of clients"))
        noise = key.normal(place[0] * _TRIES + place[1], len(theta))
        mean = (total + self._sigma * self.clip * noise) / expected
        return ClientUpdate("all", place[0], theta + mean, 1, 0.0)

    def update(self, spent: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        """`FederationState.privacy` after one more release."""
        return {**spent, **self._accountant.update(spent)}

    def is_spent(self, spent: Mapping[str, AnyArray]) -> bool:
        """Whether the next round would spend more than ε."""
        limit = self._asked.epsilon
        return limit is not None and self.epsilon(spent, more=1) > limit

    def epsilon(self, spent: Mapping[str, AnyArray], more: int = 0) -> float:
        """ε of all rounds so far, and of `more` of them."""
        return self._accountant.epsilon(spent, self._asked.delta, more)

    def statement(self, spent: Mapping[str, AnyArray], n_clients: int) -> PrivacyStatement:
        """What may be claimed."""
        asked, releases = self._asked, int(spent["steps"][0])
        return PrivacyStatement(
            epsilon=None if self.why_not else self.epsilon(spent),
            delta=asked.delta,
            limit=asked.epsilon,
            why=self.why_not,
            noise_multiplier=self._sigma,
            clip=self.clip,
            sample_rate=self._rate,
            rows=n_clients,
            releases=releases,
            neighbours=_NEIGHBOURS[asked.sampling],
            sampling=_SAMPLING[asked.sampling],
            accountant=ACCOUNTANT,
            ended_early=releases < self._config.rounds and self.is_spent(spent),
            outside=list(_OUTSIDE),
            unit="client",
        )
