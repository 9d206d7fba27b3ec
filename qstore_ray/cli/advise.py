"""`qstore advise`: what to train, what it costs, and whether it is worth it."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qstore_ray.cli.commands.data import open_data
from qstore_ray.cli.commands.train import Set, read_job
from qstore_ray.cli.output import AsJson, examples, note, say, say_json
from qstore_ray.cli.shared.advice_text import (
    advantage_dict,
    advantage_text,
    prediction_text,
    recommendation_text,
    variant_dict,
    variants_text,
)

if TYPE_CHECKING:
    from qstore_ray.advise.recommend import Recommendation
    from qstore_ray.data.read.dataset import Dataset
    from qstore_ray.job import JobConfig

app = typer.Typer(
    help="Say what to train on some data, what a job will take, and whether it is worth it.",
    epilog=examples(
        "advise recommend jobs/digits.toml",
        "advise predict jobs/digits.toml",
        "advise resources jobs/digits.toml",
        "advise advantage jobs/digits.toml",
    ),
)

Job = Annotated[str, typer.Argument(metavar="JOB.toml", help="The job file.")]


@app.callback()
def _advise() -> None:
    pass


@app.command(
    "recommend",
    epilog=examples(
        "advise recommend jobs/digits.toml",
        "advise recommend jobs/digits.toml --budget 60 --output best.toml",
        "advise recommend prepared/digits --count 3 --json",
    ),
)
def recommend(
    data: Annotated[
        str, typer.Argument(metavar="JOB.toml|FOLDER", help="A job file, or a prepared dataset.")
    ],
    changes: Set = None,
    budget: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="What all trainings together may take here."),
    ] = None,
    count: Annotated[int, typer.Option(min=1, metavar="N", help="How many candidates.")] = 5,
    output: Annotated[
        str | None,
        typer.Option(metavar="FILE.toml", help="Write the first candidate as a job to run."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Rank quantum models for some data by what a table of measured trainings says of data alike.

    Nothing is trained. It says if the evidence is not enough, and which classical model to beat.
    """
    from qstore_ray.advise.recommend import recommend as recommended

    config, dataset = open_data(data, changes or [])
    job = None if output is None else _job_to_write(output, config)
    found = recommended(dataset, budget=budget, count=count)
    if output is not None and job is not None:
        _write_job(Path(output), job, dataset, found)
    if as_json:
        say_json({**_as_dict(found), "job": output})
    else:
        say(recommendation_text(found))
        if output is not None:
            note(f"Run it: qstore train {output}")


@app.command(
    "predict",
    epilog=examples(
        "advise predict jobs/digits.toml",
        "advise predict jobs/digits.toml --set model.n_qubits=10 --json",
    ),
)
def predict(job: Job, changes: Set = None, as_json: AsJson = False) -> None:
    """Say what a job will take and reach, before it runs.

    Circuits, shots, QPU seconds and money are those of the plan that would run; seconds and
    accuracy come from a table of measured trainings, and have an interval that holds 90 % of those
    that were left out. Outside of the table it gives no accuracy, and says why.
    """
    from qstore_ray.advise.predict import predict_job

    with contextlib.redirect_stdout(sys.stderr):
        found = predict_job(read_job(job, changes or []))
    if as_json:
        accuracy = None if found.accuracy is None else found.accuracy._asdict()
        say_json({**asdict(found), "accuracy": accuracy})
    else:
        say(prediction_text(found))


