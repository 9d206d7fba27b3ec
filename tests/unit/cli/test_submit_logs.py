"""The logs of a job that `qstore submit` follows: as they are, and as text on a terminal."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from qstore_ray.cli.app import main
from qstore_ray.cli.submit.readable import JobLogs, result_text
from qstore_ray.track.logs.logging import announce, configure_logging
from tests.unit.cli.test_progress import ESCAPE, _terminal
from tests.unit.cli.test_train import JOB


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    logger = logging.getLogger("qstore_ray")
    before = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], logger.level, logger.propagate = before[0], before[1], before[2]
    structlog.reset_defaults()


@pytest.fixture
def logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """What a training writes as a job of Ray, which has one stream for both."""
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    file = tmp_path / "iris.toml"
    file.write_text(JOB.format(storage=tmp_path / "runs"), encoding="utf-8")
    assert main(["train", str(file), "--json"]) == 0
    captured = capsys.readouterr()
    return f"{captured.err}{captured.out}"


def _shown(text: str, monkeypatch: pytest.MonkeyPatch, size: int) -> tuple[list[str], JobLogs]:
    """The lines that a terminal was sent, and the logs, which came in parts of `size`."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    with _terminal() as (stream, sent):
        monkeypatch.setattr("sys.stderr", stream)
        logs = JobLogs()
        for start in range(0, len(text), size):
            logs.write(text[start : start + size])
        logs.close()
    plain = ESCAPE.sub("", sent[0]).split("\r\n")
    return [line.split("\r")[-1] for line in plain], logs


@pytest.mark.parametrize("size", [7, 10_000])
def test_on_a_terminal_a_training_looks_as_it_does_there(
    logs: str, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    assert logs.count("\n{") >= 5, "they are JSON lines"
    lines, seen = _shown(f"Running entrypoint\n{logs}", monkeypatch, size)
    assert not [line for line in lines if "{" in line]
    assert lines[0] == "Running entrypoint"
    (opening,) = (line for line in lines if line.startswith("training 2 epochs of"))
    *_, bar = (line for line in lines if line.startswith("epoch 2/2"))
    assert "val accuracy" in bar
    (end,) = (line for line in lines if line.startswith("finished after 2 of 2 epochs"))
    assert lines.index(opening) < lines.index(bar) < lines.index(end)
    result = seen.result()
    assert result is not None
    text = result_text(result)
    assert f"run dir             {result['run_dir']}" in text
    assert f"test accuracy       {result['test_accuracy']:.4f}" in text


def test_elsewhere_the_logs_are_as_they_came(logs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    seen = JobLogs()
    seen.write(logs[:100])
    assert stream.getvalue() == logs[:100], "at once"
    seen.write(logs[100:])
    seen.close()
    assert stream.getvalue() == logs
    assert seen.result() == json.loads(logs.splitlines()[-1])
    killed = JobLogs()
    killed.write("".join(f"{line}\n" for line in logs.splitlines()[:-1]))
    assert killed.result() is None, "a line of the log is no result"


def test_warnings_and_errors_of_a_job_are_lines_of_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(json=True, level="info")
    announce("warning", "a checkpoint was damaged")
    logging.getLogger("qstore_ray.x").info("device auto: CPU")
    assert main(["train", "absent.toml", "--json"]) == 2
    captured = capsys.readouterr()
    foreign = '{"event": "epoch", "level": "info", "logger": "qstore_ray.cli.progress.progress"}'
    text = f'{captured.err}{captured.out}{foreign}\n{{"prediction": 1}}\n{{half'
    lines, seen = _shown(text, monkeypatch, len(text))
    assert lines[:2] == ["warning: a checkpoint was damaged", "info: device auto: CPU"]
    assert "error     " in lines[2]
    assert lines[-4:] == ["info: epoch", '{"prediction": 1}', "{half", ""]
    assert not [line for line in lines if "exit_code" in line], "it was said as text"
    result = seen.result()
    assert result is not None
    assert result["exit_code"] == 2
    assert result_text(result) == ""


def test_the_result_of_a_search_is_where_it_is_and_its_best_trial() -> None:
    best = {"trial": 3, "values": {"val_accuracy": 0.9}, "parameters": {"x": 1}}
    result = {"status": "finished", "study": "a", "folder": "/runs/a", "best": best, "report": None}
    assert [line.split(None, 1) for line in result_text(result).splitlines()] == [
        ["study", "a"],
        ["folder", "/runs/a"],
        ["best", "val_accuracy 0.9000 in trial 3"],
    ]
