"""How the rows of one dataset are divided among clients, for experiments: pure functions of a seed.

    iid          any row to any client
    dirichlet    the rows of each class by proportions drawn from a Dirichlet distribution
    quantity     shares of very different size, of the same mixture
    by_value     all rows with the same value of a column, or from the same folder

Every row goes to exactly one client. A partition is a list of arrays of positions, one a client.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from qstore_ray.config import Config
from qstore_ray.data.batches.order import shuffled
from qstore_ray.errors import ConfigError, DataError

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray, IntArray

_PARTITION: Final = 0xFED0  # keeps this use of a seed apart from others


class PartitionConfig(Config):
    """How rows are divided.

    Args:
        kind: `iid`, `dirichlet`, `quantity`, or `by_value` for all rows with the same value of a
            column.
        clients: how many; of `by_value` the values say it.
        column: of the table, with `by_value`, such as "hospital"; it need not be a feature.
        alpha: of the Dirichlet distribution: small is uneven. With 10 classes and 10 clients 0.1
            leaves a client 4 classes, 0.5 gives it 8, 100 all of them. `iid` has none.
        fewest_rows: every client gets this many; a partition with fewer is drawn again.
        draws: after how many such partitions to give up.
        seed: decides everything.

    Examples:
        uneven = PartitionConfig(kind="dirichlet", clients=4, alpha=0.5)
        assert PartitionConfig.from_dict(uneven.to_dict()) == uneven
    """

    kind: Literal["iid", "dirichlet", "quantity", "by_value"] = "iid"
    clients: int = Field(default=10, ge=1)
    column: str | None = None
    alpha: float = Field(default=0.5, gt=0.0)
    fewest_rows: int = Field(default=10, ge=1)
    draws: int = Field(default=100, ge=1)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _alpha_is_used(self) -> Self:
        by_value = self.kind == "by_value"
        if by_value != (self.column is not None):
            raise ConfigError(
                "clients by the values of a column need the column"
                if by_value
                else "a column says who has which rows with by_value alone",
                field="column",
                value=self.column,
                fix='Write kind = "by_value", column = "hospital".',
            )
        usual = type(self).model_fields  # what `to_dict` writes is read back
        if by_value and self.clients != usual["clients"].default:
            raise ConfigError(
                "the values of the column say how many clients there are",
                field="clients",
                value=self.clients,
                fix="Leave it out.",
            )
        if self.kind in ("iid", "by_value") and self.alpha != usual["alpha"].default:
            raise ConfigError(
                "this division has no alpha",
                field="alpha",
                value=self.alpha,
                fix='Leave it out, or set kind = "dirichlet".',
            )
        return self


def partition(config: PartitionConfig, y: AnyArray) -> list[IntArray]:
    """The positions of each client's rows, ascending.

    Args:
        y: class numbers of the rows (N,); only `dirichlet` looks at them.

    Raises:
        DataError: no partition gives every client its fewest rows, or rows without one class each.
    """
    assert config.kind in _DIVISIONS, "by_value divides by a column, not by a draw"
    n_rows = len(y)
    if n_rows < config.clients * config.fewest_rows:
        raise DataError(
            f"{n_rows} rows are too few for {config.clients} clients of {config.fewest_rows} rows",
            field="partition.clients",
            value=config.clients,
            fix="Take fewer clients, or lower fewest_rows.",
        )
    if config.kind == "dirichlet" and (y.ndim != 1 or y.dtype.kind not in "iub"):
        raise DataError(
            "a division by classes needs one class for each row",
            field="partition.kind",
            value=config.kind,
            fix='Take kind = "quantity" or "iid".',
        )
    smallest = 0
    for draw in range(config.draws):
        found = _DIVISIONS[config.kind](config, y, draw)
        fewest = min(map(len, found))
        if fewest >= config.fewest_rows:
            return [np.sort(rows) for rows in found]
        smallest = max(smallest, fewest)
    raise DataError(
        f"in {config.draws} draws some client always had fewer than {config.fewest_rows} rows; the "
        f"best draw gave its smallest client {smallest}",
        field="partition.alpha",
        value=config.alpha,
        fix="Raise alpha, take fewer clients, or lower fewest_rows.",
    )


def by_value(values: Sequence[Any] | AnyArray) -> dict[str, IntArray]:
    """The positions of the rows with each value, such as a hospital's name or a file's folder.

    Raises:
        DataError: two values that look the same as text.
    """
    found: dict[str, list[int]] = {}
    known: dict[str, Any] = {}
    for position, value in enumerate(values):
        name = str(value)
        if known.setdefault(name, value) != value:
            raise DataError(
                "two values of the column that names the clients look the same",
                field="partition",
                value=name,
                fix="Use values of one type.",
            )
        found.setdefault(name, []).append(position)
    return {name: np.array(found[name], np.int64) for name in sorted(found)}


def _iid(config: PartitionConfig, y: AnyArray, draw: int) -> list[IntArray]:
    return np.array_split(shuffled(len(y), config.seed, _PARTITION, draw), config.clients)


def _dirichlet(config: PartitionConfig, y: AnyArray, draw: int) -> list[IntArray]:
    """Per class, proportions over the clients (Hsu, Qi & Brown 2019)."""
    generator = np.random.default_rng([config.seed, _PARTITION, draw])
    parts: list[list[IntArray]] = [[] for _ in range(config.clients)]
    for label in np.unique(y):
        rows = np.flatnonzero(y == label)
        rows = rows[shuffled(len(rows), config.seed, _PARTITION, draw, int(label))]
        shares = generator.dirichlet(np.full(config.clients, config.alpha))
        for part, some in zip(parts, _cut(rows, shares), strict=True):
            part.append(some)
    return [np.concatenate(part) for part in parts]


def _quantity(config: PartitionConfig, y: AnyArray, draw: int) -> list[IntArray]:
    generator = np.random.default_rng([config.seed, _PARTITION, draw])
    rows = shuffled(len(y), config.seed, _PARTITION, draw)
    return _cut(rows, generator.dirichlet(np.full(config.clients, config.alpha)))


def _cut(rows: IntArray, shares: FloatArray) -> list[IntArray]:
    """Rows in pieces of these shares, which add up to 1."""
    ends = np.floor(np.cumsum(shares)[:-1] * len(rows) + 0.5).astype(np.int64)
    return np.split(rows, ends)


_DIVISIONS: Final = {"iid": _iid, "dirichlet": _dirichlet, "quantity": _quantity}
