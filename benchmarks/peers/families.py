"""The circuits that are compared, each as our own template and as a file that any peer can read.

    F1  RY(x); L layers of RY, RZ on each qubit and a CZ ring; ⟨Z0⟩, ⟨Z1⟩
    F2  RY(x); 3 layers of RY, RZ and a chain of CX; every ⟨Z_i⟩
    F3  Qiskit's zz_feature_map (2 repetitions, full) and real_amplitudes (3); every ⟨Z_i⟩
    F4  RY(x); 3 layers of U and a CX ring of growing range; every ⟨Z_i⟩ and ⟨Z_i Z_j⟩
    F5  amplitude encoding and Qiskit's efficient_su2 (3 repetitions); every ⟨Z_i⟩
    F6  a convolutional circuit that halves its active qubits until one is left; ⟨Z⟩ of that one

A peer is given angles and amplitudes, not features: the encoding functions run once, here, so that
everybody is timed on the same work.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from qstore_ray.circuits.circuit import Circuit
from qstore_ray.circuits.library.ansatze import strongly_entangling
from qstore_ray.circuits.library.encodings import amplitude, angle
from qstore_ray.circuits.observable import Observable, named_observables, z_observables
from qstore_ray.circuits.qiskit.qiskit import from_qiskit
from qstore_ray.circuits.template import Angle, Op, Template, param

SEED = 7
FAMILIES = ("F1", "F2", "F3", "F4", "F5", "F6")
QUBITS = (4, 8, 10, 12, 16, 20)
LAYERS = 3
F1_LAYERS = {4: 2, 8: 3, 10: 4, 12: 4, 16: 4}
BATCH = {16: 8, **dict.fromkeys(range(20, 27), 1)}  # 32 rows elsewhere


class Built(NamedTuple):
    """A circuit, what is measured, and how many layers it has."""

    circuit: Circuit
    observables: tuple[Observable, ...]
    layers: int


def widths(family: str) -> tuple[int, ...]:
    """The numbers of qubits at which a family is measured."""
    return QUBITS if family == "F2" else QUBITS[:-1]


def build(family: str, n: int) -> Built:
    """The circuit of a family on n qubits."""
    z = z_observables(n)
    match family:
        case "F1":
            layers = F1_LAYERS[n]
            ring = [Op("cz", (q, (q + 1) % n)) for q in range(n)]
            return Built(_after_angles(_layered(n, layers, ring)), z[:2], layers)
        case "F2":
            chain = [Op("cx", (q, q + 1)) for q in range(n - 1)]
            return Built(_after_angles(_layered(n, LAYERS, chain)), z, LAYERS)
        case "F3":
            return Built(_zz(n), z, LAYERS)
        case "F4":
            blocks = strongly_entangling(n, LAYERS, "ring")
            ansatz = blocks[0].then(blocks[1]).then(blocks[2])
            return Built(_after_angles(ansatz), z + named_observables("zz", n), LAYERS)
        case "F5":
            return Built(_amplitudes(n), z, LAYERS)
        case "F6":
            ansatz, last, layers = convolutional(n)
            return Built(_after_angles(ansatz), (z[last],), layers)
    raise ValueError(f"there is no family {family!r}")


def convolutional(n: int) -> tuple[Template, int, int]:
    """The ansatz, its last qubit and its number of layers, after Cong et al. 2019.

    A layer is a convolution on the neighbouring pairs of the active qubits (first the even, then
    the odd pairs, all with the same five angles) and a pooling: of each pair of active qubits the
    first turns the second by CRZ and CRX and is not looked at again; a qubit left over stays.
    """
    ops: list[Op] = []
    active, slot, layers = list(range(n)), 0, 0
    while len(active) > 1:
        t = [param(slot + k) for k in range(7)]
        neighbours = list(itertools.pairwise(active))
        for a, b in neighbours[::2] + neighbours[1::2]:
            ops += [Op("ry", (a,), (t[0],)), Op("ry", (b,), (t[1],)), Op("cx", (a, b))]
            ops += [Op("rz", (a,), (t[2],)), Op("ry", (b,), (t[3],)), Op("cx", (b, a))]
            ops += [Op("ry", (a,), (t[4],))]
        for dropped, kept in zip(active[::2], active[1::2], strict=False):
            ops += [Op("crz", (dropped, kept), (t[5],)), Op("crx", (dropped, kept), (t[6],))]
        active = active[1::2] + ([active[-1]] if len(active) % 2 else [])
        slot, layers = slot + 7, layers + 1
    return Template(n, tuple(ops), n_params=slot), active[0], layers


def write(family: str, n: int, folder: Path) -> Path:
    """Write the case as `<folder>/<family>-<n>.json` and `.npz`; the path of the first."""
    built = build(family, n)
    template = built.circuit.template
    spec: dict[str, Any] = {
        "family": family,
        "n_qubits": n,
        "layers": built.layers,
        "initial": template.initial,
        "n_rows": template.n_rows,
        "n_params": template.n_params,
        "ops": [[op.gate, op.qubits, [*map(_written, op.angles)]] for op in template.ops],
        "observables": [_qubits_of(observable) for observable in built.observables],
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{family}-{n}.json"
    path.write_text(json.dumps(spec) + "\n")
    np.savez(path.with_suffix(".npz"), **arrays(built, family, n))
    return path


def arrays(built: Built, family: str, n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng([SEED, int(family[1:]), n])
    batch, circuit = BATCH.get(n, 32), built.circuit
    features = rng.uniform(-1.0, 1.0, (batch, circuit.n_features))
    amplitudes = circuit.amplitudes(features)
    return {
        "rows": circuit.angles(features),
        "amplitudes": np.zeros((batch, 0)) if amplitudes is None else amplitudes,
        "params": rng.uniform(-np.pi, np.pi, circuit.template.n_params),
        "w": rng.normal(size=len(built.observables)),
        "c": rng.normal(),
        "y": rng.choice([-1.0, 1.0], batch),
    }


def _written(angle: Angle) -> list[Any]:
    """Kind, slot, scale and offset: no angle of the families is a sum of slots."""
    if not angle.terms:
        return ["const", 0, 0.0, angle.offset]
    (term,) = angle.terms
    return [term.kind, term.slot, term.scale, angle.offset]


def _qubits_of(observable: Observable) -> list[int]:
    (term,) = observable.terms
    if term.x or term.coefficient != 1.0:
        raise ValueError(f"only products of Z are compared, not {observable.label}")
    return [q for q in range(term.z.bit_length()) if term.z >> q & 1]


def _layered(n: int, layers: int, entangler: list[Op]) -> Template:
    ops: list[Op] = []
    slot = 0
    for _ in range(layers):
        for q in range(n):
            ops += [Op("ry", (q,), (param(slot),)), Op("rz", (q,), (param(slot + 1),))]
            slot += 2
        ops += entangler
    return Template(n, tuple(ops), n_params=slot)


def _after_angles(ansatz: Template) -> Circuit:
    n = ansatz.n_qubits
    encoded = angle(n, n)
    return Circuit(encoded.template.then(ansatz), n, "angles", encoded.encode)


def _zz(n: int) -> Circuit:
    from qiskit.circuit.library import real_amplitudes, zz_feature_map

    whole = zz_feature_map(n, reps=2)
    return from_qiskit(whole.compose(real_amplitudes(n, reps=LAYERS)))


def _amplitudes(n: int) -> Circuit:
    from qiskit.circuit.library import efficient_su2

    encoded = amplitude(n, 2**n)
    ansatz = from_qiskit(efficient_su2(n, reps=LAYERS)).template
    template = encoded.template.then(ansatz)
    return Circuit(template, 2**n, "amplitudes", encoded.encode, encoded.load)
