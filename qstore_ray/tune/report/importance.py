"""How much the value of a trial depends on each parameter.

fANOVA (Hutter, Hoos and Leyton-Brown, ICML 2014): a random forest is fitted to the completed
trials, and the variance of its prediction over the whole space is divided among the parameters. A
share is what the parameter explains alone, relative to all that single parameters explain. Few
trials make a poor forest; its seed is fixed, so the same trials always give the same shares.
"""

from __future__ import annotations

from typing import Any

from qstore_ray.tune.space.fields import Values
from qstore_ray.tune.space.space import Space
from qstore_ray.tune.study.result import StudyResult

FEWEST = 4
"""Completed trials below which nothing is said."""

_SEED = 0


def importances(result: StudyResult) -> dict[str, dict[str, float]]:
    """Metric → field → share of the variance, largest first, adding up to 1.

    It covers the parameters that every completed trial has and that take more than one value. A
    metric is left out if it has no estimate: fewer than `FEWEST` completed trials, equal values,
    or no such parameter.
    """
    import optuna

    completed = [trial for trial in result.trials if trial.status == "completed"]
    found: dict[str, dict[str, float]] = {}
    if len(completed) < FEWEST:
        return found
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = Space.from_dict(result.space)
    drawn = [_drawn(space, trial.parameters) for trial in completed]
    for metric in result.objectives:
        values = [trial.objectives[metric] for trial in completed]
        if len(set(values)) > 1:
            study = optuna.create_study()
            for (params, distributions), value in zip(drawn, values, strict=True):
                study.add_trial(
                    optuna.create_trial(params=params, distributions=distributions, value=value)
                )
            shares = _shares(study)
            if shares:
                found[metric] = shares
    return found


def _drawn(space: Space, values: Values) -> tuple[dict[str, Any], dict[str, Any]]:
    """Values as Optuna stores them, and what they were drawn from."""
    import optuna

    searched = {f: v for f, v in values.items() if space.parameters[f].type != "fixed"}
    stored = {field: space.parameters[field].stored(value) for field, value in searched.items()}
    recorder = optuna.trial.FixedTrial(stored)
    space.suggest(recorder)
    return stored, recorder.distributions


def _shares(study: Any) -> dict[str, float]:
    from optuna.importance import FanovaImportanceEvaluator
    from optuna.search_space import intersection_search_space

    common = intersection_search_space(study.get_trials(deepcopy=False))
    varied = sorted(name for name, distribution in common.items() if not distribution.single())
    if not varied:
        return {}
    # Not get_param_importances, which returns equal shares if no variance is explained.
    found = FanovaImportanceEvaluator(seed=_SEED).evaluate(study, params=varied)
    total = sum(found.values())
    shares = {name: float(share / total) for name, share in found.items()} if total > 0 else {}
    return dict(sorted(shares.items(), key=lambda pair: -pair[1]))
