"""Packing: each request in one job, within the caps, in time, and fair by weight."""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.backends.ibm.forecast import jobs_for
from qstore_ray.backends.ibm.queue.packing import Packer
from qstore_ray.backends.ibm.requests import CircuitRequest, JobCaps, PackedJob
from qstore_ray.errors import ConfigError
from tests.unit.backends.ibm.made import key_of, request

CAPS = JobCaps(executions=1000, payload_bytes=400, in_flight=5)
DELAY = 0.03
WEIGHTS = {"a": 1.0, "b": 2.0, "c": 0.5}


@st.composite
def traffic(draw) -> list[CircuitRequest]:
    """Requests of three trials in order of arrival: single ones, and shares of groups."""
    found: list[CircuitRequest] = []
    now = 0.0
    for number in range(draw(st.integers(1, 12))):
        now += draw(st.sampled_from([0.0, 0.004, 0.02, 0.2]))
        trial = draw(st.sampled_from(sorted(WEIGHTS)))
        common = {
            "trial": trial,
            "weight": WEIGHTS[trial],
            "shots": draw(st.sampled_from([50, 100])),
            "options": draw(st.sampled_from(["{}", '{"x":1}'])),
            "row_bytes": draw(st.sampled_from([0, 30])),
        }
        parts = draw(st.integers(1, 3))
        present = draw(st.lists(st.integers(0, parts - 1), min_size=1, unique=True))
        deadline = now + draw(st.sampled_from([0.05, 0.5]))
        for part in present if parts > 1 else [0]:
            group = {"group": f"g{number}", "part": part, "parts": parts, "deadline": deadline}
            found.append(
                request(
                    (number, part),
                    arrival=now,
                    rows=draw(st.integers(1, 25)),
                    **common,
                    **(group if parts > 1 else {}),
                )
            )
            now += draw(st.sampled_from([0.0, 0.001]))
    return found


def played(requests: list[CircuitRequest], in_flight: int = 0) -> list[tuple[float, PackedJob]]:
    """The jobs with the times at which they leave; the packer is asked when it says so."""
    packer, sent, waiting = Packer(CAPS, delay=DELAY), [], list(requests)
    now = 0.0
    while waiting or len(packer):
        times = [packer.next_time()] if packer.next_time() is not None else []
        times += [waiting[0].arrival] if waiting else []
        now = max([now, *([min(times)] if times else [])])
        while waiting and waiting[0].arrival <= now:
            packer.add(waiting.pop(0))
        jobs = packer.take(now, in_flight)
        assert jobs or times, "it waits for something that never comes"
        sent += [(now, job) for job in jobs]
    return sent


@given(traffic())
def test_each_row_is_in_one_job_within_the_caps_and_of_one_kind(requests):
    sent = played(requests)
    rows: Counter[tuple[str, int]] = Counter()
    for _, job in sent:
        assert job.executions <= CAPS.executions
        assert job.payload_bytes <= CAPS.payload_bytes
        assert {each.settings for each in job.requests} == {job.settings}
        rows.update(
            (r.source or r.key, r.first_row + i) for r in job.requests for i in range(r.rows)
        )
    assert rows == Counter((each.key, i) for each in requests for i in range(each.rows))
    assert played(requests) == sent, "the same requests give the same jobs"


@given(traffic())
def test_nothing_waits_longer_than_its_delay_or_deadline(requests):
    """With free places in flight."""
    shares: dict[str, list[CircuitRequest]] = {}
    for each in requests:
        shares.setdefault(each.group, []).append(each)
    for now, job in played(requests, in_flight=-1000):
        for piece in job.requests:
            group = shares[piece.group] if piece.group else [piece]
            limit = piece.deadline
            if len(group) == piece.parts:
                limit = min(limit, max(share.arrival for share in group) + DELAY)
            assert piece.arrival <= now <= limit


@given(traffic(), st.integers(0, 7))
def test_no_more_jobs_are_sent_than_may_be_in_flight(requests, in_flight):
    packer = Packer(CAPS)
    for each in requests:
        packer.add(each)
    assert len(packer.take(math.inf, in_flight)) <= max(0, 5 - in_flight)


@given(traffic(), st.sampled_from(sorted(WEIGHTS)), st.integers(0, 8))
def test_a_trial_that_has_ended_leaves_nothing_behind(requests, trial, asked_after):
    packer = Packer(CAPS)
    for each in requests[:asked_after]:
        packer.add(each)
    packer.take(0.0, in_flight=5)  # some are ready
    for each in requests[asked_after:]:
        packer.add(each)
    before = len(packer)
    gone = packer.withdraw(trial)
    assert {each.trial for each in gone} <= {trial}
    assert len(packer) == before - len(gone)
    left = [each for job in drained(packer) for each in job.requests]
    assert {each.trial for each in left} <= {*WEIGHTS} - {trial}
    assert len(left) + len(gone) == before
    assert packer.next_time() is None


