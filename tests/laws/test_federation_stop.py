"""A federation that is asked to stop: at once, nothing is half committed, it resumes to the bit."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from qstore_ray.cli.app import main
from qstore_ray.errors import InterruptedRunError
from qstore_ray.federated.client import LocalClient
from qstore_ray.federated.config import FederationConfig
from qstore_ray.federated.rows import ClientRows
from qstore_ray.federated.trainer import FederatedTrainer
from qstore_ray.learn.config import ModelConfig
from qstore_ray.track.config import TrackConfig
from qstore_ray.track.jsonl import read_records
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.loop.stepper import Stepper
from qstore_ray.train.ray.interrupt import stop_all
from qstore_ray.train.run.checkpoint import latest_checkpoint
from tests.unit.federated.test_job import JOB

KINDS = {
    "plain": {"local_state": "kept"},
    "secure": {"secure_sum": True, "strategy_options": {"weights": "uniform"}},
    "private": {"strategy_options": {"weights": "uniform"},
                "privacy": {"noise_multiplier": 1.0, "delta": 1e-3, "clip": 0.5, "noise": "seeded",
                            "sampling": "shuffle"}},
}  # fmt: skip


def _fit(storage, existing="error", display=None, **federation):
    clients = {}
    for number in range(3):
        x = np.random.default_rng(number).normal(size=(24, 2))
        clients[f"c{number}"] = ClientRows(x, (x[:, 0] > 0).astype(int), ("no", "yes"))
    found = FederatedTrainer(
        ModelConfig(n_qubits=2, layers=1), TrainerConfig(batch_size=8, schedule="constant"),
        FederationConfig(**{"rounds": 3, **federation}), storage=storage, display=display,
        track=TrackConfig(mlflow=False, figures=False),
    )  # fmt: skip
    return found.fit(clients, existing=existing)


def _bits(result) -> dict[str, bytes]:
    saved, problems = latest_checkpoint(result.run_dir / "checkpoints")
    assert problems == []
    return {name: array.tobytes() for name, array in saved.arrays.items()}


class _Asks:
    """Asks for a stop before the n-th step of the run."""

    def __init__(self, monkeypatch, number: int) -> None:
        self.steps = 0
        sound = Stepper.step

        def step(own, state, rows):
            self.steps += 1
            if self.steps == number:
                stop_all("the job was stopped")
            return sound(own, state, rows)

        monkeypatch.setattr(Stepper, "step", step)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [1, 3, 5, 9, 10, 17])
def test_a_stop_ends_the_round_before_the_next_step_and_is_resumed(
    tmp_path, monkeypatch, kind, number
):
    """A round has nine steps: three clients of three batches."""
    whole = _fit(tmp_path / "whole", **KINDS[kind])
    with monkeypatch.context() as patch:
        asks = _Asks(patch, number)
        with pytest.raises(InterruptedRunError, match="the job was stopped") as caught:
            _fit(tmp_path / "b", **KINDS[kind])
        assert asks.steps == number
    assert "existing='resume'" in caught.value.fix
    run = tmp_path / "b" / "federation"
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
    records = read_records(run / "metrics.jsonl")
    done = (number - 1) // 9
    assert [r["round"] for r in records if r["event"] == "round"] == list(range(done))
    assert records[-1] == {"event": "end", "status": "interrupted", "reason": "the job was stopped"}
    assert len(read_records(run / "rounds.jsonl")) == done
    assert _bits(_fit(tmp_path / "b", existing="resume", **KINDS[kind])) == _bits(whole)


@pytest.mark.parametrize("message", ["keys", "masked", "unmask"])
def test_a_stop_between_the_messages_of_a_secure_sum_gives_the_round_up(
    tmp_path, monkeypatch, message
):
    from qstore_ray.federated.hosts.member import RoundMember

    whole = _fit(tmp_path / "whole", **KINDS["secure"])
    sound = RoundMember.ask

    def ask(own, asked, arguments):
        if asked == message:
            stop_all()
        return sound(own, asked, arguments)

    with monkeypatch.context() as patch:
        patch.setattr(RoundMember, "ask", ask)
        with pytest.raises(InterruptedRunError):
            _fit(tmp_path / "b", **KINDS["secure"])
    assert read_records(tmp_path / "b" / "federation" / "rounds.jsonl") == []
    found = _fit(tmp_path / "b", existing="resume", **KINDS["secure"])
    assert _bits(found) == _bits(whole)


def test_a_stop_after_the_last_round_changes_nothing(tmp_path, monkeypatch):
    from qstore_ray.federated.rounds import FederationRounds

    sound = FederationRounds._commit

    def commit(own, state):
        sound(own, state)
        if state.round == 3:
            stop_all()

    monkeypatch.setattr(FederationRounds, "_commit", commit)
    private = {"privacy": {"noise_multiplier": 1.0, "delta": 1e-3, "clip": 0.5}}
    assert len(_fit(tmp_path, **private).history) == 3


class _Display:
    """Remembers what it is shown."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, int]] = []
        self.records: list[dict] = []
        self.closed = threading.Event()

    def answered(self, count, asked):
        self.answers.append((count, asked))

    def start(self, record):
        self.records.append(record)

    epoch = end = step = start

    def close(self):
        self.closed.set()


