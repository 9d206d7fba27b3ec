"""Ray Tune's population-based bandits, searching shares of ranges instead of values.

Ray's own fits its Gaussian process to the values as they are, rounds them to 32 bits, and then
passes the bounds by a rounding error. In shares of each range, evenly or in the logarithm as the
space says, neither matters: `Parameter.at` makes values of them that lie in the space. Importing
this imports scikit-learn, which the other schedulers do not need.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ray.tune.schedulers import TrialScheduler
from ray.tune.schedulers import pb2 as ray_pb2

from qstore_ray.tune.schedulers.random_state import PrivateRandomState
from qstore_ray.tune.schedulers.ray import METRIC, MODE, FixedMetric, has_score
from qstore_ray.tune.space.mutation import continuous, share
from qstore_ray.tune.space.parameters import FloatParameter
from qstore_ray.tune.space.space import Space

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController
    from ray.tune.experiment import Trial

    from qstore_ray.tune.schedulers.base import Result
    from qstore_ray.tune.schedulers.population import PB2

_DIGITS = 9  # of a share; Ray's own have 7


class SpacePB2(FixedMetric, ray_pb2.PB2):
    """Population-based bandits over shares of ranges, evenly or in the logarithm."""

    def __init__(self, config: PB2, space: Space, end: int, seed: int) -> None:
        self._parameters = continuous(space)
        super().__init__(
            time_attr="epoch",
            metric=METRIC,
            mode=MODE,
            perturbation_interval=config.interval,
            quantile_fraction=config.quantile_fraction,
            hyperparam_bounds={"values": dict.fromkeys(self._parameters, (0.0, 1.0))},
            log_config=False,
        )
        self._config, self._end, self._random_state = config, end, PrivateRandomState(seed)

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: Result) -> str:
        """Let it take over another's parameters, if this is the end of an interval."""
        if not has_score(result) or not self._config.decides(result["epoch"], self._end):
            return TrialScheduler.CONTINUE
        with self._random_state():
            return str(super().on_trial_result(tune_controller, trial, result))

    def _save_trial_state(self, state: Any, time: int, result: Result, trial: Trial) -> Any:
        return super()._save_trial_state(state, time, result, self._in_shares(trial))

    def _get_new_config(
        self, trial: Trial, trial_to_clone: Trial
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        found, operations = super()._get_new_config(
            self._in_shares(trial), self._in_shares(trial_to_clone)
        )
        # The process is fitted to differences between reports under equal values: the shares that
        # stand in its table now must be equal to those that the next report is entered with.
        names = list(self._hyperparam_bounds_flat)
        self.data[names] = self.data[names].astype(float).round(_DIGITS)
        config = copy.deepcopy(trial_to_clone.config)
        for field, u in found["values"].items():
            config["values"][field] = self._parameters[field].at(round(float(u), _DIGITS))
        return config, operations

    def _in_shares(self, trial: Trial) -> Any:
        return _Shares(str(trial), _shares(self._parameters, trial.config["values"]))


class _Shares:
    """A trial as Ray's Gaussian process sees it: its name, and where its values lie."""

    def __init__(self, name: str, shares: dict[str, float]) -> None:
        self._name = name
        self.config = {"values": shares}

    def __str__(self) -> str:
        return self._name


def _shares(
    parameters: Mapping[str, FloatParameter], values: Mapping[str, Any]
) -> dict[str, float]:
    return {field: round(share(p, values[field]), _DIGITS) for field, p in parameters.items()}
