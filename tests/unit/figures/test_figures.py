"""Figures: the files there should be, what is drawn in them, and no global state touched."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from matplotlib.image import imread

from qstore_ray.errors import ConfigError, RunError, UnknownNameError, UsageError
from qstore_ray.figures.base import PALETTE, new_figure, plain, save, svg
from qstore_ray.figures.confusion import class_scores, confusion_figure
from qstore_ray.figures.curves import CURVES, curves_figure
from qstore_ray.figures.run import draw_run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KEYS = (
    "train_loss", "val_loss", "train_accuracy", "val_accuracy", "learning_rate", "gradient_norm",
)  # fmt: skip
FILES = ["loss", "accuracy", "learning_rate", "gradients", "confusion_matrix"]
SVG = "{http://www.w3.org/2000/svg}svg"
DIGITS = [str(digit) for digit in range(10)]


def _records(epochs: int, keys: tuple[str, ...] = KEYS) -> list[dict[str, object]]:
    drawn = [
        {"event": "epoch", "epoch": epoch, "step": epoch + 1}
        | {key: (place + 1) / (epoch + 1) for place, key in enumerate(keys)}
        for epoch in range(epochs)
    ]
    return [{"event": "start", "generation": 1}, *drawn, {"event": "end", "status": "finished"}]


def _axes(figure: Figure | None) -> Axes:
    assert figure is not None
    return figure.axes[0]


def _curves(kind: str, epochs: int = 5, keys: tuple[str, ...] = KEYS) -> Axes:
    return _axes(curves_figure(kind, {"run": _records(epochs, keys)}))


def test_a_run_gets_all_its_figures_as_png(tmp_path: Path):
    paths = draw_run(tmp_path, _records(4), np.eye(10, dtype=int), DIGITS)
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == [
        f"figures/{name}.png" for name in FILES
    ]
    for path in paths:
        assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
        height, width, _ = imread(path).shape
        assert 400 <= height <= 2000
        assert 600 <= width <= 2000


def test_a_run_gets_all_its_figures_as_svg(tmp_path: Path):
    paths = draw_run(tmp_path, _records(4), np.eye(10, dtype=int), DIGITS, form="svg")
    assert [path.name for path in paths] == [f"{name}.svg" for name in FILES]
    for path in paths:
        root = ET.fromstring(path.read_text(encoding="utf-8"))
        assert root.tag == SVG
        assert float(root.attrib["width"].removesuffix("pt")) > 300


def test_a_curve_has_the_recorded_values():
    lines = _curves("loss").get_lines()
    assert [line.get_label() for line in lines] == ["training", "validation"]
    for line, top in zip(lines, (1, 2), strict=True):
        assert list(line.get_xdata()) == [1, 2, 3, 4, 5]
        assert list(line.get_ydata()) == pytest.approx([top / n for n in range(1, 6)])
    named = [(kind, _curves(kind).get_ylabel(), _curves(kind).get_xlabel()) for kind in CURVES]
    assert named == [
        ("loss", "loss", "epoch"),
        ("accuracy", "accuracy", "epoch"),
        ("learning_rate", "learning rate", "epoch"),
        ("gradients", "mean norm of the gradient", "epoch"),
    ]


def test_gradient_norms_are_drawn_by_part():
    keys = ("gradient_norm", "gradient_norm_circuit", "gradient_norm_input_scale")
    labels = [line.get_label() for line in _curves("gradients", keys=keys).get_lines()]
    assert labels == ["all parameters", "circuit", "input scale"]


def test_several_runs_are_told_apart_by_colour():
    axes = _axes(curves_figure("loss", {name: _records(3) for name in ("a", "b$c$")}))
    lines = {line.get_label(): (line.get_color(), line.get_linestyle()) for line in axes.lines}
    assert lines == {
        "a, training": (PALETTE[0], "-"),
        "a, validation": (PALETTE[0], "--"),
        r"b\$c\$, training": (PALETTE[1], "-"),
        r"b\$c\$, validation": (PALETTE[1], "--"),
    }


def test_more_runs_than_colours_are_refused():
    with pytest.raises(UsageError) as caught:
        curves_figure("loss", {str(n): _records(2) for n in range(len(PALETTE) + 1)})
    assert (caught.value.field, caught.value.value) == ("runs", len(PALETTE) + 1)
    assert "Leave some out" in caught.value.fix


def test_an_unknown_kind_is_refused():
    with pytest.raises(UnknownNameError) as caught:
        curves_figure("los", {"a": []})
    assert "loss" in caught.value.fix


def test_the_palette_is_okabe_and_itos():
    """Okabe & Ito (2008), without yellow: https://jfly.uni-koeln.de/color/."""
    assert PALETTE == (
        "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "kinds"),
    [
        (("train_loss",), ["loss"]),
        (("train_loss", "val_loss", "learning_rate"), ["loss", "learning_rate"]),
        (("val_accuracy",), ["accuracy"]),
        ((), []),
    ],
)
def test_only_what_was_recorded_is_drawn(tmp_path: Path, keys: tuple[str, ...], kinds: list[str]):
    files = [f"{kind}.png" for kind in kinds]
    assert [path.name for path in draw_run(tmp_path, _records(3, keys))] == files
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == sorted(files)


