"""What a checkpoint's `manifest.json` says: which model it is of, of which run, and of which step.

A model file's manifest has the same `model` entry. What an earlier version wrote lacks some keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict, cast

from qstore_ray.errors import CheckpointError

if TYPE_CHECKING:
    from qstore_ray.backends.failover import FallbackStep
    from qstore_ray.data.inputs.signature import SignatureDict
    from qstore_ray.data.prepare.prepare import PreparationDict
    from qstore_ray.learn.targets import TargetSpec
    from qstore_ray.types import Table, Task

_REQUIRED = ("config", "n_features", "classes", "preparation")


class DataOriginDict(TypedDict):
    """A `DataOrigin` as JSON holds it."""

    name: str
    task: str
    provenance: dict[str, str]
    sizes: dict[str, int]
    class_names: list[str]
    class_counts: dict[str, list[int]]


class ModelDescription(TypedDict):
    """A model without its parameters.

    Keys:
        config: of `ModelConfig`. n_features: F. classes: labels, empty for a regression.
        input: of `Signature`, the columns or the image that it takes.
        data: where the training rows came from.
    """

    config: Table
    n_features: int
    classes: list[Any]
    preparation: PreparationDict
    task: NotRequired[Task | None]
    n_targets: NotRequired[int]
    input: NotRequired[SignatureDict]
    targets: NotRequired[TargetSpec]
    data: NotRequired[DataOriginDict]


class CheckpointManifest(TypedDict, total=False):
    """What a run says about a checkpoint; nothing if the run has no folder.

    Keys:
        fallbacks: the steps in the chain of backends so far.
    """

    model: ModelDescription
    fingerprints: dict[str, str]
    epoch: int
    generation: int
    fallbacks: list[FallbackStep]


class StoredManifest(CheckpointManifest):
    """A manifest as it is on the disk.

    Keys:
        members: the SHA-256 of the other files, by their names.
    """

    format: int
    step: int
    members: dict[str, str]


def model_description(values: Mapping[str, object]) -> ModelDescription:
    """The `model` entry of a manifest.

    Raises:
        CheckpointError: it lacks a key that every version has written, or has other values.
    """
    missing = [name for name in _REQUIRED if name not in values]
    if missing:
        raise CheckpointError(
            f"the manifest describes no model: it lacks {', '.join(missing)}",
            field="model",
            value=sorted(values),
            fix="Take another checkpoint, or a .qsm file.",
        )
    config = values["config"]
    circuit = config.get("circuit", "") if isinstance(config, Mapping) else None
    if not isinstance(circuit, str) or not isinstance(values["classes"], list | tuple):
        raise CheckpointError(
            "the manifest describes no model: config is a table with the circuit as text, and "
            "classes are a list",
            field="model",
            value=config if circuit is None else circuit,
            fix="Take another checkpoint, or a .qsm file.",
        )
    return cast("ModelDescription", dict(values))
