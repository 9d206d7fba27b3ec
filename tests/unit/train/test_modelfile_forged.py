"""A model file with right hashes and wrong contents: refused, and nothing in it is run."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qstore_ray.data.columns import Column, TableSchema
from qstore_ray.data.inputs.signature import Signature
from qstore_ray.errors import CheckpointError
from qstore_ray.train.model.archive import pack, unpack
from qstore_ray.train.model.trained import TrainedModel
from tests.trained_models import N, made, rows

NAMES = ("arrays.npz", "circuit.qasm", "manifest.json")
TABLE = TableSchema(tuple(Column(name) for name in "abc"), label="y")
MODEL = made(
    steps=[{"name": "standard"}, {"name": "pca", "components": 3, "whiten": True}],
    signature=Signature(N, TABLE, reader={"delimiter": ";"}),
)
DATA = MODEL.to_bytes()
RAW = rows(5, N, seed=1)
EXPECTED = MODEL.outputs(RAW).tobytes()


class Bomb:
    """What runs as soon as it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.abort, ()


def _refused(data: bytes, match: str | None = None) -> CheckpointError:
    with pytest.raises(CheckpointError, match=match) as caught:
        TrainedModel.from_bytes(data)
    assert caught.value.field
    assert caught.value.fix
    return caught.value


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def _forged(
    change: Callable[[dict[str, Any]], None] | None = None,
    arrays: dict[str, bytes] | None = None,
    circuit: bytes | None = None,
) -> bytes:
    """The file with another manifest or member, and the hashes that belong to it."""
    members = unpack(DATA, NAMES)
    if arrays is not None:
        names = [f"{name}.npy" for name in json.loads(members["manifest.json"])["arrays"]]
        kept = {**unpack(members["arrays.npz"], names), **arrays}
        members["arrays.npz"] = pack(kept)
    if circuit is not None:
        members["circuit.qasm"] = circuit
    manifest = json.loads(members.pop("manifest.json"))
    manifest["members"] = {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        for name, data in members.items()
    }
    if change is not None:
        change(manifest)
    return pack({**members, "manifest.json": json.dumps(manifest).encode()})


def test_forging_nothing_gives_a_file_that_loads():
    assert TrainedModel.from_bytes(_forged()).outputs(RAW).tobytes() == EXPECTED


# ---------------------------------------------------------------------------- the manifest


