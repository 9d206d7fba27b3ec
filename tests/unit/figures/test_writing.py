"""Names in any writing: drawn where a font has the letters, readable where none has."""

from __future__ import annotations

import warnings
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from qstore_ray.figures import base
from qstore_ray.figures.base import class_labels, drawn_names, plain, save, svg
from qstore_ray.figures.confusion import confusion_figure

CATS = ["猫", "犬", "bird"]
COUNTS = np.array([[5, 1, 0], [0, 4, 2], [1, 0, 7]])


@pytest.fixture
def few_fonts(monkeypatch: pytest.MonkeyPatch):
    """A machine that has matplotlib's own font alone."""
    monkeypatch.setattr(base, "_OTHER_WRITINGS", ())
    base._fonts.cache_clear()
    base._drawable.cache_clear()
    yield
    base._fonts.cache_clear()
    base._drawable.cache_clear()


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_no_label_is_a_warning_or_a_box(tmp_path: Path, few_fonts, suffix: str):
    before = dict(mpl.rcParams)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = confusion_figure(COUNTS, CATS)
        save(figure, tmp_path / f"confusion.{suffix}")
    labels = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert labels == ["class 0", "class 1", "class 2"]
    assert "numbered in the order of the labels" in figure.axes[0].get_xlabel()
    assert dict(mpl.rcParams) == before


def test_letters_without_a_font_are_numbers(few_fonts):
    assert plain("a猫b$") == r"a\u732bb\$"
    assert class_labels(["é", "ß", "Ω"]) == ["é", "ß", "Ω"]
    assert class_labels(["é", "字"]) == ["class 0", "class 1"]
    assert drawn_names(["é", "字"]) == ["class 0: é", "class 1: 字"]
    assert drawn_names(["é", "ß"]) == ["é", "ß"]


def test_a_font_that_is_there_draws_the_names(monkeypatch, few_fonts):
    """STIX comes with matplotlib, and has letters that DejaVu Sans lacks."""
    monkeypatch.setattr(base, "_OTHER_WRITINGS", ("No such font", "STIXGeneral"))
    base._fonts.cache_clear()
    base._drawable.cache_clear()
    assert base._fonts() == ("DejaVu Sans", "STIXGeneral")
    drawable = base._drawable() - base._charmap("DejaVu Sans")
    letter = min(c for c in drawable if c.isprintable())
    assert class_labels([letter]) == [letter]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        svg(confusion_figure(COUNTS[:2, :2], [letter, "b"]))
