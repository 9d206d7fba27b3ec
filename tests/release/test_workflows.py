"""The files of GitHub Actions call what exists here, and GitHub would take them."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest
import yaml

from tests.release.small_project import PYTHON, ROOT
from tools.release.project import Project

FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TEXTS = {path.stem: path.read_text("utf-8") for path in FILES}
JOBS = [
    pytest.param(job, id=f"{name}-{key}")
    for name, text in TEXTS.items()
    for key, job in yaml.safe_load(text)["jobs"].items()
]


def _commands() -> list[str]:
    """Every line that a job runs, with each value of its matrix."""
    found = []
    for job in (parameter.values[0] for parameter in JOBS):
        matrix: dict[str, list[Any]] = job.get("strategy", {}).get("matrix", {})
        for command in (step["run"] for step in job["steps"] if "run" in step):
            values = next((v for k, v in matrix.items() if f"matrix.{k} " in command), [""])
            found += [re.sub(r"\$\{\{.*?\}\}", str(value), command) for value in values]
    return found


def test_what_a_change_must_pass_is_what_ci_runs() -> None:
    assert "bash .ci/run" in _commands()
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o100


def test_each_target_that_is_called_is_one_of_the_makefile() -> None:
    calls = [re.sub(r"\S+=.*", "", c).split()[1:] for c in _commands() if c.startswith("make ")]
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    called = {target for call in calls for target in call}
    assert {"check", "chaos", "docs", "sdist", "wheels"} <= called <= targets


@pytest.mark.parametrize("job", JOBS)
def test_a_job_ends_by_itself(job: dict[str, Any]) -> None:
    assert job["timeout-minutes"] <= 350


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_an_action_is_named_by_its_commit(text: str) -> None:
    """A tag can be moved, a commit cannot. The comment has the version for Dependabot."""
    for line in re.findall(r"uses: .*", text):
        assert re.fullmatch(r"uses: [\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)


def test_the_tests_run_on_every_supported_python() -> None:
    matrix = yaml.safe_load(TEXTS["ci"])["jobs"]["tests"]["strategy"]["matrix"]
    assert tuple(matrix["python"]) == Project.at(ROOT).pythons


def test_what_may_publish_runs_no_code_of_the_repository() -> None:
    """What builds a release cannot publish another, nor write to the repository."""
    jobs = yaml.safe_load(TEXTS["release"])["jobs"]
    trusted = {name: job["permissions"] for name, job in jobs.items() if "permissions" in job}
    assert trusted == {"publish": {"id-token": "write"}, "page": {"contents": "write"}}
    for name in trusted:
        steps = jobs[name]["steps"]
        assert not [step for step in steps if "checkout" in step.get("uses", "")]
        assert not [step for step in steps if "make " in step.get("run", "")]
    assert not [step for step in jobs["publish"]["steps"] if "run" in step]
    assert "secrets." not in "".join(TEXTS.values())


def test_only_distributions_are_uploaded_to_the_index() -> None:
    """Another file beside them, such as the notes, would fail the upload of all."""
    jobs = yaml.safe_load(TEXTS["release"])["jobs"]
    taken = [step["with"] for step in jobs["publish"]["steps"] if "download" in step["uses"]]
    assert [each.get("name", each.get("pattern")) for each in taken] == ["sdist", "wheel-*"]


@pytest.mark.skipif(not PYTHON.exists(), reason="run make .venv/release/.stamp first")
def test_github_would_take_the_files() -> None:
    """A fork of actionlint; the original's package fetches its program from elsewhere."""
    program = PYTHON.with_name("jactionlint")
    shellcheck = PYTHON.with_name("shellcheck")
    done = subprocess.run(
        [program, "--shellcheck", shellcheck], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
