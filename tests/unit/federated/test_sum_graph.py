"""Who masks with whom in a secure sum: the probabilities, the ring, and the sums over it."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from qstore_ray.errors import RunError
from qstore_ray.federated.config import FederationConfig
from qstore_ray.federated.secure_sum.fixed_point import decoded, encoded
from qstore_ray.federated.secure_sum.graph import (
    ENDS_BITS,
    FEWEST,
    HIDDEN_BITS,
    SumGraph,
    _log2_cut,
    _log2_tails,
    complete_graph,
    neighbours_of,
    risk_of,
    sparse_graph,
)
from qstore_ray.federated.secure_sum.run import secure_sum
from qstore_ray.train.report.federation import federation_section

# -------------------------------------------------------------------------------- probabilities


@given(st.integers(2, 200), st.data())
def test_tails_are_those_of_the_hypergeometric_distribution(population, data):
    marked = data.draw(st.integers(0, population))
    drawn = data.draw(st.integers(1, population))
    tails = 2.0 ** _log2_tails(population, marked, drawn)
    expected = stats.hypergeom(population, marked, drawn).sf(np.arange(drawn + 2) - 1)
    np.testing.assert_allclose(tails, expected, rtol=1e-8, atol=1e-280)


def test_tails_far_below_the_smallest_probabilities_agree_with_whole_numbers():
    population, marked, drawn = 999, 200, 74
    tails = _log2_tails(population, marked, drawn)
    for least in (0, 15, 45, 74):
        ways = sum(
            math.comb(marked, x) * math.comb(population - marked, drawn - x)
            for x in range(least, drawn + 1)
        )
        expected = math.log2(ways) - math.log2(math.comb(population, drawn))
        assert tails[least] == pytest.approx(expected, abs=1e-9)


def _is_connected(kept: set[int], count: int, half: int) -> bool:
    seen, left = set(), [min(kept)]
    while left:
        here = left.pop()
        if here in seen:
            continue
        seen.add(here)
        steps = (*range(-half, 0), *range(1, half + 1))
        left += [(here + step) % count for step in steps if (here + step) % count in kept]
    return seen == kept


@pytest.mark.parametrize(("count", "degree"), [(9, 2), (10, 4), (11, 2), (12, 4), (12, 6)])
def test_the_bound_of_a_cut_is_above_the_share_of_all_choices_that_cut_the_ring(count, degree):
    for gone in range(count - 1):
        cut = total = 0
        for choice in combinations(range(count), gone):
            total += 1
            cut += not _is_connected(set(range(count)) - set(choice), count, degree // 2)
        assert cut / total <= 2.0 ** _log2_cut(count, degree, gone) + 1e-12
        if degree > gone:
            assert cut == 0


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 400), st.floats(0.51, 1.0), st.floats(0.0, 0.45))
def test_a_graph_keeps_its_promise_and_no_smaller_one_does(clients, stay, colluding):
    threshold = max(clients // 2 + 1, math.ceil(stay * clients))
    colluding = int(colluding * clients)
    graph = sparse_graph(clients, threshold, colluding)
    if graph.is_complete:
        assert graph == complete_graph(clients, threshold)
        return
    assert clients > FEWEST
    assert graph.degree % 2 == 0
    assert (graph.degree + 1) / 2 < graph.threshold <= graph.degree
    risk = risk_of(graph, colluding, clients - threshold)
    assert risk.hidden <= -HIDDEN_BITS
    assert risk.stuck <= -ENDS_BITS
    smaller = graph.degree - 2
    for less in range(smaller // 2 + 1, smaller + 1):
        risk = risk_of(SumGraph(clients, smaller, less), colluding, clients - threshold)
        assert risk.hidden > -HIDDEN_BITS or risk.stuck > -ENDS_BITS


@pytest.mark.parametrize(
    ("clients", "stay", "colluding", "degree", "threshold"),
    [(64, 0.67, 0.2, 44, 23), (64, 0.9, 0.2, 20, 14), (200, 0.9, 0.2, 50, 32),
     (1000, 0.9, 0.2, 74, 45), (1000, 0.67, 0.2, 288, 145), (32, 0.9, 0.2, 31, 29)],
)  # fmt: skip
def test_the_degrees_that_the_documentation_names(clients, stay, colluding, degree, threshold):
    config = FederationConfig(
        secure_threshold=stay, secure_colluding=colluding, secure_neighbours="few"
    )
    assert config.sum_rule(clients)(clients) == (clients, degree, threshold)


def test_failures_of_random_rings_are_as_rare_as_the_bounds_say():
    """A graph that is far too sparse fails often: the bound is above its share, and not by much."""
    graph, colluding, leaving, draws = SumGraph(40, 6, 4), 8, 8, 4000
    generator, opened, stuck = np.random.default_rng(0), 0, 0
    for _ in range(draws):
        order = generator.permutation(40)
        bad, left = set(order[:colluding]), set(order[colluding : colluding + leaving])
        around = [[(i + step) % 40 for step in (-3, -2, -1, 1, 2, 3)] for i in range(40)]
        opened += any(len(bad & set(near)) >= 4 for i, near in enumerate(around) if i not in bad)
        stuck += any(len(left & set(near)) > 2 for i, near in enumerate(around))
    risk = risk_of(graph, colluding, leaving)
    assert opened / draws <= 2.0**risk.hidden
    assert stuck / draws <= 2.0**risk.stuck
    alone = 2.0 ** (math.log2(40) + _log2_tails(39, colluding, 6)[4])
    assert opened / draws > alone / 10


# ------------------------------------------------------------------------------------- the ring


@settings(max_examples=40)
@given(st.integers(2, 60), st.integers(1, 30), st.integers(1, 10**6))
def test_each_client_has_k_neighbours_that_have_it(clients, half, step):
    numbers = [1 + step * place for place in range(clients)]
    found = neighbours_of(numbers, 2 * half)
    assert found.keys() == set(numbers)
    for number, others in found.items():
        assert len(others) == min(2 * half, clients - 1)
        assert number not in others
        assert all(number in found[other] for other in others)


def test_the_order_on_the_ring_is_another_one_each_time():
    assert len({tuple(sorted(neighbours_of(range(1, 40), 4)[1])) for _ in range(20)}) > 10


# ------------------------------------------------------------------------------- sums over a ring


@settings(max_examples=40, deadline=None)
@given(st.integers(4, 16), st.data())
def test_sums_over_any_ring_with_any_clients_that_leave_are_exact_or_given_up(clients, data):
    half = data.draw(st.integers(1, (clients - 1) // 2))
    holders = 2 * half + 1
    threshold = data.draw(st.integers(holders // 2 + 1, holders))
    fewest = data.draw(st.integers(clients // 2 + 1, clients))
    names = [f"c{i:02}" for i in range(clients)]
    gone = data.draw(st.dictionaries(st.sampled_from(names), st.integers(0, 3), max_size=4))
    generator = np.random.default_rng(clients)
    vectors = {name: generator.normal(size=7) for name in names}
    there = clients - sum(at == 0 for at in gone.values())
    assume(2 * half <= there - 1)

    def rule(count: int) -> SumGraph:
        return SumGraph(count, min(2 * half, count - 1), threshold)

    def leaves(client: str, message: int) -> bool:
        return gone.get(client, 4) <= message

    kept = {name: v for name, v in vectors.items() if gone.get(name, 4) > 2}
    total = np.zeros(7, np.uint64)
    for vector in kept.values():
        total += encoded(vector, clients)
    try:
        found, stayed = secure_sum(vectors, fewest, rule=rule, leaves=leaves)
    except RunError:
        ended = sum(gone.get(name, 4) > 3 for name in names)
        assert ended < fewest or _is_stuck(gone, holders, threshold)
        return
    assert stayed == tuple(sorted(kept))
    assert found.tobytes() == decoded(total).tobytes()


def _is_stuck(gone: dict[str, int], holders: int, threshold: int) -> bool:
    """Whether the holders of some secret may be too few, on a ring of unknown order."""
    return len(gone) > holders - 1 - threshold


def test_forty_clients_sum_over_the_ring_of_their_configuration():
    config = FederationConfig(
        secure_threshold=0.9, secure_sum=True, strategy="scaffold", secure_neighbours="few"
    )
    rule = config.sum_rule(40)
    graph = rule(40)
    assert not graph.is_complete
    generator = np.random.default_rng(1)
    vectors = {f"c{i:02}": generator.normal(size=30) for i in range(40)}
    total, stayed = secure_sum(
        vectors, config.hidden_threshold(40), rule=rule,
        leaves=lambda client, message: (client, message) in {("c07", 2), ("c21", 3), ("c30", 1)},
    )  # fmt: skip
    assert len(stayed) == 38
    expected = np.zeros(30, np.uint64)
    for name in stayed:
        expected += encoded(vectors[name], 40)
    assert total.tobytes() == decoded(expected).tobytes()


# ------------------------------------------------------------------------------------ the report


def test_what_sums_promise_is_said_with_their_numbers():
    few = FederationConfig(
        secure_sum=True, strategy="scaffold", secure_threshold=0.9, secure_neighbours="few"
    )
    said = few.sum_promise(64)
    for number in ("64 clients", "20 others", "58 have", "14 of 21", "13 clients", "6 others"):
        assert number in said
    every = FederationConfig(secure_sum=True, strategy="scaffold")
    assert "all others" in every.sum_promise(64)
    assert "up to 42 clients" in every.sum_promise(64)
    assert "all others" in few.sum_promise(FEWEST)
    assert FederationConfig().sum_promise(64) == ""


def test_the_report_of_a_run_has_the_promise():
    config = FederationConfig(secure_sum=True, strategy="scaffold", secure_neighbours="few")
    happened = {"event": "round", "round": 0, "asked": ["a"], "used": ["a"], "excluded": {},
                "losses": {}, "sent": 1, "received": 1, "seconds": 0.1}  # fmt: skip
    records = [{"event": "start", "secure_sum": config.sum_promise(64)}, happened]
    assert "44 others" in federation_section(records)
    assert "secure sums" not in federation_section([{"event": "start"}, happened])
