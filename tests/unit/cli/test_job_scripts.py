"""`jobs/*.py`: each is the command of its name, with its arguments, output and exit codes."""

from __future__ import annotations

import json
import runpy
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.cli.test_train import JOB

Script = Callable[..., tuple[int, dict[str, object]]]


@pytest.fixture
def script(
    repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Script]:
    """Run a script of `jobs/` in this process; its exit code and its last line of JSON."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}

    def run(name: str, *words: object) -> tuple[int, dict[str, object]]:
        typed = [f"{name}.py", *map(str, words), "--json"]
        monkeypatch.setattr(sys, "argv", typed)
        with pytest.raises(SystemExit) as left:
            runpy.run_path(str(repository / "jobs" / f"{name}.py"), run_name="__main__")
        return int(str(left.value.code)), json.loads(capsys.readouterr().out.splitlines()[-1])

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def job(tmp_path: Path) -> Path:
    path = tmp_path / "iris.toml"
    path.write_text(JOB.format(storage=tmp_path / "runs"), encoding="utf-8")
    return path


def test_a_model_is_trained_scored_and_used(script: Script, job: Path, tmp_path: Path) -> None:
    code, result = script("train", job, "--workers", "0", "--quiet")
    assert (code, result["status"], result["name"]) == (0, "finished", "iris")
    stored = ("--storage", tmp_path / "runs")
    code, result = script("evaluate", "iris", *stored)
    assert code == 0
    rows = tmp_path / "rows.csv"
    columns = "sepal length (cm),sepal width (cm),petal length (cm),petal width (cm)"
    rows.write_text(f"{columns}\n5.1,3.5,1.4,0.2\n", encoding="utf-8")
    code, result = script("predict", "iris", rows, "--output", tmp_path / "out.csv", *stored)
    assert (code, (tmp_path / "out.csv").exists()) == (0, True)


def test_data_are_prepared(script: Script, job: Path, tmp_path: Path) -> None:
    code, _ = script("prepare_data", job, tmp_path / "data")
    assert (code, (tmp_path / "data").is_dir()) == (0, True)


@pytest.mark.parametrize("name", ["train", "tune", "evaluate", "predict", "prepare_data"])
def test_a_missing_file_has_the_exit_code_of_the_command(script: Script, name: str) -> None:
    words = {"evaluate": ["no-run"], "predict": ["no-run", "no.csv"]}.get(name, ["no.toml"])
    code, error = script(name, *words, *(["folder"] if name == "prepare_data" else []))
    assert code == 2
    assert {"error", "message", "fix"} <= set(error)
