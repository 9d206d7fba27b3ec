"""`python -m tools.release cut | publish | rollback | sdist`, as the Makefile calls it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from tools.release.cut import cut, sdist
from tools.release.errors import ReleaseError
from tools.release.project import Project
from tools.release.publish import publish
from tools.release.rollback import rollback
from tools.release.steps import Steps


def main(words: list[str] | None = None) -> int:
    """The exit code: 0, or 1 after a message that says what to type instead."""
    asked = _parser().parse_args(words)
    steps = Steps()
    try:
        project = Project.at(asked.root.resolve())
        if asked.command == "sdist":
            sdist(project, asked.version, steps)
            steps.total(f"sdist of {asked.version}")
        elif asked.command == "cut":
            out = cut(project, asked.version, asked.key, steps)
            steps.total(f"released {asked.version}: {out}")
        elif asked.command == "publish":
            publish(project, asked.version, asked.index, steps)
            steps.total(f"published {asked.version}")
        else:
            rollback(project, asked.version, asked.reason, asked.key, asked.index, steps)
            steps.total(f"rolled back {asked.version}")
    except ReleaseError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:  # a folder that may not be written to, a full disk
        where, why = error.filename or "a file", error.strerror or type(error).__name__
        print(f"error: {where}: {why}; mend it, and type the same again", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.release", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(), help="the checkout")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("cut", "publish", "rollback", "sdist"):
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
        raise argparse.ArgumentTypeError(f"{path} does not exist: type KEY=~/.ssh/id_ed25519")
    return path.resolve()


if __name__ == "__main__":
    sys.exit(main())
