"""The dashboard over HTTP: who may ask, what every route answers, and what changes by itself."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from qstore_ray.cli.app import main
from qstore_ray.ops.dashboard.board import MOST_READERS, Board
from qstore_ray.ops.dashboard.listing import RunListing
from qstore_ray.ops.dashboard.server import MOST_RUNS
from qstore_ray.track.jsonl import MetricsFile
from tests.guides import blocks_of
from tests.run_folders import CONFIG, epoch_record, make_run
from tests.unit.ops.dashboard.served import BEARER, TOKEN, ServedPage, served

HOSTILE = "<img src=x onerror=alert(1)>"
ROUTES = [
    "/", "/api/runs", "/api/run?id=first", "/api/file?id=first&name=loss.png",
    "/api/compare?id=first&id=second", "/api/panel?name=cluster", "/api/search?id=x",
    "/api/events", "/nothing", "/session/x",
]  # fmt: skip


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs: one with files to hand out, one of other settings, one of a hostile name."""
    folder = tmp_path_factory.mktemp("runs")
    first = make_run(folder, "first")
    (first / "figures").mkdir()
    (first / "figures" / "loss.png").write_bytes(b"\x89PNG")
    (first / "figures" / "evil.svg").write_text("<svg><script>alert(1)</script></svg>")
    (first / "figures" / "notes.txt").write_text("not a figure")
    (first / "figures" / "link.png").symlink_to("/etc/passwd")
    (first / "report.html").write_text("<h1>report</h1>")
    secrets = {"track": {"mlflow_uri": "postgresql://me:hunter2@host/runs"}}
    trainer = {"trainer": {**CONFIG["trainer"], "seed": 1}}
    make_run(folder, "second", epochs=5, config={**CONFIG, **trainer, **secrets})
    shutil.move(make_run(folder, "hostile"), folder / HOSTILE)
    return folder


@pytest.fixture(scope="module")
def page(storage: Path) -> Iterator[ServedPage]:
    with served(storage) as found:
        yield found


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Cookie": "qstore_dashboard_1=x"},
        {"Cookie": f"qstore_dashboard_PORT={TOKEN}"},
    ],
)
def test_without_the_token_there_is_nothing_but_a_401_that_says_so(
    page: ServedPage, path: str, headers: dict[str, str]
) -> None:
    given = {name: value.replace("PORT", str(page.port)) for name, value in headers.items()}
    status, answered, body = page.ask(path, given)
    assert status == 401
    assert b"token" in body
    assert answered["www-authenticate"].startswith("Bearer")
    assert not re.search(rb"first|second|onerror", body)
    assert answered["content-type"].startswith("text/html" if path == "/" else "application/json")


def test_the_token_opens_a_session_that_scripts_cannot_read(page: ServedPage) -> None:
    status, headers, body = page.ask("/session", method="POST")
    assert (status, body) == (204, b"")
    cookie = headers["set-cookie"]
    assert TOKEN not in cookie
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    session = {"Cookie": f"other=1; {cookie.partition(';')[0]}"}
    assert page.ask("/api/runs", session)[0] == 200
    assert page.ask("/", session)[0] == 200
    assert page.ask("/session", {"Authorization": "Bearer x"}, "POST")[0] == 401
    assert page.ask("/session", session, "POST")[0] == 401


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200), ("localhost:9000", 200), ("[::1]:80", 200), ("127.0.0.1:1", 200),
        ("evil.example", 400), ("evil.example:8323", 400), ("127.0.0.1.evil.example", 400),
        ("localhost.evil.example", 400), ("", 400), ("0.0.0.0", 400), ("192.168.1.2", 400),
    ],
)  # fmt: skip
def test_a_request_that_is_addressed_to_another_machine_is_refused(
    page: ServedPage, host: str, status: int
) -> None:
    """A page that was rebound to this address has another name, token or not."""
    assert page.ask("/api/runs", {**BEARER, "Host": host})[0] == status
    assert page.ask("/enter", {"Host": host})[0] == status


