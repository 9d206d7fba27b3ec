"""Repositories as they are: odd names, attributes, settings, shallow clones, notebooks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest

from qstore_ray.cli.app import main
from qstore_ray.errors import DataError, UsageError
from qstore_ray.review.changes import find_scope
from qstore_ray.review.duplicates import find_duplicates
from qstore_ray.review.flaw import Flaw
from qstore_ray.review.line_history import functions_of
from qstore_ray.review.notebook import code_of
from qstore_ray.review.review import ReviewOptions, ReviewResult, review
from qstore_ray.review.sarif import to_sarif
from qstore_ray.review.source import SourceFile
from tests.unit.review.test_review import ALONE, SEED, Repository

FAULT = "import numpy as np\nnp.random.rand(1)\n"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path)
    made.commit("Begin", a=SEED, b="x = 1\n")
    return made


def _found(result: ReviewResult) -> list[tuple[str, int]]:
    return [(flaw.path, flaw.line) for flaw in result.flaws]


def test_a_bare_repository_is_named(tmp_path):
    subprocess.run(["git", "init", "-q", "--bare"], cwd=tmp_path, check=True)
    with pytest.raises(UsageError, match="it is bare"):
        review(tmp_path, [], ALONE)


def test_before_the_first_commit_everything_is_new(tmp_path):
    repository = Repository(tmp_path)
    assert review(tmp_path, [], ALONE).flaws == []
    for name in ("staged.py", "new.py", "gone.py"):
        (tmp_path / name).write_text(FAULT)
    repository.git("add", "staged.py", "gone.py")
    (tmp_path / "gone.py").unlink()
    assert _found(review(tmp_path, [], ALONE)) == [("new.py", 2), ("staged.py", 2)]


@pytest.mark.parametrize("word", ["", "x" * 300, "a\0b"])
def test_a_word_that_no_file_can_have_as_its_name_is_refused(repository, word):
    with pytest.raises(UsageError, match="neither a path nor a commit"):
        find_scope(repository.root, [word])


NAMES = ["tab\tx.py", "line\nx.py", 'quo"te.py', "back\\n.py", 'ü "q".py', "中 文.py", "-x.py",
         ":(top)x.py", " lead.py", "bell\a.py", os.fsdecode(b"latin\xfc.py")]  # fmt: skip


@pytest.mark.parametrize("quoted", ["true", "false"])
def test_every_name_that_git_may_quote_is_read(repository, quoted):
    repository.git("config", "core.quotePath", quoted)
    for name in NAMES:
        (repository.root / name).write_text(FAULT)
    untracked = find_scope(repository.root, [])
    repository.commit("Odd names")
    committed = find_scope(repository.root, ["HEAD~1"])
    assert set(untracked.lines) == set(committed.lines) == set(NAMES)
    result = review(repository.root, ["HEAD~1"], ALONE)
    assert _found(result) == [(name, 2) for name in sorted(NAMES)]
    log = to_sarif(result, "1")
    json.dumps(log).encode()
    places = [each["locations"][0]["physicalLocation"] for each in log["runs"][0]["results"]]
    names = [os.fsdecode(unquote_to_bytes(each["artifactLocation"]["uri"])) for each in places]
    assert names == sorted(NAMES)


def test_a_name_cannot_command_the_terminal(repository, monkeypatch, capsys):
    (repository.root / "\x1b[2Jx\n.py").write_text(FAULT)
    monkeypatch.chdir(repository.root)
    assert main(["review", "--history-seconds", "0", "--max-paths", "0"]) == 0
    assert "\\x1b[2Jx\\n.py:2: warning" in capsys.readouterr().out


@pytest.mark.parametrize("attributes", ["*.py binary\n", "*.py -diff\n", "*.py diff=mine\n"])
def test_attributes_hide_no_change(repository, attributes):
    (repository.root / ".gitattributes").write_text(attributes)
    repository.commit("Attributes")
    repository.git("config", "diff.mine.textconv", "true")
    (repository.root / "a.py").write_text(SEED + "new = KFold(shuffle=True)\n")
    assert _found(review(repository.root, [], ALONE)) == [("a.py", 4)]


@pytest.mark.parametrize("content", [b"x = 1\n\0", "x = 1\n".encode("utf-16")])
def test_a_changed_file_that_is_no_text_is_reported(repository, content):
    (repository.root / "b.py").write_bytes(content)
    (flaw,) = review(repository.root, [], ALONE).flaws
    assert (flaw.rule, flaw.path) == ("QS100", "b.py")


@pytest.mark.parametrize(
    "setting",
    ["diff.interHunkContext=99", "diff.context=9", "diff.noprefix=true", "color.ui=always",
     "diff.mnemonicPrefix=true", "diff.renames=copies", "log.showSignature=true"],
)  # fmt: skip
def test_settings_of_the_user_change_nothing(repository, setting):
    repository.commit("Long", a=SEED + "x = 1\n" * 20)
    repository.git("config", *setting.split("="))
    text = SEED.replace("old =", "older =") + "x = 1\n" * 19 + "y = 1\n"
    (repository.root / "a.py").write_text(text)
    assert find_scope(repository.root, []).lines == {"a.py": {3, 23}}


def test_a_shallow_clone_says_how_to_get_the_rest(repository, tmp_path_factory):
    repository.commit("Second", b="x = 2\n")
    folder = tmp_path_factory.mktemp("clone")
    url = repository.root.as_uri()
    subprocess.run(["git", "clone", "-q", "--depth=1", url, folder], check=True)
    with pytest.raises(UsageError) as caught:
        find_scope(folder, ["HEAD~1"])
    assert "git fetch --unshallow" in caught.value.fix
    repository.git("checkout", "-q", "--orphan", "other")
    repository.commit("Other")
    subprocess.run(["git", "fetch", "-q", "--depth=1", "origin", "other"], cwd=folder, check=True)
    with pytest.raises(UsageError, match="no commit is an ancestor") as caught:
        find_scope(folder, ["FETCH_HEAD"])
    assert "git fetch --unshallow" in caught.value.fix


def test_histories_without_a_common_commit_are_refused(repository):
    repository.git("checkout", "-q", "--orphan", "other")
    repository.commit("Other", b="x = 3\n")
    with pytest.raises(UsageError, match="no commit is an ancestor") as caught:
        find_scope(repository.root, ["main"])
    assert "same history" in caught.value.fix


def test_a_repository_of_another_user_is_named_as_such(repository, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(UsageError, match="another user owns") as caught:
        find_scope(repository.root, [])
    assert "safe.directory" in caught.value.fix


def test_a_link_that_became_a_file_is_under_review(repository):
    (repository.root / "link.py").symlink_to("b.py")
    repository.commit("Link")
    (repository.root / "link.py").unlink()
    (repository.root / "link.py").write_text(FAULT)
    assert _found(review(repository.root, [], ALONE)) == [("link.py", 2)]


def test_lines_are_counted_as_git_counts_them():
    text = "import numpy as np\n\fx = '\u2028'\nnp.random.seed(2)  # gate: QS101 because\n"
    assert len(SourceFile("a.py", text).lines) == 3


def test_git_has_fewer_lines_than_a_file_with_lone_carriage_returns(repository):
    (repository.root / "a.py").write_bytes(b"x = 1\r\rdef f():\r    return 1\r")
    repository.commit("Fix f")
    (repository.root / "a.py").write_bytes(b"x = 1\r\rdef f():\r    return 2\r")
    assert review(repository.root, [], ReviewOptions(most_paths=None)).flaws == []


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "(" * 300 + "1" + ")" * 300,
        "x = " + " + ".join(["1"] * 20_000),
        "x = a" + ".b()" * 20_000,
    ],
    ids=["brackets", "sum", "chain"],
)
def test_deep_code_is_read_or_reported(repository, text):
    (repository.root / "a.py").write_text(f"def f(x, a):\n    return 1\n\n\n{text}\n")
    result = review(repository.root, ["a.py"], ReviewOptions(most_paths=None))
    assert {flaw.rule for flaw in result.flaws} <= {"QS100"}


def test_functions_are_named_in_their_order():
    text = "class A:\n    def f(self):\n        def g(): ...\n    def h(self): ...\ndef i(): ...\n"
    names = [name for name, _ in functions_of(SourceFile("a.py", text).tree)]
    assert names == ["A.f", "A.f.g", "A.h", "i"]


def test_a_long_chain_of_branches_is_no_deep_recursion():
    text = "if x:\n    pass\n" + "elif x:\n    pass\n" * 2_000 + "def f(): ...\n"
    assert [name for name, _ in functions_of(SourceFile("a.py", text).tree)] == ["f"]


def test_a_table_of_equal_lines_is_compared_in_time_that_grows_with_its_length(repository):
    table = "T = [\n" + "    0x0000000000000000000000000000, 0,\n" * 20_000 + "]\n"
    repository.commit("Tables", a=table, b=table)
    began = time.process_time()
    scope = find_scope(repository.root, ["a.py", "b.py"])
    found = find_duplicates(scope, {"a.py": table, "b.py": table})
    assert {flaw.path for flaw in found} == {"a.py", "b.py"}
    assert time.process_time() - began < 10.0  # 200 million comparisons take longer


def test_warnings_of_the_code_are_not_printed(repository):
    (repository.root / "a.py").write_text("x = '\\d'\nif x is 'd': pass\n")
    code = (
        "from pathlib import Path; from qstore_ray.review.source import SourceFile; "
        "SourceFile('a.py', Path('a.py').read_text())"
    )
    words = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(words, cwd=repository.root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_place_outside_of_the_project_is_a_url():
    flaw = Flaw(rule="QS101", level="note", path="/a b/c.py", line=1, end_line=1,
                message="Wrong.", rewrite="Right.")  # fmt: skip
    (found,) = to_sarif(ReviewResult([flaw]), "1")["runs"][0]["results"]
    place = found["locations"][0]["physicalLocation"]["artifactLocation"]
    assert place == {"uri": "file:///a%20b/c.py"}
    assert found["message"]["text"] == "Wrong. Right."


def _notebook(*cells: object, metadata: object = None, **layout: object) -> str:
    whole = {"cells": list(cells), "metadata": metadata or {}}
    return json.dumps(whole, sort_keys=True, **layout)


def _code(*lines: str, outputs: object = ()) -> dict[str, object]:
    return {"cell_type": "code", "outputs": list(outputs), "source": list(lines)}


def test_a_line_of_code_is_not_taken_for_the_same_line_elsewhere_in_the_notebook():
    same = "np.random.seed(1)\n"
    text = _notebook(
        {"cell_type": "markdown", "source": ["Write\n", same]},
        _code("import numpy as np\n", same, outputs=[{"text": [same]}]),
        indent=1,
    )
    code, is_placed = code_of("a.ipynb", text)
    assert is_placed
    lines = code.split("\n")
    (at,) = [number for number, line in enumerate(lines) if "seed" in line]
    assert at == max(n for n, line in enumerate(text.split("\n")) if "seed" in line)


def test_a_notebook_without_a_line_for_each_line_is_reviewed_as_a_whole(repository):
    text = _notebook(_code("import numpy as np\n", "np.random.seed(1)\n", "x = 1\n"))
    (repository.root / "n.ipynb").write_text(text)
    repository.commit("Notebook")
    (repository.root / "n.ipynb").write_text(text.replace("x = 1", "x = 2"))
    assert _found(review(repository.root, [], ALONE)) == [("n.ipynb", 2)]


@pytest.mark.parametrize(
    "metadata",
    [{"kernelspec": {"language": "R", "name": "ir"}}, {"language_info": {"name": "julia"}}],
)
def test_a_notebook_in_another_language_is_no_python_with_faults(metadata):
    text = _notebook(_code("x <- 1\n"), metadata=metadata, indent=1)
    assert code_of("a.ipynb", text).text.strip() == ""


def test_a_command_of_the_shell_may_go_on_in_the_next_lines():
    text = _notebook(_code("!pip install a \\\n", "    b \\\n", "    c\n", "x = 1\n"), indent=1)
    assert code_of("a.ipynb", text).text.split() == ["pass", "x", "=", "1"]


def test_a_line_that_jupyter_has_cut_is_one_line_of_python():
    text = _notebook(_code("x = 'a\u2028", "b'\n", "y = 1"), indent=1, ensure_ascii=False)
    code, is_placed = code_of("a.ipynb", text)
    assert is_placed
    assert [line for line in code.split("\n") if line] == ["x = 'a\u2028b'", "y = 1"]


@pytest.mark.parametrize("text", ["[]", '{"cells": 1}', '{"cells": [1]}', "[" * 100_000])
def test_what_is_no_notebook_is_said(text):
    with pytest.raises(DataError, match="notebook"):
        code_of("a.ipynb", text)
