"""What a search makes small or large: metrics of a trial by name."""

from __future__ import annotations

from collections.abc import Sequence

from qstore_ray.config import Config
from qstore_ray.errors import ConfigError, under
from qstore_ray.learn.diagnostics.stopping import Mode, larger_is_better


class Objective(Config):
    """One metric and its direction.

    Args:
        metric: a number of the epoch records, such as val_accuracy or circuit_evaluations.
        mode: min, max, or auto: by the words of the name.

    Examples:
        assert Objective(metric="val_accuracy").direction == "maximize"
        assert Objective(metric="circuit_evaluations", mode="min").direction == "minimize"
    """

    metric: str
    mode: Mode = "auto"

    @property
    def larger_is_better(self) -> bool:
        """The direction.

        Raises:
            ConfigError: the mode is auto, and the metric's name does not imply a direction.
        """
        return larger_is_better(self.metric, self.mode)

    @property
    def direction(self) -> str:
        """The direction in Optuna's words: maximize or minimize."""
        return "maximize" if self.larger_is_better else "minimize"


def check_objectives(objectives: Sequence[Objective]) -> None:
    """Check that there is an objective, and each metric once.

    Raises:
        ConfigError: no objective, a repeated one, or one without a known direction.
    """
    names = [objective.metric for objective in objectives]
    if not names:
        raise ConfigError(
            "a search needs an objective",
            field="objectives",
            fix='Write [{ metric = "val_accuracy" }].',
        )
    for place, objective in enumerate(objectives):
        if objective.metric in names[:place]:
            raise ConfigError(
                "this metric exists twice",
                field=f"objectives.{place}.metric",
                value=objective.metric,
                fix="Leave one of them out.",
            )
        with under(f"objectives.{place}"):
            _ = objective.larger_is_better