def _set(*path: Any, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(manifest: dict[str, Any]) -> None:
        node: Any = manifest
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = to

    return change


CONFIG = ("model", "config")
STEPS = ("model", "preparation", "steps")
INPUT = ("model", "input")
SHA = "0" * 64
FORGERIES = {
    "a later format": (_set("format", to=2), "format 1", "model.format"),
    "a key too many": (_set("code", to="x"), "extra inputs", "model.code"),
    "a key of the config": (_set(*CONFIG, "qubits", to=3), "unknown key", "model.qubits"),
    "an encoding": (_set(*CONFIG, "encoding", to="evil"), "encoding", "model.encoding"),
    "a function": (_set(*CONFIG, "circuit", to="os:getcwd"), "never a path", "config.circuit"),
    "a path": (_set(*CONFIG, "circuit", to="/etc/x.qasm"), "never a path", "config.circuit"),
    "a number": (_set(*CONFIG, "circuit", to=7), "describes no model", "model"),
    "no circuit": (_set(*CONFIG, "circuit", to="OPENQASM 3.0;\nx;\n"), "no model", "circuit"),
    "another ansatz": (_set(*CONFIG, "ansatz", to="basic"), "another circuit", "model"),
    "far more qubits": (_set(*CONFIG, "n_qubits", to=10**6), "less than", "model"),
    "many qubits": (_set(*CONFIG, "n_qubits", to=1000), "another circuit", "model"),
    "more qubits": (_set(*CONFIG, "n_qubits", to=31), "another circuit", "model"),
    "features": (_set("model", "n_features", to=2), "another circuit|features", "model"),
    "many features": (_set("model", "n_features", to=10**12), "less than", "n_features"),
    "a wrong hash": (_set("members", "arrays.npz", "sha256", to=SHA), "SHA-256", "model"),
    "a wrong size": (_set("members", "arrays.npz", "bytes", to=3), "SHA-256", "model"),
    "a member": (_set("members", "x", to={"sha256": SHA, "bytes": 0}), "SHA-256", "model"),
    "a shape": (_set("arrays", "theta", to=[1]), "shape is not", "theta"),
    "a huge shape": (_set("arrays", "theta", to=[2**62, 2**62]), "shape is not", "theta"),
    "an array": (_set("arrays", "x", to=[1]), "arrays are not", "arrays"),
    "no array": (_set("arrays", to={}), "arrays are not", "arrays"),
    "a step": (_set(*STEPS, 0, to={"name": "evil"}), "unknown step", "preparation"),
    "no step": (_set(*STEPS, to=[]), "belongs to no step", "model"),
    "other steps": (_set(*STEPS, 0, to={"name": "robust"}), "does not fit", "robust"),
    "components": (_set(*STEPS, 1, "components", to="x"), "no model", "components"),
    "raw features": (_set("model", "preparation", "n_features", to=5), "fit it|shapes", "standard"),
    "classes": (_set("model", "classes", to=[0.5, 1]), "classes", "classes"),
    "a class more": (_set("model", "classes", to=[0, 1, 2, 3]), "parameters", "theta"),
    "what it takes": (_set(*INPUT, to={}), "no model", "input"),
    "names": (_set(*INPUT, "table", "features", 1, "name", to="a"), "2 names for 3", "table"),
    "a kind of column": (_set(*INPUT, "table", "features", 1, "kind", to="x"), "no model", "kind"),
    "a key of a column": (_set(*INPUT, "table", "features", 1, "x", to=1), "unknown keys", "input"),
    "a file to read": (_set(*INPUT, "reader", "path", to="/etc/x"), "no setting", "reader"),
    "a reader's setting": (_set(*INPUT, "reader", "delimiter", to=";;"), "no model", "delimiter"),
    "an image": (_set(*INPUT, "image_shape", to=[2, 2]), "3 values", "image_shape"),
    "another width": (_set(*INPUT, to=Signature(4).to_dict()), "3 features, not 4", "input"),
    "origin": (_set("origin", "metrics", to={"accuracy": "high"}), "manifest", "metrics"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_manifest_is_refused(name: str):
    change, said, field = FORGERIES[name]
    assert field in _refused(_forged(change), said).field


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[1]", b"null", b'{"a": NaN}', b'{"a": 1, "a": 2}', b"[" * 10**5, b"\xff"],
    ids=lambda text: text[:9],
)
def test_a_manifest_that_is_no_object_of_json_is_refused(text: bytes):
    members = {**unpack(DATA, NAMES), "manifest.json": text}
    _refused(pack(members), "manifest")


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


def _paths(node: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = node.items() if isinstance(node, dict) else enumerate(node)
    found = [(*here, key) for key, _ in inner] if isinstance(node, dict | list) else []
    children = ((path, _at(node, path[len(here) :])) for path in list(found))
    return found + [p for path, child in children for p in _inner(child, path)]


def _inner(child: Any, path: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    return _paths(child, path) if isinstance(child, dict | list) else []


def _at(node: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        node = node[key]
    return node


MANIFEST = json.loads(unpack(DATA, NAMES)["manifest.json"])


@given(st.sampled_from(_paths(MANIFEST)), junk)
@settings(max_examples=300)
def test_a_manifest_with_anything_in_one_place_is_refused_or_is_a_model(path, value):
    try:
        TrainedModel.from_bytes(_forged(_set(*path, to=value))).outputs(RAW)
    except CheckpointError:
        return
    assert path[0] in {"model", "origin"}, "hashes, format and shapes admit one value"


# ------------------------------------------------------------------- the arrays, the circuit

THETA = MODEL.theta
ARRAYS = {
    "objects": (np.array([Bomb()] * len(THETA), dtype=object), "object"),
    "integers": (np.ones(len(THETA), np.int64), "int64"),
    "single precision": (THETA.astype(np.float32), "float32"),
    "the other byte order": (THETA.astype(">f8"), ">f8"),
    "records": (np.zeros(len(THETA), [("a", "<f8")]), "refused"),
    "NaN": (np.where(np.arange(len(THETA)) == 1, np.nan, THETA), "NaN or infinity"),
    "infinity": (np.where(np.arange(len(THETA)) == 1, -np.inf, THETA), "NaN or infinity"),
    "another length": (THETA[1:], "shape is not"),
    "another rank": (THETA[None], "shape is not"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_that_is_no_parameter_vector_is_refused_and_never_unpickled(name: str):
    array, said = ARRAYS[name]
    assert _refused(_forged(arrays={"theta.npy": _npy(array)}), said).field == "theta"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY\x01\x00",
        b"\x93NUMPY\x03\x00" + _npy(THETA)[8:],
        pickle.dumps(Bomb()),
        _npy(THETA) + b"more",
        _npy(THETA).replace(b"'<f8'", b"'O8' "),
        _npy(THETA).replace(b"False", b"[[[[["),
        _npy(THETA)[:-1],
    ],
    ids=range(8),
)
def test_an_array_whose_file_is_damaged_is_refused(content: bytes):
    assert _refused(_forged(arrays={"theta.npy": content})).field == "theta"


def test_an_array_more_than_the_manifest_lists_is_refused():
    error = _refused(_forged(arrays={"x.npy": _npy(np.ones(1))}), "does not belong")
    assert error.value == "x.npy"


def test_a_circuit_that_is_not_the_models_is_refused():
    circuit = unpack(DATA, NAMES)["circuit.qasm"].replace(b"\nry(", b"\nrx(")
    _refused(_forged(circuit=circuit), "another circuit")
