"""One S3 server a session; a bucket and a stage of its own for each test."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.object_store import KEYS, make_bucket, s3_server


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stages of a machine."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "qstore_ray" / "storage"


@pytest.fixture
def bucket(endpoint: str, stage: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty bucket, whose keys are in the environment."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    name = f"runs-{secrets.token_hex(6)}"
    make_bucket(endpoint, name)
    return f"s3://{name}"
