"""A declared chain of backends: the next one continues from the last whole step, and is recorded.

The first backend is the exact simulator that fails at a chosen evaluation.
"""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from qstore_ray import ModelConfig, QuantumTrainer, TrackConfig, TrainerConfig
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.cli.app import main
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import (
    BudgetReachedError,
    CircuitError,
    ConfigError,
    FailedJobError,
    InterruptedRunError,
    QStoreError,
    RefusedError,
    ResourceError,
    RunExistsError,
    ServiceError,
    TransientError,
)
from qstore_ray.train.callbacks import Callback
from qstore_ray.train.callbacks.early_stopping import EarlyStopping
from qstore_ray.train.job import Assignment
from qstore_ray.train.loop import loop
from qstore_ray.train.loop.reporter import LocalReporter
from qstore_ray.train.request import RunRequest
from qstore_ray.train.run.chain import place_of_run
from qstore_ray.train.run.checkpoint import latest_checkpoint
from qstore_ray.train.run.summary import summarize
from tests.laws.test_training import BarrierReducer

X = np.random.default_rng(0).normal(size=(40, 2))
DATA = DatasetLoader.from_arrays(X, (X[:, 0] > 0).astype(int))
STREAMED = DatasetLoader.from_arrays(X, (X[:, 0] > 0).astype(int), stream=True, rows_per_task=7)
SILENT = ServiceError("IBM's service has not answered for 3 s")
SHOTS = {"backend": "statevector", "backend_options": {"shots": 16}}
EVALUATIONS = 10  # of the whole training: 8 steps and 2 validations


class Failing:
    """The exact simulator, with values alone, until `left` evaluations are done."""

    name = "failing"

    def __init__(self, left: int, error: QStoreError = SILENT) -> None:
        self.left, self.error = left, error

    def check(self, template, observables, bindings) -> None:
        pass

    def evaluate(self, template, observables, bindings, *, shots=None, key=None):
        if self.left == 0:
            raise self.error
        self.left -= 1
        return StatevectorBackend().evaluate(template, observables, bindings)


def trainer(
    storage: Path,
    backend: Failing | None,
    callbacks: tuple[Callback, ...] = (),
    *,
    figures: bool = False,
    **options: object,
) -> QuantumTrainer:
    config = {"epochs": 2, "batch_size": 8, "gradient": "spsa", "fallback": [SHOTS]}
    return QuantumTrainer(
        ModelConfig(n_qubits=2, layers=1),
        TrainerConfig(**{**config, **options}),
        name="run",
        storage=storage,
        track=TrackConfig(mlflow=False, figures=figures),
        backend=backend,
        callbacks=callbacks,
    )


def steps_of(storage: Path):
    saved, _ = latest_checkpoint(storage / "run" / "checkpoints")
    return saved.manifest.get("fallbacks", [])


@pytest.mark.parametrize("left", [0, 3, 4, 6, 9])
@pytest.mark.parametrize("data", [DATA, STREAMED], ids=["held", "streamed"])
def test_it_ends_as_a_run_that_was_resumed_by_hand_with_the_other_backend(
    tmp_path, left, data, monkeypatch
):
    """In the first step, in a step, in both validations; callbacks keep their state."""
    monkeypatch.setattr("qstore_ray.train.loop.streamed.rows_of_a_window", lambda _: 12)
    stopping = (EarlyStopping(patience=1),)
    result = trainer(tmp_path / "chain", Failing(left), stopping).fit(data)
    (step,) = result.fallbacks
    stopped = BudgetReachedError("stop", fix="")
    by_hand = tmp_path / "hand"
    with pytest.raises(InterruptedRunError):
        trainer(by_hand, Failing(left, stopped), stopping, fallback=[]).fit(data)
    saved, _ = latest_checkpoint(by_hand / "run" / "checkpoints")
    assert saved.manifest["step"] == step["step"]
    other = trainer(by_hand, None, stopping, backend_options={"shots": 16}, fallback=[])
    resumed = other.run(data, RunRequest(existing="resume", changed=True))
    np.testing.assert_array_equal(result.model.theta, resumed.model.theta)
    drop = ("train_seconds", "samples_per_second", "fallbacks")
    mine, hand = (
        {k: v for k, v in each.metrics.items() if k not in drop} for each in (result, resumed)
    )
    assert mine == hand


