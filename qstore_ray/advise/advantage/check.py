"""The check of advantage: the same folds, the same budget of tuning, and a corrected paired test.

    check_advantage(job)    the verdict on a job's model and data

    1  cut the rows into folds, several times; every contender sees the same
    2  within the training rows of a fold, tune each contender over as many settings, by three
       inner folds; fit the best setting, score the held-out rows (balanced accuracy)
    3  compare each quantum contender with every classical model, and with its twin without
       entanglement, by the test of Nadeau and Bengio
    4  look at the kernel's geometry, and at what makes the trained circuit easy to simulate

Verdicts, the first of which is the default:

    no evidence             some classical model is not clearly worse, or the twin is not
    evidence, simulable     clearly better than all of them, and a computer can simulate it
    evidence                clearly better, and nothing known makes it simulable

Clearly: the interval of the difference is above 0 at 97.5 % confidence, because two quantum
contenders have a chance. To be better than all of several models needs no further correction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from qstore_ray.advise.advantage.contenders import (
    KERNEL_SETTINGS,
    MODEL_SETTINGS,
    QUANTUM,
    Answered,
    Prepared,
    answer,
    prepare,
    row_states,
    trained_model,
)
from qstore_ray.advise.advantage.kernels import KernelFacts, kernel_facts
from qstore_ray.advise.advantage.paired import PairedDifference, paired_difference
from qstore_ray.advise.advantage.simulability import Simulability, simulability
from qstore_ray.advise.measure.rivals import RIVALS, tune_rival
from qstore_ray.advise.meta_features import checked_table, stratified_rows
from qstore_ray.advise.rows import as_dataset, split_steps, training_rows
from qstore_ray.errors import ConfigError, DataError, UsageError
from qstore_ray.learn.kernel.kernel import fidelities

if TYPE_CHECKING:
    from qstore_ray.data.read.dataset import Dataset
    from qstore_ray.job import JobConfig
    from qstore_ray.types import AnyArray, FloatArray, IntArray, ReadOnlyTable

Outcome = Literal["no evidence", "evidence, simulable", "evidence"]
"""A verdict on advantage."""

CONFIDENCE = 0.975
_INNER = 3
_MOST_QUBITS = 14
_KERNEL_ROWS = 200


@dataclass(frozen=True)
class Contender:
    """One model over all folds.

    Attributes:
        scores: balanced accuracy of each fold (J,). seconds: CPU of all, with the tuning.
        circuits: evaluated in all; 0 of a classical model.
    """

    name: str
    scores: tuple[float, ...]
    seconds: float
    circuits: int

    @property
    def mean(self) -> float:
        """The mean score."""
        return float(np.mean(self.scores))


@dataclass(frozen=True)
class AdvantageReport:
    """What the check found.

    Attributes:
        verdict: one of the three. reason: why, as a sentence.
        contenders: by name. differences: of each quantum contender to every classical model and
            its twin, by (quantum, other).
        kernel, simulability: of the job's circuit. folds: how many in all. rows: of the data.
    """

    verdict: Outcome
    reason: str
    contenders: Mapping[str, Contender]
    differences: Mapping[tuple[str, str], PairedDifference]
    kernel: KernelFacts
    simulability: Simulability
    folds: int
    rows: int


def check_advantage(
    config: JobConfig,
    *,
    folds: int = 5,
    repeats: int = 2,
    rows: int = 400,
    seed: int = 0,
    tuned: bool = True,
    progress: Callable[[str], None] | None = None,
) -> AdvantageReport:
    """Check a job's model against classical ones on the job's training rows. Nothing is kept.

    Args:
        folds, repeats: the rows are cut into `folds` parts `repeats` times.
        rows: a stratified sample of so many rows is used at most.
        seed: of folds, samples and trainings.
        tuned: False takes the first of the settings everywhere, which is faster.
        progress: is told what is done.

    Raises:
        UsageError: a task other than classification, paid hardware, or more than 14 qubits.
        DataError: too few rows of a class.
        QStoreError: what training the job would refuse.
    """
    from qstore_ray.data.loader import DatasetLoader

    _check_job(config)
    x, y = _rows(DatasetLoader.load(config.dataset), rows, seed)
    _, steps = split_steps(config.dataset.preprocessing)
    data = config.dataset.model_copy(update={"preprocessing": steps})
    job = config.model_copy(update={"dataset": data})
    return check_rows(
        job, x, y, folds=folds, repeats=repeats, seed=seed, tuned=tuned, progress=progress
    )


def check_rows(
    config: JobConfig,
    x: AnyArray,
    y: AnyArray,
    *,
    folds: int = 5,
    repeats: int = 2,
    seed: int = 0,
    tuned: bool = True,
    progress: Callable[[str], None] | None = None,
) -> AdvantageReport:
    """`check_advantage`, on rows x (N, …) with classes y (N,) instead of the job's.

    Raises:
        UsageError, DataError, QStoreError: see `check_advantage`.
    """
    from sklearn.model_selection import RepeatedStratifiedKFold

    _check_job(config)
    x, y = checked_table(*training_rows(as_dataset((x, y))))
    _check_folds(y, folds, repeats)
    cut = RepeatedStratifiedKFold(n_splits=folds, n_repeats=repeats, random_state=seed)
    found: dict[str, list[tuple[float, float, int]]] = {n: [] for n in (*QUANTUM, *RIVALS)}
    for number, (train, test) in enumerate(cut.split(x, y)):
        prepared = prepare(config, x[train], y[train], x[test], y[test])
        if number == 0:
            _check_width(prepared)
        inner = _inner_folds(config, x[train], y[train], seed) if tuned else []
        for name in QUANTUM:
            done = _tuned_quantum(name, prepared, inner, seed)
            score = _balanced(y[test], done.predicted)
            found[name].append((score, done.seconds, done.circuits))
        for name in RIVALS:
            rival = tune_rival(name, x[train], y[train], x[test], seed=seed, tuned=tuned)
            found[name].append((_balanced(y[test], rival.predicted), rival.seconds, 0))
        if progress is not None:
            progress(f"fold {number + 1} of {folds * repeats}")
    return _report(config, x, y, found, test_share=1.0 / (folds - 1), seed=seed)


def verdict_of(
    differences: Mapping[tuple[str, str], PairedDifference], flags: Sequence[str]
) -> tuple[Outcome, str]:
    """The verdict of the differences of quantum contenders to others, and of flags."""
    reasons = []
    for quantum in dict.fromkeys(name for name, _ in differences):
        others = {other: d for (name, other), d in differences.items() if name == quantum}
        behind = {other: d for other, d in others.items() if d.low <= 0.0}
        if not behind:
            why = f"the {quantum} is clearly better than every classical model and than its twin"
            if flags:
                return "evidence, simulable", f"{why}, on these data; {flags[0]}"
            return "evidence", f"{why}, on these data"
        other, found = min(behind.items(), key=lambda each: each[1].mean)
        reasons.append(
            f"the {quantum} is not clearly better than {_worded(quantum, other)} "
            f"({found.mean:+.3f}, {found.low:+.3f} to {found.high:+.3f})"
        )
    return "no evidence", "; ".join(reasons)


def _worded(quantum: str, other: str) -> str:
    is_twin = other == f"{quantum}_twin"
    return "its twin without entanglement" if is_twin else other.replace("_", " ")


def _report(
    config: JobConfig,
    x: FloatArray,
    y: IntArray,
    found: Mapping[str, Sequence[tuple[float, float, int]]],
    *,
    test_share: float,
    seed: int,
) -> AdvantageReport:
    contenders = {
        name: Contender(
            name,
            tuple(score for score, _, _ in parts),
            sum(seconds for _, seconds, _ in parts),
            sum(circuits for _, _, circuits in parts),
        )
        for name, parts in found.items()
    }
    differences = {
        (quantum, other): paired_difference(
            np.array(contenders[quantum].scores), np.array(contenders[other].scores),
            test_share, confidence=CONFIDENCE,
        )
        for quantum in ("model", "kernel")
        for other in (*RIVALS, f"{quantum}_twin")
    }  # fmt: skip
    kernel, facts = _circuit_facts(config, x, y, seed)
    verdict, reason = verdict_of(differences, facts.flags)
    return AdvantageReport(
        verdict, reason, contenders, differences, kernel, facts, len(found["model"]), len(y)
    )


def _circuit_facts(
    config: JobConfig, x: FloatArray, y: IntArray, seed: int
) -> tuple[KernelFacts, Simulability]:
    """Of the circuit on a sample of rows: its kernel, and the state it is trained to."""
    rows = stratified_rows(y, _KERNEL_ROWS, seed)
    prepared = prepare(config, x[rows], y[rows], x[rows], y[rows])
    model = prepared.model
    states = row_states(model, prepared.x, seed=seed)
    kernel = kernel_facts(
        fidelities(states, states), x[rows], y[rows], model.circuit.template.n_qubits
    )
    theta, _ = trained_model(prepared, MODEL_SETTINGS[0], seed=seed)
    inputs, _ = model.inputs(model.split(theta), prepared.x)
    bindings = model.bindings(model.split(theta), inputs, model.circuit.angles(inputs))
    return kernel, simulability(model.circuit.template, model.observables, bindings)


def _tuned_quantum(
    name: str, prepared: Prepared, inner: Sequence[tuple[Prepared, IntArray]], seed: int
) -> Answered:
    """The answers of the best setting; its seconds and circuits hold the tuning too."""
    settings: Sequence[ReadOnlyTable] = KERNEL_SETTINGS if QUANTUM[name][0] else MODEL_SETTINGS
    tried: list[list[tuple[float, Answered]]] = []
    for each in settings if inner else ():
        answers = [(answer(name, part, each, seed=seed), labels) for part, labels in inner]
        tried.append([(_balanced(labels, done.predicted), done) for done, labels in answers])
    means = [float(np.mean([score for score, _ in parts])) for parts in tried] or [0.0]
    last = answer(name, prepared, settings[int(np.argmax(means))], seed=seed)
    every = [last, *(done for parts in tried for _, done in parts)]
    return Answered(last.predicted, sum(a.seconds for a in every), sum(a.circuits for a in every))


def _inner_folds(
    config: JobConfig, x: FloatArray, y: IntArray, seed: int
) -> list[tuple[Prepared, IntArray]]:
    from sklearn.model_selection import StratifiedKFold

    cut = StratifiedKFold(_INNER, shuffle=True, random_state=seed)
    return [
        (prepare(config, x[fit], y[fit], x[rest], y[rest]), y[rest])
        for fit, rest in cut.split(x, y)
    ]


def _rows(dataset: Dataset, count: int, seed: int) -> tuple[FloatArray, IntArray]:
    """A stratified sample of the training rows, filled and encoded."""
    if dataset.config.task != "classification":
        raise UsageError(
            "advantage is checked on classifications",
            field="dataset.task",
            value=dataset.config.task,
            fix="Give a job with one class a row.",
        )
    x, numbers = checked_table(*training_rows(dataset))
    picked = stratified_rows(numbers, count, seed)
    return x[picked], numbers[picked]


def _check_job(config: JobConfig) -> None:
    if config.trainer.backend == "ibm":
        raise UsageError(
            "the check trains a hundred times, which no hardware is paid for",
            field="trainer.backend",
            value="ibm",
            fix="Set trainer.backend to statevector, or to aer with the noise of the device.",
        )


def _check_folds(y: IntArray, folds: int, repeats: int) -> None:
    for name, value, least in (("folds", folds, 2), ("repeats", repeats, 1)):
        if value < least:
            raise ConfigError(f"must be {least} or more", field=name, value=value)
    fewest = int(np.bincount(y).min())
    needed = max(folds, 2 * _INNER)
    if fewest < needed:
        raise DataError(
            f"a class has {fewest} rows, and {folds} folds with tuning inside need {needed}",
            field="y",
            value=fewest,
            fix="Give more rows, leave rare classes out, or take fewer folds.",
        )


def _check_width(prepared: Prepared) -> None:
    n_qubits = prepared.model.circuit.template.n_qubits
    if n_qubits > _MOST_QUBITS or prepared.model.pre is not None:
        layers = prepared.model.pre is not None
        raise UsageError(
            "layers before the circuit leave the kernel without features"
            if layers
            else f"the check computes the states of all rows, of {_MOST_QUBITS} qubits at most",
            field="model.pre_layers" if layers else "model.n_qubits",
            value=None if layers else n_qubits,
            fix="Leave pre_layers out." if layers else "Check a narrower circuit of the same kind.",
        )


def _balanced(y: IntArray, predicted: FloatArray | IntArray) -> float:
    """The mean over the classes of the share of rows found."""
    return float(np.mean([np.mean(predicted[y == k] == k) for k in np.unique(y)]))
