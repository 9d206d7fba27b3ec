"""What the page of a run shows: plain values, which import nothing in the sidecar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from qstore_ray.circuits.template import Template
    from qstore_ray.learn.model import QuantumModel
    from qstore_ray.learn.privacy.statement import PrivacyStatement
    from qstore_ray.track.base import Record, Status
    from qstore_ray.train.callbacks.model_checkpoint import KeptModel
    from qstore_ray.train.run.manifest import ModelDescription
    from qstore_ray.train.run.summary import CheckpointSummary, RunSummary
    from qstore_ray.types import AnyArray, Table


class Ending(NamedTuple):
    """How a run ends, its results by name, those that are missing and why, and the verdict."""

    status: Status
    metrics: Mapping[str, float]
    missing: Mapping[str, str] = {}
    verdict: str = ""

    @classmethod
    def of(cls, status: Status, metrics: Mapping[str, float], said: Table) -> Ending:
        """An ending with what is said of a run; nothing if it did not finish."""
        return cls(status, metrics, said.get("missing", {}), said.get("verdict", ""))


class ModelFacts(NamedTuple):
    """What the page shows of a model: plain values, which any process can read."""

    template: Template
    circuit: str
    wires: Sequence[int]
    n_parameters: int
    sizes: Mapping[str, int]
    observables: Sequence[str]
    loss: str

    @classmethod
    def of(cls, model: QuantumModel) -> ModelFacts:
        """The facts of a model."""
        circuit = model.circuit
        labels = [each.label for each in model.observables]
        return cls(
            circuit.template, circuit.name, circuit.wires, model.n_parameters, dict(model.sizes),
            labels, model.loss_name,
        )  # fmt: skip


@dataclass(frozen=True)
class RunFacts:
    """What a run folder and its dataset say, as the page shows it.

    Attributes:
        summary: status and numbers.
        records: of metrics.jsonl. config: of config.toml, secrets hidden.
        checkpoints: to resume from. models: kept ones, as `models/index.json` has them.
        about: the model entry of the newest checkpoint's manifest. model: what it describes.
        sizes: rows by split. provenance: of the data, in words. classes: their names.
        confusion: counts (K, K) on the test split.
        privacy: what is claimed of a private run; None for any other.
        problems: what could not be read.
    """

    summary: RunSummary
    records: Sequence[Record]
    config: Table
    checkpoints: Sequence[CheckpointSummary]
    models: Sequence[KeptModel]
    about: ModelDescription | None
    model: ModelFacts | None
    sizes: Mapping[str, int] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)
    classes: Sequence[str] = ()
    confusion: AnyArray | None = None
    privacy: PrivacyStatement | None = None
    problems: Sequence[str] = ()
