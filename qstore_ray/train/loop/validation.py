"""What val is scored by after each epoch: loss and accuracy always, other metrics on request.

A metric is requested by `trainer.metrics`, by the schedule's monitor, or by the monitor of early
stopping or of another callback. Only then are the outputs of all workers gathered, in
one all-reduce in place of that of the loss, and scored by worker 0; so a run that asks for none
pays nothing. Loss and accuracy have the same bits either way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.errors import ConfigError, DivergenceError, under
from qstore_ray.learn import step as blocks
from qstore_ray.learn.diagnostics.stopping import monitored
from qstore_ray.learn.model import QuantumModel
from qstore_ray.learn.optimizers import SearchOptimizer, get_optimizer
from qstore_ray.learn.scoring import Scoring, answers_of
from qstore_ray.train.callbacks.base import Callback
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.job import AnyRows, Assignment
from qstore_ray.train.loop.hooks import named
from qstore_ray.train.loop.objective import TrainingObjective
from qstore_ray.train.loop.source import BatchSource

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

VAL = "val_"
_ALWAYS = ("loss", "accuracy")


def metric_names(model: QuantumModel, n_validation: int) -> list[str]:
    """The metrics that every epoch's record will have, without those of callbacks."""
    splits = ("train", "val") if n_validation else ("train",)
    scores = ("loss", "accuracy") if model.loss.classification else ("loss",)
    return [f"{split}_{score}" for split in splits for score in scores] + ["learning_rate"]


def optional_metric_names(
    model: QuantumModel, class_names: tuple[str, ...], n_validation: int
) -> list[str]:
    """The metrics that an epoch's record will have on request."""
    if not n_validation:
        return []
    known = Scoring(model.loss.goal, class_names).metrics
    return [f"{VAL}{name}" for name in known if name not in _ALWAYS]


def epoch_metric_names(
    model: QuantumModel, config: TrainerConfig, n_validation: int, class_names: tuple[str, ...]
) -> list[str]:
    """The metrics that a callback or an objective may follow, without those of callbacks."""
    names = [name for name in metric_names(model, n_validation) if name != "learning_rate"]
    if not isinstance(get_optimizer(config.optimizer, config.optimizer_options), SearchOptimizer):
        names.append("gradient_norm")
    names += optional_metric_names(model, class_names, n_validation)
    return [*names, "circuit_evaluations"]


def asked_metrics(
    model: QuantumModel,
    config: TrainerConfig,
    callbacks: Iterable[Callback],
    rows: AnyRows,
    class_names: tuple[str, ...],
) -> tuple[str, ...]:
    """The metrics, beside loss and accuracy, that val has to be scored by each epoch.

    Raises:
        UnknownNameError: one that does not fit the model, or a monitor that the run will not have.
        ConfigError: metrics without val, or a monitored one that the rows of val do not define.
    """
    scoring = Scoring(model.loss.goal, class_names)
    with under("trainer"):
        scoring.check(config.metrics, "metrics")
        if config.metrics and not rows.n_val:
            raise ConfigError(
                "the metrics are of val, and there are no validation rows",
                field="metrics",
                value=list(config.metrics),
                fix="Set dataset.split.val, or leave the metrics out.",
            )
        optional = optional_metric_names(model, class_names, rows.n_val)
        if config.monitor:
            known = [*metric_names(model, rows.n_val), *optional]
            monitored(dict.fromkeys(known, 0.0), config.monitor)
    called = named(list(callbacks))
    known = epoch_metric_names(model, config, rows.n_val, class_names)
    _check_monitors(model, called, known)
    watched = [("trainer.monitor", config.monitor)]
    watched += [(f"{name}.monitor", _monitor(each)) for name, each in called.items()]
    found = [name for name in config.metrics if name not in _ALWAYS]
    for field, name in watched:
        if name not in optional:
            continue
        check_defined(model, class_names, str(name), rows.y_val, field)
        found.append(str(name).removeprefix(VAL))
    return tuple(dict.fromkeys(found))


def check_defined(
    model: QuantumModel, class_names: tuple[str, ...], name: str, y_val: AnyArray, field: str
) -> None:
    """Check that the rows of val define the metric `val_<metric>` that a run follows.

    Raises:
        ConfigError: they do not, for example if a class has no row.
    """
    scoring = Scoring(model.loss.goal, class_names)
    why = _why_not(scoring, model, name.removeprefix(VAL), y_val)
    if why:
        raise ConfigError(
            f"this metric cannot be computed on the validation rows: {why}",
            field=field,
            value=name,
            fix="Take val_loss, or a larger or stratified val split.",
        )


