"""How often groups of workers may end before their time, counted by cause."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.errors import ConfigError
from qstore_ray.train.config import ClusterConfig
from qstore_ray.train.elastic.limits import FailureLimits, limit_of


def test_each_cause_has_its_own_limit():
    limits = FailureLimits(ClusterConfig(max_failures=2, max_memory_failures=1, max_preemptions=3))
    assert [limits.allows("failure") for _ in range(3)] == [True, True, False]
    assert [limits.allows("memory") for _ in range(2)] == [True, False]
    assert [limits.allows("preemption") for _ in range(4)] == [True] * 3 + [False]
    assert all(limits.allows("resize") for _ in range(100))


def test_preemptions_are_unlimited_unless_a_number_is_given():
    limits = FailureLimits(ClusterConfig(max_failures=0))
    assert all(limits.allows("preemption") for _ in range(100))
    assert limit_of(ClusterConfig(), "preemption") is None
    assert not limits.allows("failure")


def test_the_first_restart_is_at_once_and_each_later_one_waits_twice_as_long():
    limits = FailureLimits(
        ClusterConfig(max_failures=9, restart_pause=0.5, longest_restart_pause=3.0)
    )
    pauses = []
    for _ in range(6):
        limits.allows("failure")
        pauses.append(limits.pause)
    assert pauses == [0.0, 0.5, 1.0, 2.0, 3.0, 3.0]


def test_who_makes_place_does_not_wait():
    limits = FailureLimits(ClusterConfig())
    for _ in range(5):
        limits.allows("preemption")
        limits.allows("resize")
    assert limits.pause == 0.0
    limits.allows("memory")
    limits.allows("failure")
    assert limits.pause == 1.0


@given(st.integers(0, 5000), st.floats(0.0, 10.0), st.floats(10.0, 1e6))
def test_no_pause_is_longer_than_the_longest(failures, pause, longest):
    cluster = ClusterConfig(restart_pause=pause, longest_restart_pause=longest)
    limits = FailureLimits(cluster)
    limits.counts["failure"] = failures
    assert 0.0 <= limits.pause <= longest


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"max_memory_failures": -1}, "max_memory_failures"),
        ({"max_preemptions": -1}, "max_preemptions"),
        ({"restart_pause": -0.1}, "restart_pause"),
        ({"restart_pause": 90.0}, "restart_pause"),
        ({"longest_restart_pause": 0.5}, "restart_pause"),
        ({"resize_every": 0.0}, "resize_every"),
    ],
)
def test_wrong_limits_are_refused_by_name(options, field):
    with pytest.raises(ConfigError) as caught:
        ClusterConfig(**options)
    assert caught.value.field == field
