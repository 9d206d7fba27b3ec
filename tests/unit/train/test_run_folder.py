"""The run folder: one run a name, one process at a time, nothing changed by a refusal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from qstore_ray.cli.app import main
from qstore_ray.config import fingerprint
from qstore_ray.errors import ConfigError, RunError, RunExistsError
from qstore_ray.testing.search_spaces import SPACE
from qstore_ray.track.jsonl import read_records
from qstore_ray.train.finish import take_all
from qstore_ray.train.run import run_folder
from qstore_ray.train.run.lock import lock_folder
from qstore_ray.train.run.run_folder import (
    LOCK,
    RunFolder,
    check_name,
    open_run_folder,
)
from qstore_ray.train.run.writing import read_run_record
from qstore_ray.tune.config import TuneConfig
from qstore_ray.tune.study.admission import check_study
from tests.unit.tune.test_space import JOB

RECIPE = {"model": {"n_qubits": 4}, "trainer": {"epochs": 3, "optimizer_options": {"beta1": 0.5}}}
MADE_OF = {"recipe": RECIPE, "data_fingerprint": "d" * 64}


def _open(storage: Path, name: str = "digits", **options) -> RunFolder:
    options = {**MADE_OF, "config_toml": "name = 'digits'\n", **options}
    return open_run_folder(storage, name, **options)


def _left(storage: Path, status: str = "interrupted", **options) -> Path:
    """A run that has been worked on and was given up with `status`."""
    folder = _open(storage, **options)
    folder.checkpoints.mkdir(exist_ok=True)
    (folder.checkpoints / "something").write_text("precious")
    folder.metrics.write_text("{}\n")
    folder.set_status(status)
    folder.close()
    return folder.path


def _content(path: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file() and file.name not in {".lock", ".room"}
    }


# ---------------------------------------------------------------------------------------- names


@pytest.mark.parametrize("name", ["digits", "a", "9", "digits-8q_v1.2", "x" * 100])
def test_names_of_folders_are_taken(name: str):
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".hidden", "-x", "_x", "a/b", "/etc", "../up", "a b", "ä", "a\n", "x" * 101,
     "a\\b", "a:b", "a\0b", "~"],
)  # fmt: skip
def test_anything_else_is_no_name(tmp_path: Path, name: str):
    with pytest.raises(ConfigError) as caught:
        _open(tmp_path, name)
    assert caught.value.field == "name"
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------ a new run


def test_a_new_run_has_its_configuration_and_record(tmp_path: Path):
    folder = _open(tmp_path / "deep" / "runs")
    assert folder.path == (tmp_path / "deep" / "runs" / "digits").resolve()
    assert (folder.path / "config.toml").read_text() == "name = 'digits'\n"
    record = json.loads((folder.path / "run.json").read_text())
    assert record == folder.record == read_run_record(folder.path)
    assert (record["name"], record["status"], record["generation"]) == ("digits", "running", 1)
    assert record["fingerprints"] == {"configuration": fingerprint(RECIPE), "data": "d" * 64}
    assert {"python", "numpy", "ray", "qstore-ray"} <= set(record["versions"])
    assert (folder.name, folder.generation) == ("digits", 1)
    folder.close()


def test_the_status_is_recorded_with_what_belongs_to_it(tmp_path: Path):
    folder = _open(tmp_path)
    folder.set_status("finished", metrics={"loss": 0.5})
    folder.close()
    record = read_run_record(folder.path)
    assert (record["status"], record["metrics"]) == ("finished", {"loss": 0.5})
    assert record["generation"] == 1


def test_there_is_nothing_to_resume_where_there_is_no_run(tmp_path: Path):
    with pytest.raises(RunExistsError, match="no run of this name"):
        _open(tmp_path, existing="resume")
    assert list(tmp_path.iterdir()) == []


def test_fresh_where_there_is_no_run_is_a_new_run(tmp_path: Path):
    folder = _open(tmp_path, existing="replace")
    assert folder.generation == 1
    folder.close()


# ------------------------------------------------------------------------------- the name again


@pytest.mark.parametrize("status", ["running", "failed", "interrupted"])
def test_an_unfinished_run_is_taken_up_only_when_asked(tmp_path: Path, status: str):
    path = _left(tmp_path, status)
    before = _content(path)
    with pytest.raises(RunExistsError, match="existing='resume'") as caught:
        _open(tmp_path)
    assert "existing='replace'" in caught.value.fix
    assert _content(path) == before
    folder = _open(tmp_path, existing="resume")
    assert folder.generation == 2
    assert (folder.checkpoints / "something").read_text() == "precious"
    assert folder.metrics.exists()
    assert read_run_record(path)["status"] == "running"
    folder.close()


def test_every_attempt_has_a_higher_generation(tmp_path: Path):
    _left(tmp_path)
    for generation in (2, 3, 4):
        folder = _open(tmp_path, existing="resume")
        assert folder.generation == generation
        folder.close()


@pytest.mark.parametrize("existing", ["error", "resume"])
def test_a_finished_run_is_never_taken_up(tmp_path: Path, existing: str):
    path = _left(tmp_path, "finished")
    before = _content(path)
    with pytest.raises(RunExistsError, match="has finished") as caught:
        _open(tmp_path, existing=existing)
    assert "More than its 3 trainer.epochs continue it, with existing='resume';" in caught.value.fix
    assert _content(path) == before


def test_more_epochs_may_be_refused_for_a_schedule_and_the_advice_says_so(tmp_path: Path):
    recipe = {**RECIPE, "trainer": {"epochs": 3, "schedule": "cosine"}}
    _left(tmp_path, "finished", recipe=recipe)
    with pytest.raises(RunExistsError) as caught:
        _open(tmp_path, recipe=recipe)
    assert "unless its schedule 'cosine' was laid out for its length" in caught.value.fix


@pytest.mark.parametrize("status", ["failed", "finished"])
def test_fresh_starts_again_with_nothing_of_the_old_run(tmp_path: Path, status: str):
    path = _left(tmp_path, status)
    folder = _open(tmp_path, existing="replace", data_fingerprint="e" * 64, config_toml="new = 1\n")
    assert folder.generation == 1
    assert set(_content(path)) == {"config.toml", "run.json"}
    assert (path / "config.toml").read_text() == "new = 1\n"
    assert read_run_record(path)["fingerprints"]["data"] == "e" * 64
    folder.close()


def test_a_run_of_other_data_is_not_resumed(tmp_path: Path):
    path = _left(tmp_path)
    before = _content(path)
    with pytest.raises(RunExistsError, match="other data") as caught:
        _open(tmp_path, existing="resume", data_fingerprint="e" * 64)
    assert caught.value.field == "dataset"
    assert _content(path) == before


@pytest.mark.parametrize(
    ("field", "then", "now", "recipe"),
    [
        ("model.n_qubits", 4, 5, {**RECIPE, "model": {"n_qubits": 5}}),
        ("model.n_qubits", 4, "nothing", {**RECIPE, "model": {}}),
        ("model.layers", None, 2, {**RECIPE, "model": {"n_qubits": 4, "layers": 2}}),
        (
            "trainer.optimizer_options.beta1",
            0.5,
            0.9,
            {**RECIPE, "trainer": {"epochs": 3, "optimizer_options": {"beta1": 0.9}}},
        ),
    ],
    ids=["changed", "left out", "added", "nested"],
)
def test_a_run_of_another_recipe_is_not_resumed(tmp_path: Path, field, then, now, recipe):
    path = _left(tmp_path)
    before = _content(path)
    with pytest.raises(RunExistsError, match="was started with") as caught:
        _open(tmp_path, existing="resume", recipe=recipe)
    assert (caught.value.field, caught.value.value) == (field, now)
    assert caught.value.message.endswith("without it" if then is None else f"with {then!r}")
    assert str(caught.value.value) in str(caught.value)
    assert _content(path) == before


def test_a_run_of_other_versions_is_resumed_and_says_so(tmp_path: Path, capsys):
    path = _left(tmp_path)
    path.joinpath("metrics.jsonl").unlink()
    record = json.loads((path / "run.json").read_text())
    record["versions"] |= {"numpy": "1.0", "python": "3.1.4"}
    (path / "run.json").write_text(json.dumps(record))
    _open(tmp_path, existing="resume").close()
    (warning,) = read_records(path / "metrics.jsonl")
    assert "started with python 3.1.4, numpy 1.0, and continues with" in warning["message"]
    assert f"numpy {np.__version__}" in warning["message"]
    assert capsys.readouterr().err == f"warning: {warning['message']}\n"
    _open(tmp_path, existing="resume").close()
    assert capsys.readouterr().err == "", "once"


# A process that is killed before it has written a run's record leaves these.
BEGUN = [[], [".lock"], [".lock", ".run.json.123.part"]]


@pytest.mark.parametrize("left", BEGUN, ids=str)
@pytest.mark.parametrize("existing", ["error", "replace"])
def test_a_run_that_had_hardly_begun_does_not_stand_in_its_own_way(tmp_path: Path, left, existing):
    (tmp_path / "digits").mkdir()
    for name in left:
        (tmp_path / "digits" / name).write_text("{")
    _open(tmp_path, existing=existing).close()
    assert set(_content(tmp_path / "digits")) == {"config.toml", "run.json"}


def test_what_killed_writers_have_left_is_swept(tmp_path: Path):
    path = _left(tmp_path)
    part = path / "checkpoints" / "step-00000001" / ".arrays.npz.77.part"
    part.parent.mkdir()
    part.touch()
    _open(tmp_path, existing="resume").close()
    assert not part.exists()
    assert (path / "checkpoints" / "something").exists()


def test_a_record_that_cannot_be_written_is_our_error(tmp_path: Path):
    folder = _open(tmp_path)
    (folder.path / "run.json").unlink()
    (folder.path / "run.json").mkdir()
    with pytest.raises(RunError, match="cannot write into the run folder") as caught:
        folder.set_status("finished")
    folder.close()
    assert caught.value.field == "storage"
    assert caught.value.fix == "Check the disk, or give another folder."


@pytest.mark.parametrize("place", ["F", "F/deeper"])
def test_a_file_in_the_place_of_the_storage_is_a_wrong_configuration(place, tmp_path: Path):
    (tmp_path / "F").write_text("")
    with pytest.raises(ConfigError, match="a folder is needed") as caught:
        _open(tmp_path / place)
    assert (caught.value.field, caught.value.value) == ("storage", str(tmp_path / "F"))
    assert caught.value.fix == "Give a folder as storage."


def test_a_left_over_wish_to_stop_does_not_stop_the_next_attempt(tmp_path: Path):
    path = _left(tmp_path)
    (path / "stop").touch()
    folder = _open(tmp_path, existing="resume")
    assert not (path / "stop").exists()
    folder.close()


# ------------------------------------------------------------------------------- one at a time

HOLD = """
import json
import sys
from pathlib import Path
from qstore_ray.train.run.run_folder import open_run_folder

