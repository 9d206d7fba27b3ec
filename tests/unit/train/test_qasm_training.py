"""A circuit file from the command line to a trained model."""

from __future__ import annotations

from pathlib import Path

import pytest

from qstore_ray.circuits.qasm import reader
from qstore_ray.cli.app import main
from qstore_ray.train.model.trained import TrainedModel

JOB = """
name = "own"
storage = "{storage}"

[dataset]
name = "iris"
params = {{ dataset = "iris" }}
preprocessing = [{{ name = "minmax" }}]

[model]
circuit = "{circuit}"

[trainer]
epochs = 1

[track]
mlflow = false
"""
CIRCUIT = """// author: me
include "mine.inc";
qubit[4] q;
input array[float, 4] x;
input float[64] w;
for uint i in [0:3] { ry(x[i]) q[i]; }
entangle q[0], q[1];
rz(w) q[1];
"""
BROKEN = {
    "h q[5];": "line 9, column 4",
    "rx() q;": "rx: takes 1 angle",
    "rx(1/0) q;": "division by zero",
    "foo q[0];": "no gate foo",
    "h q[0]": "end of the text",
    "measure q[0]; h q[0];": "mid-circuit",
}


@pytest.fixture
def job(tmp_path: Path) -> Path:
    (tmp_path / "mine.inc").write_text("gate entangle a, b { cx a, b; }\n", encoding="utf-8")
    (tmp_path / "mine.qasm").write_text(CIRCUIT, encoding="utf-8")
    path = tmp_path / "job.toml"
    text = JOB.format(storage=tmp_path / "runs", circuit=tmp_path / "mine.qasm")
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_is_parsed_once_in_a_training_and_kept_with_the_run(
    job: Path, monkeypatch: pytest.MonkeyPatch
):
    calls: list[str] = []
    run = reader.run_program

    def counted(text: str, name: str):
        calls.append(name)
        return run(text, name)

    monkeypatch.setattr(reader, "run_program", counted)
    assert main(["train", str(job), "--quiet"]) == 0
    assert calls == [str(job.parent / "mine.qasm")]
    for file in ("mine.qasm", "mine.inc"):
        (job.parent / file).unlink()
    model = TrainedModel.load(job.parent / "runs" / "own")
    gates = [op.gate for op in model.model.circuit.template.ops]
    assert gates == ["ry", "ry", "ry", "ry", "cx", "rz"]


@pytest.mark.parametrize("line", BROKEN)
def test_a_broken_file_ends_with_exit_code_2_and_its_place(line: str, job: Path, capsys):
    file = job.parent / "mine.qasm"
    file.write_text(CIRCUIT + line, encoding="utf-8")
    assert main(["train", str(job), "--quiet"]) == 2
    said = " ".join(capsys.readouterr().err.split())  # however it is wrapped
    assert BROKEN[line] in said
    assert "mine.qasm" in said
    assert "Traceback" not in said
    assert not (job.parent / "runs").exists()
