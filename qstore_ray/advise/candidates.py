"""The models that the table has measured: one `Candidate` is a circuit and how it is trained.

    candidates()    64 of them: the default, seven that people use, and 56 drawn under a seed

A candidate fits data of any width: columns are scaled to the encoding's range, and wider data are
projected on as many principal components as the encoding takes (`estimator.features`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from qstore_ray.learn.config import ModelConfig
from qstore_ray.train.config import TrainerConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qstore_ray.types import Table

DRAWN = 56
SEED = 20261130
_SPACE: dict[str, Sequence[Any]] = {
    "encoding": ("angle", "dense_angle", "amplitude", "iqp", "zz", "hamiltonian", "basis"),
    "ansatz": (
        "hardware_efficient", "real_amplitudes", "efficient_su2", "strongly_entangling", "basic",
        "qcnn",
    ),
    "n_qubits": (2, 3, 4, 5, 6, 7, 8, 9, 10),
    "layers": (1, 2, 3, 4, 6),
    "observables": ("z", "z+zz", "x+y+z"),
    "reuploading": (False, True),
    "optimizer": ("adam", "adam", "adamw", "rmsprop", "sgd"),
}  # fmt: skip
_LEARNING_RATE = {"adam": 0.1, "adamw": 0.1, "rmsprop": 0.03, "sgd": 0.3, "spsa": 0.2, "qng": 0.1}


@dataclass(frozen=True, order=True)
class Candidate:
    """A quantum model of any data, by the fields of `ModelConfig` and `TrainerConfig`.

    Attributes:
        n_qubits: n; the encoding zz takes no more qubits than there are columns.
        epochs, batch_size: of every training of the table.
    """

    encoding: str = "angle"
    ansatz: str = "hardware_efficient"
    n_qubits: int = 4
    layers: int = 2
    observables: str = "z"
    reuploading: bool = False
    optimizer: str = "adam"
    learning_rate: float = 0.1
    epochs: int = 30
    batch_size: int = 32

    @property
    def name(self) -> str:
        """One word for it, such as `angle-hardware_efficient-n4-l2-z-adam`."""
        again = "-re" if self.reuploading else ""
        return (
            f"{self.encoding}{again}-{self.ansatz}-n{self.n_qubits}-l{self.layers}"
            f"-{self.observables}-{self.optimizer}"
        )

    def as_dict(self) -> Table:
        """The fields by name."""
        return asdict(self)

    def qubits_for(self, columns: int) -> int:
        """n on data with so many columns."""
        return min(self.n_qubits, columns) if self.encoding == "zz" else self.n_qubits

    def model(self, columns: int) -> ModelConfig:
        """The model for data with so many columns, after projection."""
        return ModelConfig(
            encoding=self.encoding,
            ansatz=self.ansatz,
            n_qubits=self.qubits_for(columns),
            layers=self.layers,
            observables=self.observables,
            reuploading=self.reuploading,
        )

    def trainer(self, seed: int) -> TrainerConfig:
        """How it is trained, in this process."""
        return TrainerConfig(
            epochs=self.epochs,
            batch_size=self.batch_size,
            optimizer=self.optimizer,
            learning_rate=self.learning_rate,
            seed=seed,
        )


DEFAULT = Candidate()
"""What a user gets who chooses nothing but four qubits."""

_USUAL = (
    DEFAULT,
    Candidate(ansatz="real_amplitudes", layers=3, reuploading=True),
    Candidate(encoding="dense_angle", n_qubits=4, layers=4, observables="z+zz"),
    Candidate(encoding="zz", ansatz="real_amplitudes", n_qubits=4, layers=3),
    Candidate(encoding="amplitude", ansatz="strongly_entangling", n_qubits=6, layers=4),
    Candidate(ansatz="strongly_entangling", n_qubits=8, layers=3, observables="x+y+z"),
    Candidate(ansatz="real_amplitudes", n_qubits=4, layers=2, optimizer="spsa", learning_rate=0.2),
    Candidate(n_qubits=3, layers=2, optimizer="qng"),
)


@cache
def candidates() -> tuple[Candidate, ...]:
    """All candidates of the table, each once; the default is the first."""
    rng = np.random.default_rng(SEED)
    found = dict.fromkeys(_USUAL)
    while len(found) < len(_USUAL) + DRAWN:
        drawn = {name: _pick(rng, values) for name, values in _SPACE.items()}
        if drawn["encoding"] in ("amplitude", "zz", "iqp") and drawn["reuploading"]:
            drawn["reuploading"] = False
        if drawn["n_qubits"] * drawn["layers"] > 30 or _is_slow(drawn):
            continue
        found.setdefault(Candidate(**drawn, learning_rate=_LEARNING_RATE[drawn["optimizer"]]))
    return tuple(found)


def _pick(rng: np.random.Generator, values: Sequence[Any]) -> Any:
    return values[int(rng.integers(len(values)))]


def _is_slow(drawn: dict[str, Any]) -> bool:
    """Pairs of all features before every layer: minutes on ten qubits, and nobody's choice."""
    many = drawn["encoding"] in ("zz", "iqp", "hamiltonian")
    return many and drawn["n_qubits"] > 8