folder = open_run_folder(
    sys.argv[1], "digits", recipe=json.loads(sys.argv[2]), data_fingerprint="d" * 64,
    config_toml="",
)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("options", [{}, {"existing": "resume"}, {"existing": "replace"}], ids=str)
def test_a_run_that_another_process_runs_is_left_alone(tmp_path: Path, options, repository):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path), json.dumps(RECIPE)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(repository)},
    ) as holder:
        assert holder.stdout.readline() == b"held\n"
        (tmp_path / "digits" / "metrics.jsonl").write_text("{}\n")
        before = _content(tmp_path / "digits")
        with pytest.raises(RunExistsError) as caught:
            _open(tmp_path, **options)
        assert f"another process, {holder.pid} on " in caught.value.message
        assert caught.value.locked
        assert _content(tmp_path / "digits") == before
        holder.kill()
    # The lock dies with its holder, however that ends.
    folder = _open(tmp_path, existing="resume")
    assert folder.generation == 2
    folder.close()


def test_closing_gives_the_run_up(tmp_path: Path):
    folder = _open(tmp_path)
    with pytest.raises(RunExistsError, match=r"this process itself, since .* has this run open"):
        _open(tmp_path, existing="resume")
    folder.close()
    _open(tmp_path, existing="resume").close()


