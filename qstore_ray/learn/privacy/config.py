"""What a training asks for that is to protect its rows: `[trainer.privacy]`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from qstore_ray.config import Config
from qstore_ray.errors import ConfigError
from qstore_ray.learn.privacy.accountant import check_delta
from qstore_ray.learn.privacy.calibration import check_epsilon

if TYPE_CHECKING:
    from qstore_ray.types import ReadOnlyTable

_EXCLUDED: Final = {
    "optimizer": "it asks for more than one noisy gradient a step, as adam and sgd do not",
    "batches": "a private training draws its batches itself",
    "class_weight": "weights of classes follow from all rows, so one row changes every gradient",
}
"""Fields of a training that no account of single rows covers, and why."""


class PrivacyConfig(Config):
    """DP-SGD: clipped gradients of single rows, noise on their sum, and an account of ε.

    Give `epsilon`, `noise_multiplier`, or both. With ε alone the noise is the least that keeps all
    steps within it; with both the run ends before the step that would spend more than ε; with σ
    alone nothing limits ε, which is reported.

    Args:
        epsilon: ε, the most that the run may spend.
        delta: δ, the probability that the claim fails; below one divided by the number of rows.
        noise_multiplier: σ, standard deviations of the noise for each unit of `clip`; 0 for none,
            which protects nobody.
        clip: C, the largest norm of one row's gradient; "none" does not clip, which needs σ = 0.
        sampling: `poisson`: each row joins each step with probability batch size / rows, so that a
            row's chance of having been left out counts. `shuffle`: each row once an epoch, as
            without privacy; what an epoch spends then does not depend on the batch size.
        noise: `secure` draws the noise from a secret key; `seeded` from the seed of the run. That
            is for tests: anyone can subtract it, so no ε is reported.

    Examples:
        privacy = PrivacyConfig(epsilon=3.0, delta=1e-5, clip=0.5)
        assert PrivacyConfig.from_dict(privacy.to_dict()) == privacy
    """

    epsilon: float | None = None
    delta: float = 1e-5
    noise_multiplier: float | None = Field(default=None, ge=0.0)
    clip: float | Literal["none"] = 1.0
    sampling: Literal["poisson", "shuffle"] = "poisson"
    noise: Literal["secure", "seeded"] = "secure"

    @field_validator("epsilon")
    @classmethod
    def _is_positive(cls, epsilon: float | None) -> float | None:
        if epsilon is not None:
            check_epsilon(epsilon)
        return epsilon

    @field_validator("delta")
    @classmethod
    def _is_probability(cls, delta: float) -> float:
        check_delta(delta)
        return delta

    @field_validator("clip")
    @classmethod
    def _is_a_norm(cls, clip: float | Literal["none"]) -> float | Literal["none"]:
        if not isinstance(clip, str) and clip <= 0.0:
            raise ConfigError(
                "the clipping norm is above 0", value=clip, fix='Take 1.0, or "none" with σ = 0.'
            )
        return clip

    @model_validator(mode="after")
    def _is_a_request(self) -> Self:
        if self.epsilon is None and self.noise_multiplier is None:
            raise ConfigError(
                "privacy needs a limit or an amount of noise",
                field="epsilon",
                fix="Set epsilon = 3.0, or noise_multiplier = 1.0, or both.",
            )
        if self.clip == "none" and self.noise_multiplier != 0.0:
            raise ConfigError(
                "without clipping no noise is enough, since one row may change the sum by anything",
                field="clip",
                value="none",
                fix="Set clip = 1.0, or noise_multiplier = 0 for a training without privacy.",
            )
        if self.epsilon is not None and self.noise_multiplier == 0.0:
            raise ConfigError(
                "without noise every ε is exceeded by the first step",
                field="noise_multiplier",
                value=0.0,
                fix="Leave noise_multiplier out, so that it follows from epsilon.",
            )
        return self

    @staticmethod
    def check_beside(given: ReadOnlyTable) -> None:
        """Refuse fields of a training that are not None and that no account covers.

        Args:
            given: the training's `optimizer`, `batches` and `class_weight`, each None if it is one
                that fits.

        Raises:
            ConfigError: the first that does not.
        """
        for field, value in given.items():
            if value is not None:
                raise ConfigError(
                    f"not possible with privacy: {_EXCLUDED[field]}",
                    field=field,
                    value=value,
                    fix="Leave it out, or leave out the table privacy.",
                )
