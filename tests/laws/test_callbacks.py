"""The laws of a callback, on every callback, and what the loop promises them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pytest

from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.errors import CallbackError, ConfigError, UnknownNameError
from qstore_ray.learn import step
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.gradients import get_gradient
from qstore_ray.learn.model import build_model
from qstore_ray.testing import CallbackLaws
from qstore_ray.testing.callbacks import STEPS, epochs, iris, train
from qstore_ray.track.jsonl import read_records
from qstore_ray.train.callbacks import CALLBACKS, Callback, as_callback, as_table
from qstore_ray.train.callbacks.base import HOOKS
from qstore_ray.train.callbacks.early_stopping import EarlyStopping
from qstore_ray.train.callbacks.run import Run
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.job import TrainingRows, WorkerResult
from qstore_ray.train.run.checkpoint import latest_checkpoint

MEMBERS = [
    {"name": "budget", "circuits": 10**9},
    {"name": "convergence_monitor", "window": 4},
    {"name": "early_stopping", "patience": 3, "monitor": "train_loss"},
    {"name": "gradient_stats"},
    {"name": "learning_rate_monitor", "every": 1},
    {"name": "metrics_logger"},
    {"name": "model_checkpoint", "best": 2, "every": 2, "last": True},
    {"name": "timer"},
]
every_member = pytest.mark.parametrize("table", MEMBERS, ids=[str(m["name"]) for m in MEMBERS])


@pytest.fixture(scope="module")
def rows() -> TrainingRows:
    return iris()


def _train(rows, folder: Path | None, callbacks=(), stop_after: int = 0, **options) -> WorkerResult:
    return train(folder, callbacks, rows=lambda: rows, stop_after=stop_after, **options)


class Diary(Callback):
    """Writes down every hook."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _note(self, hook: str, run: Run) -> None:
        with self._path.open("a") as file:
            file.write(f"{hook} {run.state.epoch} {run.state.step}\n")

    def on_train_begin(self, run):
        self._note("train_begin", run)

    def on_epoch_begin(self, run):
        self._note("epoch_begin", run)

    def on_batch_begin(self, run):
        self._note("batch_begin", run)

    def on_batch_end(self, run, batch):
        assert batch.n_rows == 30
        assert np.isfinite(batch.loss)
        self._note("batch_end", run)

    def on_validation_end(self, run, record):
        assert "val_loss" in record
        self._note("validation_end", run)

    def on_epoch_end(self, run, record):
        run.log(seen=float(run.state.step))
        self._note("epoch_end", run)

    def on_checkpoint(self, run, path):
        assert (path / "manifest.json").exists()
        self._note(f"checkpoint:{path.name}", run)

    def on_train_end(self, run):
        self._note("train_end", run)

    def on_exception(self, run, error):
        self._note(f"exception:{type(error).__name__}", run)


def test_every_callback_is_tested():
    assert {member["name"] for member in MEMBERS} == set(CALLBACKS)


@every_member
def test_a_table_describes_it(table):
    whole = as_table(as_callback(table))
    assert table.items() <= whole.items()
    assert as_table(whole) == whole
    config = TrainerConfig(callbacks=[as_callback(table)])
    assert TrainerConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_a_registered_callback_without_options_of_a_configuration_is_refused():
    """What a configuration names is written into the run folder as a table of its fields."""

    class Plain(Callback):
        pass

    CALLBACKS.register("plain", Plain)
    try:
        with pytest.raises(ConfigError, match="derives from Config and from Callback") as caught:
            TrainerConfig(callbacks=[{"name": "plain"}])
    finally:
        CALLBACKS.unregister("plain")
    assert caught.value.field == "callbacks.0.name"
    assert "class Plain(Config, Callback)" in caught.value.fix


def test_a_name_alone_is_answered_with_the_table_to_write():
    with pytest.raises(ConfigError, match="a table with a name") as caught:
        TrainerConfig(callbacks=["early_stopping"])
    assert '{name = "early_stopping"}' in caught.value.fix


