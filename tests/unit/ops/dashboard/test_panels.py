"""The panels beside the runs: alerts, paid hardware with its budget, searches, no cluster."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import pytest

from qstore_ray.backends.ibm.forecast import HardwareCost
from qstore_ray.backends.ibm.ledger.ledger import Ledger
from qstore_ray.backends.ibm.ledger.replay import LEDGER
from qstore_ray.errors import UnknownNameError
from qstore_ray.ops.alerts import Alert, AlertLog
from qstore_ray.ops.dashboard.panels.alerts import AlertPanel
from qstore_ray.ops.dashboard.panels.cluster import _asked, cluster_panel
from qstore_ray.ops.dashboard.panels.hardware import HardwarePanel
from qstore_ray.ops.dashboard.panels.searches import SearchPanel
from qstore_ray.testing.search_spaces import SPACE
from tests.run_folders import CONFIG, make_run
from tests.studies import opened
from tests.unit.backends.ibm.ledger.gateway import OWNER
from tests.unit.backends.ibm.made import job

PAID = job("x", "y")


def alert(run: str, rule: str, opened_at: float) -> Alert:
    return Alert(run=run, rule=rule, severity="critical", opened=opened_at, message="m", fix="f")


def test_alerts_are_shown_open_ones_first_and_with_the_run_that_they_are_of(tmp_path: Path):
    panel = AlertPanel(str(tmp_path))
    assert panel() == {"open": [], "closed": [], "damaged": 0}
    log = AlertLog(tmp_path)
    for at, run in enumerate(("first", "study/trial-0001", "<b>")):
        (tmp_path / run).mkdir(parents=True)
        log.open(alert(run, "nan", float(at)))
    log.close("first", "nan", 9.0)
    with log.path.open("a") as file:
        file.write("{damaged\n")
    found = panel()
    assert [each["id"] for each in found["open"]] == ["%3Cb%3E", "study/trial-0001"]
    assert [(each["run"], each["closed"]) for each in found["closed"]] == [("first", 9.0)]
    assert found["damaged"] == 1


@pytest.fixture
def ledgers(tmp_path: Path) -> Path:
    """A ledger with a job that is open, of the run `paid`, whose budget is 600 s."""
    folder = tmp_path / "ledgers" / "a" / "b" / "paid"
    owner = OWNER.model_copy(update={"run": "paid-0123456789ab"})
    with Ledger.open(folder, owner) as ledger:
        ledger.intent(PAID, HardwareCost(billed_seconds=3.0), price_per_second=2.0)
        ledger.looked_up(PAID.key, [])
        ledger.submitting(PAID.key)
        ledger.accepted(PAID.key, "job-9")
    return tmp_path / "ledgers"


def paid_run(storage: Path, identity: str) -> Path:
    options = {"backend_options": {"budget": {"seconds": 600, "jobs": 5, "other": "x"}}}
    config = {**CONFIG, "trainer": {**CONFIG["trainer"], **options}}
    return make_run(storage, "paid", config=config, identity=identity)


def test_paid_jobs_are_shown_with_what_may_be_spent(ledgers: Path, tmp_path: Path) -> None:
    storage = tmp_path / "runs"
    paid_run(storage, "paid-0123456789ab")
    panel = HardwarePanel(storage, ledgers)
    found = panel()
    (ledger,) = found["ledgers"]
    assert (ledger["run"], ledger["backend"]) == ("paid-0123456789ab", "ibm_fez")
    assert (ledger["jobs"], ledger["open"], ledger["seconds"]) == (1, 1, 3.0)
    assert (ledger["pending_seconds"], ledger["money"]) == (3.0, 6.0)
    assert ledger["budget"] == {"seconds": 600, "jobs": 5}
    assert [(each["job"], each["state"]) for each in found["jobs"]] == [("job-9", "accepted")]


def test_the_budget_of_another_run_of_the_same_name_is_not_taken(
    ledgers: Path, tmp_path: Path
) -> None:
    paid_run(tmp_path / "runs", "paid-ffffffffffff")
    (ledger,) = HardwarePanel(tmp_path / "runs", ledgers)()["ledgers"]
    assert ledger["budget"] == {}


def test_a_ledger_that_grows_is_read_again_and_a_damaged_one_says_so(
    ledgers: Path, tmp_path: Path
) -> None:
    panel = HardwarePanel(tmp_path / "runs", ledgers)
    panel()
    (file,) = ledgers.rglob(LEDGER)
    with file.open("a") as lines:
        lines.write('{"seq":9')
    (ledger,) = panel()["ledgers"]
    assert "unfinished line" in ledger["problem"]
    assert ledger["jobs"] == 1
    file.write_text("{}\n")
    found = panel()
    assert "damaged" in found["ledgers"][0]["problem"]
    assert found["jobs"] == []
    assert HardwarePanel(tmp_path, tmp_path / "nothing")() == {"ledgers": [], "jobs": [], "more": 0}


def test_searches_are_shown_with_their_state(tmp_path: Path) -> None:
    panel = SearchPanel(str(tmp_path))
    assert panel() == {"searches": []}
    study = opened(tmp_path, "s", space=SPACE)
    (found,) = panel()["searches"]
    assert (found["id"], found["trials"], found["running"], found["problem"]) == ("s", 0, True, "")
    assert found["objectives"]
    study.close()
    assert not panel()["searches"][0]["running"]
    assert panel.search("s")["listed"] == []
    with pytest.raises(UnknownNameError):
        panel.search("../s")
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "study.journal").write_text("{damaged\n")
    found = {each["id"]: each for each in panel()["searches"]}
    assert found["t"]["problem"]
    json.dumps(found)


def test_without_a_cluster_nothing_is_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("RAY_ADDRESS", "ray://[::1")  # no address at all
    assert not cluster_panel()["running"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("says", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\n\r\n{", b""])
def test_another_server_at_rays_port_is_no_ray(monkeypatch, tmp_path: Path, says: bytes):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(4096)
                    connection.sendall(says)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
        monkeypatch.setenv("RAY_API_SERVER_ADDRESS", url)
        monkeypatch.delenv("RAY_ADDRESS", raising=False)
        assert not cluster_panel()["running"]
        monkeypatch.setattr("qstore_ray.ops.dashboard.panels.cluster.read_token", lambda _: "t")
        assert _asked(url)["problem"].startswith("Ray's server does not answer")
