"""The model file, `.qsm`: everything a trained model needs to predict, in one file without code.

    model.qsm   arrays.npz      the parameters and the fitted preparation, float64
                circuit.qasm    the circuit as OpenQASM 3, for people and other tools
                manifest.json   configuration, classes, origin; SHA-256 and size of the other two

It is a zip archive (`archive.py`), and equal models give equal bytes. A file may come from anybody,
so it is verified from the outside in, and each layer before the next is looked at: the members,
the manifest, their hashes, the arrays' headers, the circuit. Objects are never unpickled, nothing
is imported by a name in the file, and the circuit that is built from the configuration must be the
one that was written: a version of this program that would build another one refuses the file
instead of predicting something else.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qstore_ray.circuits.qasm.qasm import to_qasm3
from qstore_ray.circuits.qasm.text import circuit_text
from qstore_ray.data.inputs.signature import Signature
from qstore_ray.data.prepare.prepare import Preparation
from qstore_ray.errors import CheckpointError, QStoreError
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.model import QuantumModel, build_model
from qstore_ray.train.model.archive import (
    model_file_error,
    pack,
    pack_arrays,
    unpack,
    unpack_arrays,
)
from qstore_ray.train.run.manifest import ModelDescription, model_description
from qstore_ray.train.run.provenance import Origin, data_origin
from qstore_ray.train.run.same_run import complete_circuit

if TYPE_CHECKING:
    from qstore_ray.data.read.dataset import Dataset
    from qstore_ray.learn.targets import TargetScaling
    from qstore_ray.types import AnyArray, FloatArray

FORMAT = 1
THETA, PREPARATION = "theta", "preparation."
_MANIFEST, _ARRAYS, _CIRCUIT = "manifest.json", "arrays.npz", "circuit.qasm"
_KIND = "qstore_ray model"
_OWN_QASM = "OPENQASM 3.0;\n"
_MOST_FEATURES = 2**24


class ModelContents(NamedTuple):
    """A model file that was read and verified.

    Attributes:
        about: the manifest's `model`.
    """

    about: ModelDescription
    model: QuantumModel
    theta: FloatArray
    preparation: Preparation
    origin: Origin


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Member(_Strict):
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=0)]


class _Spec(_Strict):
    n_features: Annotated[int, Field(ge=1, le=_MOST_FEATURES)]
    steps: list[dict[str, Any]]


class _Targets(_Strict):
    mean: list[float]
    std: list[Annotated[float, Field(ge=0.0)]]


class _About(_Strict):
    config: dict[str, Any]
    n_features: Annotated[int, Field(ge=1, le=_MOST_FEATURES)]
    classes: list[str | int | bool]
    task: str | None = None
    n_targets: Annotated[int, Field(ge=1, le=_MOST_FEATURES)] = 1
    preparation: _Spec
    input: dict[str, Any] | None = None
    targets: _Targets | None = None


class _Manifest(_Strict):
    kind: Literal["qstore_ray model"]
    format: Literal[1]
    model: _About
    origin: Origin
    arrays: dict[str, list[Annotated[int, Field(ge=0)]]]
    members: dict[str, _Member]


def write_model(
    about: ModelDescription, model: QuantumModel, arrays: Mapping[str, AnyArray], origin: Origin
) -> bytes:
    """The bytes of a model file.

    Args:
        about: what a checkpoint's manifest says under `model`.
        arrays: `theta` and the preparation's, as in a checkpoint.

    Raises:
        CircuitError: a circuit whose encoding no text can keep.
    """
    kept = {n: v for n, v in sorted(about.items()) if n in _About.model_fields and v is not None}
    described = {"task": None, "n_targets": 1, **kept}
    # What the source is read with is in it: the features are the slots x_0, x_1, …
    config = {name: value for name, value in about["config"].items() if name != "features"}
    described["config"] = {**config, "circuit": _portable(config, model)}
    members = {
        _ARRAYS: pack_arrays(arrays),
        _CIRCUIT: _circuit_text(model).encode(),
    }
    manifest = {
        "kind": _KIND,
        "format": FORMAT,
        "model": described,
        "origin": origin.model_dump(),
        "arrays": {name: list(array.shape) for name, array in arrays.items()},
        "members": {
            name: {"sha256": _sha256(data), "bytes": len(data)} for name, data in members.items()
        },
    }
    text = json.dumps(manifest, indent=1, allow_nan=False, ensure_ascii=False)
    return pack({**members, _MANIFEST: text.encode()})


def read_model(data: bytes) -> ModelContents:
    """What the bytes of a model file hold.

    Raises:
        CheckpointError: not exactly what `write_model` writes: damaged, changed, of another format,
            or describing a model that cannot be.
    """
    members = unpack(data, (_ARRAYS, _CIRCUIT, _MANIFEST))
    manifest = _parsed(members.pop(_MANIFEST))
    described = {name: (_sha256(text), len(text)) for name, text in members.items()}
    if {name: (m.sha256, m.bytes) for name, m in manifest.members.items()} != described:
        raise model_file_error("a member does not have the size and SHA-256 that the manifest says")
    shapes = manifest.arrays
    if THETA not in shapes or not all(n == THETA or n.startswith(PREPARATION) for n in shapes):
        raise model_file_error(
            "the arrays are not those of a model", sorted(shapes), field="model.arrays"
        )
    arrays = unpack_arrays(members[_ARRAYS], shapes)
    known = manifest.model.model_dump().items()  # without input and targets, where it is older
    about = model_description({n: v for n, v in known if v is not None or n == "task"})
    _check_source(about["config"].get("circuit", "library"))
    own = {n.removeprefix(PREPARATION): array for n, array in arrays.items() if n != THETA}
    try:
        model = described_model(about)
        preparation = Preparation.from_arrays(own, about["preparation"])
        width = preparation.checked_width()
        taken = Signature.from_dict(about["input"]) if "input" in about else None
    except (QStoreError, RecursionError) as exc:
        field = f"model.{getattr(exc, 'field', '')}".rstrip(".")
        raise model_file_error(f"the file describes no model: {exc}", field=field) from exc
    if _circuit_text(model).encode() != members[_CIRCUIT]:
        raise model_file_error(
            "this version builds another circuit from the configuration than the model was trained "
            "with",
            about["config"],
            field="model.config",
        )
    _check_widths(width, about["n_features"], preparation, taken)
    if manifest.model.targets is not None:
        _check_targets(manifest.model, model)
    theta = arrays[THETA]
    if theta.shape != (model.n_parameters,):
        raise model_file_error(
            f"the model has {model.n_parameters} parameters", theta.shape, field=THETA
        )
    return ModelContents(about, model, theta, preparation, manifest.origin)


def _check_widths(
    width: int, n_features: int, preparation: Preparation, taken: Signature | None
) -> None:
    """Refuse a preparation whose input or output does not fit the rows and the model."""
    if width != n_features:
        raise model_file_error(
            f"the preparation gives {width} features, the model takes {n_features}",
            field="model.preparation",
        )
    if taken is not None and taken.n_features != preparation.n_features:
        raise model_file_error(
            f"the preparation takes {preparation.n_features} features, not {taken.n_features}",
            field="model.input",
        )


def _check_targets(about: _About, model: QuantumModel) -> None:
    """Refuse a scaling of targets that the model does not have."""
    scaling = about.targets
    assert scaling is not None
    widths = {len(scaling.mean), len(scaling.std), about.n_targets}
    numbers = (*scaling.mean, *scaling.std)
    if model.loss.goal != "regression" or len(widths) > 1 or not all(map(math.isfinite, numbers)):
        raise model_file_error(
            f"the scaling is not that of the {about.n_targets} targets of a regression",
            scaling.model_dump(),
            field="model.targets",
        )


def _parsed(text: bytes) -> _Manifest:
    try:
        values = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_repetition)
    except (ValueError, RecursionError) as exc:
        raise model_file_error(f"the manifest is not JSON: {exc}") from exc
    if isinstance(values, dict) and values.get("kind") == _KIND and values.get("format") != FORMAT:
        raise CheckpointError(
            f"this version reads model files of format {FORMAT}",
            field="model.format",
            value=values.get("format"),
            fix="Install the version of qstore_ray that wrote the file.",
        )
    try:
        return _Manifest.model_validate(values)
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(map(str, ("model", *first["loc"])))
        raise model_file_error(
            f"the manifest: {first['msg'].lower()}", first["input"], field=where
        ) from exc


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _no_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key exists twice")
    return values


def _check_source(circuit: Any) -> None:
    """Refuse a circuit that would be opened by its path or imported by its name."""
    if circuit != "library" and not (
        isinstance(circuit, str) and circuit.startswith(_OWN_QASM) and circuit.endswith(";\n")
    ):
        raise model_file_error(
            "a model file's circuit is of the library or OpenQASM source, never a path or a "
            "function, which would be opened or imported",
            circuit,
            field="model.config.circuit",
        )


def model_manifest(
    config: ModelConfig, dataset: Dataset, targets: TargetScaling | None = None
) -> ModelDescription:
    """What a checkpoint says about the model, JSON-ready; `TrainedModel.load` reads it."""
    found: ModelDescription = {
        "config": config.to_dict(),
        "n_features": dataset.schema.n_features,
        "classes": list(dataset.classes),
        "task": dataset.config.task,
        "n_targets": dataset.schema.n_targets,
        "preparation": dataset.preparation.spec(),
        "input": Signature.of(dataset).to_dict(),
        "data": data_origin(dataset),
    }
    if targets is not None:
        found["targets"] = targets.spec()
    return found


def preparation_arrays(dataset: Dataset) -> Mapping[str, AnyArray]:
    """The fitted preparation as arrays of a checkpoint."""
    return {PREPARATION + name: array for name, array in dataset.preparation.to_arrays().items()}


def described_model(about: ModelDescription) -> QuantumModel:
    """The model that a checkpoint's or a model file's manifest describes, without parameters."""
    config = dict(about["config"])
    config["circuit"] = complete_circuit(config.get("circuit", "library"))
    return build_model(
        ModelConfig.from_dict(config),
        n_features=about["n_features"],
        n_classes=len(about["classes"]) or None,
        task=about.get("task"),
        n_targets=about.get("n_targets", 1),
    )


def _portable(config: Mapping[str, Any], model: QuantumModel) -> str:
    """The circuit as a model file may name it: `library`, or exact OpenQASM 3 source."""
    if config.get("circuit", "library") == "library":
        return "library"
    return circuit_text(model.circuit)


def _circuit_text(model: QuantumModel) -> str:
    """The circuit as OpenQASM 3; loading amplitudes is beyond OpenQASM and said in a comment."""
    template = model.circuit.template
    text = to_qasm3(replace(template, initial="zeros"))
    if template.initial == "zeros":
        return text
    first, _, rest = text.partition("\n")
    note = f"// starts from the row's amplitudes on q[0..{template.n_qubits - 1}], not from zeros"
    return f"{first}\n{note}\n{rest}"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
