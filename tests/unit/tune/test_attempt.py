"""An attempt at a trial: its reports wait to be asked for, and every end is told."""

from __future__ import annotations

import math
import threading

import pytest

from qstore_ray.errors import DivergenceError, RunError, UnknownNameError
from qstore_ray.tune.objective import Objective
from qstore_ray.tune.trial.attempt import Attempt, Link, cause
from qstore_ray.tune.trial.epoch_reports import EpochReporter, FollowEpochs, score, value_of
from tests.small_search import Listener

LOSS = Objective(metric="val_loss")
ACCURACY = Objective(metric="val_accuracy")


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


# -------------------------------------------------------------------------------------- attempts


def test_a_training_waits_after_every_report_until_the_next_is_asked_for(tmp_path):
    done: list[int] = []

    def train(link: Link):
        for epoch in range(3):
            done.append(epoch)
            link.report({"done": False, "epoch": epoch})
        return {"done": True, "values": [0.5]}

    attempt = Attempt(train, tmp_path / "error.txt")
    assert done == [], "nothing is trained before anybody asks"
    for epoch in range(3):
        assert attempt.next() == {"done": False, "epoch": epoch}
        assert done == list(range(epoch + 1))
    assert attempt.next() == {"done": True, "values": [0.5]}
    attempt.stop()
    assert not (tmp_path / "error.txt").exists()


def test_stopped_between_two_reports_it_ends_at_a_checkpoint_and_stop_waits_for_that(tmp_path):
    ended = threading.Event()

    def train(link: Link):
        link.report({"done": False, "epoch": 1})
        assert link.stopping.wait(10)
        ended.set()
        raise RunError("stopped")

    attempt = Attempt(train, tmp_path / "error.txt")
    attempt.next()
    assert not ended.is_set()
    attempt.stop()
    assert ended.is_set()


def test_stopped_before_it_was_asked_for_anything_it_never_trains(tmp_path):
    def train(link: Link):
        raise AssertionError("it was not asked for")

    Attempt(train, tmp_path / "error.txt").stop()
    assert not (tmp_path / "error.txt").exists()


def test_what_a_training_raises_ends_the_trial_with_its_cause(tmp_path):
    def train(link: Link):
        link.report({"done": False, "epoch": 1})
        raise DivergenceError("the loss is nan", field="train_loss", value="nan")

    attempt = Attempt(train, tmp_path / "error.txt")
    attempt.next()
    assert attempt.next() == {"done": True, "failure": "DivergenceError: the loss is nan"}
    attempt.stop()
    assert not (tmp_path / "error.txt").exists(), "an error of ours says what is wrong"


def test_an_unforeseen_error_leaves_its_traceback_in_the_run_folder(tmp_path):
    def train(link: Link):
        raise ZeroDivisionError("first line\nthe last line")

    attempt = Attempt(train, tmp_path / "trial-0000" / "error.txt")
    assert attempt.next() == {"done": True, "failure": "ZeroDivisionError: the last line"}
    attempt.stop()
    text = (tmp_path / "trial-0000" / "error.txt").read_text()
    assert text.startswith("Traceback")
    assert "in train\n" in text


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MemoryError(), "MemoryError: no message"),
        (ValueError("  \n"), "ValueError: no message"),
        (KeyError("x"), "KeyError: 'x'"),
        (RunError("it failed", fix="Try again."), "RunError: it failed"),
    ],
)
def test_a_cause_is_one_line(error, line):
    assert cause(error) == line


# -------------------------------------------------------------------------------------- progress


def _record(epoch: int, loss: float = 1.0) -> dict[str, float]:
    return {"epoch": epoch, "val_loss": loss, "circuit_evaluations": 10 * (epoch + 1)}


def test_reports_come_where_the_scheduler_decides_and_bring_the_epochs_before():
    link, clock = Listener(), Clock()
    progress = EpochReporter(link, LOSS, lambda epoch: epoch == 3, clock)
    for epoch in range(4):
        clock.now += 0.1
        progress.add(_record(epoch, 1.0 / (epoch + 1)))
        if progress.is_due():
            progress.report()
    (message,) = link.messages
    assert message["epoch"] == 3
    assert message["progress"] == [(0, 1.0), (1, 0.5), (2, 1 / 3)]
    assert message["score"] == -1 / 3, "a loss has its sign turned"
    assert message["circuit_evaluations"] == 30
    assert message["seconds"] == pytest.approx(0.3)
    assert progress.left() == [(3, 0.25)], "what is left comes with the trial's end"
    assert progress.left() == []


def test_without_a_decision_it_reports_about_every_second():
    link, clock = Listener(), Clock()
    progress = EpochReporter(link, LOSS, lambda epoch: False, clock)
    for epoch in range(25):
        clock.now += 0.25
        progress.add(_record(epoch))
        if progress.is_due():
            progress.report()
    assert [len(message["progress"]) for message in link.messages] == [4, 4, 4, 4, 4, 4]


def test_nothing_is_due_before_an_epoch_or_when_the_trial_is_stopping():
    link, clock = Listener(), Clock()
    progress = EpochReporter(link, LOSS, lambda epoch: True, clock)
    clock.now = 9.0
    assert not progress.is_due()
    progress.add(_record(0))
    assert progress.is_due()
    link.stopping.set()
    assert not progress.is_due()


def test_a_training_elsewhere_reports_from_its_metrics():
    link = Listener()
    follow = FollowEpochs(EpochReporter(link, ACCURACY, lambda epoch: epoch % 2 == 0, Clock()))
    for epoch in range(5):
        follow.epoch({"epoch": epoch, "val_accuracy": epoch / 10})
    assert [message["epoch"] for message in link.messages] == [2, 4]
    assert [message["score"] for message in link.messages] == [0.1, 0.3]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_metric_that_is_not_finite_is_a_divergence(value):
    with pytest.raises(DivergenceError) as caught:
        EpochReporter(Link(), LOSS, lambda epoch: True).add(_record(0, value))
    assert (caught.value.field, caught.value.value) == ("val_loss", str(value))
    assert "learning rate" in caught.value.fix


def test_a_metric_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(UnknownNameError) as caught:
        value_of(ACCURACY, {**_record(0), "event": "epoch"})
    assert (caught.value.field, caught.value.value) == ("tune.objectives", "val_accuracy")
    assert "val_loss" in caught.value.fix
    assert "event" not in caught.value.fix


def test_a_larger_score_is_a_better_one():
    assert score(LOSS, 2.0) == -2.0
    assert score(ACCURACY, 0.5) == 0.5
