"""`qstore submit`: run a job file as a job of a Ray cluster."""

from __future__ import annotations

import enum
import hashlib
import json
import re
import shlex
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from qstore_ray.cli.commands.train import read_job
from qstore_ray.cli.output import AsJson, examples, note, say, say_json
from qstore_ray.errors import InterruptedRunError, UsageError
from qstore_ray.storage.address import address_of, is_address, storage_folder

if TYPE_CHECKING:
    from qstore_ray.cli.submit.attempts import Submission

EXAMPLES = examples(
    "submit jobs/digits.toml",
    "submit jobs/digits.toml --address http://127.0.0.1:8265 --storage /shared/runs",
    "submit jobs/digits_tune.toml --command tune --storage /shared/runs --no-wait",
    "submit jobs/digits.toml --command evaluate --id digits-score",
)
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


class Command(enum.StrEnum):
    """What the job runs."""

    TRAIN = "train"
    TUNE = "tune"
    EVALUATE = "evaluate"
    PREDICT = "predict"


def submit(
    job: Annotated[str, typer.Argument(metavar="JOB.toml", help="The job file.")],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="ARGUMENTS", help="After --: more arguments of the command."),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="The address of Ray's dashboard; without it that of the warm cluster, or "
            "http://127.0.0.1:8265.",
        ),
    ] = None,
    command: Annotated[Command, typer.Option(help="What the job runs.")] = Command.TRAIN,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the run and of its folder (name).")
    ] = None,
    id_: Annotated[
        str | None,
        typer.Option("--id", metavar="ID", help="Submission id; without it, the run's name."),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Folder of the runs, the same on all nodes, or an address (storage).",
        ),
    ] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait for its end.")] = False,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Talk to a head elsewhere without a token.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run a job file as a job of a Ray cluster: logs on stderr, the exit code is the job's.

    The files that git tracks go with it. The same submission again waits for the job that runs,
    and resumes one that failed or was stopped. Ctrl-C leaves the job running.
    """
    from qstore_ray.cli.submit.attempts import attempt, follow
    from qstore_ray.cli.submit.head import connect, unproxied, usual_address
    from qstore_ray.cli.submit.package import package_of
    from qstore_ray.cli.submit.readable import JobLogs, result_text
    from qstore_ray.train.run.run_folder import check_name

    _check_arguments(arguments or ())
    changes = {"storage": storage, "name": name}
    config = read_job(
        job, [f"{field}={json.dumps(value)}" for field, value in changes.items() if value]
    )
    check_name(config.name)
    submission = _checked(id_ or _default_id(config.name, command))
    package = package_of(Path(job))
    if not package.tracked:
        note(f"Outside git, only these files go with the job: {', '.join(map(str, package.files))}")
    runs = str(address_of(config.storage) or storage_folder(config.storage))
    words = [*(arguments or ()), *(["--name", name] if name and command in _STARTING else [])]
    entrypoint = _entrypoint(command, package.job, config.name, runs, words)
    address = address or usual_address()
    with unproxied(address), tempfile.TemporaryDirectory() as scratch:
        client = connect(address, insecure=insecure)
        packed = Path(scratch) / f"{submission}.zip"
        package.write(packed)
        made_of = hashlib.sha256(Path(job).read_bytes() + entrypoint(False).encode()).hexdigest()
        found = attempt(client, submission, entrypoint, {"working_dir": str(packed)}, made_of)
    note(_found(found, address))
    if no_wait:
        _say_left(found, as_json=as_json)
        return
    logs = JobLogs()
    try:
        with closing(logs), unproxied(address):
            code = follow(client, found.id, logs.write)
    except KeyboardInterrupt:
        raise _left_error(found, address) from None
    if as_json:
        say_json({"id": found.id, "exit_code": code, "result": logs.result()})
    else:
        if logs.readable and (text := result_text(logs.result() or {})):
            say(text)
        say(f"job {found.id} ended with exit code {code}")
    raise typer.Exit(code)


_STARTING: Final = frozenset({Command.TRAIN, Command.TUNE})
"""Commands that make a folder of their name, which they can resume."""
_OURS: Final = ("--name", "--storage", "--resume", "--json")


def _check_arguments(arguments: Sequence[str]) -> None:
    """Refuse, after `--`, what a submission sets itself."""
    for word in arguments:
        option = word.partition("=")[0]
        if option in _OURS:
            decided = option in {"--resume", "--json"}
            raise UsageError(
                f"{option} is not an argument of the job's command, but of the submission",
                field="arguments",
                value=word,
                fix="Leave it out: a submission decides it." if decided else "Give it before --.",
            )


def _default_id(name: str, command: Command) -> str:
    return name if command is Command.TRAIN else f"{name}-{command}"


def _checked(name: str) -> str:
    if ".." in name or not _ID.fullmatch(name):
        raise UsageError(
            "a submission id has letters, digits, and . _ - between them, without '..'",
            field="id",
            value=name,
            fix="Write another one with --id.",
        )
    return name


def _entrypoint(
    command: Command, job: Path, name: str, storage: str, arguments: Sequence[str]
) -> Callable[[bool], str]:
    """What the job's shell runs: this machine's Python if it exists there, too, or `python`."""
    python = f'"$(command -v {shlex.quote(sys.executable)} || echo python)"'
    starts_runs = command in _STARTING
    subject = job.as_posix() if starts_runs else name

    def words(given: Sequence[str]) -> str:
        return shlex.join([command, subject, *given, "--storage", storage, "--json"])

    # What --fresh has deleted is not deleted again: a failed attempt of this submission is resumed.
    kept = [word for word in arguments if not (starts_runs and word == "--fresh")]
    # Also the first attempt that a cluster knows of may find a run, of a cluster that has ended;
    # and one that failed may have had no folder yet.
    begun = f"test -e {shlex.quote(f'{storage}/{name}')}"
    if is_address(storage):
        shown = shlex.join(["runs", "show", name, "--storage", storage])
        begun = f"{python} -m qstore_ray {shown} >/dev/null 2>&1"
    resumed = f" $({begun} && echo --resume)" if starts_runs else ""
    again = f"{words(kept)}{resumed}"
    first = again if len(kept) == len(arguments) else words(arguments)
    return lambda resumes: f"{python} -m qstore_ray {again if resumes else first}"


def _found(found: Submission, address: str) -> str:
    done = "submitted" if found.submitted else "found there, with all that it wrote"
    resumes = ", resumes the one that failed" if found.submitted and found.resumes else ""
    return f"job {found.id} at {address}: {done}{resumes}"


def _say_left(found: Submission, *, as_json: bool) -> None:
    if as_json:
        say_json({"id": found.id, "submitted": found.submitted})
    else:
        say(found.id)


def _left_error(found: Submission, address: str) -> InterruptedRunError:
    return InterruptedRunError(
        f"the job {found.id} continues",
        field="id",
        value=found.id,
        fix="The same command follows it again. To stop it: RAY_AUTH_MODE=token ray job stop "
        f"--address {address} {found.id}",
    )
