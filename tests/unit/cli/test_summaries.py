"""What commands say at their end: every fact that there is, and none that there is not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from qstore_ray.advise.predict import JobPrediction
from qstore_ray.cli.federate import _as_dict, _as_text
from qstore_ray.cli.shared.advice_text import prediction_text
from qstore_ray.federated.config import FederationConfig
from qstore_ray.federated.server import RoundRecord

CONFIG: Any = SimpleNamespace(
    name="hospitals",
    federation=FederationConfig(rounds=5, strategy_options={"weights": "uniform"}, secure_sum=True),
)


def _round(number: int, **excluded: str) -> RoundRecord:
    return RoundRecord(number, ("a", "b"), excluded, ("a",), 0.5, 0.1, sent=100, received=51)


def _result(folder: Path, **changed: Any) -> Any:
    found = {
        "run_dir": folder, "metrics": {}, "privacy": None, "epsilons": {}, "theta": np.zeros(7),
        "history": [], "shards": {"a": np.array([3, 1]), "b": np.array([0, 4])},
    }  # fmt: skip
    return SimpleNamespace(**found | changed)


def test_a_federation_says_what_its_rounds_cost_and_who_was_excluded(tmp_path):
    history = [_round(number, b=f"late {number}") for number in range(5)]
    (tmp_path / "report.html").write_text("")
    result = _result(
        tmp_path, history=history, metrics={"test_accuracy": 0.75}, epsilons={"a": 1.5, "b": None}
    )
    text = _as_text(CONFIG, result)
    for words in ("accuracy 0.7500", "5, fedavg, secure sums", "2, 2 a round", "151 bytes",
                  "ε of at most 1.5", "report.html", "round 1 had no sound update of b: late 0",
                  "and others in 2 more rounds"):  # fmt: skip
        assert words in text
    assert "late 3" not in text
    assert [line.split() for line in text.splitlines()[-2:]] == [
        ["a", "4", "3", "1"], ["b", "4", "0", "4"]
    ]  # fmt: skip
    found = json.loads(json.dumps(_as_dict(CONFIG, result)))
    assert (found["bytes_per_round"], found["clients"], found["parameters"]) == (151, 2, 7)
    assert found["excluded"] == {str(n): {"b": f"late {n}"} for n in range(5)}
    assert found["shards"] == {"a": [3, 1], "b": [0, 4]}
    assert found["report"].endswith("report.html")


def test_a_federation_says_nothing_of_what_it_does_not_have(tmp_path):
    text = _as_text(CONFIG, _result(tmp_path, metrics={"test_loss": 0.25}))
    assert "loss 0.25" in text
    for words in ("accuracy", "ε of", "report.html", "had no sound update"):
        assert words not in text
    assert _as_dict(CONFIG, _result(tmp_path))["report"] is None
    names = [line.partition(" ")[0] for line in _as_text(CONFIG, _result(tmp_path)).splitlines()]
    assert "test" not in names


PREDICTION = JobPrediction(
    seconds=12.0, seconds_low=None, seconds_high=None, around_seconds=2.0, memory_mb=300.0,
    disk_mb=1.5, circuits=12_000, shots=0, qpu_seconds=None, money=None, accuracy=None,
    outside=("8 qubits", "iris"), notes=("queues",),
)  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "there", "absent"),
    [
        ({}, "not known, outside of the table: 8 qubits; iris", "shots"),
        ({"seconds_low": 9.0, "seconds_high": 15.0}, "90 % interval 9 to 15", "QPU"),
        ({"shots": 1_000_000}, "1,000,000", "QPU"),
        ({"qpu_seconds": 3.25}, "3.2 s at most, no price is known", "to pay"),
        ({"qpu_seconds": 3.25, "money": 5.2}, "5.20 to pay", "no price"),
        ({"accuracy": (0.9, 0.8, 0.95)}, "90 % interval 0.80 to 0.95", "not known"),
    ],
)
def test_a_prediction_says_what_is_known(changed, there, absent):
    text = prediction_text(replace(PREDICTION, **changed))
    assert there in text
    assert absent not in text
    for words in ("12,000", "300 MiB", "queues"):
        assert words in text
