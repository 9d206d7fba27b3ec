"""From an estimator's flat parameters to the configurations of model and training.

scikit-learn wants every parameter by a name of its own, checked in `fit`. Here they become the
models that the rest of the package checks and reads, and an error that these raise is given the
name of the parameter that it is about.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral
from typing import TYPE_CHECKING, Any

from sklearn.utils import check_random_state

from qstore_ray.backends import open_backend
from qstore_ray.circuits.load import load_circuit
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.qiskit.operators import read_observables
from qstore_ray.errors import ConfigError, QStoreError, unknown_name_error
from qstore_ray.estimator.checks import check_types
from qstore_ray.learn.config import ModelConfig
from qstore_ray.train.callbacks import Callback, Run, as_callback
from qstore_ray.train.callbacks.early_stopping import EarlyStopping
from qstore_ray.train.config import TrainerConfig

if TYPE_CHECKING:
    from qstore_ray.backends.base import Backend
    from qstore_ray.circuits.circuit import Circuit
    from qstore_ray.track.base import Record

_RENAMED = {
    "layers": "n_layers",
    "seed": "random_state",
    "patience": "n_iter_no_change",
    "min_delta": "tol",
}
"""A configuration's field → the parameter that it comes from, where the names differ."""

_MODEL = (
    "activation", "head", "huber_delta", "initial_spread", "loss", "post_layers", "pre_layers",
)  # fmt: skip
"""What `model_options` may hold: the fields of `ModelConfig` that have no parameter."""

_TRAINER = (
    "accumulate", "batches", "clip_norm", "clip_value", "gradient", "metrics", "monitor",
    "target_scaling",
)  # fmt: skip
"""What `trainer_options` may hold: the fields of `TrainerConfig` that have no parameter."""


def model_config(estimator: Any) -> ModelConfig:
    """The model that the parameters describe; its number of qubits is not decided yet.

    Raises:
        UnknownNameError: a name in `model_options` that is not among those it may hold.
    """
    more = _options(estimator, "model_options", _MODEL)
    # Operators may be of a number of qubits that is decided later, see `check_width`.
    named = isinstance(estimator.observables, str)
    observables = estimator.observables if named else _labels(estimator.observables)
    own = {} if estimator.circuit is None else {"circuit": estimator.circuit}
    return ModelConfig(
        **own,
        features=estimator.features,
        encoding=estimator.encoding,
        ansatz=estimator.ansatz,
        layers=estimator.n_layers,
        entanglement=estimator.entanglement,
        reuploading=estimator.reuploading,
        input_scaling=estimator.input_scaling,
        observables=observables,
        **more,
    )


def _labels(observables: Any) -> list[str]:
    several = isinstance(observables, Sequence) and not isinstance(observables, Observable)
    if several and all(isinstance(each, str) for each in observables):
        return list(observables)  # as they are written
    return [observable.label for observable in read_observables(observables)]


def own_circuit(config: ModelConfig) -> Circuit | None:
    """The circuit of the configuration; None for those that are built for the features."""
    if config.circuit == "library":
        return None
    return load_circuit(config.circuit, features=config.features)


def check_width(observables: Any, n_qubits: int) -> None:
    """Raise `CircuitError` where Qiskit's operators are of another number of qubits."""
    if not isinstance(observables, str):
        read_observables(observables, n_qubits)


def trainer_config(estimator: Any, seed: int) -> TrainerConfig:
    """The training that the parameters describe.

    Raises:
        UnknownNameError: a name in `trainer_options` that is not among those it may hold.
    """
    more = _options(estimator, "trainer_options", _TRAINER)
    return TrainerConfig(
        epochs=estimator.epochs,
        batch_size=estimator.batch_size,
        learning_rate=estimator.learning_rate,
        optimizer=estimator.optimizer,
        optimizer_options=dict(estimator.optimizer_options or {}),
        schedule=estimator.schedule,
        schedule_options=dict(estimator.schedule_options or {}),
        class_weight=estimator.class_weight,
        seed=seed,
        **more,
    )


def _options(estimator: Any, parameter: str, known: tuple[str, ...]) -> dict[str, Any]:
    options = dict(getattr(estimator, parameter) or {})
    for name in options:
        if name not in known:
            raise unknown_name_error("option", name, known, field=parameter)
    return options


def callbacks_of(estimator: Any) -> tuple[Callback, ...]:
    """The user's callbacks, then early stopping and the lines of `verbose`.

    Raises:
        ConfigError: something that is no callback.
    """
    found = [_callback(each) for each in estimator.callbacks or ()]
    if estimator.early_stopping:
        patience, least = estimator.n_iter_no_change, estimator.tol
        found.append(EarlyStopping(monitor="val_loss", patience=patience, min_delta=least))
    if estimator.verbose:
        found.append(_MetricsLine(type(estimator).__name__))
    return tuple(found)


def _callback(given: Any) -> Callback:
    callback = as_callback(given) if isinstance(given, dict) else given
    if not isinstance(callback, Callback):
        raise ConfigError(
            "not a callback",
            field="callbacks",
            value=callback,
            fix="Derive its class from qstore_ray.train.callbacks.Callback.",
        )
    return callback


class _MetricsLine(Callback):
    """A line of metrics an epoch on stdout."""

    def __init__(self, name: str) -> None:
        self._name = name

    def on_epoch_end(self, run: Run, record: Record) -> None:
        """Write it."""
        scores = {k: v for k, v in record.items() if k.startswith(("train_", "val_"))}
        shown = ", ".join(f"{name} {value:.4g}" for name, value in scores.items())
        epoch = f"epoch {record['epoch'] + 1}/{run.config.epochs}"
        sys.stdout.write(f"[{self._name}] {epoch}: {shown}\n")


def backend_of(estimator: Any) -> Backend:
    """The backend that `backend`, `backend_options` and `n_threads` describe.

    Raises:
        ConfigError: see `check_types`. UnknownNameError: no such backend or option.
    """
    if not isinstance(estimator.backend, str):
        given: Backend = estimator.backend
        return given
    options = dict(estimator.backend_options or {})
    return open_backend(estimator.backend, options, threads=estimator.n_threads)


def seed_of(random_state: Any) -> int:
    """The seed of a training: an integer as it is, else drawn as scikit-learn defines it.

    Raises:
        ConfigError: no integer from 0 to 2³² − 1, `RandomState` or None.
    """
    try:
        generator = check_random_state(random_state)
    except ValueError as exc:
        raise ConfigError(
            "a random state is a whole number from 0 to 4294967295, a numpy RandomState or None",
            field="random_state",
            value=random_state,
            fix="Take for example 0.",
        ) from exc
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(generator.randint(2**31 - 1))


@contextmanager
def as_parameters(renamed: Mapping[str, str] = _RENAMED) -> Iterator[None]:
    """Errors of a configuration that pass are given the name of the estimator's parameter."""
    try:
        yield
    except QStoreError as exc:
        field = exc.field.removeprefix("model.").removeprefix("trainer.")
        head, dot, rest = field.partition(".")
        exc.field = f"{renamed.get(head, head)}{dot}{rest}"
        raise
