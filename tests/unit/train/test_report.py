"""The report of a run: its numbers are the run's, nothing points outside, damage is told."""

from __future__ import annotations

import json
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from qstore_ray import (
    Callback,
    DatasetConfig,
    DatasetLoader,
    ModelConfig,
    QuantumTrainer,
    TrackConfig,
    TrainerConfig,
)
from qstore_ray.baseline import linear_baseline
from qstore_ray.errors import CallbackError, ConfigError, RunError
from qstore_ray.train.report.report import write_report
from qstore_ray.train.run.summary import summarize

FLOWERS = DatasetConfig(
    name="iris",
    params={"dataset": "iris"},
    split={"train": 0.8, "test": 0.2},
    preprocessing=[{"name": "minmax"}],
)
HOSTILE = '<script>alert("x")</script>'


class Page(HTMLParser):
    """What a browser would see: tags, links, tables and exact numbers."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.rows: list[list[str]] = [[]]
        self.exact: dict[str, list[float]] = {}
        self.open: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        names = ("src", "href", "xlink:href", "data", "action")
        self.links += [value or "" for name, value in attrs if name in names]
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")
        if tag == "data":
            self.exact.setdefault(self.rows[-1][0], []).append(float(dict(attrs)["value"] or "nan"))
        self.open.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in {"td", "th", "data"} and self.rows[-1]:
            self.rows[-1][-1] += data
        if self.open and self.open[-1] != "style":
            self.words += f"{data} "

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass


def _page(path: Path) -> Page:
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert [link for link in page.links if not link.startswith(("#", "data:"))] == []
    assert "script" not in page.tags
    assert "url(http" not in text
    assert "@import" not in text
    return page


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, object, np.ndarray]:
    """A finished run without validation; nobody may change it."""
    dataset = DatasetLoader.load(FLOWERS)
    trainer = QuantumTrainer(
        ModelConfig(layers=1),
        TrainerConfig(epochs=3, callbacks=[{"name": "model_checkpoint", "monitor": "train_loss"}]),
        name="flowers",
        storage=tmp_path_factory.mktemp("runs"),
        track=TrackConfig(mlflow=False, figures=False),
    )
    result = trainer.fit(dataset, baseline=linear_baseline(dataset))
    return result.run_dir, dataset, result.model.confusion(dataset, "test")


@pytest.fixture
def copied(trained, tmp_path: Path) -> Path:
    """A copy of the finished run, to be damaged."""
    return Path(shutil.copytree(trained[0], tmp_path / "runs" / "flowers"))


def test_the_numbers_are_those_of_the_run(trained, copied):
    _, dataset, confusion = trained
    page = _page(write_report(copied, dataset=dataset, confusion=confusion))
    record = json.loads((copied / "run.json").read_text(encoding="utf-8"))
    for name, value in record["metrics"].items():
        if name.rpartition("_")[2] in {"loss", "accuracy"}:
            assert page.exact[name.replace("_", " ")][0] == value
    for wanted in (
        *record["fingerprints"].values(), *record["versions"].values(),
        "train 120, test 30", "baseline accuracy", "scikit-learn", "finished", "3 of 3",
        "There was no validation split", "hardware_efficient", "Kept models", "Z0, Z1",
        f"The model is {record['verdict']}.", f"{record['metrics']['baseline_accuracy']:.2%}",
    ):  # fmt: skip
        assert wanted in page.words, wanted


def test_scores_by_class_follow_from_the_matrix(trained, copied):
    _, dataset, confusion = trained
    page = _page(write_report(copied, dataset=dataset, confusion=confusion))
    for k, name in enumerate(dataset.schema.class_names):
        (row,) = [row for row in page.rows if row[:1] == [name]]
        assert row[1] == str(confusion[k].sum())
        assert float(row[3]) == pytest.approx(confusion[k, k] / confusion[k].sum(), rel=1e-3)


def test_a_folder_alone_is_enough(copied):
    page = _page(write_report(str(copied)))
    assert "There is no confusion matrix" in page.words
    assert "train 120" in page.words
    assert page.tags.count("img") == 4  # loss, accuracy, learning rate, gradients
    assert page.tags.count("svg") == 1  # circuit


def test_hostile_names_are_shown_not_run(trained, copied):
    _, dataset, confusion = trained
    names = (HOSTILE, "</style><img src=http://x>", "$a$")
    hostile = dataset.__class__(
        **{**vars(dataset), "schema": dataset.schema._replace(class_names=names)}
    )
    config = (copied / "config.toml").read_text(encoding="utf-8")
    (copied / "config.toml").write_text(
        config.replace('name = "iris"', f"name = '{HOSTILE}'"), encoding="utf-8"
    )
    with (copied / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"event": "warning", "message": HOSTILE}) + "\n")
        file.write(json.dumps({"event": "note", "message": "slow", HOSTILE: [HOSTILE]}) + "\n")
    named = copied.rename(copied.with_name("<script>alert(1)<&"))
    page = _page(write_report(named, dataset=hostile, confusion=confusion))
    assert page.words.count(HOSTILE) >= 4
    assert page.tags.count("img") == 5  # our own: four curves and the confusion matrix
    assert "<script>alert(1)<&" in page.words


def test_secrets_are_hidden(copied):
    with (copied / "config.toml").open("a", encoding="utf-8") as file:
        file.write('\n[extra]\napi_token = "s3cret"\n')
    path = write_report(copied)
    assert "api_token" in path.read_text(encoding="utf-8")
    assert "s3cret" not in path.read_text(encoding="utf-8")


def _no_checkpoints(run: Path) -> None:
    shutil.rmtree(run / "checkpoints")


def _damaged_checkpoints(run: Path) -> None:
    for path in run.glob("checkpoints/*/arrays.npz"):
        path.write_bytes(b"")


def _no_metrics(run: Path) -> None:
    (run / "metrics.jsonl").unlink()


def _broken_metrics(run: Path) -> None:
    (run / "metrics.jsonl").write_text("{...\n", encoding="utf-8")


def _no_record(run: Path) -> None:
    (run / "run.json").unlink()


def _broken_config(run: Path) -> None:
    (run / "config.toml").write_text("[[[", encoding="utf-8")


def _broken_index(run: Path) -> None:
    (run / "models" / "index.json").write_text("{", encoding="utf-8")


@pytest.mark.parametrize(
    ("happens", "said"),
    [
        (_no_checkpoints, "Without a readable checkpoint"),
        (_damaged_checkpoints, "no checkpoint of this run is readable"),
        (_no_metrics, "finished"),
        (_broken_metrics, "line 1 of the metrics file is damaged"),
        (_no_record, "run.json is missing"),
        (_broken_config, "config.toml"),
        (_broken_index, "models/index.json"),
    ],
)
def test_damage_is_told_and_the_rest_is_shown(happens, said: str, copied):
    happens(copied)
    page = _page(write_report(copied))
    assert said in page.words
    assert "flowers" in page.words
    assert "Environment" in page.words


def test_a_failed_run_says_why(copied):
    record = json.loads((copied / "run.json").read_text(encoding="utf-8"))
    record |= {"status": "failed", "metrics": {}}
    (copied / "run.json").write_text(json.dumps(record), encoding="utf-8")
    with (copied / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"event": "end", "status": "failed", "reason": "the loss is NaN"}\n')
    page = _page(write_report(copied))
    assert "failed" in page.words
    assert "the loss is NaN" in page.words
    assert "The run was not scored on a test split" in page.words


class _Fails(Callback):
    def on_epoch_end(self, run, record):
        raise ValueError("the licence server said no, token=hunter2")


def test_the_error_of_a_failed_training_is_in_its_record_page_and_summary(tmp_path, trained):
    trainer = QuantumTrainer(
        ModelConfig(n_qubits=4, layers=1), TrainerConfig(epochs=2), name="run", storage=tmp_path,
        track=TrackConfig(mlflow=False), callbacks=[_Fails()],
    )  # fmt: skip
    with pytest.raises(CallbackError):
        trainer.fit(trained[1])
    page = _page(tmp_path / "run" / "report.html")
    assert "the licence server said no" in page.words
    assert "the licence server said no" in summarize(tmp_path / "run").reason
    kept = [path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert not any(b"hunter2" in text for text in kept)


def test_what_fits_not_is_refused_and_nothing_written(trained, copied):
    with pytest.raises(ConfigError) as caught:
        write_report(copied, dataset=trained[1], confusion=np.eye(2, dtype=int))
    assert caught.value.field == "classes"
    assert not (copied / "report.html").exists()


def test_a_place_that_cannot_be_written_is_an_error(copied):
    (copied / "report.html").mkdir()
    with pytest.raises(RunError, match="cannot write"):
        write_report(copied)
