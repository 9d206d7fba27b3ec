"""Figures: the files there should be, what is drawn in them, and no global state touched."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from matplotlib.image import imread

from qstore_ray import figures
from qstore_ray.errors import ConfigError, RunError
from qstore_ray.figures import draw_confusion_matrix, draw_curves, draw_run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KEYS = (
    "train_loss", "val_loss", "train_accuracy", "val_accuracy", "learning_rate", "gradient_norm",
)  # fmt: skip
DIGITS = [str(digit) for digit in range(10)]


def _records(epochs: int, keys: tuple[str, ...] = KEYS) -> list[dict[str, object]]:
    drawn = [
        {"event": "epoch", "epoch": epoch, "step": epoch + 1}
        | {key: (place + 1) / (epoch + 1) for place, key in enumerate(keys)}
        for epoch in range(epochs)
    ]
    return [{"event": "start", "generation": 1}, *drawn, {"event": "end", "status": "finished"}]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are saved, to look into."""
    kept: list[Figure] = []
    save = figures._save
    monkeypatch.setattr(
        figures, "_save", lambda figure, path: kept.append(figure) or save(figure, path)
    )
    return kept


def _panels(figure: Figure) -> list[Axes]:
    return figure.axes


def test_a_run_gets_all_its_figures(tmp_path: Path):
    paths = draw_run(tmp_path, _records(4), np.eye(10, dtype=int), DIGITS)
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == [
        "figures/loss.png",
        "figures/accuracy.png",
        "figures/optimizer.png",
        "figures/confusion_matrix.png",
    ]
    for path in paths:
        height, width, _ = imread(path).shape
        assert 400 <= height <= 2000
        assert 600 <= width <= 2000


def test_a_curve_has_the_recorded_values(tmp_path: Path, drawn: list[Figure]):
    draw_curves(_records(5), tmp_path)
    loss, accuracy, optimizer = drawn
    lines = _panels(loss)[0].get_lines()
    assert [line.get_label() for line in lines] == ["training", "validation"]
    for line, top in zip(lines, (1, 2), strict=True):
        assert list(line.get_xdata()) == [1, 2, 3, 4, 5]
        assert list(line.get_ydata()) == pytest.approx([top / n for n in range(1, 6)])
    assert [axes.get_ylabel() for axes in (*_panels(loss), *_panels(accuracy))] == [
        "loss", "accuracy",
    ]  # fmt: skip
    assert [axes.get_ylabel() for axes in _panels(optimizer)] == ["learning rate", "gradient norm"]
    assert _panels(optimizer)[-1].get_xlabel() == "epoch"


@pytest.mark.parametrize(
    ("keys", "files"),
    [
        (("train_loss",), ["loss.png"]),
        (("train_loss", "val_loss", "learning_rate"), ["loss.png", "optimizer.png"]),
        (("val_accuracy",), ["accuracy.png"]),
        ((), []),
    ],
)
def test_only_what_was_recorded_is_drawn(tmp_path: Path, keys: tuple[str, ...], files: list[str]):
    assert [path.name for path in draw_curves(_records(3, keys), tmp_path)] == files
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(files)


def test_no_records_make_no_curves(tmp_path: Path):
    assert draw_run(tmp_path, []) == []


@pytest.mark.parametrize("epochs", [1, 2, 300])
def test_epochs_are_whole_numbers_on_the_axis(tmp_path: Path, drawn: list[Figure], epochs: int):
    draw_curves(_records(epochs), tmp_path)
    ticks = _panels(drawn[0])[0].get_xticks()
    assert list(ticks) == [round(tick) for tick in ticks]


def test_a_single_epoch_is_a_visible_point(tmp_path: Path, drawn: list[Figure]):
    draw_curves(_records(1), tmp_path)
    assert all(line.get_marker() != "None" for line in _panels(drawn[0])[0].get_lines())


