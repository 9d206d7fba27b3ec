"""Which parameters of a foreign circuit are features, by their names."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from qstore_ray.circuits.slots import Slots, feature_names, listed, read_slots
from qstore_ray.errors import CircuitError, ConfigError

NAMES = ["a", "phi[0]", "phi[10]", "phi[2]", "w"]


def _read(names, features=None, n_features=None, own=None) -> Slots:
    return read_slots(names, features, n_features, own)


@pytest.mark.parametrize("stem", ["x", "feature", "features"])
@pytest.mark.parametrize("form", ["{}0", "{}_0", "_{}_0_", "{}[0]", "_{}[0]", "{}", "_{}", "_{}_0"])
def test_every_spelling_of_a_feature_is_its_column(stem: str, form: str):
    name = form.format(stem)
    assert _read(["w", name]) == Slots({name: 0}, {"w": 0}, 1, 1)


def test_numbers_are_columns():
    assert _read(["x[3]", "b", "x[0]", "a"]) == Slots(
        {"x[3]": 3, "x[0]": 0}, {"b": 0, "a": 1}, 4, 2
    )
    assert _read(["x_12"]).columns == {"x_12": 12}
    for name in ("xx", "x_y", "x[[0", "x__0", "ax0", "xfeature", "x0y", "x-1"):
        assert _read([name]) == Slots({}, {name: 0}, 0, 1), name


def test_plain_names_from_1_on_begin_at_column_0():
    assert _read(["x2", "x1"]).columns == {"x2": 1, "x1": 0}
    assert _read(["x_1"]).columns == {"x_1": 0}
    assert _read(["x1", "x3"]).columns == {"x1": 1, "x3": 3}
    assert _read(["x0", "x1"]).columns == {"x0": 0, "x1": 1}
    assert _read(["x[1]", "x[2]"]).columns == {"x[1]": 1, "x[2]": 2}
    assert _read(["_x_1_"]).columns == {"_x_1_": 1}
    assert _read(["x1", "p0"], own=(2, 1)).columns == {"x1": 1}
    assert _read(["t1", "t2"], "t").columns == {"t1": 0, "t2": 1}


def test_a_width_may_be_larger_than_what_is_used():
    assert _read(["x1", "x0"], n_features=2).n_features == 2
    assert _read(["x1", "x0"], n_features=5).n_features == 5
    assert _read(["w"], n_features=3) == Slots({}, {"w": 0}, 3, 1)
    assert _read([]) == Slots({}, {}, 0, 0)
    with pytest.raises(CircuitError) as caught:
        _read(["x0", "x4"], n_features=4)
    assert (caught.value.message, caught.value.field, caught.value.value, caught.value.fix) == (
        "the circuit uses feature number 4",
        "n_features",
        4,
        "Number the features of the circuit from 0, as the columns of the data.",
    )


def test_features_are_named_by_a_stem_a_list_or_a_test():
    whole = {"phi[0]": 0, "phi[2]": 2, "phi[10]": 10}
    assert _read(NAMES, "phi") == Slots(whole, {"a": 0, "w": 1}, 11, 2)
    in_order = {"phi[0]": 0, "phi[2]": 1, "phi[10]": 2}
    assert _read(NAMES, ["phi"]).columns == in_order
    assert _read(NAMES, lambda name: "phi" in name).columns == in_order
    assert _read(NAMES, ["w", "phi_2", "_phi_0_"]).columns == {"w": 0, "phi[2]": 1, "phi[0]": 2}
    assert _read(NAMES, ("a",)) == Slots({"a": 0}, {n: k for k, n in enumerate(NAMES[1:])}, 1, 4)
    assert _read(["a.b", "axb"], "a.b").columns == {"a.b": 0}
    assert _read(["n", "n1", "n2"], ["n"]).columns == {"n": 0}


def test_what_names_no_feature_lists_the_parameters():
    fix = "Its parameters are a, phi[0], phi[2], phi[10], w."
    for features, value in (
        ("psi", "psi"),
        (["phi", "psi"], "psi"),
        (lambda name: False, "what the function accepts"),
    ):
        with pytest.raises(CircuitError) as caught:
            _read(NAMES, features)
        assert caught.value.message == "no parameter of the circuit has this name"
        assert (caught.value.field, caught.value.value) == ("features", value)
        assert caught.value.fix == fix
    with pytest.raises(CircuitError) as caught:
        _read([], "x")
    assert caught.value.fix == "It has no parameters."


def test_a_feature_is_named_once():
    with pytest.raises(CircuitError) as caught:
        _read(NAMES, ["w", "phi", "phi_2"])
    assert caught.value.message == "a parameter is named twice"
    assert caught.value.field == "features"
    assert caught.value.value == ["w", "phi[0]", "phi[2]", "phi[10]", "phi[2]"]
    assert caught.value.fix == "Name each parameter once, in the order of the columns of the data."
    with pytest.raises(CircuitError) as caught:
        _read(["x_1", "a", "x1"])
    assert caught.value.message == "two parameters are the same feature"
    assert (caught.value.field, caught.value.value) == ("features", ["x1", "x_1"])
    assert caught.value.fix == "Name the features x[0], x[1], …, or list them in `features`."


def test_parameters_are_listed_in_their_order_and_not_all_of_many():
    assert listed(["b_10", "b[2]", "a"]) == "Its parameters are a, b[2], b_10."
    assert listed([]) == "It has no parameters."
    names = [f"t{k}" for k in range(20)]
    assert listed(reversed(names)) == f"Its parameters are {', '.join(names)}."
    assert listed([*names, "t20"]) == f"Its parameters are {', '.join(names)}, and 1 more."


def test_a_circuit_of_our_own_keeps_its_slots():
    slots = _read(["x_1", "p_2"], own=(4, 5))
    assert slots == Slots({"x_1": 1}, {"p_2": 2}, 4, 5, True)
    assert _read(["x_0", "p[0]", "_p_4_"], own=(1, 5)).params == {"p[0]": 0, "_p_4_": 4}
    assert _read(["x_1"], n_features=6, own=(4, 0)) == Slots({"x_1": 1}, {}, 6, 0, True)
    assert _read([], own=(2, 3)) == Slots({}, {}, 2, 3, True)
    for names in (["x_1", "p_5"], ["x_1", "w"], ["x_4", "p_0"]):  # edited since
        slots = _read(names, own=(4, 5))
        assert not slots.own
        assert slots.params == {names[1]: 0}
        assert slots.n_params == 1
    assert not _read(["x_1", "p_2"], "x", own=(4, 5)).own
    assert not _read(["x_1", "p_2"]).own
    with pytest.raises(CircuitError, match="feature number 3") as caught:
        _read(["x_1"], n_features=3, own=(4, 0))
    assert caught.value.value == 3


def test_features_may_be_given_as_parameters_of_qiskit():
    one, vector = SimpleNamespace(name="a"), SimpleNamespace(name="v", params=[])
    assert feature_names(None) is None
    assert feature_names("phi") == "phi"
    assert feature_names(one) == ["a"]
    assert feature_names(vector) == "v"
    assert feature_names([one, "b"]) == ["a", "b"]
    assert feature_names(iter(("a", vector))) == ["a", "v"]
    assert feature_names(str.isalpha) is str.isalpha
    for given in (3, [3], [["a"]], ["a", None], SimpleNamespace(name=3)):
        with pytest.raises(ConfigError) as caught:
            feature_names(given)
        assert caught.value.message == "features are names of the circuit's parameters"
        assert (caught.value.field, caught.value.value) == ("features", given)
        assert caught.value.fix.startswith('Give the stem of numbered names, such as "phi", or a')
