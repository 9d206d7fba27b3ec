"""The benchmark that judges real files: each verdict on a small file of its kind."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "real_files.py"

BELL = 'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[2];\nh q[0];\ncx q[0], q[1];\n'
TRAINED = 'OPENQASM 3.0;\ninclude "stdgates.inc";\ninput float a;\nqubit q;\nry(a) q;\n'
MEASURED = (
    'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[2];\ncreg c[1];\n'
    "h q[0];\nmeasure q[0] -> c[0];\nif (c == 1) x q[1];\n"
)


@pytest.fixture(scope="module")
def real_files():
    spec = importlib.util.spec_from_file_location("real_files", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    sys.modules["real_files"] = module
    spec.loader.exec_module(module)
    return module


def passengers(n_rows: int = 80) -> str:
    """A table as seaborn has them: text, true and false, and ages that nobody knows."""
    draw = np.random.default_rng(4)
    lines = ["survived,sex,age,alone,deck"]
    for row in range(n_rows):
        sex = "female" if draw.random() < 0.4 else "male"
        age = "" if row % 9 == 0 else f"{draw.uniform(1, 80):.0f}"
        deck = "" if row % 3 == 0 else "ABC"[row % 3]
        survived = int(draw.random() < (0.8 if sex == "female" else 0.2))
        lines.append(f"{survived},{sex},{age},{row % 2 == 0},{deck}")
    return "\n".join(lines) + "\n"


def test_every_file_gets_the_verdict_of_its_kind(real_files, tmp_path):
    files = {
        "bell.qasm": BELL,
        "trained.qasm": TRAINED,
        "measured.qasm": MEASURED,
        "passengers.csv": passengers(),
        "unlabelled.csv": "height,width\n1,2\n3,4\n",
        "notes.txt": "not looked at\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / real_files.SETTINGS).write_text(
        '["passengers.csv"]\ncolumns = { label = "survived" }\n', encoding="utf-8"
    )
    found = {v.file: v for v in real_files.judge_folder(tmp_path)}
    assert {name: v.verdict for name, v in found.items()} == {
        "bell.qasm": "equal",
        "trained.qasm": "loaded",
        "measured.qasm": "refused",
        "passengers.csv": "trained",
        "unlabelled.csv": "refused",
    }
    assert "label survived" in found["passengers.csv"].note
    assert "sex (category)" in found["passengers.csv"].note
    assert "columns.label" in found["unlabelled.csv"].note


def test_a_wrong_state_and_a_raw_exception_are_told_apart(real_files, tmp_path, monkeypatch):
    (tmp_path / "bell.qasm").write_text(BELL, encoding="utf-8")
    other = (np.array([1.0, 0, 0, 0]), "")
    monkeypatch.setattr(real_files, "_qiskit_state", lambda path: other)
    assert [v.verdict for v in real_files.judge_folder(tmp_path)] == ["WRONG"]

    def fail(path):
        raise ZeroDivisionError("by the circuit")

    monkeypatch.setattr(real_files, "load_circuit", fail)
    raw = list(real_files.judge_folder(tmp_path))
    assert [v.verdict for v in raw] == ["RAW"]
    assert "ZeroDivisionError: by the circuit" in raw[0].note
