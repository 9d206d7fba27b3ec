"""The cap of jobs in flight, shared by gateways."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.backends.ibm.queue.shared_cap import SharedCap


class Asker:
    """A gateway with so many jobs that wait."""

    def __init__(self, lanes: SharedCap, waiting: int) -> None:
        self.woken, self.waiting, self.running = 0, waiting, 0
        self.lane = lanes.join(self.wake)

    def wake(self) -> None:
        self.woken += 1

    def turn(self, cap: int) -> int:
        jobs = self.lane.fill(cap, lambda busy: range(max(0, min(self.waiting, cap - busy))))
        self.running += len(jobs)
        self.waiting -= len(jobs)
        self.lane.set(self.running, wants_more=self.waiting > 0)
        return len(jobs)

    def end(self) -> None:
        self.running -= 1
        self.lane.set(self.running, wants_more=self.waiting > 0)


def test_a_gateway_alone_has_the_whole_cap():
    one = Asker(SharedCap(), 9)
    assert one.turn(5) == 5
    assert not one.lane.has_room(5)


def test_a_second_gateway_gets_its_part_as_jobs_end():
    lanes = SharedCap()
    one, two = Asker(lanes, 99), Asker(lanes, 99)
    assert one.turn(4) == 4
    assert two.turn(4) == 0
    one.end()
    assert two.woken == 1
    assert one.turn(4) == 0, "it has more than its part, and another waits"
    assert two.turn(4) == 1
    one.end()
    assert two.turn(4) == 1
    assert (one.running, two.running) == (2, 2)


def test_what_a_gateway_had_is_free_when_it_leaves():
    lanes = SharedCap()
    one, two = Asker(lanes, 5), Asker(lanes, 5)
    one.turn(5)
    two.turn(5)
    one.lane.leave()
    assert two.woken == 1
    assert two.turn(5) == 5


@given(
    cap=st.integers(1, 6),
    steps=st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=60),
)
def test_there_are_never_more_jobs_than_the_cap_and_no_gateway_starves(cap, steps):
    lanes = SharedCap()
    all_of_them = [Asker(lanes, 1000) for _ in range(4)]
    for number, ends in steps:
        asker = all_of_them[number]
        if ends and asker.running:
            asker.end()
        else:
            asker.turn(cap)
        assert sum(each.running for each in all_of_them) <= cap
    served = [0] * 4
    for _ in range(8 * cap):  # each ends what it has, and takes what it may
        for number, asker in enumerate(all_of_them):
            if asker.running:
                asker.end()
            served[number] += asker.turn(cap)
    assert min(served) > 0


def test_two_threads_never_pass_the_cap():
    lanes, most = SharedCap(), 3
    askers = [Asker(lanes, 10_000) for _ in range(2)]
    sums: list[int] = []

    def work(asker: Asker) -> None:
        for _ in range(300):
            asker.turn(most)
            sums.append(sum(each.lane.in_flight for each in askers))
            if asker.running:
                asker.end()

    threads = [threading.Thread(target=work, args=(asker,)) for asker in askers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(sums) <= most


@pytest.mark.parametrize("cap", [1, 2])
def test_more_gateways_than_the_cap_take_turns(cap):
    lanes = SharedCap()
    askers = [Asker(lanes, 3) for _ in range(3)]
    for _ in range(30):
        for asker in askers:
            asker.turn(cap)
            if asker.running:
                asker.end()
    assert [asker.waiting for asker in askers] == [0, 0, 0]
