"""Pauli errors as signs: what each error flips, in circuits that are known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from qstore_ray.circuits.observable import Observable, PauliTerm
from qstore_ray.circuits.template import Op, Template, param, row
from qstore_ray.simulate.compile.signed_program import SignedProgram, Site
from qstore_ray.simulate.compile.signs import compile_signed

X, Z = Observable.parse("X0"), Observable.parse("Z0")
TURNS = Template(1, (Op("rz", (0,), (row(0),)), Op("rx", (0,), (param(0),))), 1, 1)


def _flips(program: SignedProgram, columns: int) -> list[str]:
    """A text for each outcome: 1 for a flipped rotation or string."""
    bits = np.unpackbits(program.flips, axis=1)[:, :columns]
    return ["".join(map(str, line)) for line in bits]


@pytest.mark.parametrize(
    ("after", "flips"),
    [
        # the rotations about Z and X, then the strings X and Z, under I, X, Z and Y
        (0, ["0000", "1001", "0110", "1111"]),
        # behind RZ, so that this is never flipped and has no column
        (1, ["000", "001", "110", "111"]),
        (2, ["00", "01", "10", "11"]),
    ],
)
def test_an_error_flips_what_it_anticommutes_with_behind_it(after: int, flips: list[str]):
    program = compile_signed(TURNS, (X, Z), (Site(after, (0,)),))
    assert _flips(program, len(flips[0])) == flips
    np.testing.assert_array_equal(program.weights, np.eye(2))


def test_an_error_of_two_qubits_is_the_product_of_two():
    """Of the 16 outcomes a string of both qubits is flipped by the 8 that anticommute with it."""
    both = Template(2, ())
    seen = (Observable.parse("Z0"), Observable.parse("X1"), Observable.parse("Z0 X1"))
    program = compile_signed(both, seen, (Site(0, (0, 1)),))
    found = np.array([[int(bit) for bit in line] for line in _flips(program, 3)])
    assert found.shape == (16, 3)
    assert found.sum(axis=0).tolist() == [8, 8, 8]
    np.testing.assert_array_equal(found[:, 2], found[:, 0] ^ found[:, 1])


def test_a_string_that_is_in_an_observable_twice_counts_twice():
    twice = Observable((PauliTerm(0, 1, 0.5), PauliTerm(1, 0, 2.0), PauliTerm(0, 1, 0.25)))
    program = compile_signed(TURNS, (twice, Z), ())
    np.testing.assert_array_equal(program.weights, [[0.75, 1.0], [2.0, 0.0]])