@app.command(
    "resources",
    epilog=examples(
        "advise resources jobs/digits.toml",
        "advise resources jobs/digits.toml --two-qubit-gates 40 --seconds 10 --json",
        "advise resources jobs/digits.toml --error-budget 0.001",
    ),
)
def resources(
    job: Job,
    changes: Set = None,
    seconds: Annotated[
        float | None, typer.Option(metavar="S", help="CPU seconds of training at most.")
    ] = None,
    gates: Annotated[
        int | None,
        typer.Option("--two-qubit-gates", metavar="N", help="Gates on two qubits at most."),
    ] = None,
    depth: Annotated[
        int | None, typer.Option(metavar="N", help="Depth of the circuit at most.")
    ] = None,
    shots: Annotated[int | None, typer.Option(metavar="N", help="Shots of all epochs.")] = None,
    error_budget: Annotated[
        float | None,
        typer.Option(metavar="P", help="Estimate a fault-tolerant computer that fails so often."),
    ] = None,
    qubit: Annotated[
        str, typer.Option(metavar="NAME", help="Its physical qubits, as qdk names them.")
    ] = "qubit_gate_ns_e3",
    as_json: AsJson = False,
) -> None:
    """Say what variants of a job take and reach: other layers, observables, encodings and shots.

    Those marked * are not beaten in everything by another one. Nothing is trained.
    """
    from qstore_ray.advise.resources import frontier

    given = {"seconds": seconds, "two_qubit_gates": gates, "depth": depth, "shots": shots}
    limits = {name: float(most) for name, most in given.items() if most is not None}
    config = read_job(job, changes or [])
    if config.trainer.backend == "aer" or config.trainer.backend_options.get("shots"):
        note("Two small steps of each variant are timed, which may take a while with many shots.")
    with contextlib.redirect_stdout(sys.stderr):
        found = frontier(config, limits, error_budget=error_budget, qubit=qubit)
    if as_json:
        say_json({"variants": [variant_dict(each) for each in found]})
    else:
        say(variants_text(found))


@app.command(
    "advantage",
    epilog=examples(
        "advise advantage jobs/digits.toml",
        "advise advantage jobs/digits.toml --rows 200 --repeats 1 --json",
    ),
)
def advantage(
    job: Job,
    changes: Set = None,
    folds: Annotated[int, typer.Option(min=2, metavar="K", help="Folds of a cut.")] = 5,
    repeats: Annotated[int, typer.Option(min=1, metavar="R", help="How many cuts.")] = 2,
    rows: Annotated[
        int, typer.Option(min=30, metavar="N", help="Rows of the stratified sample at most.")
    ] = 400,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of folds and trainings.")] = 0,
    untuned: Annotated[
        bool, typer.Option("--untuned", help="Tune nothing: one setting each, and faster.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check whether a job's quantum model is better than classical ones, and why.

    All see the same folds and have the same budget of tuning; so have the twins of the circuit
    without entanglement. The test is corrected for folds that share rows. The verdict is "no
    evidence" unless every comparison is clear.
    """
    from qstore_ray.advise.advantage.check import check_advantage

    with contextlib.redirect_stdout(sys.stderr):
        found = check_advantage(
            read_job(job, changes or []),
            folds=folds, repeats=repeats, rows=rows, seed=seed, tuned=not untuned, progress=note,
        )  # fmt: skip
    if as_json:
        say_json(advantage_dict(found))
    else:
        say(advantage_text(found))


def _job_to_write(output: str, config: JobConfig | None) -> JobConfig:
    """The job that a candidate goes into, after a look at where it is to be written."""
    from qstore_ray.errors import UsageError

    if Path(output).exists():
        raise UsageError(
            "the file exists", field="--output", value=output, fix="Name a file that does not."
        )
    if config is None:
        raise UsageError(
            "a prepared dataset does not say where its rows come from",
            field="--output",
            value=output,
            fix="Give the job file that it was prepared from.",
        )
    return config


def _write_job(path: Path, config: JobConfig, dataset: Dataset, found: Recommendation) -> None:
    from qstore_ray.advise.as_job import job_of
    from qstore_ray.files import write_new

    text = job_of(found.ranked[0].candidate, config, dataset).to_toml()
    fix = "Give a file in a folder that exists and may be written to."
    write_new(path, text, field="--output", fix=fix)


def _as_dict(found: Recommendation) -> dict[str, Any]:
    ranked = [
        {**asdict(each), "name": each.candidate.name, "candidate": each.candidate.as_dict()}
        for each in found.ranked
    ]
    return {
        "basis": found.basis,
        "reason": found.reason,
        "ranked": ranked,
        "rival": found.rival,
        "rival_score": found.rival_score,
        "nearest": [each._asdict() for each in found.nearest],
        "facts": list(found.facts),
        "meta_features": dict(found.meta.values),
        "left_out": found.left_out,
    }
