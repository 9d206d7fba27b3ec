"""`qstore health`: whether what runs here is well, now or for as long as it is watched."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qstore_ray.cli.commands.train import Set, read_job
from qstore_ray.cli.output import AsJson, Storage, examples, facts, note, say, say_json
from qstore_ray.errors import BackendError, QStoreError, UsageError

if TYPE_CHECKING:
    from qstore_ray.doctor.diagnosis import Diagnosis
    from qstore_ray.ops.alerts import Alert
    from qstore_ray.ops.notify.base import Notifier
    from qstore_ray.ops.watch.watcher import RunWatcher

EXAMPLES = examples(
    "health",
    "health jobs/digits.toml --json",
    "health --storage /data/runs --deadline 60",
    "health --watch --webhook https://hooks.example.org/qstore --secret-file ~/.qstore-secret",
)
_MARKS = {"ok": "", "note": "NOTE  ", "fault": "FAULT  "}
_STORAGE = "runs"
_LAST_SECONDS = 5.0


def health(
    job: Annotated[
        str | None,
        typer.Argument(metavar="JOB.toml", help="Whose storage, cluster and MLflow to look at."),
    ] = None,
    changes: Set = None,
    storage: Storage = _STORAGE,
    deadline: Annotated[
        float,
        typer.Option("--deadline", min=0.1, metavar="SECONDS", help="Time limit of each check."),
    ] = 20.0,
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow the runs, and log and report alerts.")
    ] = False,
    every: Annotated[
        float,
        typer.Option("--every", min=0.1, metavar="SECONDS", help="With --watch: between rounds."),
    ] = 1.0,
    seconds: Annotated[
        float | None,
        typer.Option("--seconds", min=0.0, help="With --watch: end after so many seconds."),
    ] = None,
    webhook: Annotated[
        str | None,
        typer.Option(
            "--webhook",
            metavar="URL",
            help="With --watch: send alerts there; by default the variable QSTORE_WEBHOOK.",
        ),
    ] = None,
    secret_file: Annotated[
        str | None,
        typer.Option(
            "--secret-file",
            metavar="FILE",
            help="A file of mode 0600 with the secret that signs what is sent; by default the "
            "variable QSTORE_WEBHOOK_SECRET.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say whether the runs and what they need are well, and what to type if not.

    Looks at the storage, runs that were killed or are silent, searches, MLflow, the Ray cluster,
    ledgers and budgets of hardware, and open alerts. Nothing is started or changed. The exit code
    is 4 if something is wrong, also if a check did not end in time. `qstore doctor` looks at the
    machine.

    With --watch the metrics of all runs are followed until Ctrl-C, and judged by rules; alerts are
    logged in alerts.jsonl beside the runs. No training is changed or delayed.
    """
    from qstore_ray.ops.health import HealthScope
    from qstore_ray.track.config import TrackConfig

    if changes and job is None:
        raise UsageError("no job is given to change", field="--set", fix="Give the job file, too.")
    if not watch and (webhook or secret_file or seconds is not None):
        raise UsageError("this is an option of --watch", fix="Add --watch, or leave it out.")
    scope = HealthScope(storage, TrackConfig())
    if job is not None:
        config = read_job(job, changes or [])
        where = storage if storage != _STORAGE else config.storage
        options = config.trainer.backend_options
        scope = HealthScope(where, config.track, config.cluster.address, options.get("ledger"))
    if watch:
        _watch(scope.storage, every, seconds, _notifiers(webhook, secret_file, as_json), as_json)
        return
    _say(scope, deadline, as_json)


def _say(scope: object, deadline: float, as_json: bool) -> None:
    from qstore_ray.ops.health import HealthScope, examine_health, worst

    assert isinstance(scope, HealthScope)
    found = examine_health(scope, deadline)
    state = worst(found)
    if as_json:
        say_json({"state": state, "findings": [asdict(each) for each in found]})
    else:
        say(facts((each.name, _line(each)) for each in found))
    if state == "fault":
        raise typer.Exit(BackendError.exit_code)


def _line(finding: Diagnosis) -> str:
    advice = f". {finding.advice}" if finding.advice else ""
    return f"{_MARKS[finding.state]}{finding.found}{advice}"


def _notifiers(webhook: str | None, secret_file: str | None, as_json: bool) -> list[Notifier]:
    from qstore_ray.ops.notify.log import LogNotifier
    from qstore_ray.ops.notify.webhook import WebhookNotifier, find_target

    found: list[Notifier] = [] if as_json else [LogNotifier(say)]
    target = find_target(webhook, secret_file)
    if target is not None:
        found.append(WebhookNotifier(target, note))
    elif secret_file is not None:
        raise UsageError(
            "nothing is sent that could be signed", field="--secret-file", fix="Add --webhook URL."
        )
    return found


def _watch(
    storage: str | Path,
    every: float,
    seconds: float | None,
    notifiers: list[Notifier],
    as_json: bool,
) -> None:
    from qstore_ray.ops.watch.watcher import RunWatcher

    ends = None if seconds is None else time.monotonic() + seconds
    said: set[tuple[str, str]] = set()
    note(f"watching {storage}; Ctrl-C ends it")
    try:
        with RunWatcher(storage, notifiers) as watcher:
            while True:
                changed = _round(watcher)
                if as_json:
                    _say_alerts(changed)
                for run, problem in watcher.problems.keys() - said:
                    note(f"warning: {run}: {problem}")
                said |= watcher.problems.keys()
                left = every if ends is None else min(every, ends - time.monotonic())
                if left <= 0.0:
                    return
                time.sleep(left)
    except KeyboardInterrupt:
        note("ended")
    finally:
        for notifier in notifiers:
            notifier.close(_LAST_SECONDS)


def _round(watcher: RunWatcher) -> list[Alert]:
    """One round. What the first one cannot read is an error; later, a disk or a server may come
    back.
    """
    try:
        return watcher.poll()
    except QStoreError as exc:
        if not watcher.rounds:
            raise
        watcher.problems["runs", exc.message] = None
        return []


def _say_alerts(alerts: list[Alert]) -> None:
    for alert in alerts:
        say_json({"event": "opened" if alert.is_open else "closed", **alert.as_dict()})
