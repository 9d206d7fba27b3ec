"""A client that loads its rows itself, where they are: the server never has them.

Its actor runs on the node that the site names. What leaves the node is what `RoundMember` sends:
updates, or with secure sums masked ones, and what the client remembers, sealed with the key of the
site. The key stays in a file on that node.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from qstore_ray.cluster.record import state_folder
from qstore_ray.config import Config
from qstore_ray.data.config import DatasetConfig
from qstore_ray.errors import CheckpointError, ConfigError
from qstore_ray.federated.secure_sum.crypto import new_secret
from qstore_ray.files import expanded, unwritable_fix

_KEY_BYTES = 32


class ClientSite(Config):
    """Where the rows of a client are, and how they are loaded there.

    Args:
        dataset: what the client loads; it trains on the split train.
        node: the id or the IP address of the Ray node that has them; None for any node.
        resource: a custom resource that the node declares, as an alternative to `node`, such as
            "hospital_north" of `ray start --resources '{"hospital_north": 1}'`.
        key_file: of the key on that node which seals what the client remembers and, with
            `trainer.privacy`, draws its noise. It is made if it does not exist, readable by its
            owner alone; by default in `~/.local/state/qstore_ray/federation`.

    Examples:
        site = ClientSite(dataset=DatasetConfig(name="iris", params={"dataset": "iris"}))
        assert ClientSite.from_dict(site.to_dict()) == site
    """

    dataset: DatasetConfig
    node: str | None = Field(default=None, min_length=1)
    resource: str | None = Field(default=None, min_length=1)
    key_file: str | None = None

    @model_validator(mode="after")
    def _has_one_place(self) -> Self:
        if self.node is not None and self.resource is not None:
            raise ConfigError(
                "a client has one place: the node, or a resource of it",
                field="resource",
                value=self.resource,
                fix="Leave one of them out.",
            )
        return self

    @property
    def place(self) -> tuple[str, str]:
        """What pins it: ("node", …), ("resource", …), or ("", "") for any node."""
        if self.node is not None:
            return "node", self.node
        return ("", "") if self.resource is None else ("resource", self.resource)


def site_key(name: str, key_file: str | None) -> bytes:
    """The key of a client, 32 bytes; a new one if its file does not exist. Runs on its node.

    Raises:
        CheckpointError: the file cannot be read or written, or holds no key.
    """
    path = _default_file(name) if key_file is None else expanded(key_file)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            _write(path)
        key = path.read_bytes()
        for part in path.parent.glob(f".{path.name}.*.part"):  # of one that was killed
            part.unlink(missing_ok=True)
    except OSError as exc:
        raise CheckpointError(
            f"cannot use the key of a client: {exc.strerror or type(exc).__name__}",
            field=f"clients.{name}.key_file",
            value=str(path),
            fix=unwritable_fix(exc, "continue with existing='resume'"),
        ) from exc
    if len(key) != _KEY_BYTES:
        raise CheckpointError(
            f"the key of a client has {_KEY_BYTES} bytes, this file has {len(key)}",
            field=f"clients.{name}.key_file",
            value=str(path),
            fix="Put the key back, or give the name of a file that does not exist.",
        )
    return key


def _default_file(name: str) -> Path:
    digest = hashlib.sha256(name.encode()).hexdigest()[:32]
    return state_folder().parents[1] / "federation" / f"{digest}.key"


def _write(path: Path) -> None:
    """Write a new key, whole or not at all; of two writers one wins."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(new_secret())
        file.flush()
        os.fsync(file.fileno())
    with suppress(FileExistsError, FileNotFoundError):  # the other one has won
        os.link(part, path)
    part.unlink(missing_ok=True)
