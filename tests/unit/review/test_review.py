"""A review of a real repository: the lines that changed, copies, complexity, history, SARIF."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from qstore_ray.cli.app import main
from qstore_ray.errors import DataError, UsageError
from qstore_ray.review.catalogue import rule_texts
from qstore_ray.review.changes import find_scope
from qstore_ray.review.complexity import ruff_command
from qstore_ray.review.duplicates import code_lines
from qstore_ray.review.review import ReviewOptions, review
from qstore_ray.review.sarif import to_sarif
from qstore_ray.review.training import TRAINING_RULES

ALONE = ReviewOptions(most_paths=None, duplicates=False, history_seconds=0.0)
SEED = "from sklearn.model_selection import KFold\n\nold = KFold(shuffle=True)\n"
PIECE = "".join(f"    value_{n} = compute_something(value_{n - 1}, {n})\n" for n in range(1, 8))


class Repository:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str) -> str:
        own = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
        return subprocess.run(
            ["git", *own, *arguments], cwd=self.root, check=True, capture_output=True, text=True
        ).stdout

    def commit(self, subject: str, **files: str) -> None:
        for name, text in files.items():
            (self.root / f"{name}.py").write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", subject)


@pytest.fixture
def repository_(tmp_path: Path) -> Repository:
    made = Repository(tmp_path)
    made.commit("Begin", a=SEED, b="x = 1\n")
    return made


def test_only_lines_that_changed_are_under_review(repository_):
    root = repository_.root
    assert review(root, [], ALONE).flaws == []
    (root / "a.py").write_text(SEED + "new = KFold(shuffle=True)\n")
    (root / "c.py").write_text(SEED)
    (root / "text.txt").write_text(SEED)
    found = review(root, [], ALONE)
    assert [(flaw.path, flaw.line) for flaw in found.flaws] == [("a.py", 4), ("c.py", 3)]
    assert (found.files, found.lines) == (2, 4)


def test_a_branch_is_not_blamed_for_what_main_has_changed(repository_):
    repository_.git("checkout", "-q", "-b", "mine")
    repository_.commit("Mine", b="x = 2\n")
    repository_.git("checkout", "-q", "main")
    repository_.commit("Theirs", a=SEED.replace("old", "older"))
    repository_.git("checkout", "-q", "mine")
    scope = find_scope(repository_.root, ["main"])
    assert dict(scope.lines) == {"b.py": frozenset({1})}


def test_a_file_that_was_renamed_is_under_review_where_it_changed(repository_):
    repository_.commit("Long", a=SEED + "a = 1\nb = 2\nc = 3\nd = 4\n")
    repository_.git("mv", "a.py", "moved.py")
    assert dict(find_scope(repository_.root, []).lines) == {}
    with (repository_.root / "moved.py").open("a") as file:
        file.write("e = 5\n")
    assert dict(find_scope(repository_.root, []).lines) == {"moved.py": {8}}


def test_a_file_that_is_not_checked_out_is_no_error(repository_):
    repository_.commit("More", far=SEED, near=SEED)
    repository_.git("sparse-checkout", "set", "--no-cone", "near.py")
    result = review(repository_.root, ["HEAD~1"], ALONE)
    assert {flaw.path for flaw in result.flaws} == {"near.py"}
    assert result.notes == ["1 changed files are not checked out here (git sparse-checkout)"]


LEVELS_OF_PLACES = [
    ("a.py", "import numpy as np\nnp.random.rand(3)\n", "warning"),
    ("a.py", "import numpy as np\nnp.random.seed(0)\n", "note"),
    ("a.py", "from pennylane import numpy as np\nnp.random.seed(0)\nnp.random.rand(3)\n", "note"),
    ("a.py", "import numpy as np\nnp.random.seed()\n", "warning"),
    ("a.py", "import random, numpy as np\nrandom.seed(0)\nnp.random.rand(3)\n", "warning"),
    ("a.py", "import torch\ntorch.manual_seed(0)\ntorch.rand(3)\n", "note"),
    ("a.py", "import numpy as np\nnp.random.seed(0)\nnp.random.default_rng()\n", "warning"),
    ("a.py", "import subprocess\nsubprocess.call(['train'])\n", "note"),
    ("a.py", "import ray\nray.get(x)\n", "warning"),
    ("a.py", "import pickle\npickle.loads(x)\n", "warning"),
    ("tests/test_a.py", "import pickle\npickle.loads(x)\n", "note"),
    ("tests/test_a.py", "thread.join()\n", "note"),
    ("tests/test_a.py", "import random\nrandom.random()\n", "warning"),
]


@pytest.mark.parametrize(("name", "text", "level"), LEVELS_OF_PLACES)
def test_what_is_found_counts_less_where_it_does_no_harm(tmp_path, name, text, level):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    flaws = review(tmp_path, [name], ALONE).flaws
    assert flaws
    assert flaws[-1].level == level


def test_a_link_is_not_reviewed_in_place_of_its_file(repository_):
    (repository_.root / "link.py").symlink_to("a.py")
    assert dict(find_scope(repository_.root, []).lines) == {}
    repository_.git("add", "link.py")
    assert dict(find_scope(repository_.root, []).lines) == {}


def test_a_deleted_line_puts_its_neighbours_under_review(repository_):
    repository_.commit("Long", a="a = 1\nb = 2\nc = 3\nd = 4\n")
    (repository_.root / "a.py").write_text("a = 1\nb = 2\nd = 4\n")
    assert find_scope(repository_.root, []).lines["a.py"] == {2, 3}


def test_whole_files_are_reviewed_by_their_paths(repository_, tmp_path_factory):
    found = review(repository_.root, ["a.py", "b.py"], ALONE)
    assert [(flaw.path, flaw.line) for flaw in found.flaws] == [("a.py", 3)]
    elsewhere = tmp_path_factory.mktemp("plain")
    (elsewhere / "a.py").write_text(SEED)
    found = review(elsewhere, ["."], ReviewOptions(most_paths=None))
    assert [flaw.rule for flaw in found.flaws] == ["QS110"]
    assert found.notes == ["the history is not checked: the files are not under git"]


@pytest.mark.parametrize("words", [["nothing"], ["main..HEAD"], ["main", "HEAD"], ["main", "a.py"]])
def test_words_that_mean_nothing_are_refused(words, repository_):
    with pytest.raises(UsageError):
        find_scope(repository_.root, words)


def test_without_git_and_without_paths_there_is_nothing_to_review(tmp_path):
    with pytest.raises(UsageError, match="not under git"):
        find_scope(tmp_path, [])
    (tmp_path / "notes").mkdir()
    with pytest.raises(DataError, match="no Python"):
        find_scope(tmp_path, ["notes"])


def test_a_name_that_looks_like_an_option_is_no_option_of_git(repository_):
    with pytest.raises(UsageError, match="neither a path nor a commit"):
        find_scope(repository_.root, ["--output=stolen"])
    assert not (repository_.root / "stolen").exists()


def test_a_copied_piece_is_found_once_and_its_own_file_is_compared_too(repository_):
    one = f"def first(value_0):\n{PIECE}    return value_7\n"
    two = f'def second(value_0):\n    """Other words."""\n\n{PIECE}    return value_7\n'
    repository_.commit("One", b=one)
    (repository_.root / "c.py").write_text(two)
    options = ReviewOptions(most_paths=None, history_seconds=0.0)
    (flaw,) = review(repository_.root, [], options).flaws
    assert (flaw.rule, flaw.path, flaw.line, flaw.end_line) == ("QS120", "c.py", 4, 11)
    assert "b.py, lines 2 to 9" in flaw.message
    (repository_.root / "c.py").write_text(one + "\n" + two)
    flaws = review(repository_.root, [], options).flaws
    assert [flaw.path for flaw in flaws] == ["c.py", "c.py"]


def test_of_two_new_copies_the_second_is_reported(repository_):
    text = f"def f(value_0):\n{PIECE}"
    for name in ("c.py", "d.py"):
        (repository_.root / name).write_text(text)
    found = review(repository_.root, [], ReviewOptions(most_paths=None, history_seconds=0.0)).flaws
    assert [flaw.path for flaw in found] == ["d.py"]
    (repository_.root / "c.py").unlink()
    repository_.commit("Later in the order", d=text)
    (repository_.root / "c.py").write_text(text)
    found = review(repository_.root, [], ReviewOptions(most_paths=None, history_seconds=0.0)).flaws
    assert [flaw.path for flaw in found] == ["c.py"]


def test_a_copy_in_tests_is_a_note(repository_):
    (repository_.root / "test_c.py").write_text(f"def f(value_0):\n{PIECE}")
    repository_.commit("One", b=f"def g(value_0):\n{PIECE}")
    options = ReviewOptions(most_paths=None, history_seconds=0.0)
    (flaw,) = review(repository_.root, ["test_c.py"], options).flaws
    assert flaw.level == "note"


CALL = """    wrap(
        name=name,
        wires=wires,
        static=False,
        params,
        *rest,
        depth: int = 3,
        noise="none",
    )
