"""What is told to other packages through the environment is taken back."""

from __future__ import annotations

import os

import pytest

from qstore_ray.environment import environment


def test_the_environment_is_what_it_was_however_the_block_ends(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("QSTORE_THERE", "before")
    monkeypatch.delenv("QSTORE_ABSENT", raising=False)
    before = dict(os.environ)
    values = {"QSTORE_THERE": "now", "QSTORE_ABSENT": "now"}

    def fail() -> None:
        with environment(values):
            assert values.items() <= os.environ.items()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert dict(os.environ) == before


def test_defaults_leave_what_the_user_has_set(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("QSTORE_THERE", "before")
    monkeypatch.delenv("QSTORE_ABSENT", raising=False)
    before = dict(os.environ)
    with environment(defaults={"QSTORE_THERE": "now", "QSTORE_ABSENT": "now"}):
        assert os.environ["QSTORE_THERE"] == "before"
        assert os.environ["QSTORE_ABSENT"] == "now"
    assert dict(os.environ) == before
