"""Rules: silent on what is in order, prompt on a fault, closed again, one alert at a time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.ops.rules import Latch, Rule, RuleEvent, Sample, all_rules
from qstore_ray.ops.rules.budget import BudgetBurn
from qstore_ray.ops.rules.failed import FailedRun
from qstore_ray.ops.rules.gradients import VanishingGradients
from qstore_ray.ops.rules.jump import LossJump
from qstore_ray.ops.rules.memory import MemoryGrowth
from qstore_ray.ops.rules.not_finite import NotFinite
from qstore_ray.ops.rules.plateau import PlateauRule
from qstore_ray.ops.rules.robust import PER_MAD, median, rising_share, spread
from qstore_ray.ops.rules.stalled import Stalled
from qstore_ray.ops.rules.throughput import ThroughputDrop

SEEDS = range(10)


def events_of(rule: Rule, samples: Iterable[Sample]) -> list[tuple[int, RuleEvent]]:
    """The events with the number of the sample that caused each."""
    state, found = rule.init(), []
    for number, sample in enumerate(samples):
        state, event = rule.update(state, sample)
        if event is not None:
            found.append((number, event))
    return found


def kinds_of(rule: Rule, samples: Iterable[Sample]) -> list[tuple[int, bool]]:
    return [(number, event.opens) for number, event in events_of(rule, samples)]


def steps(losses: Iterable[float]) -> Iterator[Sample]:
    for number, loss in enumerate(losses):
        yield Sample("step", 0.25 * number, {"loss": float(loss), "step": number})


def epochs(**columns: Iterable[float]) -> Iterator[Sample]:
    for number, row in enumerate(zip(*columns.values(), strict=True)):
        yield Sample(
            "epoch", float(number), {"epoch": number, **dict(zip(columns, row, strict=True))}
        )


def falling(n: int, seed: int, noise: float = 0.05) -> np.ndarray:
    """A loss that falls to rest, with noise."""
    t = np.arange(n)
    return 2.0 * np.exp(-t / 100.0) + 0.5 + noise * np.random.default_rng(seed).normal(size=n)


# ------------------------------------------------------------------------------------ statistics


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60))
def test_the_statistics_are_numpys(values: list[float]):
    assert median(values) == pytest.approx(np.median(values))
    center = float(np.median(values))
    expected = PER_MAD * np.median(np.abs(np.array(values) - center))
    assert spread(values, center) == pytest.approx(expected)


def test_a_rising_share_is_kendalls():
    rng = np.random.default_rng(0)
    values = (rng.normal(size=30) + np.arange(30) / 20).tolist()
    from scipy.stats import kendalltau

    assert rising_share(values) == pytest.approx(kendalltau(range(30), values).statistic)
    assert rising_share([1.0, 2.0, 3.0]) == 1.0
    assert rising_share([1.0]) == rising_share([2.0, 2.0]) == 0.0


# ------------------------------------------------------------------------------------ laws of all


@given(st.lists(st.sampled_from("bgn"), max_size=60), st.integers(1, 5), st.integers(1, 5))
def test_a_latch_changes_only_after_enough_samples_in_a_row(letters, opens_after, closes_after):
    latch, is_open, run = Latch(), False, 0
    for letter in letters:
        run = run + 1 if letter == ("g" if is_open else "b") else 0
        due = run == (closes_after if is_open else opens_after)
        latch, change = latch.after(
            bad=letter == "b", good=letter == "g",
            opens_after=opens_after, closes_after=closes_after,
        )  # fmt: skip
        assert change == (("closes" if is_open else "opens") if due else "")
        if due:
            is_open, run = not is_open, 0
        assert latch.is_open == is_open


NUMBERS = st.one_of(st.floats(allow_nan=True, allow_infinity=True, width=32), st.just(0.0))
NAMES = ("loss", "train_loss", "gradient_norm", "samples", "seconds", "memory_mib", "epoch",
         "epochs", "allowed_shots", "budget_shots", "step")  # fmt: skip
ANY_SAMPLES = st.lists(
    st.builds(
        Sample,
        st.sampled_from(["start", "step", "epoch", "end", "tick"]),
        st.floats(-1e6, 1e6),
        st.dictionaries(st.sampled_from(NAMES), NUMBERS),
        st.sampled_from(["", "it failed", "became NaN or infinite"]),
    ),
    max_size=40,
)


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.name)
@given(ANY_SAMPLES)
def test_a_rule_opens_and_closes_in_turn_on_any_samples(rule: Rule, samples: list[Sample]):
    found = [event.opens for _, event in events_of(rule, samples)]
    assert found == [number % 2 == 0 for number in range(len(found))]


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.name)
def test_an_update_changes_no_earlier_state(rule: Rule):
    """The same samples from the same state give the same, however often."""
    samples = list(epochs(
        train_loss=falling(60, 0), gradient_norm=falling(60, 1), samples=100.0 * np.arange(60),
        seconds=20.0 * np.arange(60), memory_mib=100.0 + np.arange(60),
    ))  # fmt: skip
    state = rule.init()
    for sample in samples:
        first, again = rule.update(state, sample), rule.update(state, sample)
        assert first == again
        state = first[0]


def test_rules_have_names_of_their_own():
    names = [rule.name for rule in all_rules()]
    assert len(set(names)) == len(names)
    assert set(names) == {
        "nan", "failed", "stalled", "jump", "epoch_jump", "plateau", "gradients", "throughput",
        "memory", "budget",
    }  # fmt: skip


# ----------------------------------------------------------------------------------------- faults


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_opens_at_once_and_closes_after_five(bad: float):
    losses = [1.0, bad, *[1.0] * 6]
    assert kinds_of(NotFinite(), steps(losses)) == [(1, True), (6, False)]
    [(_, event), _] = events_of(NotFinite(), steps(losses))
    assert event.message == f"loss is {bad} in step 1"


def test_a_run_that_ended_with_nan_is_both_not_finite_and_failed():
    end = [Sample("end", 0.0, {}, "the loss became NaN or infinite in step 2")]
    assert kinds_of(NotFinite(), end) == kinds_of(FailedRun(), end) == [(0, True)]
    assert events_of(FailedRun(), [Sample("end")]) == []


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("at", [40, 150, 399])
def test_a_jump_is_found_within_five_samples(seed: int, at: int):
    losses = falling(420, seed)
    losses[at:] += 1.0
    [(found, event)] = events_of(LossJump(), steps(losses[: at + 5]))
    assert event.opens
    assert 0 <= found - at < 5


@pytest.mark.parametrize("seed", SEEDS)
def test_a_jump_that_is_over_closes(seed: int):
    losses = falling(400, seed)
    losses[200:220] += 1.0
    opened, closed = kinds_of(LossJump(), steps(losses))
    assert (opened[1], closed[1]) == (True, False)
    assert 220 <= closed[0] < 240


@pytest.mark.parametrize("seed", SEEDS)
def test_a_falling_loss_and_single_outliers_are_no_jump(seed: int):
    losses = falling(2000, seed)
    losses[::25] += 5.0
    assert events_of(LossJump(), steps(losses)) == []


def test_rounding_errors_of_a_loss_at_rest_are_no_jump():
    losses = np.full(300, 0.1)
    losses[200:] += 1e-9
    assert events_of(LossJump(), steps(losses)) == []


def test_a_run_is_stalled_after_ten_times_its_longest_gap():
    rule = Stalled(floor_seconds=5.0)
    samples = [Sample("epoch", 2.0 * i) for i in range(10)]
    silent = [Sample("tick", 18.0 + t) for t in range(1, 30)]
    [(number, event)] = events_of(rule, [*samples, *silent])
    assert event.value == 21.0  # the first tick past 10 · 2 s
    assert number == 10 + 20
    again = [*samples, *silent, Sample("epoch", 48.0)]
    assert kinds_of(rule, again)[-1] == (len(again) - 1, False)


def test_a_clock_that_jumps_or_a_reader_that_slept_stalls_nothing():
    rule = Stalled()
    samples = [Sample("epoch", float(i)) for i in range(10)]
    for gap in (1e9, -1e9):
        assert events_of(rule, [*samples, Sample("tick", 10.0 + gap)]) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_a_loss_that_never_falls_is_a_plateau_and_one_that_came_to_rest_is_not(seed: int):
    noise = np.random.default_rng(seed).normal(size=200)
    flat = 2.3 + 0.01 * noise
    number, opens = kinds_of(PlateauRule(), epochs(train_loss=flat))[0]
    assert opens
    assert number < 180
    assert events_of(PlateauRule(), epochs(train_loss=falling(200, seed, noise=1e-4))) == []


def test_gradients_that_vanish_alert_unless_the_loss_has_fallen():
    norms = np.concatenate([np.full(20, 0.5), np.full(20, 1e-5)])
    flat = 0.7 + 1e-9 * np.random.default_rng(0).normal(size=40)
    [(number, opens)] = kinds_of(VanishingGradients(), epochs(train_loss=flat, gradient_norm=norms))
    assert opens
    assert 20 < number <= 26
    fell = np.linspace(2.0, 0.5, 40)
    assert events_of(VanishingGradients(), epochs(train_loss=fell, gradient_norm=norms)) == []


def test_gradients_that_are_nothing_from_the_beginning_alert():
    flat, norms = np.full(10, 0.69), np.full(10, 1e-8)
    assert kinds_of(VanishingGradients(), epochs(train_loss=flat, gradient_norm=norms)) == [
        (6, True)
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_drop_of_the_throughput_is_found_and_closes(seed: int):
    took = 12.0 * np.exp(0.05 * np.random.default_rng(seed).normal(size=60))
    took[30:40] *= 3.0
    samples = epochs(samples=1000.0 * np.arange(60), seconds=np.cumsum(took))
    (opened, opens), (closed, closes) = kinds_of(ThroughputDrop(), samples)
    assert (opens, closes) == (True, False)
    assert 32 <= opened <= 33
    assert 42 <= closed <= 43


def test_short_epochs_are_put_together():
    rng = np.random.default_rng(0)
    took = rng.exponential(0.05, 20_000)  # each epoch is noise, ten seconds of them are not
    samples = epochs(samples=100.0 * np.arange(20_000), seconds=np.cumsum(took))
    assert events_of(ThroughputDrop(), samples) == []


def ticks(sizes: Iterable[float]) -> Iterator[Sample]:
    for number, size in enumerate(sizes):
        yield Sample("tick", 15.0 * number, {"memory_mib": float(size)})


@pytest.mark.parametrize("seed", SEEDS)
def test_a_leak_is_found_and_a_cache_or_a_sawtooth_is_none(seed: int):
    rng = np.random.default_rng(seed)
    noise = 5.0 * rng.normal(size=400)
    leak = 500.0 + 20.0 * np.arange(400) + noise
    assert [opens for _, opens in kinds_of(MemoryGrowth(), ticks(leak))] == [True]
    cache = 500.0 + 2000.0 * (np.arange(400) > 150) + noise
    assert events_of(MemoryGrowth(), ticks(cache)) == []
    sawtooth = 500.0 + 40.0 * (np.arange(400) % 30) + noise
    assert events_of(MemoryGrowth(), ticks(sawtooth)) == []


def _burning(rates: Iterable[float], allowed: float, planned: int) -> list[Sample]:
    start = Sample("start", 0.0, {"epochs": planned, "allowed_shots": allowed})
    return [start, *epochs(budget_shots=np.cumsum(list(rates)))]


def test_a_budget_that_will_not_suffice_alerts_long_before_it_is_used_up():
    [(number, event)] = events_of(BudgetBurn(), _burning([100.0] * 20, 5000.0, 100))
    assert number <= 15
    assert event.value == pytest.approx(10_000.0)
    assert events_of(BudgetBurn(), _burning([100.0] * 20, 5000.0, 49)) == []


def test_one_expensive_epoch_burns_no_budget():
    rates = [100.0] * 20
    rates[8] = 1500.0
    assert events_of(BudgetBurn(), _burning(rates, 5000.0, 30)) == []
