"""Papers of the project: forms that parse, links that lead somewhere, nobody who does not exist."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from qstore_ray.learn.schedules import SCHEDULES, Horizon, Tick, get_schedule
from tools.first_change import __main__ as first_change
from tools.first_change import checks
from tools.first_change.steps import _FILE, _TEST, DONE, STEPS
from tools.gates.side_by_side import run_all

ROOT = Path(__file__).resolve().parents[2]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
PAPERS = [
    *(ROOT / name for name in ("SECURITY.md", "CODE_OF_CONDUCT.md", "GOVERNANCE.md")),
    ROOT / "docs" / "reviewing.md",
    ROOT / ".github" / "pull_request_template.md",
]
KINDS = {"markdown", "textarea", "input", "dropdown", "checkboxes"}


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.name)
def test_a_form_is_one_that_the_host_takes(form: Path) -> None:
    """By its documented schema: names, a description, and fields with ids of their own."""
    found = yaml.safe_load(form.read_text(encoding="utf-8"))
    if form.name == "config.yml":
        assert found == {"blank_issues_enabled": True}
        return
    assert set(found) == {"name", "description", "labels", "body"}
    fields = [each for each in found["body"] if each["type"] != "markdown"]
    assert {each["type"] for each in found["body"]} <= KINDS
    assert len({each["id"] for each in fields}) == len(fields) > 0
    for each in fields:
        assert each["attributes"]["label"]
        assert each["type"] != "dropdown" or all(
            isinstance(option, str) for option in each["attributes"]["options"]
        )


@pytest.mark.parametrize("paper", PAPERS, ids=lambda path: path.name)
def test_papers_name_nobody_and_their_links_lead_somewhere(paper: Path) -> None:
    text = paper.read_text(encoding="utf-8")
    assert not re.search(r"\b[\w.]+@[\w-]+\.\w+", text), "an address"
    for link in re.findall(r"\]\((?!https?:)([^)#\s]+)", text):
        assert (paper.parent / link).exists(), link
    for command in re.findall(r"`make ([a-z-]+)", text):
        assert re.search(rf"^{command}:", (ROOT / "Makefile").read_text(), re.MULTILINE), command


def test_the_container_to_work_in_is_described_by_files_that_are_there() -> None:
    folder = ROOT / ".devcontainer"
    found = json.loads((folder / "devcontainer.json").read_text(encoding="utf-8"))
    dockerfile = (folder / found["build"]["dockerfile"]).read_text(encoding="utf-8")
    base = found["build"]["args"]["BASE"]
    assert f"ARG BASE={base}\n" in dockerfile
    assert "FROM ${BASE}\n" in dockerfile
    assert f"useradd --create-home --shell /bin/bash {found['remoteUser']}" in dockerfile
    assert found["postCreateCommand"] == "make setup"
    assert base in (ROOT / "Dockerfile").read_text(encoding="utf-8"), "the image of the product"


def test_a_python_without_venv_is_refused_with_the_package_that_brings_it(tmp_path: Path) -> None:
    """As on a bare Debian: before, .venv was left without pip, and the next call failed."""
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is not installed")
    for name in ("Makefile", "requirements-uv.lock"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "ensurepip.py").write_text("raise ImportError('not on Debian')\n")
    python = f"env PYTHONPATH={tmp_path}/bare {sys.executable}"
    done = subprocess.run(
        [make, f"PYTHON={python}", ".venv/bin/uv"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode != 0
    assert "apt install python3-venv" in done.stdout
    assert not (tmp_path / ".venv").exists()


def test_an_environment_of_another_machine_is_made_again(tmp_path: Path) -> None:
    """A container mounts the folder: the stamps say that all is there, but its Python is not."""
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is not installed")
    folder = tmp_path / "a folder with späces"
    (folder / ".venv" / "bin").mkdir(parents=True)
    for name in ("Makefile", "requirements-uv.lock"):
        shutil.copy(ROOT / name, folder)
    (folder / ".venv/bin/uv").write_text("")
    python = folder / ".venv/bin/python"
    python.symlink_to("/nowhere/python")

    def planned() -> str:
        done = subprocess.run(
            [make, "--dry-run", ".venv/bin/uv"],
            cwd=folder, capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip
        return done.stdout

    assert "-m venv --clear .venv" in planned()
    python.unlink()
    python.symlink_to(sys.executable)
    assert "up to date" in planned()


# ---------------------------------------------------------------------------- the first change


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda root: shutil.rmtree(root / ".git"), "no git repository"),
        (lambda root: None, "the branch is none"),
    ],
    ids=["no repository", "no branch"],
)
def test_a_folder_without_a_branch_is_told_apart_from_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, spoil: Callable[[Path], None], said: str
) -> None:
    monkeypatch.setattr(checks, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=tmp_path, check=True)
    (tmp_path / ".git" / "HEAD").write_text("0" * 40 + "\n")
    spoil(tmp_path)
    assert said in checks.on_a_branch()


def test_a_name_that_git_lacks_is_asked_for_before_the_commit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(checks, "ROOT", tmp_path)
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    monkeypatch.delenv("EMAIL", raising=False)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["git", "config", "user.useConfigOnly", "true"], cwd=tmp_path, check=True)
    assert "git config user.name" in checks.committed()
    for setting in (("user.name", "Some One"), ("user.email", "some@example.com")):
        subprocess.run(["git", "config", *setting], cwd=tmp_path, check=True)
    assert "the last commit lacks" in checks.committed()


def test_of_make_check_only_what_failed_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    """In whichever order the gates end; they are here what every environment has."""
    bad = "python -c \"import sys; sys.exit('a.py:1: wrong')\""
    commands = ["python -c \"print('all well')\"", bad, "python -c \"print('well, too')\""]
    assert run_all(commands, processes=3) == 1
    printed = capfd.readouterr()
    said = checks.of_failed_gates((printed.out + printed.err).splitlines()).splitlines()
    assert said[0].startswith(f"+ {bad}")
    assert said[1:] == ["a.py:1: wrong", f"failed: {bad} (exit code 1)"]
    assert checks.of_failed_gates(["make: cc: No such file"]) == "make: cc: No such file"


def test_ctrl_c_ends_it_without_a_trace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(first_change, "STEPS", (STEPS[0]._replace(missing=interrupted),))
    assert first_change.main() == 130
    assert "make first-change looks again" in capsys.readouterr().out


def test_a_check_runs_make_as_if_it_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make --dry-run first-change` must not make every check pass."""
    monkeypatch.setenv("MAKEFLAGS", "n")
    said = checks._run("-c", "import os, sys; sys.exit(os.environ.get('MAKEFLAGS', 'none'))")
    assert said == "none"


