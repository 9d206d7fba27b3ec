"""Circuits by name: an encoding of the data, then (or between) the layers of an ansatz.

    build_circuit(encoding="angle", ansatz="hardware_efficient",
                  n_qubits=4, n_features=4, layers=2)

With `reuploading` the data enter again before each layer, which is what lets a few qubits express
functions of high frequency (Pérez-Salinas et al. 2020, Quantum 4, 226). Each repetition has row
slots of its own, so that it can be scaled on its own.
"""

from __future__ import annotations

from qstore_ray.circuits.circuit import Circuit
from qstore_ray.circuits.library.ansatze import ANSATZE, ENTANGLEMENTS, kept_qubits, pairs
from qstore_ray.circuits.library.coupling import Entanglement
from qstore_ray.circuits.library.encodings import ENCODINGS, Encoded
from qstore_ray.circuits.library.row_angles import Repeated
from qstore_ray.circuits.template import Template
from qstore_ray.errors import CircuitError, ResourceError

__all__ = [
    "ANSATZE",
    "ENCODINGS",
    "ENTANGLEMENTS",
    "MAX_QUBITS",
    "WHOLE_QUBITS",
    "build_circuit",
    "kept_qubits",
    "pairs",
]

WHOLE_QUBITS = 30
"""The widest circuit whose state is held as a whole."""
MAX_QUBITS = 1_000
"""The widest circuit; from 31 qubits on it is evaluated by light cones, or on a device."""


def build_circuit(
    *,
    encoding: str,
    ansatz: str,
    n_qubits: int,
    n_features: int,
    layers: int,
    entanglement: Entanglement = "ring",
    reuploading: bool = False,
) -> Circuit:
    """The circuit ansatz · encoding(x) on `n_qubits`, or Π_ℓ layer_ℓ · encoding(x) re-uploading.

    Args:
        encoding: a name of `ENCODINGS`.
        ansatz: a name of `ANSATZE`.
        n_qubits: n, from 1 to 1,000.
        n_features: F, the width of the data.
        layers: L, how often the ansatz is repeated, at least 1.
        entanglement: which qubits are joined: a name or the pairs, see `pairs`.
        reuploading: encode before every layer; A is then L times that of one encoding.

    Raises:
        UnknownNameError: a name that is in no table.
        CircuitError: no qubits, layers or features, more features than the encoding takes, or
            re-uploading of amplitudes.
        ResourceError: more than 1,000 qubits.

    Examples:
        circuit = build_circuit(
            encoding="angle", ansatz="real_amplitudes", n_qubits=2, n_features=2, layers=1
        )
        assert circuit.template.n_params == 4
    """
    _check_sizes(n_qubits, n_features, layers)
    encode = ENCODINGS[encoding]
    blocks = ANSATZE[ansatz](n_qubits, layers, entanglement)
    encoded = encode(n_qubits, n_features)
    if not reuploading:
        template = _joined((encoded.template, *blocks))
        return Circuit(template, n_features, f"{encoding}+{ansatz}", encoded.encode, encoded.load)
    return _reuploading(encoded, blocks, n_features, f"{encoding}*{ansatz}")


def _reuploading(
    encoded: Encoded, blocks: tuple[Template, ...], n_features: int, name: str
) -> Circuit:
    if encoded.load is not None:
        raise CircuitError(
            "amplitudes can only be loaded at the start of a circuit, not before every layer",
            field="reuploading",
            value=True,
            fix="Use the encoding angle or dense_angle, or reuploading=False.",
        )
    template = _joined(tuple(part for block in blocks for part in (encoded.template, block)))
    return Circuit(template, n_features, name, Repeated(encoded.encode, len(blocks)))


def _joined(parts: tuple[Template, ...]) -> Template:
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.then(part)
    return whole


def _check_sizes(n_qubits: int, n_features: int, layers: int) -> None:
    sizes = {"n_qubits": n_qubits, "n_features": n_features, "layers": layers}
    for name, size in sizes.items():
        if size < 1:
            raise CircuitError("must be at least 1", field=name, value=size)
    if n_qubits > MAX_QUBITS:
        raise ResourceError(
            f"a circuit has at most {MAX_QUBITS:,} qubits",
            field="n_qubits",
            value=n_qubits,
            fix="Reduce the data (PCA) and use fewer qubits.",
        )
