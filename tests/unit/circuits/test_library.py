"""Every encoding and every ansatz against its laws and its published definition."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.circuit.library import efficient_su2, real_amplitudes, zz_feature_map

from qstore_ray.circuits.circuit import Circuit
from qstore_ray.circuits.library.encodings import ENCODINGS
from qstore_ray.circuits.library.library import (
    ANSATZE,
    ENTANGLEMENTS,
    build_circuit,
    kept_qubits,
    pairs,
)
from qstore_ray.circuits.library.row_angles import Bits, Features
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.qiskit.qiskit import from_qiskit
from qstore_ray.circuits.template import Op, Template
from qstore_ray.errors import CircuitError, DataError, ResourceError, UnknownNameError
from qstore_ray.simulate import reference

N = 3
WIDTH = dict.fromkeys(ENCODINGS, N) | {"dense_angle": 6, "amplitude": 7, "hamiltonian": 2}
SEEN = [Observable.parse(f"{letter}{q}") for letter in "XYZ" for q in range(N)]

every_encoding = pytest.mark.parametrize("encoding", ENCODINGS)
every_ansatz = pytest.mark.parametrize("ansatz", ANSATZE)
reuploading_or_not = pytest.mark.parametrize("reuploading", [False, True])


def _circuit(encoding: str = "angle", ansatz: str = "hardware_efficient", **other) -> Circuit:
    sizes = {"n_qubits": N, "n_features": WIDTH[encoding], "layers": 2} | other
    return build_circuit(encoding=encoding, ansatz=ansatz, **sizes)


def _data(encoding: str, rows: int = 5, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shape = (rows, WIDTH[encoding])
    if encoding == "basis":
        return rng.integers(0, 2, shape).astype(float)
    return rng.uniform(-1.5, 1.5, shape)


def _values(circuit: Circuit, x: np.ndarray, params: np.ndarray, observables=SEEN) -> np.ndarray:
    return reference.expectations(
        circuit.template, observables, circuit.angles(x), params, circuit.amplitudes(x)
    )


def _params(circuit: Circuit, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-2, 2, circuit.template.n_params)


@every_encoding
@reuploading_or_not
def test_a_batch_is_encoded_as_its_rows_one_by_one_bit_for_bit(encoding: str, reuploading: bool):
    if encoding == "amplitude" and reuploading:
        with pytest.raises(CircuitError, match="reuploading"):
            _circuit(encoding, reuploading=True)
        return
    circuit = _circuit(encoding, reuploading=reuploading)
    for x in (
        _data(encoding, 37),
        np.asfortranarray(_data(encoding, 37)),
        _data(encoding, 74)[::2],
    ):
        one_by_one = [circuit.angles(x[i : i + 1]) for i in range(len(x))]
        np.testing.assert_array_equal(circuit.angles(x), np.vstack(one_by_one))
        assert circuit.angles(x).shape == (len(x), circuit.template.n_rows)
        states = circuit.amplitudes(x)
        if states is not None:
            single = np.vstack([circuit.amplitudes(x[i : i + 1]) for i in range(len(x))])
            np.testing.assert_array_equal(states, single)
    assert circuit.angles(np.zeros((0, WIDTH[encoding]))).shape == (0, circuit.template.n_rows)


@every_encoding
def test_every_feature_changes_the_output(encoding: str):
    circuit = _circuit(encoding)
    x, params = _data(encoding, 1), _params(circuit)
    base = _values(circuit, x, params)
    for column in range(x.shape[1]):
        other = x.copy()
        other[0, column] = 1 - x[0, column] if encoding == "basis" else x[0, column] + 0.4
        assert np.abs(_values(circuit, other, params) - base).max() > 1e-4


@every_ansatz
@reuploading_or_not
@pytest.mark.parametrize("n_qubits", [1, 2, 3])
def test_every_parameter_changes_the_output(ansatz: str, reuploading: bool, n_qubits: int):
    sizes = {"n_qubits": n_qubits, "n_features": n_qubits}
    circuit = _circuit(ansatz=ansatz, reuploading=reuploading, **sizes)
    rows, params = circuit.angles(np.full((1, n_qubits), 0.9)), _params(circuit)
    seen = [o for o in SEEN if o.n_qubits <= n_qubits]
    step = 1e-5 * np.eye(circuit.template.n_params)
    # One row a shifted parameter, all observables at once.
    up, down = (
        reference.expectations(
            circuit.template, seen, np.repeat(rows, len(step), axis=0), params + shift
        )
        for shift in (step, -step)
    )
    slopes = np.abs(up - down).max(axis=1) / 2e-5
    assert slopes.min(initial=1) > 1e-4


@every_encoding
def test_the_pullback_is_the_transposed_jacobian(encoding: str):
    circuit = _circuit(encoding, reuploading=encoding != "amplitude")
    x, rng, step = _data(encoding), np.random.default_rng(4), 1e-6
    angles = rng.normal(size=(len(x), circuit.template.n_rows))
    states = rng.normal(size=(len(x), 2**N)) + 1j * rng.normal(size=(len(x), 2**N))
    if encoding == "basis":
        with pytest.raises(CircuitError, match="derivative"):
            circuit.pullback(x, angles)
        return

    def weighted(at: np.ndarray) -> np.ndarray:
        loaded = circuit.amplitudes(at)
        total = (circuit.angles(at) * angles).sum(axis=1)
        return total if loaded is None else total + (loaded * states.real).sum(axis=1)

    found = circuit.pullback(x, angles, states)
    for column, direction in enumerate(np.eye(x.shape[1])):
        slope = (weighted(x + step * direction) - weighted(x - step * direction)) / (2 * step)
        np.testing.assert_allclose(found[:, column], slope, atol=1e-7)


@every_encoding
@every_ansatz
def test_a_circuit_is_a_value(encoding: str, ansatz: str):
    circuit = _circuit(encoding, ansatz)
    assert circuit == _circuit(encoding, ansatz)
    assert hash(circuit) == hash(_circuit(encoding, ansatz))
    copy = pickle.loads(pickle.dumps(circuit))
    assert copy == circuit
    x = _data(encoding)
    np.testing.assert_array_equal(copy.angles(x), circuit.angles(x))


@every_ansatz
@pytest.mark.parametrize("layers", [1, 3])
def test_reuploading_gives_each_repetition_its_own_slots(ansatz: str, layers: int):
    once = _circuit(ansatz=ansatz, layers=layers)
    often = _circuit(ansatz=ansatz, layers=layers, reuploading=True)
    assert often.template.n_params == once.template.n_params
    assert often.template.n_rows == layers * once.template.n_rows
    terms = [term for op in often.template.ops for angle in op.angles for term in angle.terms]
    used = [term.slot for term in terms if term.kind == "row"]
    assert sorted(used) == list(range(often.template.n_rows))
    if layers == 1:
        assert often.template == once.template


@every_ansatz
def test_the_number_of_parameters_is_the_documented_one(ansatz: str):
    n, layers = 4, 3
    expected = {
        "hardware_efficient": n * (2 * layers + 1),
        "real_amplitudes": n * (layers + 1),
        "efficient_su2": 2 * n * (layers + 1),
        "strongly_entangling": 3 * n * layers,
        "basic": n * layers,
        "qcnn": 17 + 17 + 3,  # on 4, 2, and 1 qubit
    }
    assert sum(t.n_params for t in ANSATZE[ansatz](n, layers, "ring")) == expected[ansatz]


@settings(max_examples=20)
@given(st.integers(2, 4), st.integers(0, 2**32 - 1))
def test_zz_is_the_feature_map_of_qiskit(n: int, seed: int):
    ours = build_circuit(encoding="zz", ansatz="basic", n_qubits=n, n_features=n, layers=1)
    theirs = from_qiskit(zz_feature_map(n, reps=2))
    x = np.random.default_rng(seed).uniform(-3, 3, (2, n))
    seen = [Observable.parse(f"{letter}{q}") for letter in "XYZ" for q in range(n)]
    ours_at_zero = _values(ours, x, np.zeros(n), seen)
    plain = Template(n, tuple(Op("cx", pair) for pair in pairs(n, "ring")))
    joined = theirs.template.then(plain)
    expected = reference.expectations(joined, seen, theirs.angles(x), np.zeros(0))
    np.testing.assert_allclose(ours_at_zero, expected, atol=1e-10)


@pytest.mark.parametrize(
    ("ansatz", "theirs"), [("real_amplitudes", real_amplitudes), ("efficient_su2", efficient_su2)]
)
@pytest.mark.parametrize("entanglement", ["linear", "full", "pairwise"])
def test_an_ansatz_is_that_of_qiskit(ansatz: str, theirs, entanglement: str):
    expected = from_qiskit(theirs(4, entanglement=entanglement, reps=2)).template
    first, second = ANSATZE[ansatz](4, 2, entanglement)
    ours = first.then(second)
    params = np.random.default_rng(1).normal(size=ours.n_params)
    np.testing.assert_allclose(
        reference.states(ours, np.zeros((1, 0)), params),
        reference.states(expected, np.zeros((1, 0)), params),
        atol=1e-12,
    )


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("linear", [(0, 1), (1, 2), (2, 3)]),
        ("ring", [(0, 1), (1, 2), (2, 3), (3, 0)]),
        ("full", [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]),
        ("pairwise", [(0, 1), (2, 3), (1, 2)]),
    ],
)
def test_pairs(kind: str, expected: list[tuple[int, int]]):
    assert list(pairs(4, kind)) == expected
    assert pairs(1, kind) == ()
    assert pairs(2, kind) == ((0, 1),)


def test_the_range_of_strong_entanglement_grows_with_the_layer():
    rings = [[op.qubits for op in t.ops if op.gate == "cx"] for t in _layers("strongly_entangling")]
    assert rings[0] == [(0, 1), (1, 2), (2, 3), (3, 0)]
    assert rings[1] == [(0, 2), (1, 3), (2, 0), (3, 1)]
    assert rings[3] == rings[0]


def _layers(ansatz: str) -> tuple[Template, ...]:
    return ANSATZE[ansatz](4, 4, "ring")


def test_basis_encoding_prepares_the_basis_state():
    x = np.array([[1.0, 0.0, 1.0]])
    encoded = ENCODINGS["basis"](3, 3)
    state = reference.states(encoded.template, encoded.encode(x), np.zeros(0))
    np.testing.assert_allclose(np.abs(state[0]) ** 2, np.eye(8)[0b101], atol=1e-15)


def test_amplitude_encoding_prepares_the_normalised_padded_row():
    circuit = _circuit("amplitude")
    x = np.array([[3.0, 4.0, 0, 0, 0, 0, 0], [-1e-200, 0, 0, 0, 0, 0, 1e-200]])
    expected = np.zeros((2, 8))
    expected[0, :2] = 0.6, 0.8
    expected[1, 0], expected[1, 6] = -np.sqrt(0.5), np.sqrt(0.5)
    np.testing.assert_allclose(circuit.amplitudes(x), expected, atol=1e-15)


@pytest.mark.parametrize(
    ("encoding", "x", "message"),
    [
        ("angle", np.zeros((2, 2)), "3 features"),
        ("angle", np.zeros(3), "3 features"),
        ("angle", np.array([[0.0, 0, 0], [0, np.nan, 0]]), "row 1"),
        ("angle", np.array([[np.inf, 0, 0]]), "row 0"),
        ("basis", np.array([[0.0, 1, 1], [0, 0.5, 1]]), "row 1"),
        ("amplitude", np.array([[1.0] * 7, [0.0] * 7]), "row 1"),
    ],
)
def test_data_that_cannot_be_encoded_are_refused_by_row(encoding: str, x, message: str):
    circuit = _circuit(encoding)
    encode = circuit.amplitudes if encoding == "amplitude" else circuit.angles
    with pytest.raises(DataError, match=message):
        encode(x)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"n_qubits": 0}, CircuitError, "n_qubits"),
        ({"n_qubits": 1001}, ResourceError, "1,000 qubits"),
        ({"layers": 0}, CircuitError, "layers"),
        ({"n_features": 0}, CircuitError, "n_features"),
        ({"n_features": 5}, CircuitError, r"PCA.*dense_angle.*amplitude.*n_qubits to 5"),
        ({"encoding": "dense_angle", "n_features": 7}, CircuitError, r"PCA.*n_qubits to 4"),
        ({"encoding": "amplitude", "n_features": 9}, CircuitError, r"PCA.*n_qubits to 4"),
        ({"encoding": "hamiltonian"}, CircuitError, r"PCA.*n_qubits to 4"),
        ({"encoding": "hamiltonian", "n_qubits": 1}, CircuitError, r"0 features.*n_qubits to 4"),
        ({"encoding": "zz", "n_features": 2}, CircuitError, "n_qubits to 2"),
        ({"encoding": "angel"}, UnknownNameError, "'angle'"),
        ({"ansatz": "basics"}, UnknownNameError, "'basic'"),
        ({"entanglement": "rings"}, UnknownNameError, "'ring'"),
        ({"ansatz": "strongly_entangling", "entanglement": "full"}, CircuitError, "efficient_su2"),
    ],
    ids=str,
)
def test_what_cannot_be_built_is_refused(change: dict, error: type, message: str):
    asked = {
        "encoding": "angle",
        "ansatz": "basic",
        "n_qubits": 3,
        "n_features": 3,
        "layers": 1,
        "entanglement": "linear" if change.get("ansatz") != "strongly_entangling" else "ring",
    }
    with pytest.raises(error, match=message):
        build_circuit(**(asked | change))


@pytest.mark.parametrize("entanglement", ENTANGLEMENTS)
def test_every_entanglement_builds(entanglement: str):
    assert _circuit(entanglement=entanglement).template.n_params == N * 5


def test_a_circuit_loads_amplitudes_exactly_where_its_template_starts_from_them():
    with pytest.raises(CircuitError, match="load"):
        Circuit(Template(1, (), initial="amplitudes"), 2, "wrong", Features())


# ---------------------------------------------------------------------------------------- pooling


@pytest.mark.parametrize(
    ("n_qubits", "layers", "kept"),
    [(8, 0, (0, 1, 2, 3, 4, 5, 6, 7)), (8, 1, (0, 2, 4, 6)), (8, 3, (0,)), (6, 2, (0, 4)),
     (5, 1, (0, 2, 4)), (1, 4, (0,)), (30, 1000, (0,))],
)  # fmt: skip
def test_pooling_keeps_every_other_qubit(n_qubits: int, layers: int, kept: tuple[int, ...]):
    assert kept_qubits("qcnn", n_qubits, layers) == kept
    assert kept_qubits("basic", n_qubits, layers) == tuple(range(n_qubits))


@pytest.mark.parametrize("entanglement", ENTANGLEMENTS)
@pytest.mark.parametrize("n_qubits", [2, 5, 8])
def test_a_layer_of_qcnn_acts_on_what_the_one_before_left(entanglement: str, n_qubits: int):
    for layer, template in enumerate(ANSATZE["qcnn"](n_qubits, 4, entanglement)):
        used = {qubit for op in template.ops for qubit in op.qubits}
        assert used == set(kept_qubits("qcnn", n_qubits, layer))
        pooled = {op.qubits for op in template.ops if op.gate in {"crz", "crx"}}
        left = kept_qubits("qcnn", n_qubits, layer + 1)
        assert {target for _, target in pooled} <= set(left)
        assert {control for control, _ in pooled} == used - set(left)


def test_a_convolution_reaches_every_two_qubit_unitary():
    """Its 15 parameters move the unitary in 15 directions: as many as SU(4) has."""
    (layer,) = ANSATZE["qcnn"](2, 1, "linear")
    unitary = replace(
        layer, ops=tuple(op for op in layer.ops if op.gate not in {"crz", "x", "crx"})
    )
    loaded, point = (
        replace(unitary, initial="amplitudes"),
        np.random.default_rng(6).uniform(0.3, 1.2, 17),
    )

    def column(params: np.ndarray) -> np.ndarray:
        made = reference.states(loaded, np.zeros((4, 0)), params, np.eye(4))
        # U ⊗ U*, in which a global phase of U cancels.
        return np.einsum("ij,kl->ikjl", made, made.conj()).ravel()

    step = 1e-6
    columns = [(column(point + step * e) - column(point - step * e)) / (2 * step)
               for e in np.eye(17)[:15]]  # fmt: skip
    jacobian = np.array([np.concatenate([c.real, c.imag]) for c in columns])
    assert np.linalg.matrix_rank(jacobian, tol=1e-5) == 15


@pytest.mark.parametrize("n_qubits", [2, 3, 4])
def test_pooling_turns_the_kept_qubit_by_what_the_dropped_one_is(n_qubits: int):
    """With no convolution: RZ of the kept qubit where the other is 1, RX where it is 0."""
    (layer,) = ANSATZE["qcnn"](n_qubits, 1, "ring")
    params = np.zeros(17)
    params[15:] = 0.7, 1.1
    zero, one = np.zeros((2, 2**n_qubits))
    zero[0], one[2] = 1.0, 1.0  # qubit 1 is the one that qubit 0 is paired with
    seen = [Observable.parse("Z0")]
    loaded = replace(layer, initial="amplitudes")
    found = reference.expectations(loaded, seen, np.zeros((2, 0)), params, np.array([zero, one]))
    np.testing.assert_allclose(found[:, 0], [np.cos(1.1), 1.0], atol=1e-14)


DENSE = "use the encoding dense_angle (two features a qubit)"
PCA = "Reduce the data to {} components (PCA)"


@pytest.mark.parametrize(
    ("encoding", "n_qubits", "n_features", "message", "fix"),
    [
        ("angle", 3, 4, "takes at most 3 features on 3 qubits",
         f"{PCA.format(3)}, or {DENSE}, or use the encoding amplitude, or set n_qubits to 4."),
        ("basis", 3, 7, "takes at most 3 features on 3 qubits",
         f"{PCA.format(3)}, or use the encoding amplitude, or set n_qubits to 7."),
        ("angle", 3, 8, "takes at most 3 features on 3 qubits",
         f"{PCA.format(3)}, or use the encoding amplitude, or set n_qubits to 8."),
        ("iqp", 3, 9, "takes at most 3 features on 3 qubits",
         f"{PCA.format(3)}, or set n_qubits to 9."),
        ("angle", 3, 6, "takes at most 3 features on 3 qubits",
         f"{PCA.format(3)}, or {DENSE}, or use the encoding amplitude, or set n_qubits to 6."),
        ("dense_angle", 3, 7, "takes at most 6 features on 3 qubits",
         f"{PCA.format(6)}, or use the encoding amplitude, or set n_qubits to 4."),
        ("dense_angle", 2, 8, "takes at most 4 features on 2 qubits",
         f"{PCA.format(4)}, or set n_qubits to 4."),
        ("amplitude", 2, 5, "takes at most 4 features on 2 qubits",
         f"{PCA.format(4)}, or set n_qubits to 3."),
        ("amplitude", 2, 4, None, ""),
        ("hamiltonian", 1, 1, "takes at most 0 features on 1 qubits",
         f"{DENSE[0].upper()}{DENSE[1:]}, or use the encoding amplitude, or set n_qubits to 2."),
        ("zz", 3, 2, "takes as many features as qubits, 3",
         "Set n_qubits to 2, or reduce the data to 3 components (PCA)."),
        ("amplitude", 31, 2, "a row of 2^31 amplitudes fits no machine",
         "Take at most 30 qubits, or the encoding angle."),
        ("amplitude", 30, 2, None, ""),
    ],
)  # fmt: skip
def test_features_that_do_not_fit_are_told_where_they_would(
    encoding: str, n_qubits: int, n_features: int, message: str | None, fix: str
):
    if message is None:
        assert ENCODINGS[encoding](n_qubits, n_features).template.n_qubits == n_qubits
        return
    with pytest.raises(CircuitError) as caught:
        ENCODINGS[encoding](n_qubits, n_features)
    wide = n_qubits > 30
    assert caught.value.message == (message if wide else f"the encoding {encoding} {message}")
    assert caught.value.field == ("n_qubits" if wide else "n_features")
    assert caught.value.value == (n_qubits if wide else n_features)
    assert caught.value.fix == fix


def test_names_and_sizes_that_are_none_say_their_field():
    for kind, error in (("rings", UnknownNameError), (((0, 0),), CircuitError)):
        with pytest.raises(error) as caught:
            pairs(3, kind)
        assert caught.value.field == "entanglement"
    with pytest.raises(CircuitError) as caught:
        ANSATZE["strongly_entangling"](3, 1, "full")
    assert caught.value.message == "strongly_entangling has its own ring of growing range"
    assert (caught.value.field, caught.value.value) == ("entanglement", "full")
    assert caught.value.fix == 'Leave entanglement at "ring", or choose efficient_su2.'
    for sizes in ({"n_qubits": 0}, {"n_features": 0}, {"layers": 0}, {"n_qubits": -1}):
        with pytest.raises(CircuitError) as caught:
            _circuit(**sizes)
        ((field, value),) = sizes.items()
        assert caught.value.message == "must be at least 1"
        assert (caught.value.field, caught.value.value) == (field, value)
    with pytest.raises(ResourceError) as caught:
        _circuit(n_qubits=1001)
    assert caught.value.message == "a circuit has at most 1,000 qubits"
    assert (caught.value.field, caught.value.value) == ("n_qubits", 1001)
    assert caught.value.fix == "Reduce the data (PCA) and use fewer qubits."
    assert _circuit(n_qubits=1000, entanglement="linear").template.n_qubits == 1000
    with pytest.raises(CircuitError) as caught:
        _circuit("amplitude", reuploading=True)
    assert (caught.value.field, caught.value.value) == ("reuploading", True)
    assert caught.value.fix == "Use the encoding angle or dense_angle, or reuploading=False."
    assert _circuit().name == "angle+hardware_efficient"
    assert _circuit(reuploading=True).name == "angle*hardware_efficient"


def test_products_of_features_are_around_their_center():
    """iqp: x_i·x_j; zz: (π − x_i)(π − x_j)."""
    x = np.array([[0.5, -1.0, 2.0]])
    for encoding, center in (("iqp", 0.0), ("zz", np.pi)):
        found = ENCODINGS[encoding](3, 3).encode(x)
        away = center - x[0]
        expected = [*x[0], away[0] * away[1], away[0] * away[2], away[1] * away[2]]
        np.testing.assert_allclose(found, [expected], rtol=1e-15)


@pytest.mark.parametrize("size", ["n_qubits", "n_features", "layers"])
def test_a_size_below_1_is_refused_by_its_name(size: str):
    with pytest.raises(CircuitError, match="must be at least 1") as caught:
        _circuit(**{size: 0})
    assert (caught.value.field, caught.value.value) == (size, 0)


def test_a_circuit_is_named_after_its_parts_and_how_they_are_joined():
    assert _circuit("angle", "basic").name == "angle+basic"
    assert _circuit("angle", "basic", reuploading=True).name == "angle*basic"


def test_a_row_of_zeros_is_no_state_and_is_found():
    x = _data("amplitude")
    x[3] = 0.0
    with pytest.raises(DataError, match="row 3 is all zeros") as caught:
        _circuit("amplitude").amplitudes(x)
    assert caught.value.field == "x"


def test_a_bit_has_no_derivative_and_the_way_out_is_told():
    with pytest.raises(CircuitError, match="basis encoding has no derivative") as caught:
        Bits().pullback(np.zeros((1, 2)), np.ones((1, 2)))
    assert caught.value.field == "encoding"
    assert "encoding angle" in caught.value.fix
