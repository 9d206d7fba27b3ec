"""The report of a search: its numbers are the study's, and nothing in it is obeyed."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from qstore_ray.errors import RunError
from qstore_ray.job import JobConfig
from qstore_ray.testing.search_spaces import SPACE
from qstore_ray.tune.objective import Objective
from qstore_ray.tune.report.html import render, write_page
from qstore_ray.tune.report.importance import FEWEST, importances
from qstore_ray.tune.report.pictures import search_of
from qstore_ray.tune.space.space import Space
from qstore_ray.tune.study.result import StudyResult, read_result
from qstore_ray.tune.study.trial_result import TrialFailure
from tests.studies import opened
from tests.unit.train.test_report import Page
from tests.unit.tune.test_space import JOB

HOSTILE = '<script>alert("x")</script> token=abcdef'
FEW = {name: SPACE[name] for name in ("trainer.learning_rate", "model.pre_layers")}
ACCURACY = [Objective(metric="val_accuracy")]
FRONT = [*ACCURACY, Objective(metric="circuit_evaluations", mode="min")]


def _searched(storage: Path, outcomes, goals=ACCURACY, space=FEW, job=JOB) -> StudyResult:
    """A study whose trials end as told; a number is of the first objective."""
    trials = max(1, len(outcomes))
    with opened(
        storage, job=job, space=space, objectives=goals, trials=trials, sampler="random"
    ) as study:
        for outcome in outcomes:
            trial = study.ask()
            if not isinstance(outcome, TrialFailure):
                study.report(trial.number, 0, outcome[0])
            study.tell(trial.number, outcome, circuit_evaluations=7)
    return read_result(storage, "s")


def _page(result: StudyResult) -> Page:
    text = render(result)
    page = Page(text)
    assert [link for link in page.links if not link.startswith(("#", "data:"))] == []
    assert "url(http" not in text
    assert "@import" not in text
    return page


def test_the_table_holds_every_trial_exactly(tmp_path):
    values = [1 / 3, 2 / 7, 0.9, 0.1]
    result = _searched(tmp_path, [[value] for value in values] + [TrialFailure("out of memory")])
    page = _page(result)
    rows = {row[0]: row for row in page.rows if len(row) > 6}
    assert [row[1] for row in rows.values()][1:] == [
        "completed", "completed", "completed (best)", "completed", "failed",
    ]  # fmt: skip
    for trial in result.trials:
        exact = page.exact[str(trial.number)]
        assert set(trial.objectives.values()) <= set(exact)
        assert trial.parameters["trainer.learning_rate"] in exact
    assert rows["4"][-1] == "out of memory"
    assert ["1", "out of memory", "4"] in page.rows


def test_the_best_job_stands_in_it_as_toml(tmp_path):
    result = _searched(tmp_path, [[0.5], [0.7]])
    text = render(result).partition("<pre>")[2].partition("</pre>")[0]
    assert tomllib.loads(text.replace("&quot;", '"')) == tomllib.loads(result.best_toml())


def test_what_a_study_says_is_text_and_secrets_are_hidden(tmp_path):
    job = JobConfig.from_dict({**JOB.to_dict(), "track": {"mlflow_uri": "http://me:pass@host"}})
    result = _searched(tmp_path, [[0.1], [0.2], TrialFailure(HOSTILE)], job=job)
    field = "trainer.optimizer_options.x"
    choices = [HOSTILE, [1], True]
    trials = [
        replace(trial, parameters={field: choice})
        for trial, choice in zip(result.trials, choices, strict=True)
    ]
    space = {field: {"type": "categorical", "choices": choices}}
    result = replace(result, study=HOSTILE, space=space, trials=trials)
    text = render(result)
    assert text.count("<script>") == 1  # ours, which sorts
    assert "alert(&quot;x&quot;)" in text
    assert "abcdef" not in text.partition("Failed trials")[2].partition("</section>")[0]
    assert "pass@" not in text


@pytest.mark.parametrize(
    "outcomes", [[], [TrialFailure("diverged")]], ids=["no trials", "one failed"]
)
def test_a_study_without_a_result_has_a_report_that_says_so(tmp_path, outcomes):
    page = _page(_searched(tmp_path, outcomes))
    assert "No trial was completed, so there is no best." in page.words
    assert "no trial of the study was completed" in page.words
    assert "svg" not in page.tags


def test_several_objectives_have_a_front_in_it(tmp_path):
    outcomes = [[0.5, 10.0], [0.9, 50.0], [0.4, 20.0], [0.7, 5.0]]
    page = _page(_searched(tmp_path, outcomes, FRONT))
    assert "Pareto front" in page.words
    assert page.tags.count("svg") == 6
    statuses = [row[1] for row in page.rows if len(row) > 6][1:]
    assert statuses == ["completed", "completed (front)", "completed", "completed (front)"]


def test_a_report_that_cannot_be_written_says_why(tmp_path):
    result = _searched(tmp_path, [[0.5]])
    with pytest.raises(RunError) as caught:
        write_page(result, tmp_path / "absent")
    assert "absent" in caught.value.value
    path = write_page(result, tmp_path / "s")
    assert path.read_text(encoding="utf-8") == render(result)


def test_a_choice_is_its_place_and_what_never_varies_is_no_axis(tmp_path):
    result = _searched(tmp_path, [[0.1 * n] for n in range(8)], space=SPACE)
    search = search_of(result)
    dimensions = {dimension.name: dimension for dimension in search.dimensions}
    fixed = {name for name, table in SPACE.items() if table["type"] == "fixed"}
    assert set(dimensions) == set(SPACE) - fixed
    assert dimensions["model.pre_layers"].choices == ("[8, 16]", "[16]")
    for trial, point in zip(result.trials, search.trials, strict=True):
        layers = [[8, 16], [16]].index(trial.parameters["model.pre_layers"])
        assert point.at["model.pre_layers"] == layers
        assert point.at["trainer.learning_rate"] == trial.parameters["trainer.learning_rate"]
        assert set(point.at) == set(trial.parameters) & set(dimensions)
        assert all(0 <= dimensions[name].share(value) <= 1 for name, value in point.at.items())


def _importance_of(storage: Path, cost, trials: int = 30) -> dict[str, dict[str, float]]:
    space = Space.from_dict(
        {
            "model.initial_spread": {"type": "float", "low": 0.1, "high": 0.5},
            "model.layers": {"type": "int", "low": 1, "high": 8},
            "trainer.optimizer": {"type": "categorical", "choices": ["adam"]},
        }
    )
    with opened(
        storage, "i", space=space, objectives=ACCURACY, trials=trials, sampler="qmc"
    ) as study:
        while trial := study.ask():
            study.tell(trial.number, [cost(trial.values)])
    return importances(read_result(storage, "i"))


def test_a_parameter_that_decides_alone_has_nearly_all_of_the_variance(tmp_path):
    found = _importance_of(tmp_path, lambda values: float(values["model.layers"]))
    shares = found["val_accuracy"]
    assert list(shares) == ["model.layers", "model.initial_spread"]  # one choice is no choice
    assert shares["model.layers"] > 0.95
    assert sum(shares.values()) == pytest.approx(1.0)
    assert importances(read_result(tmp_path, "i")) == found


def test_nothing_is_said_of_importance_where_nothing_can_be_said(tmp_path):
    few = FEWEST - 1
    assert _importance_of(tmp_path / "few", lambda values: values["model.layers"], few) == {}
    assert _importance_of(tmp_path / "equal", lambda _: 0.5) == {}
