"""What an answer of the service, or of a proxy before it, means."""

from __future__ import annotations

import pytest
from qiskit_ibm_runtime.api.exceptions import RequestsApiError
from qiskit_ibm_runtime.exceptions import IBMRuntimeError

from qstore_ray.backends.ibm.service.trouble import translated
from qstore_ray.errors import ConfigError, QStoreError, RefusedError, TransientError

BLOCKED = """403 Client Error: Forbidden for url: https://quantum.cloud.ibm.com/api/v1/jobs.
<!DOCTYPE html><html><title>Attention Required! | Cloudflare</title> Sorry, you have been blocked
<span>Cloudflare Ray ID: <strong>9ed26368c834167e</strong></span></html>"""
REFUSED = """403 Client Error: Forbidden for url: https://quantum.cloud.ibm.com/api/v1/jobs.
{"errors":[{"code":1200,"message":"You are not authorized to perform this action."}]}"""


def raised(text: str, status: int) -> QStoreError:
    """What the client's submission raises: it hides the error that has the status."""
    error = IBMRuntimeError(f"Failed to run program: {text}")
    error.__context__ = RequestsApiError(text, status)
    with pytest.raises(QStoreError) as found, translated("submit a job"):
        raise error
    return found.value


def test_a_request_that_a_firewall_blocks_is_not_said_to_have_a_wrong_key():
    error = raised(BLOCKED, 403)
    assert isinstance(error, RefusedError)
    assert error.status == 403
    assert "Ray ID 9ed26368c834167e" in error.message
    assert "html" not in error.message.lower()
    assert "payload_bytes" in error.fix


def test_a_refusal_by_the_service_itself_is_about_the_key():
    error = raised(REFUSED, 403)
    assert isinstance(error, ConfigError)
    assert error.field == "backend_options.account"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            '{"errors":[{"code":1517,"message":"Shots aren\'t a number.","solution":"Send one."}]}',
            "Shots aren't a number. (code 1517) Send one.",
        ),
        ('{"error":{"status":400,"code":"BAD","message":"No \\"x\\"."}}', 'No "x". (code BAD)'),
        ('{"errorCode":"BXNIM0415E","errorMessage":"No key."}', "No key. (code BXNIM0415E)"),
        ('{"errors":[{"message":"One."},{"message":"Two."}]}', "One.; Two."),
        ('{"error":"unauthorized"}', "unauthorized"),
        ("a body {without JSON}", "a body {without JSON}"),
        ('{"status": 400}', '{"status": 400}'),
    ],
)
def test_what_a_body_of_json_says_is_said_in_its_place(body, said):
    start = "400 Client Error: Bad Request for url: https://quantum.cloud.ibm.com/api/v1/jobs. "
    error = raised(start + body, 400)
    assert isinstance(error, RefusedError)
    assert error.message.endswith(start + said)
    twice = raised(str(IBMRuntimeError(f"it's {start}{body}")), 400)  # quotes are escaped
    assert start + said in twice.message or "{" in said


@pytest.mark.parametrize("status", [502, 503, 520, 524])
def test_a_page_of_a_proxy_that_has_no_answer_passes(status):
    page = (
        f"{status} Server Error: for url. <html><title>{status}: A timeout occurred</title></html>"
    )
    error = raised(page, status)
    assert isinstance(error, TransientError)
    assert "html" not in error.message


@pytest.mark.parametrize("status", [400, 403, 409])
@pytest.mark.parametrize(
    "body",
    [
        '{"errors":[{"code":3458,"message":"Reached maximum number (5) of concurrent jobs"}]}',
        '{"errors":[{"code":1012,"message":"The user reached the maximum number of jobs"}]}',
        '{"errors":[{"code":4000,"message":"You have reached the limit of 3 pending jobs."}]}',
        "You have reached the maximum number of pending jobs, so you need to wait.",
    ],
)
def test_an_account_with_all_its_jobs_in_the_queue_is_not_refused(status, body):
    error = raised(
        f"{status} Client Error: Bad Request for url: https://q/api/v1/jobs. {body}", status
    )
    assert isinstance(error, TransientError)
    assert error.is_full
    assert error.status == status


def test_a_refusal_that_names_such_a_number_is_one():
    error = raised(
        '400 Client Error: for url: https://q. {"code":3211,"message":"3458 gates"}', 400
    )
    assert isinstance(error, RefusedError)
