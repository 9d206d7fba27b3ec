"""The steps of a job: every history of up to two attempts is gone through."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import NamedTuple

import pytest

from qstore_ray.backends.ibm.ledger import entries
from qstore_ray.backends.ibm.ledger.record import HardwareJob, JobState, advance
from qstore_ray.errors import LedgerError
from tests.unit.backends.ibm.made import key_of

KEY = key_of("job")
SHARE = entries.RequestShare(key=key_of("x"), trial="a", executions=100, rows=1)
INTENT = entries.IntentEntry(
    key=KEY, requests=(SHARE,), shots=100, options="{}", forecast_seconds=2.0
)
NONE_FOUND = entries.LookedUpEntry(key=KEY)
FOUND = entries.LookedUpEntry(key=KEY, job_ids=("a", "b"))
SUBMITTING = entries.SubmittingEntry(key=KEY)
ACCEPTED = entries.AcceptedEntry(key=KEY, job_id="a")
FINISHED = entries.FinishedEntry(key=KEY, arrays_sha256="0" * 64, details_sha256="0" * 64)
LOST = entries.ResultLostEntry(key=KEY, reason="gone")
FAILED = entries.FailedEntry(key=KEY, reason="no")
CANCELLED = entries.CancelledEntry(key=KEY, reason="no")
DUPLICATE = entries.DuplicateEntry(key=KEY, job_id="b", outcome="cancelled")
ACCEPTED_OTHER = entries.AcceptedEntry(key=KEY, job_id="c")
STEPS = (
    INTENT, NONE_FOUND, FOUND, SUBMITTING, ACCEPTED, ACCEPTED_OTHER, FINISHED, LOST, FAILED,
    CANCELLED, DUPLICATE,
)  # fmt: skip

PATHS = {
    "intent": (INTENT,),
    "looked up": (INTENT, NONE_FOUND),
    "found": (INTENT, FOUND),
    "submitting": (INTENT, NONE_FOUND, SUBMITTING),
    "accepted": (INTENT, NONE_FOUND, SUBMITTING, ACCEPTED),
    "finished": (INTENT, NONE_FOUND, SUBMITTING, ACCEPTED, FINISHED),
    "failed": (INTENT, NONE_FOUND, SUBMITTING, ACCEPTED, FAILED),
    "cancelled": (INTENT, NONE_FOUND, SUBMITTING, ACCEPTED, CANCELLED),
}
ALLOWED = {
    "intent": {"failed", "cancelled"},
    "looked up": {"submitting", "failed", "cancelled"},
    "found": {"accepted", "failed", "cancelled"},
    "submitting": {"accepted", "failed"},
    "accepted": {"finished", "failed", "cancelled"},
    "finished": {"result_lost"},
    "failed": {"intent"},
    "cancelled": {"intent"},
}


@pytest.mark.parametrize("path", PATHS)
def test_the_steps_from_each_state_are_as_drawn(path):
    """Looked up again, and duplicates ended, may be at any time."""
    record: HardwareJob | None = None
    for step in PATHS[path]:
        record = advance(record, step, "now")
    allowed = set()
    for step in STEPS:
        with suppress(LedgerError):
            advance(record, step, "now")
            allowed.add(step.event)
    assert allowed == ALLOWED[path] | {"looked_up", "duplicate"}


class History(NamedTuple):
    """What a step may depend on, and whether the service was asked since the last submission."""

    record: HardwareJob | None
    asked: bool


def test_in_no_history_is_a_job_submitted_without_an_empty_look_up():
    seen: set[tuple[object, ...]] = set()
    waiting = deque([History(None, asked=False)])
    submissions = 0
    while waiting:
        history = waiting.popleft()
        for step in STEPS:
            try:
                record = advance(history.record, step, "now")
            except LedgerError:
                continue
            submissions += _check(history, step, record)
            asked = step.event == "looked_up" or (history.asked and step.event != "submitting")
            after = History(record, asked and step.event != "intent")
            if record.attempts <= 2 and (known := _facts(after)) not in seen:
                seen.add(known)
                waiting.append(after)
    assert submissions > 3
    assert len(seen) > 100


def _facts(history: History) -> tuple[object, ...]:
    record = history.record
    assert record is not None
    ended = frozenset(record.duplicates)
    return (
        history.asked,
        record.state,
        record.is_uncertain,
        record.attempts,
        record.found,
        record.job_id,
        record.dead,
        ended,
    )


def _check(history: History, step: entries.JobEntry, record: HardwareJob) -> bool:
    """Whether this step submits a job; that it may."""
    before = history.record
    if before is None:
        assert step is INTENT
        return False
    assert set(record.submitted) >= set(before.submitted), "a job at the service is forgotten"
    living = {*record.found} - {record.job_id, *record.dead, *record.duplicates}
    if record.is_dead or record.job_id:
        assert set(record.open_duplicates) == living
    if step is INTENT:
        assert before.is_dead
    if record.state is JobState.FINISHED:
        assert record.job_id
        assert record.job_id not in record.dead
    if step.event == "looked_up":
        assert record.is_uncertain == before.is_uncertain
    if step is SUBMITTING:
        assert record.is_uncertain
        assert history.asked, "submitted twice after one look-up"
        assert not living
    return step is SUBMITTING