@pytest.mark.parametrize("epochs", [1, 2, 300])
def test_epochs_are_whole_numbers_on_the_axis(epochs: int):
    ticks = _curves("loss", epochs).get_xticks()
    assert list(ticks) == [round(tick) for tick in ticks]


def test_a_single_epoch_is_a_visible_point():
    assert all(line.get_marker() != "None" for line in _curves("loss", 1).get_lines())


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
def test_only_an_exponential_decay_is_logarithmic(rates: list[float], scale: str):
    records = [{"event": "epoch", "epoch": e, "learning_rate": r} for e, r in enumerate(rates)]
    assert _axes(curves_figure("learning_rate", {"run": records})).get_yscale() == scale


def test_an_epoch_done_twice_is_one_point():
    axes = _axes(curves_figure("loss", {"run": [*_records(3), *_records(2)]}))
    assert list(axes.get_lines()[0].get_xdata()) == [1, 2, 3]


def test_the_confusion_matrix_shows_counts_and_shares():
    axes = _axes(confusion_figure(np.array([[6, 2], [0, 4]]), ["cat", "dog"]))
    texts = {text.get_position(): text.get_text() for text in axes.texts}
    assert texts == {(0, 0): "6", (1, 0): "2", (0, 1): "0", (1, 1): "4"}
    assert np.asarray(axes.images[0].get_array()).tolist() == [[0.75, 0.25], [0.0, 1.0]]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert "10 of 12 right, 83.3%" in axes.get_title(loc="left")


def test_a_class_without_rows_has_no_shares():
    axes = _axes(confusion_figure(np.zeros((3, 3), dtype=int), ["a", "b", "c"]))
    assert np.asarray(axes.images[0].get_array()).tolist() == [[0.0] * 3] * 3


def test_scores_of_classes_are_scikit_learns():
    from sklearn.metrics import precision_recall_fscore_support

    counts = np.random.default_rng(0).integers(0, 9, (4, 4))
    true, predicted = (np.repeat(index.ravel(), counts.ravel()) for index in np.indices((4, 4)))
    expected = precision_recall_fscore_support(true, predicted)
    scores = class_scores(counts, list("abcd"))
    for k, score in enumerate(scores):
        got = (score.precision, score.recall, score.f1, score.rows)
        assert got == pytest.approx([each[k] for each in expected])


def test_a_class_that_is_never_met_nor_called_has_no_scores():
    last = class_scores(np.diag([3, 0]), ["a", "b"])[1]
    assert tuple(last) == ("b", 0, None, None, None)


@pytest.mark.parametrize("n", [1, 10, 40])
def test_any_number_of_classes_fits(tmp_path: Path, n: int):
    names = [f"a rather long name of class {k}" for k in range(n)]
    path = save(confusion_figure(np.full((n, n), 12345), names), tmp_path / "c.png")
    assert max(imread(path).shape) <= 2000


@pytest.mark.parametrize(
    "name", ["$\\frac{", "a$b", "<script>alert(1)</script>", "\x00\x1b", "--><b>"]
)
def test_any_name_is_shown_as_it_is(name: str):
    text = svg(confusion_figure(np.eye(2, dtype=int), [name, "b"]))
    ET.fromstring(text)
    assert "<script" not in text
    assert "<b>" not in text


def test_names_in_an_svg_are_its_own():
    texts = []
    for name in ("one-", "two-"):
        figure = new_figure(3.0, 2.0)
        figure.subplots().plot([0, 1])
        texts.append(svg(figure, name))
    first, second = texts
    ids = [element.attrib.get("id") for element in ET.fromstring(first).iter()]
    named = [each for each in ids if each]
    assert len(set(named)) == len(named) > 0
    assert all(each.startswith("one-") for each in named)
    assert first.replace("one-", "two-") == second


def test_plain_text_has_no_formulas():
    assert plain("a$b\x00") == "a\\$b\ufffd"


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
def test_what_is_no_confusion_matrix_is_refused(matrix, classes, field: str):
    for use in (confusion_figure, class_scores):
        with pytest.raises(ConfigError) as caught:
            use(matrix, classes)
        assert caught.value.field == field


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path):
    (tmp_path / "figures").write_text("in the way")
    with pytest.raises(RunError, match="cannot write a figure"):
        draw_run(tmp_path, _records(2))
    for name in ("gone/loss.png", "gone/loss.svg"):
        with pytest.raises(RunError, match="cannot write a figure"):
            save(new_figure(2.0, 2.0), tmp_path / name)


@pytest.mark.parametrize("form", ["png", "svg"])
def test_equal_runs_have_equal_figures(tmp_path: Path, form: str):
    files = []
    for name in ("a", "b"):
        figure = curves_figure("loss", {"run": _records(6)})
        files.append(save(figure, tmp_path / f"{name}.{form}").read_bytes())
    assert files[0] == files[1]


def test_pyplot_is_never_touched(tmp_path: Path, repository: Path):
    code = (
        "import sys, pathlib; from qstore_ray.figures.run import draw_run; "
        "records = [{'event': 'epoch', 'epoch': 0, 'train_loss': 1.0}]; "
        f"draw_run(pathlib.Path({str(tmp_path)!r}), records, [[1, 0], [0, 1]]); "
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "False"