# ----------------------------------------------------------------------------------- no run here


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"name": "digits"}'])
def test_a_damaged_record_is_no_run(tmp_path: Path, content: str):
    path = _left(tmp_path)
    (path / "run.json").write_text(content)
    with pytest.raises(RunError, match="no run folder"):
        read_run_record(path)
    with pytest.raises(RunError, match="no run folder"):
        _open(tmp_path, existing="resume")


def test_a_folder_without_record_is_no_run(tmp_path: Path):
    with pytest.raises(RunError, match="no run folder"):
        read_run_record(tmp_path)


def test_storage_that_cannot_be_written_to_is_our_error(tmp_path: Path):
    (tmp_path / "runs" / "digits" / LOCK).mkdir(parents=True)
    with pytest.raises(RunError, match="cannot write into the run folder"):
        _open(tmp_path / "runs")


# ------------------------------------------------------------------- the steps at the end of a run


def test_every_last_step_is_taken_and_the_first_error_is_the_one_that_is_raised():
    taken = []

    def fails(name: str) -> None:
        taken.append(name)
        raise RunError(f"{name} failed")

    error = RunError("training failed")
    last = (lambda: fails("metrics"), lambda: taken.append("follower"), lambda: fails("record"))
    take_all(last, error)
    assert taken == ["metrics", "follower", "record"]
    assert error.__notes__ == ["And then: metrics failed.", "And then: record failed."]


