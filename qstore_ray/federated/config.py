"""How a federation trains, as configuration."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from qstore_ray.config import Config
from qstore_ray.errors import ConfigError, unknown_name_error
from qstore_ray.federated.strategies import get_strategy
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
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _known_names(self) -> Self:
        get_strategy(self.strategy, self.strategy_options)
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

    def per_round(self, n_clients: int) -> int:
        """How many of N clients are asked in a round."""
        return max(1, round(self.fraction * n_clients))
