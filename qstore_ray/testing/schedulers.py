"""The laws of a scheduler of a search, in a loop like Ray Tune's in one process."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest

from qstore_ray.testing.tune_loop import Loop, points_of
from qstore_ray.tune.schedulers.base import Scheduler
from qstore_ray.tune.space.fields import Values
from qstore_ray.tune.space.space import Space

EPOCHS = 30
RATE = {"type": "float", "low": 1e-3, "high": 0.3, "log": True}
SPACE = Space.from_dict(
    {
        "trainer.learning_rate": RATE,
        "model.layers": {"type": "int", "low": 1, "high": 8},
        "trainer.clip_norm": {"type": "float", "low": 0.5, "high": 4.0},
    }
)


class SchedulerLaws:
    """It acts exactly at the epochs at which `decides` says so, further reports change nothing, the
    seed decides, and it keeps Ray's protocol for trials that fail.

    A trial reports 30 epochs; its score is random from 0 to 1, plus 0.01 an epoch. Give a threshold
    that about half of the trials miss.

    Fixtures: `scheduler`; `trials`, if it takes long.
    """

    @pytest.fixture
    def scheduler(self) -> Scheduler:
        """The scheduler under test; override it."""
        raise NotImplementedError

    @pytest.fixture
    def trials(self) -> tuple[int, int]:
        """How many trials the long and the short laws run."""
        return 60, 24

    def test_it_acts_exactly_where_it_says(
        self, scheduler: Scheduler, trials: tuple[int, int]
    ) -> None:
        """Every epoch is reported, twice as many trials as places: it acts wherever it may."""
        loop = looped(scheduler, trials[0])
        loop.run(EPOCHS)
        expected = {epoch for epoch in range(1, EPOCHS) if scheduler.decides(epoch, EPOCHS)}
        changed = {epoch for _, epoch, _ in loop.courses}
        assert loop.acted | changed <= expected
        assert bool(loop.acted | changed) == bool(expected), (
            "it never acted; choose options with which it ends or changes some of these trials"
        )

    @pytest.mark.parametrize("at_once", [3, 24])
    def test_what_a_search_does_is_independent_of_further_reports(
        self, scheduler: Scheduler, trials: tuple[int, int], at_once: int
    ) -> None:
        histories = []
        reports: tuple[Callable[[int], bool], ...] = (
            lambda _: True,
            lambda epoch: scheduler.decides(epoch, EPOCHS),
            lambda epoch: scheduler.decides(epoch, EPOCHS) or epoch % 7 == 3,
        )
        for reported in reports:
            loop = looped(scheduler, trials[1])
            histories.append((loop.run(EPOCHS, reported, at_once=at_once), loop.courses))
        assert histories[0] == histories[1] == histories[2]

    def test_the_seed_decides_and_the_global_generators_do_not(self, scheduler: Scheduler) -> None:
        histories = []
        for state in (1, 2):
            # gate: QS101 because Ray draws from this state
            random.seed(state)
            # gate: QS101 because Ray draws from this state
            np.random.seed(state)
            before = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]
            loop = looped(scheduler, 6, seed=7)
            histories.append((loop.run(EPOCHS), loop.courses))
            after = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]
            assert after == before
        assert histories[0] == histories[1]

    @pytest.mark.parametrize("dies", [1, 2, 4, 8, 9])
    def test_nobody_waits_for_a_trial_that_is_gone(self, scheduler: Scheduler, dies: int) -> None:
        loop = looped(scheduler, 12)
        ended = loop.run(EPOCHS, fails=lambda number, epoch: number % 3 == 1 and epoch == dies)
        assert ended
        assert all(trial.is_finished() for trial in loop.trials)


def looped(scheduler: Scheduler, trials: int, *, seed: int = 0) -> Loop:
    """Ray Tune's loop with that many trials, whose score depends on values and epoch alone."""
    scheduler.check(SPACE, 1, EPOCHS, 1)
    opened = scheduler.open(SPACE, epochs=EPOCHS, seed=seed)
    return Loop(opened, points_of(SPACE, trials, np.random.default_rng(5)), noise)


def noise(_: int, epoch: int, values: Values) -> float:
    """A score: a trial that takes over another's values and state gets the other's scores."""
    return random.Random(f"{values} {epoch}").random() + 0.01 * epoch
