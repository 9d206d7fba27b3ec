"""Git and ruff as a review calls them: missing, slow, or with answers that are none."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from qstore_ray.errors import BackendError, DataError, MissingDependencyError, TransientError
from qstore_ray.review import changes, complexity, git
from qstore_ray.review.changes import _changed_lines
from qstore_ray.review.complexity import find_complex, ruff_command
from qstore_ray.review.git import GitProject
from qstore_ray.review.line_history import functions_of, past_fixes
from qstore_ray.review.source import SourceFile, read_text

ENTRY = """[{"message": "`f` is too complex (12 > 1)", "location": {"row": 3}, "filename": "a.py"},
            {"message": "SyntaxError: no", "location": null, "filename": "b.py"}]"""


@pytest.fixture
def ruff(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A ruff that prints what the test says."""

    def printing(out: str, err: str = "") -> None:
        code = f"import sys; sys.stdout.write({out!r}); sys.stderr.write({err!r})"
        monkeypatch.setattr(complexity, "ruff_command", lambda: [sys.executable, "-c", code])

    return printing


def test_a_report_of_ruff_becomes_findings_and_a_syntax_error_none(ruff, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ruff(ENTRY)
    (flaw,) = find_complex(tmp_path, ["a.py"], 1) or ()
    assert (flaw.path, flaw.line, flaw.message) == ("a.py", 3, "f has 12 paths")


@pytest.mark.parametrize(
    ("out", "err", "words"),
    [
        ("no JSON", "error: unknown option\n", "unknown option"),
        ("", "", "nothing at all"),
        ('[{"code": "C901"}]', "", "KeyError"),
        ("5", "", "TypeError"),
    ],
)
def test_a_ruff_that_prints_no_report_is_an_error(ruff, tmp_path, out, err, words):
    ruff(out, err)
    with pytest.raises(BackendError, match=f"printed no report: .*{words}") as caught:
        find_complex(tmp_path, ["a.py"], 1)
    assert "ruff check --select C901" in caught.value.fix


def test_a_ruff_that_takes_too_long_is_an_error(monkeypatch, tmp_path):
    slow = [sys.executable, "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr(complexity, "ruff_command", lambda: slow)
    monkeypatch.setattr(complexity, "_SECONDS", 0.2)
    with pytest.raises(BackendError, match=r"longer than 0\.2 s"):
        find_complex(tmp_path, ["a.py"], 1)


def test_without_ruff_the_complexity_is_not_known(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name: "/opt/ruff" if name == "ruff" else None)
    assert ruff_command() == ["/opt/ruff"]
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert ruff_command() is None
    assert find_complex(tmp_path, ["a.py"], 1) is None


def test_without_git_the_files_can_be_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependencyError, match="git, which is not installed") as caught:
        GitProject.around(tmp_path)
    assert "qstore review FILE" in caught.value.fix


def test_a_git_that_takes_too_long_may_be_asked_again(monkeypatch, tmp_path):
    fake = tmp_path / "git"
    fake.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(60)\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TransientError, match=r"git log took longer than 0\.2 s"):
        git._git(tmp_path, "log", seconds=0.2)


def test_a_name_that_git_quotes_is_the_one_of_the_file(tmp_path):
    """Quotes, backslashes and letters beyond ASCII."""
    names = ['a "b".py', "c\\d.py", "größe.py", "plain name.py"]
    for name in names:
        (tmp_path / name).write_text("a = 1\n")
    command = ["git", "-c", "core.quotepath=true"]
    subprocess.run([*command, "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run([*command, "add", "."], cwd=tmp_path, check=True)
    asked = [*command, "diff", "--cached", "--unified=0"]
    diff = subprocess.run(asked, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert dict(_changed_lines(diff)) == dict.fromkeys(names, frozenset({1}))
    assert changes._unquoted(r"gr\303\266\303\237e") == "größe"


def test_functions_have_the_names_of_what_is_around_them():
    text = (
        "class A:\n  def f(self):\n    def g(): ...\n    class B:\n      async def h(self): ...\n"
    )
    assert [name for name, _ in functions_of(ast.parse(text))] == ["A.f", "A.f.g", "A.f.B.h"]


def test_a_function_that_the_last_commit_does_not_have_has_no_history(tmp_path):
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    (tmp_path / "a.py").write_text("def f():\n    return 1\n")
    (tmp_path / "odd.py").write_text("def (\n")
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "Fix f"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    project = GitProject.around(tmp_path)
    found = past_fixes(project, "a.py", "f", 60.0)
    assert found is not None
    assert found.fixes == ["Fix f"]
    for path, name in (("a.py", "g"), ("new.py", "f"), ("odd.py", "f")):
        assert past_fixes(project, path, name, 60.0) is None


def test_a_file_that_is_no_text_is_an_error(tmp_path):
    (tmp_path / "a.py").write_bytes(b"# coding: no-such-coding\n")
    with pytest.raises(DataError, match="cannot be read: SyntaxError") as caught:
        read_text(tmp_path / "a.py", "a.py")
    assert caught.value.field == "a.py"


@pytest.mark.parametrize(
    ("text", "is_repeated"),
    [
        ("for x in m():\n    pass\n", False),
        ("for x in y:\n    m()\n", True),
        ("for x in y:\n    pass\nelse:\n    m()\n", False),
        ("while a:\n    m()\n", True),
        ("while m():\n    pass\n", True),
        ("while a:\n    pass\nelse:\n    m()\n", False),
        ("[x for x in m()]\n", False),
        ("[m() for x in y]\n", True),
        ("for x in y:\n    def f():\n        m()\n", False),
        ("m()\n", False),
    ],
)
def test_what_a_loop_runs_again(text, is_repeated):
    source = SourceFile("a.py", text)
    (call,) = [node for node in source.calls() if ast.unparse(node) == "m()"]
    assert (source.loop_around(call) is not None) is is_repeated
