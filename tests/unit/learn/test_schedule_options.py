"""Wrong options of schedules: refused where they are written, with the field and the way out."""

from __future__ import annotations

import pytest

from qstore_ray.errors import ConfigError, UnknownNameError
from qstore_ray.learn.schedules import Horizon, Tick, get_schedule

COSINE = {"name": "cosine"}
LONG = {"name": "warmup", "length": 9, "unit": "epoch", "then": COSINE}

# (schedule, options, field, value, part of the message or fix)
WRONG = {
    "unknown option": ("constant", {"eta_min": 0.1}, "eta_min", 0.1, "unknown key"),
    "minimum above 1": ("cosine", {"eta_min": 1.5}, "eta_min", 1.5, "Take 1.0 or less"),
    "no period": ("cosine_restarts", {}, "T_0", None, "required"),
    "fractional T_mult": ("cosine_restarts", {"T_0": 2, "T_mult": 1.5}, "T_mult", 1.5, "whole"),
    "growing": ("exponential", {"gamma": 1.1}, "gamma", 1.1, "Take 1.0 or less"),
    "step of 0": ("step", {"step_size": 0}, "step_size", 0, "Take 1 or more"),
    "unit": ("step", {"step_size": 1, "unit": "run"}, "unit", "run", "'step' or 'epoch'"),
    "mode": ("cyclic", {"step_size_up": 1, "mode": "saw"}, "mode", "saw", "triangular2"),
    "anneal": ("one_cycle", {"anneal_strategy": "cosine"}, "anneal_strategy", "cosine", "cos"),
    "div_factor": ("one_cycle", {"div_factor": 0.5}, "div_factor", 0.5, "Take 1.0 or more"),
    "three phases": (
        "one_cycle", {"three_phase": True, "pct_start": 0.6}, "pct_start", 0.6, "0.5 or less",
    ),
    "raising": ("plateau", {"factor": 1.0}, "factor", 1.0, "below 1.0"),
    "impatient": ("plateau", {"patience": -1}, "patience", -1, "Take 0 or more"),
    "warm-up to nothing": ("warmup", {}, "then", None, "required"),
    "then is no table": ("warmup", {"then": "cosine"}, "then", "cosine", 'name = "cosine"'),
    "then has no name": ("warmup", {"then": {"eta_min": 0.1}}, "then", {"eta_min": 0.1}, "name"),
    "then's name": ("warmup", {"then": {"name": "cosin"}}, "then.name", "cosin", "'cosine'"),
    "then's option": ("warmup", {"then": COSINE | {"eta_min": 2}}, "then.eta_min", 2, "1.0"),
    "then's key": ("warmup", {"then": COSINE | {"minimum": 0}}, "then.minimum", 0, "eta_min"),
    "deep": (
        "chain",
        {"schedules": [{"name": "warmup", "then": {"name": "step", "step_size": 0}}]},
        "schedules.0.then.step_size", 0, "1 or more",
    ),
    "share": ("warmup", {"length": 1, "then": COSINE}, "length", 1.0, 'unit = "step"'),
    "half a step": (
        "warmup", {"length": 1.5, "unit": "step", "then": COSINE}, "length", 1.5, 'unit = "run"',
    ),
    "no schedules": ("product", {"schedules": []}, "schedules", [], "at least 1"),
    "no milestone": (
        "chain", {"schedules": [COSINE, COSINE]}, "milestones", [], "2 schedules have 1 milestone",
    ),
    "falling milestones": (
        "chain", {"schedules": [COSINE] * 3, "milestones": [0.5, 0.2]},
        "milestones", [0.5, 0.2], "rising order",
    ),
    "milestone": (
        "chain", {"schedules": [COSINE] * 2, "milestones": [2]}, "milestones.0", 2.0, "0 and 1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_option_is_refused_when_built(case):
    name, options, field, value, hint = WRONG[case]
    with pytest.raises(ConfigError) as caught:
        get_schedule(name, options)
    assert caught.value.field == f"schedule_options.{field}"
    assert caught.value.value == value
    assert hint in str(caught.value)


def test_an_unknown_schedule_is_refused():
    with pytest.raises(UnknownNameError, match="cosine") as caught:
        get_schedule("cosin", {})
    assert caught.value.field == "schedule"


@pytest.mark.parametrize(
    ("name", "options", "field", "value"),
    [
        ("warmup", {"length": 3, "unit": "epoch", "then": COSINE}, "length", 3.0),
        ("warmup", {"length": 30, "unit": "step", "then": COSINE}, "length", 30.0),
        (
            "chain",
            {"schedules": [COSINE] * 3, "milestones": [5, 31], "unit": "step"},
            "milestones.1",
            31.0,
        ),
        (
            "product",
            {
                "schedules": [
                    COSINE,
                    {"name": "warmup", "length": 9, "unit": "epoch", "then": COSINE},
                ]
            },
            "schedules.1.length",
            9.0,
        ),
    ],
)
def test_a_length_that_the_run_does_not_have_is_refused_at_its_start(name, options, field, value):
    with pytest.raises(ConfigError) as caught:
        get_schedule(name, options).init(Horizon(30, 10))
    assert caught.value.field == field
    assert caught.value.value == value
    assert "30 steps (3 epochs of 10)" in str(caught.value)
    assert 'unit = "run"' in caught.value.fix


@pytest.mark.parametrize(
    ("mode", "larger", "falls"),
    [("auto", True, False), ("auto", False, True), ("min", True, True), ("max", False, False)],
)
def test_plateau_takes_the_direction_of_the_metric_unless_it_is_written(mode, larger, falls):
    schedule = get_schedule("plateau", {"patience": 0, "mode": mode})
    state, factor = schedule.init(Horizon(steps=4, steps_per_epoch=1)), 1.0
    for metric in (0.5, 0.6, 0.7):
        factor, state = schedule.update(state, Tick(True, metric, larger))
    assert (factor < 1.0) == falls
