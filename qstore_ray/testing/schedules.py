"""The laws of a schedule of the learning rate."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from qstore_ray.config import Config
from qstore_ray.learn.schedules import Horizon, Schedule, Tick
from qstore_ray.learn.schedules.base import ScheduleState

STEPS_PER_EPOCH = 5
METRICS = [0.9, 0.7, 0.7, 0.8, 0.5, 0.5, 0.5, 0.6, 0.4, 0.4]


class ScheduleLaws:
    """Factors are between 0 and 1, also past the end; `update` is pure; the state is numbers; the
    cadence is what it says.

    Fixtures: `schedule`.
    """

    @pytest.fixture
    def schedule(self) -> Schedule:
        """The schedule under test; override it."""
        raise NotImplementedError

    @pytest.mark.parametrize("steps", [1, 2, 3, 10, 100])
    def test_a_factor_is_between_zero_and_one_also_past_the_end(
        self, schedule: Schedule, steps: int
    ) -> None:
        found, _ = factors(schedule, schedule.init(horizon(steps)), ticks(3 * steps + 7))
        assert all(0.0 <= factor <= 1.0 for factor in found)
        assert max(found[:steps]) > 0.0, "a run in which no step moves anything is no run"

    def test_a_million_steps_too_many_are_no_error(self, schedule: Schedule) -> None:
        state = schedule.init(horizon(20))
        moved = {k: 1e6 if k.rpartition(".")[2] in {"t", "step"} else v for k, v in state.items()}
        factor, _ = schedule.update(moved, Tick(begins_epoch=True))
        assert 0.0 <= factor <= 1.0

    @pytest.mark.parametrize("at", [0, 1, 5, 7, 20, 23, 44])
    def test_a_state_that_went_through_a_file_goes_on_the_same(
        self, schedule: Schedule, at: int
    ) -> None:
        whole, end = factors(schedule, schedule.init(horizon(50)), ticks(60))
        _, state = factors(schedule, schedule.init(horizon(50)), ticks(60)[:at])
        text = json.dumps(state, allow_nan=False)
        rest, last = factors(schedule, json.loads(text), ticks(60)[at:])
        assert rest == whole[at:]
        assert last == end
        assert set(state) == set(end), "a checkpoint has a place for every number from the start"
        assert all(type(value) is float for value in end.values())

    def test_its_options_are_written_and_read_back_unchanged(self, schedule: Schedule) -> None:
        assert isinstance(schedule, Config), "a job file has to hold its options"
        again = type(schedule).from_dict(json.loads(json.dumps(schedule.to_dict())))
        assert again == schedule
        assert factors(again, again.init(horizon(50)), ticks(50)) == factors(
            schedule, schedule.init(horizon(50)), ticks(50)
        )

    def test_update_leaves_the_old_state_as_it_was(self, schedule: Schedule) -> None:
        _, state = factors(schedule, schedule.init(horizon(50)), ticks(10))
        before, tick = dict(state), Tick(begins_epoch=True, metric=0.7)
        first = schedule.update(state, tick)
        assert state == before
        assert schedule.update(state, tick) == first

    def test_it_moves_only_at_its_cadence(self, schedule: Schedule) -> None:
        found, _ = factors(schedule, schedule.init(horizon(50)), ticks(50))
        epochs = [found[i : i + STEPS_PER_EPOCH] for i in range(0, 50, STEPS_PER_EPOCH)]
        if schedule.cadence == "epoch":
            assert all(len(set(epoch)) == 1 for epoch in epochs)

    def test_its_cadence_is_metric_if_and_only_if_the_metric_matters(
        self, schedule: Schedule
    ) -> None:
        told, _ = factors(schedule, schedule.init(horizon(50)), ticks(50))
        untold = [tick._replace(metric=None) for tick in ticks(50)]
        blind, _ = factors(schedule, schedule.init(horizon(50)), untold)
        assert (told != blind) == (schedule.cadence == "metric")


def ticks(steps: int) -> list[Tick]:
    """What a run says before each step: epochs of 5 steps, a metric after each."""
    said = []
    for step in range(steps):
        epoch, begins = step // STEPS_PER_EPOCH, step % STEPS_PER_EPOCH == 0
        metric = METRICS[(epoch - 1) % len(METRICS)] if begins and epoch else None
        said.append(Tick(begins, metric))
    return said


def horizon(steps: int) -> Horizon:
    """A run of that many steps in epochs of 5."""
    return Horizon(steps, min(steps, STEPS_PER_EPOCH))


def factors(
    schedule: Schedule, state: ScheduleState, said: Sequence[Tick]
) -> tuple[list[float], ScheduleState]:
    """The factor of each step, and the state after the last one."""
    found = []
    for tick in said:
        factor, state = schedule.update(state, tick)
        found.append(factor)
    return found, state
