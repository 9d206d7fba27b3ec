"""Jobs that IBM's service has run or refused without a result, and which of them are run again.

A failure of the service is run again. A job that is itself at fault, being too large, too long or
not valid for the device, fails again and may be billed again, so it is not.
"""

from __future__ import annotations

import re

from qstore_ray.backends.ibm.ledger.record import HardwareJob, JobState
from qstore_ray.backends.ibm.policy import GatewayPolicy
from qstore_ray.errors import FailedJobError, QStoreError, RefusedError

_CODE = re.compile(r"\bError code:? (?P<code>\d{4})\b")
_RAN_TOO_LONG = "ran longer than maximum execution time"
"""What the client says of code 1305, without the code."""
_TOO_LARGE = frozenset({
    1001, 1102, 1103, 1305, 3218, 3242, 3243, 3248, 5201, 5302, 6000, 6002, 8002, 8003, 8018, 8019,
    8020,
})  # fmt: skip
"""Too many circuits, executions or bytes, or more time than a job has."""
_NOT_VALID = frozenset({
    1002, 1003, 1005, *range(1101, 1110), 1517, 3211, 3215, 3220, 3224, 3226, 3228, 3229, 3230,
    3236, 3237, 3239, 3249, 3265,
})  # fmt: skip
_ABOUT_CIRCUITS = range(6000, 9000)
"""Shots, instructions and timing; all of them ask for another job."""


def may_run_again(record: HardwareJob, policy: GatewayPolicy) -> bool:
    """Whether a job that has failed is to be run again; one that was not submitted always is."""
    if record.state is JobState.CANCELLED and not record.job_id:
        return True
    return record.failures < policy.attempts and not _is_at_fault(_code(record))


def failed_job_error(record: HardwareJob) -> FailedJobError | RefusedError:
    """The error for a job that is not run again."""
    code, job = _code(record), record.job_id or record.key
    reason = " ".join(record.reason.split())
    if not _is_at_fault(code):
        times = f"{record.failures} time{'s' * (record.failures != 1)}"
        return FailedJobError(
            f"a job failed {times} at IBM's service: {reason}",
            field="backend",
            value=job,
            fix="Look at the job on quantum.cloud.ibm.com; the run can be resumed.",
        )
    smaller = "Make the jobs smaller: policy.caps.executions and policy.caps.payload_bytes are the "
    smaller += "limits of one, or take fewer shots. Resume the run then."
    return RefusedError(
        f"IBM's service cannot run a job, which was not submitted again: {reason}",
        field="backend",
        value=job,
        fix=smaller
        if code in _TOO_LARGE
        else "Take other options of the Sampler or Estimator, "
        "or another device; https://quantum.cloud.ibm.com/docs/errors explains the code.",
    )


def may_be_of_one_owner(record: HardwareJob, error: QStoreError) -> bool:
    """Whether a job of several trials may have failed because of one of them.

    A wrong key, a reached patience or a firewall is not of one request.
    """
    owners = {share.trial for share in record.requests}
    if len(owners) < 2 or record.state is not JobState.FAILED:
        return False
    return isinstance(error, FailedJobError) or (
        isinstance(error, RefusedError) and error.status != 403
    )


def may_be_of_all(error: QStoreError) -> bool:
    """Whether the service may fail with every job: it said no reason that is in the job."""
    return not isinstance(error, RefusedError) or error.status is not None


def _code(record: HardwareJob) -> int:
    """The code of IBM's error registry; 0 without one."""
    if _RAN_TOO_LONG in record.reason:
        return 1305
    found = _CODE.search(record.reason)
    return int(found["code"]) if found else 0


def _is_at_fault(code: int) -> bool:
    return code in _TOO_LARGE or code in _NOT_VALID or code in _ABOUT_CIRCUITS
