"""The score: it falls when faults are planted, and its history and page say where."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.gates.repositories import repository
from tools.gates.score import history, page, parts
from tools.gates.score.duplicates import duplicated_lines

SETTINGS = """
[tool.importlinter]
contracts = [{ containers = ["qstore_ray.a"], layers = ["room"] }]
[tool.ruff.lint]
ignore = []
[tool.ruff.lint.per-file-ignores]
[tool.mypy]
overrides = []
"""
GOOD = '"""A module."""\n\n\ndef double(x: int) -> int:\n    """2x."""\n    return 2 * x\n'
OFF = "# no" + "qa"  # apart, or the gates would count it here


def _code(start: int, lines: int = 12) -> str:
    return "".join(f"value_{n} = {n}\n" for n in range(start, start + lines))


PLANTED = {
    "rules": {"b": f"{GOOD}import random\nrandom.seed(1)\n"},
    "size": {"b": GOOD + "\n" * 300},
    "types": {"b": f"{GOOD}x: int = ''  # type: {'ignore'}\n"},
    "documentation": {"b": f"{GOOD}def f(timeout: float) -> None:\n    '''Wait.'''\n"},
    "duplicates": {"b": GOOD + _code(0), "c": '"""Another."""\n' + _code(0)},
    "layers": {"d__room__init": GOOD, "d__room__e": GOOD},
}


def measured(root: Path, **files: str) -> dict[str, float]:
    (root / "pyproject.toml").write_text(SETTINGS)
    whole = repository(root, **{f"qstore_ray__{name}": text for name, text in files.items()})
    return {part.name: part.value for part in parts.measure(whole)}


def test_nothing_is_lost_without_a_fault(tmp_path: Path) -> None:
    values = measured(tmp_path, a=GOOD)
    assert set(values.values()) == {1.0}


@pytest.mark.parametrize("part", PLANTED)
def test_a_planted_fault_lowers_its_part_and_no_other(tmp_path: Path, part: str) -> None:
    values = measured(tmp_path, a=GOOD, **PLANTED[part])
    assert values.pop(part) < 1.0
    assert set(values.values()) == {1.0}


def test_each_planted_fault_lowers_the_score_further(tmp_path: Path) -> None:
    files, scores = {"a": GOOD}, []
    for number, planted in enumerate(PLANTED.values()):
        files |= {f"{name}{number}" if "__" not in name else name: text
                  for name, text in planted.items()}  # fmt: skip
        (tmp_path / "pyproject.toml").write_text(SETTINGS)
        whole = repository(tmp_path, **{f"qstore_ray__{n}": text for n, text in files.items()})
        scores.append(parts.score(parts.measure(whole)))
    assert scores == sorted(set(scores), reverse=True)
    assert 0.0 < scores[-1] < scores[0] < 100.0


def test_a_suppression_costs_as_much_as_what_it_suppresses(tmp_path: Path) -> None:
    suppressed = measured(tmp_path, a=GOOD + f"import random\nx = 1  {OFF}: E501\n")
    broken = measured(tmp_path, a=GOOD + "import random\nrandom.seed(1)\n")
    assert suppressed == broken


def test_the_same_faults_weigh_less_in_a_larger_package(tmp_path: Path) -> None:
    fault = f"{GOOD}import random\nrandom.seed(1)\n"
    small = measured(tmp_path, a=fault)["rules"]
    large = measured(tmp_path, a=fault, **{f"m{n}": GOOD for n in range(20)})["rules"]
    assert small < large < 1.0


def test_coverage_counts_only_where_it_was_measured(tmp_path: Path) -> None:
    assert "coverage" not in measured(tmp_path, a=GOOD)
    (tmp_path / "coverage.xml").write_text(
        '<coverage line-rate="0.9" branch-rate="0.7"><class filename="a.py">'
        '<lines><line number="1" hits="0"/><line number="2" hits="3"/></lines></class></coverage>'
    )
    part = parts.coverage(tmp_path / "coverage.xml")
    assert part.value == pytest.approx(0.8)
    assert part.worst == ("qstore_ray/a.py (1)",)
    assert "coverage" in measured(tmp_path, a=GOOD)


def test_lines_that_stand_twice_are_found_with_other_indentation_too() -> None:
    inner = "".join(f"    {line}\n" for line in _code(0).splitlines())
    twice = {"qstore_ray__a": _code(0), "qstore_ray__b": "def f():\n" + inner}
    assert duplicated_lines(repository(**twice).package) == {
        "qstore_ray/a.py": 12,
        "qstore_ray/b.py": 12,
    }
    once = {"qstore_ray__a": _code(0), "qstore_ray__b": _code(5)}  # seven lines are no run
    assert duplicated_lines(repository(**once).package) == {}


def _part(value: float) -> list[parts.Part]:
    return [parts.Part("rules", value, "3 violations", ("a.py (3)",)), parts.Part("size", 1.0, "0")]


def test_the_history_has_a_line_a_commit_and_the_page_says_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    first = history.Scored("aaaa", "2026-01-01T00:00:00Z", 90.0, {"rules": 0.9, "size": 1.0})
    later = history.Scored("bbbb", "2026-02-01T00:00:00Z", 80.0, {"rules": 0.8, "size": 1.0})
    history.add(later, file)
    assert history.add(first, file) == [first, later]
    better = later._replace(score=85.0)
    assert history.add(better, file) == [first, better] == history.read_history(file)
    (tmp_path / "docs").mkdir()
    page.write_page(_part(0.8), [first, better], tmp_path / "docs")
    text = (tmp_path / "docs" / "quality.md").read_text()
    assert "-5.0 since `aaaa`" in text
    assert "1. **rules** loses 11.4 points." in text
    assert "`a.py (3)`" in text
    assert (tmp_path / "docs" / "quality.png").stat().st_size > 1000


def test_the_commit_that_is_checked_out_is_recorded_and_a_change_is_seen(tmp_path: Path) -> None:
    (tmp_path / "qstore_ray").mkdir()
    (tmp_path / "qstore_ray" / "a.py").write_text(GOOD)
    (tmp_path / "pyproject.toml").write_text(SETTINGS)
    for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "Begin")):
        author = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", "-C", tmp_path, *author, *words], check=True)
    one = history.scored(_part(0.5), tmp_path)
    assert one.commit == history.git(tmp_path, "rev-parse", "--short", "HEAD")
    assert one.parts == {"rules": 0.5, "size": 1.0}
    assert history.is_clean(tmp_path)
    (tmp_path / "qstore_ray" / "a.py").write_text("x = 1\n")
    assert not history.is_clean(tmp_path)


def test_the_weights_are_a_hundred_points() -> None:
    assert sum(parts.WEIGHTS.values()) == 100