def test_the_first_change_is_a_change(capsys: pytest.CaptureFixture[str]) -> None:
    """What it asks for is not there, and where it says to put it, there is a place."""
    if (ROOT / checks.FILE).exists():
        pytest.skip("the first change is made in this checkout")
    assert checks.NAME not in list(SCHEDULES)
    assert not (ROOT / checks.FILE).exists()
    registry = ROOT / "qstore_ray" / "learn" / "schedules" / "__init__.py"
    assert '"exponential": f"{_HERE}.' in registry.read_text(encoding="utf-8")
    assert '("exponential", {' in (ROOT / checks.LAWS).read_text(encoding="utf-8")
    assert "| `exponential` |" in (ROOT / checks.GUIDE).read_text(encoding="utf-8")
    missing = [step.missing for step in STEPS if step.missing in {
        checks.file_written, checks.laws_hold, checks.limit_tested, checks.in_changelog,
    }]  # fmt: skip
    for step in missing[:3]:
        assert step() != ""


def test_what_it_says_to_type_is_right(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "inverse_time.py").write_text(_FILE + "\n")
    name = "qstore_ray.learn.schedules.inverse_time"
    spec = importlib.util.spec_from_file_location(name, tmp_path / "inverse_time.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(SCHEDULES, "_registered", {checks.NAME: module.InverseTime})
    exec(compile(checks._TRY, "try", "exec", dont_inherit=True), {})
    tested: dict[str, object] = {"get_schedule": get_schedule}
    exec(compile(_TEST, "test", "exec", dont_inherit=True), tested)
    tested["test_inverse_time_has_half_the_rate_after_one_over_gamma"]()  # type: ignore[operator]
    schedule = get_schedule(checks.NAME, {"gamma": 1.0, "unit": "step"})
    state, factors = schedule.init(Horizon(steps=4, steps_per_epoch=2)), []
    for step in range(4):
        factor, state = schedule.update(state, Tick(begins_epoch=step % 2 == 0))
        factors.append(factor)
    assert factors == [1.0, 1 / 2, 1 / 3, 1 / 4]


def test_its_steps_are_numbered_and_end() -> None:
    assert len({step.title for step in STEPS}) == len(STEPS) == 10
    assert all(step.why and step.todo for step in STEPS)
    for page in re.findall(r"\b([A-Z]+\.md|docs/\w+\.md)\b", DONE):
        assert (ROOT / page).exists(), page
