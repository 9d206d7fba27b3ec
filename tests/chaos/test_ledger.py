"""What the checks of a ledger find."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qstore_ray.track.jsonl import encode
from tests.chaos.driver import EPOCHS, STEPS, train
from tests.ledger import Applied, applied, check_metrics, check_run, read_ledger

GOOD = [Applied(0, 0, "a", "b"), Applied(0, 1, "b", "c"), Applied(1, 0, "c", "d")]


def test_the_chain_leads_from_the_first_parameters_to_the_last():
    assert applied(GOOD, "a", "d") == GOOD


def test_steps_that_were_lost_or_taken_twice_with_one_outcome_are_no_fault():
    again = [*GOOD[:2], *GOOD, Applied(1, 1, "d", "lost")]
    assert applied(again, "a", "d") == GOOD


@pytest.mark.parametrize(
    ("ledger", "why"),
    [
        ([*GOOD, Applied(1, 0, "b", "d")], "2 steps ended with d"),
        (GOOD[:2], "no step ended with the final parameters"),
        (GOOD[1:], "0 steps ended with b"),
        ([*GOOD[1:], Applied(0, 0, "d", "b")], "circle"),
    ],
)
def test_a_batch_of_two_outcomes_and_a_gap_are_found(ledger, why):
    with pytest.raises(AssertionError, match=why):
        applied(ledger, "a", "d")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> tuple[Path, bytes]:
    storage = tmp_path_factory.mktemp("whole")
    return storage, bytes.fromhex(train(storage))


def _check(storage: Path, theta: bytes, batches: int = STEPS) -> None:
    ledger = storage / "ledger.jsonl"
    check_run(storage / "run", ledger, theta, epochs=EPOCHS, batches=batches)


def test_a_whole_run_passes(run):
    _check(*run)


def test_a_batch_that_is_missing_or_too_many_is_found(run):
    with pytest.raises(AssertionError):
        _check(*run, batches=STEPS + 1)
    with pytest.raises(AssertionError):
        _check(*run, batches=STEPS - 1)


def test_parameters_that_no_step_made_are_found(run):
    storage, theta = run
    with pytest.raises(AssertionError, match="no step ended"):
        _check(storage, theta[:-8] + bytes(8))


def test_steps_that_go_back_and_epochs_that_come_twice_are_found(tmp_path):
    lines = [{"event": "step", "step": 2}, {"event": "step", "step": 1}]
    (tmp_path / "metrics.jsonl").write_bytes(b"".join(map(encode, lines)))
    with pytest.raises(AssertionError, match="go back"):
        check_metrics(tmp_path, 0)
    lines = [{"event": "epoch", "step": 1, "epoch": 0}] * 2
    (tmp_path / "metrics.jsonl").write_bytes(b"".join(map(encode, lines)))
    with pytest.raises(AssertionError):
        check_metrics(tmp_path, 1)


def test_a_torn_last_line_is_left_out(tmp_path):
    path = tmp_path / "ledger.jsonl"
    path.write_text(json.dumps(GOOD[0]) + "\n" + '[0, 1, "b"')
    assert read_ledger(path) == GOOD[:1]
