"""Ray Tune's schedulers, each made to do exactly what its configuration in `schedulers/` says.

Ray's own act on any report that reaches them. Here a report reaches them only if the configuration
`decides`, so that a search does not depend on the number of reports. The rest is what Ray leaves
open:

* The seed: Ray draws from the global state of `random` and numpy. `PrivateRandomState` puts a state
  of its own there while Ray draws, and then restores the global one.
* A median without pauses, and without an error if a trial failed before its first score.
* Hyperband without deadlock: if the trial that others wait for dies, they continue.
* Values that stay in their space when they change.

A trial's configuration is {"number": int, "name": str, "values": {dotted field: value}}, and it
reports `score` (larger is better), `epoch`, `circuit_evaluations` and `seconds`. All of this runs
in the driver process, in Tune's own loop.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from ray.tune.schedulers import (
    ASHAScheduler,
    HyperBandScheduler,
    MedianStoppingRule,
    PopulationBasedTraining,
    TrialScheduler,
)

from qstore_ray.tune.schedulers.random_state import PrivateRandomState
from qstore_ray.tune.space.mutation import mutable, mutated
from qstore_ray.tune.space.space import Space

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController
    from ray.tune.experiment import Trial

    from qstore_ray.tune.schedulers.asha import ASHA
    from qstore_ray.tune.schedulers.base import Result
    from qstore_ray.tune.schedulers.hyperband import HyperBand
    from qstore_ray.tune.schedulers.median import Median
    from qstore_ray.tune.schedulers.population import PBT

METRIC, MODE = "score", "max"


class FixedMetric(TrialScheduler):
    """A scheduler whose metric is fixed; setting the same one again is accepted."""

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Whether the search has the metric and mode that this scheduler was made for."""
        return metric in (None, METRIC) and mode in (None, MODE)


class _Rungs:
    """The highest rung at which each trial was compared."""

    def __init__(self, rung: Callable[[float], int], resource: str) -> None:
        self._rung, self._resource = rung, resource
        self._compared: dict[str, int] = {}

    def is_new(self, trial: Trial, result: Result) -> bool:
        """Whether this report is the first on a higher rung; if so, it is remembered."""
        if not has_score(result):
            return False
        rung = self._rung(result[self._resource])
        if rung <= self._compared.get(trial.trial_id, -1):
            return False
        self._compared[trial.trial_id] = rung
        return True


def has_score(result: Result) -> bool:
    """A trial that failed has none; one that is not a number cannot be compared."""
    score = result.get(METRIC)
    return score is not None and not math.isnan(score)


class RungASHA(FixedMetric, ASHAScheduler):
    """Asynchronous halving, in which a trial that skips rungs is compared at the highest only."""

    def __init__(self, config: ASHA, end: float, seed: int) -> None:
        super().__init__(
            time_attr=config.resource,
            metric=METRIC,
            mode=MODE,
            max_t=end,  # type: ignore[arg-type]  # a fraction is as good
            grace_period=config.grace,  # type: ignore[arg-type]  # the same
            reduction_factor=config.reduction_factor,
            brackets=config.brackets,
        )
        self._config, self._random_state = config, PrivateRandomState(seed)
        self._rungs = _Rungs(config.rung, config.resource)

    def on_trial_add(self, tune_controller: TuneController, trial: Trial) -> None:
        """Draw its bracket."""
        with self._random_state():
            super().on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: Result) -> str:
        """End it if it is at the end, or on a new rung and not good enough."""
        spent = result.get(self._config.resource, 0)
        if self._config.max_period is not None and spent >= self._config.max_period:
            return TrialScheduler.STOP
        at_its_own_end = self._config.max_period is None and spent >= self._max_t
        if at_its_own_end or not self._rungs.is_new(trial, result):
            return TrialScheduler.CONTINUE
        return str(super().on_trial_result(tune_controller, trial, result))

    def on_trial_complete(
        self, tune_controller: TuneController, trial: Trial, result: Result
    ) -> None:
        """Let others be compared with it, at the highest rung it has reached."""
        if self._rungs.is_new(trial, result):
            super().on_trial_complete(tune_controller, trial, result)
        self._trial_info.pop(trial.trial_id, None)


