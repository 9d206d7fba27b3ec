"""How the workers of a training exchange what they learn: `[trainer.averaging]`, `.compression`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from qstore_ray.config import Config
from qstore_ray.errors import ConfigError

if TYPE_CHECKING:
    from qstore_ray.types import ReadOnlyTable

LONGEST_PERIOD: Final = 256
_EXCLUDED: Final = {
    "privacy": "its account is of the noisy sum of every step",
    "optimizer": "it asks all workers for more than a gradient",
    "fallback": "another backend takes over after a step that all workers have taken",
    "backend": "on hardware a step waits for the queue of jobs, and hardly for the sums",
}
"""Fields of a training that need all workers to take the same steps, and why."""


class AveragingConfig(Config):
    """Local SGD: each worker follows its own rows, and every H steps they take the mean.

    In a step by itself a worker follows the gradient over its own part of the batch. In every H-th
    step, and in the last one of each epoch, the workers take the mean of their parameters and of
    their optimizers' arrays, and then follow the gradient over the whole batch, in one sum
    (Stich 2019, arXiv:1805.09767; the means of Adam's moments as in Wang et al. 2021). H = 1 is
    training without it, to the last bit. The result depends on the number of workers.

    Args:
        period: H. "auto" measures the seconds of a step and of a sum in the first steps, and takes
            the shortest period in which sums take at most the share `overhead` of the time; the
            checkpoint keeps it, the log says it.
        delay: D, steps that a worker takes while a mean is on its way (0 waits for it). When it
            arrives the worker adds to it what it has moved since: θ ← mean + (θ − θ of D steps
            ago). Between the ends of epochs only parameters are averaged then.
        overhead: with `period = "auto"`.

    Examples:
        averaging = AveragingConfig(period=8)
        assert AveragingConfig.from_dict(averaging.to_dict()) == averaging
    """

    period: int | Literal["auto"] = 8
    delay: int = Field(default=0, ge=0)
    overhead: float = Field(default=0.1, gt=0.0, lt=1.0)

    @field_validator("period")
    @classmethod
    def _is_in_range(cls, period: int | Literal["auto"]) -> int | Literal["auto"]:
        if isinstance(period, int) and not 1 <= period <= LONGEST_PERIOD:
            raise ConfigError(
                f"a period has 1 to {LONGEST_PERIOD} steps",
                value=period,
                fix='Write 8, or "auto" to have it measured.',
            )
        return period

    @model_validator(mode="after")
    def _arrives_before_the_next(self) -> Self:
        most = LONGEST_PERIOD if self.period == "auto" else self.period
        if self.delay >= most:
            raise ConfigError(
                f"a mean that is asked for every {most} steps has to arrive before the next one",
                field="delay",
                value=self.delay,
                fix=f"Set delay to less than {most}, or a longer period.",
            )
        return self

    @property
    def is_used(self) -> bool:
        """Whether workers take steps by themselves."""
        return self.period != 1


class CompressionConfig(Config):
    """Gradients that are sent in part; what is left out of one is added to the next one.

    Each worker adds what it has not sent so far (its residual) to the gradient over its rows, sends
    the compressed sum of both, and keeps the difference: what was sent and the residual are the
    gradient, exactly (error feedback: Karimireddy et al. 2019, arXiv:1901.09847). The result
    depends on the number of workers.

    Args:
        method: `top_k`: the numbers of largest magnitude, each with its place (8 bytes).
            `int8`: all numbers, in 255 levels of one power of two; their sum travels in 2 bytes.
            `none`: the gradient as it is.
        keep: with `top_k`, the share of the numbers that is sent.

    Examples:
        compression = CompressionConfig(method="top_k", keep=0.1)
        assert CompressionConfig.from_dict(compression.to_dict()) == compression
    """

    method: Literal["none", "top_k", "int8"] = "none"
    keep: float = Field(default=0.05, gt=0.0, le=1.0)

    @property
    def is_used(self) -> bool:
        """Whether anything is compressed."""
        return self.method != "none"


def check_apart(
    averaging: AveragingConfig | None,
    compression: CompressionConfig | None,
    given: ReadOnlyTable,
    workers: int | tuple[int, int],
    batch_blocks: int,
) -> bool:
    """Whether the workers of a training differ between sums; refuses what they cannot do then.

    Args:
        given: the training's `privacy`, `optimizer`, `fallback` and `backend`, each None if it is
            one that fits.
        workers: how many. batch_blocks: into how many blocks of rows a batch is cut.

    Raises:
        ConfigError: the first thing that does not fit.
    """
    used = [
        name
        for name, part in (("averaging", averaging), ("compression", compression))
        if part is not None and part.is_used
    ]
    if not used:
        return False
    name = used[0]
    if len(used) == 2:
        raise ConfigError(
            "compression is of the gradient of each step, and with averaging most steps send none",
            field="compression.method",
            value=compression.method if compression else None,
            fix="Leave one of both out.",
        )
    for field, value in given.items():
        if value is not None:
            raise ConfigError(
                f"not possible with {name}: {_EXCLUDED[field]}",
                field=field,
                value=value,
                fix=f"Leave it out, or leave out the table {name}.",
            )
    if isinstance(workers, tuple):
        raise ConfigError(
            f"with {name} every worker has numbers of its own, so their number cannot change",
            field="num_workers",
            value=list(workers),
            fix=f"Write one number, such as {workers[1]}, or leave out the table {name}.",
        )
    if workers < 2:
        raise ConfigError(
            f"{name} is between workers, and one process has nobody to send numbers to",
            field="num_workers",
            value=workers,
            fix=f"Take 2 workers or more, or leave out the table {name}.",
        )
    if batch_blocks < workers:
        raise ConfigError(
            f"a batch has {batch_blocks} blocks of rows for {workers} workers, so that some would "
            "learn nothing",
            field="batch_size",
            fix=f"Take {16 * workers} rows or more, or fewer workers.",
        )
    return True