@pytest.mark.parametrize(
    ("rates", "scale"),
    [
        ([10.0**-n for n in range(5)], "log"),
        ([1.0 + np.cos(np.pi * n / 100) for n in range(100)], "linear"),
        ([0.1] * 5, "linear"),
        ([1.0, 0.01, 0.0, 0.0], "linear"),
    ],
    ids=["exponential", "cosine", "constant", "zero"],
)
def test_only_an_exponential_decay_is_logarithmic(
    tmp_path: Path, drawn: list[Figure], rates: list[float], scale: str
):
    draw_curves(
        [{"event": "epoch", "epoch": e, "learning_rate": r} for e, r in enumerate(rates)], tmp_path
    )
    assert _panels(drawn[0])[0].get_yscale() == scale


def test_an_epoch_done_twice_is_one_point(tmp_path: Path, drawn: list[Figure]):
    draw_curves([*_records(3), *_records(2)], tmp_path)
    assert list(_panels(drawn[0])[0].get_lines()[0].get_xdata()) == [1, 2, 3]


def test_the_confusion_matrix_shows_counts_and_shares(tmp_path: Path, drawn: list[Figure]):
    counts = np.array([[6, 2], [0, 4]])
    draw_confusion_matrix(counts, ["cat", "dog"], tmp_path / "c.png")
    axes = _panels(drawn[0])[0]
    texts = {text.get_position(): text.get_text() for text in axes.texts}
    assert texts == {(0, 0): "6", (1, 0): "2", (0, 1): "0", (1, 1): "4"}
    assert np.asarray(axes.images[0].get_array()).tolist() == [[0.75, 0.25], [0.0, 1.0]]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert "10 of 12 right, 83.3%" in axes.get_title(loc="left")


def test_a_class_without_rows_has_no_shares(tmp_path: Path, drawn: list[Figure]):
    draw_confusion_matrix(np.zeros((3, 3), dtype=int), ["a", "b", "c"], tmp_path / "c.png")
    assert np.asarray(_panels(drawn[0])[0].images[0].get_array()).tolist() == [[0.0] * 3] * 3


@pytest.mark.parametrize("n", [1, 10, 40])
def test_any_number_of_classes_fits(tmp_path: Path, n: int):
    names = [f"a rather long name of class {k}" for k in range(n)]
    path = draw_confusion_matrix(np.full((n, n), 12345), names, tmp_path / "c.png")
    assert max(imread(path).shape) <= 2000


@pytest.mark.parametrize(
    ("matrix", "classes", "field"),
    [
        (np.zeros((2, 3)), ["a", "b"], "matrix"),
        (np.zeros(4), ["a", "b"], "matrix"),
        (np.zeros((0, 0)), [], "matrix"),
        (np.array([[0.5, 0.5], [0, 1]]), ["a", "b"], "matrix"),
        (np.array([[np.nan, 1], [0, 1]]), ["a", "b"], "matrix"),
        (np.array([[-1, 2], [0, 1]]), ["a", "b"], "matrix"),
        (np.array([["x", "y"], ["z", "w"]]), ["a", "b"], "matrix"),
        (np.eye(2), ["a", "b", "c"], "classes"),
    ],
)
def test_what_is_no_confusion_matrix_is_refused(tmp_path: Path, matrix, classes, field: str):
    with pytest.raises(ConfigError) as caught:
        draw_confusion_matrix(matrix, classes, tmp_path / "c.png")
    assert caught.value.field == field
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path):
    (tmp_path / "figures").write_text("in the way")
    with pytest.raises(RunError, match="cannot write a figure"):
        draw_run(tmp_path, _records(2))
    with pytest.raises(RunError, match="cannot write a figure"):
        draw_curves(_records(2), tmp_path / "gone")


def test_equal_runs_have_equal_figures(tmp_path: Path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        draw_curves(_records(6), tmp_path / name)
    first, second = ((tmp_path / name / "loss.png").read_bytes() for name in ("a", "b"))
    assert first == second


def test_pyplot_is_never_touched(tmp_path: Path, repository: Path):
    code = (
        "import sys, pathlib; from qstore_ray.figures import draw_run; "
        "records = [{'event': 'epoch', 'epoch': 0, 'train_loss': 1.0}]; "
        f"draw_run(pathlib.Path({str(tmp_path)!r}), records, [[1, 0], [0, 1]]); "
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "False"
