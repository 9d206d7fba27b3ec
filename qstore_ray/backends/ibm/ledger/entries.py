"""The lines of a ledger: JSON with a sequence number, a time and a checksum.

    {"seq":3,"at":"2026-11-29T10:00:00+00:00","entry":{"event":"accepted",…},"sum":"0f3a…"}

The checksum covers the line and the checksum of the line before it. So a line that was changed,
removed, moved or copied from another ledger does not fit.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Final, Literal, NamedTuple, TypeAlias

from pydantic import Field, TypeAdapter, ValidationError

from qstore_ray.backends.ibm.keys import KEY_LENGTH
from qstore_ray.backends.ibm.requests import CircuitRequest
from qstore_ray.config import Config
from qstore_ray.files import parsed_json

VERSION: Final = 1
"""Of the lines; a reader refuses a higher one."""

_SUM = re.compile(rb'(?P<body>\{"seq":(?P<seq>\d+),.*),"sum":"(?P<sum>[0-9a-f]{16})"\}')

Key: TypeAlias = Annotated[str, Field(pattern=rf"^[0-9a-f]{{{KEY_LENGTH}}}$")]
Sha256: TypeAlias = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
JobId: TypeAlias = Annotated[str, Field(min_length=1)]
Seconds: TypeAlias = Annotated[float, Field(ge=0.0)]


class LedgerOwner(Config):
    """The first line: whose jobs these are.

    Args:
        run: the run or study, with what distinguishes it from an earlier one of the same name:
            otherwise that one's results would be taken for its own.
        instance: `keys.instance_id` of the CRN, never the CRN.
        backend: name of the device.
    """

    event: Literal["ledger"] = "ledger"
    version: int = VERSION
    run: str
    instance: Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
    backend: str


class RequestShare(Config):
    """A request in a job: its key, its trial, its part of the job's executions."""

    key: Key
    trial: str
    executions: int = Field(gt=0)
    rows: int = Field(gt=0)

    @classmethod
    def of(cls, request: CircuitRequest) -> RequestShare:
        """The share of a request, or of a piece of one."""
        return cls(
            key=request.key, trial=request.trial, executions=request.executions, rows=request.rows
        )


class IntentEntry(Config):
    """A job is about to be looked up and submitted.

    Args:
        calibration: executions that serve all requests.
        forecast_seconds: billed seconds by the formula. price_per_second: of one, if it is known.
    """

    event: Literal["intent"] = "intent"
    key: Key
    requests: tuple[RequestShare, ...] = Field(min_length=1)
    shots: int = Field(gt=0)
    options: str
    calibration: int = Field(default=0, ge=0)
    forecast_seconds: Seconds
    price_per_second: Seconds | None = None


class LookedUpEntry(Config):
    """The service was asked for jobs with the tag; these have not failed there."""

    event: Literal["looked_up"] = "looked_up"
    key: Key
    job_ids: tuple[JobId, ...] = ()


class SubmittingEntry(Config):
    """The next step submits the job; whether it did is not known before `accepted`."""

    event: Literal["submitting"] = "submitting"
    key: Key
    session_id: str = ""


class AcceptedEntry(Config):
    """The service has the job, newly submitted or found."""

    event: Literal["accepted"] = "accepted"
    key: Key
    job_id: JobId


class FinishedEntry(Config):
    """The result is in the results folder; the checksums are those of its two files."""

    event: Literal["finished"] = "finished"
    key: Key
    arrays_sha256: Sha256
    details_sha256: Sha256


class ResultLostEntry(Config):
    """The result's files are missing or damaged: it is to be fetched again."""

    event: Literal["result_lost"] = "result_lost"
    key: Key
    reason: str


class FailedEntry(Config):
    """The service refused the job, or it failed there."""

    event: Literal["failed"] = "failed"
    key: Key
    reason: str


class CancelledEntry(Config):
    """The job was cancelled, or was given up before it was submitted."""

    event: Literal["cancelled"] = "cancelled"
    key: Key
    reason: str


class DuplicateEntry(Config):
    """A second job with the same tag; `outcome` is how it ended."""

    event: Literal["duplicate"] = "duplicate"
    key: Key
    job_id: JobId
    outcome: Literal["cancelled", "completed", "failed"]


class UsageEntry(Config):
    """The seconds that the service bills for a job."""

    event: Literal["usage"] = "usage"
    key: Key
    job_id: JobId
    seconds: Seconds


class SessionClosedEntry(Config):
    """The session of an earlier `submitting` line of this job was closed, or has ended."""

    event: Literal["session_closed"] = "session_closed"
    key: Key
    session_id: str = Field(min_length=1)


JobEntry: TypeAlias = (
    IntentEntry
    | LookedUpEntry
    | SubmittingEntry
    | AcceptedEntry
    | FinishedEntry
    | ResultLostEntry
    | FailedEntry
    | CancelledEntry
    | DuplicateEntry
    | UsageEntry
    | SessionClosedEntry
)
Entry: TypeAlias = LedgerOwner | JobEntry

_ENTRY: Final[TypeAdapter[Entry]] = TypeAdapter(Annotated[Entry, Field(discriminator="event")])


class LedgerLine(NamedTuple):
    """A line that was read: its number from 0, its time, its entry, its checksum."""

    seq: int
    at: str
    entry: Entry
    checksum: str


def encode_line(seq: int, at: str, entry: Entry, before: str) -> tuple[bytes, str]:
    """A line with its line break, and its checksum.

    Args:
        before: checksum of the line before; "" for the first.
    """
    fields = {"seq": seq, "at": at, "entry": entry.model_dump(mode="json")}
    body = json.dumps(fields, separators=(",", ":"), allow_nan=False).encode()[:-1]
    checksum = _checksum(body, before)
    return body + f',"sum":"{checksum}"}}\n'.encode(), checksum


def decode_line(line: bytes, seq: int, before: str) -> LedgerLine | None:
    """The line without its line break; None if it is damaged or out of place.

    Args:
        seq: the number that it must have. before: checksum of the line before; "" for the first.
    """
    found = _SUM.fullmatch(line)
    if found is None or int(found["seq"]) != seq:
        return None
    if _checksum(found["body"], before).encode() != found["sum"]:
        return None
    try:
        fields = parsed_json(found["body"] + b"}")
        entry = _ENTRY.validate_python(fields["entry"])
        return LedgerLine(seq, str(fields["at"]), entry, found["sum"].decode())
    except (ValidationError, ValueError, KeyError):
        return None


def _checksum(body: bytes, before: str) -> str:
    return hashlib.sha256(before.encode() + b"\n" + body).hexdigest()[:16]
