"""Early stopping: when it stops, what it remembers, and what it refuses."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.errors import ConfigError, UnknownNameError
from qstore_ray.learn.diagnostics.stopping import StoppingRule, larger_is_better, monitored

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40)


def _run(stopping, values, state=None, first=0):
    """The verdicts until it stops, and the last state."""
    state, verdicts = state or stopping.init(), []
    for epoch, value in enumerate(values, first):
        verdict, state = stopping.update(state, epoch, value)
        verdicts.append(verdict)
        if verdict.stop:
            break
    return verdicts, state


def _kinds(stopping, values):
    return [verdict.kind for verdict in _run(stopping, values)[0]]


def test_it_stops_after_patience_epochs_without_a_better_value():
    stopping = StoppingRule(patience=3)
    values = [1.0, 0.8, 0.9, 0.8, 0.7, 0.7, 0.71, 0.9, 0.1]
    verdicts, state = _run(stopping, values)
    kinds = [verdict.kind for verdict in verdicts]
    assert kinds == ["improved", "improved", "waiting", "waiting", "improved", *["waiting"] * 2,
                     "stop"]  # fmt: skip
    assert (state["best"], state["best_epoch"]) == (0.7, 4.0)
    assert verdicts[-1].reason == (
        "3 of 3 epochs without a better one; best: val_loss 0.7 in epoch 4; stopping"
    )


@given(values=VALUES, patience=st.integers(1, 5))
def test_what_it_remembers_is_the_best_and_when_it_was(values, patience):
    verdicts, state = _run(StoppingRule(patience=patience), values)
    seen = values[: len(verdicts)]
    assert state["best"] == min(seen)
    assert state["best_epoch"] == seen.index(min(seen))
    assert verdicts[int(state["best_epoch"])].improved
    assert not any(v.improved for v in verdicts[int(state["best_epoch"]) + 1 :])


@given(values=VALUES, delta=st.floats(0.0, 10.0), relative=st.booleans())
def test_max_is_the_mirror_of_min(values, delta, relative):
    options = {"min_delta": delta, "relative": relative, "patience": 3}
    low, high = (StoppingRule(mode=mode, **options) for mode in ("min", "max"))
    assert _kinds(low, values) == _kinds(high, [-value for value in values])


@given(values=VALUES, at=st.integers(0, 40))
def test_a_resumed_run_stops_where_an_uninterrupted_one_does(values, at):
    stopping = StoppingRule(patience=2)
    whole, end = _run(stopping, values)
    first, state = _run(stopping, values[:at])
    if not any(verdict.stop for verdict in first):
        state = json.loads(json.dumps(state, allow_nan=False))
        rest, last = _run(stopping, values[at:], state, at)
        assert first + rest == whole
        assert last == end


def test_update_leaves_the_old_state_as_it_was():
    stopping = StoppingRule()
    state = stopping.init()
    before = dict(state)
    assert stopping.update(state, 0, 1.0) == stopping.update(state, 0, 1.0)
    assert state == before


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("epoch", [0, 3])
def test_a_value_that_is_not_finite_stops_at_once_and_is_never_the_best(value, epoch):
    stopping = StoppingRule(patience=100)
    _, state = _run(stopping, [1.0] * epoch)
    verdict, after = stopping.update(state, epoch, value)
    assert verdict.kind == "stop"
    assert not verdict.improved
    assert str(value) in verdict.reason
    assert "diverged" in verdict.reason
    assert after == state


def test_an_improvement_is_more_than_min_delta():
    values = [1.0, 0.95, 0.9, 0.85]
    assert _kinds(StoppingRule(min_delta=0.07), values) == [
        "improved", "waiting", "improved", "waiting",
    ]  # fmt: skip
    small = [0.001 * value for value in values]
    assert _kinds(StoppingRule(min_delta=0.07, relative=True), small) == [
        "improved", "waiting", "improved", "waiting",
    ]  # fmt: skip


def test_until_the_baseline_is_surpassed_all_epochs_are_waiting():
    stopping = StoppingRule(patience=3, baseline=0.5)
    verdicts, _ = _run(stopping, [1.0, 0.9, 0.8])
    assert [verdict.kind for verdict in verdicts] == ["improved", "improved", "stop"]
    assert verdicts[-1].improved, "the parameters are the best there are"
    assert "baseline 0.5" in verdicts[-1].reason
    assert _kinds(stopping, [1.0, 0.9, 0.4, 0.5, 0.5]) == [*["improved"] * 3, *["waiting"] * 2]


@pytest.mark.parametrize(
    ("monitor", "larger"),
    [("val_loss", False), ("train_accuracy", True), ("gradient_norm", False), ("val_auc", True)],
)
def test_the_direction_of_a_metric_is_in_its_name(monitor, larger):
    assert larger_is_better(monitor, "auto") is larger


def test_a_metric_that_does_not_tell_its_direction_needs_one():
    with pytest.raises(ConfigError) as caught:
        StoppingRule(monitor="energy")
    assert (caught.value.field, caught.value.value) == ("mode", "auto")
    assert 'mode = "min"' in caught.value.fix
    assert not larger_is_better("energy", "min")


@pytest.mark.parametrize(
    ("field", "value"), [("patience", 0), ("min_delta", -0.1), ("baseline", math.nan)]
)
def test_a_wrong_value_is_refused_when_built(field, value):
    with pytest.raises(ConfigError) as caught:
        StoppingRule(**{field: value})
    assert caught.value.field == field


RECORD = {"epoch": 0, "step": 10, "train_loss": 0.7, "val_loss": 0.8, "status": "ok", "on": True}


def test_a_metric_is_read_from_the_record():
    assert monitored(RECORD, "val_loss") == 0.8
    assert monitored({"correct": 3}, "correct") == 3.0


@pytest.mark.parametrize("name", ["val_los", "epoch", "status", "on"])
def test_a_metric_that_is_not_there_is_refused_with_those_that_are(name):
    with pytest.raises(UnknownNameError) as caught:
        monitored(RECORD, name)
    assert (caught.value.field, caught.value.value) == ("monitor", name)
    assert "Known: train_loss, val_loss." in caught.value.fix
    assert ("Did you mean 'val_loss'?" in caught.value.fix) == (name == "val_los")


def test_a_validation_metric_without_validation_rows_says_so():
    with pytest.raises(ConfigError) as caught:
        monitored({"train_loss": 0.5}, "val_loss")
    assert "dataset.split.val" in caught.value.fix


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [("val_acuracy", "val_accuracy"), ("accurcy", "accuracy"), ("val_los", "val_loss")],
)
def test_a_misspelt_metric_is_not_asked_for_its_direction_alone(misspelt, meant):
    with pytest.raises(ConfigError) as caught:
        larger_is_better(misspelt, "auto")
    assert f"Did you mean '{meant}'?" in caught.value.fix
