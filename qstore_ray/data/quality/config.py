"""What the checks of data quality compare with: every threshold in one place, with its default."""

from __future__ import annotations

from typing import Annotated, Self, TypeAlias

from pydantic import Field, model_validator

from qstore_ray.config import Config
from qstore_ray.errors import ConfigError

Bound: TypeAlias = float | tuple[float, ...]
Share: TypeAlias = Annotated[float, Field(ge=0.0, le=1.0)]


class QualityConfig(Config):
    """Thresholds of the checks.

    Args:
        low: smallest value allowed, one for all columns or one a column; unchecked if None.
        high: largest value allowed; likewise.
        min_per_class: rows that every class should have in train.
        max_imbalance: how often the largest class of train may outnumber the smallest.
        max_leaked: share of a split's rows that may also be in train before it is an error.
        near: a row of another split is nearly a row of train where its distance to it is below
            `near` times the median distance between nearest neighbours within train.
        near_constant: share of equal values from which a column counts as nearly constant.
        max_rows: rows of a split that nearest neighbours are sought among; above, a sample.
        false_drift: share of the columns reported as drifting that may be false alarms (the q of
            Benjamini and Hochberg).
        max_psi: population stability index from which a column counts as drifting.
        encoding: encoding of the circuit the rows are meant for; with `n_qubits`.
        n_qubits: qubits of that circuit.
        prepared: check the rows as a model is given them, not as the source has them.
        seed: decides which rows are sampled.

    Raises:
        ConfigError: a wrong value, or one of `encoding` and `n_qubits` without the other.
    """

    low: Bound | None = None
    high: Bound | None = None
    min_per_class: int = Field(default=10, ge=1)
    max_imbalance: float = Field(default=10.0, ge=1.0)
    max_leaked: Share = 0.0
    near: float = Field(default=0.1, ge=0.0)
    near_constant: Share = 0.99
    max_rows: int = Field(default=20_000, ge=2)
    false_drift: float = Field(default=0.05, gt=0.0, lt=1.0)
    max_psi: float = Field(default=0.2, gt=0.0)
    encoding: str | None = None
    n_qubits: int | None = Field(default=None, ge=1, le=30)
    prepared: bool = False
    seed: int = Field(default=0, ge=0, lt=2**32)

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.encoding is None) != (self.n_qubits is None):
            raise ConfigError(
                "encoding and n_qubits belong together",
                field="encoding" if self.encoding is None else "n_qubits",
                fix='Write for example encoding = "angle" and n_qubits = 4.',
            )
        return self
