"""Schedules inside schedules act as on their own; lengths and thresholds at their borders."""

from __future__ import annotations

import pytest

from qstore_ray.errors import ConfigError
from qstore_ray.learn.schedules import Horizon, Schedule, Tick, get_schedule

CONSTANT = {"name": "constant"}
MEMBERS = [
    {"name": "cosine", "eta_min": 0.1},
    {"name": "cosine", "unit": "epoch"},
    {"name": "one_cycle", "pct_start": 0.25},
    {"name": "one_cycle", "unit": "epoch"},
]
every_member = pytest.mark.parametrize("member", MEMBERS, ids=str)


def _own(table: dict) -> Schedule:
    return get_schedule(table["name"], {k: v for k, v in table.items() if k != "name"})


def _factors(schedule: Schedule, steps: int, per_epoch: int, skipped: int = 0) -> list[float]:
    """The factors of `steps` steps, the first of which is step number `skipped` of the run."""
    state, found = schedule.init(Horizon(steps, per_epoch)), []
    for step in range(skipped, skipped + steps):
        factor, state = schedule.update(state, Tick(begins_epoch=step % per_epoch == 0))
        found.append(factor)
    return found


@every_member
def test_a_member_of_a_chain_has_its_share_of_the_run_as_its_whole_run(member):
    chain = get_schedule(
        "chain", {"milestones": [0.25, 0.75], "schedules": [CONSTANT, member, member]}
    )
    found = _factors(chain, 40, 5)
    assert found[:10] == [1.0] * 10
    assert found[10:30] == _factors(_own(member), 20, 5)
    assert found[30:] == _factors(_own(member), 10, 5)


@every_member
@pytest.mark.parametrize(("length", "unit"), [(0.25, "run"), (2, "epoch"), (10, "step")])
def test_what_follows_a_warm_up_has_the_rest_of_the_run_as_its_whole_run(member, length, unit):
    options = {"length": length, "unit": unit, "start_factor": 0.5, "then": member}
    found = _factors(get_schedule("warmup", options), 40, 5)
    assert found[:10] == pytest.approx([0.5 + 0.05 * step for step in range(10)])
    assert found[10:] == _factors(_own(member), 30, 5)


@pytest.mark.parametrize("unit", ["epoch", "step"])
def test_milestones_count_in_their_unit(unit):
    milestones = {"epoch": [1, 3], "step": [5, 15]}[unit]
    members = [{"name": "exponential", "gamma": 0.5, "unit": "step"}] * 3
    chain = get_schedule("chain", {"milestones": milestones, "unit": unit, "schedules": members})
    found = _factors(chain, 20, 5)
    assert [step for step in range(20) if found[step] == 1.0] == [0, 5, 15]


@pytest.mark.parametrize("name", ["cosine", "one_cycle"])
def test_without_a_length_a_curve_takes_the_whole_run_in_either_unit(name):
    by_epoch = _factors(get_schedule(name, {"unit": "epoch"}), 40, 5)
    by_step = _factors(get_schedule(name, {"unit": "step"}), 8, 1)
    assert by_epoch == [factor for factor in by_step for _ in range(5)]


@pytest.mark.parametrize("schedules", [[CONSTANT], [{"name": "cosine", "unit": "epoch"}]])
def test_a_chain_moves_every_step_unless_a_member_watches_a_metric(schedules):
    assert get_schedule("chain", {"schedules": schedules}).cadence == "step"
    watching = get_schedule(
        "chain", {"schedules": [*schedules, {"name": "plateau"}], "milestones": [0.5]}
    )
    assert watching.cadence == "metric"


