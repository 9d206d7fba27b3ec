"""Batches: every kind against the laws, and against what an epoch must contain."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qstore_ray import DatasetLoader
from qstore_ray.data.batches.batches import (
    BATCHES,
    PACINGS,
    BalancedBatches,
    CurriculumBatches,
    InfiniteBatches,
    StandardBatches,
    batches,
)
from qstore_ray.data.batches.order import row_order
from qstore_ray.data.batches.streaming import StreamingBatches
from qstore_ray.errors import ConfigError, DataError, UnknownNameError, UsageError

N = 53
LABELS = np.array([0] * 30 + [1] * 16 + [4] * 7)
X = np.arange(2.0 * N).reshape(N, 2)
DATASET = DatasetLoader.from_arrays(X, LABELS, rows_per_task=5, split={"train": 1.0})
PLAN = DATASET.plan("train")


class InMemory:
    """Blocks as Ray hands them out, without Ray: `tests/ray/test_batches_ray.py` has the real."""

    def __init__(self, *, preserve_order: bool = True, columns=("x", "y", "row")):
        self.context = SimpleNamespace(
            execution_options=SimpleNamespace(preserve_order=preserve_order)
        )
        self.columns = columns

    def iter_batches(self, *, batch_size, batch_format):
        for task in PLAN.tasks:
            yield {name: column for name, column in task().items() if name in self.columns}


MEMBERS = {
    "standard": StandardBatches(n_rows=N, batch_size=8, seed=3),
    "standard, full only": StandardBatches(n_rows=N, batch_size=8, seed=3, drop_last=True),
    "infinite": InfiniteBatches(n_rows=N, batch_size=8, seed=3),
    "infinite, large": InfiniteBatches(n_rows=N, batch_size=120, seed=3),
    "balanced": BalancedBatches(labels=LABELS, batch_size=8, seed=3),
    "curriculum": CurriculumBatches(scores=X[:, 0], batch_size=8, seed=3),
    "streaming": StreamingBatches(source=PLAN, batch_size=8, seed=3, buffer_rows=20),
    "streaming, small": StreamingBatches(source=PLAN, batch_size=8, seed=3, buffer_rows=3),
    "streaming, Ray": StreamingBatches(source=InMemory(), batch_size=8, seed=3, buffer_rows=20),
}
every_kind = pytest.mark.parametrize("kind", MEMBERS)


def _positions(batch) -> list[int]:
    return (batch.row if hasattr(batch, "row") else batch.take).tolist()


def _listed(member, epoch=0, step=0, most=30) -> list[tuple[int, int, list[int]]]:
    found = islice(member.iterate(epoch, step), most)
    return [(batch.epoch, batch.step, _positions(batch)) for batch in found]


def test_every_kind_is_a_member():
    assert {type(member) for member in MEMBERS.values()} == set(BATCHES.values())


@every_kind
@pytest.mark.parametrize("epoch", [0, 2])
def test_going_on_from_any_step_gives_the_very_same_rest(kind, epoch):
    member = MEMBERS[kind]
    whole = _listed(member, epoch)
    for gone, (at_epoch, at_step, _) in enumerate(whole):
        rest = _listed(member, at_epoch, at_step, most=30 - gone)
        assert rest == whole[gone:]


@every_kind
def test_the_seed_and_the_epoch_decide_the_order(kind):
    member = MEMBERS[kind]
    first = [rows for _, _, rows in _listed(member)]
    assert [rows for _, _, rows in _listed(member)] == first
    assert [rows for _, _, rows in _listed(replace(member, seed=4))] != first
    assert [rows for _, _, rows in _listed(member, epoch=1)] != first


@every_kind
def test_steps_are_counted_and_only_the_last_batch_may_be_short(kind):
    member = MEMBERS[kind]
    found = _listed(member, epoch=1)
    assert all(len(rows) == member.batch_size for _, _, rows in found[:-1])
    if not getattr(member, "endless", False):
        assert [step for _, step, _ in found] == list(range(len(found)))
        assert {epoch for epoch, _, _ in found} == {1}


@every_kind
@pytest.mark.parametrize(
    ("epoch", "step", "field"), [(-1, 0, "epoch"), (0, -1, "step"), (0, 99, "step")]
)
def test_a_place_that_is_not_there_is_refused(kind, epoch, step, field):
    with pytest.raises(ConfigError) as caught:
        list(islice(MEMBERS[kind].iterate(epoch, step), 1))
    assert caught.value.field == field
    assert caught.value.value == (epoch if field == "epoch" else step)


@every_kind
def test_a_finished_epoch_has_nothing_left(kind):
    member = MEMBERS[kind]
    if not getattr(member, "endless", False):
        assert _listed(member, 1, len(_listed(member, 1))) == []


# ----------------------------------------------------------------------------------- standard


@given(
    n_rows=st.integers(1, 60),
    batch_size=st.integers(1, 70),
    seed=st.integers(0, 2**63 - 1),
    epoch=st.integers(0, 9),
)
def test_an_epoch_has_every_row_exactly_once_in_the_order_of_training(
    n_rows, batch_size, seed, epoch
):
    member = StandardBatches(n_rows=n_rows, batch_size=batch_size, seed=seed)
    rows = np.concatenate(member.of_epoch(epoch))
    np.testing.assert_array_equal(rows, row_order(seed, epoch, n_rows))
    np.testing.assert_array_equal(np.sort(rows), np.arange(n_rows))
    if n_rows >= batch_size:
        full = replace(member, drop_last=True).of_epoch(epoch)
        assert len(full) == n_rows // batch_size
        np.testing.assert_array_equal(np.concatenate(full), rows[: len(full) * batch_size])


def test_one_batch_can_be_asked_for():
    member = MEMBERS["standard"]
    np.testing.assert_array_equal(member.at(2, 6), row_order(3, 2, N)[48:])
    with pytest.raises(ConfigError):
        member.at(2, 7)


# ----------------------------------------------------------------------------------- infinite


@given(n_rows=st.integers(1, 12), batch_size=st.integers(1, 40))
def test_infinite_batches_are_the_epochs_end_to_end(n_rows, batch_size):
    member = InfiniteBatches(n_rows=n_rows, batch_size=batch_size, seed=1)
    found = list(islice(member.iterate(), 7))
    assert all(len(batch.take) == batch_size for batch in found)
    rows = np.concatenate([batch.take for batch in found])
    epochs = -(-len(rows) // n_rows)
    whole = np.concatenate([row_order(1, epoch, n_rows) for epoch in range(epochs)])
    np.testing.assert_array_equal(rows, whole[: len(rows)])
    assert [batch.epoch for batch in found] == [i * batch_size // n_rows for i in range(7)]


# ----------------------------------------------------------------------------------- balanced


@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=40),
    batch_size=st.integers(5, 20),
    epoch=st.integers(0, 3),
)
def test_balanced_batches_have_every_class_equally_often(labels, batch_size, epoch):
    labels = np.array(labels)
    classes, counts = np.unique(labels, return_counts=True)
    found = BalancedBatches(labels=labels, batch_size=batch_size, seed=2).of_epoch(epoch)
    for index in found:
        here = [(labels[index] == name).sum() for name in classes]
        assert max(here) - min(here) <= (len(index) % len(classes) > 0)
    uses = np.bincount(np.concatenate(found), minlength=len(labels))
    for name, count in zip(classes, counts, strict=True):
        mine = uses[labels == name]
        assert mine.sum() == counts.max()
        assert mine.min() >= counts.max() // count
        assert mine.max() <= -(-counts.max() // count)


def test_more_classes_than_rows_of_a_batch_are_refused():
    with pytest.raises(ConfigError, match="each of the 3 classes") as caught:
        BalancedBatches(labels=LABELS, batch_size=2)
    assert (caught.value.field, caught.value.value) == ("batch_size", 2)
    assert "3 or more" in caught.value.fix


def test_classes_may_be_called_anything():
    member = BalancedBatches(labels=np.array(["cat", "cat", "dog"]), batch_size=2)
    assert all(2 in index for index in member.of_epoch(0))


# --------------------------------------------------------------------------------- curriculum


@pytest.mark.parametrize("pacing", PACINGS)
def test_a_curriculum_shows_the_easiest_rows_first_and_all_in_the_end(pacing):
    scores = np.random.default_rng(0).normal(size=N)
    member = CurriculumBatches(scores=scores, batch_size=8, pacing=pacing, start=0.25, full_epoch=4)
    easiest = np.argsort(scores)
    used = [np.concatenate(member.of_epoch(epoch)) for epoch in range(6)]
    for rows in used:
        assert set(rows.tolist()) == set(easiest[: len(rows)].tolist())
        assert len(set(rows.tolist())) == len(rows)
    sizes = [len(rows) for rows in used]
    assert sizes == sorted(sizes)
    assert sizes[0] == 14
    assert sizes[3] < N
    assert sizes[4:] == [N, N]


def test_pacings_have_the_values_of_their_formulas():
    shown = {name: function(0.2, 0.5) for name, function in PACINGS.items()}
    assert shown == pytest.approx({"linear": 0.6, "root": 0.52**0.5, "step": 0.2})
    assert CurriculumBatches(scores=X[:, 0], batch_size=8, full_epoch=0).n_used(0) == N


# ---------------------------------------------------------------------------------- streaming


@settings(max_examples=30)
@given(
    buffer_rows=st.integers(1, 70),
    batch_size=st.integers(1, 60),
    epoch=st.integers(0, 3),
    with_ray=st.booleans(),
)
def test_a_stream_has_every_row_exactly_once_with_its_own_features(
    buffer_rows, batch_size, epoch, with_ray
):
    member = StreamingBatches(
        source=InMemory() if with_ray else PLAN,
        batch_size=batch_size,
        seed=1,
        buffer_rows=buffer_rows,
    )
    found = list(member.iterate(epoch))
    rows = np.concatenate([batch.row for batch in found])
    np.testing.assert_array_equal(np.sort(rows), np.arange(N))
    np.testing.assert_array_equal(np.concatenate([batch.x for batch in found]), X[rows])
    classes = np.searchsorted([0, 1, 4], LABELS)
    np.testing.assert_array_equal(np.concatenate([batch.y for batch in found]), classes[rows])
    if batch_size <= N:
        full = list(replace(member, drop_last=True).iterate(epoch))
        assert [batch.row.tolist() for batch in full] == [
            batch.row.tolist() for batch in found if len(batch.row) == batch_size
        ]


def _recorded():
    """The plan with tasks that note when they are read."""
    read: list[int] = []

    class Noted:
        def __init__(self, number, task):
            self.number, self.task = number, task
            self.n_rows, self.times = task.n_rows, task.times

        def __call__(self):
            read.append(self.number)
            return self.task()

    tasks = tuple(Noted(number, task) for number, task in enumerate(PLAN.tasks))
    return replace(PLAN, tasks=tasks), read


def test_no_more_than_the_buffer_and_a_block_is_read_ahead():
    plan, read = _recorded()
    member = StreamingBatches(source=plan, batch_size=4, seed=1, buffer_rows=8)
    for handed_out, _ in enumerate(member.iterate(), start=1):
        rows_read = sum(len(PLAN.tasks[number].take) for number in read)
        assert rows_read - 4 * handed_out < 8 + 5 + 4
    assert sorted(read) == list(range(11))


def test_going_on_reads_only_the_blocks_that_are_still_needed():
    plan, read = _recorded()
    member = StreamingBatches(source=plan, batch_size=8, seed=1, buffer_rows=8)
    assert len(list(member.iterate(0, 5))) == 2
    assert len(read) == 3


def test_rows_of_a_stream_are_shuffled_and_a_buffer_of_1_leaves_blocks_in_order():
    wide = StreamingBatches(source=PLAN, batch_size=N, seed=1, buffer_rows=N)
    (batch,) = wide.iterate()
    moved = np.abs(np.argsort(batch.row) - np.arange(N))
    assert moved.mean() > N / 6  # a third of N is the mean for a uniform permutation
    narrow = StreamingBatches(source=PLAN, batch_size=N, seed=1, buffer_rows=1)
    (batch,) = narrow.iterate()
    starts = batch.row[np.flatnonzero(np.diff(batch.row, prepend=-9) != 1)]
    assert set(starts.tolist()) <= set(range(0, N, 5))


def test_blocks_in_any_order_or_without_row_numbers_are_refused():
    with pytest.raises(UsageError, match="any order") as caught:
        StreamingBatches(source=InMemory(preserve_order=False), batch_size=4)
    assert caught.value.field == "source"
    assert "preserve_order = True" in caught.value.fix
    member = StreamingBatches(source=InMemory(columns=("x", "y")), batch_size=4)
    with pytest.raises(DataError, match="lacks columns") as lacking:
        next(member.iterate())
    assert lacking.value.value == ["row"]


# ------------------------------------------------------------------------------- by their name


def test_a_kind_is_found_by_name():
    member = batches("standard", n_rows=N, batch_size=8, seed=3)
    assert member == MEMBERS["standard"]
    assert batches("streaming", source=PLAN, batch_size=8).buffer_rows == 10_000


@pytest.mark.parametrize(
    ("kind", "options", "field", "said"),
    [
        ("standart", {}, "kind", "Did you mean 'standard'?"),
        ("standard", {"n_rows": 3, "batchsize": 2}, "batchsize", "'batch_size'"),
        ("standard", {"n_rows": 3}, "batch_size", "needs this option"),
        ("standard", {"n_rows": 3, "batch_size": 0}, "batch_size", "Take 1 or more"),
        ("standard", {"n_rows": 3, "batch_size": 1, "seed": -1}, "seed", "0 or more"),
        ("standard", {"n_rows": 3, "batch_size": 4, "drop_last": True}, "batch_size", "Take 3"),
        ("curriculum", {"scores": X[:, 0], "batch_size": 4, "pacing": "line"}, "pacing", "linear"),
        ("curriculum", {"scores": X[:, 0], "batch_size": 4, "start": 0.0}, "start", "above 0"),
        (
            "curriculum",
            {"scores": X[:, 0], "batch_size": 4, "full_epoch": -1},
            "full_epoch",
            "Take 0 or more",
        ),
        ("streaming", {"source": PLAN, "batch_size": 4, "buffer_rows": 0}, "buffer_rows", "or 1"),
    ],
)
def test_a_wrong_option_is_named(kind, options, field, said):
    with pytest.raises(ConfigError) as caught:
        batches(kind, **options)
    assert caught.value.field == field
    assert said in str(caught.value)


def test_no_rows_and_scores_that_are_not_finite_are_refused():
    with pytest.raises(DataError, match="0 rows"):
        batches("standard", n_rows=0, batch_size=2)
    with pytest.raises(DataError, match="0 rows"):
        batches("balanced", labels=np.zeros(0), batch_size=2)
    with pytest.raises(DataError, match="NaN") as caught:
        batches("curriculum", scores=np.array([0.0, np.nan]), batch_size=2)
    assert caught.value.value == "position 1"
    with pytest.raises(UnknownNameError):
        batches("random")
