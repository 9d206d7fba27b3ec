"""The prediction server: the answers of `qstore predict`, typed errors, limits, its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from fastapi.testclient import TestClient
from pydantic import SecretStr

from qstore_ray.cli.app import main
from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import ConfigError
from qstore_ray.learn.config import ModelConfig
from qstore_ray.serve.app import create_app
from qstore_ray.serve.settings import ServingSettings
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.model.trained import TrainedModel
from qstore_ray.train.trainer import QuantumTrainer
from tests.guides import blocks_of

NAMES = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
ROWS = [
    [5.1, 3.5, 1.4, 0.2],
    [5.9, 3.0, 5.1, 1.8],
    [6.1, 2.9, 4.7, 1.4],
    [0.1 + 0.2, 3.0, 5.0, 2.0],
]
TOKEN = "a-token-of-a-test"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of iris."""
    folder = tmp_path_factory.mktemp("runs")
    data = DatasetLoader.load(DatasetConfig(name="iris", params={"dataset": "iris"}))
    config = TrainerConfig(epochs=1, seed=1, num_workers=0, backend_options={"threads": 1})
    result = QuantumTrainer(
        ModelConfig(n_qubits=4, layers=1), config, name="iris", storage=folder,
        track=TrackConfig(mlflow=False, figures=False),
    ).fit(data)  # fmt: skip
    result.model.save(folder / "model.qsm")
    return result.run_dir


@pytest.fixture(scope="module")
def client(run: Path) -> TestClient:
    settings = ServingSettings(max_rows=10, max_body_bytes=5_000)
    app = create_app(TrainedModel.load(run), settings)
    return TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)


def said_by_predict(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> list[Any]:
    """Label and chances of each row, as the command line has them."""
    file = tmp_path / "rows.csv"
    lines = [",".join(NAMES), *(",".join(map(repr, row)) for row in ROWS)]
    file.write_text("\n".join(lines) + "\n")
    assert main(["predict", str(run), str(file), "--proba", "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    return [list(json.loads(line).values()) for line in lines]


def test_every_format_has_the_bits_of_the_command(
    client: TestClient, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = said_by_predict(run, tmp_path, capsys)
    turned = [NAMES[::-1], [row[::-1] for row in ROWS]]
    bodies: list[dict[str, Any]] = [
        {"instances": ROWS},
        {"dataframe_records": [dict(zip(NAMES, row, strict=True)) for row in ROWS]},
        {"dataframe_split": dict(zip(("columns", "data"), turned, strict=True))},
    ]
    for body in bodies:
        answer = client.post("/invocations", json={**body, "params": {"proba": True}})
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert found["classes"] == [0, 1, 2]
        pairs = zip(found["predictions"], found["probabilities"], strict=True)
        assert [[label, *chances] for label, chances in pairs] == expected
        one = client.post("/invocations", json={"instances": ROWS[1:2]})
        assert one.json() == {"predictions": [expected[1][0]]}


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"{", 422, "body"),
        (b"[1]", 422, "body"),
        (b"[" * 4000, 422, "body"),
        (b'{"instances": [[NaN, 1, 2, 3]]}', 422, "body"),
        (b'{"rows": []}', 422, "body"),
        (b'{"instances": [], "dataframe_records": []}', 422, "body"),
        (b'{"instances": []}', 422, "instances"),
        (b'{"instances": 5}', 422, "instances"),
        (b'{"instances": [[1, 2, 3]]}', 422, None),
        (b'{"instances": [[1, 2, 3, "x"]]}', 422, None),
        (b'{"instances": [[1, 2, 3], [1, 2, 3, 4]]}', 422, None),
        (b'{"dataframe_records": [[1]]}', 422, "dataframe_records"),
        (b'{"dataframe_split": 5}', 422, "dataframe_split"),
        (b'{"dataframe_split": {"columns": ["a"]}}', 422, "dataframe_split"),
        (b'{"dataframe_records": [{"a": 1}]}', 422, None),
        (b'{"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}', 422, "dataframe_split"),
        (b'{"dataframe_split": {"columns": ["a", "a"], "data": []}}', 422, "dataframe_split"),
        (b'{"dataframe_split": {"columns": [], "data": [[]]}}', 422, None),
        (b'{"instances": [[1, 2, 3, 4]], "params": {"p": 1}}', 422, "params"),
        (b'{"instances": [[1, 2, 3, 4]], "params": {"proba": 1}}', 422, "params.proba"),
        (b'{"instances": %s}' % json.dumps([[1, 2, 3, 4]] * 11).encode(), 422, "instances"),
        (b'{"instances": [[1e400, 2, 3, 4]]}', 422, None),
        (b" " * 5_001, 413, None),
    ],
)  # fmt: skip
def test_a_wrong_request_is_a_typed_error(
    client: TestClient, body: bytes, status: int, field: str | None
) -> None:
    answer = client.post("/invocations", content=body)
    assert answer.status_code == status, answer.text
    detail = answer.json()["detail"]
    assert detail["message"]
    assert detail["fix"], detail
    if field is not None:
        assert detail["field"] == field
    assert client.post("/invocations", json={"instances": ROWS}).status_code == 200


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/invocations", 405), ("POST", "/model", 405), ("GET", "/elsewhere", 404),
])  # fmt: skip
def test_a_wrong_address_says_where_the_right_ones_are(
    client: TestClient, method: str, path: str, status: int
) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    assert "/docs" in answer.json()["detail"]["fix"]
    assert client.get("/docs").status_code == 200