@pytest.mark.parametrize("path", [*ROUTES[:-1], "/enter", "/page/app.js"])
@pytest.mark.parametrize("headers", [BEARER, {}])
def test_every_answer_has_the_headers_that_keep_a_browser_in(
    page: ServedPage, path: str, headers: dict[str, str]
) -> None:
    answer = page.opened(path, headers)
    found = {name.lower(): value for name, value in answer.getheaders()}
    policy = found["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe-eval" not in policy
    assert "script-src 'self'" in policy or "script" not in policy
    assert "frame-ancestors 'none'" in policy
    assert found["x-content-type-options"] == "nosniff"
    assert found["cache-control"] == "no-store"
    assert found["referrer-policy"] == "no-referrer"
    assert found["cross-origin-resource-policy"] == "same-origin"
    answer.close()


def test_the_files_of_the_page_need_nothing_from_elsewhere(page: ServedPage) -> None:
    names = [each.name for each in (files("qstore_ray.ops.dashboard") / "page").iterdir()]
    assert len(names) > 8
    size = 0
    for name in names:
        status, headers, body = page.ask(f"/page/{name}", {})
        assert status == 200
        text = body.decode().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//cdn|@import|innerHTML|document\.write|eval\(", text), (
            name
        )
        assert not re.search(r"<script>|<style|\son\w+=|style=", text) or name.endswith(".js")
        assert headers["content-type"].startswith(("text/", "image/svg"))
        size += len(body)
    assert size < 60_000
    for name in ("..%2Fserver.py", "nothing.js", "__init__.py"):
        assert page.ask(f"/page/{name}", {})[0] in {404, 401}


def test_the_runs_and_what_a_hostile_name_becomes(page: ServedPage, storage: Path) -> None:
    found = page.json("/api/runs")
    assert found["storage"] == str(storage)
    by_name = {row["name"]: row for row in found["runs"]}
    assert set(by_name) == {"first", "second", HOSTILE}
    assert by_name["first"]["status"] == "finished"
    assert by_name[HOSTILE]["id"] == "%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E"
    again = "%253Cimg%2520src%253Dx%2520onerror%253Dalert%25281%2529%253E"
    assert page.json(f"/api/run?id={again}")["name"] == HOSTILE


def test_everything_about_a_run(page: ServedPage) -> None:
    found = page.json("/api/run?id=first")
    assert found["figures"] == ["evil.svg", "loss.png"]
    assert found["report"] == "report.html"
    assert found["metrics"]["test_accuracy"] == 0.9
    assert found["checkpoints"] == []
    tables = {part["table"]: dict(part["fields"]) for part in found["config"]}
    assert tables["model"] == {"n_qubits": "4", "layers": "2"}
    assert "hunter2" not in json.dumps(page.json("/api/run?id=second"))


def test_files_of_a_run_are_handed_out_as_data(page: ServedPage) -> None:
    for name, kind in (("loss.png", "image/png"), ("evil.svg", "image/svg+xml")):
        status, headers, _ = page.ask(f"/api/file?id=first&name={name}")
        assert (status, headers["content-type"]) == (200, kind)
        assert "sandbox" in headers["content-security-policy"]
        assert "script-src" not in headers["content-security-policy"]
    assert page.ask("/api/file?id=first&name=report.html")[2] == b"<h1>report</h1>"
    for name in ("link.png", "notes.txt", "../run.json", "run.json", "..%2Frun.json", "", "%00"):
        assert page.ask(f"/api/file?id=first&name={name}")[0] == 404, name


def test_runs_side_by_side(page: ServedPage) -> None:
    found = page.json("/api/compare?id=first&id=second")
    assert found["settings"]["trainer.seed"] == ["0", "1"]
    assert found["metrics"]["best val_loss"] == pytest.approx([1.1 / 3, 1.1 / 5])
    assert found["best"]["best val_loss"] == pytest.approx(1.1 / 5)
    assert "hunter2" not in json.dumps(found)


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/api/run", 422, "id"),
        ("/api/run?id=no-such", 404, "unknown run"),
        ("/api/run?id=..%2F..%2Fetc", 404, "unknown run"),
        ("/api/compare?id=first", 409, "nothing to be compared with"),
        ("/api/compare", 409, "nothing to be compared with"),
        ("/api/compare?id=first&id=first", 409, "nothing to be compared with"),
        ("/api/compare?" + "&".join(["id=first"] * (MOST_RUNS + 1)), 422, "at most"),
        ("/api/panel?name=no-such", 422, "no such panel"),
        ("/api/search?id=no-such", 404, "unknown study"),
        ("/nothing", 404, "Not Found"),
    ],
)
def test_a_wrong_request_is_said_plainly(
    page: ServedPage, path: str, status: int, said: str
) -> None:
    answered, _, body = page.ask(path)
    assert answered == status
    assert said in json.dumps(json.loads(body)["detail"])


def take(events: Iterator[tuple[str, Any]], kind: str) -> Any:
    """The content of the next event of a kind."""
    return next(content for name, content in events if name == kind)


