"""`qstore train`: run a job file."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qstore_ray.cli.output import AsJson, examples, facts, note, say, say_json
from qstore_ray.cli.shared.existing import existing_of
from qstore_ray.storage.address import shown_place
from qstore_ray.wording import decimal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qstore_ray.data.read.dataset import Dataset
    from qstore_ray.job import JobConfig, JobResult
    from qstore_ray.track.base import Display
    from qstore_ray.train.run.run_folder import Existing

EXAMPLES = examples(
    "train jobs/digits.toml",
    "train jobs/digits.toml --workers 2 --seed 1 --name digits-1",
    "train jobs/digits.toml --set model.layers=4 --set trainer.optimizer=sgd",
    "train jobs/digits.toml --resume",
    "train jobs/digits.toml --fresh --quiet --json | tail -1",
)

Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a field of the job file, such as model.layers=4. May be repeated.",
    ),
]

Local = Annotated[
    bool,
    typer.Option(
        "--local",
        help="Start a Ray of its own instead of joining a cluster (cluster.address = 'local').",
    ),
]


def train(
    job: Annotated[str, typer.Argument(metavar="JOB.toml", help="The job file.")],
    changes: Set = None,
    seed: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Seed of the initial parameters and of the order of rows (trainer.seed). "
            "The split has its own, dataset.seed.",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Number of Ray workers (trainer.num_workers); 0 trains in this process.",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(metavar="N", help="Passes over the training rows (trainer.epochs)."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the run and of its folder (name).")
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Folder in which the run's folder is created (storage)."),
    ] = None,
    init_from: Annotated[
        str | None,
        typer.Option(
            "--init-from",
            metavar="RUN",
            help="Start from the parameters of a run or a .qsm file (trainer.init_from).",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue a run that was interrupted or failed, or finished with fewer epochs.",
        ),
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Delete the run of this name and start again.")
    ] = False,
    local: Local = False,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> None:
    """Train the model that a job file describes.

    Progress goes to stderr, the result to stdout. Ctrl-C writes a checkpoint and exits with 5;
    the same command with --resume continues from it, with the same result as without a stop.
    """
    existing = existing_of("run", resume=resume, fresh=fresh)
    options = {
        "trainer.seed": seed,
        "trainer.num_workers": workers,
        "trainer.epochs": epochs,
        "trainer.init_from": init_from,
        "name": name,
        "storage": storage,
        "cluster.address": "local" if local else None,
    }
    config = read_job(job, [*(changes or []), *_overrides(options)])
    result = _run(config, existing=existing, shown=not quiet)
    if as_json:
        say_json(_as_dict(config.name, result))
    else:
        say(_as_text(result, config))


def read_job(path: str, overrides: list[str]) -> JobConfig:
    """The job file with `a.b=c` overrides.

    Raises:
        ConfigError: no such file, not TOML, or a wrong value.
    """
    from qstore_ray.errors import ConfigError
    from qstore_ray.job import JobConfig

    try:
        return JobConfig.load(path, overrides)
    except ConfigError as exc:
        if exc.field in ("federation", "partition"):
            exc.fix = f"Type `qstore federate {path}`."
        raise


def _overrides(options: dict[str, Any]) -> list[str]:
    """Options that were given, as overrides; a quoted text stays text, even where it is digits."""
    return [
        f"{field}={json.dumps(value, ensure_ascii=False)}"
        for field, value in options.items()
        if value is not None
    ]


def _run(config: JobConfig, *, existing: Existing, shown: bool) -> JobResult:
    from qstore_ray.job import run_job
    from qstore_ray.track.logs.logging import configure_logging

    in_job = "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ  # set where `ray job submit` runs it
    configure_logging(json=in_job, level="info" if in_job and shown else "warning")
    display: Display | None = None
    if shown:
        from qstore_ray.cli.progress.progress import LoggedProgress, ProgressBar

        display = LoggedProgress(config.name) if in_job else ProgressBar()
    # Ray and other libraries print what they have to say where our results go.
    with contextlib.redirect_stdout(sys.stderr):
        return run_job(
            config,
            existing=existing,
            display=display,
            loaded=say_columns if shown else None,
        )


def say_columns(dataset: Dataset) -> None:
    """What was taken for the label and the features, in one line."""
    from qstore_ray.data.inputs.signature import Signature

    doubts = (dataset.provenance.get(name) for name in ("alike", "many"))
    taken = f"{dataset.config.name}: {Signature.of(dataset).line()}"
    note("; ".join([taken, *filter(None, doubts)]))


def _as_dict(name: str, result: JobResult) -> dict[str, Any]:
    """The result for `--json`; what the data do not allow (no test split, a regression) is null."""
    expected = dict.fromkeys(("test_accuracy", "baseline_accuracy"))
    return {
        "status": "finished",
        "name": name,
        "run_dir": shown_place(result.run_dir),
        "verdict": result.verdict,
        "missing": dict(result.missing),
        **expected,
        **result.metrics,
        **({"privacy": result.privacy.model_dump()} if result.privacy is not None else {}),
        **({"fallback_steps": list(result.fallbacks)} if result.fallbacks else {}),
    }


def _as_text(result: JobResult, config: JobConfig) -> str:
    from qstore_ray.backends.failover import fallback_text
    from qstore_ray.learn.privacy.statement import statement_text
    from qstore_ray.track.mlflow.store import recorded_at
    from qstore_ray.train.report.execution import ways

    metrics = result.metrics
    lines: list[tuple[str, Any]] = [("run", shown_place(result.run_dir))]
    lines += [("fell back", fallback_text(step)) for step in result.fallbacks]
    trainer = {"noise": config.trainer.noise, "backend_options": config.trainer.backend_options}
    said_of_parts = {**ways(trainer), "test": "test", "baseline": "baseline"}
    for part, said in said_of_parts.items():
        scores = _scores(metrics, part, balanced="balanced accuracy" in result.verdict)
        if scores:
            lines.append((said, scores))
    if result.verdict:
        lines.append(("verdict", result.verdict))
    if result.privacy is not None:
        lines.append(("privacy", statement_text(result.privacy)))
    lines += [("missing", f"{name}: {why}") for name, why in result.missing.items()]
    epochs, rate = metrics["epochs"], metrics["samples_per_second"]
    speed = f", {rate:,.0f} samples/s" if rate else ", all of them trained before"
    lines.append(("training", f"{epochs} epoch{'s' * (epochs != 1)}{speed}"))
    parts = ["Ray's start"] * (config.trainer.max_workers > 0) + ["training", "scoring"]
    whole = f"{', '.join(parts[:-1])} and {parts[-1]}"
    lines.append(("time", f"{metrics['train_seconds']:.1f} s for {whole}"))
    lines += _hardware(metrics)
    tracked = recorded_at(result.run_dir, config.track)
    lines += [("mlflow", tracked)] if tracked else []
    return facts(lines)


def _hardware(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the run used of paid hardware."""
    from qstore_ray.backends.paid import PaidUsage

    used = PaidUsage.of_metrics(metrics)
    return [("hardware", used.text())] if used else []


def _scores(metrics: Mapping[str, Any], part: str, *, balanced: bool) -> str:
    """The scores that people ask for first; all are in the report and in `--json`."""
    shown = [("accuracy", decimal), ("r2", decimal), ("rmse", "{:.6g}".format)]
    shown[1:1] = [("balanced_accuracy", decimal), ("f1_macro", decimal)] if balanced else []
    found = {name: form for name, form in shown if f"{part}_{name}" in metrics}
    if not found and f"{part}_loss" in metrics:
        found = {"loss": "{:.4g}".format}
    said = {"balanced_accuracy": "balanced accuracy", "f1_macro": "macro F1", "r2": "R²"}
    said["rmse"] = "RMSE"
    return ", ".join(
        f"{said.get(name, name)} {form(metrics[f'{part}_{name}'])}" for name, form in found.items()
    )
