"""`qstore review`: what a change, or some files, get wrong in training and running models."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from qstore_ray.cli.output import examples, in_line, note, say, say_json
from qstore_ray.errors import ConfigError, QStoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qstore_ray.review.changes import ReviewScope
    from qstore_ray.review.flaw import Flaw
    from qstore_ray.review.review import ReviewResult

EXAMPLES = examples(
    "review",
    "review main",
    "review train.py notebooks --level error",
    "review main --format sarif > review.sarif",
    "review --rules",
)
Format = Literal["text", "json", "sarif"]
Named = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="REV|PATH...",
        show_default=False,
        help="A commit to count changes from, HEAD by default; or files and folders.",
    ),
]


def review(
    named: Named = None,
    form: Annotated[
        Format, typer.Option("--format", metavar="text|json|sarif", help="How to print it.")
    ] = "text",
    level: Annotated[
        Literal["error", "warning", "note"],
        typer.Option("--level", metavar="LEVEL", help="Print error, warning or note and worse."),
    ] = "warning",
    max_paths: Annotated[
        int,
        typer.Option("--max-paths", min=0, metavar="N", help="Of a function; 0 counts none."),
    ] = 15,
    history_seconds: Annotated[
        float,
        typer.Option(
            "--history-seconds", min=0.0, metavar="S", help="For the history; 0 reads none."
        ),
    ] = 10.0,
    ask_model: Annotated[
        bool,
        typer.Option("--ask-model", help="Send the lines to the language model of your settings."),
    ] = False,
    show_request: Annotated[
        bool, typer.Option("--show-request", help="Print what --ask-model would send, and end.")
    ] = False,
    rules: Annotated[bool, typer.Option("--rules", help="Print every rule, and end.")] = False,
) -> None:
    """Review a change of Python files and notebooks, or whole files. Nothing of them is run.

    Looks for faults of experiments (test rows that leak or decide, parameters that nothing uses,
    no seed), of programs (waits without end, pickle, errors that turn into results, secrets), for
    copied lines, complex functions, and functions that were fixed again and again. Each finding
    has an id and says what to write instead. The exit code is 1 if there is an error among them.

    A comment `# gate: QS110 because …` on a line excuses it. Nothing leaves this machine, unless
    you have configured a language model and ask for it by --ask-model.
    """
    from qstore_ray.review.changes import find_scope
    from qstore_ray.review.review import ReviewOptions, review_scope

    if rules:
        _say_rules(form)
        return
    scope = find_scope(Path.cwd(), named or [])
    options = ReviewOptions(most_paths=max_paths or None, history_seconds=history_seconds)
    result = review_scope(scope, options)
    if show_request or ask_model:
        remarks = _remarks(scope, result, send=ask_model and not show_request)
        if remarks is None:
            return
        level = "note"
        result = result.with_flaws(remarks)
    _say(result, form, result.worse_than(level))
    if result.counts["error"]:
        raise typer.Exit(QStoreError.exit_code)


def _remarks(scope: ReviewScope, result: ReviewResult, *, send: bool) -> list[Flaw] | None:
    """The model's remarks; None if the request was only printed."""
    from qstore_ray.review.language_model import ReviewPrompt, ask_model
    from qstore_ray.review.review import lines_under_review
    from qstore_ray.review.settings import read_settings, settings_file

    model = read_settings().model
    if model is None:
        raise ConfigError(
            "no language model is configured",
            field="review.model",
            fix=f"Write [review.model] with url and name into {settings_file()}.",
        )
    prompt = ReviewPrompt(lines_under_review(scope), result.flaws)
    note(prompt.summary(model))
    if not send:
        say(json.dumps(prompt.body(model), indent=1, ensure_ascii=False))
        return None
    return ask_model(model, prompt)


def _say(result: ReviewResult, form: Format, flaws: Sequence[Flaw]) -> None:
    if form == "sarif":
        from qstore_ray import __version__
        from qstore_ray.review.sarif import to_sarif

        say(json.dumps(to_sarif(result.only(flaws), __version__), indent=1))
        return
    if form == "json":
        say_json(
            {
                "since": result.since,
                "files": result.files,
                "lines": result.lines,
                "counts": result.counts,
                "flaws": [asdict(flaw) for flaw in flaws],
                "notes": list(result.notes),
            }
        )
        return
    from qstore_ray.review.catalogue import rule_texts

    titles = {rule.id: rule.title for rule in rule_texts().values()}
    for flaw in flaws:
        say(f"{in_line(flaw.path)}:{flaw.line}: {flaw.level} {flaw.rule} {titles[flaw.rule]}")
        say(f"    {flaw.message}")
        if flaw.rewrite:
            say("    instead: " + flaw.rewrite.replace("\n", "\n    "))
    for text in result.notes:
        note(text)
    counts = ", ".join(
        f"{count} {name}{'s' * (count != 1)}" for name, count in result.counts.items()
    )
    where = f" changed since {result.since[:10]}" if result.since else ""
    say(f"{result.lines:,} lines of {result.files} files{where}: {counts}")


def _say_rules(form: Format) -> None:
    from qstore_ray.review.catalogue import rule_texts

    if form != "text":
        say_json({"rules": [rule._asdict() for rule in rule_texts().values()]})
        return
    for rule in rule_texts().values():
        say(f"{rule.id} {rule.title} ({rule.level})\n    {rule.reason}")
