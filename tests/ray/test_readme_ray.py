"""The README on a laptop cluster: its console lines and its Python, as they stand there."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.guides import blocks_of
from tests.unit.cli.test_train import JOB

STATE = "~/.local/state"
LONGEST = 300.0


def _lines(start: str) -> list[str]:
    """The commands of the README's block that begins with `start`, continued lines joined."""
    (block,) = (each for each in blocks_of("../README.md", "console") if each.startswith(start))
    return [line[2:] for line in block.replace("\\\n", " ").splitlines() if line.startswith("$ ")]


def _bash(commands: list[str], folder: Path, environment: dict[str, str]) -> str:
    """What commands print; `qstore`, `ray` and `python` are those of this environment."""
    python = shlex.quote(sys.executable)
    names = {"qstore": "-m qstore_ray", "ray": "-m ray.scripts.scripts", "python": ""}
    functions = [f'{name}() {{ {python} {words} "$@"; }}' for name, words in names.items()]
    script = "\n".join(["set -e", *functions, *commands])
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True,
        timeout=LONGEST, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_python_and_ray_job_submit_on_a_laptop_cluster(repository: Path, tmp_path: Path) -> None:
    names = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS")
    plain = {name: value for name, value in os.environ.items() if name not in names}
    environment = {
        **plain, "XDG_STATE_HOME": str(tmp_path / "state"), "PYTHONPATH": str(repository),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{plain['PATH']}",
    }  # fmt: skip
    tree = tmp_path / "tree"
    shutil.copytree(repository / "jobs", tree / "jobs")
    text = JOB.replace("epochs = 2", "epochs = 2\nnum_workers = 0")
    (tree / "jobs" / "digits.toml").write_text(text.format(storage=tmp_path / "runs"))
    first, _, third = blocks_of("../README.md", "python")
    loaded = first[: first.index("result =")]
    check = "import ray\nassert not ray.is_initialized(), 'it only joins'\n"
    seen = "from qstore_ray.train.ray import session\nsession._own_ray = None\n"
    try:
        _bash(_lines("$ qstore cluster up"), tree, environment)
        status = json.loads(_bash(["qstore cluster status --json"], tree, environment))
        _bash([f"python -c {shlex.quote(loaded + seen + third + check)}"], tree, environment)
        (run,) = (tree / "runs").glob("iris-*/run.json")
        assert json.loads(run.read_text())["status"] == "finished"

        lines = _lines("$ export RAY_AUTH_MODE")
        assert [line.split()[0] for line in lines] == ["export", "ray", "qstore"]
        here = {STATE: str(tmp_path / "state"), "http://127.0.0.1:8265": status["dashboard"]}
        for word, mine in here.items():
            assert any(word in line for line in lines)
            lines = [re.sub(rf"{re.escape(word)}(?=[\s/]|$)", mine, line) for line in lines]
        _bash(lines, tree, environment)
        for folder in (tree / "runs" / "digits-job", tmp_path / "runs" / "digits-submitted"):
            assert json.loads((folder / "run.json").read_text())["status"] == "finished"
    finally:
        _bash(["qstore cluster down"], tree, environment)
