"""Log lines: for people on a terminal, JSON elsewhere, on stderr alone, and never a secret."""

from __future__ import annotations

import json
import logging
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from qstore_ray.errors import ConfigError
from qstore_ray.track.logs.logging import configure_logging, get_logger, logged_as
from qstore_ray.track.logs.text import redact_message

PLANTED = "hunter2-planted"

PROGRAM = """
import logging, sys
from qstore_ray.track.logs.logging import configure_logging, get_logger, logged_as
configure_logging(level="info")
with logged_as(run="digits", worker=3):
    get_logger("qstore_ray.train").info("an epoch was completed", loss=0.5)
    logging.getLogger("qstore_ray.data").warning("a file is %s", "empty")
print("a result")
"""


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    logger = logging.getLogger("qstore_ray")
    before = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], logger.level, logger.propagate = before[0], before[1], before[2]
    structlog.reset_defaults()


def _lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


def test_a_job_writes_one_json_object_a_line_on_stderr():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=Path.cwd(), capture_output=True, text=True, check=True
    )
    assert done.stdout == "a result\n"
    first, second = map(json.loads, done.stderr.splitlines())
    assert first.pop("timestamp").endswith("Z")
    assert first == {
        "event": "an epoch was completed", "level": "info", "logger": "qstore_ray.train",
        "loss": 0.5, "run": "digits", "worker": 3,
    }  # fmt: skip
    assert (second["event"], second["level"]) == ("a file is empty", "warning")
    assert (second["logger"], second["run"]) == ("qstore_ray.data", "digits")


def test_a_terminal_gets_lines_for_people():
    ours, theirs = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "FORCE_COLOR"}}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        stderr=theirs,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**environment, "TERM": "xterm"},
    )
    os.close(theirs)
    said = b""
    try:
        while chunk := os.read(ours, 65536):
            said += chunk
    except OSError:  # Linux says so when the other side of a pseudo-terminal is closed
        pass
    os.close(ours)
    text = said.decode()
    assert done.stdout == "a result\n"
    assert "\x1b[" in text
    assert "an epoch was completed" in text
    assert "a file is empty" in text
    assert text.count("digits") == 2
    assert not text.lstrip().startswith("{")


def test_the_format_can_be_chosen(capsys):
    configure_logging(json=False)
    get_logger().warning("said", step=3)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "said" in captured.err
    with pytest.raises(json.JSONDecodeError):
        json.loads(captured.err)


def test_it_is_quiet_by_default_and_a_later_call_replaces_the_first(capsys):
    log = get_logger("qstore_ray.module")
    configure_logging(json=True)
    log.info("unheard")
    logging.getLogger("qstore_ray.other").info("unheard")
    log.warning("heard")
    assert [line["event"] for line in _lines(capsys)] == ["heard"]
    configure_logging(json=True, level="debug")
    log.debug("heard once")
    assert [line["event"] for line in _lines(capsys)] == ["heard once"]


def test_what_is_bound_is_on_the_lines_of_the_block_alone(capsys):
    configure_logging(json=True)
    log = get_logger()
    with logged_as(run="r", trial="t1"):
        with logged_as(worker=0, epoch=7):
            log.warning("inside")
        log.warning("between")
    log.warning("outside")
    inside, between, outside = _lines(capsys)
    bound = {"run", "trial", "worker", "epoch"}
    assert {k: v for k, v in inside.items() if k in bound} == {
        "run": "r", "trial": "t1", "worker": 0, "epoch": 7
    }  # fmt: skip
    assert {k: v for k, v in between.items() if k in bound} == {"run": "r", "trial": "t1"}
    assert not bound & set(outside)


def test_extra_fields_and_arguments_of_both_ways_are_kept(capsys):
    configure_logging(json=True)
    logging.getLogger("qstore_ray.x").warning("%d rows", 3, extra={"path": Path("/data")})
    get_logger("qstore_ray.x").warning("%d rows", 4, many=[1, (2.5, None)])
    first, second = _lines(capsys)
    assert (first["event"], first["path"]) == ("3 rows", "/data")
    assert (second["event"], second["many"]) == ("4 rows", [1, [2.5, None]])


def test_other_loggers_are_left_alone():
    other, root = logging.getLogger("another"), logging.getLogger()
    before = (other.handlers[:], other.level, root.handlers[:], root.level)
    configure_logging()
    assert (other.handlers[:], other.level, root.handlers[:], root.level) == before


class Talkative:
    def __str__(self) -> str:
        return f"token={PLANTED}"


@pytest.mark.parametrize("as_json", [True, False], ids=["json", "console"])
@pytest.mark.parametrize(
    "fields",
    [
        {"token": PLANTED},
        {"settings": {"ibm": [{"apiKey": PLANTED}]}},
        {"value": SecretStr(PLANTED)},
        {"url": f"https://me:{PLANTED}@host/x"},
        {"why": f"refused: password={PLANTED}, try again"},
        {"header": {"Authorization": f"Bearer {PLANTED}"}},
        {"told": Talkative()},
        {"plain": f"it is {PLANTED} indeed"},
    ],
    ids=["key", "nested", "pydantic", "url", "sentence", "header", "object", "known value"],
)
def test_a_planted_secret_is_in_no_line(fields, as_json: bool, capsys, monkeypatch):
    if "plain" in fields:
        monkeypatch.setenv("SOME_API_KEY", PLANTED)
    configure_logging(json=as_json)
    get_logger().warning("a line", **fields)
    logging.getLogger("qstore_ray.x").warning("a line", extra=dict(fields))
    captured = capsys.readouterr()
    assert captured.err.count("a line") == 2
    assert "***" in captured.err
    assert PLANTED not in captured.err


@pytest.mark.parametrize("as_json", [True, False], ids=["json", "console"])
def test_a_planted_secret_is_in_no_traceback(as_json: bool, capsys):
    configure_logging(json=as_json, secrets=[PLANTED])

    def connect(token: str) -> None:
        raise ConnectionError(f"the server refused {token}")

    def open_service(token: str) -> None:
        try:
            connect(token)
        except ConnectionError as exc:
            raise RuntimeError(f"no service with token: {token}") from exc

    for log in (get_logger(), logging.getLogger("qstore_ray.x")):
        try:
            open_service(PLANTED)
        except RuntimeError:
            log.exception("it failed")
    captured = capsys.readouterr()
    assert captured.err.count("Traceback") == 4
    assert "the server refused ***" in captured.err
    assert PLANTED not in captured.err
    if as_json:
        assert len([json.loads(line) for line in captured.err.splitlines()]) == 2


def test_a_short_value_of_the_environment_hides_no_other_text(capsys, monkeypatch):
    monkeypatch.setenv("SOME_TOKEN", "on")
    configure_logging(json=True)
    get_logger().warning("one of many goes on")
    assert _lines(capsys)[0]["event"] == "one of many goes on"


def test_a_level_that_is_none_is_refused():
    with pytest.raises(ConfigError) as caught:
        configure_logging(level="loud")
    assert (caught.value.field, caught.value.value) == ("level", "loud")
    assert "warning" in caught.value.fix


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("token=abc123 was refused", "token=*** was refused"),
        ('{"api_key": "abc", "rows": 3}', '{"api_key": "***", "rows": 3}'),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("max_tokens=5, tokenizer: words", "max_tokens=5, tokenizer: words"),
        ("the secret of success", "the secret of success"),
    ],
)
def test_sentences_lose_what_looks_like_a_secret(text: str, shown: str):
    assert redact_message(text) == shown
