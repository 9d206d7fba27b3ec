"""The parts of a shared job that failed: each sent once, or given up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.backends.ibm.queue.separate import SeparateJobs
from qstore_ray.backends.ibm.requests import CircuitRequest


def requests(owners: list[int]) -> tuple[CircuitRequest, ...]:
    return tuple(
        CircuitRequest(key=f"k{k}", backend="b", trial=f"t{owner}", shots=1)
        for k, owner in enumerate(owners)
    )


@given(
    owners=st.lists(st.integers(0, 5), min_size=1, max_size=12),
    one_by_one=st.booleans(),
    room=st.integers(1, 5),
    data=st.data(),
)
def test_each_request_is_sent_once_or_given_up(owners, one_by_one, room, data):
    jobs, made = SeparateJobs(), requests(owners)
    jobs.split(made, one_by_one=one_by_one)
    sent, given_up, failures, first_success = [], [], 0, None
    running = []
    while jobs.is_ready or running:
        taken = jobs.take(room - len(running))
        assert len(taken) <= room - len(running)
        if one_by_one and first_success is None:
            assert len(running) + len(taken) == 1
        running += taken
        sent += taken
        job = running.pop(data.draw(st.integers(0, len(running) - 1)))
        assert jobs.is_last_try(job.key) is one_by_one
        has_failed = data.draw(st.booleans())
        failures += has_failed
        first_success = first_success if has_failed else len(sent)
        given_up += jobs.ended(job.key, has_failed=has_failed)
    keys = [request.key for job in sent for request in job.requests]
    assert sorted([*keys, *given_up]) == sorted(request.key for request in made)
    assert all(len({request.trial for request in job.requests}) == 1 for job in sent)
    assert len({job.requests[0].trial for job in sent}) == len(sent)
    assert not given_up or (one_by_one and first_success is None and failures == 2)


def test_a_trial_that_has_ended_is_not_sent():
    jobs = SeparateJobs()
    jobs.split(requests([0, 1, 0]), one_by_one=False)
    jobs.withdraw("t0")
    assert [job.requests[0].trial for job in jobs.take(5)] == ["t1"]
    assert not jobs.is_ready


def test_a_job_that_is_no_part_gives_nothing_up():
    jobs = SeparateJobs()
    assert jobs.ended("other", has_failed=True) == []
    assert not jobs.is_last_try("other")
