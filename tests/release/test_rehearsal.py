"""A release, a bad one, and its rollback, from a local index, as users see it by pip and uv."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.release.small_project import PYTHON, ROOT, SmallProject, small_project

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(not PYTHON.exists(), reason="run make .venv/release/.stamp first"),
]
UV = ROOT / ".venv" / "bin" / "uv"
NO_PYPI = {"PIP_CONFIG_FILE": "/dev/null", "UV_NO_CONFIG": "1", "PATH": "/usr/bin:/bin"}


class _Quiet(SimpleHTTPRequestHandler):
    def log_request(self, *answer: object) -> None:
        """No line for each request."""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder for the index, and the address at which a plain web server has it."""
    folder = tmp_path_factory.mktemp("index")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}/simple/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def rolled_back(tmp_path_factory, index) -> tuple[SmallProject, str]:
    """0.1.0 is good, 0.2.0 is bad and was rolled back; what the rollback printed."""
    project, said = small_project(tmp_path_factory.mktemp("project")), ""
    folder = str(index[0])
    for version, answer in (("0.1.0", "good"), ("0.2.0", "bad")):
        project.change(answer, f"The answer is {answer}.")
        for words in (
            ("cut", version, "--key", str(project.key)),
            ("publish", version, "--index", folder),
        ):
            done = project.release(*words)
            assert done.returncode == 0, done.stderr + done.stdout
    words = ("--key", str(project.key), "--index", folder, "--reason", "Wrong answers")
    done = project.release("rollback", "0.2.0", *words)
    assert done.returncode == 0, done.stderr + done.stdout
    said = done.stdout
    return project, said


@pytest.fixture
def user(
    tmp_path: Path, index: tuple[Path, str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Installs with the index alone, into an environment that is empty at first."""
    subprocess.run([UV, "venv", "-q", "--python", sys.executable, tmp_path / "v"], check=True)
    python = str(tmp_path / "v" / "bin" / "python")
    tools = {
        "pip": [sys.executable, "-m", "pip", "--python", python, "--no-cache-dir", "install"],
        "uv": [str(UV), "pip", "install", "--no-cache", "--python", python],
        "python": [python, "-c"],
    }

    def run(tool: str, *words: str) -> subprocess.CompletedProcess[str]:
        where = () if tool == "python" else ("--index-url", index[1])
        return subprocess.run(
            [*tools[tool], *where, *words], env=NO_PYPI, cwd=tmp_path,
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    return run


def installed(user) -> tuple[str, str]:
    """Version and answer of what the user has."""
    done = user(
        "python", "import small.answer as a; print(__import__('small').__version__, a.ANSWER)"
    )
    version, answer = done.stdout.split()
    return version, answer


@pytest.mark.usefixtures("rolled_back")
@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_one_command_replaces_the_bad_version(user, tool: str) -> None:
    assert user("uv", "small-package==0.2.0").returncode == 0
    assert installed(user) == ("0.2.0", "bad")
    assert user(tool, "--upgrade", "small-package").returncode == 0
    assert installed(user) == ("0.2.0.post1", "good")


@pytest.mark.usefixtures("rolled_back")
@pytest.mark.parametrize("wanted", ["small-package", "small-package>=0.2", "small-package~=0.2.0"])
def test_nobody_who_names_a_range_gets_the_bad_version(user, wanted: str) -> None:
    assert user("uv", wanted).returncode == 0
    assert installed(user) == ("0.2.0.post1", "good")


@pytest.mark.usefixtures("rolled_back")
@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_an_exact_pin_gets_the_bad_version_and_is_told_what_to_type(user, tool: str) -> None:
    """No other version satisfies `==0.2.0`; and a lock with its hash must still install."""
    done = user(tool, "small-package==0.2.0")
    assert installed(user) == ("0.2.0", "bad")
    assert "Wrong answers. Install small-package==0.2.0.post1" in done.stderr + done.stdout
    assert user("uv", "small-package==0.2.0.post1").returncode == 0
    assert installed(user) == ("0.2.0.post1", "good")


@pytest.mark.usefixtures("rolled_back")
def test_one_command_of_uv_replaces_a_pin_in_a_file(user, index, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("small-package==0.2.0\n")
    override = str(index[0] / "overrides" / "0.2.0.txt")
    assert user("uv", "--overrides", override, "-r", "requirements.txt").returncode == 0
    assert installed(user) == ("0.2.0.post1", "good")


def test_the_repository_says_what_happened(rolled_back) -> None:
    project, said = rolled_back
    assert "pip install --upgrade small-package" in said
    headings = [
        line for line in project.git("show", "HEAD:CHANGELOG.md").splitlines() if "## [" in line
    ]
    assert [line.split(" - ")[0] for line in headings] == [
        "## [0.2.1]", "## [0.2.0.post1]", "## [0.2.0]", "## [0.1.0]",
    ]  # fmt: skip
    assert [line.endswith("[YANKED]") for line in headings] == [False, False, True, False]
    assert project.git("tag").split() == ["v0.1.0", "v0.2.0", "v0.2.0.post1"]
    assert project.git("diff", "v0.1.0", "v0.2.0.post1", "--", "small/answer.py") == ""
    assert project.git("status", "--porcelain") == ""
    assert '__version__ = "0.2.1.dev0"' in (project.root / "small/__init__.py").read_text()
    assert project.git("show", "v0.2.0:images.yaml") == "tag: 0.2.0-py3.11"


def test_the_notes_of_a_release_lie_beside_its_files_and_are_signed(rolled_back) -> None:
    project, _ = rolled_back
    built = project.root / "dist" / "0.2.0.post1"
    said = (built / "RELEASE_NOTES.md").read_text()
    assert "The code of 0.1.0 again: Wrong answers." in said
    assert "$ pip install 'small-package==0.2.0.post1'" in said
    sums = (built / "SHA256SUMS").read_text()
    assert "RELEASE_NOTES.md" in sums
    for line in (line for line in sums.splitlines() if "RELEASE_NOTES" not in line):
        assert line in said


def test_each_step_is_printed_with_its_seconds(rolled_back) -> None:
    _, said = rolled_back
    steps = [line.split(" s  ")[1] for line in said.splitlines() if " s  " in line]
    order = ["withdrew 0.2.0", "built", "installed and tried", "checksums", "tag", "published"]
    positions = [next(i for i, s in enumerate(steps) if s.startswith(word)) for word in order]
    assert positions == sorted(positions), said
    assert "not tried on Python" not in said


def test_a_release_is_not_made_twice_and_not_before_another(rolled_back) -> None:
    project, _ = rolled_back
    project.change("late", "Another.")
    for version in ("0.2.0", "0.1.9"):
        done = project.release("cut", version, "--key", str(project.key))
        assert done.returncode == 1
        assert "0.2.0.post1 was released; type VERSION=0.2.1 or later" in done.stderr


def test_a_file_that_was_changed_after_it_was_signed_is_not_published(
    rolled_back, tmp_path
) -> None:
    project, _ = rolled_back
    built = project.root / "dist" / "0.1.0"
    (wheel,) = built.glob("*.whl")
    wheel.write_bytes(wheel.read_bytes() + b" ")
    done = project.release("publish", "0.1.0", "--index", str(tmp_path))
    assert done.returncode == 1
    assert "is not the file that was signed" in done.stderr
    assert not (tmp_path / "simple").exists()
