"""The laws of a schedule, on every schedule; and PyTorch's schedulers give the same numbers."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.learn.schedules import SCHEDULES, Horizon, Schedule, Tick, get_schedule
from qstore_ray.testing import ScheduleLaws
from qstore_ray.testing.schedules import STEPS_PER_EPOCH
from qstore_ray.testing.schedules import factors as _factors
from qstore_ray.testing.schedules import horizon as _horizon
from qstore_ray.testing.schedules import ticks as _ticks

GOLDEN = json.loads(
    (Path(__file__).resolve().parent.parent / "golden" / "schedules.json").read_text()
)
COSINE = {"name": "cosine"}
PLATEAU = {"name": "plateau", "patience": 0, "factor": 0.5}

MEMBERS: list[tuple[str, dict[str, Any]]] = [
    ("constant", {}),
    ("cosine", {}),
    ("cosine", {"eta_min": 0.25}),
    ("cosine", {"unit": "epoch", "T_max": 3}),
    ("cosine_restarts", {"T_0": 2}),
    ("cosine_restarts", {"T_0": 5, "T_mult": 2, "eta_min": 0.1, "unit": "step"}),
    ("cyclic", {"step_size_up": 4}),
    ("cyclic", {"step_size_up": 3, "step_size_down": 1, "base": 0.01, "mode": "triangular2"}),
    ("cyclic", {"step_size_up": 2, "mode": "exp_range", "gamma": 0.99, "unit": "epoch"}),
    ("exponential", {"gamma": 0.8}),
    ("exponential", {"gamma": 0.99, "unit": "step"}),
    ("one_cycle", {}),
    ("one_cycle", {"anneal_strategy": "linear", "pct_start": 0.0}),
    ("one_cycle", {"three_phase": True, "pct_start": 0.5}),
    ("one_cycle", {"pct_start": 1.0, "unit": "epoch"}),
    ("plateau", {"patience": 0, "factor": 0.5}),
    ("plateau", {"patience": 1, "factor": 0.0, "cooldown": 1, "min_factor": 0.25}),
    ("plateau", {"patience": 0, "mode": "max", "threshold_mode": "abs"}),
    ("step", {"step_size": 2}),
    ("step", {"step_size": 4, "gamma": 0.5, "unit": "step"}),
    ("warmup", {"then": COSINE}),
    ("warmup", {"length": 0.5, "shape": "constant", "start_factor": 0.01, "then": PLATEAU}),
    ("chain", {"schedules": [{"name": "one_cycle"}]}),
    (
        "chain",
        {
            "milestones": [0.1, 0.6],
            "schedules": [{"name": "constant"}, {"name": "warmup", "then": COSINE}, PLATEAU],
        },
    ),
    ("product", {"schedules": [{"name": "cyclic", "step_size_up": 3}, PLATEAU]}),
]
every_member = pytest.mark.parametrize(
    ("name", "options"), MEMBERS, ids=[f"{n} {o}" for n, o in MEMBERS]
)


def test_every_schedule_is_tested():
    assert {name for name, _ in MEMBERS} == set(SCHEDULES)


class TestEverySchedule(ScheduleLaws):
    @pytest.fixture(params=MEMBERS, ids=[f"{n} {o}" for n, o in MEMBERS])
    def schedule(self, request: pytest.FixtureRequest) -> Schedule:
        return get_schedule(*request.param)


@every_member
def test_it_moves_at_its_cadence(name, options):
    schedule = get_schedule(name, options)
    factors, _ = _factors(schedule, schedule.init(_horizon(50)), _ticks(50))
    epochs = [factors[i : i + STEPS_PER_EPOCH] for i in range(0, 50, STEPS_PER_EPOCH)]
    within = any(len(set(epoch)) > 1 for epoch in epochs)
    nests = {"then", "schedules"} & set(options)
    if schedule.cadence == "step" and name != "constant":
        assert within
    elif not nests:
        assert not within
        assert name == "constant" or len(set(factors)) > 1


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["torch"])
def test_it_gives_the_numbers_of_pytorch(case):
    """Made with torch 2.14.1 by `tests/golden/schedules.py`."""
    schedule = get_schedule(case["name"], case["options"])
    told = [None, *case["metrics"], *[None] * len(case["factors"])]
    ticks = [Tick(begins_epoch=True, metric=told[i]) for i in range(len(case["factors"]))]
    factors, _ = _factors(schedule, schedule.init(Horizon(GOLDEN["steps"], 1)), ticks)
    assert factors == pytest.approx(case["factors"], rel=1e-12, abs=1e-15)


def test_every_schedule_that_pytorch_has_is_compared_with_it():
    assert {case["name"] for case in GOLDEN["cases"]} == set(SCHEDULES) - {"constant"}


@given(
    gamma=st.floats(0.01, 1.0), size=st.integers(1, 9), steps_per_epoch=st.integers(1, 9),
    epochs=st.integers(1, 9),
)  # fmt: skip
def test_epochs_are_steps_of_as_many_at_a_time(gamma, size, steps_per_epoch, epochs):
    horizon = Horizon(epochs * steps_per_epoch, steps_per_epoch)
    ticks = [Tick(begins_epoch=i % steps_per_epoch == 0) for i in range(horizon.steps)]
    by_epoch = get_schedule("step", {"step_size": size, "gamma": gamma})
    by_step = get_schedule(
        "step", {"step_size": size * steps_per_epoch, "gamma": gamma, "unit": "step"}
    )
    found, _ = _factors(by_epoch, by_epoch.init(horizon), ticks)
    assert found == _factors(by_step, by_step.init(horizon), ticks)[0]


def test_constant_is_one():
    schedule = get_schedule("constant", {})
    assert _factors(schedule, schedule.init(Horizon(3, 1)), _ticks(5))[0] == [1.0] * 5


@pytest.mark.parametrize("minimum", [0.0, 0.25])
def test_cosine_is_one_then_the_middle_then_the_minimum(minimum):
    schedule = get_schedule("cosine", {"eta_min": minimum})
    factors, _ = _factors(schedule, schedule.init(Horizon(8, 1)), _ticks(12))
    assert factors[0] == 1.0
    assert factors[2] == pytest.approx(minimum + (1 - minimum) * (0.5 + 0.5**1.5))
    assert factors[4] == pytest.approx((1 + minimum) / 2)
    assert factors[8:] == pytest.approx([minimum] * 4)
    assert factors == sorted(factors, reverse=True)


def test_one_cycle_stays_at_its_minimum_past_the_end():
    schedule = get_schedule("one_cycle", {"div_factor": 10.0, "final_div_factor": 100.0})
    factors, _ = _factors(schedule, schedule.init(Horizon(10, 1)), _ticks(30))
    assert factors[0] == pytest.approx(0.1)
    assert factors[2] == 1.0
    assert factors[9:] == pytest.approx([0.001] * 21, rel=1e-12)


def test_the_schedule_after_a_warm_up_has_the_rest_for_its_run():
    schedule = get_schedule("warmup", {"length": 2, "unit": "epoch", "then": COSINE})
    factors, _ = _factors(schedule, schedule.init(Horizon(50, 5)), _ticks(50))
    alone = get_schedule("cosine", {})
    assert factors[:10] == pytest.approx([1 / 3 + 2 / 3 * i / 10 for i in range(10)])
    assert factors[10:] == _factors(alone, alone.init(Horizon(40, 5)), _ticks(40))[0]


def test_plateau_watches_a_metric_below_zero_like_its_mirror_above():
    low = get_schedule("plateau", {"patience": 0})
    high = get_schedule("plateau", {"patience": 0, "mode": "max"})
    ticks = _ticks(50)
    mirrored = [tick._replace(metric=-tick.metric if tick.metric else None) for tick in ticks]
    found, _ = _factors(low, low.init(_horizon(50)), ticks)
    assert found == _factors(high, high.init(_horizon(50)), mirrored)[0]


@pytest.mark.parametrize("metric", [math.nan, math.inf, -math.inf])
def test_plateau_never_takes_what_is_not_finite_for_the_best(metric):
    schedule = get_schedule("plateau", {"patience": 0, "factor": 0.5})
    state = schedule.init(_horizon(50))
    factor, state = schedule.update(state, Tick(True, metric))
    assert factor == 0.5
    factor, state = schedule.update(state, Tick(True, 0.3))
    assert (factor, state["best"]) == (0.5, 0.3)
    assert schedule.update(state, Tick(True, metric))[0] == 0.25
