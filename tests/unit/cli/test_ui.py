"""`qstore ui`: real servers on loopback, and nothing left of them afterwards."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

from qstore_ray.cli.app import main
from qstore_ray.errors import MissingDependencyError, RunError, UnknownNameError, UsageError
from qstore_ray.testing.search_spaces import SPACE
from qstore_ray.track.base import RunInfo
from qstore_ray.track.config import TrackConfig
from qstore_ray.track.mlflow.tracker import MLflowTracker
from qstore_ray.tune.dashboards.pages import (
    find_study,
    has_dashboard,
    mlflow_page,
    optuna_page,
    ray_page,
)
from qstore_ray.tune.dashboards.servers import HOST, Page, serve
from qstore_ray.tune.objective import Objective
from tests.mlflow_server import free_port
from tests.studies import opened

LONGEST = 60.0  # seconds for a server to start or to end; MLflow's needs ten on an idle machine


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with MLflow's store and one study."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "first").mkdir()
    tracker = MLflowTracker(TrackConfig())
    tracker.start(RunInfo(name="first", run_dir=folder / "first"))
    tracker.finish("finished", {}, [])
    goals = [Objective(metric="val_accuracy")]
    search = {"space": SPACE, "objectives": goals, "trials": 1, "sampler": "random"}
    with opened(folder, "iris-tune", **search) as study:
        study.tell(study.ask().number, [0.5])
    return folder


def _page(name: str, port: int, code: str = "") -> Page:
    """A small server, with a process of its own behind it that would outlive it."""
    serving = (
        "import http.server, subprocess, sys; "
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
        f"http.server.HTTPServer(('{HOST}', {port}), http.server.SimpleHTTPRequestHandler)"
        ".serve_forever()"
    )
    return Page(
        name=name, url=f"http://{HOST}:{port}", command=(sys.executable, "-c", code or serving)
    )


def _start(code: str, repository: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(repository)!r}); {code}"],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _qstore(repository: Path, *words: str) -> subprocess.Popen[str]:
    code = f"from qstore_ray.cli.app import main; sys.exit(main({list(words)!r}))"
    nowhere = f"http://{HOST}:{free_port()}"
    return _start(code, repository, RAY_ADDRESS=nowhere, RAY_API_SERVER_ADDRESS=nowhere)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def _members(group: int) -> list[str]:
    """Processes of a group that still run; zombies have ended."""
    listed = subprocess.run(
        ["ps", "-eo", "pgid=,stat=,args="], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()]
    return [row[-1] for row in rows if int(row[0]) == group and not row[1].startswith("Z")]


# ------------------------------------------------------------------------------ servers as a family


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_servers_and_what_they_started(number: int, repository: Path):
    ports = [free_port(), free_port()]
    pages = [_page("one", ports[0]), _page("two", ports[1])]
    pages_code = ", ".join(
        f"Page(name={p.name!r}, url={p.url!r}, command={p.command!r})" for p in pages
    )
    code = (
        "from qstore_ray.tune.dashboards.servers import Page, serve; "
        f"serve([{pages_code}], lambda: print('ready', flush=True))"
    )
    process = _start(code, repository)
    assert process.stdout.readline() == "ready\n", process.communicate()
    listed = subprocess.run(
        ["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout
    groups = [
        int(pid) for pid, parent in map(str.split, listed.splitlines())
        if int(parent) == process.pid
    ]  # fmt: skip
    assert [len(_members(group)) for group in groups] == [2, 2]
    assert all(map(_answers, ports))
    process.send_signal(number)
    assert process.communicate(timeout=LONGEST) == ("", "")
    assert process.returncode == 0
    end = time.monotonic() + LONGEST
    while any(map(_members, groups)) and time.monotonic() < end:
        time.sleep(0.05)  # what was killed is not gone at once
    assert [_members(group) for group in groups] == [[], []]
    assert not any(map(_answers, ports))


def test_a_server_that_ends_takes_the_others_with_it_and_is_named():
    port = free_port()
    ending = "import time; time.sleep(0.5); raise SystemExit('no more room')"
    with pytest.raises(RunError) as caught:
        serve([_page("one", port), _page("two", free_port(), ending)], lambda: None)
    assert caught.value.message == "the server of the two page ended with code 1"
    assert caught.value.field == "two"
    assert caught.value.fix == "It said last: no more room"
    assert not _answers(port)


def test_pages_without_servers_are_said_and_done():
    said = []
    serve([Page(name="mlflow", url="http://elsewhere")], lambda: said.append("ready"))
    assert said == ["ready"]


# --------------------------------------------------------------------------------- the pages there


def test_mlflow_is_served_until_ctrl_c(storage: Path, repository: Path):
    process = _qstore(repository, "ui", "--storage", str(storage), "--json")
    try:
        line = process.stdout.readline()
        assert line, process.communicate()
        links = json.loads(line)
        assert list(links) == ["mlflow"]
        with urlopen(links["mlflow"], timeout=LONGEST) as answer:
            assert b"MLflow" in answer.read()
        asked = f"{links['mlflow']}/api/2.0/mlflow/experiments/get-by-name"
        with urlopen(f"{asked}?experiment_name=qstore_ray", timeout=LONGEST) as answer:
            assert json.load(answer)["experiment"]["name"] == "qstore_ray"
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=LONGEST)
    assert (process.returncode, out) == (0, "")
    assert "qstore ui STUDY" in err
    assert not _answers(int(re.search(r":(\d+)$", links["mlflow"])[1]))


def test_a_study_is_served_by_optunas_dashboard(storage: Path):
    if not has_dashboard():
        pytest.skip("optuna-dashboard is an optional extra")
    page = optuna_page(find_study("iris-tune", storage).optuna)
    found = []

    def look() -> None:
        with urlopen(f"{page.url}/api/studies", timeout=LONGEST) as answer:
            found.extend(json.load(answer)["study_summaries"])
        os.kill(os.getpid(), signal.SIGINT)

    serve([page], look)
    assert [study["study_name"] for study in found] == ["iris-tune"]


def test_a_server_that_runs_already_is_only_named(storage: Path, capsys):
    uri = "http://me:secret@tracking.example:5000"
    assert mlflow_page(storage, uri) == Page(name="mlflow", url="http://***@tracking.example:5000")
    assert main(["ui", "--storage", str(storage), "--mlflow-uri", uri, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mlflow"] == "http://***@tracking.example:5000"


@pytest.mark.parametrize("open_page", [mlflow_page, optuna_page])
def test_a_database_is_no_part_of_a_command_line(tmp_path: Path, open_page):
    if open_page is optuna_page and not has_dashboard():
        pytest.skip("optuna-dashboard is an optional extra")
    uri = "postgresql://me:secret@host/studies"
    page = open_page(tmp_path, uri) if open_page is mlflow_page else open_page(uri)
    assert "secret" not in repr(page)
    assert uri in page.environment.values()


@pytest.mark.parametrize(
    ("answer", "found"), [('{"authentication_mode": "token"}', True), ("", False)]
)
def test_rays_dashboard_is_found_where_it_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, found: bool
):
    """A Ray answers this question without its token; anything else at that port is not one."""
    port = free_port()
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "authentication_mode").write_text(answer)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", f"http://{HOST}:{port}/")
    monkeypatch.setenv("RAY_ADDRESS", f"http://{HOST}:{free_port()}")
    seen = []

    def look() -> None:
        seen.append(ray_page())
        os.kill(os.getpid(), signal.SIGINT)

    serve([_page("ray", port)], look)
    assert seen == [Page(name="ray", url=f"http://{HOST}:{port}") if found else None]


# ----------------------------------------------------------------------------------------- faults


def test_without_the_dashboard_a_study_says_what_to_install(storage: Path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    with pytest.raises(MissingDependencyError) as caught:
        optuna_page("study.journal")
    assert (caught.value.field, caught.value.fix) == ("ui", "pip install 'qstore-ray[ui]'.")
    assert main(["ui", "iris-tune", "--storage", str(storage)]) == 4
    main(["ui", "--storage", str(storage), "--mlflow-uri", "http://elsewhere"])
    assert "after pip install 'qstore-ray[ui]'" in capsys.readouterr().err


def test_an_unknown_study_names_the_nearest(storage: Path):
    with pytest.raises(UnknownNameError) as caught:
        find_study("iris-tun", storage)
    assert caught.value.field == "study"
    assert caught.value.fix == "Did you mean 'iris-tune'? Known: iris-tune."


def test_a_folder_without_studies_is_named(tmp_path: Path):
    with pytest.raises(UsageError, match=f"no studies in {tmp_path}") as caught:
        find_study("digits", tmp_path)
    assert (caught.value.value, caught.value.fix) == (
        "digits",
        "Run a search first, or give --storage.",
    )


def test_a_study_in_a_database_is_found_by_its_job(tmp_path: Path):
    url = "sqlite:///studies.db"
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "config.toml").write_text(f'[tune]\nstorage_url = "{url}"\n')
    assert find_study("s", tmp_path).optuna == url
    assert find_study(str(tmp_path / "s"), Path("elsewhere")).optuna == url


def test_a_folder_without_a_store_is_not_given_one(tmp_path: Path):
    with pytest.raises(UsageError, match="nothing was recorded in MLflow") as caught:
        mlflow_page(tmp_path)
    assert caught.value.field == "--storage"
    assert caught.value.value == str(tmp_path / "mlflow.db")
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_is_taken_is_named(storage: Path):
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match="port cannot be used") as caught:
            mlflow_page(storage, port=port)
    assert (caught.value.field, caught.value.value) == ("--mlflow-port", port)


@pytest.mark.parametrize(
    ("study", "why"),
    [("job.toml", "a job file, not a study"), ("some/folder", "no study in this folder")],
)
def test_what_is_no_study_is_explained(study, why, tmp_path, capsys):
    assert main(["ui", study, "--storage", str(tmp_path), "--json"]) == 2
    assert why in json.loads(capsys.readouterr().out)["message"]
