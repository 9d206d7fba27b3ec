"""Who may ask a prediction server, and how much it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qstore_ray.data.service.client.address import is_loopback
from qstore_ray.data.service.server.settings import check_secret
from qstore_ray.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import SecretStr


@dataclass(frozen=True, kw_only=True)
class ServingSettings:
    """Limits of a prediction server.

    Args:
        token: what `Authorization: Bearer …` must say; None lets everybody in who reaches it.
        max_rows: of one request.
        max_body_bytes: of one request.
        max_waiting: requests that may wait for their turn; more are refused with 503.

    Raises:
        ConfigError: a short token, or a limit below 1.
    """

    token: SecretStr | None = None
    max_rows: int = 10_000
    max_body_bytes: int = 2**24
    max_waiting: int = 64

    def __post_init__(self) -> None:
        check_secret("token", self.token)
        for name in ("max_rows", "max_body_bytes", "max_waiting"):
            if getattr(self, name) < 1:
                raise ConfigError("must be 1 or more", field=name, value=getattr(self, name))

    @property
    def api_key(self) -> SecretStr | None:
        """None: the token is the only secret."""
        return None

    @property
    def is_locked(self) -> bool:
        """Whether a token is needed."""
        return self.token is not None

    def check_address(self, host: str) -> None:
        """Refuse to open a server without a token to other machines.

        Raises:
            ConfigError: `host` is not this machine's own, and there is no token.
        """
        if not is_loopback(host) and not self.is_locked:
            raise ConfigError(
                "other machines could ask the model without a token",
                field="host",
                value=host,
                fix="Set QSTORE_SERVE_TOKEN (the argument token in Python), or listen on "
                "127.0.0.1.",
            )
