"""`qstore runs`, `evaluate` and `predict` on a run really trained, and on damaged copies."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from qstore_ray import (
    DatasetConfig,
    DatasetLoader,
    ModelConfig,
    QuantumTrainer,
    TrackConfig,
    TrainedModel,
    TrainerConfig,
)
from qstore_ray.cli.app import main
from qstore_ray.train.run.summary import summarize

FLOWERS = DatasetConfig(name="iris", params={"dataset": "iris"}, preprocessing=[{"name": "minmax"}])


def _fit(storage: Path, dataset, **model) -> Path:
    trainer = QuantumTrainer(
        ModelConfig(layers=1, **model),
        TrainerConfig(epochs=2),
        name="trained",
        storage=storage,
        track=TrackConfig(mlflow=False, figures=False),
    )
    return trainer.fit(dataset).run_dir


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A finished run on iris; nobody may change it."""
    return _fit(tmp_path_factory.mktemp("runs"), DatasetLoader.load(FLOWERS))


@pytest.fixture(scope="module")
def regression(tmp_path_factory) -> Path:
    """A finished run of a regression, on arrays that were in memory."""
    x = np.random.default_rng(0).normal(size=(40, 2))
    dataset = DatasetLoader.from_arrays(x, x[:, 0], task="regression", stratify=False)
    return _fit(tmp_path_factory.mktemp("runs"), dataset, n_qubits=2)


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be damaged."""
    return Path(shutil.copytree(trained, tmp_path / "runs" / "iris"))


def _json(capsys) -> dict:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


# what happens to the folder of a run → the status that is then listed
def _nothing(run: Path) -> None:
    pass


def _cut_record(run: Path) -> None:
    (run / "run.json").write_text('{"generation": 1, "na', encoding="utf-8")


def _no_record(run: Path) -> None:
    (run / "run.json").unlink()


def _record_of_something_else(run: Path) -> None:
    (run / "run.json").write_text("[1, 2]", encoding="utf-8")


def _wrong_type_in_record(run: Path) -> None:
    text = (run / "run.json").read_text(encoding="utf-8")
    (run / "run.json").write_text(
        text.replace('"generation": 1', '"generation": NaN'), encoding="utf-8"
    )


def _broken_line(run: Path) -> None:
    with (run / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write("{...\n")


def _epoch_without_number(run: Path) -> None:
    with (run / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"event": "epoch"}\n')


def _unfinished_line(run: Path) -> None:
    with (run / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"event": "ep')


def _driver_was_killed(run: Path) -> None:
    text = (run / "run.json").read_text(encoding="utf-8")
    (run / "run.json").write_text(text.replace('"finished"', '"running"'), encoding="utf-8")


STATUS_AFTER = {
    _nothing: "finished",
    _unfinished_line: "finished",
    _driver_was_killed: "killed",
    _cut_record: "damaged",
    _no_record: "damaged",
    _record_of_something_else: "damaged",
    _wrong_type_in_record: "damaged",
    _broken_line: "damaged",
    _epoch_without_number: "damaged",
}


@pytest.mark.parametrize("happens", STATUS_AFTER, ids=lambda f: f.__name__.strip("_"))
def test_a_run_is_listed_and_shown_whatever_happened_to_it(happens, copied, capsys):
    happens(copied)
    status = STATUS_AFTER[happens]
    storage = str(copied.parent)
    (copied.parent / "mlflow-artifacts").mkdir()
    (copied.parent / "note.txt").touch()

    assert main(["runs", "--storage", storage]) == 0
    out, err = capsys.readouterr()
    header, row = out.splitlines()
    assert header.split()[:3] == ["name", "status", "epochs"]
    assert row.split()[:2] == ["iris", status]
    assert ("iris: " in err) == (status == "damaged")

    assert main(["runs", "list", "--storage", storage, "--json"]) == 0
    (listed,) = _json(capsys)["runs"]
    assert (listed["name"], listed["status"]) == ("iris", status)
    assert bool(listed["problem"]) == (status == "damaged")

    assert main(["runs", "show", "iris", "--storage", storage]) == 0
    assert status in capsys.readouterr().out
    assert main(["runs", "show", str(copied), "--json"]) == 0
    shown = _json(capsys)
    assert shown["status"] == status
    assert [c["problem"] for c in shown["checkpoints"]] == [None, None]


def test_a_run_that_is_going_on_is_running(copied):
    import fcntl

    _driver_was_killed(copied)
    with (copied / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert summarize(copied).status == "running"
    assert summarize(copied).status == "killed"


def test_what_a_run_says_is_what_it_recorded(trained, capsys):
    record = json.loads((trained / "run.json").read_text(encoding="utf-8"))
    assert main(["runs", "show", str(trained), "--json"]) == 0
    shown = _json(capsys)
    assert (shown["epochs"], shown["epochs_planned"], shown["attempts"]) == (2, 2, 1)
    assert shown["fingerprints"] == record["fingerprints"]
    assert shown["versions"] == record["versions"]
    assert shown["metrics"]["test_accuracy"] == record["metrics"]["test_accuracy"]
    assert [c["epoch"] for c in shown["checkpoints"]] == [2, 1]

    assert main(["runs", "show", str(trained)]) == 0
    out = capsys.readouterr().out
    for value in (*record["fingerprints"].values(), *record["versions"].values(), trained):
        assert str(value) in out


def test_a_damaged_checkpoint_is_shown_and_the_one_before_it_used(copied, capsys):
    newest = copied / "checkpoints" / "step-00000004" / "arrays.npz"
    newest.write_bytes(newest.read_bytes()[:-1])
    assert main(["runs", "show", str(copied)]) == 0
    assert "damaged: the checkpoint is damaged: its hash" in capsys.readouterr().out
    assert main(["evaluate", str(copied)]) == 0
    assert "warning: passed over a checkpoint" in capsys.readouterr().err


def test_a_folder_without_runs_has_none(tmp_path, capsys):
    assert main(["runs", "--storage", str(tmp_path / "nowhere"), "--json"]) == 0
    assert _json(capsys)["runs"] == []
    assert main(["runs", "--storage", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "no runs" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["runs", "show", "trainde", "--storage", "{storage}"], "Did you mean 'trained'"),
        (["runs", "show", "a/b"], "run folder"),
        (["runs", "show", "x", "--storage", "{storage}/trained/config.toml"], "folder"),
        (["runs", "--storage", "{storage}", "list"], "qstore runs list --storage"),
        (["evaluate", "trained", "--storage", "{storage}/no"], "no runs"),
        (["evaluate", "{storage}/trained", "--split", "tset"], "Did you mean 'test'"),
        (["predict", "{storage}/trained", "x.npy", "--output", "/no/such/x"], "--output"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_what_is_not_there_exits_with_2_and_says_what_to_type(words, said, trained, capsys):
    typed = [word.format(storage=trained.parent) for word in words]
    assert main(typed) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err


def test_evaluate_gives_the_score_that_training_gave(trained, capsys):
    record = json.loads((trained / "run.json").read_text(encoding="utf-8"))
    assert main(["evaluate", "trained", "--storage", str(trained.parent), "--json"]) == 0
    scores = _json(capsys)
    assert scores["loss"] == record["metrics"]["test_loss"]
    assert scores["accuracy"] == record["metrics"]["test_accuracy"]
    confusion = np.array(scores["confusion"])
    assert confusion.sum() == scores["rows"] == 30
    assert np.trace(confusion) / 30 == scores["accuracy"]

    assert main(["evaluate", str(trained), "--split", "val"]) == 0
    out = capsys.readouterr().out
    assert "val, 15 rows" in out
    assert "versicolor" in out


def test_evaluate_refuses_data_that_have_changed(copied, capsys):
    file = copied / "config.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("stratify = true", "stratify = false"), encoding="utf-8")
    assert main(["evaluate", str(copied), "--json"]) == 3
    error = _json(capsys)
    assert error["error"] == "DataError"
    assert "changed" in error["message"]


def test_evaluate_says_that_arrays_in_memory_are_gone(regression, capsys):
    assert main(["evaluate", str(regression)]) == 2
    assert "in memory" in capsys.readouterr().err


def test_a_run_without_checkpoints_cannot_predict(copied, tmp_path, capsys):
    shutil.rmtree(copied / "checkpoints")
    np.save(tmp_path / "x.npy", np.ones((1, 4)))
    assert main(["predict", str(copied), str(tmp_path / "x.npy")]) == 1
    assert "no checkpoint" in capsys.readouterr().err


ROWS = np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3], [6.0, 2.7, 4.5, 1.5]])


NAMES = ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)")


def _write_csv(path: Path, header: str) -> None:
    np.savetxt(path, ROWS, delimiter=",", header=header, comments="")


WRITERS = {
    "rows.npy": lambda path: np.save(path, ROWS),
    "one.npz": lambda path: np.savez(path, anything=ROWS),
    "named.npz": lambda path: np.savez_compressed(path, x=ROWS, y=np.zeros(3)),
    "names.csv": lambda path: _write_csv(path, ",".join(NAMES)),
    "NAMES.CSV": lambda path: _write_csv(path, ",".join(NAMES)),
    "marked.csv": lambda path: path.write_bytes(
        b"\xef\xbb\xbf" + "\r\n".join(",".join(map(str, row)) for row in (NAMES, *ROWS)).encode()
    ),
}


@pytest.mark.parametrize("name", WRITERS)
def test_predictions_are_the_models_whatever_the_file(name, trained, tmp_path, capsys):
    WRITERS[name](tmp_path / name)
    assert main(["predict", str(trained), str(tmp_path / name), "--proba"]) == 0
    out, err = capsys.readouterr()
    names = ", ".join(NAMES) if name.lower().endswith(".csv") else None
    assert err == (f"features: {names}\n" if names else "4 features, by position\n")
    model = TrainedModel.load(trained)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [int(row["prediction"]) for row in rows] == model.predict(ROWS).tolist()
    chances = [[float(row[f"probability of {label}"]) for label in (0, 1, 2)] for row in rows]
    assert chances == model.predict_proba(ROWS).tolist()


def test_predictions_go_to_a_file_whole(trained, tmp_path, capsys):
    np.save(tmp_path / "x.npy", ROWS)
    words = ["predict", str(trained), str(tmp_path / "x.npy")]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert main([*words, "--output", str(tmp_path / "labels.csv")]) == 0
    assert capsys.readouterr().out == ""
    assert (tmp_path / "labels.csv").read_text(encoding="utf-8") == printed

    assert main([*words, "--json", "--output", str(tmp_path / "labels.json")]) == 0
    assert _json(capsys)["rows"] == 3
    lines = (tmp_path / "labels.json").read_text(encoding="utf-8").splitlines()
    labels = [str(json.loads(line)["prediction"]) for line in lines]
    assert labels == printed.splitlines()[1:]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "labels.csv",
        "labels.json",
        "x.npy",
    ]


def test_a_regression_predicts_values_and_has_no_probabilities(regression, tmp_path, capsys):
    np.save(tmp_path / "x.npy", ROWS[:, :2])
    words = ["predict", str(regression), str(tmp_path / "x.npy")]
    assert main(words) == 0
    values = [float(line) for line in capsys.readouterr().out.splitlines()[1:]]
    assert values == TrainedModel.load(regression).predict(ROWS[:, :2]).tolist()
    assert main([*words, "--proba"]) == 2
    assert "Leave out --proba" in capsys.readouterr().err


HEAD = ",".join(NAMES).encode()
BAD_ROWS = {
    "absent.npy": (None, "no such file"),
    "rows.xyz": (b"1 2 3 4", "no format has this suffix"),
    "garbage.npy": (b"no array", "damaged"),
    "garbage.npz": (b"no archive", "damaged"),
    "empty.csv": (b"", "empty"),
    "header.csv": (HEAD + b"\n", "no rows"),
    "text.csv": (HEAD + b"\n1,2,3,setosa\n", "not a number"),
    "ragged.csv": (HEAD + b"\n1,2,3,4\n1,2\n", "2 values, the first line has 4"),
    "missing.csv": (HEAD + b"\n1,,3,4\n", "NaN in column 1 ('sepal width (cm)'), first in row 0"),
    "headless.csv": (b"5.1,3.5,1,2\n1,2,3,4\n", "params.header = false"),
    "latin.csv": ("é,b,c,d\n1,2,3,4\n".encode("latin-1"), "UTF-8"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_rows_that_cannot_be_read_exit_with_3_and_write_nothing(name, trained, tmp_path, capsys):
    content, said = BAD_ROWS[name]
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    output = tmp_path / "labels.csv"
    assert main(["predict", str(trained), str(path), "--output", str(output), "--json"]) == 3
    error = _json(capsys)
    assert error["error"] == "DataError"
    assert said in error["message"] + error["fix"]
    assert not output.exists()


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.array([{}], dtype=object), "refused"),
        (np.float64(3.0), "no rows"),
        (np.zeros((0, 4)), "no rows"),
        (np.zeros(4), "two dimensions"),
        (np.full((1, 4), np.inf), "infinite"),
    ],
    ids=["objects", "one number", "no rows", "one row", "infinite"],
)
def test_arrays_that_are_no_rows_exit_with_3(array, said, trained, tmp_path, capsys):
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    assert main(["predict", str(trained), str(tmp_path / "x.npy"), "--json"]) == 3
    assert said in _json(capsys)["message"]


def test_of_several_arrays_one_is_called_x_or_said(trained, tmp_path, capsys):
    np.savez(tmp_path / "two.npz", a=ROWS, b=ROWS)
    words = ["predict", str(trained), str(tmp_path / "two.npz")]
    assert main(words) == 3
    assert 'params.x = "a"' in capsys.readouterr().err
    assert main([*words, "--set", "params.x=a"]) == 0
    expected = [str(label) for label in TrainedModel.load(trained).predict(ROWS)]
    assert capsys.readouterr().out.splitlines()[1:] == expected
