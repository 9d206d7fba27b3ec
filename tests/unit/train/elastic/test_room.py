"""How many workers fit, how many the next group has, and when one has to make place."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.train.elastic.room import GroupSize, NodeRoom, fitting

ONE = {"CPU": 1.0}


def nodes(*free: float, leaving: tuple[int, ...] = ()) -> list[NodeRoom]:
    return [NodeRoom(f"n{i}", {"CPU": cpus}, i in leaving) for i, cpus in enumerate(free)]


def test_workers_fit_on_whole_nodes_only_and_on_none_that_leaves():
    assert fitting(nodes(2.0, 1.0, 0.5), ONE) == 3
    assert fitting(nodes(0.7, 0.7), ONE) == 0
    assert fitting(nodes(2.0, 1.0, leaving=(0,)), ONE) == 1
    assert fitting([], ONE) == 0


def test_shares_of_a_processor_are_counted_without_rounding():
    assert fitting(nodes(0.3), {"CPU": 0.1}) == 3
    assert fitting(nodes(2.0), {"CPU": 0.5}) == 4


def test_the_scarcest_resource_decides():
    node = NodeRoom("n", {"CPU": 8.0, "GPU": 2.0})
    assert fitting([node, NodeRoom("m", {"CPU": 8.0})], {"CPU": 1.0, "GPU": 1.0}) == 2


@given(st.lists(st.integers(0, 40)), st.integers(1, 10))
def test_no_more_fit_than_there_are_resources(tenths, needed):
    rooms = nodes(*(tenth / 10 for tenth in tenths))
    assert fitting(rooms, {"CPU": needed / 10}) == sum(tenth // needed for tenth in tenths)


def test_a_fixed_number_is_asked_for_at_once_so_that_a_cluster_may_grow_for_it():
    assert GroupSize(3, 3, ONE).next(nodes(0.0), 0.0) == 3


def test_the_most_start_at_once_and_fewer_when_the_room_has_settled():
    size = GroupSize(1, 3, ONE)
    assert size.next(nodes(2.0, 1.0), 10.0) == 3
    size.forget()
    assert size.next(nodes(1.0, 0.0), 10.0) is None, "more may be freed in a moment"
    assert size.next(nodes(1.0, 1.0), 11.0) is None
    assert size.next(nodes(1.0, 1.0), 12.9) is None
    assert size.next(nodes(1.0, 1.0), 13.0) == 2


def test_fewer_than_the_fewest_wait():
    size = GroupSize(2, 4, ONE)
    assert [size.next(nodes(1.0), now) for now in (0.0, 5.0, 500.0)] == [None] * 3


def test_a_group_makes_place_when_a_node_of_its_own_is_taken_away():
    size = GroupSize(1, 2, ONE)
    options = {"workers": 2, "age": 0.0, "every": 30.0}
    rooms = nodes(0.0, 0.0, 4.0, leaving=(1,))
    reason = size.regroup_error(rooms, {"n0", "n1"}, **options)
    assert reason is not None
    assert reason.field == "cluster.max_preemptions"
    assert size.regroup_error(rooms, {"n0", "n2"}, **options) is None, "it is not on n1"


def test_a_group_makes_place_for_a_larger_one_but_not_soon_after_its_start():
    size = GroupSize(1, 3, ONE)
    rooms = nodes(0.0, 5.0)
    reason = size.regroup_error(rooms, {"n0"}, workers=2, age=30.0, every=30.0)
    assert reason is not None
    assert (reason.message, reason.field) == (
        "there is room for 3 workers now, 2 trained", "",
    )  # fmt: skip
    assert size.regroup_error(rooms, {"n0"}, workers=2, age=29.0, every=30.0) is None
    assert size.regroup_error(rooms, {"n0"}, workers=3, age=99.0, every=30.0) is None
    full = nodes(0.0, 0.5)
    assert size.regroup_error(full, {"n0"}, workers=2, age=99.0, every=30.0) is None


def test_a_fixed_group_is_never_enlarged():
    size = GroupSize(2, 2, ONE)
    assert size.regroup_error(nodes(9.0), {"n0"}, workers=2, age=1e9, every=1.0) is None
