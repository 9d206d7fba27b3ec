"""What a search refuses before it starts anything, and what its faults look like from outside."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import ray

from qstore_ray.cli.app import main
from qstore_ray.config import dump_toml
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import ConfigError, QStoreError, UsageError
from qstore_ray.job import JobConfig
from qstore_ray.tune.driver.checks import checked_search
from qstore_ray.tune.space.space import Space
from qstore_ray.tune.tuner import Tuner
from tests.small_search import RATE, SPACE, TABLE, config_of, job_of, study_of

LAYERS = {"model.layers": {"type": "int", "low": 1, "high": 9}}


@pytest.fixture(scope="module")
def data():
    return DatasetLoader.load(job_of(Path("runs")).dataset)


@pytest.fixture(autouse=True)
def no_ray():
    """All of this is found without Ray."""
    assert not ray.is_initialized()
    yield
    assert not ray.is_initialized()


# ---------------------------------------------------------------------------------------- options


def test_a_space_with_options_is_a_whole_search():
    job = job_of(Path("runs"))
    expected = config_of(trials=7, sampler="tpe")
    for space in (SPACE, Space.from_dict(SPACE), config_of(trials=9, sampler="tpe")):
        assert Tuner(job, space, trials=7).config == expected


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"trails": 7}, "trails"),
        ({"trials": 0}, "trials"),
        ({"sampler": "tpee"}, "sampler"),
        ({"scheduler": "asah"}, "scheduler"),
        ({"scheduler_options": {"grace": 1}, "scheduler": "asha"}, "scheduler_options.grace"),
        ({"objectives": [{"metric": "a_metric"}]}, "objectives.0.mode"),
        ({"objectives": []}, "objectives"),
        ({"folds": 1}, "folds"),
        ({"resources": {"CPU": 1.0}}, "resources.CPU"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_option_is_named(options, field):
    with pytest.raises(ConfigError) as caught:
        Tuner(job_of(Path("runs")), SPACE, **options)
    assert caught.value.field.removeprefix("tune.") == field
    assert caught.value.fix


# --------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("options", "field", "words"),
    [
        ({"objectives": [{"metric": "val_f2", "mode": "max"}]}, "tune.objectives.0.metric", "val_"),
        ({"objectives": [{"metric": "test_accuracy"}]}, "tune.objectives.0.metric", "test rows"),
        ({"space": {"model.layerz": LAYERS["model.layers"]}}, "model.layerz", "model.layers"),
        ({"space": {**SPACE, "trainer.seed": {"type": "int", "low": 0, "high": 9}}, "seeds": 2},
         "tune.space.trainer.seed", "tune.seeds"),
        ({"space": {"dataset.split.train": {"type": "fixed", "value": 0.6}}, "folds": 3},
         "tune.space.dataset.split.train", "tune.folds"),
        ({"space": {"trainer.num_workers": {"type": "int", "low": 0, "high": 2}}},
         "tune.space.trainer.num_workers", "workers_per_trial"),
        ({"scheduler": "hyperband", "folds": 2}, "tune.scheduler", "asha or median"),
        ({"scheduler": "asha", "scheduler_options": {"grace_period": 3}},
         "tune.scheduler_options.grace_period", "Take less than 3"),
        ({"scheduler": "asha", "objectives": [{"metric": "val_loss"}, {"metric": "val_accuracy"}]},
         "tune.scheduler", "one objective"),
        ({"scheduler": "pbt", "space": LAYERS, "scheduler_options": {"interval": 1}},
         "tune.scheduler", "learning_rate"),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_is_refused_before_anything_is_written(
    options, field, words, data, tmp_path
):
    job = job_of(tmp_path)
    with pytest.raises(ConfigError) as caught:
        checked_search(job, config_of(**options), data)
    assert field in caught.value.field
    assert words in f"{caught.value.message} {caught.value.fix}"
    with pytest.raises(ConfigError):
        Tuner(job, config_of(**options), data).fit()
    assert list(tmp_path.iterdir()) == []


def test_without_rows_to_judge_by_there_is_no_search(tmp_path):
    split = {"train": 0.8, "test": 0.2}
    tables = {**TABLE, "storage": str(tmp_path), "dataset": {**TABLE["dataset"], "split": split}}
    job = JobConfig.from_dict(tables)
    dataset = DatasetLoader.load(job.dataset)
    with pytest.raises(ConfigError) as caught:
        checked_search(job, config_of(), dataset)
    assert "tune.folds" in caught.value.fix
    loss = {"objectives": [{"metric": "train_loss"}], "refit": True}
    with pytest.raises(ConfigError) as caught:
        checked_search(job, config_of(**loss), dataset)
    assert (caught.value.field, caught.value.value) == ("tune.refit", True)


# ----------------------------------------------------------------------------------------- faults


@pytest.fixture
def tune(tmp_path, capsys):
    """Runs `qstore tune` on a job with this search; its exit code, and the error as a table."""

    def run(search: dict[str, Any], *words: str) -> tuple[int, dict[str, Any]]:
        search = {"space": SPACE, "trials": 3, "sampler": "random", **search}
        tables = {**TABLE, "storage": str(tmp_path / "runs"), "tune": search}
        toml = tmp_path / "job.toml"
        toml.write_text(dump_toml(tables), encoding="utf-8")
        code = main(["tune", str(toml), "--json", "--quiet", *words])
        return code, json.loads(capsys.readouterr().out.splitlines()[-1])

    return run


@pytest.mark.parametrize(
    ("search", "field", "words"),
    [
        ({"space": {}}, "tune.space", ""),
        ({"space": {"trainer.lerning_rate": SPACE[RATE]}}, "lerning_rate", "learning_rate"),
        ({"space": {RATE: {"type": "flaot", "low": 0, "high": 1}}}, RATE, "float"),
        ({"space": LAYERS, "sampler": "grid", "trials": 4}, "trials", "9"),
        ({"trails": 4}, "tune.trails", "trials"),
        ({"points": [{RATE: 7.0}]}, "points.0", "0.5"),
        ({"storage_url": "sqlite//x"}, "storage_url", "sqlite:///"),
        ({"cpus_per_trial": 4096.0}, "cpus_per_trial", "Take"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_job_exits_with_2_and_says_what_to_type(tune, search, field, words, tmp_path):
    code, error = tune(search)
    assert code == 2
    assert field in error["field"]
    assert words in f"{error['message']} {error['fix']}"
    assert not (tmp_path / "runs").exists()


def _begun(tmp_path: Path, data: Any, **options: Any) -> None:
    """A study with one trial of three."""
    config = config_of(**options)
    with study_of(job_of(tmp_path / "runs"), config, data) as study:
        study.tell(study.ask().number, [0.5])


def test_a_damaged_journal_is_said_by_its_line(tune, tmp_path, data):
    _begun(tmp_path, data)
    journal = tmp_path / "runs" / "s" / "study.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:3], b"\x00\x00 no record\n", *lines[3:]]))
    code, error = tune({}, "--resume")
    assert (code, error["error"]) == (1, "StudyError")
    assert "line 4 is no record" in error["message"]
    assert "study.jo" in error["value"]  # messages shorten long paths
    assert "copy" in error["fix"]


def test_a_database_that_is_locked_is_said(tune, tmp_path, data):
    url = f"sqlite:///{tmp_path / 'studies.db'}?timeout=0.1"
    _begun(tmp_path, data, storage_url=url)
    with sqlite3.connect(tmp_path / "studies.db") as other:
        other.execute("begin exclusive")
        code, error = tune({"storage_url": url}, "--resume")
    assert (code, error["error"]) == (1, "StudyError")
    assert "locked by another process" in error["message"]
    assert "--resume" in error["fix"]


def test_a_study_is_not_overwritten_and_one_that_is_not_there_not_resumed(tune, tmp_path, data):
    code, error = tune({}, "--resume")
    assert (code, error["error"]) == (2, "RunExistsError")
    assert "Leave out --resume" in error["fix"]
    _begun(tmp_path, data)
    code, error = tune({})
    assert (code, error["error"]) == (2, "RunExistsError")
    assert "--resume" in error["fix"]


def test_a_search_that_has_tried_every_point_ends_and_says_so(tmp_path, data, capsys):
    job, config = job_of(tmp_path), config_of(space=LAYERS, trials=9, sampler="tpe")
    with study_of(job, config, data) as study:
        while trial := study.ask():
            study.tell(trial.number, [1.0 / trial.values["model.layers"]])
    result = Tuner(job, config, data, trials=20).fit(existing="resume")
    assert (len(result.trials), result.best_trials()[0].parameters) == (9, {"model.layers": 9})
    assert "every point of the space was tried; 11 trials fewer" in capsys.readouterr().err


def test_an_unknown_value_of_existing_is_refused(tmp_path, data):
    with pytest.raises(UsageError, match="of the same name"):
        Tuner(job_of(tmp_path), config_of(), data).fit(existing="fresh")
    assert list(tmp_path.iterdir()) == []


def test_every_error_of_a_search_is_one_of_ours():
    with pytest.raises(QStoreError):
        Tuner(job_of(Path("runs")), {"nothing": 1})