def test_a_display_sees_rounds_and_the_answers_within_them(tmp_path):
    display = _Display()
    _fit(tmp_path, display=display)
    assert display.answers == [(count, 3) for _ in range(3) for count in range(4)]
    assert [r["event"] for r in display.records] == ["start", "epoch", "epoch", "epoch", "end"]
    start, *epochs, end = display.records
    assert (start["clients"], start["epochs"]) == (3, 3)
    seconds = [record["seconds"] for record in (*epochs, end)]
    assert seconds == sorted(seconds)  # since the attempt began
    assert display.closed.is_set()


def test_a_display_that_shows_no_answers_is_fed_with_rounds(tmp_path):
    class Plain:
        def __init__(self):
            self.rounds = 0

        def epoch(self, record):
            self.rounds += 1

        start = step = end = lambda self, record: None

        def close(self):
            pass

    display = Plain()
    _fit(tmp_path, display=display)
    assert display.rounds == 3


def test_ctrl_c_in_a_round_ends_the_command_with_5_and_resume_finishes_it(
    tmp_path, repository, capsys
):
    """A process of its own, with a round that takes an hour."""
    path = tmp_path / "f.toml"
    path.write_text(JOB.format(storage=tmp_path / "runs"))
    long = ["--set", "federation.local_epochs=200000", "--set", "federation.rounds=2"]
    command = [sys.executable, "-m", "qstore_ray", "federate", str(path), "--json", *long]
    process = subprocess.Popen(
        command, cwd=repository, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    run = tmp_path / "runs" / "f"
    started = run / "metrics.jsonl"
    while not (started.exists() and '"start"' in started.read_text()):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 5, err
    assert "--resume" in json.loads(out)["fix"]
    assert "training 2 rounds" in err
    assert "interrupted after 0 of 2 rounds" in err
    assert "Traceback" not in err
    assert list((run / "checkpoints").glob("*/manifest.json")) == []
    short = ["--set", "federation.local_epochs=1", "--set", "federation.rounds=2"]
    assert main(["federate", str(path), "--resume", "--json", *short]) == 2  # another recipe
    capsys.readouterr()


def test_a_client_alone_stops_by_an_event_too():
    stop = threading.Event()
    stop.set()
    trainer = TrainerConfig(batch_size=8)
    x = np.random.default_rng(0).normal(size=(16, 2))
    rows = ClientRows(x, (x[:, 0] > 0).astype(int), ("no", "yes"))
    from qstore_ray.federated.strategies.base import LocalRule, RoundTask
    from qstore_ray.learn.model import build_model

    model = build_model(ModelConfig(n_qubits=2, layers=1), n_features=2, n_classes=2)
    client = LocalClient(
        "a", model, trainer, FederationConfig(), rows, trainer.open_backend(), stop
    )
    with pytest.raises(KeyboardInterrupt):
        client.train(RoundTask(0, model.initial(0), LocalRule()), {})
