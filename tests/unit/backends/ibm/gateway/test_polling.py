"""When a job is asked for: soon after its end, with few questions, once its size is known."""

from __future__ import annotations

import math

import pytest

from qstore_ray.backends.ibm.gateway.polling import PollPace
from qstore_ray.backends.ibm.policy import GatewayPolicy

POLICY = GatewayPolicy()


def asked(pace: PollPace, seconds: float, executions: int | None = 100) -> list[float]:
    """When a job that takes so long is asked for; the last time it is done."""
    polls = pace.begin(executions, now=1000.0)
    times = [polls.next_time(1000.0)]
    while times[-1] < 1000.0 + seconds:
        times.append(polls.waiting(times[-1]))
    polls.done(times[-1])
    return [time - 1000.0 for time in times]


def test_the_first_job_of_a_size_is_asked_for_with_growing_pauses():
    times = asked(PollPace(POLICY), 60.0)
    pauses = [b - a for a, b in zip([0.0, *times], times, strict=False)]
    assert pauses[:3] == pytest.approx([0.5, 0.75, 1.125])
    assert max(pauses) == POLICY.longest_poll


@pytest.mark.parametrize("seconds", [0.6, 3.0, 11.0, 400.0])
def test_the_end_of_a_job_like_the_last_one_is_noticed_soon_and_with_few_questions(seconds):
    pace = PollPace(POLICY)
    for _ in range(5):
        asked(pace, seconds)
    for change in (1.0, 1.02, 0.98, 1.1, 1.0, 0.97):
        *_, end = times = asked(pace, change * seconds)
        assert end - change * seconds <= 0.08 * seconds + 0.03, change
        assert len(times) <= 9 + change * seconds // POLICY.longest_poll


@pytest.mark.parametrize("seconds", [1.0, 3.0, 11.0])
def test_the_end_of_jobs_that_take_alike_is_noticed_within_a_fortieth(seconds):
    """In the mean; of what a step takes longer than its job, this is the largest part."""
    pace, late, questions = PollPace(POLICY), [], []
    for step in range(200):
        ran = seconds * (1.0 + 0.03 * math.sin(2.3 * step))
        *_, end = times = asked(pace, ran)
        late.append(end - ran)
        questions.append(len(times))
    assert sum(late[5:]) / len(late[5:]) <= 0.025 * seconds
    assert max(questions[5:]) <= 8


def test_a_job_that_is_quicker_than_the_last_one_is_noticed_if_others_were():
    """On a busy device times go up and down."""
    pace = PollPace(POLICY)
    for seconds in (15.0, 33.0, 20.0, 31.0, 24.0, 30.0):
        asked(pace, seconds)
    for seconds in (33.0, 20.0, 31.0, 16.0, 24.0):
        *_, end = times = asked(pace, seconds)
        assert end - seconds <= 0.15 * seconds
        assert len(times) <= 11


def test_questions_follow_a_device_that_became_faster():
    """A job that waited in a queue for long delays later ones only for a while."""
    pace = PollPace(POLICY)
    asked(pace, 900.0)
    late = [asked(pace, 3.0)[-1] - 3.0 for _ in range(8)]
    assert late[0] <= POLICY.longest_poll
    assert sum(late[-3:]) <= 1.0


def test_a_size_is_known_by_itself_and_an_earlier_submission_says_nothing():
    pace = PollPace(POLICY)
    asked(pace, 11.0)
    assert asked(pace, 11.0, executions=7)[0] == POLICY.first_poll
    asked(pace, 0.0, executions=None)
    assert asked(pace, 11.0, executions=None)[0] == POLICY.first_poll
    assert asked(pace, 11.0)[0] > 5.0
