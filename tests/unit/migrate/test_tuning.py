"""Searches of Q-Store: spaces, samplers and schedulers become `[tune]`; what cannot be read is
listed."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from qstore_ray.migrate.migrate import MigratedJob, migrate_file

IRIS = ["dataset.name=iris", "dataset.source=sklearn", "dataset.params.dataset=iris"]


def of_tables(tables: dict[str, Any], tmp_path: Path) -> MigratedJob:
    file = tmp_path / "old.json"
    file.write_text(json.dumps({"training": {"n_qubits": 4}} | tables))
    (job,) = migrate_file(file, IRIS).jobs
    assert job.missing == ""
    return job


def of_objective(body: str, tmp_path: Path, optuna: str = "n_trials=3") -> MigratedJob:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    file = tmp_path / "old.py"
    file.write_text(
        "from q_store.ml import OptunaConfig, TrainingConfig\n"
        "config = TrainingConfig(n_qubits=4)\n"
        f"def objective(trial):\n{lines}\n"
        f"search = OptunaConfig({optuna})\n"
    )
    (job,) = migrate_file(file, IRIS).jobs
    assert job.missing == ""
    return job


def tune(job: MigratedJob) -> dict[str, Any]:
    return tomllib.loads(job.toml)["tune"]


def listed(job: MigratedJob, key: str) -> tuple[str, str]:
    (found,) = [each for each in job.keys if each.old == key]
    return found.state, found.text


DISTRIBUTIONS = [
    (["uniform", 0.1, 1], {"type": "float", "low": 0.1, "high": 1.0}),
    (["log_uniform", 1e-4, 1e-1], {"type": "float", "low": 1e-4, "high": 1e-1, "log": True}),
    (["choice", [0.1, 0.2]], {"type": "categorical", "choices": [0.1, 0.2]}),
    (["choice", [0.1, 0.2], "equal"], {"type": "categorical", "choices": [0.1, 0.2]}),
]


@pytest.mark.parametrize(("limits", "wanted"), DISTRIBUTIONS)
def test_a_distribution_becomes_a_parameter(limits, wanted, tmp_path):
    job = of_tables({"RandomSearch": {"param_distributions": {"lr": limits}}}, tmp_path)
    assert tune(job)["sampler"] == "random"
    assert tune(job)["space"] == {"trainer.learning_rate": wanted}


def test_a_whole_number_stays_whole(tmp_path):
    searched = {"param_distributions": {"depth": ["int_uniform", 1, 6]}}
    assert tune(of_tables({"RandomSearch": searched}, tmp_path))["space"] == {
        "model.layers": {"type": "int", "low": 1, "high": 6}
    }
    bounds = {"param_bounds": {"depth": [1, 6.0], "lr": [0.001, 1]}}
    assert tune(of_tables({"BayesianOptimizer": bounds}, tmp_path))["space"] == {
        "model.layers": {"type": "int", "low": 1, "high": 6},
        "trainer.learning_rate": {"type": "float", "low": 0.001, "high": 1.0},
    }


@pytest.mark.parametrize(
    ("kind", "key", "limits"),
    [
        ("RandomSearch", "param_distributions", ["normal", 0.0, 1.0]),  # it has no limits
        ("RandomSearch", "param_distributions", ["uniform", "a", 1.0]),
        ("RandomSearch", "param_distributions", ["uniform", float("nan"), 1.0]),
        ("RandomSearch", "param_distributions", [0.1, 0.2]),
        ("GridSearch", "param_grid", []),
        ("GridSearch", "param_grid", [0.1, None]),
        ("GridSearch", "param_grid", 0.1),
        ("BayesianOptimizer", "param_bounds", [0.1]),
        ("BayesianOptimizer", "param_bounds", [0.1, float("inf")]),
        ("BayesianOptimizer", "param_bounds", [False, True]),
    ],
)
def test_limits_that_cannot_be_read_are_listed_and_no_space_is_guessed(kind, key, limits, tmp_path):
    job = of_tables({kind: {key: {"lr": limits}}}, tmp_path)
    assert "tune" not in tomllib.loads(job.toml)
    state, text = listed(job, f"{key}.lr")
    assert (state, "write its space yourself" in text) == ("unknown", True)
    state, text = listed(job, f"{kind}.()")
    assert (state, "write [tune]" in text) == ("unknown", True)


def test_a_name_that_no_field_has_is_listed(tmp_path):
    job = of_tables({"GridSearch": {"param_grid": {"lr": [0.1], "noise": [0, 1]}}}, tmp_path)
    assert tune(job)["space"].keys() == {"trainer.learning_rate"}
    state, text = listed(job, "param_grid.noise")
    assert (state, "no field of a job" in text) == ("unknown", True)


def test_a_search_without_optuna_has_its_sampler_and_options(tmp_path):
    given = {"param_bounds": {"lr": [0.001, 0.1]}, "random_seed": 7, "n_init_points": 5,
             "scoring": "accuracy", "verbose": True}  # fmt: skip
    job = of_tables({"BayesianOptimizer": given}, tmp_path)
    assert (tune(job)["sampler"], tune(job)["seed"]) == ("gp", 7)
    assert tune(job)["sampler_options"] == {"startup": 5}
    assert "tune.objectives" in listed(job, "BayesianOptimizer.scoring")[1]
    assert listed(job, "BayesianOptimizer.verbose")[0] == "dropped"
    grid = of_tables({"GridSearch": {"param_grid": {"lr": [0.1, 0.2]}}}, tmp_path)
    assert tune(grid)["sampler"] == "grid"
    assert tune(grid)["space"]["trainer.learning_rate"]["choices"] == [0.1, 0.2]


SUGGESTED = [
    ('trial.suggest_loguniform("lr", 1e-4, 1e-1)',
     {"type": "float", "low": 1e-4, "high": 1e-1, "log": True}),
    ('trial.suggest_uniform("lr", 0, 1)', {"type": "float", "low": 0.0, "high": 1.0}),
    ('trial.suggest_int("lr", 2, 16, step=2)', {"type": "int", "low": 2, "high": 16, "step": 2}),
    ('trial.suggest_int("lr", 2, 16, log=True)',
     {"type": "int", "low": 2, "high": 16, "log": True}),
    ('trial.suggest_int("lr", low=2, high=16, step=1)', {"type": "int", "low": 2, "high": 16}),
]  # fmt: skip


@pytest.mark.parametrize(("line", "wanted"), SUGGESTED)
def test_what_an_objective_asks_for_becomes_a_parameter(line, wanted, tmp_path):
    assert tune(of_objective(line, tmp_path))["space"] == {"trainer.learning_rate": wanted}


@pytest.mark.parametrize(
    "line",
    [
        'trial.suggest_float("lr", lowest, 1.0)',
        'trial.suggest_float("lr", "a", 1.0)',
        'trial.suggest_float("lr", 0.1)',
        'trial.suggest_categorical("lr", rates)',
        'trial.suggest_categorical("lr", [0.1, rate])',
    ],
)
def test_limits_that_the_program_computes_are_listed(line, tmp_path):
    job = of_objective(line, tmp_path)
    assert "tune" not in tomllib.loads(job.toml)
    kind = line.partition("(")[0].removeprefix("trial.")
    assert listed(job, f"{kind}.lr")[0] == "unknown"


OPTUNA = [
    ("n_trials=20", {"trials": 20}),
    ("direction='minimize'", {"trials": 100}),  # the old default
    ("sampler='Random'", {"sampler": "random"}),
    ("sampler='QMC'", {"sampler": "tpe"}),  # what the old search ran under an unknown name
    ("pruner='NopPruner'", {"scheduler": "none"}),
    ("pruner='Mine'", {"scheduler": "median"}),
    ("n_jobs=4", {"concurrency": 4}),
    ("storage='sqlite:///a.db'", {"storage_url": "sqlite:///a.db"}),
]


@pytest.mark.parametrize(("arguments", "wanted"), OPTUNA)
def test_the_options_of_optuna_become_ours(arguments, wanted, tmp_path):
    found = tune(of_objective('trial.suggest_float("lr", 0.1, 1.0)', tmp_path, arguments))
    assert wanted.items() <= found.items()


@pytest.mark.parametrize(
    ("argument", "field", "words"),
    [
        ("pruner='PercentilePruner'", "scheduler", "median is the 50th percentile"),
        ("n_jobs=-1", "concurrency", "all CPUs"),
        ("study_name='first'", "study", "the name of the job"),
        ("timeout=60", "timeout", "can be resumed"),
        ("load_if_exists=True", "resume", "only if that is asked for"),
        ("sampler_kwargs={'seed': 1}", "sampler_options", "tune.sampler_options"),
    ],
)
def test_an_option_of_optuna_without_a_counterpart_says_what_to_do(
    argument, field, words, tmp_path
):
    job = of_objective('trial.suggest_float("lr", 0.1, 1.0)', tmp_path, argument)
    state, text = listed(job, f"OptunaConfig.{argument.partition('=')[0]}")
    assert (state, words in text) == ("dropped", True), text
    assert field not in tune(job)