def test_events_begin_with_everything_and_then_say_what_changes(tmp_path: Path) -> None:
    folder = make_run(tmp_path, "live", epochs=2, planned=9, status="running")
    with served(tmp_path) as page:
        events = page.events("/api/events?id=live")
        first = take(events, "runs")
        assert first["all"]
        assert [(row["id"], row["epochs"]) for row in first["rows"]] == [("live", 2)]
        curves = take(events, "curves")
        assert curves["run"] == "live"
        assert curves["records"][0] == {"restart": 0}
        assert [record["epoch"] for record in curves["records"][1:]] == [0, 1]

        with MetricsFile(folder / "metrics.jsonl") as file:
            file.append({"event": "step", "epoch": 2, "step": 21, "loss": 0.3})
            file.append({"event": "step", "epoch": 2, "step": 22, "loss": 0.3})
            while take(events, "curves")["records"][-1] != {"at": 2, "step": 22}:
                pass  # the two may be read one by one
            file.append(epoch_record(2))
            assert take(events, "curves")["records"] == [
                {k: v for k, v in epoch_record(2).items() if k not in {"event", "step"}}
            ]
            file.append({"event": "start", "generation": 2, "resumed_from_epoch": 1})
            assert take(events, "curves")["records"] == [{"restart": 1}]
        with (folder / "metrics.jsonl").open("a") as damaged:
            damaged.write("{…\n")
        assert "damaged" in take(events, "problem")["message"]
        make_run(tmp_path, "later")
        changed = take(events, "runs")
        while not any(row["id"] == "later" for row in changed["rows"]):
            changed = take(events, "runs")
        assert not changed["all"]
        shutil.rmtree(tmp_path / "later")
        while "later" not in changed["gone"]:
            changed = take(events, "runs")


def test_runs_that_are_gone_are_said_and_refuse_nobody_its_events(tmp_path: Path) -> None:
    """A page that connects again asks for the runs that it knew; EventSource gives up at a 404."""
    make_run(tmp_path, "here")
    with served(tmp_path) as page:
        events = page.events("/api/events?id=gone&id=here&id=gone/trial-1")
        first = take(events, "runs")
        assert [row["id"] for row in first["rows"]] == ["here"]
        assert first["gone"] == ["gone", "gone/trial-1"]
        assert take(events, "curves")["run"] == "here"
        assert page.ask("/api/run?id=gone")[0] == 404


def test_a_panel_that_hangs_says_so_and_the_others_are_there(monkeypatch) -> None:
    never = threading.Event()
    calls: list[str] = []

    def hangs() -> None:
        calls.append("begun")
        never.wait()

    monkeypatch.setattr("qstore_ray.ops.dashboard.board.LONGEST_SECONDS", 0.05)
    monkeypatch.setattr("qstore_ray.ops.dashboard.board.PANEL_SECONDS", 0.05)

    async def read() -> dict[str, str]:
        board = Board(RunListing("absent"), {"hangs": hangs, "quick": lambda: {"x": 1}})
        async with board.read():
            for name in board.panels:
                await board.panel(name)
            await board.panel("hangs")
            board.check()
        return board.shown

    shown = asyncio.run(read())
    assert json.loads(shown["quick"]) == {"x": 1}
    assert "still waiting" in json.loads(shown["hangs"])["problem"]
    assert calls == ["begun"]
    never.set()


@pytest.mark.parametrize(
    "others", ['state={"a": 1}', "a b", "é=1", "x=[1]; y", 'q="', "a=b=c"], ids=range(6)
)
def test_cookies_of_other_programs_on_this_machine_do_not_matter(
    page: ServedPage, others: str
) -> None:
    _, answer, _ = page.ask("/session", method="POST")
    own = answer["set-cookie"].partition(";")[0]
    for cookie in (f"{others}; {own}", f"{own}; {others}"):
        assert page.ask("/api/runs", {"Cookie": cookie.encode().decode("latin-1")})[0] == 200


@pytest.mark.parametrize(
    ("asks", "path", "status"),
    [
        ("same-origin", "/api/runs", 200), ("none", "/api/runs", 200),
        ("same-site", "/api/runs", 401), ("cross-site", "/api/events", 401),
        ("same-site", "/", 200),
    ],
)  # fmt: skip
def test_a_page_of_another_port_gets_nothing_with_our_cookie(
    page: ServedPage, asks: str, path: str, status: int
) -> None:
    _, answer, _ = page.ask("/session", method="POST")
    cookie = answer["set-cookie"].partition(";")[0]
    assert page.ask(path, {"Cookie": cookie, "Sec-Fetch-Site": asks})[0] == status


