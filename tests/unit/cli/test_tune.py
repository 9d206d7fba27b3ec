"""`qstore tune`: both forms of the command, and what it says of studies in every state."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

import pytest

from qstore_ray.cli.app import main
from qstore_ray.cli.tune import tune
from qstore_ray.errors import InterruptedRunError
from qstore_ray.figures.study.draw import FIGURES
from qstore_ray.job import JobConfig
from qstore_ray.testing.search_spaces import SPACE
from qstore_ray.tune.objective import Objective
from qstore_ray.tune.report.html import render
from qstore_ray.tune.study.result import read_result
from qstore_ray.tune.study.trial_result import TrialFailure
from tests.studies import opened
from tests.unit.tune.test_space import JOB

FEW = {name: SPACE[name] for name in ("trainer.learning_rate", "trainer.optimizer")}
GOALS = [Objective(metric="val_accuracy"), Objective(metric="circuit_evaluations", mode="min")]
OUTCOMES = [[0.5], TrialFailure("out of \x1b[2J memory"), [0.9], [0.4], [0.8]]


def _search(storage: Path, name: str, outcomes, goals: int = 1, **options) -> None:
    search = {"space": FEW, "trials": len(outcomes) + 1, "sampler": "random", **options}
    with opened(storage, name, objectives=GOALS[:goals], **search) as study:
        for outcome in outcomes:
            study.tell(study.ask().number, outcome)


@pytest.fixture(scope="module")
def storage(tmp_path_factory) -> Path:
    """A study with a best trial, one with a front, one that failed; nobody may change them."""
    folder = tmp_path_factory.mktemp("runs")
    _search(folder, "one", OUTCOMES)
    _search(folder, "two", [[0.5, 1.0], [0.9, 5.0], [0.4, 3.0]], 2)
    _search(folder, "failed", [TrialFailure("diverged"), TrialFailure("diverged")])
    return folder


def _json(capsys) -> dict:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


# ------------------------------------------------------------------------- show, best, plot


def test_show_tells_the_best_the_failures_and_every_trial(storage, capsys):
    assert main(["tune", "show", "one", "--storage", str(storage)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "\x1b" not in out
    facts, rows = out.split("\n\n")
    assert "4 completed, 1 failed" in facts
    assert "val_accuracy 0.9 in trial 2" in facts
    assert "1 × out of �[2J memory (trials 1)" in facts
    assert [row.split()[:3] for row in rows.splitlines()] == [
        ["trial", "status", "val_accuracy"],
        ["0", "completed", "0.5"],
        ["1", "failed", "-"],
        ["2", "completed*", "0.9"],
        ["3", "completed", "0.4"],
        ["4", "completed", "0.8"],
    ]


def test_an_interrupted_trial_is_shown_as_repeated(tmp_path, capsys):
    search = {"objectives": GOALS[:1], "space": FEW, "trials": 2, "sampler": "random"}
    with opened(tmp_path, "s", **search) as study:
        study.tell(study.ask().number, [0.5])
        study.ask()
    with opened(tmp_path, "s", existing="resume", **search) as study:
        study.tell(study.ask().number, [0.7])
    assert main(["tune", "show", "s", "--storage", str(tmp_path)]) == 0
    facts, rows = capsys.readouterr().out.split("\n\n")
    assert "2 completed, 1 interrupted and repeated" in facts
    assert "interrupted, repeated by 2" in rows.splitlines()[2]
    result = read_result(tmp_path, "s")
    assert result.repeated_by == {1: 2}
    assert "repeated by trial 2" in render(result)


def test_a_job_file_where_a_study_belongs_says_that_it_is_searched_first(repository, capsys):
    assert main(["tune", "show", str(repository / "jobs" / "digits_tune.toml"), "--json"]) == 2
    error = json.loads(capsys.readouterr().out)
    assert error["message"] == "this is a job file, not a study"
    assert "qstore tune JOB.toml" in error["fix"]


@pytest.mark.parametrize("words", [["train"], ["tune"]])
def test_a_file_in_the_place_of_the_storage_exits_with_2(words, tmp_path, repository, capsys):
    (tmp_path / "F").write_text("")
    job = str(repository / "jobs" / ("digits.toml" if words == ["train"] else "digits_tune.toml"))
    tiny = ["--set", "tune.trials=1"] if words == ["tune"] else ["--workers", "0"]
    assert main([*words, job, *tiny, "--storage", str(tmp_path / "F"), "--json"]) == 2
    error = json.loads(capsys.readouterr().out)
    assert error["fix"] == "Give a folder as storage."


def test_show_as_json_is_the_result(storage, capsys):
    assert main(["tune", "show", str(storage / "two"), "--json"]) == 0
    found = _json(capsys)
    expected = json.loads(json.dumps(read_result(storage, "two").to_dict()))
    assert found == {"folder": str(storage / "two"), **expected}
    assert found["best"] == [0, 1]


def test_a_front_is_shown_trial_by_trial(storage, capsys):
    assert main(["tune", "show", "two", "--storage", str(storage)]) == 0
    out = capsys.readouterr().out
    assert "trial 0: val_accuracy 0.5, circuit_evaluations 1" in out
    assert "trial 1: val_accuracy 0.9, circuit_evaluations 5" in out


def test_the_best_job_can_be_trained(storage, tmp_path, capsys):
    words = ["tune", "best", "one", "--storage", str(storage)]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert JobConfig.from_dict(tomllib.loads(printed)).name == "one-0002"
    file = tmp_path / "best.toml"
    assert main([*words, "--trial", "0", "-o", str(file), "--json"]) == 0
    found = _json(capsys)
    assert (found["trial"], found["file"]) == (0, str(file))
    assert (
        file.read_text(encoding="utf-8")
        == found["toml"]
        == read_result(storage, "one").best_toml(0)
    )
    assert found["objectives"] == {"val_accuracy": 0.5}


def test_plot_writes_the_pictures_and_the_report(storage, tmp_path, capsys):
    folder = Path(shutil.copytree(storage / "one", tmp_path / "one"))
    assert main(["tune", "plot", str(folder), "--kind", "history", "--format", "svg"]) == 0
    out, err = capsys.readouterr()
    assert out.split() == [str(folder / "figures" / "history.svg"), str(folder / "report.html")]
    assert err == ""
    assert main(["tune", "plot", str(folder), "--json"]) == 0
    out, err = capsys.readouterr()
    kinds = ["history", "importance", "slices", "parallel"]  # no front, and no epoch was reported
    files = [str(folder / "figures" / f"{kind}.png") for kind in kinds]
    assert json.loads(out)["files"] == [*files, str(folder / "report.html")]
    assert all(Path(file).exists() for file in files)
    assert "no picture of kind epochs" in err
    assert "front" not in err


def test_the_kinds_of_pictures_are_those_that_can_be_drawn():
    """The command names them itself, so that its help needs no NumPy."""
    assert tuple(FIGURES) == tune.KINDS


def test_a_study_in_a_database_is_found_by_its_folder_or_by_its_url(tmp_path, capsys):
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    _search(tmp_path / "runs", "far", [[0.5]], storage_url=url)
    words = ["tune", "show", "far", "--storage", str(tmp_path / "runs")]
    for typed in (
        words,
        ["tune", "show", str(tmp_path / "runs" / "far")],
        [*words, "--storage-url", url],
    ):
        assert main([*typed, "--json"]) == 0
        assert _json(capsys)["best"] == [0]
    assert main(["tune", "show", "fra", "--storage", str(tmp_path / "runs")]) == 2
    assert "Did you mean 'far'" in capsys.readouterr().err


def test_to_show_a_study_makes_no_database(tmp_path, capsys):
    absent = f"sqlite:///{tmp_path / 'absent.db'}"
    assert main(["tune", "show", "far", "--storage", str(tmp_path), "--storage-url", absent]) == 1
    assert "no study of this name" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "words", "said"),
    [
        (2, ["show", "onne"], "Did you mean 'one'"),
        (2, ["show", "no/such/study"], "no study in this folder"),
        (2, ["plot", "one", "--kind", "histori"], "Did you mean 'history'"),
        (2, ["plot", "one", "--format", "pdf"], "png"),
        (2, ["plot", "one", "--kind", "front"], "two objectives"),
        (2, ["best", "one", "-o", "/no/such/x"], "--output"),
        (1, ["best", "one", "--trial", "77"], "no such trial"),
        (1, ["best", "failed"], "2 × diverged"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_said(code, words, said, storage, capsys):
    assert main(["tune", *words, "--storage", str(storage)]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err


def test_the_list_of_runs_names_the_studies_and_calls_none_damaged(storage, capsys):
    assert main(["runs", "--storage", str(storage)]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "Studies, for `qstore tune show NAME`: failed, one, two.\n"
    assert main(["runs", "list", "--storage", str(storage), "--json"]) == 0
    found = _json(capsys)
    assert (found["runs"], found["studies"]) == ([], ["failed", "one", "two"])


def test_a_storage_without_studies_is_said(tmp_path, capsys):
    assert main(["tune", "show", "one", "--storage", str(tmp_path), "--json"]) == 2
    assert "no studies" in _json(capsys)["message"]


# ------------------------------------------------------------------------------ the search itself


@pytest.fixture
def searched(monkeypatch, storage) -> list[tuple[JobConfig, dict]]:
    """What the search was asked for; it answers with a study that is there."""
    asked: list[tuple[JobConfig, dict]] = []

    def run_search(config, **options):
        asked.append((config, options))
        if config.name == "stopped":
            raise InterruptedRunError("stopped on request", fix="--resume goes on.")
        return read_result(storage, "two" if config.name == "two" else "one")

    monkeypatch.setattr("qstore_ray.job.run_search", run_search)
    return asked


@pytest.fixture
def job(tmp_path) -> str:
    """A job file with a search."""
    file = tmp_path / "search.toml"
    table = JobConfig.from_dict({**JOB.to_dict(), "tune": {"space": FEW}})
    file.write_text(table.to_toml(), encoding="utf-8")
    return str(file)


FORMS = ["{job} --trials 9", "--trials 9 {job}", "run {job} --trials=9"]


@pytest.mark.parametrize("form", FORMS)
def test_a_job_file_is_searched_whatever_stands_first(form, job, searched, capsys):
    words = form.format(job=job).split()
    assert main(["tune", *words, "--quiet", "--seed", "3", "--concurrency", "2"]) == 0
    ((config, options),) = searched
    assert (config.tune.trials, config.tune.seed, config.tune.concurrency) == (9, 3, 2)
    assert options == {"existing": "error", "display": None}
    assert "val_accuracy 0.9 in trial 2" in capsys.readouterr().out


def test_the_other_options_reach_the_search(job, searched, tmp_path, capsys):
    words = [job, "--name", "77", "--storage", str(tmp_path), "--set", "tune.sampler=random"]
    assert main(["tune", *words, "--resume", "--json"]) == 0
    ((config, options),) = searched
    assert (config.name, config.storage, config.tune.sampler) == ("77", str(tmp_path), "random")
    assert options["existing"] == "resume"
    assert options["display"] is not None
    found = _json(capsys)
    assert found["folder"] == str(tmp_path / "77")
    assert found["status"] == "finished"


def test_a_search_ends_with_what_was_found_and_where_it_is(job, searched, storage, capsys):
    assert main(["tune", job, "--name", "one", "--storage", str(storage), "--json", "--quiet"]) == 0
    found = _json(capsys)
    assert found["trials"] == {"completed": 4, "failed": 1}
    assert found["objectives"] == {"val_accuracy": "maximize"}
    best = read_result(storage, "one").best_trials()[0]
    values = {"val_accuracy": 0.9}
    assert found["best"] == {"trial": 2, "values": values, "parameters": best.parameters}
    assert found["failures"] == read_result(storage, "one").failures()
    assert found["best_config"] is found["report"] is None, "nothing was written here"
    assert "refit" not in found


def test_several_objectives_end_with_the_front(job, searched, storage, capsys):
    words = [job, "--name", "two", "--storage", str(storage), "--json", "--quiet"]
    assert main(["tune", *words]) == 0
    found = _json(capsys)
    assert "best" not in found
    assert [trial["trial"] for trial in found["front"]] == [0, 1]
    assert found["front"][1]["values"] == {"val_accuracy": 0.9, "circuit_evaluations": 5.0}


def test_a_final_training_ends_with_its_test_score(job, searched, storage, tmp_path, capsys):
    folder = Path(shutil.copytree(storage / "one", tmp_path / "one"))
    read_result(tmp_path, "one").write(folder)
    (folder / "refit").mkdir()
    scores = {"test_accuracy": 0.9583, "test_loss": 0.125}
    record = {"generation": 1, "status": "finished", "started": "", "metrics": scores}
    record |= {"fingerprints": {}, "versions": {}}
    (folder / "refit" / "run.json").write_text(json.dumps(record), encoding="utf-8")
    words = ["tune", job, "--name", "one", "--storage", str(tmp_path), "--set", "tune.refit=true"]
    assert main([*words, "--quiet", "--json"]) == 0
    found = _json(capsys)
    assert found["refit"] == {"run_dir": str(folder / "refit"), **scores}
    assert found["best_config"] == str(folder / "best.toml")
    assert main([*words, "--quiet"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "test accuracy 0.9583, test loss 0.1250; trained on train and val" in out
    assert f"qstore evaluate {folder / 'refit'}" in out
    assert f"qstore ui {folder}" in out


def test_without_a_final_training_the_next_is_to_train_the_best(job, searched, storage, capsys):
    url = "postgresql://me:secret@host/studies"
    words = [job, "--name", "one", "--storage", str(storage), "--set", f"tune.storage_url={url}"]
    assert main(["tune", *words, "--quiet"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert f"qstore train {storage / 'one' / 'best.toml'}" in out
    assert f"qstore tune show {storage / 'one'} qstore ui" in out, "the folder knows its database"
    assert "***" not in out
    assert "secret" not in out


def test_a_search_that_was_stopped_exits_with_5(job, searched, capsys):
    assert main(["tune", job, "--name", "stopped", "--json"]) == 5
    assert _json(capsys)["error"] == "InterruptedRunError"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{job}", "--resume", "--fresh"], "exclude each other"),
        (["absent.toml"], "No such file"),
        (["best.toml"], "No such file"),
        (["shwo", "one"], "Did you mean 'show'"),
        (["{job}", "--trials", "0"], "tune.trials"),
        (["jobs/digits.toml", "--trials", "3"], "no [tune] table"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_searched_exits_with_2(words, said, job, searched, capsys, repository):
    typed = [word.format(job=job).replace("jobs/", f"{repository}/jobs/") for word in words]
    assert main(["tune", *typed]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert searched == []


def test_the_help_shows_both_forms(capsys):
    assert main(["tune", "--help"]) == 0
    out = capsys.readouterr().out
    assert "qstore tune JOB.toml [OPTIONS]" in out
    assert "qstore tune COMMAND NAME [OPTIONS]" in out
    for word in ("--trials", "--resume", "show", "best", "plot"):
        assert f"\n  {word} " in out
    assert "\n  run " not in out
