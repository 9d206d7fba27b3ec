"""Budgets: refused before the first job, reached before the job that would pass them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.backends.ibm.budget import HardwareBudget, HardwareLimits, Spending
from qstore_ray.backends.ibm.forecast import HardwareCost, QpuRates, forecast
from qstore_ray.backends.ibm.ledger import entries
from qstore_ray.backends.ibm.ledger.record import HardwareJob, advance
from qstore_ray.errors import BudgetError, BudgetReachedError, ConfigError
from tests.unit.backends.ibm.made import key_of

STEP = HardwareCost(jobs=1, executions=1000, qpu_seconds=10.0, billed_seconds=10.0, money=16.0)
NAMES = ("seconds", "money", "executions", "jobs")
EXACT = {"seconds": 10.0, "money": 16.0, "executions": 1000, "jobs": 1}


def ledger_job(*steps: entries.JobEntry, trials: tuple[str, ...] = ("a", "a", "b")) -> HardwareJob:
    """A job of 300 executions, forecast 9 seconds, after these steps."""
    shares = [
        entries.RequestShare(key=key_of(i), trial=trial, executions=100, rows=1)
        for i, trial in enumerate(trials)
    ]
    intent = entries.IntentEntry(
        key=KEY,
        requests=tuple(shares),
        shots=100,
        options="{}",
        forecast_seconds=9.0,
        price_per_second=2.0,
    )
    record = advance(None, intent, "now")
    for step in steps:
        record = advance(record, step, "now")
    return record


KEY = key_of("job")
LOOKED_UP = entries.LookedUpEntry(key=KEY)
SUBMITTING = entries.SubmittingEntry(key=KEY)
ACCEPTED = entries.AcceptedEntry(key=KEY, job_id="1")
FOUND = entries.LookedUpEntry(key=KEY, job_ids=("1",))
CANCELLED = entries.CancelledEntry(key=KEY, reason="no")
FAILED = entries.FailedEntry(key=KEY, reason="no")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0, -1])
def test_a_budget_of_nothing_is_refused(name, value):
    with pytest.raises(ConfigError) as caught:
        HardwareBudget.from_dict({"trial": {name: value}})
    assert caught.value.field == f"trial.{name}"
    assert "above 0" in caught.value.fix


def test_a_budget_is_a_table():
    table = {"run": {"seconds": 600.0}, "trial": {"jobs": 50}}
    assert HardwareBudget.from_dict(table).to_dict() == table
    with pytest.raises(ConfigError) as caught:
        HardwareBudget.from_dict({"run": {"second": 1.0}})
    assert "seconds" in caught.value.fix


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("of", ["run", "trial"])
def test_a_forecast_may_use_a_limit_up_and_no_more(name, of):
    exact = HardwareBudget.from_dict({of: {name: EXACT[name]}})
    exact.check(STEP, trials={"a": STEP})
    with pytest.raises(BudgetError) as caught:
        exact.check(STEP * 2, trials={"a": STEP * 2})
    assert caught.value.field == f"{'budget' if of == 'run' else 'trial_budget'}.{name}"
    assert caught.value.exit_code == 2
    assert caught.value.fix


def test_what_was_spent_counts():
    budget = HardwareBudget(run=HardwareLimits(jobs=3), trial=HardwareLimits(seconds=25.0))
    spending = Spending(STEP * 2, {"a": STEP * 2, "b": HardwareCost()})
    budget.check_next({"b": STEP}, spending)
    with pytest.raises(BudgetReachedError, match="'a' may use 25 seconds, has used 20, and") as own:
        budget.check_next({"b": HardwareCost(), "a": STEP}, spending)
    assert own.value.value == "a"
    with pytest.raises(BudgetReachedError, match="the run may use 3 jobs") as common:
        budget.check_next({"b": STEP * 2}, spending)
    assert common.value.value is None
    assert common.value.exit_code == 5


def test_the_account_is_asked_for_what_it_has_left_beside_the_jobs_in_flight():
    spending = Spending(STEP * 5, {}, pending_seconds=20.0)
    HardwareBudget().check(STEP, spending=spending, account_seconds=30.0)
    with pytest.raises(BudgetError, match="in flight take 20, and 10 are needed") as caught:
        HardwareBudget().check(STEP, spending=spending, account_seconds=29.0)
    assert caught.value.field == "account"
    with pytest.raises(BudgetReachedError):
        HardwareBudget().check_next({"a": STEP}, Spending(), account_seconds=0.0)


def test_money_without_a_price_cannot_be_limited():
    budget = HardwareBudget(run=HardwareLimits(money=100.0))
    with pytest.raises(ConfigError, match="no price") as caught:
        budget.check(forecast(1, 1, QpuRates()))
    assert "price_per_second" in caught.value.fix


def test_a_step_of_parameter_shift_is_refused_on_the_open_plan():
    """747 seconds, of the 600 that it has in 28 days."""
    step = forecast(1, 2080 * 1024, QpuRates())
    with pytest.raises(BudgetError, match="747"):
        HardwareBudget().check(step, account_seconds=600.0)


@pytest.mark.parametrize(
    ("steps", "jobs", "seconds", "pending"),
    [
        ((), 1, 9.0, 9.0),
        ((LOOKED_UP,), 1, 9.0, 9.0),
        ((FOUND,), 1, 9.0, 9.0),
        ((CANCELLED,), 0, 0.0, 0.0),
        ((LOOKED_UP, SUBMITTING), 1, 9.0, 9.0),
        ((LOOKED_UP, SUBMITTING, LOOKED_UP), 1, 9.0, 9.0),
        ((LOOKED_UP, SUBMITTING, FAILED), 0, 0.0, 0.0),
        ((LOOKED_UP, SUBMITTING, ACCEPTED), 1, 9.0, 9.0),
        ((LOOKED_UP, SUBMITTING, ACCEPTED, FAILED), 1, 9.0, 9.0),
    ],
)
def test_a_job_counts_from_its_intent_until_it_has_ended_without_a_bill(
    steps, jobs, seconds, pending
):
    spending = Spending.of([ledger_job(*steps)])
    assert (spending.total.jobs, spending.total.billed_seconds) == (jobs, seconds)
    assert spending.pending_seconds == pending


def test_a_resumed_run_needs_what_no_job_answers_whatever_was_billed():
    billed = entries.UsageEntry(key=KEY, job_id="1", seconds=60.0)
    done = ledger_job(LOOKED_UP, SUBMITTING, ACCEPTED, billed)
    failed = ledger_job(LOOKED_UP, SUBMITTING, ACCEPTED, FAILED, billed)
    spending = Spending.of([done, failed])
    assert spending.total.billed_seconds == 120.0
    assert spending.answered == HardwareCost(1, 300, 9.0, 9.0, 18.0)


def test_a_run_that_needs_nothing_more_passes_no_limit():
    """It may have been billed for more than it was forecast to take."""
    HardwareBudget(run=HardwareLimits(seconds=5.0)).check(HardwareCost(), spending=Spending(STEP))


def test_billed_seconds_replace_the_forecast_also_of_duplicates_and_failed_jobs():
    job = ledger_job(
        LOOKED_UP,
        SUBMITTING,
        ACCEPTED,
        FAILED,
        entries.UsageEntry(key=KEY, job_id="1", seconds=0.0),
        entries.LookedUpEntry(key=KEY, job_ids=("2",)),
        entries.DuplicateEntry(key=KEY, job_id="2", outcome="completed"),
        entries.UsageEntry(key=KEY, job_id="2", seconds=6.0),
    )
    spending = Spending.of([job])
    assert spending.pending_seconds == 0.0
    assert spending.total == HardwareCost(2, 600, 6.0, 6.0, 12.0)
    assert spending.trials["a"].billed_seconds == pytest.approx(4.0)
    assert spending.trials["b"].billed_seconds == pytest.approx(2.0)


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=6), st.floats(0.0, 1e6))
def test_the_shares_of_the_trials_add_up(trials, seconds):
    job = ledger_job(
        LOOKED_UP,
        SUBMITTING,
        ACCEPTED,
        entries.UsageEntry(key=KEY, job_id="1", seconds=seconds),
        trials=tuple(trials),
    )
    spending = Spending.of([job, job])
    parts = spending.trials.values()
    assert sum(part.billed_seconds for part in parts) == pytest.approx(2 * seconds)
    assert sum(part.executions for part in parts) == spending.total.executions
    assert {part.jobs for part in parts} == {2}
    assert spending.trials.keys() == set(trials)
