"""Numbers of other libraries give those libraries' own channels.

The operators are written here from each library's definition; no library is imported.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.backends.noise.channels import DepolarizingChannel, PauliChannel
from qstore_ray.backends.noise.conventions import LIBRARIES, from_library, to_library
from qstore_ray.errors import ConfigError, UnknownNameError

I2, X = np.eye(2), np.array([[0, 1], [1, 0]])
Y, Z = np.array([[0, -1j], [1j, 0]]), np.diag([1, -1])
p01 = st.floats(0.0, 1.0)


def _action(kraus) -> np.ndarray:
    """The map on every matrix unit: equal maps, equal arrays."""
    dim = kraus[0].shape[0]
    units = np.eye(dim * dim).reshape(dim * dim, dim, dim)
    return np.array([sum(k @ unit @ k.conj().T for k in kraus) for unit in units])


def _is(channel, kraus, n_qubits: int = 1) -> None:
    np.testing.assert_allclose(_action(channel.kraus(n_qubits)), _action(kraus), atol=1e-12)


def _strings(n_qubits: int) -> list[np.ndarray]:
    found = []
    for factors in product((I2, X, Y, Z), repeat=n_qubits):
        string = np.eye(1)
        for factor in factors:
            string = np.kron(string, factor)
        found.append(string)
    return found


@given(share=p01, n=st.sampled_from([1, 2]))
def test_aers_depolarizing_replaces_the_state(share: float, n: int):
    """E(ρ) = (1 − λ) ρ + λ tr(ρ) I/2^n, for λ up to 4^n/(4^n − 1)."""
    lost = share * 4**n / (4**n - 1)
    found = _action(from_library("aer", "depolarizing", lost, n_qubits=n).kraus(n))
    units = np.eye(4**n).reshape(4**n, 2**n, 2**n)
    expected = [(1 - lost) * u + lost * np.trace(u) * np.eye(2**n) / 2**n for u in units]
    np.testing.assert_allclose(found, expected, atol=1e-12)


@given(p=p01, n=st.sampled_from([1, 2]))
@pytest.mark.parametrize("library", ["cirq", "braket"])
def test_cirqs_depolarizing_is_a_random_string_that_is_not_the_identity(
    library: str, p: float, n: int
):
    """`depolarize(p, n_qubits)`; Braket's Depolarizing and TwoQubitDepolarizing."""
    first, *others = _strings(n)
    kraus = [np.sqrt(1 - p) * first] + [np.sqrt(p / (4**n - 1)) * each for each in others]
    _is(from_library(library, "depolarizing", p, n_qubits=n), kraus, n)


@given(p=p01)
def test_pennylanes_depolarizing_is_a_random_pauli(p: float):
    """K0 = √(1 − p) I, K1, K2, K3 = √(p/3) X, Y, Z."""
    kraus = [np.sqrt(1 - p) * I2, *(np.sqrt(p / 3) * each for each in (X, Y, Z))]
    _is(from_library("pennylane", "depolarizing", p), kraus)


@pytest.mark.parametrize("library", LIBRARIES)
@given(p=p01)
def test_flips_are_the_same_everywhere(library: str, p: float):
    """Aer's `pauli_error([("X", p), ("I", 1 − p)])`, the others' BitFlip and PhaseFlip."""
    for name, pauli in (("bit_flip", X), ("phase_flip", Z)):
        _is(from_library(library, name, p), [np.sqrt(1 - p) * I2, np.sqrt(p) * pauli])


@pytest.mark.parametrize("library", LIBRARIES)
@given(gamma=p01)
def test_dampings_are_the_same_everywhere(library: str, gamma: float):
    """Amplitude: diag(1, √(1 − γ)), √γ |0⟩⟨1|. Phase: diag(1, √(1 − γ)), √γ |1⟩⟨1|."""
    kept = np.diag([1.0, np.sqrt(1 - gamma)])
    lost = np.sqrt(gamma)
    _is(from_library(library, "amplitude_damping", gamma), [kept, np.array([[0, lost], [0, 0]])])
    _is(from_library(library, "phase_damping", gamma), [kept, np.diag([0.0, lost])])


@given(
    t1=st.floats(1e-5, 1e-3), ratio=st.floats(0.05, 2.0), time=st.floats(0.0, 1e-4)
)  # fmt: skip
def test_relaxation_is_that_of_aer_and_pennylane(t1: float, ratio: float, time: float):
    """T2 ≤ T1: reset and Z at random. Above: PennyLane's operators of the Choi matrix."""
    t2 = min(ratio * t1, 2 * t1)
    reset = 1 - np.exp(-time / t1)
    if t2 <= t1:
        flip = (1 - reset) * (1 - np.exp(-time * (1 / t2 - 1 / t1))) / 2
        kraus = [
            np.sqrt(max(0.0, 1 - flip - reset)) * I2,
            np.sqrt(flip) * Z,
            np.sqrt(reset) * np.array([[1, 0], [0, 0]]),
            np.sqrt(reset) * np.array([[0, 1], [0, 0]]),
        ]
    else:
        root = np.exp(-time / t2)
        choi = np.array([[1, 0, 0, root], [0] * 4, [0, 0, reset, 0], [root, 0, 0, 1 - reset]])
        weights, columns = np.linalg.eigh(choi)
        kraus = [
            np.sqrt(max(0.0, w)) * column.reshape(2, 2).T
            for w, column in zip(weights, columns.T, strict=True)
        ]
    for library, numbers in (("aer", (t1, t2, time)), ("pennylane", (0.0, t1, t2, time))):
        _is(from_library(library, "thermal_relaxation", *numbers), kraus)


@pytest.mark.parametrize("library", LIBRARIES)
@given(p=p01)
def test_numbers_come_back(library: str, p: float):
    for name, n in (("depolarizing", 1), ("bit_flip", 1), ("phase_damping", 1)):
        channel = from_library(library, name, p, n_qubits=n)
        assert to_library(library, channel, n) == pytest.approx((p,))


def test_a_tenth_of_aer_is_less_elsewhere():
    channel = DepolarizingChannel(p=0.1)
    assert to_library("pennylane", channel) == pytest.approx((0.075,))
    assert to_library("cirq", channel, 2) == pytest.approx((0.09375,))
    assert to_library("aer", from_library("pennylane", "thermal_relaxation", 0, 5, 4, 1)) == (
        5.0, 4.0, 1.0, 0.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (("qulacs", "depolarizing", 0.1), UnknownNameError),
        (("cirq", "depolarising", 0.1), UnknownNameError),
        (("cirq", "depolarizing", 1.1), ConfigError),
        (("aer", "depolarizing", 1.4), ConfigError),
        (("cirq", "thermal_relaxation", 1.0, 1.0, 0.1), ConfigError),
        (("pennylane", "thermal_relaxation", 0.1, 1.0, 1.0, 0.1), ConfigError),
        (("aer", "thermal_relaxation", 1.0, 2.1, 0.1), ConfigError),
        (("aer", "bit_flip", 0.1, 0.2), ConfigError),
    ],
)
def test_numbers_out_of_their_convention_are_refused(call, error):
    with pytest.raises(error):
        from_library(*call)


def test_two_qubits_are_refused_if_the_library_has_no_such_channel():
    with pytest.raises(ConfigError, match="pennylane has no depolarizing on 2 qubits"):
        from_library("pennylane", "depolarizing", 0.1, n_qubits=2)
    with pytest.raises(UnknownNameError):
        to_library("aer", PauliChannel(probabilities={"X": 0.1}))
