"""Requests: refused out of range, cut into pieces within the caps; keys that say what is asked."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.backends.base import Bindings
from qstore_ray.backends.ibm.keys import (
    KEY_LENGTH,
    circuit_fingerprint,
    instance_id,
    job_key,
    options_text,
    redact_account,
    request_key,
)
from qstore_ray.backends.ibm.requests import JobCaps, PackedJob, pieces
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Op, Template, param, row
from qstore_ray.errors import ConfigError
from tests.unit.backends.ibm.made import job, request

TEMPLATE = Template(
    n_qubits=2,
    ops=(Op("ry", (0,), (row(0),)), Op("cx", (0, 1)), Op("rz", (1,), (param(0),))),
    n_rows=1,
    n_params=1,
)
Z = (Observable.parse("Z0"),)
ASKED = {
    "run": "digits",
    "trial": "0",
    "step": (1, 2),
    "group": "s2",
    "part": 0,
    "shots": 100,
    "options": "{}",
    "circuit": circuit_fingerprint(TEMPLATE, Z),
    "bindings": Bindings(np.array([[0.25]]), np.array([0.5])),
}
CRN = "crn:v1:bluemix:public:quantum-computing:us-east:a/0123abc:5f-1::"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"shots": 0}, "shots"),
        ({"rows": -1}, "rows"),
        ({"circuits_per_row": 0}, "circuits_per_row"),
        ({"row_bytes": -1}, "row_bytes"),
        ({"weight": 0.0}, "weight"),
        ({"weight": float("nan")}, "weight"),
        ({"arrival": float("inf")}, "arrival"),
        ({"part": 1}, "part"),
        ({"parts": 2, "group": "g"}, "deadline"),
        ({"parts": 2, "deadline": 1.0}, "deadline"),
    ],
)
def test_a_number_out_of_range_is_refused_by_name(changes, field):
    with pytest.raises(ConfigError) as caught:
        request(**changes)
    assert caught.value.field == field
    assert caught.value.fix


@given(
    rows=st.integers(1, 60),
    shots=st.integers(1, 30),
    circuits=st.integers(1, 3),
    circuit_bytes=st.integers(0, 20),
    row_bytes=st.integers(0, 20),
)
def test_pieces_have_each_row_once_and_are_within_the_caps(
    rows, shots, circuits, circuit_bytes, row_bytes
):
    caps = JobCaps(executions=90, payload_bytes=40)
    whole = request(
        rows=rows,
        shots=shots,
        circuits_per_row=circuits,
        circuit_bytes=circuit_bytes,
        row_bytes=row_bytes,
    )
    parts = pieces(whole, caps)
    covered = [part.first_row + i for part in parts for i in range(part.rows)]
    assert covered == list(range(rows))
    assert sum(part.executions for part in parts) == whole.executions
    assert max(part.executions for part in parts) <= caps.executions
    assert max(part.payload_bytes for part in parts) <= caps.payload_bytes
    assert len({part.key for part in parts}) == len(parts)
    assert {part.source for part in parts} == ({""} if len(parts) == 1 else {whole.key})
    assert max(part.rows for part in parts) - min(part.rows for part in parts) <= 1
    assert pieces(whole, caps) == parts


@pytest.mark.parametrize(
    ("changes", "field", "fix"),
    [
        ({"shots": 91}, "shots", "Take 90 shots"),
        ({"shots": 31, "circuits_per_row": 3}, "shots", "Take 30 shots"),
        ({"shots": 1, "circuits_per_row": 91}, "shots", "fewer observables"),
        ({"shots": 1, "row_bytes": 30, "circuit_bytes": 11}, "circuit", "fewer gates"),
        ({"shots": 1, "circuit_bytes": 41}, "circuit", "fewer gates"),
    ],
)
def test_a_row_above_a_cap_is_refused_before_anything_is_sent(changes, field, fix):
    with pytest.raises(ConfigError) as caught:
        pieces(request(rows=3, **changes), JobCaps(executions=90, payload_bytes=40))
    assert caught.value.field == field
    assert fix in caught.value.fix


@pytest.mark.parametrize("name", ["executions", "payload_bytes", "in_flight"])
def test_caps_are_at_least_one(name):
    with pytest.raises(ConfigError):
        JobCaps(**{name: 0})


def test_the_caps_are_the_published_ones():
    assert JobCaps() == JobCaps(executions=10_000_000, payload_bytes=50_000_000, in_flight=5)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("run", "iris"),
        ("trial", "1"),
        ("step", (1, 3)),
        ("step", (12,)),
        ("group", "s3"),
        ("part", 1),
        ("shots", 101),
        ("options", '{"a":1}'),
        ("circuit", circuit_fingerprint(TEMPLATE, (Observable.parse("Z1"),))),
        ("bindings", Bindings(np.array([[np.nextafter(0.25, 1)]]), np.array([0.5]))),
        ("bindings", Bindings(np.array([[0.25, 0.5]]), np.array([]))),
        ("bindings", Bindings(np.array([[0.25]]), np.array([[0.5]]))),
        ("bindings", Bindings(np.array([[0.25]]), np.array([0.5]), np.eye(1, 4))),
    ],
)
def test_a_request_that_differs_in_anything_has_another_key(name, other):
    assert request_key(**ASKED) != request_key(**{**ASKED, name: other})


def test_the_key_is_a_tag_and_does_not_depend_on_how_the_arrays_lie_in_memory():
    key = request_key(**ASKED)
    same = Bindings(np.array([[0.25, 9.0]])[:, ::2], np.array([0.5], dtype=">f8"))
    assert len(key) == KEY_LENGTH
    assert int(key, 16) >= 0
    assert request_key(**{**ASKED, "bindings": same}) == key


def test_keys_are_the_same_in_every_process_and_version():
    """A key that changes between versions is a job that is paid twice after an update."""
    assert circuit_fingerprint(TEMPLATE, Z)[:16] == "f1512e47267383b9"
    assert request_key(**ASKED) == "ce3ed3c305dff0107f11e945f8943b67"
    assert job_key(["a", "b"]) == "3c88d879e9487eeeaed085981a44a876"


def test_a_circuit_that_differs_in_a_gate_or_its_start_has_another_fingerprint():
    other = Template(2, (*TEMPLATE.ops[:2], Op("rx", (1,), (param(0),))), n_rows=1, n_params=1)
    loaded = Template(2, TEMPLATE.ops, n_rows=1, n_params=1, initial="amplitudes")
    prints = {circuit_fingerprint(each, Z) for each in (TEMPLATE, other, loaded)}
    assert len(prints) == 3


def test_a_job_is_named_by_its_requests_in_order():
    assert job("x", "y").key == job("x", "y").key
    assert len({job("x", "y").key, job("y", "x").key, job("x").key}) == 3
    assert PackedJob(job("x", "y").requests).executions == 200


def test_equal_options_have_equal_text():
    assert options_text({"b": 1, "a": [True, "x"]}) == options_text({"a": [True, "x"], "b": 1})
    with pytest.raises(ConfigError, match="JSON"):
        options_text({"a": float("nan")})
    with pytest.raises(ConfigError, match="JSON"):
        options_text({"a": object()})


@pytest.mark.parametrize("around", ["{}", "instance {}, gone", '{{"crn": "{}"}}', "'{}'"])
def test_an_account_is_named_by_a_hash_alone(around):
    shown = redact_account(around.format(CRN))
    assert CRN not in shown
    assert "0123abc" not in shown
    assert f"crn:{instance_id(CRN)}" in shown
    if around.startswith("{{"):
        json.loads(shown)


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer s3cret",
        "authorization: apikey s3cret-s3cret",
        "https://me:s3cret@host",
        "token=s3cret, and so",
        '{"apikey": "s3cret", "x": 1}',
        "{'access_token': 's3cret'}",
        "apikey=s3cret&grant_type=x",
    ],
)
def test_a_token_in_a_message_is_hidden(text):
    assert "s3cret" not in redact_account(text)


def test_a_message_without_a_token_stays_as_it_is():
    text = "401: the token expired after 3600 s; the bearer is unknown"
    assert redact_account(text).startswith("401: the token expired after 3600 s")
