"""The user's own settings of reviews: `[review.model]` of `~/.config/qstore/settings.toml`.

    [review.model]
    url = "https://models.example.org/v1"
    name = "reviewer-large"
    token_file = "~/.qstore-model-token"       # mode 0600

They are never read from the project under review: whoever wrote that could have the code, and a
file of the user's as its token, sent to an address of their choice.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from qstore_ray.config import Config, read_toml
from qstore_ray.data.service.client.address import is_loopback
from qstore_ray.errors import ConfigError
from qstore_ray.files import expanded

VARIABLE: Final = "QSTORE_SETTINGS"


class ReviewModelConfig(Config):
    """A language model behind an HTTP endpoint that takes OpenAI's chat completions.

    Args:
        url: of the API, to which `/chat/completions` is added; https, or http on this machine.
        name: of the model, as the endpoint knows it.
        token_file: a file of mode 0600 with the token; none sends no token.
        timeout: seconds for the whole answer.
        max_characters: of code that one request may hold; longer reviews are refused.
    """

    url: str = Field(examples=["https://models.example.org/v1"])
    name: str = Field(min_length=1, examples=["reviewer-large"])
    token_file: str | None = Field(default=None, min_length=1)
    timeout: float = Field(default=120.0, gt=0.0)
    max_characters: int = Field(default=60_000, ge=1)

    @field_validator("url")
    @classmethod
    def _is_private(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in {"https", "http"} or not parts.hostname or "@" in parts.netloc:
            raise ConfigError(
                "not the URL of an API, without a login",
                value=url,
                fix='Write url = "https://HOST/v1".',
            )
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            raise ConfigError(
                "code and token would be sent unencrypted", value=url, fix="Write https://."
            )
        return url.rstrip("/")


class ReviewSettings(Config):
    """The table `[review]`."""

    model: ReviewModelConfig | None = None


class _UserSettings(Config):
    """The whole file."""

    review: ReviewSettings = ReviewSettings()


def settings_file() -> Path:
    """`$QSTORE_SETTINGS`, or settings.toml in the folder for configurations of the user."""
    if named := os.environ.get(VARIABLE):
        return expanded(named)
    home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return expanded(home) / "qstore" / "settings.toml"


def read_settings() -> ReviewSettings:
    """The settings of reviews; the defaults if the file does not exist.

    Raises:
        ConfigError: it is damaged, or has a wrong value.
    """
    file = settings_file()
    if not file.exists():
        return ReviewSettings()
    return _UserSettings.from_dict(read_toml(file)).review