class TestEveryCallback(CallbackLaws):
    @pytest.fixture(params=MEMBERS, ids=[str(m["name"]) for m in MEMBERS])
    def callback(self, request: pytest.FixtureRequest) -> Callback:
        return as_callback(request.param)

    def test_it_changes_neither_parameters_nor_metrics(self, callback, tmp_path):
        """Early stopping does, if it restores the best parameters."""
        if isinstance(callback, EarlyStopping):
            callback = EarlyStopping(**{**callback.to_dict(), "restore_best": False})
        super().test_it_changes_neither_parameters_nor_metrics(callback, tmp_path)

    def test_models_kept_are_those_of_an_uninterrupted_run(self, callback, tmp_path):
        train(tmp_path / "whole", [callback])
        train(tmp_path / "parts", [callback], stop_after=3)
        train(tmp_path / "parts", [callback])
        kept = [sorted(p.name for p in (tmp_path / n).glob("models/*")) for n in ("whole", "parts")]
        assert kept[0] == kept[1]


def test_hooks_come_in_the_documented_order(rows, tmp_path):
    diary = tmp_path / "diary"
    _train(rows, tmp_path / "run", [Diary(diary)], epochs=2, checkpoint_every_epochs=2)
    assert diary.read_text().split("\n")[:-1] == [
        "train_begin 0 0",
        "epoch_begin 0 0",
        "batch_begin 0 0", "batch_end 0 1", "batch_begin 0 1", "batch_end 0 2",
        "validation_end 1 2", "epoch_end 1 2",
        "epoch_begin 1 2",
        "batch_begin 1 2", "batch_end 1 3", "batch_begin 1 3", "batch_end 1 4",
        "validation_end 2 4", "epoch_end 2 4",
        "train_end 2 4",
        "checkpoint:step-00000004 2 4",
    ]  # fmt: skip
    assert [record["seen"] for record in epochs(tmp_path / "run")] == [2.0, 4.0]


class Breaks(Callback):
    """Raises in one hook."""

    def __init__(self, hook: str, diary: Path | None = None) -> None:
        self._hook = hook

    def _maybe(self, hook: str) -> None:
        if hook == self._hook:
            raise KeyError("something of its own")

    def on_train_begin(self, run):
        self._maybe("on_train_begin")

    def on_epoch_begin(self, run):
        self._maybe("on_epoch_begin")

    def on_batch_begin(self, run):
        self._maybe("on_batch_begin")

    def on_batch_end(self, run, batch):
        self._maybe("on_batch_end")

    def on_validation_end(self, run, record):
        self._maybe("on_validation_end")

    def on_epoch_end(self, run, record):
        self._maybe("on_epoch_end")

    def on_checkpoint(self, run, path):
        self._maybe("on_checkpoint")

    def on_train_end(self, run):
        self._maybe("on_train_end")


class BreaksMildly(Breaks):
    """The same, and says so."""

    on_error: ClassVar[Literal["raise", "warn"]] = "warn"


BREAKING = [hook for hook in HOOKS if hook != "on_exception"]


@pytest.mark.parametrize("hook", BREAKING)
def test_a_callback_that_raises_ends_the_run_with_its_name_and_loses_nothing(hook, rows, tmp_path):
    whole = _train(rows, tmp_path / "whole")
    diary = tmp_path / "diary"
    with pytest.raises(CallbackError, match="something of its own") as caught:
        _train(rows, tmp_path / "run", [Breaks(hook), Diary(diary)])
    assert caught.value.field == f"Breaks.{hook}"
    assert isinstance(caught.value.__cause__, KeyError)
    assert diary.read_text().split("\n")[-2].startswith("exception:CallbackError")
    _found, problems = latest_checkpoint(tmp_path / "run" / "checkpoints")
    assert not problems
    assert _train(rows, tmp_path / "run").theta.tobytes() == whole.theta.tobytes()


@pytest.mark.parametrize("hook", BREAKING)
def test_a_callback_that_may_fail_is_recorded_and_changes_nothing(hook, rows, tmp_path):
    whole = _train(rows, tmp_path / "whole")
    mild = _train(rows, tmp_path / "run", [BreaksMildly(hook)])
    assert mild.theta.tobytes() == whole.theta.tobytes()
    warnings = [r for r in read_records(tmp_path / "run" / "metrics.jsonl") if "message" in r]
    assert warnings
    assert f"BreaksMildly.{hook}: KeyError" in warnings[0]["message"]


