"""Reading and writing observables."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qstore_ray.circuits.observable import (
    Observable,
    PauliTerm,
    named_observables,
    z_observables,
)
from qstore_ray.errors import CircuitError
from qstore_ray.testing.strategies import observables


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("Z0", [(0, 1, 1.0)]),
        ("X3", [(8, 0, 1.0)]),
        ("Y1", [(2, 2, 1.0)]),
        ("X0 Y2", [(5, 4, 1.0)]),
        ("0.5*X0 Y2 - Z1", [(5, 4, 0.5), (0, 2, -1.0)]),
        ("-2e-1*Z0 + 3 Z1", [(0, 1, -0.2), (0, 2, 3.0)]),
        ("I", [(0, 0, 1.0)]),
        ("Z12", [(0, 1 << 12, 1.0)]),
    ],
)
def test_text_is_read_as_masks(text: str, terms: list[tuple[int, int, float]]):
    assert Observable.parse(text) == Observable(tuple(PauliTerm(*term) for term in terms))


@settings(max_examples=50)
@given(st.integers(1, 5).flatmap(observables))
def test_the_label_is_read_back(observable: Observable):
    assert Observable.parse(observable.label) == observable


@pytest.mark.parametrize(
    "text", ["", "Q0", "Z", "Z0 Z0", "Z0 +", "Z0 Z1 X", "1.2.3*Z0", "Z0, Z1", "2*", "z0"]
)
def test_what_is_no_pauli_sum_is_refused(text: str):
    with pytest.raises(CircuitError, match="observable"):
        Observable.parse(text)


def test_the_number_of_qubits_is_that_of_the_highest():
    assert Observable.parse("Z0 + X4").n_qubits == 5
    assert Observable.parse("I").n_qubits == 0


def test_z_of_every_qubit():
    assert [o.label for o in z_observables(3)] == ["Z0", "Z1", "Z2"]
    assert named_observables("z", 3) == z_observables(3)


@pytest.mark.parametrize(
    ("name", "qubits", "labels"),
    [
        ("zz", 3, ["Z0 Z1", "Z0 Z2", "Z1 Z2"]),
        ("zz", 1, []),
        ("y+zz", (1, 4), ["Y1", "Y4", "Z1 Z4"]),
        ("xy", 2, ["X0 Y1", "Y0 X1"]),
        ("x+xx+yy", 2, ["X0", "X1", "X0 X1", "Y0 Y1"]),
    ],
)
def test_observables_by_name(name, qubits, labels):
    assert [o.label for o in named_observables(name, qubits)] == labels


def test_all_words_together_are_all_pauli_strings_on_one_and_two_qubits():
    words = "x+y+z+xx+yy+zz+xy+xz+yz"
    n = 4
    found = named_observables(words, n)
    assert len(set(found)) == len(found) == 3 * n + 9 * n * (n - 1) // 2
    assert all(Observable.parse(o.label) == o for o in found)


@pytest.mark.parametrize("name", ["", "Z", "z+", "z,zz", "zzz", "z + zz", "i", "z+z", "xy+yx"])
def test_what_names_no_observables_or_some_of_them_twice_is_refused(name):
    with pytest.raises(CircuitError, match="not a name of observables") as caught:
        named_observables(name, 2)
    assert caught.value.value == name
    assert "x+z+xx+zz" in caught.value.fix