def drained(packer: Packer) -> list[PackedJob]:
    """All jobs, one after the other."""
    jobs = []
    while len(packer):
        jobs += packer.take(math.inf, in_flight=4)
    return jobs


@given(
    sizes=st.lists(
        st.tuples(st.sampled_from(sorted(WEIGHTS)), st.integers(1, 10)), min_size=1, max_size=40
    )
)
def test_while_trials_wait_they_are_served_by_weight_up_to_one_request_of_each(sizes):
    packer = Packer(CAPS)
    requests = [
        request(i, trial=trial, weight=WEIGHTS[trial], rows=rows)
        for i, (trial, rows) in enumerate(sizes)
    ]
    for each in requests:
        packer.add(each)
    served = dict.fromkeys(WEIGHTS, 0.0)
    waiting = Counter(each.trial for each in requests)
    largest = {
        t: max((r.executions / r.weight for r in requests if r.trial == t), default=0.0)
        for t in WEIGHTS
    }
    for each in (each for job in drained(packer) for each in job.requests):
        served[each.trial] += each.executions / each.weight
        waiting[each.trial] -= 1
        for one, other in combinations([trial for trial in WEIGHTS if waiting[trial]], 2):
            assert abs(served[one] - served[other]) <= largest[one] + largest[other] + 1e-9


def test_busy_trials_share_five_jobs_in_flight_by_weight_and_none_starves():
    """Each asks again as soon as it is answered; jobs take a second and end one after the other."""
    weights, most = {"a": 1.0, "b": 1.0, "c": 2.0, "d": 4.0}, {"a": 10, "b": 1, "c": 5, "d": 8}
    caps = JobCaps(executions=2000, in_flight=5)
    packer, rng = Packer(caps, delay=DELAY), random.Random(0)
    served, ends, jobs = dict.fromkeys(weights, 0.0), [0.0] * 5, 0
    asked: Counter[str] = Counter()
    last = dict.fromkeys(weights, 0)

    def ask(trial: str, now: float) -> None:
        asked[trial] += 1
        rows, weight = rng.randint(1, most[trial]), weights[trial]
        name = (trial, asked[trial])
        packer.add(request(name, trial=trial, weight=weight, rows=rows, arrival=now))

    for trial in weights:
        for _ in range(120):
            ask(trial, 0.0)
    while jobs < 400:
        now = heapq.heappop(ends)
        for job in packer.take(now + DELAY, in_flight=4):
            heapq.heappush(ends, now + 1.0)
            jobs += 1
            for each in job.requests:
                served[each.trial] += each.executions / each.weight
                last[each.trial] = jobs
                ask(each.trial, now + 1.0)
            assert all(jobs - at <= 5 for at in last.values()), "none starves"
            for one, other in combinations(weights, 2):
                bound = sum(100 * most[trial] / weights[trial] for trial in (one, other))
                assert abs(served[one] - served[other]) <= bound


def test_a_trial_that_was_idle_gets_no_credit():
    packer = Packer(CAPS)
    for i in range(20):
        packer.add(request(("a", i), trial="a", rows=5))
    assert len(packer.take(math.inf, in_flight=0)) == 5  # ten requests of a are served
    for i in range(10):
        packer.add(request(("b", i), trial="b", rows=5))
    (job,) = packer.take(math.inf, in_flight=4)
    assert Counter(each.trial for each in job.requests) == {"a": 1, "b": 1}


def test_a_trial_that_floods_the_queue_delays_another_by_one_job():
    packer = Packer(CAPS)
    for i in range(100):
        packer.add(request(("a", i), trial="a", rows=5))
    packer.take(math.inf, in_flight=4)
    packer.add(request("b", trial="b", rows=5))
    (job,) = packer.take(math.inf, in_flight=4)
    assert "b" in {each.trial for each in job.requests}


@pytest.mark.parametrize("workers", [1, 4, 16])
def test_the_shares_of_a_step_make_one_job(workers):
    packer = Packer(CAPS)
    for part in range(workers):
        assert packer.take(now=5.0) == ()
        packer.add(request(part, group="s1", part=part, parts=workers, deadline=9.0, shots=50))
    (job,) = packer.take(now=5.0)
    assert [each.part for each in job.requests] == list(range(workers))


