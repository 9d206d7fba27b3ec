"""`qstore submit`, without a cluster: what goes along, what is refused, how a job is followed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobStatus, JobType
from requests.utils import get_environ_proxies

from qstore_ray.cli.app import main
from qstore_ray.cli.submit import command, head, package
from qstore_ray.cli.submit.attempts import attempt, exit_code, follow
from qstore_ray.cli.submit.head import token_of
from qstore_ray.cli.submit.package import package_of
from qstore_ray.cluster.find import FoundCluster
from qstore_ray.cluster.record import ClusterRecord
from qstore_ray.errors import BackendError, ConfigError, ResourceError, UsageError
from tests.unit.cli.test_train import JOB


@pytest.fixture
def job(tmp_path: Path) -> Path:
    path = tmp_path / "tree" / "jobs" / "iris.toml"
    path.parent.mkdir(parents=True)
    path.write_text(JOB.format(storage=tmp_path / "runs"), encoding="utf-8")
    return path


@pytest.fixture
def tree(job: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git work tree that tracks the job file."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    root = job.parent.parent
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    subprocess.run(["git", "-C", str(root), "add", "jobs/iris.toml"], check=True)
    return root


@pytest.fixture
def no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_only_tracked_files_go_along(tree: Path, job: Path, tmp_path: Path) -> None:
    for name in (".env", "jobs/secret.txt", "gone.py"):
        (tree / name).write_text("secret", encoding="utf-8")
    subprocess.run(["git", "-C", str(tree), "add", "gone.py"], check=True)
    (tree / "gone.py").unlink()
    found = package_of(job)
    found.write(tmp_path / "a.zip")
    found.write(tmp_path / "b.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.namelist() == ["jobs/iris.toml"]
        assert archive.read("jobs/iris.toml") == job.read_bytes()
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_a_tracked_link_out_of_the_tree_stays_here(tree: Path, job: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("secret", encoding="utf-8")
    (tree / "link").symlink_to(tmp_path / "outside")
    subprocess.run(["git", "-C", str(tree), "add", "link"], check=True)
    assert package_of(job).files == (Path("jobs/iris.toml"),)


def test_what_rayignore_names_stays_here(tree: Path, job: Path) -> None:
    for name in ("src/deep/a.py", "keep/src/b.py", "c.log", "keep/d.log"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("", encoding="utf-8")
    (tree / ".rayignore").write_text("# a comment\n/src\n*.log\n!keep/d.log\n", encoding="utf-8")
    subprocess.run(["git", "-C", str(tree), "add", "-A"], check=True)
    names = {path.as_posix() for path in package_of(job).files}
    assert names == {".rayignore", "jobs/iris.toml", "keep/src/b.py", "keep/d.log"}
    (tree / ".rayignore").write_text("/jobs\n", encoding="utf-8")
    with pytest.raises(UsageError, match="leaves the job file out"):
        package_of(job)


def test_this_package_does_not_go_with_a_job_of_its_checkout(repository: Path) -> None:
    """A copy of the source would hide the installed package, and has no compiled kernels."""
    names = [path.parts[0] for path in package_of(repository / "jobs" / "digits.toml").files]
    assert "jobs" in names
    assert "qstore_ray" not in names


def test_a_job_file_that_git_does_not_track_is_refused(tree: Path) -> None:
    other = tree / "other.toml"
    other.write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match="git does not track"):
        package_of(other)


def test_outside_git_the_job_file_and_what_it_names_go_along(job: Path) -> None:
    (job.parent / "rows.csv").write_text("a\n1\n", encoding="utf-8")
    (job.parent.parent / "above.csv").write_text("a\n1\n", encoding="utf-8")
    (job.parent / "secret.txt").write_text("secret", encoding="utf-8")
    text = job.read_text(encoding="utf-8")
    job.write_text(f'{text}\n[x]\nfiles = ["rows.csv", "../above.csv"]\n', encoding="utf-8")
    found = package_of(job)
    assert not found.tracked
    assert found.files == (Path("iris.toml"), Path("rows.csv"))


def test_too_large_a_package_is_refused_with_sizes(
    tree: Path, job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package, "LIMIT", 2**20)
    (tree / "big.bin").write_bytes(os.urandom(3 * 2**20))
    subprocess.run(["git", "-C", str(tree), "add", "big.bin"], check=True)
    with pytest.raises(ResourceError, match=r"3\.0 MiB .* Ray takes 1\.0 MiB") as caught:
        package_of(job).write(tmp_path / "x.zip")
    assert "big.bin 3.0 MiB" in str(caught.value.value)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--address", "http://10.255.255.1:8265"], 2, "there is no token"),
        (["--address", "ftp://127.0.0.1"], 2, "not the address"),
        (["--address", "http://127.0.0.1:99999"], 2, "not the address"),
        (["--address", "http://u:hidden@127.0.0.1"], 2, "not the address"),
        (["--id", "../x"], 2, "without '..'"),
        (["--id", "a..b"], 2, "without '..'"),
        (["--id", "a b"], 2, "submission id"),
        (["--name", "a b"], 2, "a run's name"),
        (["--name", "../x", "--id", "x"], 2, "a run's name"),
        (["--command", "serve"], 2, "serve"),
        (["--", "--name", "x"], 2, "--name is not an argument of the job's command"),
        (["--", "--storage=x"], 2, "--storage is not an argument"),
        (["--", "--resume"], 2, "--resume is not an argument"),
        (["--address", "http://127.0.0.1:1"], 4, "nothing answers"),
    ],
)
@pytest.mark.usefixtures("no_token")
def test_what_cannot_be_submitted(tree, job, words, code, said, capsys) -> None:
    assert main(["submit", "--json", str(job), *words]) == code
    out = capsys.readouterr().out
    assert said in json.loads(out.splitlines()[-1])["message"]
    assert "hidden" not in out


@pytest.mark.usefixtures("no_token")
def test_a_server_that_is_no_job_server_is_a_backend_error(tree, job, capsys) -> None:
    """Something listens there and hangs up."""
    import threading

    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            for _ in range(3):
                try:
                    server.accept()[0].close()
                except OSError:
                    return

        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        assert main(["submit", str(job), "--address", address, "--json"]) == 4
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["error"] == "BackendError"


@pytest.mark.usefixtures("no_token")
def test_the_token_comes_from_where_ray_takes_it(tmp_path, monkeypatch) -> None:
    assert token_of() is None
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("of-home\n", encoding="utf-8")
    assert token_of() == "of-home"
    (tmp_path / "file").write_text("of-file", encoding="utf-8")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "file"))
    assert token_of() == "of-file"
    monkeypatch.setenv("RAY_AUTH_TOKEN", "of-variable")
    assert token_of() == "of-variable"
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="cannot be read"):
        token_of()


@pytest.mark.parametrize(
    ("status", "own", "code"),
    [("SUCCEEDED", 0, 0), ("FAILED", 3, 3), ("FAILED", -9, 137), ("STOPPED", None, 5)],
)
def test_the_exit_code_is_that_of_the_job(status, own, code) -> None:
    assert exit_code(JobStatus(status), _details(status, own)) == code


def test_a_job_that_never_ran_is_a_backend_error() -> None:
    with pytest.raises(BackendError, match="before it ran: no room"):
        exit_code(JobStatus.FAILED, _details("FAILED", None))


def _details(status: str, own: int | None) -> JobDetails:
    return JobDetails(
        type=JobType.SUBMISSION, entrypoint="x", status=JobStatus(status),
        message="no room", driver_exit_code=own, submission_id="a",
    )  # fmt: skip


class Jobs:
    """A job server with one job whose logs never end, and whose tail cannot be cancelled."""

    def __init__(self, status: JobStatus = JobStatus.RUNNING, **metadata: str) -> None:
        self.status, self.metadata, self.submitted = status, metadata, 0

    def get_address(self) -> str:
        return "http://127.0.0.1:8265"

    def list_jobs(self) -> list[JobDetails]:
        job = JobDetails(
            type=JobType.SUBMISSION, entrypoint="x", status=self.status, submission_id="iris",
            metadata=self.metadata,
        )  # fmt: skip
        return [job]

    def submit_job(self, **_: object) -> None:
        self.submitted += 1

    async def tail_job_logs(self, id_: str) -> AsyncIterator[str]:
        yield "line"
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("seconds", [0.01, 0.05, 0.1, 0.15, 0.2, 0.3])
def test_ctrl_c_ends_the_following_of_a_job_at_once(seconds: float) -> None:
    lines: list[str] = []
    interrupt = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - the signal comes while it follows
        interrupt.start()
        follow(Jobs(), "iris", lines.append)
    assert lines in ([], ["line"])


class GoneJobs(Jobs):
    """A job server that goes away: its answers are errors, of which the last is repeated.

    Args:
        seconds: for which its logs come at first.
    """

    def __init__(self, *answers: Exception | JobDetails, seconds: float = 0.0) -> None:
        super().__init__()
        self.seconds = seconds
        self.answers = list(answers)

    async def tail_job_logs(self, id_: str) -> AsyncIterator[str]:
        yield "one\n"
        await asyncio.sleep(self.seconds)
        self.seconds = 0.0
        yield "two\n"
        raise ConnectionResetError("reset")

    def get_job_info(self, id_: str) -> JobDetails:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def get_job_status(self, id_: str) -> JobStatus:
        return self.get_job_info(id_).status


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qstore_ray.cli.submit.attempts._PAUSE", 0.01)


@pytest.mark.usefixtures("no_pause")
def test_a_job_server_that_is_away_for_a_moment_costs_neither_logs_nor_exit_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also after logs that came for longer than it may be away."""
    monkeypatch.setattr("qstore_ray.cli.submit.attempts._PATIENCE", 1.0)
    lines: list[str] = []
    away = [ConnectionError("refused")] * 3
    running, failed = _details("RUNNING", None), _details("FAILED", 3)
    jobs = GoneJobs(*away, running, running, *away, failed, seconds=1.5)
    assert follow(jobs, "iris", lines.append) == 3
    assert lines == ["one\n", "two\n"]