def test_each_step_is_recorded_everywhere(tmp_path, capsys):
    result = trainer(tmp_path, Failing(6), figures=True).fit(DATA)
    (step,) = result.fallbacks
    assert (step["epoch"], step["step"]) == (1, 5)
    assert (step["from"], step["to"]) == ("failing", "statevector (16 shots)")
    assert step["kind"] == "service"
    assert step["why"] == "IBM's service has not answered for 3 s"
    assert steps_of(tmp_path) == [step]
    assert result.metrics["fallbacks"] == 1
    assert [record.get("fallbacks", 0) for record in result.history] == [0, 1]
    folder = tmp_path / "run"
    assert json.loads((folder / "run.json").read_text())["fallbacks"] == [step]
    assert summarize(folder).fallbacks == [step]
    said = "statevector (16 shots) instead of failing, since IBM"
    assert f"warning: after 5 steps, 1 whole epoch: {said}" in capsys.readouterr().err
    page = (folder / "report.html").read_text()
    assert "fell back" in page
    assert "statevector (16 shots) instead of failing" in page
    known = result.model.known_origin().trainer
    assert known["backend_options"] == {"shots": 16}
    assert said in known["fallbacks"][0], "the model card has it from here"
    told = json.loads((folder / "tracking.json").read_text())["outcome"]["summary"]
    assert said in told["fallback"]
    assert told["fallbacks"] == 1
    assert main(["runs", "list", "--storage", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"][0]["fallbacks"] == [step]
    assert main(["runs", "show", "run", "--storage", str(tmp_path)]) == 0
    assert f"after 5 steps, 1 whole epoch: {said}" in " ".join(capsys.readouterr().out.split())


def test_a_model_whose_checkpoint_is_gone_knows_its_run(tmp_path):
    result = trainer(tmp_path, Failing(6)).fit(DATA)
    shutil.rmtree(result.checkpoint)
    assert result.model.known_origin().run == "run"


def test_a_run_that_does_not_fail_says_so(tmp_path):
    result = trainer(tmp_path, Failing(10**6)).fit(DATA)
    assert result.fallbacks == ()
    assert result.metrics["fallbacks"] == 0


def test_the_scores_are_those_of_one_backend(tmp_path):
    """The backend fails when the test rows are scored, after those of val."""
    whole = trainer(tmp_path / "whole", Failing(10**6)).fit(DATA)
    used = 10**6 - whole.model.backend.left
    result = trainer(tmp_path / "late", Failing(used - 1)).fit(DATA)
    np.testing.assert_array_equal(result.model.theta, whole.model.theta)
    (step,) = result.fallbacks
    assert (step["epoch"], step["step"]) == (2, 8)
    assert steps_of(tmp_path / "late") == [step]
    assert result.model.backend.name == "statevector"
    seen = result.model.evaluation(DATA, "test").scores.values
    assert seen["loss"] == result.metrics["test_loss"]
    assert (tmp_path / "late" / "run" / "metrics.jsonl").read_text().count('"recipe"') == 1


@pytest.mark.parametrize(
    "error",
    [
        ConfigError("the service does not accept the API key", field="backend_options.account"),
        RefusedError("the service refuses the job"),
        ResourceError("the device has too few qubits"),
        CircuitError("the device lacks an instruction"),
    ],
    ids=["key", "refused", "width", "circuit"],
)
def test_a_fault_of_the_job_ends_the_run(tmp_path, error):
    with pytest.raises(type(error)):
        trainer(tmp_path, Failing(3, error)).fit(DATA)
    assert summarize(tmp_path / "run").fallbacks == []


@pytest.mark.parametrize("error", [SILENT, TransientError("503"), FailedJobError("3 times")])
def test_without_a_chain_a_failure_ends_the_run_as_before(tmp_path, error):
    with pytest.raises(type(error)):
        trainer(tmp_path, Failing(3, error), fallback=[]).fit(DATA)
    assert summarize(tmp_path / "run").status == "failed"
    saved, _ = latest_checkpoint(tmp_path / "run" / "checkpoints")
    assert saved.manifest["step"] == 3, "the last whole step can be resumed from"


def test_a_budget_ends_the_run_unless_a_backend_takes_over_from_it(tmp_path):
    reached = BudgetReachedError("the run may use 9 seconds")
    with pytest.raises(InterruptedRunError):
        trainer(tmp_path, Failing(3, reached)).fit(DATA)
    chain = [SHOTS, {"backend": "statevector", "when": ["budget"]}]
    assert TrainerConfig.from_dict(TrainerConfig(fallback=chain).to_dict()).fallback[1].when == (
        "budget",
    )
    result = trainer(tmp_path, Failing(1, reached), fallback=chain).fit(DATA, existing="resume")
    (step,) = result.fallbacks
    assert (step["member"], step["kind"], step["to"]) == (2, "budget", "statevector")


class ResumesAt(Callback):
    """Ends the process's run when so many steps are done."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_batch_end(self, run, batch) -> None:
        if run.state.step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("where", ["checkpoint", "metrics"])
def test_killed_between_the_failure_and_its_record_it_ends_the_same(tmp_path, monkeypatch, where):
    """Before the checkpoint says so, and between the checkpoint and the metrics."""
    whole = trainer(tmp_path / "whole", Failing(6)).fit(DATA)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        if where == "checkpoint":
            patched.setattr(loop._Loop, "fall_back", killed)
        else:
            patched.setattr("qstore_ray.train.run.recorder.record_missing", killed)
            patched.setattr(loop.Recorder, "start", _start_if_new(loop.Recorder.start))
        with pytest.raises(InterruptedRunError):
            trainer(tmp_path / "killed", Failing(6)).fit(DATA)
    left = 0 if where == "metrics" else 1  # the first step after the checkpoint is repeated
    again = trainer(tmp_path / "killed", Failing(left)).fit(DATA, existing="resume")
    np.testing.assert_array_equal(again.model.theta, whole.model.theta)
    assert [s["step"] for s in again.fallbacks] == [s["step"] for s in whole.fallbacks]
    assert list(summarize(tmp_path / "killed" / "run").fallbacks) == list(again.fallbacks)


def _start_if_new(start):
    """The first attempt begins as ever; the one after the failure is killed in `record_missing`."""

    def begins(self, state, problems, **facts):
        if not state.step:
            self._metrics.append({"event": "start", "epochs": 2, "resumed_from_step": 0, **facts})
        else:
            start(self, state, problems, **facts)

    return begins


def test_a_resumed_run_stays_on_its_backend_unless_told_otherwise(tmp_path):
    whole = trainer(tmp_path / "whole", Failing(6)).fit(DATA)
    with pytest.raises(InterruptedRunError):
        trainer(tmp_path / "last", Failing(6), (ResumesAt(7),)).fit(DATA)
    backend = Failing(10**6)
    stayed = trainer(tmp_path / "last", backend).fit(DATA, existing="resume")
    assert backend.left == 10**6
    np.testing.assert_array_equal(stayed.model.theta, whole.model.theta)

    with pytest.raises(InterruptedRunError):
        trainer(tmp_path / "first", Failing(6), (ResumesAt(7),)).fit(DATA)
    back = trainer(tmp_path / "first", backend, resume_backend="first")
    result = back.fit(DATA, existing="resume")
    assert backend.left < 10**6
    assert [(s["kind"], s["member"]) for s in result.fallbacks] == [("service", 1), ("resume", 0)]
    assert result.fallbacks[1]["step"] == 5
    assert steps_of(tmp_path / "first") == list(result.fallbacks)
    assert summarize(tmp_path / "first" / "run").fallbacks == list(result.fallbacks)


def test_a_return_to_the_first_backend_outlives_a_kill(tmp_path):
    """It is killed in the first step after the return, before a checkpoint is due."""
    with pytest.raises(InterruptedRunError):
        trainer(tmp_path, Failing(6), (ResumesAt(7),)).fit(DATA)
    again = trainer(tmp_path, Failing(10**6), (ResumesAt(6),), resume_backend="first")
    with pytest.raises(InterruptedRunError):
        again.fit(DATA, existing="resume")
    result = trainer(tmp_path, Failing(10**6)).fit(DATA, existing="resume")
    assert [s["member"] for s in result.fallbacks] == [1, 0]
    assert result.model.backend.name == "failing"
    assert summarize(tmp_path / "run").fallbacks == list(result.fallbacks)


def test_a_chain_may_be_added_but_not_changed_where_it_was_used(tmp_path):
    with pytest.raises(ServiceError):
        trainer(tmp_path, Failing(6), fallback=[]).fit(DATA)
    with pytest.raises(InterruptedRunError):
        trainer(tmp_path, Failing(0), (ResumesAt(7),)).fit(DATA, existing="resume")
    changed = {**SHOTS, "backend_options": {"shots": 17}}
    for fallback in ([], [changed]):
        with pytest.raises(RunExistsError, match="has fallen back to statevector") as caught:
            trainer(tmp_path, Failing(0), fallback=fallback).fit(DATA, existing="resume")
        assert caught.value.field == "trainer.fallback"
    longer = [{**SHOTS, "when": ["budget"]}, changed]
    assert trainer(tmp_path, Failing(0), fallback=longer).fit(DATA, existing="resume").fallbacks


@pytest.mark.parametrize(
    ("fallback", "options", "field"),
    [
        ({"backend": "statevecto"}, {}, "fallback.0.backend"),
        ({"backend": "statevector", "backend_options": {"shot": 1}}, {}, "backend_options"),
        ({"backend": "ibm"}, {}, "trainer.fallback.0.backend_options.device"),
        (SHOTS, {"gradient": "adjoint"}, "trainer.gradient"),
        (SHOTS, {"optimizer": "qng"}, "trainer.fallback.0.backend"),
        (
            {"backend": "ibm", "backend_options": {"device": "fake_manila"}},
            {"optimizer": "qng"},
            "trainer.fallback.0.backend",
        ),
        (
            {
                "backend": "statevector",
                "noise": {"gates": [{"channel": {"name": "amplitude_damping", "gamma": 0.1}}]},
            },
            {"gradient": "spsa"},
            "trainer.fallback.0.noise.twirl",
        ),
    ],
    ids=["name", "option", "device", "gradient", "metric", "metric on hardware", "noise"],
)
def test_a_backend_that_cannot_take_over_is_refused_before_the_run(
    tmp_path, fallback, options, field
):
    with pytest.raises(QStoreError) as caught:
        trainer(tmp_path, None, **{"gradient": "auto", **options}, fallback=[fallback]).fit(DATA)
    assert field in caught.value.field
    assert not (tmp_path / "run").exists()


def test_every_optimizer_is_checked_without_a_step(tmp_path):
    from qstore_ray.learn.optimizers import OPTIMIZERS

    for name in OPTIMIZERS:
        chain = [{"backend": "statevector"}]
        options = {"optimizer": name, "gradient": "auto", "fallback": chain, "batch_size": 64}
        assert trainer(tmp_path / name, None, **options).fit(DATA).fallbacks == ()


def test_all_workers_change_together(tmp_path):
    """The backend fails in the second worker alone."""

    def train(folder: Path, workers: int, fails: int) -> np.ndarray:
        (folder / "run").mkdir(parents=True)
        slots: list[object] = [None] * workers
        barrier = threading.Barrier(workers)
        found: dict[int, np.ndarray] = {}

        def work(rank: int) -> None:
            config = trainer(folder, None, batch_size=32).trainer  # two blocks, of 16 rows
            model = trainer(folder, None).model
            job = Assignment(
                build(model), config, folder / "run", 1, {"model": {}, "fingerprints": {}}, {},
                backend=Failing(2 if rank == fails else 10**6),
            )  # fmt: skip
            reducer = BarrierReducer(rank, slots, barrier)
            found[rank] = loop.run(job, ROWS, reducer, LocalReporter()).theta

        threads = [threading.Thread(target=work, args=(rank,)) for rank in range(workers)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(20.0)
        for theta in found.values():
            np.testing.assert_array_equal(theta, found[0])
        assert len(found) == workers
        return found[0]

    train(tmp_path / "two", 2, fails=1)
    (step,) = steps_of(tmp_path / "two")
    assert (step["to"], step["why"]) == (
        "statevector (16 shots)", "the backend failed in another worker",
    )  # fmt: skip
    assert place_of_run(trainer(tmp_path, None).trainer, tmp_path / "two" / "run", None).member == 1


def build(config: ModelConfig):
    from qstore_ray.train.checks import model_for

    return model_for(config, DATA)


def rows():
    from qstore_ray.train.checks import checked

    return checked(ModelConfig(n_qubits=2, layers=1), TrainerConfig(batch_size=8), DATA).rows


ROWS = rows()


def test_the_command_line_evaluates_on_the_backend_that_trained_last(tmp_path, capsys):
    np.savez(tmp_path / "rows.npz", x=X, y=(X[:, 0] > 0).astype(int))
    from qstore_ray import DatasetConfig

    data = DatasetLoader.load(
        DatasetConfig(name="rows", source="local", params={"path": str(tmp_path / "rows.npz")})
    )
    trainer(tmp_path, Failing(6), fallback=[{"backend": "aer"}]).fit(data)
    capsys.readouterr()
    assert main(["evaluate", "run", "--storage", str(tmp_path), "--json"]) == 0
    seen = capsys.readouterr()
    assert json.loads(seen.out)["backend"] == "aer"
    assert (
        "note: the run fell back after 5 steps, 1 whole epoch: aer instead of failing" in seen.err
    )
