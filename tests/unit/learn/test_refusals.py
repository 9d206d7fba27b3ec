"""What models, optimizers and kernels refuse: the place, the value, and what to type instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from qstore_ray.backends.base import Bindings
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.library.library import ENCODINGS
from qstore_ray.circuits.template import Op, Template, param, row
from qstore_ray.errors import (
    BackendError,
    CircuitError,
    ConfigError,
    DataError,
    QStoreError,
    UnknownNameError,
)
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.gradients.parameter_shift import ParameterShift, RandomCoordinateShift
from qstore_ray.learn.gradients.spsa import SpsaGradient
from qstore_ray.learn.kernel.alignment import alignment
from qstore_ray.learn.kernel.overlap import check_overlaps
from qstore_ray.learn.model import QuantumModel, build_model
from qstore_ray.learn.optimizers.gcans import GCANS
from qstore_ray.learn.optimizers.sgd import SGD
from qstore_ray.learn.overlap_circuits import WIDEST, measured_fidelities
from qstore_ray.learn.targets import TargetScaling, nothing_to_learn
from qstore_ray.learn.weights import (
    check_class_weight,
    check_sample_weight,
    class_weights,
    row_weights,
)

SAME = "is the same in all rows of train: there is nothing to learn"
TOO_WIDE = (
    f"this backend has no states, and pairs are compared by circuits of at most {WIDEST} qubits, "
    f"the circuit has {WIDEST + 1}"
)
NO_PARAMETERS = (
    "Name fewer parameters in features, take head = 'linear' or input_scaling = true, "
    "or compare rows by a quantum kernel, which needs no parameters."
)
NO_COUNTS = (
    "this backend has neither states nor counts, and its states are compared on at most "
    f"{WIDEST} qubits, the circuit has {WIDEST + 1}"
)
BACKEND = StatevectorBackend()
NOTHING = Bindings(np.zeros((1, 0)), np.zeros(0))
AMPLITUDES = Template(1, (Op("ry", (0,), (param(0),)),), n_params=1, initial="amplitudes")


def _model(n_features: int = 2, **fields: Any) -> QuantumModel:
    config = ModelConfig(**{"n_qubits": 2, "layers": 1, **fields})
    return build_model(config, n_features=n_features, n_classes=3)


def _rows(x: Any) -> Any:
    model = _model(pre_layers=[2])
    return model.inputs(model.split(model.initial(0)), np.array(x))


Refusal = tuple[Callable[[], Any], type[QStoreError], str, Any, str, str]
REFUSALS: dict[str, Refusal] = {
    "rows that are not finite": (
        lambda: _rows([[0.0, np.nan]]), DataError, "x", (1, 2),
        "the layers before the circuit take rows of 2 finite features",
        "Impute or drop missing values, and keep the width of the training data.",
    ),
    "rows of another width": (
        lambda: _rows([[0.0, 1.0, 2.0]]), DataError, "x", (1, 3),
        "the layers before the circuit take rows of 2 finite features",
        "Impute or drop missing values, and keep the width of the training data.",
    ),
    "too few observables": (
        lambda: _model(head="none"), ConfigError, "model.observables", 2,
        "without a head there must be 3 observables",
        "Name that many, or take head = 'linear'.",
    ),
    "layers before a basis": (
        lambda: _model(pre_layers=[2], encoding="basis"), CircuitError, "model.encoding", "basis",
        "layers cannot be trained in front of basis encoding, which has no derivative",
        "Take the encoding angle, or leave pre_layers out.",
    ),
    "a model without parameters": (
        lambda: build_model(
            ModelConfig(circuit=Template(1, (Op("ry", (0,), (row(0),)),), n_rows=1), head="none",
                        observables=["Z0"]),
            n_features=1, n_classes=2,
        ),
        ConfigError, "model.circuit", "circuit",
        "there is nothing to train: the circuit has no parameters besides its features",
        NO_PARAMETERS,
    ),
    "layers without a head": (
        lambda: _model(head="none", post_layers=[3], observables=["Z0", "Z1", "X0"]),
        ConfigError, "model.post_layers", [3],
        "layers after the circuit end in a linear head",
        "Set head = 'linear', or leave post_layers out.",
    ),
    "features of a library circuit": (
        lambda: ModelConfig(features="x"), ConfigError, "features", "x",
        "the features of a circuit of the library are all columns of the data",
        "Give a circuit of your own, or leave features out.",
    ),
    "no direction": (
        lambda: SpsaGradient(directions=0), ConfigError, "gradient_options.directions", 0,
        "the number of directions is from 1 to 10,000", "",
    ),
    "too many directions": (
        lambda: SpsaGradient(directions=10_001), ConfigError, "gradient_options.directions",
        10_001, "the number of directions is from 1 to 10,000", "",
    ),
    "no perturbation": (
        lambda: SpsaGradient(size=0.0), ConfigError, "gradient_options.size", 0.0,
        "the size of a perturbation is above 0 and at most π", "",
    ),
    "a perturbation of more than a half turn": (
        lambda: SpsaGradient(size=3.2), ConfigError, "gradient_options.size", 3.2,
        "the size of a perturbation is above 0 and at most π", "",
    ),
    "directions without a key": (
        lambda: SpsaGradient().plan(
            Template(1, (Op("ry", (0,), (param(0),)),), n_params=1),
            Bindings(np.zeros((1, 0)), np.zeros(1)), rows_gradient=False, key=None,
        ),
        BackendError, "key", None, "the directions are drawn by a key",
        "Give key=DrawKey((run, epoch, step)), a new one for each step.",
    ),
    "shifted amplitudes": (
        lambda: ParameterShift().plan(
            AMPLITUDES, Bindings(np.zeros((1, 0)), np.zeros(1), np.eye(2)[:1]),
            rows_gradient=True,
        ),
        CircuitError, "trainer.gradient", "parameter_shift",
        "parameter shift cannot differentiate amplitudes",
        "Take gradient = 'adjoint' on the statevector backend.",
    ),
    "a drawn shift of amplitudes": (
        lambda: RandomCoordinateShift().plan(
            AMPLITUDES, Bindings(np.zeros((1, 0)), np.zeros(1), np.eye(2)[:1]),
            rows_gradient=True, key=DrawKey((1,)),
        ),
        CircuitError, "trainer.gradient", "random_coordinate_shift",
        "parameter shift cannot differentiate amplitudes",
        "Take gradient = 'adjoint' on the statevector backend.",
    ),
    "overlaps of amplitudes": (
        lambda: check_overlaps(AMPLITUDES, BACKEND), ConfigError, "backend", BACKEND.name,
        "this backend has no states, and a start from amplitudes cannot be undone",
        "Take the backend statevector, or the projected kernel.",
    ),
    "overlaps of wide circuits": (
        lambda: check_overlaps(Template(WIDEST + 1, ()), BACKEND), ConfigError, "backend",
        BACKEND.name,
        TOO_WIDE,
        "Take the backend statevector, or the projected kernel.",
    ),
    "a metric of a wide circuit without counts": (
        lambda: measured_fidelities(BACKEND, Template(WIDEST + 1, ()), NOTHING, [NOTHING]),
        ConfigError, "trainer.backend", BACKEND.name,
        NO_COUNTS,
        "Take another optimizer, for example 'spsa'.",
    ),
    "labels of other rows": (
        lambda: alignment(np.eye(3), np.zeros(2)), DataError, "labels", (2,),
        "a kernel (3, 3) needs as many labels as rows and columns", "",
    ),
    "labels of one class": (
        lambda: alignment(np.eye(2), np.ones(2)), DataError, "labels", [1.0],
        "alignment needs labels of at least two classes", "",
    ),
    "Nesterov without a momentum": (
        lambda: SGD(nesterov=True), ConfigError, "momentum", 0.0,
        "Nesterov's method needs a momentum", "Set momentum, for example 0.9.",
    ),
    "a variance of one block": (
        lambda: GCANS(min_rows=16).check_rows(64, 16), ConfigError, "optimizer_options.min_rows",
        16, "the variance of the gradient needs more than 16 rows", "Take 17 or more.",
    ),
    "a batch of too few rows": (
        lambda: GCANS(min_rows=32).check_rows(31, 16), ConfigError, "batch_size", 31,
        "gcans takes 32 rows a step at least",
        "Take 32 or more, or a smaller optimizer_options.min_rows.",
    ),
    "targets that overflow": (
        lambda: TargetScaling.of(np.array([1e308, -1e308, 1.5e308])), DataError, "y", 1.5e308,
        "the targets are too large: their mean or standard deviation is not finite",
        "Give them in a larger unit, or as logarithms.",
    ),
    "class weights of no kind": (
        lambda: check_class_weight("even"), ConfigError, "class_weight", "even",
        "class weights are 'balanced', or a number for each label",
        'Write "balanced", or for example { no = 1.0, yes = 20.0 }.',
    ),
    "an empty table of weights": (
        lambda: check_class_weight({}, "w"), ConfigError, "w", {},
        "class weights are 'balanced', or a number for each label",
        'Write "balanced", or for example { no = 1.0, yes = 20.0 }.',
    ),
    "a negative weight": (
        lambda: check_class_weight({"yes": -1.0}), ConfigError, "class_weight.yes", -1.0,
        "a weight is a finite number, 0 or more",
        "Take 1.0 for a class that counts as it is.",
    ),
    "a weight that is a truth value": (
        lambda: check_class_weight({"yes": True}, ""), ConfigError, "yes", True,
        "a weight is a finite number, 0 or more",
        "Take 1.0 for a class that counts as it is.",
    ),
    "sample weights of text": (
        lambda: check_sample_weight(["1", "2"], 2), ConfigError, "sample_weight", None,
        "weights are numbers: they are of type str", "Give one number a row.",
    ),
    "too few sample weights": (
        lambda: check_sample_weight([1.0, 2.0], 3, "w"), ConfigError, "w", (2,),
        "there is one weight for each of the 3 training rows",
        "Give 3 numbers, in the order of the rows.",
    ),
    "a sample weight below 0": (
        lambda: check_sample_weight([1.0, -2.0, np.nan], 3), ConfigError, "sample_weight", -2.0,
        "a weight is a finite number from 0 to 1e+100; that of row 1 is not",
        "Take 0 for a row that shall not count.",
    ),
    "a sample weight that is too large": (
        lambda: check_sample_weight([2e100, 1.0], 2), ConfigError, "sample_weight", 2e100,
        "a weight is a finite number from 0 to 1e+100; that of row 0 is not",
        "Take 0 for a row that shall not count.",
    ),
    "sample weights of 0": (
        lambda: check_sample_weight([0.0, 0.0], 2), ConfigError, "sample_weight", 0.0,
        "all sample weights are zero, so there is nothing to learn from",
        "Give a weight above 0 to the rows that count, or no weights.",
    ),
    "weights of rows that are all 0": (
        lambda: row_weights(np.array([1, 1]), ["no", "yes"], {"yes": 0.0}), ConfigError,
        "class_weight", {"yes": 0.0},
        "the weights of all training rows are zero, so there is nothing to learn from",
        "Give a weight above 0 to a class that has rows.",
    ),
    "class weights of numbers": (
        lambda: class_weights(np.array([0.5]), [], "balanced"), ConfigError, "class_weight",
        "balanced", "class weights are for one class a row",
        "Leave them out, or give weights of rows.",
    ),
    "class weights of several labels": (
        lambda: class_weights(np.zeros((2, 2), int), ["a", "b"], "balanced", field="w"),
        ConfigError, "w", "balanced", "class weights are for one class a row",
        "Leave them out, or give weights of rows.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_it_is_refused_with_its_place_its_value_and_the_way_out(name: str):
    act, error, field, value, message, fix = REFUSALS[name]
    with pytest.raises(error) as caught:
        act()
    found = caught.value
    assert type(found) is error
    assert (found.field, found.value, found.message, found.fix) == (field, value, message, fix)


def test_a_weight_of_a_label_that_is_no_class_is_refused_with_the_classes():
    with pytest.raises(UnknownNameError) as caught:
        class_weights(np.array([0, 1]), ["no", "yes"], {"maybe": 2.0}, field="w")
    assert (caught.value.field, caught.value.value) == ("w", "maybe")
    assert "no, yes" in caught.value.fix


# ------------------------------------------------------------------------- the borders, allowed


def test_what_is_just_within_the_bounds_is_taken():
    assert SpsaGradient(directions=1, size=np.pi).directions == 1
    assert SpsaGradient(directions=10_000).directions == 10_000
    GCANS(min_rows=17).check_rows(17, 16)
    check_overlaps(Template(WIDEST, ()), BACKEND)
    encoded = ENCODINGS["angle"](2, 2)
    assert encoded.template.ops[0].angles == (row(0),)
    assert check_sample_weight([1e100, 0.0], 2).tolist() == [1e100, 0.0]


# ----------------------------------------------------------------------------- weights in numbers


@pytest.mark.parametrize(
    ("weight", "kept"),
    [
        (None, None),
        ("balanced", "balanced"),
        ({"a": 1, "b": 0}, {"a": 1.0, "b": 0.0}),
        ({1.0: 2, 2: 3, 1.5: 4}, {"1": 2.0, "2": 3.0, "1.5": 4.0}),
        ({np.float64(3.0): np.float32(0.5)}, {"3": 0.5}),
    ],
)
def test_class_weights_as_they_are_written(weight, kept):
    assert check_class_weight(weight) == kept


@pytest.mark.parametrize("weight", [2.5, np.array(2.5), 3])
def test_one_weight_is_that_of_every_row(weight):
    assert check_sample_weight(weight, 3).tolist() == [float(weight)] * 3


def test_balanced_weights_are_scikit_learns_and_give_each_class_the_same_total():
    from sklearn.utils.class_weight import compute_class_weight

    y = np.array([0, 0, 0, 1, 2, 2])
    found = class_weights(y, ["a", "b", "c"], "balanced")
    np.testing.assert_allclose(
        found, compute_class_weight("balanced", classes=np.arange(3), y=y), rtol=1e-15
    )
    weight = np.array([1.0, 2.0, 0.0, 4.0, 1.0, 0.5])
    rows = row_weights(y, ["a", "b", "c"], "balanced", weight)
    totals = np.bincount(y, weights=rows)
    np.testing.assert_allclose(totals, totals[0], rtol=1e-14)
    assert rows.sum() == pytest.approx(weight.sum(), rel=1e-14)


def test_a_class_without_rows_has_no_part_in_the_balance():
    np.testing.assert_array_equal(
        class_weights(np.array([0, 0, 0, 2]), ["a", "b", "c"], "balanced"), [4 / 6, 0.0, 2.0]
    )


def test_a_table_of_weights_is_1_for_other_classes():
    y, classes = np.array([0, 1, 2, 1]), ["a", 1, 2.0]
    np.testing.assert_array_equal(class_weights(y, classes, {"1": 3.0}), [1.0, 3.0, 1.0])
    np.testing.assert_array_equal(row_weights(y, classes, {"2": 0.5}), [1.0, 1.0, 0.5, 1.0])
    both = row_weights(y, classes, {"2": 0.5}, np.array([1.0, 2.0, 4.0, 8.0]))
    np.testing.assert_array_equal(both, [1.0, 2.0, 2.0, 8.0])


def test_equal_weights_are_none():
    y = np.array([0, 1, 0, 1])
    assert row_weights(y, ["a", "b"], None) is None
    assert row_weights(y, ["a", "b"], "balanced") is None
    assert row_weights(y, ["a", "b"], {"a": 2.0, "b": 2.0}) is None
    assert row_weights(y, ["a", "b"], None, np.array([1.0, 1.0, 1.0, 2.0])) is not None


@pytest.mark.parametrize(
    ("y", "said"),
    [
        ([1.0, 2.0], ""),
        ([3.0, 3.0], f"the target {SAME}"),
        ([[1.0, 2.0], [1.0, 3.0]], f"target 1 {SAME}"),
        ([[1.0, 2.0], [1.0, 2.0]], f"target 1, 2 {SAME}"),
        ([[1.0, 2.0], [0.0, 3.0]], ""),
    ],
)
def test_targets_that_are_all_the_same_are_told(y, said):
    assert nothing_to_learn(np.array(y)) == said