def steps(*trials: str, arrival: float = 0.0, **changes) -> list[CircuitRequest]:
    """A whole step of each trial."""
    return [
        request((t, arrival), trial=t, group=f"s{arrival}", arrival=arrival, **changes)
        for t in trials
    ]


def test_steps_of_several_trials_share_a_job():
    """The first one, too, waits for the others, which nobody knows of yet."""
    packer = Packer(CAPS, delay=DELAY, run="study")
    for at in (0.0, 5.0):
        packer.add(*steps("a", arrival=at))
        assert packer.take(now=at) == ()
        assert packer.next_time() == at + DELAY
        for number, trial in enumerate(("b", "c"), start=1):
            packer.add(*steps(trial, arrival=at + number * DELAY / 4))
        assert packer.take(now=at + DELAY / 2) == ()
        (job,) = packer.take(now=at + DELAY)
        assert [each.trial for each in job.requests] == ["a", "b", "c"]


def test_trials_that_shared_a_job_wait_for_each_other_longer():
    packer = Packer(CAPS, delay=DELAY, run="study")
    packer.expect({"a", "b"}, -1.0, 9.0)
    packer.add(*steps("a", arrival=9.0))
    assert packer.next_time() == 9.5, "b is expected"
    packer.add(*steps("b", arrival=9.3))
    (job,) = packer.take(now=9.3)
    assert [each.trial for each in job.requests] == ["a", "b"]
    packer.expect({"a", "b"}, -999.0, 11.0)
    packer.add(*steps("a", arrival=11.0))
    assert packer.next_time() == 12.0, "a second at most"
    packer.withdraw("b")
    assert packer.next_time() == 11.0 + DELAY, "b has ended"


def test_who_does_not_come_back_is_waited_for_once():
    packer = Packer(CAPS, delay=DELAY, run="study")
    packer.expect({"a", "b"}, -1.0, 9.0)
    for arrival, leaves in ((9.0, 9.5), (10.0, 10.0 + DELAY)):
        packer.add(*steps("a", arrival=arrival))
        assert packer.next_time() == leaves
        assert len(packer.take(now=leaves)) == 1
    packer.expect({"a"}, 1.0, 11.0)
    packer.add(*steps("a", arrival=11.0))
    assert packer.next_time() == 11.0 + DELAY, "it had a job of its own"


def test_a_step_of_a_run_that_is_no_search_waits_for_nothing():
    packer = Packer(CAPS, delay=DELAY, run="a")
    packer.add(*steps("a", arrival=5.0))
    assert packer.next_time() == 5.0
    assert len(packer.take(now=5.0)) == 1


def test_what_waits_leaves_with_a_single_request_and_with_what_waits_for_jobs_in_flight():
    packer = Packer(CAPS, delay=DELAY)
    packer.add(request("c", trial="c"))
    assert len(packer.take(now=DELAY)) == 1
    packer.add(request("a", trial="a", arrival=1.0))
    packer.add(*steps("b", arrival=1.02))
    (job,) = packer.take(now=1.0 + DELAY)  # the step of b would wait for c
    assert [each.trial for each in job.requests] == ["b", "a"]
    packer.add(request("a2", trial="a", arrival=2.0))
    assert packer.take(now=2.0 + DELAY, in_flight=5) == ()
    packer.add(request("b2", trial="b", arrival=2.04))
    (job,) = packer.take(now=2.04, in_flight=4)
    assert len(job.requests) == 2


def test_work_of_rare_settings_is_not_starved():
    packer = Packer(CAPS)
    for i in range(100):
        packer.add(request(("a", i), trial="a", rows=5))
    packer.take(math.inf, in_flight=4)
    packer.add(request("b", trial="b", shots=7))
    sent = [packer.take(math.inf, in_flight=4)[0] for _ in range(2)]
    assert 7 in {job.settings.shots for job in sent}


def test_a_group_leaves_at_its_deadline_without_the_missing_share_which_follows():
    packer = Packer(CAPS)
    packer.add(request(0, group="s1", part=0, parts=2, deadline=2.0))
    assert packer.next_time() == 2.0
    assert packer.take(now=1.9) == ()
    assert len(packer.take(now=2.0)) == 1
    packer.add(request(1, group="s1", part=1, parts=2, deadline=2.0, arrival=2.5))
    assert len(packer.take(now=2.5)) == 1


