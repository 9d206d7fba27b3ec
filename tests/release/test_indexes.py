"""Publishing to an index behind a server, and rollbacks that build nothing."""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from packaging.version import Version

from tests.release.small_project import GIT, PYTHON, SmallProject, small_project
from tools.release.__main__ import main
from tools.release.index import FolderIndex
from tools.release.project import Project
from tools.release.rollback import withdraw
from tools.release.signing import Signer
from tools.release.steps import Steps


class _UploadServer(ThreadingHTTPServer):
    """Takes uploads as an index does, or refuses them; keeps what was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Upload)
        self.answer, self.bodies = 200, list[bytes]()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/legacy/"


class _Upload(BaseHTTPRequestHandler):
    server: _UploadServer

    def do_POST(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(self.server.answer, "Wrong login" if self.server.answer != 200 else None)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_request(self, *answer: object) -> None:
        """No line for each request."""


@pytest.fixture
def server() -> Iterator[_UploadServer]:
    with _UploadServer() as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    return small_project(tmp_path)


def _wheel(folder: Path, version: str) -> Path:
    """A wheel that indexes accept."""
    folder.mkdir(parents=True, exist_ok=True)
    path, info = (
        folder / f"small_package-{version}-py3-none-any.whl",
        f"small_package-{version}.dist-info",
    )
    with zipfile.ZipFile(path, "w") as wheel:
        text = f"Metadata-Version: 2.1\nName: small-package\nVersion: {version}\n"
        for name, content in (
            ("METADATA", text),
            ("WHEEL", "Wheel-Version: 1.0\n"),
            ("RECORD", ""),
        ):
            # Without a date of its own the file has that of the clock, and the wheel other bits.
            wheel.writestr(zipfile.ZipInfo(f"{info}/{name}"), content)
    return path


@pytest.mark.timeout(600)
@pytest.mark.skipif(not PYTHON.exists(), reason="run make .venv/release/.stamp first")
def test_an_upload_sends_the_signed_files_or_says_why_it_was_refused(project, server) -> None:
    built = project.root / "dist" / "0.1.0"
    wheel = _wheel(built, "0.1.0")
    Signer(project.key, project.root / "allowed_signers").sign(built)
    project.git("tag", "v0.1.0")
    login = {"TWINE_USERNAME": "releaser", "TWINE_PASSWORD": "planted-password"}
    words = ("publish", "0.1.0", "--index", server.url)
    done = project.release(*words, environment=login)
    assert done.returncode == 0, done.stderr
    (body,) = server.bodies
    assert wheel.read_bytes() in body

    server.answer = 403
    done = project.release(*words, environment=login)
    assert done.returncode == 1
    assert "403" in done.stderr
    assert "planted-password" not in done.stdout + done.stderr


def test_an_index_without_an_api_for_it_is_withdrawn_from_by_hand(project, capsys) -> None:
    """PyPI's: the reason is there to be copied."""
    checkout, why = Project.at(project.root), "Wrong. Install small-package==0.2.0.post1"
    withdraw(checkout, Version("0.2.0"), why, "0.2.0.post1", "https://example.com/legacy/", Steps())
    said = capsys.readouterr().out
    assert "by hand, now" in said
    assert why in said


def test_a_version_that_a_later_one_replaced_is_only_withdrawn(
    project, tmp_path, capsys, monkeypatch
) -> None:
    for name, value in GIT.items():
        monkeypatch.setenv(name, value)
    text = "# Changelog\n\n## [0.3.1] - unreleased\n\n- More.\n"
    for version in ("0.3.0", "0.2.0", "0.1.0"):
        text += f"\n## [{version}] - 2026-11-01\n\n- Some.\n"
        project.git("tag", f"v{version}")
    (project.root / "CHANGELOG.md").write_text(text)
    project.git("commit", "-qam", "Release")
    index = FolderIndex(tmp_path / "index")
    index.add([_wheel(tmp_path, version) for version in ("0.2.0", "0.3.0")])

    words = ["--index", str(index.root), "--key", str(project.key), "--reason", "Wrong answers."]
    assert main(["--root", str(project.root), "rollback", "0.2.0", *words]) == 0
    assert "pip install --upgrade small-package" in capsys.readouterr().out
    assert index.withdrawn == {
        "small_package-0.2.0-py3-none-any.whl": "Wrong answers. Install small-package==0.3.0"
    }
    assert (index.root / "overrides/0.2.0.txt").read_text() == "small-package==0.3.0\n"
    marked = text.replace("[0.2.0] - 2026-11-01", "[0.2.0] - 2026-11-01 [YANKED]")
    assert (project.root / "CHANGELOG.md").read_text() == marked
    assert project.git("tag").split() == ["v0.1.0", "v0.2.0", "v0.3.0"]
    assert project.git("log", "-1", "--format=%s") == "Withdraw 0.2.0"
