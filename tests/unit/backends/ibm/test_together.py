"""Evaluations that are asked for together: their groups, and what a meter counts."""

from __future__ import annotations

import numpy as np
import pytest

from qstore_ray.backends.base import Bindings
from qstore_ray.backends.device_circuit import DeviceCircuit, together
from qstore_ray.backends.ibm.backend import IbmBackend
from qstore_ray.backends.ibm.gateway.recording import recording
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.meter import metered
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Op, Template, row

TURN = Template(1, (Op("ry", (0,), (row(0),)),), n_rows=1)
Z = (Observable.parse("Z0"),)
ROWS = Bindings(np.array([[0.1], [0.2]]), np.zeros(0))
BACKEND = IbmBackend("fake_manila", shots=100)


def _several(backend, *keys: DrawKey) -> list[float]:
    return [float(backend.evaluate(TURN, Z, ROWS, key=key).values[0, 0]) for key in keys]


@pytest.mark.parametrize(("part", "parts"), [(0, 1), (1, 3)])
def test_they_are_one_group_of_all_workers(part: int, parts: int):
    keys = [DrawKey((7, n), part=part, parts=parts) for n in range(3)]
    with recording() as gateway:
        together(BACKEND, lambda: _several(BACKEND, *keys))
        (turn,) = gateway.take_turns()
        _several(BACKEND, *keys)
        apart = gateway.take_turns()
    assert [(each.part, each.parts) for each in turn] == [
        (3 * part + n, 3 * parts) for n in range(3)
    ]
    assert len({each.group for each in turn}) == 1
    assert [each.key for each in turn] == [each.key for (each,) in apart], "the same measurements"


def test_the_same_evaluation_is_asked_for_once_and_one_alone_is_as_it_was():
    with recording() as gateway:
        found = together(BACKEND, lambda: _several(BACKEND, DrawKey((1,)), DrawKey((1,))))
        (turn,) = gateway.take_turns()
    assert len(turn) == 1
    assert turn[0].group == ""
    assert found[0] == found[1]


def test_other_shots_are_another_group():
    def work() -> None:
        for number, shots in enumerate((10, 20, 10, 20)):
            BACKEND.evaluate(TURN, Z, ROWS, shots=shots, key=DrawKey((number,)))

    with recording() as gateway:
        together(BACKEND, work)
        (turn,) = gateway.take_turns()
    assert (
        len({(each.group, each.shots) for each in turn}) == len({each.group for each in turn}) == 2
    )
    assert [(each.shots, each.part, each.parts) for each in turn] == [
        (10, 0, 2), (20, 0, 2), (10, 1, 2), (20, 1, 2),
    ]  # fmt: skip


def test_inside_of_another_they_are_all_together():
    def inner() -> list[float]:
        return together(BACKEND, lambda: _several(BACKEND, DrawKey((1,)), DrawKey((2,))))

    with recording() as gateway:
        together(BACKEND, lambda: [inner(), _several(BACKEND, DrawKey((3,)))])
        (turn,) = gateway.take_turns()
    assert [each.part for each in turn] == [0, 1, 2]


def test_a_meter_counts_them_once():
    meter = metered(BACKEND)
    with recording():
        together(meter, lambda: _several(meter, DrawKey((1,)), DrawKey((2,))))
        meter.counts(TURN, Z, ROWS, key=DrawKey((3,)))
    assert meter.take() == (6, 600)


def test_a_backend_without_jobs_just_works():
    exact = StatevectorBackend()
    assert together(exact, lambda: 3) == 3


def test_how_a_circuit_is_compiled_is_in_its_name():
    ways = [
        BACKEND,
        BACKEND.compiled_as(DeviceCircuit(folds=1)),
        BACKEND.compiled_as(DeviceCircuit(folds=2)),
        BACKEND.compiled_as(DeviceCircuit(folds=1, folding="local")),
        BACKEND.compiled_as(DeviceCircuit(layout_of=TURN)),
    ]
    with recording() as gateway:
        for backend in ways:
            backend.evaluate(TURN, Z, ROWS, key=DrawKey((1,)))
        keys = {each.key for (each,) in gateway.take_turns()}
    assert len(keys) == len(ways)


def test_how_many_workers_share_a_step_names_no_measurement_if_there_is_one():
    """The ledger of an earlier release, in which a lone worker's step was no group, is resumed."""
    with recording() as gateway:
        _several(BACKEND, DrawKey((1,)), DrawKey((1,), parts=1))
    (asked,), (step,) = gateway.take_turns()
    assert asked.key == step.key == "f5e30c41983c5b67f039ba9d9adca87d"
    assert (asked.group, step.group, step.deadline) == ("", ":1", float("inf"))
