"""The laws of a family as a user runs them: they pass on a right member and fail on wrong ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from qstore_ray import testing
from tests.guides import blocks_of

RIGHT = """
import numpy as np
import pytest
from qstore_ray import Callback, open_backend
from qstore_ray.learn.schedules.cosine import Cosine
from qstore_ray.testing import BackendLaws, CallbackLaws, ScheduleLaws


class Mine:
    name = "mine"

    def __init__(self):
        self.exact = open_backend("statevector", {})

    def check(self, template, observables, bindings):
        self.exact.check(template, observables, bindings)

    def evaluate(self, template, observables, bindings, *, shots=None, key=None):
        return self.exact.evaluate(template, observables, bindings, shots=shots, key=key)


class Counts(Callback):
    steps = 0

    def on_batch_end(self, run, batch):
        self.steps += 1

    def on_epoch_end(self, run, record):
        run.log(counted=float(self.steps))

    def state(self):
        return {"steps": self.steps}

    def restore(self, state):
        self.steps = state["steps"]


class TestBackend(BackendLaws):
    @pytest.fixture
    def backend(self):
        return Mine()


class TestCallback(CallbackLaws):
    @pytest.fixture
    def callback(self):
        return Counts()


class TestSchedule(ScheduleLaws):
    @pytest.fixture
    def schedule(self):
        return Cosine()
"""

CALL = "self.exact.evaluate(template, observables, bindings, shots=shots, key=key)"
FOUND = f"found = {CALL}\n        "
WRONG = {
    "a backend that swaps rows": (
        f"return {CALL}",
        FOUND + "return type(found)(found.values[::-1].copy(), usage=found.usage)",
        "test_it_keeps_the_order_of_rows",
    ),
    "a backend that rounds": (
        f"return {CALL}",
        FOUND + "return type(found)(found.values.round(9), usage=found.usage)",
        "test_small_values_are_not_rounded_to_zero",
    ),
    "a callback that forgets its state": (
        'self.steps = state["steps"]',
        "pass",
        "test_a_resumed_run_ends_as_an_uninterrupted_one",
    ),
}


def _pytest(folder: Path, text: str, *words: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_mine.py").write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py", *words],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_right_members_pass(tmp_path: Path):
    done = _pytest(tmp_path, RIGHT)
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_members_fail_at_the_law_that_they_break(tmp_path: Path, wrong: str):
    right, other, law = WRONG[wrong]
    assert right in RIGHT
    done = _pytest(tmp_path, RIGHT.replace(right, other), "-k", law)
    assert done.returncode == 1, done.stdout
    assert f"::{law}" in done.stdout


def test_a_class_without_its_fixture_says_what_is_missing(tmp_path: Path):
    text = "from qstore_ray.testing import StepLaws\nclass TestMine(StepLaws):\n    pass\n"
    done = _pytest(tmp_path, text)
    assert done.returncode == 1
    assert "NotImplementedError" in done.stdout


@pytest.mark.slow
def test_the_members_of_the_guide_keep_the_laws_of_their_families(tmp_path: Path):
    others = """
from qstore_ray.testing import SchedulerLaws, StepLaws


class TestHalve(StepLaws):
    @pytest.fixture
    def step(self):
        return Halve()


class TestThird(SchedulerLaws):
    @pytest.fixture
    def scheduler(self):
        return Third(threshold=0.7)
"""
    done = _pytest(tmp_path, "\n".join([*blocks_of("extending.md", "python"), others]))
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout


def test_every_exported_class_exists():
    for name in testing.__all__:
        assert getattr(testing, name).__name__ == name
    with pytest.raises(AttributeError):
        _ = testing.Nonsense  # type: ignore[attr-defined]