@pytest.mark.parametrize("name", ["max_rows", "max_body_bytes", "max_waiting"])
def test_a_limit_below_one_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="1 or more") as caught:
        ServingSettings(**{name: 0})
    assert (caught.value.field, caught.value.value) == (name, 0)


def test_what_it_counts(run: Path) -> None:
    app = create_app(TrainedModel.load(run), ServingSettings())
    client = TestClient(app, base_url="http://127.0.0.1")
    client.post("/invocations", json={"instances": ROWS})
    client.post("/invocations", content=b"{")
    lines = client.get("/metrics").text.splitlines()
    assert 'qstore_serve_requests_total{status="200"} 1' in lines
    assert 'qstore_serve_requests_total{status="422"} 1' in lines
    assert "qstore_serve_rows_total 4" in lines
    assert "qstore_serve_seconds_count 2" in lines
    assert 'qstore_serve_seconds_bucket{le="+Inf"} 2' in lines
    assert client.get("/model").json()["features"] == NAMES
    assert client.get("/health").json() == {"status": "ok"}


def test_too_many_that_wait_are_sent_away(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = create_app(TrainedModel.load(run), ServingSettings(max_waiting=1))
    monkeypatch.setattr("qstore_ray.serve.app.Predictor._waiting", 1, raising=False)
    client = TestClient(app, base_url="http://127.0.0.1")
    (route,) = [each for each in app.routes if getattr(each, "path", "") == "/invocations"]
    route.endpoint.__self__._waiting = 1  # type: ignore[attr-defined]
    answer = client.post("/invocations", json={"instances": ROWS})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


def test_the_token_opens_all_but_health(run: Path) -> None:
    app = create_app(TrainedModel.load(run), ServingSettings(token=SecretStr(TOKEN)))
    client = TestClient(app, base_url="http://somewhere", raise_server_exceptions=False)
    assert client.get("/health").status_code == 200
    for path in ("/model", "/metrics"):
        assert client.get(path).status_code == 401
    body = {"instances": ROWS}
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"X-API-Key": TOKEN}):
        answer = client.post("/invocations", json=body, headers=headers)
        assert answer.status_code == 401
        assert "Authorization: Bearer" in answer.json()["detail"]["fix"]
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert client.post("/invocations", json=body, headers=headers).status_code == 200


def test_without_a_token_it_is_for_this_machine_alone(
    client: TestClient, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert client.get("/model", headers={"Host": "evil.example"}).status_code == 400
    assert main(["serve", str(run), "--host", "0.0.0.0"]) == 2
    assert "QSTORE_SERVE_TOKEN" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="can be guessed"):
        ServingSettings(token=SecretStr("short"))
    assert main(["serve", "nothing-here"]) == 2


@contextmanager
def served(model: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`qstore serve` in a process of its own, at a free port."""
    command = [sys.executable, "-m", "qstore_ray", "serve", str(model), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ})
    try:
        assert process.stderr is not None
        line = next(line for line in process.stderr if "is served at" in line)
        yield line.split(" at ")[1].split("/invocations")[0], process
    finally:
        process.kill()
        process.wait()


def test_the_commands_of_the_guide_run_and_sigterm_ends_it(run: Path) -> None:
    lines = "\n".join(blocks_of("serving.md", "console")).splitlines()
    asked = [line.removeprefix("$ ") for line in lines if line.startswith("$ curl")]
    assert len(asked) == 5
    with served(run.parent / "model.qsm") as (url, process):
        answers = [
            subprocess.run(
                ["bash", "-c", line.replace("http://127.0.0.1:8322", url)],
                capture_output=True, text=True, check=True, timeout=60,
            ).stdout
            for line in asked
        ]  # fmt: skip
        assert set(json.loads(answers[0])) == {"predictions", "probabilities", "classes"}
        assert len(json.loads(answers[1])["predictions"]) == 2
        assert json.loads(answers[2])["features"] == NAMES
        assert json.loads(answers[3]) == {"status": "ok"}
        assert 'status="200"} 2' in answers[4]
        session = requests.Session()
        times = []
        for _ in range(20):
            began = time.perf_counter()
            session.get(f"{url}/health").raise_for_status()
            times.append(time.perf_counter() - began)
        assert min(times) < 0.03, "no answer waits for the acknowledgement of its first packet"
        assert session.post(f"{url}/invocations", json={"instances": ROWS}).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
