"""`qstore`, the command line. Here are its entry, its exit codes, and the list of its commands.

    0  done                              3  the data cannot be used
    1  a run that failed                 4  a backend or its credentials
    2  what was typed or configured      5  interrupted; `qstore train … --resume` continues

Every error that the program raises on purpose is printed as one block that says what, where, which
value, and what to type instead. Any other error is a fault of the program and keeps its traceback.

Commands import what they need when they run, so that `qstore --help` answers at once.
"""

from __future__ import annotations

import contextlib
import io
import sys
import time
from collections.abc import Sequence
from typing import Annotated, Any, cast

import typer

from qstore_ray import __version__
from qstore_ray.cli import (
    advise,
    cluster,
    dashboard,
    federate,
    health,
    migrate,
    output,
    privacy,
    review,
    serve,
    usage,
)
from qstore_ray.cli.commands import (
    config,
    data,
    evaluate,
    export,
    hardware,
    machine,
    noise,
    predict,
    runs,
    train,
    ui,
)
from qstore_ray.cli.stopped import stopped_error
from qstore_ray.cli.submit.command import EXAMPLES, submit
from qstore_ray.cli.tune import tune
from qstore_ray.cli.tune.group import RUN
from qstore_ray.errors import InterruptedRunError, QStoreError, UsageError
from qstore_ray.ops.usage.commands import count_command, is_counting
from qstore_ray.wording import on_command_line

app = typer.Typer(
    # Plain help: no boxes, no colours, and rich need not be imported for it.
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    help="Train quantum machine-learning models on a laptop or a Ray cluster.",
    epilog=output.examples(
        "train jobs/digits.toml",
        "runs",
        "evaluate digits",
        "COMMAND --help",
    ),
)
app.command("train", epilog=train.EXAMPLES)(train.train)
app.command("federate", epilog=federate.EXAMPLES)(federate.federate)
app.command("submit", epilog=EXAMPLES)(submit)
app.command("evaluate", epilog=evaluate.EXAMPLES)(evaluate.evaluate)
app.command("predict", epilog=predict.EXAMPLES)(predict.predict)
app.command("serve", epilog=serve.EXAMPLES)(serve.serve)
app.command("export", epilog=export.EXAMPLES)(export.export)
app.command("estimate", epilog=machine.ESTIMATE_EXAMPLES)(machine.estimate)
app.command("doctor", epilog=machine.DOCTOR_EXAMPLES)(machine.doctor)
app.command("health", epilog=health.EXAMPLES)(health.health)
app.command("dashboard", epilog=dashboard.EXAMPLES)(dashboard.dashboard)
app.command("usage", epilog=usage.EXAMPLES)(usage.usage)
app.command("review", epilog=review.EXAMPLES)(review.review)
app.command("migrate", epilog=migrate.EXAMPLES)(migrate.migrate)
app.command("ui", epilog=ui.EXAMPLES)(ui.ui)
app.add_typer(tune.app, name="tune")
app.add_typer(runs.app, name="runs")
app.add_typer(config.app, name="config")
app.add_typer(noise.app, name="noise")
app.add_typer(privacy.app, name="privacy")
app.add_typer(advise.app, name="advise")
app.add_typer(hardware.app, name="hardware")
app.add_typer(data.app, name="data")
app.add_typer(cluster.app, name="cluster")

# typer gives a public name only to one kind of wrong usage; this is the family it belongs to.
_Misuse = cast("type[typer.BadParameter]", typer.BadParameter.__base__)


@app.callback()
def _options(
    version: Annotated[  # the callback has printed it
        bool,
        typer.Option(
            "--version",
            help="Print the version and exit.",
            is_eager=True,
            callback=lambda asked: _print_version() if asked else None,
        ),
    ] = False,
) -> None:
    pass


def _print_version() -> None:
    output.say(f"qstore {__version__}")
    raise typer.Exit


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code.

    Args:
        arguments: what was typed after `qstore`; without it, what this process was started with.
    """
    with on_command_line():
        return _main(list(sys.argv[1:] if arguments is None else arguments))


def _main(words: list[str]) -> int:
    as_json = "--json" in words
    # gate: QS206 because the date of a command is recorded, beside its duration
    began, clock = time.time(), time.monotonic()
    try:
        code = _run(words, as_json)
    except QStoreError as exc:
        output.report(exc, as_json=as_json)
        code = exc.exit_code
    except KeyboardInterrupt:
        output.report(stopped_error(), as_json=as_json)
        code = InterruptedRunError.exit_code
    _count(words, began, time.monotonic() - clock, code)
    output.flush()
    return code


def _count(words: list[str], began: float, seconds: float, code: int) -> None:
    """Count the command, without its arguments, if the user has switched that on."""
    if not is_counting():
        return
    path = _context_of(typer.main.get_command(app), words).command_path
    try:
        count_command(path.removeprefix("qstore").strip() or "qstore", began, seconds, code)
    except OSError as exc:
        output.note(f"warning: this command was not counted: {exc.strerror}")


def _run(words: list[str], as_json: bool) -> int:
    """The exit code. Help is printed as results are: the parser itself fails at a closed pipe."""
    if not {"--help", "-h"} & set(words):
        return _invoked(words, as_json)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        code = _invoked(words, as_json)
    if text := printed.getvalue():
        output.say(text.rstrip("\n"))
    return code


def _invoked(words: list[str], as_json: bool) -> int:
    command = typer.main.get_command(app)
    try:
        with command.make_context("qstore", words) as context:
            command.invoke(context)
    except typer.Exit as exc:
        return exc.exit_code
    except _Misuse as exc:
        if exc.ctx is None:  # the parser forgets it if the last option lacks its value
            exc.ctx = _context_of(command, words)
        option = _option_of(exc, exc.ctx)
        exc.show()
        if option:
            output.note(f"Write {option}")
        if as_json:
            usage = f"{exc.ctx.command_path} --help lists the options."
            fix = f"Write {option} {usage}" if option else usage
            output.say_json(UsageError(exc.format_message(), fix=fix).as_dict())
        return UsageError.exit_code
    return 0


def _context_of(command: Any, words: list[str]) -> typer.Context:
    """The command that was typed: the words before its arguments and options."""
    context = typer.Context(command, info_name="qstore")
    for word in words:
        inner = getattr(context.command, "commands", {})
        name = word if word in inner else RUN if context.info_name == "tune" else ""
        if name not in inner:
            break
        context = typer.Context(inner[name], parent=context, info_name=name)
    return context


def _option_of(misuse: typer.BadParameter, context: Any) -> str:
    """The option at fault as it is typed, with its help; empty if it is of no known option."""
    at_fault = getattr(misuse, "param", None)
    name = getattr(misuse, "option_name", None)
    for parameter in context.command.params:
        named = parameter is at_fault or (name is not None and name in parameter.opts)
        if named and parameter.param_type_name == "option":
            typed, text = parameter.get_help_record(context)
            return f"{typed.rpartition(', ')[2]} ({text.rstrip('.')})."
    return ""
