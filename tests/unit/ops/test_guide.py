"""The commands of docs/operations.md run as they stand there, and its table has every rule."""

from __future__ import annotations

import re
import shlex
import shutil
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from qstore_ray.cli.app import main
from qstore_ray.job import JobConfig
from qstore_ray.ops.rules import all_rules
from tests.guides import DOCS, blocks_of

if TYPE_CHECKING:
    import pytest

ROOT = DOCS.parent
COMMANDS = [
    line.removeprefix("$ ")
    for block in blocks_of("operations.md", "console")
    for line in block.splitlines()
]


def test_the_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    shutil.copytree(ROOT / "jobs", "jobs")
    with Path("jobs/digits.toml").open("a") as job:
        job.write("\n[track]\nmlflow = false\nfigures = false\n")
    assert len(COMMANDS) == 9
    for command in COMMANDS:
        program, *arguments = shlex.split(command)
        assert program == "qstore"
        assert main(arguments) == 0, (command, capsys.readouterr())


def test_the_tables_of_the_guide_are_parts_of_a_job():
    [block] = blocks_of("operations.md", "toml")
    job = 'name = "a"\n[dataset]\nname = "iris"\nparams = {dataset = "iris"}\n'

    config = JobConfig.from_dict(tomllib.loads(job + block))
    assert config.track.alerts is not None
    assert config.track.alerts.webhook == "https://hooks.example.org/qstore"
    assert set(config.track.wanted()) == {"mlflow", "alerts"}


def test_every_rule_has_a_row():
    text = (DOCS / "operations.md").read_text("utf-8")
    rows = set(re.findall(r"^\| `(\w+)` \| [^|]*\|[^|]*\|$", text, re.MULTILINE))
    assert rows == {rule.name for rule in all_rules()}