def test_a_group_above_the_caps_leaves_in_several_jobs_at_once():
    packer = Packer(CAPS, run="a")
    for part in range(4):
        packer.add(request(part, group="s", part=part, parts=4, deadline=9.0, rows=4))
    assert [job.executions for job in packer.take(now=0.0)] == [800, 800]


def test_what_waits_leaves_earlier_if_a_job_of_its_kind_leaves_or_it_fills_one():
    packer = Packer(CAPS, delay=DELAY, run="a")
    packer.add(request("single"))
    packer.add(request("other", shots=50))
    packer.add(request("group", group="s", deadline=9.0))
    (job,) = packer.take(now=0.0)
    assert len(job.requests) == 2
    packer.add(request("large", shots=50, rows=19))
    (job,) = packer.take(now=0.001)
    assert job.executions == CAPS.executions


def test_nothing_leaves_before_its_delay():
    packer = Packer(CAPS, delay=DELAY)
    packer.add(request(arrival=1.0))
    assert packer.next_time() == 1.0 + DELAY
    assert packer.take(now=1.02) == ()
    assert len(packer.take(now=1.0 + DELAY)) == 1
    assert packer.next_time() is None


@pytest.mark.parametrize(
    ("second", "field"),
    [
        ({"name": "x", "part": 0}, "part"),
        ({"name": "y", "part": 1, "shots": 7}, "group"),
        ({"name": "y", "part": 1, "parts": 3}, "group"),
        ({"name": "y", "part": 1, "weight": 3.0}, "group"),
        ({"name": 0, "part": 1}, "key"),
    ],
)
def test_shares_that_do_not_fit_together_are_refused(second, field):
    packer = Packer(CAPS)
    packer.add(request(0, group="s", part=0, parts=2, deadline=1.0))
    with pytest.raises(ConfigError) as caught:
        packer.add(request(**{"group": "s", "parts": 2, "deadline": 1.0, **second}))
    assert caught.value.field == field
    assert len(packer) == 1


@pytest.mark.parametrize("delay", [-0.1, math.nan, math.inf])
def test_a_delay_is_finite(delay):
    with pytest.raises(ConfigError):
        Packer(delay=delay)


def test_a_forecast_has_the_jobs_of_the_run():
    """All shares of a step in one job, whatever the number of workers."""
    for workers in (1, 4):
        shares = [
            request(part, group="s", part=part, parts=workers, deadline=1.0, rows=8 // workers)
            for part in range(workers)
        ]
        (job,) = jobs_for(shares, CAPS)
        assert job.executions == 800
    assert [job.executions for job in jobs_for([request(rows=25)], CAPS)] == [900, 800, 800]


@pytest.mark.parametrize("arrives", ["before", "after"])
def test_a_group_does_not_wait_for_shares_that_are_answered_already(arrives):
    """After a restart some shares are in the ledger: the others leave at once."""
    first, second, third = (
        request((0, part), trial="a", group="g", part=part, parts=3, deadline=60.0)
        for part in range(3)
    )
    packer = Packer(CAPS, delay=0.0)
    known = (first, third)
    for each in known[: 1 if arrives == "after" else 2]:
        packer.answered(each)
    packer.add(second)
    if arrives == "after":
        assert packer.take(now=0.0) == ()
        packer.answered(third)
    (job,) = packer.take(now=0.0)
    assert job.requests == (second,)


def test_what_was_answered_of_a_trial_that_ended_completes_no_later_group():
    shares = [
        request((0, part), trial="a", group="g", part=part, parts=2, deadline=60.0)
        for part in range(2)
    ]
    packer = Packer(CAPS, delay=0.0)
    packer.answered(shares[0])
    packer.withdraw("a")
    packer.add(shares[1])
    assert packer.take(now=0.0) == ()


def test_a_rider_leaves_with_the_next_job_of_its_settings_and_at_its_deadline_alone():
    packer = Packer(CAPS, delay=0.03)
    rider = {"rides": True, "deadline": 60.0}
    packer.add(request("share 0", group="g", part=0, parts=2, deadline=60.0))
    packer.add(request("calibration", **rider))
    packer.add(request("other shots", shots=7, **rider))
    assert packer.take(now=1.0) == (), "it waits as long as the group"
    packer.add(request("share 1", group="g", part=1, parts=2, deadline=60.0, arrival=1.0))
    (job,) = packer.take(now=1.03)
    assert {each.key for each in job.requests} == {
        key_of(name) for name in ("share 0", "share 1", "calibration")
    }
    assert packer.next_time() == 60.0
    (late,) = packer.take(now=60.0)
    assert [each.key for each in late.requests] == [key_of("other shots")]
    assert not packer.has_company(request("alone"))
