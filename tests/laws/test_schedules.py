"""The laws of a schedule, on every schedule."""

from __future__ import annotations

import json

import pytest

from qstore_ray.errors import ConfigError, UnknownNameError
from qstore_ray.learn.schedules import SCHEDULES, Horizon, Tick, get_schedule

MEMBERS = [
    ("constant", {}),
    ("cosine", {}),
    ("cosine", {"minimum": 0.25}),
    ("cosine", {"warmup": 0.2}),
    ("cosine", {"minimum": 0.1, "warmup": 0.5}),
]
every_member = pytest.mark.parametrize(
    ("name", "options"), MEMBERS, ids=[f"{n} {o}" for n, o in MEMBERS]
)


def _factors(schedule, state, steps: int):
    found = []
    for _ in range(steps):
        factor, state = schedule.update(state, Tick(begins_epoch=True))
        found.append(factor)
    return found, state


def test_every_schedule_is_tested():
    assert {name for name, _ in MEMBERS} == set(SCHEDULES)


@every_member
@pytest.mark.parametrize("total", [1, 2, 3, 10, 101])
def test_a_factor_is_between_zero_and_one_also_past_the_end(name, options, total):
    schedule = get_schedule(name, options)
    factors, _ = _factors(schedule, schedule.init(Horizon(total, 1)), 2 * total + 3)
    assert all(options.get("minimum", 0.0) * (not options.get("warmup")) <= f for f in factors)
    assert all(0.0 <= factor <= 1.0 for factor in factors)
    assert max(factors[:total]) > 0.0, "a run in which no step moves anything is no run"


@every_member
def test_it_starts_at_one_or_rises_to_one_while_warming_up(name, options):
    schedule = get_schedule(name, options)
    factors, _ = _factors(schedule, schedule.init(Horizon(100, 1)), 100)
    warm = int(100 * options.get("warmup", 0.0))
    assert factors[warm] == 1.0
    rise = factors[: warm + 1]
    assert rise == sorted(rise)
    assert len(set(rise)) == len(rise)
    if warm:
        assert 0.0 < factors[0] <= 1.0 / warm


@every_member
@pytest.mark.parametrize("at", [0, 1, 7, 19])
def test_a_state_that_went_through_a_file_goes_on_the_same(name, options, at):
    schedule = get_schedule(name, options)
    whole, end = _factors(schedule, schedule.init(Horizon(20, 1)), 20)
    _, state = _factors(schedule, schedule.init(Horizon(20, 1)), at)
    rest, last = _factors(schedule, json.loads(json.dumps(state)), 20 - at)
    assert rest == whole[at:]
    assert last == end


@every_member
def test_update_leaves_the_old_state_as_it_was(name, options):
    schedule = get_schedule(name, options)
    state = schedule.init(Horizon(10, 1))
    before = dict(state)
    first, _ = schedule.update(state, Tick(begins_epoch=True))
    assert state == before
    assert schedule.update(state, Tick(begins_epoch=True))[0] == first


def test_constant_is_one():
    schedule = get_schedule("constant", {})
    assert _factors(schedule, schedule.init(Horizon(3, 1)), 5)[0] == [1.0] * 5


@pytest.mark.parametrize("minimum", [0.0, 0.25])
def test_cosine_is_one_then_the_middle_then_the_minimum(minimum):
    schedule = get_schedule("cosine", {"minimum": minimum})
    factors, _ = _factors(schedule, schedule.init(Horizon(8, 1)), 12)
    assert factors[0] == 1.0
    assert factors[2] == pytest.approx(minimum + (1 - minimum) * (0.5 + 0.5**1.5))
    assert factors[4] == pytest.approx((1 + minimum) / 2)
    assert factors[8:] == pytest.approx([minimum] * 4)
    assert factors == sorted(factors, reverse=True)


def test_what_it_does_not_have_is_refused():
    with pytest.raises(UnknownNameError, match="cosine") as caught:
        get_schedule("cosin", {})
    assert caught.value.field == "schedule"
    with pytest.raises(ConfigError, match="warmup"):
        get_schedule("constant", {"warmup": 0.1})
    with pytest.raises(ConfigError, match="warmup"):
        get_schedule("cosine", {"warmup": 1.0})