def _check_monitors(model: QuantumModel, called: Mapping[str, Callback], known: list[str]) -> None:
    """Check that every callback will find the metric that it follows, in the order of the calls.

    Nobody knows what an own callback logs that does not say so; then there is nothing to check.
    """
    in_order = sorted(called.items(), key=lambda item: item[1].comes_last)
    logged = {name: each.logged_metrics(model) for name, each in in_order}
    found = dict.fromkeys(known, 0.0)
    for name, each in in_order:
        monitor = _monitor(each)
        later = [other for other, names in logged.items() if monitor in (names or ())]
        if monitor and None not in logged.values() and monitor not in found and later:
            raise ConfigError(
                f"this metric is logged by {later[0]}, which is called after it",
                field=f"{name}.monitor",
                value=monitor,
                fix=f"Write {later[0]} before {name}.",
            )
        if monitor and None not in logged.values():
            with under(name):
                monitored(found, monitor)
        found |= dict.fromkeys(logged[name] or (), 0.0)


def _monitor(callback: Callback) -> str:
    """The metric that a callback follows; empty if it follows none."""
    name = getattr(callback, "monitor", None)
    return name if isinstance(name, str) else ""


def _why_not(scoring: Scoring, model: QuantumModel, name: str, y: AnyArray) -> str:
    if scoring.metrics[name].takes == "probabilities" and model.loss.probabilities is None:
        return f"the loss {model.loss_name} gives no probabilities"
    return scoring.undefined(name, y)


class Validation:
    """Scores the rows of val. Used in every worker; all make the same calls in order."""

    def __init__(
        self, job: Assignment, rows: AnyRows, objective: TrainingObjective, source: BatchSource
    ) -> None:
        weight = rows.weight_val
        self._objective, self._source = objective, source
        self._y = rows.y_val
        self._weight = None if weight is None else weight / weight.mean()
        self._targets = job.targets
        self._scoring = Scoring(job.model.loss.goal, job.class_names)
        self._names = job.metrics if rows.n_val else ()

    @property
    def warnings(self) -> list[str]:
        """A sentence for each requested metric that these rows do not define."""
        model = self._objective.model
        reasons = {n: _why_not(self._scoring, model, n, self._y) for n in self._names}
        return [f"{VAL}{name} is not recorded: {why}" for name, why in reasons.items() if why]

    def score(self, theta: FloatArray) -> tuple[blocks.Sums, dict[str, float]]:
        """The sums over val, and the requested metrics as a record names them.

        Raises:
            DivergenceError: metrics are requested, and an output is NaN or infinite.
        """
        model, start = self._objective.model, 0
        sums: list[FloatArray] = []
        outputs: list[FloatArray] = []
        for part in self._source.validation():
            if not self._names:
                sums.append(self._objective.scores(theta, part))
                continue
            found = self._objective.outputs(theta, part)
            rows = slice(start, start + part.count)
            weight = None if self._weight is None else self._weight[rows]
            sums.append(blocks.scored(model, found, self._y[rows], weight, weighs_correct=True))
            outputs.append(found.reshape(-1, model.n_outputs)[: part.count])
            start = rows.stop
        metrics = self._metrics(np.concatenate(outputs)) if self._names else {}
        return blocks.total(np.concatenate(sums)), metrics

    def _metrics(self, outputs: FloatArray) -> dict[str, float]:
        y, reducer = self._y, self._objective.reducer
        if not np.isfinite(outputs).all():
            raise DivergenceError(
                "the outputs on the validation rows became NaN or infinite",
                fix="Lower trainer.learning_rate, or scale the features down.",
            )
        values = np.zeros(len(self._names))
        if reducer.rank == 0:
            if self._targets is not None:
                y, outputs = self._targets.undo(y), self._targets.undo(outputs)
            answers = answers_of(self._objective.model.loss, outputs)
            scores = self._scoring.scores(y, answers, self._names, self._weight).values
            values = np.array([scores.get(name, np.nan) for name in self._names])
        # Worker 0's bits: other nodes may have another scikit-learn.
        values = reducer.broadcast(values)
        pairs = zip(self._names, values.tolist(), strict=True)
        return {f"{VAL}{name}": value for name, value in pairs if np.isfinite(value)}