def test_the_table_has_what_callbacks_after_it_log(rows, tmp_path):
    tables = ({"name": "metrics_logger"}, {"name": "gradient_stats"})
    _train(rows, tmp_path, [as_callback(table) for table in tables], epochs=1)
    assert "gradient_norm_circuit" in (tmp_path / "metrics.csv").read_text()


def test_a_misspelt_hook_is_found_where_it_is_written():
    with pytest.raises(UnknownNameError, match="on_epoch_end") as caught:
        type("Mine", (Callback,), {"on_epoch_ends": lambda self, run, record: None})
    assert caught.value.field == "Mine"


@pytest.mark.parametrize(
    ("table", "field"),
    [
        ({"name": "early_stoping"}, "callbacks.0.name"),
        ({"patience": 5}, "callbacks.0"),
        ({"name": "timer", "every": 5}, "callbacks.0.every"),
        ({"name": "model_checkpoint", "best": -1}, "callbacks.0.best"),
        ({"name": "budget"}, "callbacks.0"),
        ({"name": "budget", "money": 5.0}, "callbacks.0.seconds_per_shot"),
        ("timer", "callbacks.0"),
        (Diary(Path()), "callbacks.0"),
    ],
)
def test_a_wrong_table_is_refused_with_its_place(table, field):
    with pytest.raises(ConfigError) as caught:
        TrainerConfig(callbacks=[table])
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"optimizer_options": {"min_rows": 16}}, "optimizer_options.min_rows"),
        ({"batch_size": 20}, "batch_size"),
    ],
)
def test_too_few_rows_to_tell_a_variance_are_refused(options, field):
    with pytest.raises(ConfigError) as caught:
        TrainerConfig(optimizer="gcans", **options)
    assert caught.value.field == field


def test_parameters_cannot_be_changed_by_a_callback(rows, tmp_path):
    class Meddles(Callback):
        def on_batch_end(self, run, batch):
            run.theta[0] = 0.0

    with pytest.raises(CallbackError, match="read-only"):
        _train(rows, tmp_path, [Meddles()])


# ------------------------------------------------------------------------ what single ones promise


def test_early_stopping_ends_with_the_parameters_of_the_best_epoch(rows, tmp_path):
    """A learning rate far too high: the loss rises after the first epochs."""
    table = {"name": "early_stopping", "patience": 2, "monitor": "val_loss"}
    options = {"learning_rate": 3.0, "schedule": "constant", "epochs": 30}
    outcome = _train(rows, tmp_path / "run", [as_callback(table)], **options)
    seen = epochs(tmp_path / "run")
    best = min(range(len(seen)), key=lambda e: seen[e]["val_loss"])
    assert len(seen) == best + 3 < 30
    assert outcome.status == "finished"
    assert "2 of 2 epochs" in outcome.reason
    until = _train(rows, tmp_path / "until", **{**options, "epochs": best + 1})
    assert outcome.theta.tobytes() == until.theta.tobytes()
    again = _train(rows, tmp_path / "run", [as_callback(table)], **options)
    assert again.samples == 0, "a run that ended early is not gone on with"


def test_the_best_models_are_kept_and_only_they(rows, tmp_path):
    table = {"name": "model_checkpoint", "best": 2}
    _train(rows, tmp_path, [as_callback(table)], learning_rate=2.0, schedule="constant", epochs=8)
    seen = epochs(tmp_path)
    ranked = sorted(seen, key=lambda record: record["val_loss"])[:2]
    index = json.loads((tmp_path / "models" / "index.json").read_text())
    assert {entry["step"] for entry in index} == {record["step"] for record in ranked}
    assert {entry["value"] for entry in index} == {record["val_loss"] for record in ranked}
    folders = {path.name for path in (tmp_path / "models").glob("step-*")}
    assert folders == {f"step-{record['step']:08d}" for record in ranked}