def test_an_error_in_a_last_step_alone_is_raised_after_the_other_steps():
    taken = []

    def fails(name: str) -> None:
        raise RunError(f"{name} failed")

    last = (lambda: fails("metrics"), lambda: fails("record"), lambda: taken.append(1))
    with pytest.raises(RunError, match="metrics failed") as caught:
        take_all(last, None)
    assert taken == [1]
    assert caught.value.__notes__ == ["And then: record failed."]


def test_a_step_that_fails_by_a_fault_of_the_program_does_not_keep_the_others_from_being_taken():
    taken = []
    with pytest.raises(ZeroDivisionError):
        take_all((lambda: 1 / 0, lambda: taken.append(1)), None)
    assert taken == [1]


# ------------------------------------------------------------- checked once more under the lock


def _meanwhile(monkeypatch, happens) -> None:
    """Let another driver do something between the check of a run and its lock."""

    def locked(path):
        monkeypatch.undo()
        happens(path)
        return lock_folder(path)

    monkeypatch.setattr(run_folder, "lock_folder", locked)


def test_a_run_that_another_driver_began_a_moment_ago_is_not_overwritten(tmp_path, monkeypatch):
    _meanwhile(monkeypatch, lambda _: _left(tmp_path))
    with pytest.raises(RunExistsError, match="exists"):
        _open(tmp_path)
    assert read_run_record(tmp_path / "digits")["generation"] == 1


def test_a_run_that_another_driver_finished_a_moment_ago_is_not_resumed(tmp_path, monkeypatch):
    path = _left(tmp_path)

    def finishes(_):
        record = json.loads((path / "run.json").read_bytes())
        (path / "run.json").write_text(json.dumps(record | {"status": "finished"}))

    _meanwhile(monkeypatch, finishes)
    with pytest.raises(RunExistsError, match="has finished"):
        _open(tmp_path, existing="resume")
    record = read_run_record(path)
    assert (record["generation"], record["status"]) == (1, "finished")


@pytest.mark.parametrize(
    ("storage", "fix"),
    [
        ("hdfs://host/runs", "s3://bucket/prefix"),
        ("hdfs:/runs", "two slashes"),
        ("s3://bucket/../runs", "another name"),
        ("~nobody-of-this-name/runs", "whole path"),
    ],
)
def test_an_address_is_no_folder_of_runs(tmp_path, monkeypatch, storage, fix):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        _open(storage)
    assert caught.value.field == "storage"
    assert fix in caught.value.fix
    with pytest.raises(ConfigError, match="storage: "):
        check_study(storage, "s", TuneConfig(space=SPACE), job=JOB)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [["runs"], ["tune", "show", "s"], ["ui"], ["evaluate", "s"]])
def test_the_home_of_an_unknown_user_is_empty(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    assert main([*command, "--storage", "~nobody-of-this-name/runs"]) in (0, 2)
    assert capsys.readouterr().err