def test_a_storage_folder_that_appears_later_is_no_error(tmp_path: Path) -> None:
    with served(tmp_path / "later") as page:
        events = page.events()
        assert take(events, "runs") == {"all": True, "rows": [], "gone": []}
        assert take(events, "panel") == {"name": "storage", "content": {"problem": ""}}
        make_run(tmp_path / "later", "first")
        assert take(events, "runs")["rows"][0]["id"] == "first"


def test_a_storage_folder_that_is_a_file_is_a_problem_on_the_page(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with served(tmp_path / "file") as page:
        assert page.ask("/api/runs")[0] == 409
        panel = take(page.events(), "panel")
        assert panel["name"] == "storage"
        assert "cannot list the runs" in panel["content"]["problem"]


def test_too_many_open_pages_are_refused_and_closed_ones_do_not_count(tmp_path: Path) -> None:
    make_run(tmp_path, "first")
    with served(tmp_path) as page:
        opened = [page.opened("/api/events") for _ in range(MOST_READERS)]
        for each in opened:
            assert each.readline().startswith(b"event")
        assert page.ask("/api/events")[0] == 503
        for each in opened:
            each.close()
        while (answer := page.opened("/api/events")).status == 503:
            answer.close()
        assert answer.status == 200
        answer.close()


def test_the_command_prints_the_address_once_and_ends_by_sigterm(tmp_path: Path) -> None:
    """Also while a page is open; the token is in no other line that it writes."""
    make_run(tmp_path, "first")
    command = [
        sys.executable, "-m", "qstore_ray", "dashboard", "--storage", str(tmp_path), "--port", "0",
        "--json", "--open",
    ]  # fmt: skip
    seen, browser = tmp_path / "seen", tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {seen}\ncat "${{1#file://}}" >> {seen}\n')
    browser.chmod(0o755)
    environment = {**os.environ, "QSTORE_DASHBOARD_TOKEN": TOKEN, "BROWSER": f"{browser} %s"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        address, _, token = url.partition("#token=")
        assert token == TOKEN
        page = ServedPage(int(address.rpartition(":")[2].removesuffix("/enter")))
        assert page.ask("/", {})[0] == 401
        assert page.ask("/api/run?id=no-such")[0] == 404
        line, door = seen.read_text().split("\n", 1)
        assert TOKEN not in line, "command lines can be read by everybody"
        assert url in door
        folder = Path(line.removeprefix("file://")).parent
        assert folder.stat().st_mode & 0o777 == 0o700
        events = page.events()
        assert take(events, "runs")["rows"][0]["id"] == "first"
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert (out, err) == ("", "")
    assert not folder.exists()


def test_of_very_many_epochs_some_are_sent_and_always_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qstore_ray.ops.dashboard.live.MOST_EPOCHS", 10)
    make_run(tmp_path, "long", epochs=25)
    with served(tmp_path) as page:
        found = take(page.events("/api/events?id=long"), "curves")
    assert found["every"] == 3
    assert [each["epoch"] for each in found["records"][1:]] == [0, 3, 6, 9, 12, 15, 18, 21, 24]


def test_the_commands_of_the_guide_run(tmp_path: Path) -> None:
    for name in ("digits", "digits-2"):
        make_run(tmp_path, name)
    lines = "\n".join(blocks_of("dashboard.md", "console")).splitlines()
    asked = [line.removeprefix("$ ") for line in lines if line.startswith("$ curl")]
    with served(tmp_path) as page:
        answers = [
            subprocess.run(
                ["bash", "-c", line.replace("http://127.0.0.1:8323", page.url)],
                capture_output=True, text=True, check=True, timeout=60,
                env={**os.environ, "QSTORE_DASHBOARD_TOKEN": TOKEN},
            ).stdout
            for line in asked
        ]  # fmt: skip
    runs, run, compared, panel = map(json.loads, answers[:4])
    assert [row["id"] for row in runs["runs"]] == ["digits", "digits-2"]
    assert run["name"] == "digits"
    assert compared["settings"] == {}
    assert panel["ledgers"] == []
    assert answers[4].startswith('event: runs\ndata: {"all":true')


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--storage", "s3://"], "not an address"),
        (["--storage", "ftp://host/runs"], "not an address"),
        (["--port", "70000"], "--port"),
    ],
)
def test_what_cannot_be_served_exits_with_2(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dashboard", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_token_that_can_be_guessed_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QSTORE_DASHBOARD_TOKEN", "short")
    assert main(["dashboard"]) == 2
    said = capsys.readouterr().err
    assert "can be guessed" in said
    assert "short" not in said.replace("shorter", "")