"""
MATRIX = "m = [\n" + "    [1, 0, 0, 0, 0, 0, -0.5j],\n" * 9 + "]\n"


def test_arguments_and_numbers_are_not_compared():
    assert code_lines("a.py", CALL)[1:] == ([1], ["wrap("])
    assert code_lines("a.py", MATRIX)[1:] == ([1], ["m = ["])
    assert code_lines("a.py", "f(a,\nb=g(c),\nd=e + 1,\n)")[2] == ["f(a,", "b=g(c),", "d=e + 1,"]


def test_comments_docstrings_and_imports_are_not_compared():
    text = (
        'import a\nfrom b import (\n    c,\n)\n"""Text\nmore\n"""\nx = 1  # one\n# two\n\ny = "#"\n'
    )
    assert code_lines("a.py", text)[1:] == ([8, 11], ["x = 1", 'y = "#"'])


def test_a_function_that_was_fixed_three_times_is_found(repository_):
    for number, subject in enumerate(
        ("Fix the sum", "Speed it up", "Fix the sum again", "Repair it")
    ):
        repository_.commit(
            subject, b=f"def f(x):\n    return x + {number}\n\n\ndef g(x):\n    return x\n"
        )
    (repository_.root / "b.py").write_text("def f(x):\n    return x\n\n\ndef g(x):\n    return 2\n")
    options = ReviewOptions(most_paths=None, duplicates=False, history_seconds=60.0)
    (flaw,) = review(repository_.root, [], options).flaws
    assert (flaw.rule, flaw.line) == ("QS122", 1)
    assert "f was fixed 3 times in 12 months (of 5 changes)" in flaw.message
    short = ReviewOptions(most_paths=None, duplicates=False, history_seconds=1e-9)
    assert review(repository_.root, [], short).notes == [
        "the history of 0 of 2 functions is checked: 1e-09 s were over"
    ]


def test_a_function_with_many_paths_is_found_by_ruff(repository_):
    branches = "".join(f"    if x == {n}:\n        return {n}\n" for n in range(16))
    text = f"def f(x):\n{branches}    return x\n\n\ndef g(x):\n    return x\n"
    repository_.commit("Complex", b=text)
    (repository_.root / "b.py").write_text(text + "\n\nlast = 1\n")
    options = ReviewOptions(duplicates=False, history_seconds=0.0)
    assert ruff_command() is not None
    assert review(repository_.root, [], options).flaws == []
    (flaw,) = review(repository_.root, ["b.py"], options).flaws
    assert (flaw.rule, flaw.line) == ("QS121", 1)
    assert "f has 17 paths" in flaw.message


def test_without_ruff_it_is_said(repository_, monkeypatch):
    monkeypatch.setattr("qstore_ray.review.complexity.ruff_command", lambda: None)
    options = ReviewOptions(duplicates=False, history_seconds=0.0)
    (note,) = review(repository_.root, ["b.py"], options).notes
    assert "ruff is not installed" in note


def test_a_file_that_is_no_python_is_an_error_and_the_others_are_reviewed(repository_):
    (repository_.root / "bad.py").write_text("def f(:\n")
    found = review(repository_.root, ["bad.py", "a.py"], ALONE).flaws
    assert [(flaw.rule, flaw.path) for flaw in found] == [("QS110", "a.py"), ("QS100", "bad.py")]


def test_the_log_is_of_the_form_that_sarif_states(repository_):
    (repository_.root / "a b.py").write_text(TRAINING_RULES["QS111"].bad + SEED + SEED)
    result = review(repository_.root, ["a b.py"], ALONE)
    log = to_sarif(result, "1.2.3")
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    ids = [rule["id"] for rule in driver["rules"]]
    assert ids == sorted({flaw.rule for flaw in result.flaws})
    marks = set()
    for flaw, entry in zip(result.flaws, run["results"], strict=True):
        assert ids[entry["ruleIndex"]] == entry["ruleId"] == flaw.rule
        assert entry["level"] in {"error", "warning", "note"}
        (place,) = entry["locations"]
        physical = place["physicalLocation"]
        assert physical["artifactLocation"]["uri"] == "a%20b.py"
        assert physical["artifactLocation"]["uriBaseId"] in run["originalUriBaseIds"]
        assert physical["region"]["startLine"] == flaw.line
        assert 1 <= physical["region"]["startLine"] <= physical["region"]["endLine"]
        marks.add(entry["partialFingerprints"]["primaryLocationLineHash"])
    assert len(marks) == len(result.flaws), "two alike have different fingerprints"
    related = next(entry for entry in run["results"] if entry["ruleId"] == "QS111")
    assert related["relatedLocations"][0]["physicalLocation"]["region"]["startLine"] == 5
    json.dumps(log, allow_nan=False)


def test_fingerprints_do_not_depend_on_lines_above(repository_):
    def marks() -> list[str]:
        log = to_sarif(review(repository_.root, ["a.py"], ALONE), "1")
        return [
            entry["partialFingerprints"]["primaryLocationLineHash"]
            for entry in log["runs"][0]["results"]
        ]

    before = marks()
    (repository_.root / "a.py").write_text("# a comment\n\n" + SEED)
    assert marks() == before != []


def test_what_a_code_host_asks_for_beyond_the_form_of_sarif(repository_):
    """GitHub: both columns, relative places, texts of rules that are short and not empty."""
    (repository_.root / "a.py").write_text(f"if True:\n    {SEED.splitlines()[-1]}\n{SEED}")
    (repository_.root / "broken.py").write_text("x = (\n")
    (repository_.root / "empty.py").write_bytes(b"\xff")
    line = json.dumps({"cells": [{"cell_type": "code", "source": SEED}]})
    (repository_.root / "one_line.ipynb").write_text(line)
    names = ["a.py", "broken.py", "empty.py", "one_line.ipynb"]
    log = to_sarif(review(repository_.root, names, ALONE), "1")
    (run,) = log["runs"]
    places = [each["locations"][0]["physicalLocation"] for each in run["results"]]
    assert {place["artifactLocation"]["uri"] for place in places} == set(names)
    regions = {place["artifactLocation"]["uri"]: place["region"] for place in places}
    assert regions["a.py"] == {
        "startLine": 5, "startColumn": 1, "endLine": 5, "endColumn": 26
    }  # fmt: skip
    assert regions["one_line.ipynb"]["endColumn"] == len(line) + 1
    for name, region in regions.items():
        lines = (repository_.root / name).read_bytes().splitlines()
        assert 1 <= region["startLine"] <= region["endLine"] <= len(lines)
        assert 1 <= region["startColumn"] <= region["endColumn"]
    for text in rule_texts().values():
        assert 0 < len(text.title) <= 255
        assert 0 < len(text.reason) <= 1024
        assert text.suggestion


def test_the_exit_code_is_1_for_errors_alone(repository_, monkeypatch, capsys):
    monkeypatch.chdir(repository_.root)
    quick = ["--history-seconds", "0", "--max-paths", "0"]
    assert main(["review", "a.py", *quick]) == 0
    out = capsys.readouterr().out
    assert out.startswith("a.py:3: warning QS110 missing-seed\n")
    assert out.endswith("3 lines of 1 files: 0 errors, 1 warning, 0 notes\n")
    assert main(["review", "a.py", "--level", "error", *quick]) == 0
    assert "QS110" not in capsys.readouterr().out
    (repository_.root / "a.py").write_text(TRAINING_RULES["QS111"].bad)
    assert main(["review", "--format", "json", *quick]) == 1
    assert json.loads(capsys.readouterr().out)["counts"]["error"] == 1
    assert main(["review", "--format", "sarif", *quick]) == 1
    assert json.loads(capsys.readouterr().out)["runs"][0]["results"]
    assert main(["review", "--rules"]) == 0
    assert "QS122 often-fixed (warning)" in capsys.readouterr().out
