"""What a search has found: one schema, as JSON, as Parquet, and as the best job's TOML.

It is read at any time: while the search runs, after it was killed, or when it has ended.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypedDict, cast

from qstore_ray.config import dump_toml, set_field
from qstore_ray.errors import RunError
from qstore_ray.files import expanded, write_durably
from qstore_ray.storage.address import storage_folder
from qstore_ray.train.run.origin import refresh_study
from qstore_ray.train.run.run_folder import check_name
from qstore_ray.tune.space.space import Space
from qstore_ray.tune.study.attributes import COPIED, SAME_AS, recorded_usage
from qstore_ray.tune.study.ownership import read_record, recorded_url
from qstore_ray.tune.study.recipe import KEY, public
from qstore_ray.tune.study.storage import name_of, open_storage, study_names
from qstore_ray.tune.study.storage_errors import translated
from qstore_ray.tune.study.trial_result import TrialResult, TrialResultDict, trial_result
from qstore_ray.types import Table

SCHEMA = 1


class FailureCause(TypedDict):
    """A cause of failed trials, how many there are, and their numbers."""

    cause: str
    count: int
    trials: list[int]


class StudyResultDict(TypedDict):
    """A `StudyResult` as `result.json` holds it."""

    schema: int
    study: str
    objectives: dict[str, str]
    trials: list[TrialResultDict]
    best: list[int]
    job: Table
    space: Table
    statuses: dict[str, int]
    failures: list[FailureCause]
    hardware: dict[str, float]


@dataclass(frozen=True)
class StudyResult:
    """A study.

    Args:
        study: its name.
        objectives: metric → maximize or minimize.
        trials: all, in order; those of earlier studies are not among them.
        best: numbers of the best trial, or of the Pareto front of several objectives;
            empty if no trial was completed.
        job: the job that trials were made from.
        space: what was searched, as the table of a `Space`.
        hardware: what the study has used of paid hardware, see `TrialResult`. A job that several
            trials share counts once here, and for each of them.

    Examples:
        result = StudyResult("digits", {"val_loss": "minimize"}, [], [], job={}, space={})
        assert result.statuses == {}
    """

    study: str
    objectives: dict[str, str]
    trials: list[TrialResult]
    best: list[int]
    job: Table
    space: Table
    hardware: dict[str, float] = field(default_factory=dict)

    @classmethod
    def load(cls, storage: str | Path, name: str, *, storage_url: str | None = None) -> StudyResult:
        """The study `name` in the folder `storage`, read without a lock: its driver may be at work.

        Args:
            storage_url: of its database; without it the folder's own record says where the study
                is.

        Raises:
            RunError: there is no study of this name.
            StudyError: its storage is locked, damaged or out of reach.
        """
        import optuna

        folder = storage_folder(storage) / check_name(name)
        refresh_study(folder)
        if storage_url is None and (record := read_record(folder)):
            name = record.study  # the folder may have been renamed
        url = storage_url or recorded_url(folder)
        with translated(name_of(folder, url)):
            if name not in study_names(folder, url):
                raise _no_study_error(folder)
            keep = open_storage(folder, url, writing=False)
            study = optuna.load_study(study_name=name, storage=keep)
            marks = study.user_attrs
            recipe = marks.get(KEY)
            if recipe is None:
                raise _no_study_error(folder)
            every = study.get_trials(deepcopy=False)
            trials = [t for t in every if not {COPIED, SAME_AS} & t.user_attrs.keys()]
        objectives = dict(recipe["objectives"])
        space = Space.from_dict(recipe["space"])
        used = recorded_usage(marks)
        results = [trial_result(trial, space, list(objectives), folder, used) for trial in trials]
        last = {trial.run: trial.number for trial in results}
        results = [t if last[t.run] == t.number else replace(t, hardware={}) for t in results]
        best = _best(results, objectives)
        total = used[""].numbers() if "" in used else {}
        return cls(name, objectives, results, best, public(recipe["job"]), recipe["space"], total)

    def __repr__(self) -> str:
        return (
            f"StudyResult({self.study!r}, {self.objectives}, {self.count_text()}, "
            f"best {self.best[:5]})"
        )

    @property
    def statuses(self) -> dict[str, int]:
        """How many trials have which status."""
        found = [trial.status for trial in self.trials]
        return {status: found.count(status) for status in sorted(set(found))}

    @property
    def repeated_by(self) -> dict[int, int]:
        """Number of an interrupted trial → number of the trial that repeats it."""
        return {t.repeats: t.number for t in self.trials if t.repeats is not None}

    def count_text(self) -> str:
        """How many trials have which status, as text: "6 completed, 1 interrupted and repeated"."""
        repeated = self.repeated_by.keys()
        found = [t.status + " and repeated" * (t.number in repeated) for t in self.trials]
        return ", ".join(f"{found.count(each)} {each}" for each in sorted(set(found)))

    def failures(self) -> list[FailureCause]:
        """The causes of failed trials, the most frequent first, each with its trials' numbers."""
        causes: dict[str, list[int]] = {}
        for trial in self.trials:
            if trial.status == "failed":
                causes.setdefault(trial.error or "unknown", []).append(trial.number)
        table: list[FailureCause] = [
            {"cause": cause, "count": len(numbers), "trials": numbers}
            for cause, numbers in causes.items()
        ]
        return sorted(table, key=lambda row: -len(row["trials"]))

    def best_trials(self) -> list[TrialResult]:
        """The best trial, or the Pareto front.

        Raises:
            RunError: no trial was completed; the error lists the causes.
        """
        if not self.best:
            rows = [f"{row['count']} × {row['cause']}" for row in self.failures()]
            raise RunError(
                "no trial of the study was completed",
                field="study",
                value=self.study,
                fix=f"Failures: {'; '.join(rows)}."
                if rows
                else "Let it run, with existing='resume'.",
            )
        return [self.trials_by_number()[number] for number in self.best]

    def trials_by_number(self) -> dict[int, TrialResult]:
        """Number → trial; the numbers of copied trials are not there."""
        return {trial.number: trial for trial in self.trials}

    def best_toml(self, number: int | None = None) -> str:
        """The job of the best trial (or of another one) as TOML, ready for `qstore train`.

        Raises:
            RunError: no trial was completed, or none has this number.
        """
        trial = self.best_trials()[0] if number is None else self.trials_by_number().get(number)
        if trial is None:
            raise RunError("the study has no such trial", field="number", value=number)
        job = json.loads(json.dumps({k: v for k, v in self.job.items() if k != "tune"}))
        for name in sorted(trial.parameters, key=lambda field: field.count(".")):
            set_field(job, name, json.loads(json.dumps(trial.parameters[name])))
        return dump_toml({**job, "name": f"{self.study[:90]}-{trial.number:04d}"})

    def to_dict(self) -> StudyResultDict:
        """The result as JSON-ready values."""
        more = {"statuses": self.statuses, "failures": self.failures()}
        return cast("StudyResultDict", {"schema": SCHEMA, **asdict(self), **more})

    def write(self, folder: str | Path) -> dict[str, Path]:
        """Write `result.json`, `trials.parquet`, and `best.toml` if a best trial exists.

        Returns:
            json, parquet, best → path.

        Raises:
            OSError: as the system says.
        """
        from pyarrow import BufferOutputStream, parquet

        place, stream = expanded(folder), BufferOutputStream()
        parquet.write_table(self.to_arrow(), stream)
        files = {
            "json": ("result.json", json.dumps(self.to_dict(), indent=1, allow_nan=False).encode()),
            "parquet": ("trials.parquet", stream.getvalue().to_pybytes()),
        }
        if self.best:
            files["best"] = ("best.toml", self.best_toml().encode())
        for name, data in files.values():
            write_durably(place / name, data)
        return {kind: place / name for kind, (name, _) in files.items()}

    def to_arrow(self) -> Any:
        """A row a trial; a column a parameter and objective, lists and mixed types as JSON text."""
        import pyarrow as pa

        rows = [asdict(trial) for trial in self.trials]
        columns: dict[str, Any] = {
            name: pa.array([row[name] for row in rows], kind)
            for name, kind in (
                ("number", pa.int64()),
                ("status", pa.string()),
                ("seconds", pa.float64()),
                ("circuit_evaluations", pa.int64()),
                ("error", pa.string()),
                ("run", pa.string()),
                ("repeats", pa.int64()),
                ("interval", pa.list_(pa.float64())),
            )
        }
        for part in ("parameters", "objectives", "hardware"):
            for name in dict.fromkeys(key for row in rows for key in row[part]):
                columns[f"{part}.{name}"] = _column([row[part].get(name) for row in rows])
        columns["epochs"] = pa.array([json.dumps(row["epochs"]) for row in rows], pa.string())
        return pa.table(columns)


