"""The service keeps to its own OpenAPI page, whatever is sent: requests made by Schemathesis."""

from __future__ import annotations

import tempfile
from pathlib import Path

import schemathesis
from hypothesis import HealthCheck, settings
from pydantic import SecretStr
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from qstore_ray.data.service.records import HubDataset
from qstore_ray.data.service.server.app import create_app
from qstore_ray.data.service.server.settings import ServiceSettings
from qstore_ray.errors import DataError

TOKEN = "a-token-for-the-tests"


def _absent(*_: object):
    raise DataError("there is no hub in this test")


_folder = tempfile.TemporaryDirectory(prefix="qstore-service-")
app = create_app(
    ServiceSettings(
        folder=Path(_folder.name),
        token=SecretStr(TOKEN),
        max_waiting=1000,
        search_hub=lambda words, limit: [HubDataset(id=words[:1])],
        read_hub=_absent,
        open_augmentations=_absent,
    )
)


@schemathesis.serializer("application/zip", "application/x-npz", "application/vnd.apache.parquet")
def _as_they_are(context, value):
    """Uploads are bytes; whatever else Schemathesis thinks of is sent as text."""
    return value if isinstance(value, bytes) else str(value).encode()


def refusals_say_what_to_do(context, response, case):
    """Whatever a client did wrong, the answer says what to send instead."""
    if 400 <= response.status_code < 500:
        assert response.json()["detail"]["fix"], response.text


schema = schemathesis.openapi.from_asgi("/openapi.json", app)


@schema.parametrize()
@settings(max_examples=12, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_route_answers_as_its_page_says(case):
    case.call_and_validate(
        headers={"Authorization": f"Bearer {TOKEN}"},
        checks=[
            not_a_server_error,
            refusals_say_what_to_do,
            status_code_conformance,
            content_type_conformance,
            response_schema_conformance,
        ],
    )


def test_every_route_is_described():
    paths = {
        (method.upper(), path) for path, item in app.openapi()["paths"].items() for method in item
    }
    assert len(paths) == 16
    assert not any(path.startswith("/api") for _, path in paths)