def test_a_budget_interrupts_and_more_of_it_goes_on_to_the_same_bits(rows, tmp_path):
    whole = _train(rows, tmp_path / "whole")
    per_step = 30  # a circuit for each row
    for steps in (1, 3):
        small = as_callback({"name": "budget", "circuits": per_step * steps})
        outcome = _train(rows, tmp_path / str(steps), [small])
        assert outcome.status == "interrupted"
        assert "budget" in outcome.reason
        assert outcome.samples == 30 * steps, "it ends where the budget does"
    large = as_callback({"name": "budget", "circuits": 10**9})
    assert _train(rows, tmp_path / "3", [large]).theta.tobytes() == whole.theta.tobytes()


def test_gradient_stats_are_those_of_the_gradients(rows, tmp_path):
    class Collects(Callback):
        def on_batch_end(self, run, batch):
            with (tmp_path / "gradients").open("ab") as file:
                np.save(file, batch.gradient)

    _train(rows, tmp_path, [as_callback({"name": "gradient_stats"}), Collects()], epochs=1)
    with (tmp_path / "gradients").open("rb") as file:
        gradients = np.array([np.load(file) for _ in range(STEPS)])
    (record,) = epochs(tmp_path)
    model = build_model(ModelConfig(n_qubits=4, layers=1), n_features=4, n_classes=3)
    circuit = gradients[:, : model.sizes["circuit"]]
    assert record["gradient_norm_circuit"] == pytest.approx(np.linalg.norm(circuit, axis=1).mean())
    assert record["gradient_variance"] == pytest.approx(circuit.var(axis=0, ddof=1).mean())
    assert record["gradient_norm"] == pytest.approx(np.linalg.norm(gradients, axis=1).mean())


def test_a_plateau_is_told_once_with_its_number(rows, tmp_path):
    flat = rows._replace(y=rows.y * 0, y_val=rows.y_val * 0)
    table = {"name": "convergence_monitor", "window": 4}
    _train(flat, tmp_path, [as_callback(table)], epochs=40, learning_rate=0.5)
    notes = [r for r in read_records(tmp_path / "metrics.jsonl") if r["event"] == "note"]
    assert notes
    assert notes[0]["kind"] in ("converged", "plateau")
    assert {"number", "threshold", "epoch", "message"} <= set(notes[0])
    assert len(notes) < 10


def test_the_gradients_noise_is_the_spread_of_the_rows(rows):
    """Against the variance of ∂loss/∂θ over single rows, in the mean over many batches."""
    noises: list[float] = []

    class Collects(Callback):
        def __deepcopy__(self, memo):
            return self

        def on_batch_end(self, run, batch):
            noises.append(batch.gradient_noise())

    _train(rows, None, [Collects()], learning_rate=1e-12, epochs=30, batch_size=60)
    model = build_model(ModelConfig(n_qubits=4, layers=1), n_features=4, n_classes=3)
    backend = StatevectorBackend(threads=1)
    method = get_gradient("auto", backend)
    theta = model.initial(3)
    single = [
        step.total(
            step.value_and_grad(model, theta, rows.x[i : i + 1], rows.y[i : i + 1], backend, method)
        ).gradient
        for i in range(60)
    ]
    expected = np.sqrt(np.var(single, axis=0, ddof=1).sum() / 60)
    assert np.mean(np.square(noises)) ** 0.5 == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize("field", ["clip_norm", "clip_value"])
def test_clipping_is_refused_where_there_is_no_gradient(field):
    with pytest.raises(ConfigError, match="spsa") as caught:
        TrainerConfig(optimizer="spsa", **{field: 1.0})
    assert caught.value.field == field


def test_states_count_as_circuits(rows):
    """A metric of P parameters takes P + 1 states a row, besides the gradient and the loss."""
    seen = []

    class Collects(Callback):
        def __deepcopy__(self, memo):
            return self

        def on_batch_end(self, run, batch):
            seen.append(run.state.usage[0])

    frozen = {"epochs": 1, "batch_size": 60}
    _train(rows, None, [Collects()], optimizer="sgd", **frozen)
    _train(rows, None, [Collects()], optimizer="qng", **frozen)
    model = build_model(ModelConfig(n_qubits=4, layers=1), n_features=4, n_classes=3)
    by_gradient, by_metric = seen
    assert by_metric - 2 * by_gradient >= 60 * model.sizes["circuit"]
