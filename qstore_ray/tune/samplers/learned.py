"""Samplers that learn from the trials that have ended: Optuna's, each with its own options.

What a sampler cannot do, it refuses: none draws at random what it was asked to learn, except nsga2
and nsga3, which draw conditional parameters that the parents do not share.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypedDict

from pydantic import Field

from qstore_ray.config import Config
from qstore_ray.errors import ConfigError, MissingDependencyError
from qstore_ray.tune.space.space import Space

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


class TPE(Config):
    """Tree-structured Parzen estimators (Bergstra et al. 2011), of all parameters jointly.

    Conditional parameters are modelled in groups, each of those that occur together.

    Args:
        startup: random trials before the first that is chosen.
        candidates: points of which the most promising is taken.
    """

    startup: int = Field(default=10, ge=1)
    candidates: int = Field(default=24, ge=1)

    def check(self, space: Space, objectives: int) -> None:
        """Searches everything."""

    def open(self, seed: int) -> BaseSampler:
        """Multivariate, in groups, pending trials counted as bad ones."""
        from optuna.samplers import TPESampler

        return _quietly(
            TPESampler,
            n_startup_trials=self.startup,
            n_ei_candidates=self.candidates,
            multivariate=True,
            group=True,
            constant_liar=True,
            seed=seed,
        )


class GP(Config):
    """A Gaussian process and expected improvement (of the hypervolume, for several objectives).

    Args:
        startup: random trials before the first that is chosen.
        deterministic: equal parameters give equal results, so no noise is fitted.
    """

    startup: int = Field(default=10, ge=1)
    deterministic: bool = False

    def check(self, space: Space, objectives: int) -> None:
        """Refuses conditional parameters, which Optuna would draw at random."""
        _need("torch", "gp", "pip install 'qstore-ray[torch]'")
        _refuse_conditions(space, "gp")

    def open(self, seed: int) -> BaseSampler:
        """With Optuna's kernel and priors."""
        from optuna.samplers import GPSampler

        return _quietly(
            GPSampler,
            n_startup_trials=self.startup,
            deterministic_objective=self.deterministic,
            warn_independent_sampling=False,
            seed=seed,
        )


class CMAES(Config):
    """Covariance matrix adaptation (Hansen & Ostermeier 2001), for numbers and one objective.

    Args:
        startup: random trials before the first that is chosen.
        sigma: first standard deviation, as a share of each range; without it a sixth.
        population: trials of a generation; without it 4 + ⌊3 ln d⌋ for d parameters.
        with_margin: keep whole numbers from freezing (Hamano et al. 2022).
    """

    startup: int = Field(default=1, ge=1)
    sigma: float | None = Field(default=None, gt=0.0)
    population: int | None = Field(default=None, ge=2)
    with_margin: bool = True

    def check(self, space: Space, objectives: int) -> None:
        """Refuses choices, conditions, less than two numbers, several objectives."""
        _need("cmaes", "cmaes", "pip install cmaes")
        if objectives > 1:
            raise _sampler_error("cmaes has one objective", objectives, "Use nsga2, nsga3 or tpe.")
        _refuse_conditions(space, "cmaes")
        types = [parameter.type for parameter in space.parameters.values()]
        if "categorical" in types:
            raise _sampler_error("cmaes searches numbers, not choices", "cmaes", "Use tpe.")
        if len([kind for kind in types if kind != "fixed"]) < 2:
            raise _sampler_error("cmaes needs two parameters at least", "cmaes", "Use tpe.")

    def open(self, seed: int) -> BaseSampler:
        """With or without margin."""
        from optuna.samplers import CmaEsSampler

        return _quietly(
            CmaEsSampler,
            n_startup_trials=self.startup,
            sigma0=self.sigma,
            popsize=self.population,
            with_margin=self.with_margin,
            warn_independent_sampling=False,
            seed=seed,
        )


class GeneticOptions(TypedDict):
    """The options of genetic samplers under Optuna's names."""

    population_size: int
    mutation_prob: float | None
    crossover_prob: float


class Genetic(Config):
    """What genetic samplers have in common; crossover is uniform.

    Args:
        population: trials of a generation.
        mutation: chance that a parameter is drawn again; without it 1/d for d parameters.
        crossover: chance that a trial has two parents.
    """

    population: int = Field(default=50, ge=2)
    mutation: float | None = Field(default=None, ge=0.0, le=1.0)
    crossover: float = Field(default=0.9, ge=0.0, le=1.0)

    def check(self, space: Space, objectives: int) -> None:
        """Searches everything."""

    def shared(self) -> GeneticOptions:
        """The options under Optuna's names."""
        return {
            "population_size": self.population,
            "mutation_prob": self.mutation,
            "crossover_prob": self.crossover,
        }


class NSGA2(Genetic):
    """Non-dominated sorting and crowding distance (Deb et al. 2002), for two objectives or so."""

    def open(self, seed: int) -> BaseSampler:
        """Optuna's, with these options."""
        from optuna.samplers import NSGAIISampler

        return _quietly(NSGAIISampler, **self.shared(), seed=seed)


class NSGA3(Genetic):
    """The same with reference directions (Deb & Jain 2014), for three objectives and more.

    Args:
        divisions: parts of each axis that reference directions go through.
    """

    divisions: int = Field(default=3, ge=1)

    def open(self, seed: int) -> BaseSampler:
        """Optuna's, with these options."""
        from optuna.samplers import NSGAIIISampler

        return _quietly(
            NSGAIIISampler, **self.shared(), dividing_parameter=self.divisions, seed=seed
        )


def _need(package: str, sampler: str, install: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise MissingDependencyError(
            f"the sampler {sampler} needs {package}",
            field="sampler",
            value=sampler,
            fix=f"{install}, or use tpe.",
        )


def _refuse_conditions(space: Space, sampler: str) -> None:
    for field, parameter in space.parameters.items():
        if parameter.when and parameter.type != "fixed":
            raise _sampler_error(
                f"{sampler} has no conditional parameters, and {field} is one", sampler, "Use tpe."
            )


def _sampler_error(message: str, value: Any, fix: str) -> ConfigError:
    return ConfigError(message, field="sampler", value=value, fix=fix)


def _quietly(opener: Callable[..., BaseSampler], **options: Any) -> BaseSampler:
    """Open without Optuna's notice that an option is experimental; tests detect a change."""
    from optuna.exceptions import ExperimentalWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return opener(**options)