@pytest.mark.usefixtures("no_pause")
@pytest.mark.parametrize(
    ("answer", "message", "fix"),
    [
        (ConnectionError("refused"), "connection to the cluster was lost", "follows it again"),
        (RuntimeError("404: Job iris does not exist"), "does not know the job any more", "resumes"),
        (AuthenticationError("wrong"), "refuses the token", "RAY_AUTH_TOKEN"),
    ],
)
def test_a_job_server_that_stays_away_is_said_with_what_to_type(
    answer: Exception, message: str, fix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qstore_ray.cli.submit.attempts._PATIENCE", 0.05)
    with pytest.raises(BackendError, match=message) as caught:
        follow(GoneJobs(answer), "iris", lambda text: None)
    assert fix in str(caught.value.fix)


@pytest.mark.parametrize(
    ("status", "said"), [(JobStatus.SUCCEEDED, "has succeeded"), (JobStatus.RUNNING, "still runs")]
)
def test_another_job_file_under_the_id_of_a_job_needs_an_id(status, said) -> None:
    jobs = Jobs(status, qstore_made_of="a")
    with pytest.raises(UsageError, match=said) as caught:
        attempt(jobs, "iris", lambda resumes: "x", {}, "b")
    assert "--id" in str(caught.value.fix)
    assert attempt(jobs, "iris", lambda resumes: "x", {}, "a").id == "iris"
    assert attempt(Jobs(status), "iris", lambda resumes: "x", {}, "b").id == "iris"
    assert jobs.submitted == 0


def test_another_job_file_may_follow_a_job_that_failed() -> None:
    jobs = Jobs(JobStatus.FAILED, qstore_made_of="a")
    found = attempt(jobs, "iris", lambda resumes: f"resumes={resumes}", {}, "b")
    assert (found.id, found.resumes, jobs.submitted) == ("iris-2", True, 1)


@pytest.mark.parametrize("again", [False, True], ids=["first", "again"])
@pytest.mark.parametrize("status", [0, 2])
def test_a_job_whose_run_is_in_an_object_store_is_resumed_if_that_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, again: bool
) -> None:
    """Also the first job of a cluster: the one before it may have ended."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\n[ "$3" = runs ] && exit {status}\necho "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    line = command._entrypoint(
        command.Command.TRAIN, Path("job.toml"), "digits", "s3://bucket/runs", ()
    )
    said = subprocess.run(["sh", "-c", line(again)], capture_output=True, text=True, check=True)
    assert said.stdout.endswith(
        "--storage s3://bucket/runs --json" + " --resume" * (not status) + "\n"
    )


def test_a_submission_that_begins_afresh_is_resumed_like_others(tmp_path: Path) -> None:
    line = command._entrypoint(
        command.Command.TRAIN, Path("job.toml"), "digits", str(tmp_path), ("--fresh", "--name", "b")
    )
    assert " --fresh --name b --storage " in line(False)
    assert "--fresh" not in line(True)
    assert "echo --resume" in line(True)


def test_the_warm_cluster_is_the_usual_address_and_has_its_own_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_API_SERVER_ADDRESS", raising=False)
    monkeypatch.setattr(head, "find_cluster", lambda: FoundCluster(None))
    assert head.usual_address() == "http://127.0.0.1:8265"
    assert head._warm_token("127.0.0.1", 8265) is None

    record = ClusterRecord(
        "running", "127.0.0.1:1", "http://127.0.0.1:9000", 1, 1, 1, 80, "", "", "", "", "", ""
    )
    monkeypatch.setattr(head, "find_cluster", lambda: FoundCluster(record))
    monkeypatch.setattr("qstore_ray.cluster.find.cluster_folder", lambda: tmp_path)
    (tmp_path / "token").write_text("secret", encoding="ascii")
    assert head.usual_address() == "http://127.0.0.1:9000"
    asked = [("127.0.0.1", 9000), ("localhost", 9000), ("127.0.0.1", 8265), ("10.0.0.1", 9000)]
    assert [head._warm_token(*each) for each in asked] == ["secret", "secret", None, None]
    (tmp_path / "token").unlink()
    with pytest.raises(BackendError, match="the token of the cluster cannot be read"):
        head._warm_token("127.0.0.1", 9000)
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "https://head")
    assert head.usual_address() == "https://head"


def test_a_job_server_on_this_machine_is_not_looked_for_through_a_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And one elsewhere is, as the environment says."""
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", "example.com")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    for address, found in (
        ("http://127.0.0.1:8265", None),
        ("http://localhost:8265", None),
        ("http://example.com:8265", None),
        ("http://head:8265", "http://127.0.0.1:9"),
    ):
        with head.unproxied(address):
            assert get_environ_proxies(address).get("http") == found, address
    assert "no_proxy" not in os.environ
