"""The page in a real Chromium: what a person sees, types and is read aloud."""

from __future__ import annotations

import fcntl
import itertools
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from qstore_ray.track.jsonl import MetricsFile
from tests.chromium import PROGRAM, ChromiumPage, chromium
from tests.run_folders import CONFIG, epoch_record, make_run
from tests.unit.ops.dashboard.served import TOKEN, ServedPage, served

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="no Chromium is installed (apt install chromium)"),
]

HOSTILE = "<img src=x onerror='window.hurt=1'>"
SCRIPT = "<script>window.hurt=1</script>"
LISTED = "document.querySelectorAll('table.runs tbody tr').length"
NAMES = "[...document.querySelectorAll('table.runs tbody th a')].map((a) => a.textContent)"


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of every status, and one made to hurt."""
    folder = tmp_path_factory.mktemp("runs")
    for at, status in enumerate(("finished", "failed", "interrupted", "running")):
        started = f"2026-11-{10 + at}T00:00:00+00:00"
        make_run(folder, f"run-{at}", epochs=3 + at, planned=9, status=status, started=started)
    make_run(folder, "damaged")
    (folder / "damaged" / "run.json").write_text("{")
    config = {**CONFIG, "model": {"n_qubits": 4, SCRIPT: HOSTILE, "javascript:alert(1)": SCRIPT}}
    evil = make_run(folder, "evil", config=config, metrics={HOSTILE: 1.0, "test_loss": 0.5})
    with MetricsFile(evil / "metrics.jsonl") as file:
        file.append({**epoch_record(3), SCRIPT: 0.5, "__proto__": 1.0, "constructor": 2.0})
        file.append({"event": "end", "status": "finished", "reason": HOSTILE})
    (evil / "figures").mkdir()
    (evil / "figures" / f"{HOSTILE}.svg").write_text(
        f"<svg xmlns='http://www.w3.org/2000/svg'>{SCRIPT}</svg>"
    )
    shutil.move(evil, folder / f"{HOSTILE}&evil=\"'")
    return folder


@pytest.fixture(scope="module")
def server(storage: Path) -> Iterator[ServedPage]:
    with served(storage) as found:
        yield found


@pytest.fixture
def tab(server: ServedPage) -> Iterator[ChromiumPage]:
    """The list of runs; at the end the console has no error, and nothing was asked elsewhere."""
    with chromium() as page:
        enter(page, server)
        yield page
        assert page.errors == []
        assert {url.split("/")[2] for url in page.requests} == {f"127.0.0.1:{server.port}"}
        assert not any(TOKEN in url for url in page.requests)
        assert page.eval("window.hurt === undefined")


def enter(page: ChromiumPage, server: ServedPage) -> None:
    page.goto(f"{server.url}/enter#token={TOKEN}")
    page.wait(f"location.pathname === '/' && {LISTED}")


def show(page: ChromiumPage, server: ServedPage, address: str, sign: str) -> None:
    page.goto(f"{server.url}/#{address}")
    page.wait(f"document.querySelector({json.dumps(sign)}) !== null")


def click(page: ChromiumPage, selector: str, text: str) -> None:
    found = f"[...document.querySelectorAll('{selector}')].find((e) => e.textContent === TEXT)"
    page.eval(f"{found.replace('TEXT', json.dumps(text))}.click()")


def set_field(page: ChromiumPage, identifier: str, value: str, event: str) -> None:
    field = f"document.getElementById('{identifier}')"
    page.eval(f"{field}.value = '{value}'; {field}.dispatchEvent(new Event('{event}'))")


def test_the_token_is_asked_for_and_leaves_the_address_bar(server: ServedPage) -> None:
    with chromium() as page:
        page.goto(f"{server.url}/")
        assert page.wait("document.querySelector('h1')?.textContent").startswith("401")
        page.goto(f"{server.url}/enter#token=wrong")
        page.wait("document.getElementById('why')?.textContent.includes('not the token')")
        page.goto(f"{server.url}/enter")
        page.wait("document.getElementById('why')?.textContent.includes('has no token')")
        enter(page, server)
        assert page.eval("location.href") == f"{server.url}/"
        assert page.eval("document.cookie") == ""


def test_runs_are_sorted_filtered_and_compared(tab: ChromiumPage) -> None:
    assert [n for n in tab.eval(NAMES) if n[:3] == "run"] == ["run-3", "run-2", "run-1", "run-0"]
    tab.eval("document.getElementById('sort-epochs').click()")
    assert [name for name in tab.eval(NAMES) if name.startswith("run")] == [
        "run-3",
        "run-2",
        "run-1",
        "run-0",
    ]
    sorted_by = "document.querySelector('th[aria-sort]')"
    assert tab.eval(f"{sorted_by}.getAttribute('aria-sort')") == "descending"
    tab.eval("document.getElementById('sort-epochs').click()")
    assert tab.eval(f"{sorted_by}.getAttribute('aria-sort')") == "ascending"
    assert next(name for name in tab.eval(NAMES) if name.startswith("run")) == "run-0"
    assert tab.eval("document.activeElement.id") == "sort-epochs"

    tab.eval("document.getElementById('filter').focus()")
    tab.type("run failed")
    assert tab.wait(f"{LISTED} === 1 && {NAMES}") == ["run-1"]
    assert tab.eval("document.querySelector('[role=status].muted').textContent") == "1 of 6 runs"
    set_field(tab, "filter", "run-", "input")
    tab.eval(
        "for (const n of ['run-0', 'run-1']) document.querySelector(`[aria-label*='${n}']`).click()"
    )
    click(tab, "button", "Compare 2 runs")
    tab.wait("document.querySelectorAll('.plot svg path.line').length === 2")
    assert tab.eval("document.querySelector('h1').textContent") == "Comparison of 2 runs"
    assert "best val_loss" in tab.eval("document.querySelector('#metrics table').textContent")
    set_field(tab, "metric", "gradient_norm", "change")
    assert tab.eval("document.querySelector('.chart h3').textContent") == "gradient_norm"


def test_a_hostile_run_is_text_wherever_it_is_shown(tab: ChromiumPage, server: ServedPage) -> None:
    name = f"{HOSTILE}&evil=\"'"
    assert name in tab.wait(f"{LISTED} === 6 && {NAMES}")
    click(tab, "th a", name)
    tab.wait("document.querySelectorAll('.plot svg path.line').length >= 4")
    text = tab.eval("document.body.textContent")
    assert text.count(HOSTILE) >= 5
    assert SCRIPT in text
    assert tab.eval("document.querySelectorAll('img[src=x], main script').length") == 0
    assert tab.eval("document.title").startswith(HOSTILE)
    tab.eval("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    tab.wait("document.querySelectorAll('details table').length >= 4")
    encoded = quote(quote(name, safe=""), safe="")
    show(tab, server, f"/compare/{encoded},run-0", "#settings table")
    assert HOSTILE in tab.eval("document.body.textContent")
    # The picture is a document of its own: opened in a tab, its script does not run.
    identifier = quote(quote(name, safe=""), safe="")
    tab.goto(f"{server.url}/api/file?id={identifier}&name={quote(HOSTILE, safe='')}.svg")
    tab.wait("document.documentElement.tagName === 'svg'")
    assert tab.eval("window.hurt === undefined")
    tab.errors = [
        error
        for error in tab.errors
        if "sandboxed" not in error and "Content Security" not in error
    ]


def test_a_live_run_is_drawn_as_it_is_written(tmp_path: Path) -> None:
    read = "document.querySelector('.card .readout').textContent"
    listed = "document.querySelector('table.runs tbody').textContent"
    folder = make_run(tmp_path, "live", epochs=2, planned=9, status="running")
    with (folder / ".lock").open("w") as lock, served(tmp_path) as server, chromium() as page:
        fcntl.flock(lock, fcntl.LOCK_EX)
        enter(page, server)
        page.wait("document.querySelector('.card .readout')?.textContent.startsWith('epoch 2:')")
        assert page.eval("document.querySelector('progress').value") == 2
        with MetricsFile(folder / "metrics.jsonl") as file:
            for epoch in (2, 3):
                file.append(epoch_record(epoch))
                page.wait(f"{read}.startsWith('epoch {epoch + 1}:')")
                page.wait(f"{listed}.includes('{epoch + 1}/9')")
            show(page, server, "/run/live", "#curves .plot svg path.line")
            file.append(epoch_record(4))
            page.wait(
                "document.querySelector('#curves .readout').textContent.startsWith('epoch 5:')"
            )
        make_run(tmp_path, "next")
        show(page, server, "/", "table.runs")
        page.wait(f"{NAMES}.includes('next')")
        assert page.errors == []


def test_a_page_whose_server_ended_says_so_and_comes_back(tmp_path: Path) -> None:
    make_run(tmp_path, "first")
    with chromium() as page:
        with served(tmp_path) as server:
            enter(page, server)
            page.wait("document.getElementById('connection').textContent === 'live'")
        page.wait("document.getElementById('connection').textContent === 'connection lost'")


def test_a_run_that_is_deleted_meanwhile_keeps_no_page_from_coming_back(tmp_path: Path) -> None:
    """EventSource gives up for good at any answer but 200, as for a run that is not there."""
    said = "document.getElementById('connection').textContent"
    gone = make_run(tmp_path, "gone")
    make_run(tmp_path, "other")
    with chromium() as page:
        with served(tmp_path) as server:
            enter(page, server)
            show(page, server, "/run/gone", ".plot svg path.line")
            page.wait(f"{said} === 'live'")
        page.wait(f"{said} === 'connection lost'")
        shutil.rmtree(gone)
        with served(tmp_path, server.port):
            page.wait(f"{said} === 'live'")
            page.wait("document.querySelector('.problem')?.textContent.includes('no longer there')")
            show(page, server, "/", "table.runs tbody tr")
            page.wait(f"{NAMES}.join() === 'other'")
            make_run(tmp_path, "gone")
            page.wait(f"{NAMES}.toSorted().join() === 'gone,other'")
            show(page, server, "/run/gone", ".plot svg path.line")
            assert not page.eval("document.querySelector('.problem')")


def test_everything_can_be_reached_and_used_by_keyboard(
    tab: ChromiumPage, server: ServedPage
) -> None:
    at = "document.activeElement"
    focused = f"{at}.id || {at}.getAttribute('aria-label') || {at}.textContent"
    seen = []
    for _ in range(40):
        tab.key("Tab")
        seen.append(tab.eval(focused))
    order = ["skip", "qstore", "Runs", "Alerts", "Searches", "Cluster", "Hardware", "theme"]
    assert seen[: len(order)] == order
    assert {"filter", "sort-name", "sort-status", "Table of runs"} <= set(seen)
    assert tab.eval("getComputedStyle(document.activeElement).outlineStyle") != "none"
    tab.eval("document.getElementById('skip').focus()")
    tab.key("Enter")
    assert tab.eval("document.activeElement.id") == "main"
    tab.eval("document.getElementById('sort-name').focus()")
    tab.key("Enter")
    assert tab.eval("document.querySelector('th[aria-sort] button').id") == "sort-name"
    tab.eval(
        "[...document.querySelectorAll('th a')].find((a) => a.textContent === 'run-0').focus()"
    )
    tab.key("Enter")
    tab.wait("document.querySelectorAll('.plot svg path.line').length >= 4")
    tab.wait("document.activeElement.tagName === 'H1'")

    tab.eval("document.querySelector('.plot').focus()")
    said = "document.activeElement.getAttribute('aria-valuetext')"
    tab.key("Home")
    assert tab.eval(said) == "epoch 1: val_loss 1.1, train_loss 1"
    tab.key("ArrowRight")
    assert tab.eval(said) == "epoch 2: val_loss 0.55, train_loss 0.5"
    tab.key("End")
    assert tab.eval(said).startswith("epoch 3: ")
    tab.eval("document.querySelector('.chart summary').focus()")
    tab.key("Enter")
    tab.wait("document.querySelectorAll('.chart details[open] tbody tr').length === 3")


def test_a_screen_reader_finds_landmarks_names_and_tables(
    tab: ChromiumPage, server: ServedPage
) -> None:
    found = names_by_role(tab)
    assert {"banner", "main", "navigation"} <= set(found)
    assert "Sections" in found["navigation"]
    assert {"Alerts", "All runs", "Searches", "Cluster", "Hardware jobs and budget"} <= set(
        found["region"]
    )
    assert {"name", "status", "epochs", "validation", "test"} <= set(found["columnheader"])
    assert "run-0" in found["rowheader"]
    assert found["searchbox"] == ["Filter"]
    assert "Choose run-0 for comparison" in found["checkbox"]
    assert tab.eval("document.documentElement.lang") == "en"
    assert tab.eval("document.querySelectorAll('[aria-live=polite], [role=status]').length") >= 3
    for role in (
        "button",
        "link",
        "checkbox",
        "slider",
        "textbox",
        "combobox",
        "image",
        "progressbar",
    ):
        assert "" not in found.get(role, []), role
    show(tab, server, "/run/run-0", ".plot svg path.line")
    found = names_by_role(tab)
    assert {"loss by epoch", "accuracy by epoch"} <= set(found["slider"])
    assert "Last known metrics" in found["table"]
    levels = tab.eval(
        "[...document.querySelectorAll('h1, h2, h3')].map((each) => Number(each.tagName[1]))"
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def names_by_role(page: ChromiumPage) -> dict[str, list[str]]:
    """Role → names of what assistive technology is shown."""
    found: dict[str, list[str]] = {}
    for node in page.call("Accessibility.getFullAXTree")["nodes"]:
        if not node.get("ignored"):
            name = node.get("name", {}).get("value", "")
            found.setdefault(node["role"]["value"], []).append(re.sub(r" [▴▾]$", "", name))
    return found


CONTRASTS = """
(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  const luminance = (color) => {
    const [r, g, b] = rgba(color).map((c) => linear(c / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    const color = getComputedStyle(element).backgroundColor;
    return rgba(color)[3] || !element.parentElement ? color : ground(element.parentElement);
  };
  const low = [];
  for (const element of document.querySelectorAll("main *, header *")) {
    const has = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!has || element.disabled || element.closest("svg, .hidden")) continue;
    const colors = [getComputedStyle(element).color, ground(element)];
    const [a, b] = colors.map(luminance).sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) low.push(`${element.className} ${element.textContent} ${ratio}`);
  }
  return low;
})()
"""
"""Texts whose contrast is below 4.5, what WCAG asks for at level AA."""


def test_dark_and_light_are_legible_and_follow_the_system_and_the_switch(
    tab: ChromiumPage, server: ServedPage
) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    grounds = []
    for dark in (False, True):
        tab.look(dark=dark)
        grounds.append(tab.eval(ground))
        show(tab, server, "/", "table.runs tbody tr")
        assert tab.eval(CONTRASTS) == []
        show(tab, server, "/run/run-0", ".plot svg path.line")
        assert tab.eval(CONTRASTS) == []
    light, dark_ground = grounds
    assert light != dark_ground
    tab.eval("document.getElementById('theme').click()")
    assert tab.eval(f"[document.getElementById('theme').textContent, {ground}]") == [
        "Theme: light",
        light,
    ]
    tab.look(dark=False)
    tab.eval("document.getElementById('theme').click()")
    assert tab.eval(f"[document.getElementById('theme').textContent, {ground}]") == [
        "Theme: dark",
        dark_ground,
    ]
    tab.goto(f"{server.url}/")
    tab.wait(LISTED)
    assert tab.eval(ground) == dark_ground


@pytest.mark.parametrize("width", [320, 400, 1400])
def test_no_page_is_wider_than_the_window(
    tab: ChromiumPage, server: ServedPage, width: int
) -> None:
    tab.look(width=width)
    for address, sign in (
        ("/", "table.runs tbody tr"),
        ("/run/run-0", ".plot svg path.line"),
        ("/compare/run-0,run-1", "#metrics table"),
        ("/run/no-such-run", ".problem"),
    ):
        if address.startswith("/run/no"):
            tab.errors = []
        show(tab, server, address, sign)
        over = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert tab.eval(over) <= 0, address
    tab.errors = [error for error in tab.errors if "404" not in error]
