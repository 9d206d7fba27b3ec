"""`python -m tools.release cut | publish | rollback | sdist | notes`, as the Makefile calls it."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tools.release.cut import cut, sdist, write_notes
from tools.release.errors import ReleaseError
from tools.release.lock import one_at_a_time
from tools.release.project import Project
from tools.release.publish import publish
from tools.release.repository import Repository
from tools.release.rollback import rollback
from tools.release.steps import Steps


def main(words: list[str] | None = None) -> int:
    """The exit code: 0, or 1 after a message that says what to type instead."""
    asked = _parser().parse_args(words)
    try:
        _run(asked)
    except ReleaseError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:  # a folder that may not be written to, a full disk
        where = f"{error.filename}: " if error.filename else ""
        why = error.strerror or type(error).__name__
        print(f"error: {where}{why}; fix this, and type the same again", file=sys.stderr)
        return 1
    except subprocess.TimeoutExpired as error:
        command = " ".join(map(str, error.cmd))
        print(f"error: no end after {error.timeout:.0f} s: {command}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped: type the same again to continue", file=sys.stderr)
        return 130
    return 0


def _run(asked: argparse.Namespace) -> None:
    """Carry out a command; alone in the repository if it changes it or makes another checkout."""
    steps, project = Steps(), Project.at(asked.root.resolve())
    if asked.command == "publish":
        publish(project, asked.version, asked.index, steps)
        return steps.total(f"published {asked.version}")
    with one_at_a_time(Repository(project.root)) as running:
        if asked.command == "sdist":
            sdist(project, asked.version, steps)
            return steps.total(f"sdist of {asked.version}")
        if asked.command == "notes":
            return steps.total(f"wrote {write_notes(project, asked.version)}")
        if asked.command == "cut":
            out = cut(project, asked.version, asked.key, steps, running)
            return steps.total(f"released {asked.version}: {out}")
        rollback(project, asked.version, asked.reason, asked.key, asked.index, steps, running)
        return steps.total(f"rolled back {asked.version}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.release", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(), help="the checkout")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("cut", "publish", "rollback", "sdist", "notes"):
        command = commands.add_parser(name)
        command.add_argument("version", type=_given("VERSION=1.2.3"))
        if name in {"cut", "rollback"}:
            command.add_argument("--key", type=_key, required=True, help="an SSH key")
        if name in {"publish", "rollback"}:
            command.add_argument("--index", type=_given("INDEX=/srv/index"), required=True)
        if name == "rollback":
            command.add_argument("--reason", type=_given("REASON='what is wrong'"), required=True)
    return parser


def _given(example: str) -> Callable[[str], str]:
    """An argument that must not be empty: make gives an empty one if a variable was not set."""

    def value(text: str) -> str:
        if not text.strip():
            raise argparse.ArgumentTypeError(f"missing: type {example}")
        return text

    return value


def _key(text: str) -> Path:
    path = Path(_given("KEY=~/.ssh/id_ed25519")(text)).expanduser()
    if not path.is_file():
        what = "is no file" if path.exists() else "does not exist"
        raise argparse.ArgumentTypeError(f"{path} {what}: type KEY=~/.ssh/id_ed25519")
    return path.resolve()


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGHUP):  # clean up, as after Ctrl-C
        signal.signal(number, signal.default_int_handler)
    sys.exit(main())
