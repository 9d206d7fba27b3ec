"""The number of workers may change at any step: the run ends with the bits of one process."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.model import build_model
from qstore_ray.track.jsonl import read_records
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.job import Assignment, TrainingRows
from qstore_ray.train.loop import loop
from qstore_ray.train.loop.control import Control
from qstore_ray.train.loop.reducer import LocalReducer
from qstore_ray.train.loop.reporter import LocalReporter, RayTrainReporter
from qstore_ray.train.run import recorder
from qstore_ray.train.run.checkpoint import latest_checkpoint
from tests.laws.test_training import BarrierReducer

EPOCHS, BATCHES = 3, 3
GENERATOR = np.random.default_rng(4)
X, Y = GENERATOR.normal(size=(50, 3)), GENERATOR.integers(0, 2, 50)
ROWS = TrainingRows(X[:41], Y[:41], X[41:], Y[41:])  # batches of 18, 18 and 5 rows


class Group(NamedTuple):
    """One group of workers, and which of them is told, in which of its steps, to make place."""

    size: int
    step: int
    rank: int


class Told(LocalReporter):
    """A worker that is told to make place in a step; another one is not."""

    def __init__(self, group: Group, rank: int) -> None:
        super().__init__()
        self._left = group.step if rank == group.rank % group.size else 0

    def should_regroup(self) -> bool:
        self._left -= 1
        return self._left == 0


def job(folder: Path) -> Assignment:
    config = TrainerConfig(epochs=EPOCHS, batch_size=18, seed=2, checkpoint_every_seconds=0.0)
    model = build_model(ModelConfig(n_qubits=3, layers=1), n_features=3, n_classes=2)
    folder.mkdir(parents=True)
    return Assignment(model, config, folder, 1, {}, {})


def train(assignment: Assignment, group: Group) -> str:
    """How a group of workers ended; they are threads."""
    slots, barrier = [None] * group.size, threading.Barrier(group.size)
    found: dict[int, str] = {}

    def work(rank: int) -> None:
        reducer = BarrierReducer(rank, slots, barrier)
        found[rank] = loop.run(assignment, ROWS, reducer, Told(group, rank)).status

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(group.size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == group.size, "a worker waits for ever"
    assert len(set(found.values())) == 1
    return found[0]


def end(folder: Path) -> tuple[dict[str, bytes], list[dict]]:
    """The last checkpoint's bits, and the steps and epochs, each once and in order."""
    checkpoint, problems = latest_checkpoint(folder / "checkpoints")
    assert checkpoint is not None
    assert problems == []
    records = read_records(folder / "metrics.jsonl")
    told = [
        {name: value for name, value in record.items() if name != "seconds"}
        for record in records
        if record["event"] in ("step", "epoch")
    ]
    return {name: array.tobytes() for name, array in checkpoint.arrays.items()}, told


@pytest.fixture(scope="module", autouse=True)
def _every_step_is_recorded():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorder, "_SECONDS_BETWEEN_STEP_RECORDS", 0.0)
        yield


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    assignment = job(tmp_path_factory.mktemp("whole") / "run")
    assert loop.run(assignment, ROWS, LocalReducer(), LocalReporter()).status == "finished"
    parameters, told = end(assignment.run_dir)
    assert [r["step"] for r in told if r["event"] == "step"] == list(range(1, 10))
    return parameters, told


groups = st.builds(Group, st.integers(1, 4), st.integers(1, 5), st.integers(0, 3))


@given(st.lists(groups, min_size=1, max_size=4))
def test_groups_of_any_sizes_in_turn_end_with_the_bits_of_one_process(
    undisturbed, tmp_path_factory, plan
):
    assignment = job(tmp_path_factory.mktemp("groups") / "run")
    statuses = [train(assignment, group) for group in plan]
    ended = train(assignment, Group(2, 0, 0))
    assert ended == "finished"
    assert set(statuses) <= {"regroup", "finished"}
    assert statuses[0] == "regroup", "its step is one of the nine"
    assert end(assignment.run_dir) == undisturbed


def test_the_group_that_follows_says_why_and_from_where(tmp_path):
    assignment = job(tmp_path / "run")
    assert train(assignment, Group(3, 4, 2)) == "regroup"
    assert train(assignment, Group(1, 0, 0)) == "finished"
    records = read_records(assignment.run_dir / "metrics.jsonl")
    starts = [(r["resumed_from_step"], r["workers"]) for r in records if r["event"] == "start"]
    assert starts == [(0, 3), (4, 1)]
    assert [r["status"] for r in records if r["event"] == "end"] == ["finished"]


@given(st.lists(st.builds(Control, *[st.booleans()] * 3), min_size=1, max_size=1024))
def test_what_any_worker_asks_comes_out_of_the_sum_of_all(asked):
    total = sum(each.to_number() for each in asked)
    wanted = Control(*(any(values) for values in zip(*asked, strict=True)))
    assert Control.from_number(total) == wanted


def test_a_ray_worker_asks_when_it_is_told(tmp_path):
    told = threading.Event()
    found = RayTrainReporter(tmp_path, told)
    assert not found.should_regroup()
    told.set()
    assert found.should_regroup()
