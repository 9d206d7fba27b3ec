"""A model is asked only if the user configured one and asks for it; no answer is trusted."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from qstore_ray.cli.app import main
from qstore_ray.errors import ConfigError, RefusedError, ResourceError, TransientError
from qstore_ray.review.flaw import Flaw
from qstore_ray.review.language_model import ReviewPrompt, ask_model
from qstore_ray.review.settings import ReviewModelConfig, read_settings

TOKEN = "k7Qp2ZtR9vLx4WmN"
LINES = {"a.py": {3: "x = f(1)", 4: f"token = '{TOKEN}'"}}
SECRET = Flaw(rule="QS115", level="error", path="a.py", line=4, end_line=4, message="", rewrite="")


class Endpoint(ThreadingHTTPServer):
    """A server on loopback in place of a model's."""

    daemon_threads = True

    def __init__(self, status: int, content: object) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.content = status, content
        self.asked: list[tuple[str, dict, str | None]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, body, self.headers.get("Authorization")))
        content = self.server.content
        text = content if isinstance(content, str) else json.dumps(content)
        answer = json.dumps({"choices": [{"message": {"content": text}}]}).encode()
        self.send_response(self.server.status)
        self.send_header("Location", "http://127.0.0.1:9/stolen")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def endpoint(request):
    status, content = getattr(request, "param", (200, {"remarks": []}))
    server = Endpoint(status, content)
    yield server
    server.shutdown()
    server.server_close()


def remark(**changes: object) -> dict:
    return {"path": "a.py", "line": 3, "message": "f is wrong", "rewrite": "call g"} | changes


MANY = {
    "remarks": [
        remark(),
        remark(line=99),
        remark(path="/etc/passwd"),
        remark(message="a\x1b[31m\nb"),
    ]
}


@pytest.mark.parametrize("endpoint", [(200, MANY), (200, f"```json\n{json.dumps(MANY)}\n```")],
                         indirect=True, ids=["plain", "fenced"])  # fmt: skip
def test_remarks_are_notes_on_lines_that_were_sent(endpoint, tmp_path):
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(0o600)
    model = ReviewModelConfig(url=endpoint.url, name="m", token_file=str(file))
    found = ask_model(model, ReviewPrompt(LINES, [SECRET]))
    assert [(flaw.level, flaw.line, flaw.message) for flaw in found] == [
        ("note", 3, "f is wrong"), ("note", 3, "a [31m b")
    ]  # fmt: skip
    ((path, body, login),) = endpoint.asked
    assert (path, login, body["model"]) == ("/v1/chat/completions", f"Bearer {TOKEN}", "m")
    assert body["messages"][1]["content"] == "# a.py\n3: x = f(1)\n4: ***"
    assert TOKEN not in json.dumps(body)


@pytest.mark.parametrize(
    ("endpoint", "error"),
    [((200, "no JSON"), RefusedError), ((200, {"remarks": 3}), RefusedError),
     ((200, {"remarks": [{"line": 1}]}), RefusedError), ((401, ""), RefusedError),
     ((302, ""), RefusedError), ((503, ""), TransientError)],
    indirect=["endpoint"],
    ids=["text", "no list", "no path", "401", "redirect", "503"],
)  # fmt: skip
def test_a_bad_answer_is_an_error(endpoint, error):
    with pytest.raises(error):
        ask_model(ReviewModelConfig(url=endpoint.url, name="m"), ReviewPrompt(LINES, []))
    assert len(endpoint.asked) == 1


def test_an_endpoint_that_is_not_there_is_an_error():
    model = ReviewModelConfig(url="http://127.0.0.1:9/v1", name="m")
    with pytest.raises(TransientError):
        ask_model(model, ReviewPrompt(LINES, []))


def test_more_than_the_limit_is_not_sent(endpoint):
    model = ReviewModelConfig(url=endpoint.url, name="m", max_characters=3)
    with pytest.raises(ResourceError):
        ask_model(model, ReviewPrompt(LINES, []))
    assert endpoint.asked == []


def test_a_token_that_others_can_read_is_not_sent(endpoint, tmp_path):
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(0o644)
    model = ReviewModelConfig(url=endpoint.url, name="m", token_file=str(file))
    with pytest.raises(ConfigError, match="others can read"):
        ask_model(model, ReviewPrompt(LINES, []))
    assert endpoint.asked == []


@pytest.mark.parametrize(
    "url", ["http://models.example.org/v1", "ftp://a", "https://u:p@a.org/v1", "x"]
)
def test_an_address_that_would_show_the_code_is_refused(url):
    with pytest.raises(ConfigError):
        ReviewModelConfig(url=url, name="m")


@pytest.fixture
def project(endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    """A project with a file, whose own settings name another server than the user's."""
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / "settings.toml").write_text(
        '[review.model]\nurl = "http://127.0.0.1:9"\nname = "x"\n'
    )
    user = tmp_path / "user" / "qstore"
    user.mkdir(parents=True)
    (user / "settings.toml").write_text(f'[review.model]\nurl = "{endpoint.url}"\nname = "m"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QSTORE_SETTINGS", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    return endpoint


QUICK = ["a.py", "--history-seconds", "0", "--max-paths", "0"]


def test_nothing_is_sent_unless_it_is_asked_for(project, capsys):
    assert main(["review", *QUICK]) == 0
    assert main(["review", *QUICK, "--show-request"]) == 0
    assert main(["review", *QUICK, "--show-request", "--ask-model"]) == 0
    assert project.asked == []
    captured = capsys.readouterr()
    assert f"1 lines of 1 files (15 characters) go to {project.url}, model m" in captured.err
    assert '"content": "# a.py\\n1: x = 1"' in captured.out
    assert main(["review", *QUICK, "--ask-model"]) == 0
    assert len(project.asked) == 1


def test_without_settings_there_is_no_model(project, monkeypatch, capsys):
    monkeypatch.setenv("QSTORE_SETTINGS", "nothing.toml")
    assert read_settings().model is None
    assert main(["review", *QUICK, "--ask-model"]) == 2
    assert "no language model is configured" in capsys.readouterr().err
    assert project.asked == []