class IntervalMedianRule(FixedMetric, MedianStoppingRule):
    """The median rule over one report an interval; trials never wait."""

    def __init__(self, config: Median) -> None:
        super().__init__(
            time_attr=config.resource,
            metric=METRIC,
            mode=MODE,
            grace_period=config.grace,
            min_samples_required=config.min_samples,
            min_time_slice=math.inf,  # type: ignore[arg-type]  # a trial without others to compare with continues
        )
        self._rungs = _Rungs(config.rung, config.resource)

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: Result) -> str:
        """End it if this is a new interval, and its best is below the others' median."""
        if not self._rungs.is_new(trial, result):
            return TrialScheduler.CONTINUE
        return str(super().on_trial_result(tune_controller, trial, result))

    def on_trial_complete(
        self, tune_controller: TuneController, trial: Trial, result: Result
    ) -> None:
        """Let others be compared with it, if it has a score."""
        if has_score(result):
            super().on_trial_complete(tune_controller, trial, result)


class MilestoneHyperBand(FixedMetric, HyperBandScheduler):
    """Hyperband in which no bracket waits for a trial that is gone."""

    def __init__(self, config: HyperBand, end: int) -> None:
        super().__init__(
            time_attr="epoch",
            metric=METRIC,
            mode=MODE,
            max_t=end,
            reduction_factor=config.reduction_factor,
        )
        self._config, self._end = config, end

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: Result) -> str:
        """Let it wait, or end, if this is a milestone."""
        if not has_score(result) or not self._config.decides(result["epoch"], self._end):
            return TrialScheduler.CONTINUE
        return str(super().on_trial_result(tune_controller, trial, result))

    def on_trial_remove(self, tune_controller: TuneController, trial: Trial) -> None:
        """Compare the trials that waited for it alone; Ray does not at the last milestone."""
        super().on_trial_remove(tune_controller, trial)
        bracket, _ = self._trial_info[trial]
        if bracket.finished() and not bracket.is_being_processed:
            self._end_waiting(tune_controller, bracket)

    def _process_bracket(self, tune_controller: TuneController, bracket: Any) -> str:
        """Process the bracket repeatedly while all of its trials have reported.

        A resumed trial may be several milestones ahead. Ray marks a bracket as being processed and
        never clears the mark; without this, trials that wait in such a bracket would be stuck when
        the last one dies.
        """
        action = TrialScheduler.PAUSE
        while action == TrialScheduler.PAUSE and bracket.current_trials():
            if bracket.finished():
                self._end_waiting(tune_controller, bracket)
                return TrialScheduler.STOP
            together = bracket.cur_iter_done()
            action = str(super()._process_bracket(tune_controller, bracket))
            bracket.is_being_processed = False
            if not together:
                break
        return action

    def _end_waiting(self, tune_controller: TuneController, bracket: Any) -> None:
        """Stop the trials that wait, also those that are still writing their checkpoint."""
        for trial in bracket.current_trials():
            if trial.status == trial.PAUSED or trial.is_saving:
                tune_controller.stop_trial(trial)  # type: ignore[no-untyped-call]


class SpacePBT(FixedMetric, PopulationBasedTraining):
    """Population-based training whose changed values stay in the space."""

    def __init__(self, config: PBT, space: Space, end: int, seed: int) -> None:
        super().__init__(
            time_attr="epoch",
            metric=METRIC,
            mode=MODE,
            perturbation_interval=config.interval,
            quantile_fraction=config.quantile_fraction,
            custom_explore_fn=self._explore,
            log_config=False,
        )
        self._config, self._end, self._random_state = config, end, PrivateRandomState(seed)
        self._parameters = mutable(space)
        self._rng = np.random.default_rng(seed)

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: Result) -> str:
        """Let it take over another's parameters, if this is the end of an interval."""
        if not has_score(result) or not self._config.decides(result["epoch"], self._end):
            return TrialScheduler.CONTINUE
        with self._random_state():
            return str(super().on_trial_result(tune_controller, trial, result))

    def _explore(self, config: dict[str, Any]) -> dict[str, Any]:
        values = mutated(
            config["values"],
            self._parameters,
            resample=self._config.resample_probability,
            factors=self._config.perturbation_factors,
            rng=self._rng,
        )
        return {**config, "values": values}
