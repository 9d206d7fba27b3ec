"""Where ledgers are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from qstore_ray.backends.ibm.ledger.place import ledger_root
from qstore_ray.backends.ibm.ledger.replay import LEDGER


@pytest.fixture
def state(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "qstore_ray"


@pytest.mark.parametrize("given", [None, "paid", "paid/jobs"])
def test_the_place_does_not_depend_on_the_current_folder(state, tmp_path, monkeypatch, given):
    found = []
    for name in ("one", "other"):
        (tmp_path / name / "paid").mkdir(parents=True)
        monkeypatch.chdir(tmp_path / name)
        found.append(ledger_root(given))
    assert found == [state / (given or "ibm")] * 2


def test_an_absolute_path_is_taken_as_it_is(state, tmp_path):
    assert ledger_root(str(tmp_path / "paid")) == tmp_path / "paid"


def test_ledgers_in_the_current_folder_are_still_found(state, tmp_path, monkeypatch):
    """What was paid for before is not paid for again."""
    file = tmp_path / "paid" / "instance" / "ibm_fez" / "run" / LEDGER
    file.parent.mkdir(parents=True)
    file.touch()
    monkeypatch.chdir(tmp_path)
    assert ledger_root("paid") == tmp_path / "paid"
