"""The laws of a sampler of a search."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from qstore_ray.job import JobConfig
from qstore_ray.testing.search_spaces import SPACE
from qstore_ray.tune.config import TuneConfig
from qstore_ray.tune.objective import Objective
from qstore_ray.tune.samplers import get_sampler
from qstore_ray.tune.samplers.base import Design
from qstore_ray.tune.space.fields import Values
from qstore_ray.tune.space.space import Space
from qstore_ray.tune.study.opening import open_study
from qstore_ray.tune.study.study import Study
from qstore_ray.types import ReadOnlyTable, Table

TRIALS = 14
ONE = [Objective(metric="val_loss")]
TWO = [*ONE, Objective(metric="circuit_evaluations", mode="min")]
JOB = JobConfig.from_dict(
    {
        "name": "digits",
        "dataset": {
            "name": "digits",
            "source": "sklearn",
            "params": {"dataset": "digits"},
            "preprocessing": [{"name": "pca", "components": 16}],
        },
    }
)


class SamplerLaws:
    """What it chooses is in the space; the same seed gives the same trials; a resumed search does
    not begin again; a design does not depend on how trials end.

    Fixtures: `sampler`, the name under which it is registered or declared; `options`; `space`, if
    it cannot take every kind of parameter; `most_objectives`, if it takes one alone.
    """

    @pytest.fixture
    def sampler(self) -> str:
        """The name of the sampler under test; override it."""
        raise NotImplementedError

    @pytest.fixture
    def options(self) -> Table:
        """Its options, such that it begins to learn within 14 trials."""
        return {}

    @pytest.fixture
    def space(self) -> ReadOnlyTable:
        """The space that it searches; at least 14 points, with the field `model.layers`."""
        return SPACE

    @pytest.fixture
    def most_objectives(self) -> int:
        """How many objectives it can serve, 1 or 2."""
        return 2

    @pytest.fixture
    def random(self) -> bool:
        """Whether another seed gives other trials."""
        return True

    @pytest.mark.parametrize("goals", [ONE, TWO], ids=["one", "two"])
    def test_all_it_chooses_is_in_the_space_and_whole_numbers_are_whole(
        self,
        sampler: str,
        options: Table,
        space: ReadOnlyTable,
        most_objectives: int,
        goals: list[Objective],
        tmp_path: Path,
    ) -> None:
        goals = goals[:most_objectives]
        with opened(tmp_path, sampler, options, space, objectives=goals) as study:
            chosen = run(study)
        assert len(chosen) == TRIALS
        assert all(study.space.contains(values) for values in chosen)
        assert all(type(values["model.layers"]) is int for values in chosen)
        assert all(study.space.apply(JOB, values) for values in chosen)

    def test_the_same_seed_gives_the_same_trials_and_another_seed_others(
        self,
        sampler: str,
        options: Table,
        space: ReadOnlyTable,
        random: bool,
        tmp_path: Path,
    ) -> None:
        runs = []
        for place, seed in enumerate((0, 0, 1)):
            with opened(tmp_path / str(place), sampler, options, space, seed=seed) as study:
                runs.append(run(study))
        assert runs[0] == runs[1]
        assert (runs[0] != runs[2]) == random

    def test_a_resumed_search_does_not_begin_again(
        self, sampler: str, options: Table, space: ReadOnlyTable, tmp_path: Path
    ) -> None:
        with opened(tmp_path, sampler, options, space) as study:
            first = run(study, 5)
        with opened(tmp_path, sampler, options, space, existing="resume") as study:
            second = run(study, 5)
        texts = [json.dumps(values, sort_keys=True) for values in first + second]
        if isinstance(get_sampler(sampler, options), Design):
            assert len(set(texts)) == 10
        assert texts[:5] != texts[5:]

    def test_points_of_a_design_do_not_depend_on_how_trials_end(
        self, sampler: str, options: Table, space: ReadOnlyTable, tmp_path: Path
    ) -> None:
        if not isinstance(get_sampler(sampler, options), Design):
            return  # it learns from them
        with opened(tmp_path / "one", sampler, options, space) as study:
            one = run(study, 12)
        with opened(tmp_path / "at once", sampler, options, space) as study:
            asked = [study.ask() for _ in range(12)]
        with opened(tmp_path / "many", sampler, options, space) as study:
            many = run(study, 4)
        with opened(tmp_path / "many", sampler, options, space, existing="resume") as study:
            many += run(study, 8)
        assert one == [trial.values for trial in asked if trial] == many


def opened(
    folder: Path,
    sampler: str,
    options: Table,
    space: ReadOnlyTable,
    *,
    existing: Any = "error",
    **search: Any,
) -> Study:
    """A study of up to 300 trials with that sampler, in which nothing runs."""
    search = {"objectives": ONE, "trials": 300, **search}
    config = TuneConfig(
        space=Space.from_dict(dict(space)), sampler=sampler, sampler_options=options, **search
    )
    return open_study(folder, "s", config, job=JOB, data_fingerprint="", existing=existing)


def run(study: Study, trials: int = TRIALS) -> list[Values]:
    """Ask and tell one trial after the other; the cost is of the first numbers of the space."""
    seen = []
    for trial in itertools.islice(iter(study.ask, None), trials):
        seen.append(trial.values)
        cost = sum(v for v in trial.values.values() if isinstance(v, float)) + 0.1 * len(seen)
        study.tell(trial.number, [cost, -cost][: len(study.objectives)])
    return seen
