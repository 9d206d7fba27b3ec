"""Pictures of a search: every trial is where it belongs, and nothing is drawn of nothing."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qstore_ray.errors import UnknownNameError, UsageError
from qstore_ray.figures.base import save, svg
from qstore_ray.figures.study.base import Dimension, Search, TrialPoint, colours, ticks
from qstore_ray.figures.study.draw import FIGURES, study_figure, study_figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RATE = Dimension("trainer.learning_rate", 1e-3, 0.3, log=True)
LAYERS = Dimension("model.layers", 1, 8, whole=True)
NAME = Dimension("trainer.optimizer", choices=("adam", "$gd", "<b>"))
MOMENTUM = Dimension("trainer.optimizer_options.momentum", 0.0, 0.9)  # of $gd only
DIMENSIONS = (RATE, LAYERS, NAME, MOMENTUM)
HOSTILE = "$x_$ <script>\x1b[31m\n" + "long " * 40


def _trial(number: int, status: str, goals: int = 1) -> TrialPoint:
    rng = np.random.default_rng(number)
    name = int(rng.integers(3))
    at = {RATE.name: 10 ** rng.uniform(-3, -0.6), LAYERS.name: rng.integers(1, 9), NAME.name: name}
    if name == 1:
        at[MOMENTUM.name] = rng.uniform(0, 0.9)
    values = {"completed": rng.uniform(0.2, 0.9, goals), "pruned": rng.uniform(0.1, 0.3, 1)}
    epochs = [] if status == "failed" else [(e, 0.1 * e) for e in range(2 + number % 3)]
    found = [float(value) for value in values.get(status, [])]
    return TrialPoint(number, status, {k: float(v) for k, v in at.items()}, found, epochs)


def _search(statuses: list[str], goals: int = 1, **more: object) -> Search:
    trials = [_trial(number, status, goals) for number, status in enumerate(statuses)]
    best = [trial.number for trial in trials if trial.status == "completed"][:1]
    metrics = {"val_accuracy": True, "val_loss": False, "seconds": False}
    objectives = dict(list(metrics.items())[:goals])
    return Search("s", objectives, DIMENSIONS, trials, best, **more)


def _mixed(n: int, goals: int = 1) -> Search:
    every = ["completed", "pruned", "completed", "failed", "completed"]
    shares = {RATE.name: 0.7, LAYERS.name: 0.3}
    statuses = [every[k % 5] for k in range(n)]
    return _search(statuses, goals, importances={"val_accuracy": shares})


def _points(axes: Axes, label: str) -> list[tuple[float, float]]:
    for line in axes.get_lines():
        if str(line.get_label()).startswith(label):
            return list(zip(line.get_xdata(), line.get_ydata(), strict=True))
    return []


@pytest.mark.parametrize(("n", "goals"), [(1, 1), (20, 2)])
def test_what_can_be_drawn_is_a_whole_file(n, goals, tmp_path):
    for kind, figure in study_figures(_mixed(n, goals)):
        if kind == "front" and goals == 1:
            assert isinstance(figure, UsageError)
            continue
        data = save(figure, tmp_path / f"{kind}.png").read_bytes()
        assert data.startswith(b"\x89PNG\r\n\x1a\n")


def test_three_hundred_trials_make_a_page_of_bearable_size():
    search = _mixed(300)
    texts = [svg(f) for _, f in study_figures(search) if not isinstance(f, UsageError)]
    assert len(texts) == len(FIGURES) - 1  # one objective has no front
    assert all(ET.fromstring(text).tag.endswith("svg") for text in texts)
    assert sum(map(len, texts)) < 3_000_000


@settings(max_examples=20, deadline=None)
@given(
    statuses=st.lists(
        st.sampled_from(["completed", "pruned", "failed", "interrupted"]), min_size=1, max_size=12
    )
)
def test_every_trial_of_a_history_is_one_mark_at_its_number(statuses):
    search = _search(statuses)
    if not any(trial.values for trial in search.trials):
        with pytest.raises(UsageError):
            study_figure("history", search)
        return
    axes = study_figure("history", search).axes[0]
    for status in set(statuses):
        marks = _points(axes, status)
        assert [x for x, _ in marks] == [t.number for t in search.of(status)]
        if status in ("completed", "pruned"):
            assert [y for _, y in marks] == [t.values[0] for t in search.of(status)]


@pytest.mark.parametrize("larger", [True, False])
def test_the_best_so_far_only_gets_better_and_ends_at_the_best(larger):
    search = replace(_mixed(30), objectives={"m": larger})
    line = [y for _, y in _points(study_figure("history", search).axes[0], "best so far")]
    values = [trial.values[0] for trial in search.of("completed")]
    assert line == sorted(line, reverse=not larger)
    assert line[-1] == (max(values) if larger else min(values))


def test_a_running_trial_stands_at_its_last_value():
    running = TrialPoint(0, "running", {}, [0.25], [(0, 0.5), (1, 0.25)])
    search = Search("s", {"val_loss": False}, DIMENSIONS, [running])
    assert _points(study_figure("history", search).axes[0], "running") == [(0, 0.25)]
    assert _points(study_figure("epochs", search).axes[0], "running") == [(1, 0.5), (2, 0.25)]


def test_slices_have_the_trials_that_have_the_parameter():
    search = _mixed(40)
    completed = search.of("completed")
    panels = [axes for axes in study_figure("slices", search).axes if axes.get_xlabel()]
    for axes, dimension in zip(panels, DIMENSIONS, strict=True):
        there = [trial for trial in completed if dimension.name in trial.at]
        drawn = axes.collections[0].get_offsets()
        assert [y for _, y in drawn] == [trial.values[0] for trial in there]
        for (x, _), trial in zip(drawn, there, strict=True):
            exact = trial.at[dimension.name]
            assert round(x) == exact if dimension.choices else x == exact
        assert axes.get_xscale() == ("log" if dimension.log else "linear")
        assert (axes.get_title() == "") == (len(there) == len(completed))
    assert [t.get_text() for t in panels[2].get_xticklabels()] == ["adam", r"\$gd", "<b>"]


def test_a_line_in_parallel_coordinates_passes_through_its_values():
    search = _mixed(40)
    axes = study_figure("parallel", search).axes[0]
    lines = axes.collections[0].get_segments()
    completed = search.of("completed")
    assert len(lines) == len(completed)
    ordered = sorted(completed, key=lambda trial: trial.values[0])  # the best is drawn last
    for line, trial in zip(lines, ordered, strict=True):
        places = dict(zip((d.name for d in DIMENSIONS), line[:, 1], strict=False))
        assert places[LAYERS.name] == pytest.approx((trial.at[LAYERS.name] - 1) / 7)
        rate = math.log(trial.at[RATE.name] / 1e-3) / math.log(300)
        assert places[RATE.name] == pytest.approx(rate)
        assert int(places[NAME.name] * 3) == trial.at[NAME.name]
        assert (places[MOMENTUM.name] < 0) == (MOMENTUM.name not in trial.at)
    assert "absent" in {text.get_text() for text in axes.texts}


def test_the_front_has_its_trials_and_the_others_lie_behind():
    trials = [
        TrialPoint(n, "completed", {}, values)
        for n, values in enumerate([(0.9, 5.0), (0.5, 1.0), (0.4, 2.0), (0.7, 3.0)])
    ]
    search = Search("s", {"a": True, "c": False}, [], trials, [0, 1, 3])
    axes = study_figure("front", search).axes[0]
    assert _points(axes, "front") == [(0.5, 1.0), (0.7, 3.0), (0.9, 5.0)]
    assert _points(axes, "dominated") == [(0.4, 2.0)]
    assert "larger" in axes.get_xlabel()
    assert "smaller" in axes.get_ylabel()


@pytest.mark.parametrize("goals", [2, 3])
def test_every_pair_of_objectives_has_a_panel(goals):
    panels = [axes for axes in study_figure("front", _mixed(10, goals)).axes if axes.get_visible()]
    assert len(panels) == goals * (goals - 1) // 2
    assert len({(axes.get_xlabel(), axes.get_ylabel()) for axes in panels}) == len(panels)


def test_importances_are_bars_and_what_is_not_judged_is_named():
    figure = study_figure("importance", _mixed(10))
    axes = figure.axes[0]
    assert [bar.get_width() for bar in axes.patches] == [0.7, 0.3]
    assert [t.get_text() for t in axes.get_yticklabels()] == [RATE.name, LAYERS.name]
    assert NAME.name in str(figure._supxlabel.get_text())


@pytest.mark.parametrize("kind", FIGURES)
def test_nothing_is_drawn_of_nothing(kind):
    for search in (_search([]), _search(["failed", "failed"])):
        with pytest.raises(UsageError) as caught:
            study_figure(kind, search)
        assert caught.value.value == "s"
        assert caught.value.fix


def test_an_unknown_kind_is_named():
    with pytest.raises(UnknownNameError) as caught:
        study_figure("slice", _mixed(5))
    assert "slices" in caught.value.fix


def test_hostile_names_are_drawn_as_they_are():
    odd = Dimension(HOSTILE, choices=(HOSTILE, "$"))
    trials = [
        TrialPoint(n, "completed", {HOSTILE: n % 2}, [float(n)], [(0, 1.0)]) for n in range(5)
    ]
    shares = {HOSTILE: {HOSTILE: 1.0}}
    search = Search(HOSTILE, {HOSTILE: True}, [odd], trials, [4], shares)
    for kind, figure in study_figures(search):
        if kind != "front":
            text = svg(figure, f"{kind}-")
            assert "<script" not in text
            assert "\x1b" not in text


@settings(max_examples=50)
@given(st.floats(1e-6, 1e3), st.floats(1.0, 1e6), st.booleans())
def test_marks_of_an_axis_lie_on_it_and_begin_and_end_it(low, factor, log):
    marks = ticks(Dimension("x", low, low * factor, log=log))
    shares = [share for share, _ in marks]
    assert shares == sorted(set(shares))
    assert shares[0] >= 0.0
    assert shares[-1] <= 1.0
    assert len(marks) < 15


@pytest.mark.parametrize("larger", [True, False])
def test_the_better_the_darker(larger):
    shades, scale = colours([0.1, 0.5, 0.9], larger=larger)
    light = [sum(shades(scale(value))[:3]) for value in (0.1, 0.5, 0.9)]
    assert light == sorted(light, reverse=larger)