@pytest.mark.parametrize(
    ("length", "unit", "fix"),
    [
        (0.0, "run", 'Write for example 0.1, or count in unit = "step" or "epoch".'),
        (1.0, "run", 'Write for example 0.1, or count in unit = "step" or "epoch".'),
        (0, "step", 'Write a whole number, or unit = "run" for a share of the run.'),
        (0.5, "epoch", 'Write a whole number, or unit = "run" for a share of the run.'),
    ],
)
def test_a_length_outside_its_unit_is_refused_with_the_way_out(length, unit, fix):
    with pytest.raises(ConfigError) as caught:
        get_schedule("warmup", {"length": length, "unit": unit, "then": CONSTANT})
    assert caught.value.fix == fix
    between = "a share of the run lies between 0 and 1" in str(caught.value)
    whole = f"a number of {unit}s is a whole number from 1" in str(caught.value)
    assert (between, whole) == (unit == "run", unit != "run")


def test_the_shortest_lengths():
    for length, unit, per_epoch in [(1, "step", 1), (1, "epoch", 1), (0.01, "run", 1)]:
        options = {"length": length, "unit": unit, "start_factor": 0.25, "then": CONSTANT}
        found = _factors(get_schedule("warmup", options), 4, per_epoch)
        assert found == ([1.0] * 4 if unit == "run" else [0.25, 1.0, 1.0, 1.0])


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_a_share_leaves_at_least_the_last_step_to_what_follows(steps):
    options = {"length": 0.99, "shape": "constant", "start_factor": 0.5, "then": CONSTANT}
    found = _factors(get_schedule("warmup", options), steps, 1)
    assert found == [0.5] * (steps - 1) + [1.0]


def test_a_table_without_a_name_is_refused_with_an_example():
    with pytest.raises(ConfigError, match="a schedule is a table with a name") as caught:
        get_schedule("warmup", {"then": {"eta_min": 0.1}})
    assert caught.value.fix == 'For example { name = "cosine", eta_min = 0.1 }.'
    with pytest.raises(ConfigError, match="unknown schedule"):
        get_schedule("warmup", {"then": {"name": "cosin"}})


# ---------------------------------------------------------------------------------------- plateau


def _falls(metrics: list[float], **options) -> list[bool]:
    """Whether the factor fell after each metric."""
    schedule = get_schedule("plateau", {"patience": 0, "factor": 0.5, **options})
    state, before, found = schedule.init(Horizon(len(metrics), 1)), 1.0, []
    for metric in metrics:
        factor, state = schedule.update(state, Tick(True, metric, larger_is_better=False))
        found.append(factor < before)
        before = factor
    return found


@pytest.mark.parametrize(
    ("options", "second", "falls"),
    [
        (
            {"threshold": 0.25, "threshold_mode": "rel"},
            3.0,
            True,
        ),  # 4 − 3 is not more than a quarter
        ({"threshold": 0.25, "threshold_mode": "rel"}, 2.875, False),
        ({"threshold": 0.25, "threshold_mode": "abs"}, 3.75, True),
        ({"threshold": 0.25, "threshold_mode": "abs"}, 3.625, False),
        ({"threshold": 0.25, "threshold_mode": "rel", "mode": "max"}, 5.0, True),
        ({"threshold": 0.25, "threshold_mode": "rel", "mode": "max"}, 5.125, False),
        ({"threshold": 0.25, "threshold_mode": "abs", "mode": "max"}, 4.25, True),
        ({"threshold": 0.25, "threshold_mode": "abs", "mode": "max"}, 4.375, False),
        ({"threshold": 0.0}, 4.0, True),
    ],
)
def test_a_better_metric_exceeds_the_threshold(options, second, falls):
    assert _falls([4.0, second], **options) == [False, falls]


def test_the_relative_threshold_is_of_the_size_of_a_negative_best():
    assert _falls([-4.0, -4.5], threshold=0.25) == [False, True]
    assert _falls([-4.0, -5.5], threshold=0.25) == [False, False]


def test_patience_counts_epochs_in_a_row():
    assert _falls([1.0] * 7, patience=2) == [False, False, False, True, False, False, True]
    assert _falls([4.0, 4.0, 3.0, 3.0, 3.0], patience=1) == [False, False, False, False, True]
    assert _falls([4.0, 4.0, 4.0, 4.0, 4.0], cooldown=2) == [False, True, False, False, True]
