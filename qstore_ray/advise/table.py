"""The measured table: what each candidate scored on each data set, beside tuned classical models.

`benchmarks/advice_table.py` measures it, `table.parquet` beside this file holds it, and `about`
says with which versions, seed and commit. A score is balanced accuracy on held-out rows, the mean
over the folds. Letters: D data sets, C candidates, M meta-features.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from qstore_ray.advise.candidates import DEFAULT, Candidate
from qstore_ray.advise.meta_features import NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qstore_ray.types import AnyArray, FloatArray, ReadOnlyTable

FILE = "table.parquet"
_FIELDS = tuple(Candidate.__dataclass_fields__)


@dataclass(frozen=True, eq=False)  # arrays have no truth value
class AdviceTable:
    """The table as arrays.

    Attributes:
        data_sets: names (D,). families: of the same (D,); variants of one source share one.
        meta: meta-features (D, M), in the order of `meta_features.NAMES`.
        rows, columns: of the data sets (D,).
        candidates: the C quantum models. scores: theirs (D, C).
        rivals: names of the classical models (R,). rival_scores: theirs (D, R).
        trainings: one array for each column of the single quantum trainings.
        about: versions, seed, commit and date of the measurement.
    """

    data_sets: tuple[str, ...]
    families: AnyArray
    meta: FloatArray
    rows: AnyArray
    columns: AnyArray
    candidates: tuple[Candidate, ...]
    scores: FloatArray
    rivals: tuple[str, ...]
    rival_scores: FloatArray
    trainings: Mapping[str, AnyArray]
    about: ReadOnlyTable

    def without(self, family: str) -> AdviceTable:
        """The table as if the data sets of a family had never been measured."""
        kept = self.families != family
        names = np.array(self.data_sets)
        own = np.isin(self.trainings["dataset"], names[kept])
        return AdviceTable(
            data_sets=tuple(names[kept].tolist()),
            families=self.families[kept],
            meta=self.meta[kept],
            rows=self.rows[kept],
            columns=self.columns[kept],
            candidates=self.candidates,
            scores=self.scores[kept],
            rivals=self.rivals,
            rival_scores=self.rival_scores[kept],
            trainings={name: values[own] for name, values in self.trainings.items()},
            about=self.about,
        )


@cache
def load_table() -> AdviceTable:
    """The table of this installation, read once in a process."""
    import pyarrow.parquet as pq

    with resources.as_file(resources.files(__package__) / FILE) as path:
        read = pq.read_table(path)
    about = json.loads((read.schema.metadata or {})[b"about"])
    columns: dict[str, AnyArray] = {
        name: np.array(read.column(name).to_pylist()) for name in read.column_names
    }
    return as_table(columns, about)


def as_table(columns: Mapping[str, AnyArray], about: ReadOnlyTable) -> AdviceTable:
    """The table of the single trainings, given column by column."""
    quantum = columns["kind"] == "quantum"
    data_sets = tuple(dict.fromkeys(columns["dataset"].tolist()))
    names = tuple(dict.fromkeys(columns["model"][quantum].tolist()))
    rivals = tuple(dict.fromkeys(columns["model"][~quantum].tolist()))
    first = [int(np.argmax(columns["dataset"] == name)) for name in data_sets]
    of_model = {name: int(np.argmax(columns["model"] == name)) for name in names}
    return AdviceTable(
        data_sets=data_sets,
        families=columns["family"][first],
        meta=np.array([columns[name][first] for name in NAMES], np.float64).T,
        rows=columns["rows"][first],
        columns=columns["columns"][first],
        candidates=tuple(_candidate(columns, place) for place in of_model.values()),
        scores=_means(columns, data_sets, names),
        rivals=rivals,
        rival_scores=_means(columns, data_sets, rivals),
        trainings={name: values[quantum] for name, values in columns.items()},
        about=about,
    )


def _candidate(columns: Mapping[str, AnyArray], place: int) -> Candidate:
    known: dict[str, Any] = {}
    for name in _FIELDS:
        value, kind = columns[name][place], type(getattr(DEFAULT, name))
        known[name] = round(float(value), 6) if kind is float else kind(value)
    return Candidate(**known)


def _means(
    columns: Mapping[str, AnyArray], data_sets: tuple[str, ...], models: tuple[str, ...]
) -> FloatArray:
    """Mean score over the folds (D, models); 0 for a model that could not be trained."""
    place = {name: i for i, name in enumerate(data_sets)}
    column = {name: i for i, name in enumerate(models)}
    total, count = np.zeros((2, len(data_sets), len(models)))
    score = np.nan_to_num(columns["balanced_accuracy"].astype(np.float64))
    for name, model, value in zip(columns["dataset"], columns["model"], score, strict=True):
        if model in column:
            total[place[name], column[model]] += value
            count[place[name], column[model]] += 1
    return total / np.maximum(count, 1)
