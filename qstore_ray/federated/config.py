"""How a federation trains, as configuration."""

from __future__ import annotations

import math
from functools import partial
from typing import Literal, Self

from pydantic import Field, model_validator

from qstore_ray.config import Config
from qstore_ray.errors import ConfigError, unknown_name_error
from qstore_ray.federated.secure_sum.graph import (
    GraphRule,
    complete_graph,
    promise_of,
    sparse_graph,
)
from qstore_ray.federated.strategies import get_strategy
from qstore_ray.federated.strategies.base import Strategy
from qstore_ray.learn.privacy.config import PrivacyConfig
from qstore_ray.types import Table

PARTS = ("circuit", "pre", "input_scale", "post", "weights", "bias")
"""Parts of θ that may be personal; see `learn.model`."""


class FederationConfig(Config):
    """Rounds, who takes part in them, and how the server adds up.

    Args:
        rounds: how many.
        local_epochs: passes of a client over its rows in a round.
        strategy: a name of `federated.strategies.STRATEGIES`; `strategy_options` are its own.
        fraction: of the clients that are asked in a round, at least one.
        fewest_updates: with fewer sound updates a round changes nothing.
        failed_rounds: after so many of those in a row the run fails.
        largest_change: an update that moves θ farther than this norm is excluded; None for any.
        local_state: `fresh`: a client's optimizer starts anew each round; `kept`: it continues. The
            learning rate follows the client's own steps either way.
        personal: parts of θ that stay with each client, such as `["weights", "bias"]` for heads of
            their own.
        secure_sum: the server gets the sum of a round's updates and no single one; see
            `federated.secure_sum`. secure_threshold: the share of a round's clients that must
            stay, above one half; with fewer the round changes nothing.
        secure_neighbours: `all`: each client masks its update with all others; `few`: above 32
            clients with as few as a weaker promise allows, which is cheaper. secure_colluding:
            the share of a round's clients that may pool what they see with the server, for `few`.
        privacy: hides the part of each client in the model: its change of θ is clipped to norm
            `clip`, and noise is added to their sum; ε is then about clients, not rows. See
            `federated.privacy`.
        deadline: seconds that clients have for a round. The update of one that is late is dropped,
            and the client takes part again later; None waits.
        num_workers: Ray actors that hold the clients; 0 holds them in this process and never starts
            Ray. A client that names its node has its actor there. It does not change the result.
        seed: of the choice of clients.

    Examples:
        federation = FederationConfig(rounds=10, strategy="fedprox", strategy_options={"mu": 0.1})
        assert FederationConfig.from_dict(federation.to_dict()) == federation
    """

    rounds: int = Field(default=50, ge=1)
    local_epochs: int = Field(default=1, ge=1)
    strategy: str = "fedavg"
    strategy_options: Table = Field(default_factory=dict)
    fraction: float = Field(default=1.0, gt=0.0, le=1.0)
    fewest_updates: int = Field(default=1, ge=1)
    failed_rounds: int = Field(default=3, ge=1)
    largest_change: float | None = Field(default=None, gt=0.0)
    local_state: Literal["fresh", "kept"] = "fresh"
    personal: tuple[str, ...] = ()
    secure_sum: bool = False
    secure_threshold: float = Field(default=0.67, gt=0.5, le=1.0)
    secure_neighbours: Literal["all", "few"] = "all"
    secure_colluding: float = Field(default=0.2, ge=0.0, lt=1.0)
    privacy: PrivacyConfig | None = None
    deadline: float | None = Field(default=None, gt=0.0)
    num_workers: int = Field(default=0, ge=0)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _known_names(self) -> Self:
        strategy = get_strategy(self.strategy, self.strategy_options)
        if self.secure_sum:
            self._check_hidden(strategy)
        if self.privacy is not None:
            self._check_private(strategy)
        for place, part in enumerate(self.personal):
            if part not in PARTS:
                raise unknown_name_error("part of θ", part, PARTS, field=f"personal.{place}")
        if len(set(self.personal)) == len(PARTS):
            raise ConfigError(
                "if all of θ is personal, nothing is learnt together",
                field="personal",
                value=list(self.personal),
                fix='Write ["weights", "bias"] for heads of their own.',
            )
        return self

    def _check_hidden(self, strategy: Strategy) -> None:
        """Refuse what needs to see single updates."""
        hidden = "a secure sum hides the updates of single clients"
        if strategy.sees_updates:
            raise ConfigError(
                f"{hidden}, and this strategy compares them",
                field="strategy",
                value=self.strategy,
                fix="Take fedavg, fedprox or scaffold, or leave out secure_sum.",
            )
        if getattr(strategy, "weights", "uniform") != "uniform":
            raise ConfigError(
                f"{hidden}, and weights by rows would reveal how many rows each has",
                field="strategy_options.weights",
                value="rows",
                fix='Set strategy_options = { weights = "uniform" }.',
            )
        if self.largest_change is not None:
            raise ConfigError(
                f"{hidden}, so the server cannot exclude a large one",
                field="largest_change",
                value=self.largest_change,
                fix="Leave it out, or leave out secure_sum.",
            )

    def _check_private(self, strategy: Strategy) -> None:
        """Refuse what the account of clients does not cover."""
        assert self.privacy is not None
        said = "not possible with privacy of clients"
        if strategy.sees_updates or strategy.local().control:
            raise ConfigError(
                f"{said}: the account knows one noisy mean of models a round",
                field="strategy",
                value=self.strategy,
                fix="Take fedavg, fedavgm, fedprox or an adaptive one.",
            )
        if self.privacy.clip == "none":
            raise ConfigError(
                f"{said} without clipping", field="privacy.clip", value="none",
                fix="Set clip = 1.0, the largest norm of a client's change of θ.",
            )  # fmt: skip
        for field, usual in (("fewest_updates", 1), ("largest_change", None)):
            if getattr(self, field) != usual:
                raise ConfigError(
                    f"{said}: whether a round counts would depend on single clients",
                    field=field,
                    value=getattr(self, field),
                    fix="Leave it out; privacy.clip limits each change.",
                )
        if self.secure_sum and self.privacy.sampling == "poisson":
            raise ConfigError(
                f"{said}: a secure sum needs a fixed number of clients, and Poisson sampling may "
                "draw too few",
                field="privacy.sampling",
                value="poisson",
                fix='Set sampling = "shuffle", which claims no amplification by sampling.',
            )

    def recipe(self) -> Table:
        """The fields that decide the result; rounds count apart, since a run may get more.

        Who masks with whom does not: the masks cancel.
        """
        where = {"rounds", "deadline", "num_workers", "secure_neighbours", "secure_colluding"}
        return {name: value for name, value in self.to_dict().items() if name not in where}

    def hidden_threshold(self, n_asked: int) -> int:
        """How many clients of a round must stay for its secure sum."""
        return min(n_asked, max(n_asked // 2 + 1, math.ceil(self.secure_threshold * n_asked)))

    def sum_rule(self, n_asked: int) -> GraphRule:
        """Who masks with whom in a secure sum of a round that asks N clients."""
        threshold = self.hidden_threshold(n_asked)
        if self.secure_neighbours == "all":
            return partial(complete_graph, threshold=threshold)
        return partial(sparse_graph, threshold=threshold, colluding=self._colluding(n_asked))

    def sum_promise(self, n_asked: int) -> str:
        """What the secure sum of a round promises that asks N clients; "" without one."""
        if not self.secure_sum:
            return ""
        threshold = self.hidden_threshold(n_asked)
        return promise_of(self.sum_rule(n_asked), n_asked, threshold, self._colluding(n_asked))

    def _colluding(self, n_asked: int) -> int:
        return math.ceil(self.secure_colluding * n_asked)

    def per_round(self, n_clients: int) -> int:
        """How many of N clients are asked in a round."""
        return max(1, round(self.fraction * n_clients))
