"""`qstore migrate`: configurations of Q-Store 4.1 and QeMLflow as jobs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qstore_ray.cli.commands.train import Set
from qstore_ray.cli.output import AsJson, examples, in_line, note, say, say_json
from qstore_ray.errors import UsageError

if TYPE_CHECKING:
    from qstore_ray.migrate.key import MigratedKey
    from qstore_ray.migrate.migrate import MigratedFile

EXAMPLES = examples(
    "migrate old/training.json",
    "migrate old/train.py --set dataset.source=local --set dataset.params.path=rows.npz",
    "migrate old --write",
    "migrate old/config.yaml --json",
)


def migrate(
    path: Annotated[
        Path, typer.Argument(metavar="FILE|FOLDER", help="JSON, YAML, TOML, Python or notebooks.")
    ],
    changes: Set = None,
    write: Annotated[
        bool, typer.Option("--write", help="Write each job beside its file, as NAME.job.toml.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Turn configurations of Q-Store 4.1, 4.1.1 and QeMLflow into jobs, and list every key.

    Each key is kept, renamed, changed (it does not do the same here), written because a default
    differs, dropped (why, and what to do), or unknown: it is computed by the program. Python is
    read, not run: its lines with old names are listed with what to write there.

    The exit code is 2 if a job is not complete, such as without data; --set adds what is missing.
    """
    from qstore_ray.migrate.migrate import migrate_paths, write_jobs

    found = migrate_paths(path, changes or [])
    written = write_jobs(found) if write else []
    if as_json:
        say_json({"files": [_as_dict(file) for file in found], "written": written})
    else:
        for file in found:
            _say(file, toml=not write)
        for each in written:
            note(f"wrote {each}; run it: qstore train {each}")
    if any(file.problem or any(job.missing for job in file.jobs) for file in found):
        raise typer.Exit(UsageError.exit_code)


def _say(file: MigratedFile, *, toml: bool) -> None:
    if file.problem:
        note(f"not read: {file.problem}")
        return
    name = {"q_store": "Q-Store", "qemlflow": "QeMLflow"}[file.product]
    say(f"# {in_line(str(file.path))}: {name}")
    for use in file.uses:
        say(f"#   line {use.line}: {use.old} -> {_new_name(use.new)}")
    for strange in file.strange:
        say(f"#   {in_line(strange)}: no key of {name}; it is left out")
    for job in file.jobs:
        for key in job.keys:
            say(f"#   {in_line(_key_text(key))}")
        if toml:
            say(f"\n{job.toml}")
        if job.missing:
            note(f"not complete: {job.missing}")


def _new_name(new: Any) -> str:
    if new is None:
        return "no counterpart"
    if not new.name:
        return str(new.text)
    return f"qstore_ray.{new.name}" + (f": {new.text}" if new.text else "")


def _key_text(key: MigratedKey) -> str:
    line = f" (line {key.line})" if key.line else ""
    where = f" -> {key.new} = {key.new_value!r}" if key.new_value is not None else ""
    if key.new and key.new_value is None:
        where = f" -> {key.new}"
    return f"{key.state}: {key.old}{line}{where}" + (f"; {key.text}" if key.text else "")


def _as_dict(file: MigratedFile) -> dict[str, Any]:
    return {
        "path": file.path,
        "product": file.product,
        "problem": file.problem,
        "uses": [
            {"line": use.line, "old": use.old, "new": _new_name(use.new)} for use in file.uses
        ],
        "strange": list(file.strange),
        "jobs": [
            {
                "toml": job.toml,
                "missing": job.missing,
                "keys": [asdict(key) for key in job.keys],
            }
            for job in file.jobs
        ],
    }