def read_result(storage: str | Path, name: str, *, storage_url: str | None = None) -> StudyResult:
    """Read a study: `StudyResult.load` by its earlier name.

    Raises:
        RunError, StudyError: as `StudyResult.load`.

    Examples:
        try:
            read_result("runs", "digits-tune")
        except QStoreError as error:
            print(error)
    """
    return StudyResult.load(storage, name, storage_url=storage_url)


def _best(trials: Sequence[TrialResult], objectives: Mapping[str, str]) -> list[int]:
    """The completed trials that no other one is better than; of one objective, the first."""
    signs = [-1.0 if way == "maximize" else 1.0 for way in objectives.values()]
    costs = {
        trial.number: [s * v for s, v in zip(signs, trial.objectives.values(), strict=True)]
        for trial in trials
        if trial.status == "completed"
    }
    if len(signs) == 1:
        return [min(costs, key=lambda number: costs[number][0])] if costs else []
    return [n for n, cost in costs.items() if not any(_dominates(c, cost) for c in costs.values())]


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def _column(values: list[Any]) -> Any:
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float}:
        return pa.array([None if v is None else float(v) for v in values], pa.float64())
    if len(kinds) == 1 and kinds <= {bool, int, float, str}:
        return pa.array(values)
    return pa.array([None if v is None else json.dumps(v) for v in values], pa.string())


def _no_study_error(folder: Path) -> RunError:
    return RunError(
        "there is no study of this name",
        field="study",
        value=str(folder),
        fix="Give the storage and the name that it was started with.",
    )
