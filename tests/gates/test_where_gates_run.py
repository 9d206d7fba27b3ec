"""The gates run in `make check` and before a commit, and CONTRIBUTING.md has every rule."""

from __future__ import annotations

import re

import yaml

from tools.gates import ALL_RULES
from tools.gates.__main__ import COMMANDS, main
from tools.gates.side_by_side import CHECKS, run_all
from tools.gates.source import ROOT


def _recipe(target: str) -> list[str]:
    found = re.search(
        rf"^{target}:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    assert found
    return [line.strip().replace("$(BIN)", ".venv/bin") for line in found[1].splitlines()]


def test_a_commit_is_checked_by_the_commands_of_make_check_and_downloads_nothing() -> None:
    settings = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert {repository["repo"] for repository in settings["repos"]} == {"local"}
    hooks = [hook for repository in settings["repos"] for hook in repository["hooks"]]
    assert {hook["language"] for hook in hooks} == {"system"}
    assert {hook["entry"] for hook in hooks} == {
        f".venv/bin/{command.removesuffix(' .')}" for command in CHECKS
    }
    assert _recipe("check") == [".venv/bin/python -m tools.gates.side_by_side"]


def test_every_command_has_a_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for name in set(COMMANDS) - {"check", "rules"}:
        assert f"-m tools.gates {name}\n" in makefile


def test_every_rule_is_in_the_table_for_contributors(capsys) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for rule in ALL_RULES:
        assert f"| {rule.id} | {rule.title} | {rule.reason} |" in text
    assert main(["rules"]) == 0
    assert all(rule.id in capsys.readouterr().out for rule in ALL_RULES[:1])


def test_an_unknown_command_lists_the_known_ones(capsys) -> None:
    assert main(["chek"]) == 2
    assert "check" in capsys.readouterr().err


def test_all_gates_run_to_their_end_and_one_that_fails_fails_them_all(capsys) -> None:
    fails = "python -c 'print(\"one fault\"); raise SystemExit(3)'"
    crashes = "python -c 'raise OSError(\"no disk\")'"
    holds = "python -c 'print(\"1 file is fine\")'"
    assert run_all([fails, holds, crashes], processes=2) == 1
    out, err = capsys.readouterr()
    assert "one fault\n" in out
    assert "1 file is fine\n" in out
    assert "OSError: no disk\n" in out
    assert "(exit code 3)" in err
    assert "(exit code 1)" in err
    assert "is fine" not in err


def test_gates_that_hold_pass_together(capsys) -> None:
    assert run_all(["python -c 'print(1)'", "python -c 'print(2)'"]) == 0
    assert capsys.readouterr().err == ""
