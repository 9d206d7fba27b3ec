"""What a model is made of, as configuration.

    features → [pre_layers] → encoding, ansatz, observables → [post_layers] → linear head → outputs

What stands in brackets is absent by default. A hybrid model with 20 features and 4 qubits:

    [model]
    n_qubits = 4
    pre_layers = [8, 4]     # 20 → 8 → 4 angles, trained together with the circuit
    post_layers = [6]       # 4 expectation values → 6 → classes
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, ValidationInfo, field_validator, model_validator

from qstore_ray.circuits.library.coupling import Entanglement
from qstore_ray.circuits.library.library import ANSATZE, ENCODINGS, ENTANGLEMENTS, MAX_QUBITS
from qstore_ray.circuits.load import kept_circuit, load_circuit
from qstore_ray.circuits.observable import Observable, named_observables
from qstore_ray.circuits.qasm.source import (
    in_numeric_order,
    is_circuit_file,
    is_source,
    read_source,
)
from qstore_ray.circuits.qiskit.operators import is_operator, read_observables
from qstore_ray.circuits.slots import feature_names
from qstore_ray.config import Config
from qstore_ray.errors import ConfigError, unknown_name_error

Width: TypeAlias = Annotated[int, Field(ge=1, le=65_536)]


class ModelConfig(Config):
    """A circuit, what is measured after it, and the classical layers around it.

    Args:
        circuit: `library` builds encoding and ansatz from the fields below. A circuit of your own
            instead is the path of a `.qasm` file, a Qiskit circuit of any class, a `Circuit`, or
            `module:function`, called here and never again. All are kept as OpenQASM source.
        features: which parameters of your own circuit are data: the stem of numbered names (`phi`
            for phi[0], phi_1, …), or names in the order of the columns; in Python also Qiskit's
            parameters or a test of a name. Without it those called x, feature or features.
        encoding: how features enter: angle, dense_angle, amplitude, basis, zz, iqp,
            hamiltonian (n − 1 features).
        ansatz: the trained layers: hardware_efficient, real_amplitudes, efficient_su2,
            strongly_entangling, basic, qcnn.
        n_qubits: n, 1 to 1,000. From 31 on every observable is computed from its light cone, which
            few layers keep narrow.
        layers: how often the ansatz (and, re-uploading, the encoding) is repeated.
        entanglement: which pairs of qubits are entangled: linear, ring, full, pairwise,
            heavy_hex (the map of IBM's 127-qubit devices); or a list of pairs such as
            `[[0, 1], [1, 2]]`, in the order of the gates.
        reuploading: encode the data again before every layer.
        input_scaling: train a factor for every encoded angle.
        observables: `z` (every ⟨Z_i⟩), `z+zz` (and every ⟨Z_i Z_j⟩), or another sum of words of x,
            y and z, such as `x+z+xx+zz` (`zz_neighbours`: only the pairs that a gate joins); or a
            list of Pauli sums such as `["Z0", "0.5*X0 X1"]`, or of Qiskit's operators. A name
            covers only the qubits that remain after qcnn's pooling.
        pre_layers: widths of dense layers before the circuit; the last one is the number of
            features that the encoding takes. They turn into angles in (−π, π), see `activation`.
        post_layers: widths of dense layers between the expectation values and the linear head.
        activation: after every dense layer: tanh or relu, but π·tanh after the last one before the
            circuit; `identity` puts none anywhere, so that the angles are affine in the features.
        head: `linear` trains weights (O, K) and bias (K,); `none` takes the O values as outputs.
        loss: one of the table in `losses.py`, or auto: by the data's task and classes.
        huber_delta: δ of the loss huber, in the units in which training sees the targets: their
            standard deviation, or with `trainer.target_scaling = "none"` their own.
        trash_qubits: for the loss compression: the qubits that the circuit shall leave in |0⟩, so
            that what a row holds is on the others.
        initial_spread: standard deviation of the initial circuit parameters, radians.

    Examples:
        config = ModelConfig(n_qubits=4, layers=2, observables="z+zz")
        assert config.ansatz == "hardware_efficient"
    """

    circuit: str = "library"
    features: str | list[str] | None = None
    encoding: str = "angle"
    ansatz: str = "hardware_efficient"
    n_qubits: int = Field(default=4, ge=1, le=MAX_QUBITS)
    layers: int = Field(default=2, ge=1, le=1000)
    entanglement: str | list[tuple[int, int]] = "ring"
    reuploading: bool = False
    input_scaling: bool = False
    observables: str | list[str] = "z"
    pre_layers: list[Width] = Field(default_factory=list)
    post_layers: list[Width] = Field(default_factory=list)
    activation: Literal["tanh", "relu", "identity"] = "tanh"
    head: Literal["linear", "none"] = "linear"
    loss: Literal[
        "auto",
        "cross_entropy",
        "binary_cross_entropy",
        "hinge",
        "multilabel_cross_entropy",
        "mse",
        "mae",
        "huber",
        "compression",
        "compression_local",
    ] = "auto"
    huber_delta: float = Field(default=1.0, gt=0.0)
    trash_qubits: list[Annotated[int, Field(ge=0)]] = Field(default_factory=list)
    initial_spread: float = Field(default=0.1, ge=0.0, le=10.0)

    @field_validator("encoding", "ansatz", "entanglement")
    @classmethod
    def _known_name(
        cls, name: str | list[tuple[int, int]], info: ValidationInfo
    ) -> str | list[tuple[int, int]]:
        if not isinstance(name, str):
            return name
        known: dict[str, Collection[str]] = {
            "encoding": ENCODINGS,
            "ansatz": ANSATZE,
            "entanglement": ENTANGLEMENTS,
        }
        kind = str(info.field_name)
        if name not in known[kind]:
            raise unknown_name_error(kind, name, known[kind])
        return name

    @field_validator("observables")
    @classmethod
    def _known_observables(cls, value: str | list[str]) -> str | list[str]:
        if isinstance(value, str):
            named_observables(value, 2)
        return value

    @property
    def joined(self) -> Entanglement:
        """The entanglement as `build_circuit` takes it."""
        return self.entanglement if isinstance(self.entanglement, str) else tuple(self.entanglement)

    @model_validator(mode="before")
    @classmethod
    def _complete_in_itself(cls, values: Any) -> Any:
        """Circuits and operators of the user's become text: code that made them is not kept."""
        if not isinstance(values, dict):
            return values
        kept = dict(values)
        if values.get("circuit", "library") != "library":
            kept |= _kept_circuit(values["circuit"], values.get("features"))
        elif values.get("features") is not None:
            raise ConfigError(
                "the features of a circuit of the library are all columns of the data",
                field="features",
                value=values["features"],
                fix="Give a circuit of your own, or leave features out.",
            )
        if _has_operators(observables := values.get("observables")):
            n_qubits = _n_qubits(kept)
            kept["observables"] = [o.label for o in read_observables(observables, n_qubits)]
        return kept


def _kept_circuit(circuit: Any, given: Any) -> dict[str, Any]:
    """The circuit as text; with names of features beside a text that is the user's own."""
    features = feature_names(given)
    if isinstance(circuit, Path) or (isinstance(circuit, str) and is_circuit_file(circuit)):
        from qstore_ray.circuits.qasm.reader import check_text  # only for users of Qiskit

        file, circuit = str(circuit), read_source(circuit)
        check_text(circuit, file)
    if isinstance(circuit, str) and is_source(circuit) and not callable(features):
        return {"circuit": in_numeric_order(circuit), "features": features}
    return {"circuit": kept_circuit(circuit, features), "features": None}


def _has_operators(observables: Any) -> bool:
    several = isinstance(observables, list | tuple) and not isinstance(observables, Observable)
    parts = observables if several else [observables]
    return any(isinstance(part, Observable) or is_operator(part) for part in parts)


def _n_qubits(values: dict[str, Any]) -> int | None:
    """n of the configured circuit, or None if it depends on the data."""
    if values.get("circuit", "library") == "library":
        n_qubits = values.get("n_qubits", ModelConfig.model_fields["n_qubits"].default)
        return n_qubits if isinstance(n_qubits, int) else None
    return load_circuit(values["circuit"], features=values["features"]).template.n_qubits
