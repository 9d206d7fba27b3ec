"""Templates are values: checked, comparable, hashable, picklable, joinable."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from qstore_ray.circuits.template import Op, Template, const, param, row
from qstore_ray.errors import CircuitError, UnknownNameError
from qstore_ray.simulate import reference
from qstore_ray.testing.strategies import templates


@settings(max_examples=25)
@given(templates())
def test_equal_templates_are_one_key(template: Template):
    same = pickle.loads(pickle.dumps(template))
    rebuilt = replace(template, ops=tuple(Op(*op) for op in template.ops))
    assert same == template == rebuilt
    assert len({template, rebuilt}) == 1


@settings(max_examples=25)
@given(templates(initial=("zeros",), min_qubits=2), templates(initial=("zeros",), min_qubits=2))
def test_joined_circuits_act_one_after_the_other(first: Template, second: Template):
    second = replace(second, n_qubits=3)
    first = replace(first, n_qubits=3)
    joined = first.then(second)
    rng = np.random.default_rng(0)
    rows, params = rng.normal(size=(2, joined.n_rows)), rng.normal(size=joined.n_params)
    middle = reference.states(first, rows[:, : first.n_rows], params[: first.n_params])
    end = reference.states(
        replace(second, initial="amplitudes"),
        rows[:, first.n_rows :],
        params[first.n_params :],
        middle,
    )
    np.testing.assert_allclose(reference.states(joined, rows, params), end, atol=1e-12)


@pytest.mark.parametrize(
    "op",
    [
        Op("rx", (0,)),
        Op("h", (0,), (const(1.0),)),
        Op("cx", (0,)),
        Op("cx", (1, 1)),
        Op("h", (2,)),
        Op("h", (-1,)),
        Op("rx", (0,), (row(1),)),
        Op("rx", (0,), (param(0),)),
        Op("rx", (0,), (const(math.nan),)),
        Op("rx", (0,), (row(0, scale=math.inf),)),
    ],
    ids=str,
)
def test_a_wrong_gate_is_refused(op: Op):
    with pytest.raises(CircuitError, match="gate 1"):
        Template(2, (Op("h", (0,)), op), n_rows=1)


def test_an_unknown_gate_is_refused_with_a_proposal():
    with pytest.raises(UnknownNameError, match=r"'rxx'|'rx'"):
        Template(2, (Op("rxxx", (0, 1)),))


def test_no_qubits_and_wrong_joins_are_refused():
    with pytest.raises(CircuitError, match="at least one qubit"):
        Template(0, ())
    with pytest.raises(CircuitError, match="2 and 3"):
        Template(2, ()).then(Template(3, ()))
    with pytest.raises(CircuitError, match="amplitudes"):
        Template(2, ()).then(Template(2, (), initial="amplitudes"))


def test_a_hash_survives_the_way_to_another_process() -> None:
    """Python salts the hashes of strings anew in every process."""
    template = Template(2, (Op("ry", (0,), (row(0),)), Op("cx", (0, 1))), n_rows=1)
    code = (
        "import pickle, sys; t = pickle.load(sys.stdin.buffer);"
        "from qstore_ray.circuits.template import Op, Template, row;"
        "fresh = Template(2, (Op('ry', (0,), (row(0),)), Op('cx', (0, 1))), n_rows=1);"
        "assert {fresh: 1}[t] == 1"
    )
    subprocess.run([sys.executable, "-c", code], input=pickle.dumps(template), check=True)


def test_equal_sums_of_slots_are_equal_angles():
    one = row(1).plus(param(2, 0.5)).plus(param(0, -1.0, 0.25))
    other = param(0, -1.0).plus(param(2, 0.25, 0.25)).plus(row(1)).plus(param(2, 0.25))
    assert one == other
    assert [term[:2] for term in one.terms] == [("row", 1), ("param", 0), ("param", 2)]
    assert one.plus(other.scaled(-1.0)) == const(0.0)
    assert one.scaled(2.0) == one.plus(other)


def test_a_slot_that_is_twice_in_an_angle_is_refused():
    doubled = param(0)._replace(terms=param(0).terms * 2)
    with pytest.raises(CircuitError, match="twice"):
        Template(1, (Op("rx", (0,), (doubled,)),), n_params=1)


def test_an_unknown_gate_is_named_with_its_place():
    with pytest.raises(UnknownNameError) as caught:
        Template(1, (Op("h", (0,)), Op("hh", (0,))))
    assert (caught.value.field, caught.value.value) == ("gate 1", "hh")
    assert caught.value.message == "unknown gate"
    assert caught.value.fix.startswith("Did you mean 'h'? Known: ccx, ch, ")
