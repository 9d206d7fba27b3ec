"""Settings of a dataset service, and the three external services it may use.

The hub is searched, a dataset of the hub is read, and an augmentation is opened through functions
that can be replaced: the defaults reach the Hugging Face hub and the package's own augmentations,
and are imported when they are first called.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from qstore_ray.data.service.records import HubDataset, HubImport, Transformation
from qstore_ray.data.service.server.augment import open_augmentations
from qstore_ray.data.service.server.imports.hub import read_hub, search_hub
from qstore_ray.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import SecretStr

    from qstore_ray.data.service.server.augment import Transform
    from qstore_ray.data.sources.base import SourceData

SearchHub: TypeAlias = Callable[[str, int], list[HubDataset]]
ReadHub: TypeAlias = "Callable[[HubImport, Path], SourceData]"
OpenAugmentations: TypeAlias = "Callable[[tuple[Transformation, ...]], Transform]"

_SHORTEST_SECRET = 16


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """Where the service keeps its data, who may use it, and how much it takes.

    Args:
        folder: for the catalogue and the files; made if it is missing.
        token: what `Authorization: Bearer …` must say.
        api_key: what `X-API-Key` must say; either of the two opens the door.
        max_upload_bytes: largest body of a request.
        max_array_bytes: largest size of one array, unpacked.
        job_threads: jobs that run at the same time.
        max_waiting: jobs that may wait; more are refused with 503.
        search_hub: (words, limit) → datasets of the hub.
        read_hub: (import, cache folder) → the read tasks of a dataset of the hub.
        open_augmentations: transformations → the function that applies them in their order.

    Raises:
        ConfigError: an empty or short secret, or a limit below 1.
    """

    folder: Path
    token: SecretStr | None = None
    api_key: SecretStr | None = None
    max_upload_bytes: int = 2**28
    max_array_bytes: int = 2**30
    job_threads: int = 2
    max_waiting: int = 32
    search_hub: SearchHub = field(default=search_hub)
    read_hub: ReadHub = field(default=read_hub)
    open_augmentations: OpenAugmentations = field(default=open_augmentations)

    def __post_init__(self) -> None:
        for name in ("token", "api_key"):
            check_secret(name, getattr(self, name))
        for name in ("max_upload_bytes", "max_array_bytes", "job_threads", "max_waiting"):
            if getattr(self, name) < 1:
                raise ConfigError("must be 1 or more", field=name, value=getattr(self, name))

    @property
    def is_locked(self) -> bool:
        """Whether a secret is needed to use the service."""
        return self.token is not None or self.api_key is not None


def check_secret(name: str, secret: SecretStr | None) -> None:
    """Refuse a secret that can be guessed.

    Raises:
        ConfigError: it is empty or short.
    """
    if secret is not None and len(secret.get_secret_value()) < _SHORTEST_SECRET:
        raise ConfigError(
            f"shorter than {_SHORTEST_SECRET} characters can be guessed",
            field=name,
            fix='Make one with python -c "import secrets; print(secrets.token_hex(32))".',
        )
