"""Risks and points of maturity follow from what was measured: each rule is seen to find something
and to find nothing, and no point is answered by a constant.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qstore_ray import DatasetLoader
from qstore_ray.data.quality.finding import Finding
from qstore_ray.errors import RunError
from qstore_ray.ops.alerts import Alert, AlertLog
from qstore_ray.ops.compliance import rubric
from qstore_ray.ops.compliance.checks import DataCheck, check_data
from qstore_ray.ops.compliance.document import LEVELS, MET, NOT_MET, UNKNOWN
from qstore_ray.ops.compliance.risks import RULES
from qstore_ray.ops.compliance.search import run_of_study
from qstore_ray.ops.compliance.write import compliance_of
from tests.studies import opened
from tests.unit.ops.compliance.runs import (
    FLOWERS,
    change_json,
    delete_at,
    fact,
    manifest,
    point,
    risks,
    set_at,
    set_field,
    trained,
)

LEAK = Finding("leakage", "error", "one row of test is also in train")
DRIFT = Finding("drift", "warning", "the column has moved", field="x")
PRIVATE: dict[str, Any] = {
    "epsilon": 2.0, "delta": 1e-5, "limit": None, "why": "", "noise_multiplier": 1.0, "clip": 1.0,
    "sample_rate": 0.1, "rows": 105, "releases": 20, "neighbours": "n", "sampling": "Poisson",
    "accountant": "RDP", "ended_early": False, "outside": ["val"],
}  # fmt: skip

SEEDED = {"noise_multiplier": 1.0, "noise": "seeded"}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A finished run; nobody may change it."""
    return trained(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def copied(run: Path, tmp_path: Path) -> Path:
    """A copy of the run, to be changed."""
    return Path(shutil.copytree(run, tmp_path / "runs" / "flowers"))


def _table(folder: Path, data: DataCheck | None = None) -> Any:
    return compliance_of(folder, data or DataCheck(same=True, findings=())).as_table()


def _metric(name: str, value: float) -> Callable[[Path], None]:
    return lambda folder: set_at(folder / "run.json", value, "metrics", name)


def _record(name: str, value: Any) -> Callable[[Path], None]:
    return lambda folder: set_at(folder / "run.json", value, name)


def _field(value: Any, *place: str) -> Callable[[Path], None]:
    return lambda folder: set_field(folder, value, *place)


def _data(name: str, value: Any) -> Callable[[Path], None]:
    return lambda folder: set_at(manifest(folder), value, "model", "data", name)


def _counts(*train: int) -> Callable[[Path], None]:
    return _data("class_counts", {"train": list(train)})


def _private(**change: Any) -> Callable[[Path], None]:
    return lambda folder: (folder / "privacy.json").write_text(json.dumps({**PRIVATE, **change}))  # type: ignore[return-value]


def _attempt(**change: Any) -> Callable[[Path], None]:
    def to(folder: Path) -> None:
        change_json(folder / "run.json", lambda r: r["attempts"][-1].update(change))

    return to


def _second_attempt(**change: Any) -> Callable[[Path], None]:
    def to(folder: Path) -> None:
        change_json(
            folder / "run.json",
            lambda r: r["attempts"].append({**r["attempts"][-1], "generation": 2, **change}),
        )

    return to


def _event(**record: Any) -> Callable[[Path], None]:
    def to(folder: Path) -> None:
        with (folder / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(record) + "\n")

    return to


def _open_alert(folder: Path, severity: str = "critical") -> None:
    AlertLog(folder.parent).open(
        Alert(run=folder.name, rule="jump", severity=severity, opened=1.0, value=3.0,
              threshold=2.0, message="the loss jumped", fix="Lower the rate.")
    )  # fmt: skip


def _closed_alert(folder: Path) -> None:
    _open_alert(folder)
    AlertLog(folder.parent).close(folder.name, "jump", 2.0)


def _hardware(budget: float | None = None, **used: float) -> Callable[[Path], None]:
    def to(folder: Path) -> None:
        options = {"device": "ibm_fez", "shots": 512}
        if budget is not None:
            options["budget"] = {"seconds": budget}  # type: ignore[assignment]
        set_field(folder, "ibm", "trainer", "backend")
        set_field(folder, options, "trainer", "backend_options")
        for name, value in {"jobs": 2.0, **used}.items():
            set_at(folder / "run.json", value, "metrics", f"hardware_{name}")

    return to


FOUND = [
    (lambda f: (f / "privacy.json").write_text("{"), ("unreadable", "high")),
    (_record("status", "interrupted"), ("unfinished", "high")),
    (_open_alert, ("alert", "high")),
    (lambda f: _open_alert(f, "warning"), ("alert", "medium")),
    (_closed_alert, ("alert", "low")),
    (_record("verdict", ""), ("baseline", "medium")),
    (_record("verdict", "worse than the mean"), ("baseline", "high")),
    (_record("verdict", "not distinguishable"), ("baseline", "medium")),
    (_metric("train_accuracy", 1.0), ("overfitting", "medium")),
    (_metric("test_recall_setosa", 0.1), ("weak class", "high")),
    (_metric("test_recall_setosa", 0.4), ("weak class", "medium")),
    (_private(epsilon=None, why="no bound"), ("privacy", "high")),
    (_private(epsilon=30.0), ("privacy", "medium")),
    (_private(delta=1 / 105), ("privacy", "high")),
    (_field(SEEDED, "trainer", "privacy"), ("privacy", "high")),
    (_field({"secure_sum": False}, "federation"), ("federation", "medium")),
    (_field(50, "trainer", "backend_options", "shots"), ("shots", "high")),
    (_field(500, "trainer", "backend_options", "shots"), ("shots", "medium")),
    (_field(5000, "trainer", "backend_options", "shots"), ("shots", "low")),
    (_hardware(600.0), ("hardware", "high")),
    (_hardware(), ("budget", "high")),
    (_hardware(10.0, seconds=9.0), ("budget", "medium")),
    (_hardware(1e6, seconds=9.0, pending_seconds=3.0), ("budget", "medium")),
    (lambda _: None, ("untested hardware", "low")),
    (_second_attempt(packages="f" * 64), ("environment", "medium")),
    (_second_attempt(machine="Darwin arm64"), ("environment", "medium")),
    (_attempt(commit="a" * 40 + "-dirty"), ("environment", "medium")),
    (_record("attempts", []), ("environment", "low")),
    (_data("sizes", {"train": 105, "val": 15, "test": 20}), ("test rows", "high")),
    (_data("sizes", {"train": 105, "val": 15, "test": 150}), ("test rows", "medium")),
    (lambda f: _without(f, "test_"), ("test rows", "high")),
    (_data("sizes", {"train": 105, "test": 30}), ("validation rows", "low")),
    (_counts(100, 50, 30), ("imbalance", "medium")),
    (_counts(100, 50, 9), ("imbalance", "high")),
    (_counts(100, 50, 0), ("imbalance", "high")),
    (_field("drop", "dataset", "bad_values"), ("left out", "low")),
    (lambda f: set_at(manifest(f), None, "model", "input", "table"), ("schema", "low")),
]  # fmt: skip


def _without(folder: Path, start: str) -> None:
    def change(record: dict[str, Any]) -> None:
        kept = {k: v for k, v in record["metrics"].items() if not k.startswith(start)}
        record["metrics"] = kept

    change_json(folder / "run.json", change)


def _sound(folder: Path) -> None:
    """A run of which no rule finds anything but that no device has run it."""
    set_at(folder / "run.json", "better than logistic regression", "verdict")
    set_at(folder / "run.json", 0.9, "metrics", "test_accuracy")
    set_at(folder / "run.json", 0.5, "metrics", "train_accuracy")
    for name in ("setosa", "versicolor", "virginica"):
        set_at(folder / "run.json", 0.9, "metrics", f"test_recall_{name}")
    set_at(manifest(folder), {"train": 1000, "val": 100, "test": 400}, "model", "data", "sizes")
    change_json(folder / "run.json", lambda r: r["attempts"][-1].update(commit="a" * 40))


def test_a_sound_run_has_one_low_risk(copied):
    _sound(copied)
    assert risks(_table(copied)) == {("untested hardware", "low")}


@pytest.mark.parametrize(("change", "expected"), FOUND, ids=lambda x: x if isinstance(x, tuple)
                         else "")  # fmt: skip
def test_each_rule_finds_what_it_is_about(copied, change, expected):
    _sound(copied)
    before = risks(_table(copied))
    change(copied)
    found = risks(_table(copied))
    assert expected in found
    assert expected[0] == "untested hardware" or expected not in before


@pytest.mark.parametrize(
    ("data", "expected"),
    [(DataCheck(same=True, findings=(LEAK,)), ("data: leakage", "high")),
     (DataCheck(same=True, findings=(DRIFT, DRIFT)), ("data: drift", "medium")),
     (DataCheck(why="the file is gone"), ("data check", "medium"))],
    ids=["leak", "drift", "gone"],
)  # fmt: skip
def test_the_data_check_is_in_the_register(copied, data, expected):
    _sound(copied)
    assert expected in risks(_table(copied, data))


def test_risks_are_sorted_and_every_rule_is_reached(copied):
    levels = [each["level"] for each in _table(copied, DataCheck(same=True, findings=(DRIFT, LEAK)))
              ["risks"]]  # fmt: skip
    assert levels == sorted(levels, key=LEVELS.index)
    names = {"unreadable", "unfinished", "alerts", "few_test_rows", "no_validation", "unbalanced",
             "checked", "dropped", "without_schema", "no_better", "overfitted", "weak_class",
             "privacy", "federated", "shots", "hardware", "simulated", "fell_back",
             "changed_environment", "chosen", "not_repeated"}  # fmt: skip
    assert {rule.__name__ for rule in RULES} == names


# --------------------------------------------------------------------------------------- maturity


def _finite(folder: Path, value: str) -> None:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    with (folder / "metrics.jsonl").open("w") as file:
        for line in lines:
            epoch = '"event":"epoch"' in line
            file.write(line.replace('"train_loss":', f'"gap":{value},"train_loss":')
                       if epoch else line)  # fmt: skip
            file.write("\n")


ANSWERS = [
    ("Data 1", lambda f: None, MET),
    ("Data 1", lambda f: set_at(manifest(f), None, "model", "input", "table"), NOT_MET),
    ("Data 1", lambda f: shutil.rmtree(f / "checkpoints"), UNKNOWN),
    ("Data 5", _private(), MET),
    ("Data 5", _private(epsilon=None, why="no bound"), NOT_MET),
    ("Data 5", _private(epsilon=30.0), NOT_MET),
    ("Data 5", _private(delta=0.01), NOT_MET),
    ("Data 5", lambda f: [_private()(f), _field(SEEDED, "trainer", "privacy")(f)], NOT_MET),
    ("Data 5", lambda f: None, UNKNOWN),
    ("Model 1", _attempt(commit="a" * 40), UNKNOWN),
    ("Model 1", _attempt(commit="a" * 40 + "-dirty"), NOT_MET),
    ("Model 3", lambda f: None, NOT_MET),
    ("Model 5", _record("verdict", "better than logistic regression"), MET),
    ("Model 5", _record("verdict", "worse than logistic regression"), NOT_MET),
    ("Model 5", _record("verdict", ""), UNKNOWN),
    ("Model 6", lambda f: [_metric(f"test_recall_{n}", 0.9)(f) for n in
                           ("setosa", "versicolor", "virginica")], UNKNOWN),
    ("Model 6", _metric("test_recall_setosa", 0.2), NOT_MET),
    ("Model 6", lambda f: _without(f, "test_recall"), UNKNOWN),
    ("Infrastructure 1", lambda f: None, UNKNOWN),
    ("Infrastructure 1", _field(None, "trainer", "seed"), NOT_MET),
    ("Infrastructure 1", _hardware(), NOT_MET),
    ("Infrastructure 4", lambda f: None, MET),
    ("Infrastructure 4", _record("status", "interrupted"), NOT_MET),
    ("Infrastructure 4", lambda f: _without(f, "test_"), NOT_MET),
    ("Infrastructure 5", lambda f: None, MET),
    ("Infrastructure 5", lambda f: shutil.rmtree(f / "checkpoints"), NOT_MET),
    ("Monitoring 5", lambda f: None, MET),
    ("Monitoring 5", lambda f: _finite(f, "null"), NOT_MET),
    ("Monitoring 5", lambda f: (f / "metrics.jsonl").write_text(""), UNKNOWN),
    ("Monitoring 5", _event(event="end", status="failed",
                            reason="the loss became NaN or infinite in step 2"), NOT_MET),
    ("Monitoring 6", lambda f: None, UNKNOWN),
]  # fmt: skip


@pytest.mark.parametrize(("number", "change", "answer"), ANSWERS,
                         ids=lambda x: x if isinstance(x, str) else "")  # fmt: skip
def test_points_are_answered_by_the_run(copied, number, change, answer):
    change(copied)
    assert point(_table(copied), number) == answer


OF_THE_DATA = [
    ("Monitoring 1", DataCheck(same=True), MET),
    ("Monitoring 1", DataCheck(same=False), NOT_MET),
    ("Monitoring 1", DataCheck(), UNKNOWN),
    ("Monitoring 2", DataCheck(same=True, findings=(DRIFT,)), MET),
    ("Monitoring 2", DataCheck(same=True, findings=(LEAK,)), NOT_MET),
    ("Monitoring 2", DataCheck(same=True), UNKNOWN),
    ("Monitoring 3", DataCheck(same=True, accuracy=(0.1, 30)), NOT_MET),
    ("Monitoring 3", DataCheck(same=True), UNKNOWN),
]


@pytest.mark.parametrize(("number", "data", "answer"), OF_THE_DATA,
                         ids=lambda x: x if isinstance(x, str) else "")  # fmt: skip
def test_points_are_answered_by_the_data(run, number, data, answer):
    assert point(compliance_of(run, data).as_table(), number) == answer


def test_a_score_of_a_device_is_not_compared_with_an_exact_one(copied):
    _hardware()(copied)
    data = DataCheck(same=True, accuracy=(0.1, 30))
    table = _table(copied, data)
    assert point(table, "Monitoring 3") == UNKNOWN
    scored = fact(table, "model_card", "Quantitative analyses", "test was scored")
    assert scored == "on the device, with shots"


def test_the_saved_model_scores_what_was_recorded(run):
    from qstore_ray import TrainedModel

    dataset = DatasetLoader.load(FLOWERS)
    data = check_data(dataset, TrainedModel.load(run).confusion(dataset, "test"))
    assert data.findings is not None
    table = _table(run, data)
    assert point(table, "Monitoring 3") == MET
    recorded = json.loads((run / "run.json").read_bytes())["metrics"]["test_accuracy"]
    assert data.accuracy == (pytest.approx(recorded), 30)


def test_no_point_is_met_by_a_constant(run):
    """A point that no run answers says so, with a reason; every other one has two answers here."""
    fixed = {each.number for each in rubric._POINTS if isinstance(each.answered_by, str)}
    points = _table(run)["maturity"]["points"]
    assert len(points) == len({each["number"] for each in points}) == 28
    for each in points:
        assert each["because"]
        assert each["number"] not in fixed or each["answer"] == UNKNOWN
    seen: dict[str, set[str]] = {}
    for number, _, answer in (*ANSWERS, *OF_THE_DATA):
        seen.setdefault(number, set()).add(answer)
    always = {"Infrastructure 7"}  # what serves is in no run; the evidence is shown
    twice = {"Model 3", "Monitoring 6"}  # their other answers are in the tests below
    assert {each["number"] for each in points} - fixed - always - seen.keys() == set()
    assert {number for number, answers in seen.items() if len(answers) < 2} == twice


# --------------------------------------------------------------------------- twins and searches


def test_a_twin_with_equal_results_is_the_proof(copied):
    twin = Path(shutil.copytree(copied, copied.parent / "again"))
    table = _table(copied)
    assert point(table, "Infrastructure 1") == MET
    assert point(table, "Monitoring 6") == MET
    assert fact(table, "reproducibility", "Trained again", "of these with equal results") == 1
    set_at(twin / "run.json", 0.5, "metrics", "test_loss")
    set_at(twin / "run.json", 1e-6, "metrics", "train_seconds")
    table = _table(copied)
    assert point(table, "Infrastructure 1") == NOT_MET
    assert point(table, "Monitoring 6") == NOT_MET
    assert ("repetition", "medium") in risks(table)
    set_at(twin / "run.json", "e" * 64, "fingerprints", "data")  # no twin any more
    assert point(_table(copied), "Infrastructure 1") == UNKNOWN


def test_a_second_training_is_such_a_twin(run):
    trained(run.parent, "flowers-again")
    try:
        assert point(_table(run), "Infrastructure 1") == MET
    finally:
        shutil.rmtree(run.parent / "flowers-again")


@pytest.fixture
def study(run: Path, tmp_path: Path) -> Path:
    """A study of three completed trials, the second the best; each has a copy of the run."""
    table = {"model.layers": {"type": "int", "low": 1, "high": 3}}
    goal = [{"metric": "val_loss"}]
    with opened(tmp_path, space=table, objectives=goal, trials=3, sampler="grid") as search:
        for cost in (2.0, 1.0, 3.0):
            trial = search.ask()
            assert trial is not None
            shutil.copytree(run, tmp_path / "s" / trial.name)
            search.tell(trial.number, [cost])
    return tmp_path / "s"


def test_the_best_run_stands_for_a_study(study, run):
    best = run_of_study(study)
    assert best.parent == study
    assert best.name.endswith("1")
    table = _table(best)
    assert point(table, "Model 3") == MET
    assert fact(table, "audit_log", "Who and what", "part in the search") == "best trial"
    assert fact(table, "audit_log", "Who and what", "trials of the search") == 3
    assert ("selection", "low") in risks(table)
    other = next(each for each in sorted(study.glob("*/run.json")) if each.parent != best)
    table = _table(other.parent)
    assert fact(table, "audit_log", "Who and what", "part in the search") == "trial"
    assert "selection" not in {rule for rule, _ in risks(table)}
    shutil.copytree(run, study / "refit")
    assert run_of_study(study) == study / "refit"
    # A refit has the validation rows among those of train, and no validation score.
    set_at(
        manifest(study / "refit"), "val is part of train", "model", "data", "provenance", "merged"
    )
    delete_at(manifest(study / "refit"), "model", "data", "sizes", "val")
    _without(study / "refit", "val_")
    (study / "refit" / "metrics.jsonl").write_text("")
    found = {rule for rule, _ in risks(_table(study / "refit"))}
    assert found.isdisjoint({"selection", "validation rows"})


def test_a_study_without_a_completed_trial_has_no_run(tmp_path):
    goal = [{"metric": "val_loss"}]
    space = {"model.layers": {"type": "int", "low": 1, "high": 3}}
    with opened(tmp_path, space=space, objectives=goal, trials=1, sampler="random"):
        pass
    with pytest.raises(RunError, match="no trial"):
        run_of_study(tmp_path / "s")


def test_a_damaged_study_is_a_risk_of_the_run_in_it(study):
    best = run_of_study(study)
    (study / "study.journal").write_text("no journal\n")
    assert ("unreadable", "high") in risks(_table(best))


# ------------------------------------------------------------------------- federations, fallbacks


def test_a_federation_lists_its_clients_and_what_was_left_out(copied):
    _event(event="start", generation=2, epochs=2, shards={"a": [3, 4], "b": [1, 0]})(copied)
    _event(event="round", step=1, round=0, asked=["a", "b"], used=["a"], excluded={"b": "late"},
           losses={}, sent=1, received=1, seconds=0.1)(copied)  # fmt: skip
    set_field(copied, {"rounds": 2, "secure_sum": True, "seed": 3}, "federation")
    change_json(copied / "run.json",
                lambda r: r.update(clients={"a": {"digest": "f" * 64, "round": 0}}))  # fmt: skip
    table = _table(copied)
    training = next(s for s in table["model_card"]["sections"] if s["title"] == "Training data")
    assert training["tables"][0]["rows"] == [["a", 7], ["b", 1]]
    assert ("federation", "medium") in risks(table)
    assert fact(table, "reproducibility", "Seeds and bits", "federation.seed") == 3
    assert "qstore federate" in fact(table, "reproducibility", "Command", "command")
    hashes = next(s for s in table["audit_log"]["sections"] if s["title"] == "Hashes")
    assert ["rows of a", "f" * 64] in hashes["tables"][1]["rows"]
    assert fact(table, "model_card", "Model details", "secure sum") is True


def test_what_to_do_about_a_missing_baseline_can_be_done(copied):
    _record("verdict", "")(copied)

    def action() -> str:
        found = _table(copied)["risks"]
        return next(str(each["action"]) for each in found if each["rule"] == "baseline")

    set_field(copied, False, "baseline")
    assert action() == "Train with baseline = true."
    set_field(copied, True, "baseline")
    assert "simple model" in action()
    set_field(copied, False, "baseline")
    set_field(copied, {"rounds": 2}, "federation")
    assert "simple model" in action()


def test_a_fallback_is_a_risk_and_an_obstacle(copied):
    step = {"epoch": 1, "step": 7, "from": "ibm", "to": "statevector", "member": 1,
            "kind": "service", "why": "no answer", "recipe": "r"}  # fmt: skip
    _event(event="warning", message="fell back", **step)(copied)
    table = _table(copied)
    assert ("fallback", "medium") in risks(table)
    assert point(table, "Infrastructure 1") == NOT_MET


@pytest.mark.parametrize(
    ("change", "said"),
    [(lambda f: None, "equal to the last bit on any number of workers"),
     (lambda f: set_at(f / "run.json", {"stream": True}, "recipe", "dataset"),
      "equal to the last bit on any number of workers"),
     (_field({"period": 8}, "trainer", "averaging"), "on as many workers (2)"),
     (_field({"method": "int8"}, "trainer", "compression"), "on as many workers (2)"),
     (_field({"period": "auto"}, "trainer", "averaging"), "trainer.averaging.period is 'auto'"),
     (_field(SEEDED, "trainer", "privacy"), "equal to the last bit"),
     (_field({"noise_multiplier": 1.0, "noise": "secure"}, "trainer", "privacy"), "a secret key")],
    ids=["held", "streamed", "averaging", "compression", "auto", "seeded", "secure"],
)  # fmt: skip
def test_what_is_claimed_of_bits_follows_from_the_configuration(copied, change, said):
    set_field(copied, 2, "trainer", "num_workers")
    change(copied)
    found = fact(_table(copied), "reproducibility", "Seeds and bits", "what to expect of bits")
    assert said in found
    assert ("processors of the same make" in found) == found.startswith("equal")


def test_a_dataset_is_checked_when_it_is_at_hand():
    dataset = DatasetLoader.from_arrays(
        np.repeat(np.arange(12.0).reshape(6, 2), 5, axis=0), np.arange(30) % 2
    )
    data = check_data(dataset)
    assert data.same
    assert {each.check for each in data.findings or ()} & {"leakage", "duplicates"}


def test_an_attempt_that_was_killed_does_not_run(copied):
    _attempt(status="running")(copied)
    _second_attempt(status="finished")(copied)
    set_at(copied / "run.json", 2, "generation")
    _event(event="start", generation=2, resumed_from_step=4)(copied)
    twin = Path(shutil.copytree(copied, copied.parent / "again"))
    set_at(twin / "run.json", 1e-6, "metrics", "train_seconds")

    def statuses() -> list[str]:
        sections = _table(copied)["audit_log"]["sections"]
        attempts = next(s for s in sections if s["title"] == "Attempts")
        return [row[3] for row in attempts["tables"][0]["rows"]]

    assert statuses() == ["killed", "finished"]
    assert point(_table(copied), "Monitoring 6") == UNKNOWN  # seconds of the second part alone
    set_at(copied / "run.json", "running", "attempts", 1, "status")
    set_at(copied / "run.json", "running", "status")
    assert statuses() == ["killed", "killed"]


def test_attempts_are_listed_with_their_times(copied):
    _second_attempt(started="2026-01-02T00:00:00+00:00")(copied)
    table = _table(copied)
    attempts = next(s for s in table["audit_log"]["sections"] if s["title"] == "Attempts")
    rows = attempts["tables"][0]["rows"]
    assert [row[0] for row in rows] == [1, 2]
    assert rows[1][1] == "2026-01-02T00:00:00+00:00"
    set_at(copied / "run.json", 2, "generation")
    began = fact(_table(copied), "model_card", "Model details", "started")
    assert began == rows[0][1] != rows[1][1]
    delete_at(copied / "run.json", "attempts", 0)
    assert fact(_table(copied), "model_card", "Model details", "started") is None
    delete_at(copied / "run.json", "attempts")
    assert fact(_table(copied), "audit_log", "Attempts", "attempts with a time") is None
